//! Calls to a service that an application answers for: pages, actions, and everything that can go wrong with them.

use model::EndedBy;
use model::media::{LegId, Sound};
use serde_json::{Value, json};

use super::{Stage, scenarios};
use crate::browser::{CallKey, Heard};
use crate::clock::SECOND;
use crate::webhook::Manner;

scenarios! {
    answered_and_hung_up: "The application answers, plays and has nothing more to do: the caller hears it, then the call ends, and the final page is told.",
    first_page_is_told_of_the_call: "The first page is told who calls what, and that nobody has answered.",
    rejected: "The application rejects the call with a cause: the caller hears it, and nothing was answered.",
    hangs_up_at_once: "The application hangs up before it answers: the caller hears that nobody is there.",
    caller_hangs_up_on_an_application: "The caller hangs up while something plays: the final page is told so, with how long it lasted.",
    caller_cancels: "The caller gives up while the first page is asked: 487, and the late page changes nothing.",
    caller_is_lost: "The caller's connection is lost: the call ends, and the final page is told that it was dropped.",
    page_is_gone: "The first page does not answer: the error page is told, and what it says is done.",
    page_is_missing: "The first page answers 404 and so does the error page: the caller hears that the call failed.",
    page_is_no_page: "The answer is no page: the error page is told where the fault stands.",
    unknown_action: "An action that nobody knows: the error page is told its name, and nothing of the page was done.",
    what_we_do_not_have: "Fax and speech recognition are named as missing.",
    file_is_missing: "A file that is not there: the error page is told which.",
    number_is_entered: "Digits end the prompt, are gathered until '#', and the next page is told the number.",
    number_is_short: "Digits that stop coming: the next page is told what was entered.",
    help_plays_the_prompt_again: "The help digit begins the entry anew.",
    menu_chooses: "A digit chooses its page.",
    menu_is_misused: "Wrong digits and silence: the messages are heard, then the menu is over and the next action runs.",
    typed_ahead: "Digits pressed while something plays before an entry are its first digits.",
    recorded: "What the caller says is recorded, ended by silence, and the next page is told the file.",
    recording_ends_by_key: "A key ends the recording.",
    hangs_up_into_recording: "The caller hangs up while it is recorded: the final page is told the file.",
    sleeps_and_redirects: "The application sleeps without answering, then sends the call to another page that answers.",
    token_comes_back: "A page is told the token that the page before gave.",
    never_answers: "An application that sleeps for ever without answering: the caller is told after a minute.",
    account_is_disabled: "The account is disabled during the call: the caller is told.",
    server_is_stopped: "The server stops during the call: the caller is told.",
}

const BASE: &str = "https://app.example";

pub(super) fn page(last: &str) -> String {
    format!("{BASE}/{last}")
}

/// An application whose pages answer with these actions.
pub(super) fn application(stage: &mut Stage, pages: &[(&str, Value)]) {
    stage.world.authority.set_application("ivr", BASE);
    for (last, actions) in pages {
        let manner = Manner::Actions(actions.clone());
        stage.world.webhooks.answer(&page(last), manner);
    }
    let thanks = Manner::Body(204, Vec::new());
    stage.world.webhooks.answer(&page("final"), thanks);
    stage.world.publish();
}

pub(super) fn calls(stage: &mut Stage) -> (usize, CallKey) {
    let alice = stage.page("alice");
    let call = stage
        .world
        .app(alice, |browser, now| browser.call_service(now, "ivr"))
        .expect("pages may call");
    (alice, call)
}

/// A second of a tone.
pub(super) fn tone() -> Value {
    json!({ "tone": { "frequencies_hz": [440], "milliseconds": 1000 } })
}

pub(super) fn play() -> Value {
    json!({ "play": { "play_list": [tone()] } })
}

/// What a page was told, the only time that it was asked.
#[track_caller]
pub(super) fn told(stage: &Stage, last: &str) -> Value {
    let told = stage.world.webhooks.told(&page(last));
    stage.claim(told.len() == 1, &format!("{last} was asked once"));
    told[0].clone()
}

fn asked(stage: &Stage, last: &str) -> usize {
    stage.world.webhooks.told(&page(last)).len()
}

