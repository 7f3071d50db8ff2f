from flask import Flask, request
app = Flask(__name__)

@app.post("/first")
@app.post("/key")
def page():
    key = request.json.get("action_result", {}).get("result", {}).get("entered_number") or 4
    tone = {"tone": {"frequencies_hz": [200 + 100 * int(key)], "milliseconds": 800}}
    next_key = {"digit_count": 1, "milliseconds_initial_timeout": 0, "next_page": {"url": "key"}}
    return {"api_version": "2.0", "actions": [{"play": {"play_list": [tone]}}, {"get_number": next_key}]}
