# Run with: flask --app voicemail run
# Then: offhook service set voicemail --url http://127.0.0.1:5000/first --final-url http://127.0.0.1:5000/final
# Takes a message, plays it back, and keeps it unless the caller wants to speak again. What is said needs espeak-ng on the server.
import os
from flask import Flask, abort, request
from signature import is_ours

app = Flask(__name__)
SECRET = os.environ.get("OFFHOOK_SECRET")
RECORD = {"record": {"beep_on_start": True, "seconds_max_duration": 30, "next_page": {"url": "recorded"}}}

def page(*actions):
    return {"api_version": "2.0", "actions": actions}

def play(*play_list):
    return {"play": {"play_list": play_list}}

@app.before_request
def check():
    if SECRET and not is_ours(request.headers, request.get_data(), SECRET):
        abort(403)

@app.post("/first")
@app.post("/again")
def first():
    return page(play({"text_to_say": "Please leave a message after the tone."}), RECORD)

@app.post("/recorded")
def recorded():
    file = request.json["action_result"]["result"]["filename"]  # GET /v1/files/<name> fetches it
    if not file:
        return page(play({"text_to_say": "Nothing was heard."}), RECORD)
    prompt = play({"file_to_play": file}, {"text_to_say": "Press one to speak again."})
    digits = {"digit_count": 1, "valid_digits": "1"}
    ask = {"get_input": {"prompt": prompt, "digit_input_options": digits, "next_page": {"url": "again"}}}
    return page(ask, play({"text_to_say": "Your message is kept. Goodbye."}))

@app.post("/final")
def final():  # who hangs up while speaking has left a message as well: it is in action_result
    app.logger.warning("%s", request.json.get("action_result"))
    return "", 204
