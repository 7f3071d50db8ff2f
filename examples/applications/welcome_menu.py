# Run with: flask --app welcome_menu run
# Then: offhook service set welcome --url http://127.0.0.1:5000/first
# A menu: 1 tells when somebody is there, 2 connects with the client in DESK. What is said needs espeak-ng on the server.
import os
from flask import Flask, abort, request
from signature import is_ours

app = Flask(__name__)
SECRET = os.environ.get("OFFHOOK_SECRET")
DESK = os.environ.get("DESK", "desk")

def page(*actions):
    return {"api_version": "2.0", "actions": actions}

def say(text):
    return {"play": {"play_list": [{"text_to_say": text}]}}

@app.before_request
def check():
    if SECRET and not is_ours(request.headers, request.get_data(), SECRET):
        abort(403)

@app.post("/first")
def first():
    options = [{"digit": "1", "next_page": {"url": "hours"}}, {"digit": "2", "next_page": {"url": "desk"}}]
    prompt = say("Welcome. Press one for our hours, two to talk to us.")
    return page({"run_menu": {"prompt": prompt, "menu_options": options}}, say("Goodbye."))

@app.post("/hours")
def hours():
    return page(say("We are here from nine to five."), {"redirect": {"next_page": {"url": "first"}}})

@app.post("/desk")
def desk():
    return page({"connect": {"destinations": ["webrtc:" + DESK], "call_from": "welcome", "next_page": {"url": "after"}}})

@app.post("/after")
def after():
    was_there = request.json["action_result"]["result"]["seconds_connected_duration"] > 0
    return page(say("Thank you for calling." if was_there else "Nobody can take your call."))