pub(super) fn talks(stage: &mut Stage, page: usize) {
    stage.until("the caller is answered", |world| {
        let browser = world.browser(page).expect("a page");
        browser
            .heard
            .iter()
            .any(|(_, heard)| matches!(heard, Heard::Connected(_)))
    });
    stage.millis(300);
}

/// The caller's leg at the gateway.
#[track_caller]
pub(super) fn leg(stage: &Stage) -> LegId {
    let legs = stage.world.gateways[0].legs();
    stage.claim(!legs.is_empty(), "there is a leg");
    legs[0]
}

fn press(stage: &mut Stage, keys: &str) {
    for key in keys.chars() {
        let leg = leg(stage);
        stage
            .world
            .gateway(|gateway, now| gateway.press(now, leg, key));
        stage.millis(200);
    }
}

pub(super) fn plays(stage: &Stage) -> usize {
    stage.world.gateways[0].played.len()
}

fn answered_and_hung_up(stage: &mut Stage) {
    application(stage, &[("first", json!([play()]))]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    let hears = stage.world.gateways[0].hears(leg(stage));
    let sounds = hears.map(|play| play.sounds.clone()).unwrap_or_default();
    stage.claim(
        matches!(sounds[..], [Sound::Tone(_)]),
        "the caller hears the tone",
    );
    stage.seconds(2);
    stage.claim(stage.cause(alice) == Some("NORMAL"), "and the call ends");
    stage.recorded(EndedBy::Callee, 200);
    let told = told(stage, "final");
    stage.claim(
        told["this_call"]["call_cause"] == "completed",
        "as it was to",
    );
    stage.claim(told["this_call"]["call_state"] == "idle", "and it is over");
    stage.claim(stage.world.gateways[0].legs().is_empty(), "no leg is left");
}

fn first_page_is_told_of_the_call(stage: &mut Stage) {
    application(stage, &[("first", json!([]))]);
    calls(stage);
    stage.seconds(1);
    let told = told(stage, "first");
    let call = &told["this_call"];
    for (name, value) in [
        ("call_direction", "in"),
        ("call_from", "alice"),
        ("call_to", "ivr"),
        ("call_target", "ivr"),
        ("call_state", "inbound"),
    ] {
        stage.claim(call[name] == value, name);
    }
    stage.claim(
        call["call_id"] == stage.records()[0].id.to_string(),
        "as in the list of calls",
    );
    stage.claim(told["token"].is_null(), "no page has given a token yet");
    stage.claim(told["application_instance_id"].is_string(), "it has a name");
}

fn rejected(stage: &mut Stage) {
    application(
        stage,
        &[("first", json!([{ "reject": { "cause": "busy" } }]))],
    );
    let (alice, _) = calls(stage);
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("BUSY"), "the caller hears it");
    stage.recorded(EndedBy::Callee, 486);
    let call = &told(stage, "final")["this_call"];
    stage.claim(
        call["call_cause"] == "busy" && call["call_raw_cause"] == "486",
        "and the page",
    );
}

fn hangs_up_at_once(stage: &mut Stage) {
    application(stage, &[("first", json!([{ "hang_up": {} }]))]);
    let (alice, _) = calls(stage);
    stage.seconds(1);
    stage.claim(
        stage.cause(alice) == Some("UNOBTAINABLE"),
        "the caller hears that",
    );
    stage.claim(plays(stage) == 0, "nothing was played");
}

fn caller_hangs_up_on_an_application(stage: &mut Stage) {
    let hold = json!({ "play": { "play_list": [{ "tone": { "frequencies_hz": [440], "milliseconds": 60000 } }] } });
    application(stage, &[("first", json!([hold]))]);
    let (alice, call) = calls(stage);
    talks(stage, alice);
    stage.seconds(5);
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.recorded(EndedBy::Caller, 200);
    let told = told(stage, "final");
    let call = &told["this_call"];
    stage.claim(call["call_cause"] == "hung_up", "the page is told so");
    let lasted = call["seconds_call_duration"].as_f64().unwrap_or(0.0);
    stage.claim((5.0..6.0).contains(&lasted), "and for how long");
}

