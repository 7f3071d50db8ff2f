# Run with: flask --app queue_line run
# Then: offhook service set queue --url http://127.0.0.1:5000/first --final-url http://127.0.0.1:5000/final
# Callers wait in a line, with music, for the client in AGENT, who talks with one at a time. What is said needs espeak-ng on the server.
import os
from flask import Flask, abort, request
from signature import is_ours

app = Flask(__name__)
SECRET = os.environ.get("OFFHOOK_SECRET")
AGENT = os.environ.get("AGENT", "agent")
MUSIC = [{"tone": {"frequencies_hz": [hz], "milliseconds": 500}} for hz in (523, 659, 784, 659)]
WAIT = {"redirect": {"next_page": {"url": "wait"}}}
line = []  # of one process: flask run has no more

def page(*actions):
    return {"api_version": "2.0", "actions": actions}

def play(*play_list):
    return {"play": {"play_list": play_list}}

@app.before_request
def check():
    if SECRET and not is_ours(request.headers, request.get_data(), SECRET):
        abort(403)

@app.post("/first")
def first():
    line.append(request.json["application_instance_id"])
    return page(play({"text_to_say": "Welcome. Please hold the line."}), WAIT)

@app.post("/wait")
def wait():  # the first in the line rings the agent, again and again; the others hear their place
    place = line.index(request.json["application_instance_id"])
    if place > 0:
        return page(play({"text_to_say": f"You are number {place + 1}."}, *MUSIC), WAIT)
    return page({"connect": {"destinations": ["webrtc:" + AGENT], "hold_media": play(*MUSIC), "next_page": {"url": "served"}}})

@app.post("/served")
def served():
    was_there = request.json["action_result"]["result"]["seconds_connected_duration"] > 0
    return page(play({"text_to_say": "Thank you for calling."})) if was_there else page(play(*MUSIC), WAIT)

@app.post("/final")
def final():
    line.remove(request.json["application_instance_id"])
    return "", 204
