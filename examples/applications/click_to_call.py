# First: offhook service set click --url http://127.0.0.1:5000/first
# Run with: OFFHOOK_LOGIN=1-2-0/demo@example.com/click OFFHOOK_SECRET=$(offhook service show click --secret) flask --app click_to_call run
# A page with a button, http://127.0.0.1:5000/: the client in DESK is called, asked whether to call back, and connected with the client whom
# the visitor has named. What is said needs espeak-ng on the server.
import base64, json, os, re
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen
from flask import Flask, abort, request
from signature import is_ours

app = Flask(__name__)
SERVER = os.environ.get("OFFHOOK_SERVER", "http://127.0.0.1:8080")
LOGIN = os.environ["OFFHOOK_LOGIN"]
SECRET = os.environ["OFFHOOK_SECRET"]
DESK = os.environ.get("DESK", "desk")
FORM = '<!doctype html><title>Call me</title><form method="post" action="call"><input name="name" required><button>Call me</button></form>'

def page(*actions):
    return {"api_version": "2.0", "actions": actions}

def say(text):
    return {"play": {"play_list": [{"text_to_say": text}]}}

def customer():
    return request.json["this_call"]["outbound_parameters"]["name"]

@app.get("/")
def form():
    return FORM

@app.post("/call")
def call():
    name = request.form.get("name", "")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        return "That is no name.", 400
    start = {"to": "webrtc:" + DESK, "from": "click-to-call", "outbound_parameters": {"name": name}}
    login = base64.b64encode(f"{LOGIN}:{SECRET}".encode()).decode()
    body = urlencode({"rest_calls": json.dumps(start)}).encode()
    try:
        urlopen(Request(SERVER + "/service_start", body, {"Authorization": "Basic " + login}), timeout=10).close()
    except URLError as error:
        app.logger.error("no call: %s", error)
        return "Sorry, that did not work.", 502
    return "We call you in a moment."

@app.before_request
def check():
    if request.path not in ("/", "/call") and not is_ours(request.headers, request.get_data(), SECRET):
        abort(403)

@app.post("/first")
def first():
    prompt = say("Somebody wants to talk to you. Press one to call back.")
    options = [{"digit": "1", "next_page": {"url": "back"}}]
    return page({"run_menu": {"prompt": prompt, "menu_options": options}}, say("Goodbye."))

@app.post("/back")
def back():
    return page({"connect": {"destinations": ["webrtc:" + customer()], "call_from": "click-to-call", "next_page": {"url": "after"}}})

@app.post("/after")
def after():
    was_there = request.json["action_result"]["result"]["seconds_connected_duration"] > 0
    return page(say("Goodbye." if was_there else "Nobody is there any more."))