fn caller_cancels(stage: &mut Stage) {
    application(stage, &[]);
    let manner = Manner::Slowly(2 * SECOND, json!([play()]));
    stage.world.webhooks.answer(&page("first"), manner);
    let (alice, call) = calls(stage);
    stage.millis(500);
    stage.hang_up(alice, call);
    stage.seconds(4);
    stage.recorded(EndedBy::Caller, 487);
    stage.claim(
        told(stage, "final")["this_call"]["call_cause"] == "hung_up",
        "the page is told",
    );
    stage.claim(
        stage.world.gateways[0].legs().is_empty(),
        "nothing was answered",
    );
}

fn caller_is_lost(stage: &mut Stage) {
    let sleep = json!([play(), { "sleep": { "seconds": 300 } }]);
    application(stage, &[("first", sleep)]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    stage.world.cut(alice, crate::faults::Cut::BOTH);
    stage.seconds(1);
    stage.recorded(EndedBy::Server, 503);
    stage.claim(
        told(stage, "final")["this_call"]["call_cause"] == "dropped",
        "the page is told",
    );
}

fn page_is_gone(stage: &mut Stage) {
    application(stage, &[("error", json!([play()]))]);
    stage.world.webhooks.answer(&page("first"), Manner::Gone);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    let error = &told(stage, "error")["error_result"];
    let text = error["result"].as_str().unwrap_or_default();
    stage.claim(text.contains("did not answer within 5 s"), "it is told why");
    // Whoever asked it tells that itself.
    complained(stage, &[]);
    stage.seconds(2);
    stage.claim(
        told(stage, "final")["this_call"]["call_cause"] == "completed",
        "it did what it said",
    );
}

fn page_is_missing(stage: &mut Stage) {
    application(stage, &[]);
    let (alice, _) = calls(stage);
    stage.seconds(1);
    stage.claim(stage.cause(alice).is_some(), "the caller is told");
    let (_, status, reason) = stage.only_outcome();
    stage.claim(reason.contains("404"), "the record says why");
    stage.claim(status == 500, "and that it failed");
    stage.claim(asked(stage, "error") == 1, "the error page was asked once");
    complained(stage, &["404", "404"]);
}

/// Whether the log has a line with each of these words, in this order, and no other.
fn complained(stage: &mut Stage, words: &[&str]) {
    let told = &stage.world.server(0).complaints;
    let is_so = told.len() == words.len()
        && told
            .iter()
            .zip(words)
            .all(|(line, word)| line.contains(word));
    let about = format!("the log has lines about {words:?}, not {told:?}");
    stage.claim(is_so, &about);
}

fn page_is_no_page(stage: &mut Stage) {
    application(stage, &[("error", json!([{ "hang_up": {} }]))]);
    let manner = Manner::Body(200, b"{\"actions\":[{\"play\":".to_vec());
    stage.world.webhooks.answer(&page("first"), manner);
    calls(stage);
    stage.seconds(1);
    let error = told(stage, "error");
    let text = error["error_result"]["result"].as_str().unwrap_or_default();
    stage.claim(
        text.contains("no page") && text.contains("line 1"),
        "it is told where",
    );
}

fn unknown_action(stage: &mut Stage) {
    let actions = json!([play(), { "dance": {} }]);
    application(stage, &[("first", actions), ("error", json!([]))]);
    calls(stage);
    stage.seconds(1);
    let error = told(stage, "error");
    let text = error["error_result"]["result"].as_str().unwrap_or_default();
    stage.claim(text.contains("`dance`"), "it is named");
    complained(stage, &["`dance`"]);
    stage.claim(plays(stage) == 0, "nothing was done");
}

fn what_we_do_not_have(stage: &mut Stage) {
    for (action, word) in [
        (json!([{ "send_fax": { "pages": [] } }]), "fax"),
        (json!([{ "run_speech_menu": {} }]), "speech recognition"),
    ] {
        stage.restart(&crate::world::Plan::default());
        application(stage, &[("first", action), ("error", json!([]))]);
        calls(stage);
        stage.seconds(1);
        let error = told(stage, "error");
        let text = error["error_result"]["result"].as_str().unwrap_or_default();
        stage.claim(text.contains(word), "it is named");
    }
}

fn file_is_missing(stage: &mut Stage) {
    let file = json!([{ "play": { "play_list": [tone(), { "file_to_play": "lost.wav" }] } }]);
    application(stage, &[("first", file), ("error", json!([play()]))]);
    stage.world.webhooks.lost_files.push("lost.wav".to_owned());
    let (alice, _) = calls(stage);
    talks(stage, alice);
    let error = told(stage, "error");
    stage.claim(
        error["error_result"]["action"] == "play",
        "the action is named",
    );
    let text = error["error_result"]["result"].as_str().unwrap_or_default();
    stage.claim(text.contains("lost.wav"), "and the file");
    // As whoever was to bring it.
    complained(stage, &[]);
    stage.claim(plays(stage) == 1, "half a list is not played");
}

fn number(extra: Value) -> Value {
    let mut number =
        json!({ "next_page": { "url": "next" }, "prompt": { "play": { "play_list": [tone()] } } });
    for (name, value) in extra.as_object().into_iter().flatten() {
        number[name] = value.clone();
    }
    json!([{ "get_number": number }])
}

fn entered(stage: &Stage) -> String {
    let told = told(stage, "next");
    stage.claim(
        told["action_result"]["action"] == "get_number",
        "it is the result",
    );
    let result = &told["action_result"]["result"];
    result["entered_number"]
        .as_str()
        .unwrap_or("none")
        .to_owned()
}

fn number_is_entered(stage: &mut Stage) {
    application(stage, &[("first", number(json!({}))), ("next", json!([]))]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    press(stage, "12A3#");
    stage.seconds(1);
    stage.claim(
        entered(stage) == "123",
        "the digits that are valid, without the last",
    );
}

fn number_is_short(stage: &mut Stage) {
    let extra = json!({ "digit_count": 6, "milliseconds_inter_digit_timeout": 2000 });
    application(stage, &[("first", number(extra)), ("next", json!([]))]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    stage.seconds(2);
    press(stage, "12");
    stage.seconds(3);
    stage.claim(entered(stage) == "12", "what was entered");
}

fn help_plays_the_prompt_again(stage: &mut Stage) {
    application(stage, &[("first", number(json!({}))), ("next", json!([]))]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    press(stage, "12*");
    stage.claim(plays(stage) == 2, "the prompt is heard again");
    press(stage, "45#");
    stage.seconds(1);
    stage.claim(entered(stage) == "45", "from the beginning");
}

fn menu() -> Value {
    json!([
        { "run_menu": {
            "prompt": { "play": { "play_list": [tone()] } },
            "seconds_digit_timeout": 3,
            "menu_options": [
                { "digit": "1", "next_page": { "url": "one" } },
                { "digit": "2", "next_page": { "url": "/two?x=1", "method": "GET" } },
            ],
        } },
        { "redirect": { "next_page": { "url": "three" } } },
    ])
}

fn menu_chooses(stage: &mut Stage) {
    application(
        stage,
        &[
            ("first", menu()),
            ("one", json!([])),
            ("two?x=1", json!([])),
        ],
    );
    let (alice, _) = calls(stage);
    talks(stage, alice);
    press(stage, "2");
    stage.seconds(1);
    let result = &told(stage, "two?x=1")["action_result"];
    stage.claim(
        result["result"]["selected_digit"] == "2",
        "its page is told",
    );
    stage.claim(asked(stage, "one") == 0, "and no other");
}

fn menu_is_misused(stage: &mut Stage) {
    application(stage, &[("first", menu()), ("three", json!([]))]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    press(stage, "9");
    stage.claim(plays(stage) == 2, "the prompt again");
    stage.seconds(5);
    stage.claim(plays(stage) == 3, "and after a silence");
    stage.seconds(30);
    stage.claim(asked(stage, "three") == 1, "then the menu is over");
    stage.claim(
        told(stage, "three").get("action_result").is_none(),
        "a redirection has no result",
    );
}

fn typed_ahead(stage: &mut Stage) {
    let mut actions = vec![play()];
    actions.extend(
        number(json!({ "digit_count": 3 }))
            .as_array()
            .cloned()
            .unwrap_or_default(),
    );
    application(stage, &[("first", json!(actions)), ("next", json!([]))]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    press(stage, "789");
    stage.seconds(1);
    stage.claim(entered(stage) == "789", "all of them");
}

fn record(extra: Value) -> Value {
    let mut record = json!({ "next_page": { "url": "next" }, "beep_on_start": true });
    for (name, value) in extra.as_object().into_iter().flatten() {
        record[name] = value.clone();
    }
    json!([{ "record": record }])
}

fn recorded(stage: &mut Stage) {
    application(stage, &[("first", record(json!({}))), ("next", json!([]))]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    stage.seconds(7);
    let result = told(stage, "next")["action_result"]["result"].clone();
    stage.claim(result["seconds_duration"] == 2.0, "as long as was spoken");
    stage.claim(result["contains_sound"] == true, "there is something in it");
    let file = result["filename"].as_str().unwrap_or_default();
    stage.claim(file.ends_with("-1.wav"), "and the file is named");
}

fn recording_ends_by_key(stage: &mut Stage) {
    let extra = json!({ "barge_in_digits": "5" });
    application(stage, &[("first", record(extra)), ("next", json!([]))]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    press(stage, "45");
    stage.seconds(1);
    let result = told(stage, "next")["action_result"]["result"].clone();
    let seconds = result["seconds_duration"].as_f64().unwrap_or(9.0);
    stage.claim(seconds < 1.5, "at once");
}

fn hangs_up_into_recording(stage: &mut Stage) {
    application(stage, &[("first", record(json!({}))), ("next", json!([]))]);
    let (alice, call) = calls(stage);
    talks(stage, alice);
    stage.seconds(1);
    stage.hang_up(alice, call);
    stage.seconds(1);
    let told = told(stage, "final");
    stage.claim(
        told["this_call"]["call_cause"] == "hung_up",
        "it is told of the end",
    );
    let result = &told["action_result"];
    stage.claim(result["action"] == "record", "and of the recording");
    stage.claim(result["result"]["filename"].is_string(), "with its file");
    stage.claim(asked(stage, "next") == 0, "the call does not go on");
}

fn sleeps_and_redirects(stage: &mut Stage) {
    let actions = json!([{ "sleep": { "seconds": 2.5 } }, { "redirect": { "next_page": { "url": "other" } } }]);
    application(stage, &[("first", actions), ("other", json!([play()]))]);
    let (alice, _) = calls(stage);
    stage.seconds(2);
    stage.claim(asked(stage, "other") == 0, "not yet");
    stage.claim(
        told(stage, "first")["this_call"]["call_state"] == "inbound",
        "nor answered",
    );
    talks(stage, alice);
}

fn token_comes_back(stage: &mut Stage) {
    let redirect = json!([{ "redirect": { "next_page": { "url": "other" } } }]);
    application(stage, &[("first", redirect), ("other", json!([]))]);
    calls(stage);
    stage.seconds(1);
    stage.claim(told(stage, "other")["token"] == "t", "as it was given");
}

fn never_answers(stage: &mut Stage) {
    application(
        stage,
        &[("first", json!([{ "sleep": { "seconds": 600 } }]))],
    );
    let (alice, _) = calls(stage);
    stage.seconds(62);
    stage.claim(stage.cause(alice).is_some(), "the caller is told");
    stage.recorded(EndedBy::Server, 480);
    stage.claim(
        told(stage, "final")["this_call"]["call_cause"] == "no_answer",
        "and the page",
    );
}

fn account_is_disabled(stage: &mut Stage) {
    let actions = json!([play(), { "sleep": { "seconds": 60 } }]);
    application(stage, &[("first", actions)]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    stage.world.authority.set_disabled(0, true);
    stage.world.publish();
    stage.seconds(1);
    stage.claim(stage.cause(alice).is_some(), "the caller is told");
    let (_, status, reason) = stage.only_outcome();
    stage.claim(
        status == 403 && reason.contains("disabled"),
        "and the record says why",
    );
}

fn server_is_stopped(stage: &mut Stage) {
    let actions = json!([play(), { "sleep": { "seconds": 60 } }]);
    application(stage, &[("first", actions)]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    stage.world.stop_server(0, None);
    stage.seconds(1);
    stage.claim(stage.cause(alice).is_some(), "the caller is told");
    stage.recorded(EndedBy::Server, 503);
}
