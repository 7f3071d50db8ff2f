//! What a number lets its caller hear before it answers.

use model::media::MediaCommand;
use serde_json::{Value, json};

use crate::stage::Stage;

const EARLY: &str = "v=0\r\nm=audio 4002 RTP/AVP 8\r\n";

fn connect(destinations: &[&str], passes_early: bool) -> Value {
    json!([{ "connect": {
        "destinations": destinations,
        "pass_early_media": passes_early,
        "next_page": { "url": "next" },
    } }])
}

fn words(stage: &Stage) -> Vec<&'static str> {
    let words = stage.commands.iter().map(|command| {
        if matches!(command, MediaCommand::Join { .. }) {
            "join"
        } else if matches!(command, MediaCommand::Part { .. }) {
            "part"
        } else if matches!(command, MediaCommand::Accept { .. }) {
            "accept"
        } else if matches!(command, MediaCommand::Confirm { .. }) {
            "confirm"
        } else if matches!(command, MediaCommand::Play { .. }) {
            "play"
        } else if matches!(command, MediaCommand::StopPlay { .. }) {
            "stop"
        } else {
            ""
        }
    });
    words.filter(|word| !word.is_empty()).collect()
}

#[test]
fn a_number_is_heard_before_it_answers_where_that_is_wanted() {
    let mut stage = Stage::new(|_| {});
    stage.talks_to_application(&connect(&["tel:+447700900123"], true));
    stage.gateway_offers();
    stage.responds(180, "");
    assert_eq!(words(&stage), ["play"]);
    stage.responds(183, EARLY);
    assert_eq!(words(&stage), ["play", "accept", "join", "stop"]);
    stage.responds(183, EARLY);
    stage.responds(180, "");
    assert_eq!(words(&stage).len(), 4, "once");
    stage.responds(200, EARLY);
    let all = ["play", "accept", "join", "stop", "confirm", "join", "stop"];
    assert_eq!(words(&stage), all);
}

#[test]
fn whoever_was_heard_early_and_has_gone_leaves_hold_media() {
    let mut stage = Stage::new(|_| {});
    let two = ["tel:+447700900123", "webrtc:alice"];
    stage.talks_to_application(&connect(&two, true));
    stage.gateway_offers();
    stage.responds(183, EARLY);
    stage.responds(486, "");
    let all = ["play", "accept", "join", "stop", "play", "stop"];
    assert_eq!(words(&stage), all);
    let result = stage.asked()["action_result"]["result"].clone();
    assert_eq!(result["call_cause"], "busy");
}

#[test]
fn nobody_is_heard_early_where_that_is_not_wanted() {
    let mut stage = Stage::new(|_| {});
    stage.talks_to_application(&connect(&["tel:+447700900123"], false));
    stage.gateway_offers();
    stage.responds(183, EARLY);
    assert_eq!(words(&stage), ["play"]);
    stage.responds(200, EARLY);
    assert_eq!(words(&stage), ["play", "accept", "join", "stop"]);
}

#[test]
fn whoever_was_heard_early_is_asked_alone_by_pages_of_its_own() {
    let mut stage = Stage::new(|_| {});
    let mut wanted = connect(&["tel:+447700900123"], true);
    wanted[0]["connect"]["secondary_call"] = json!({ "first_page": { "url": "announce" } });
    stage.talks_to_application(&wanted);
    stage.gateway_offers();
    stage.responds(183, EARLY);
    stage.responds(200, EARLY);
    let all = ["play", "accept", "join", "stop", "confirm", "part", "play"];
    assert_eq!(words(&stage), all);
    let told = stage.asked();
    assert_eq!(told["this_call"]["call_to"], "+447700900123");
    assert_eq!(told["this_call"]["call_direction"], "out");
    stage.page(&json!([{ "play": { "play_list": [{ "digits": "1" }] } }]));
    let is_keys = |command: &MediaCommand| matches!(command, MediaCommand::Play { leg, .. } if leg.place == 1);
    assert!(
        stage.commands.iter().any(is_keys),
        "a telephone hears at once"
    );
}

/// A call that nobody has answered is connected, and hears meanwhile; the SDP that it was told.
fn is_let_hear(stage: &mut Stage, actions: &Value) -> String {
    stage.invites("+441908273800");
    stage.page(actions);
    assert_eq!(stage.status(), 100, "the gateway is asked first");
    stage.gateway_answers(0);
    assert_eq!(stage.status(), 183);
    sdp(stage)
}

fn sdp(stage: &Stage) -> String {
    let (_, sdp) = stage.heard.split_once("\r\n\r\n").unwrap();
    assert!(sdp.contains("m=audio 20000"), "{}", stage.heard);
    sdp.to_owned()
}

fn answers_made(stage: &Stage) -> usize {
    let all = stage.commands.iter();
    all.filter(|command| matches!(command, MediaCommand::Answer { .. }))
        .count()
}

#[test]
fn a_caller_that_was_not_answered_hears_and_is_answered_by_whom_it_hears() {
    let mut stage = Stage::new(|_| {});
    let told = is_let_hear(&mut stage, &connect(&["tel:+447700900123"], true));
    assert_eq!(words(&stage), ["play"]);
    stage.gateway_offers();
    stage.responds(180, "");
    stage.gateway_hears(0);
    stage.responds(183, EARLY);
    assert_eq!(words(&stage), ["play", "accept", "join", "stop"]);
    let answered = stage.records.iter().any(|record| record.answered.is_some());
    assert!(!answered, "nobody has answered");
    stage.responds(200, EARLY);
    assert_eq!(stage.status(), 200);
    assert_eq!(sdp(&stage), told, "there is one answer to an offer");
    assert_eq!(answers_made(&stage), 1);
    let all = ["play", "accept", "join", "stop", "confirm", "join", "stop"];
    assert_eq!(words(&stage), all);
    stage.in_dialog("ACK");
    stage.in_dialog("BYE");
    let answered = stage.records.iter().filter(|record| {
        let outcome = record.outcome.as_ref();
        record.answered.is_some() && outcome.is_some_and(|outcome| outcome.status == 200)
    });
    assert_eq!(answered.count(), 2, "both were calls");
}

#[test]
fn a_peer_may_require_what_its_line_does() {
    let mut stage = Stage::new(|_| {});
    stage.invites_with("+441908273800", "Require: 100rel, timer\r\n");
    assert_eq!(stage.status(), 100);
    stage.invites_with("+441908273800", "Require: 100rel, answermode\r\n");
    assert_eq!(stage.status(), 420);
    assert!(stage.heard.contains("Unsupported: answermode\r\n"));
}

#[test]
fn an_application_may_refuse_a_caller_that_heard_and_was_not_answered() {
    let mut stage = Stage::new(|_| {});
    is_let_hear(&mut stage, &connect(&["tel:+447700900123"], true));
    stage.gateway_offers();
    stage.responds(183, EARLY);
    stage.responds(486, "");
    let told = stage.asked();
    assert_eq!(told["action_result"]["result"]["call_cause"], "busy");
    assert_eq!(told["this_call"]["call_state"], "inbound");
    stage.page(&json!([{ "reject": { "cause": "busy" } }]));
    assert_eq!(stage.status(), 486);
    let closes = |command: &MediaCommand| matches!(command, MediaCommand::Close { .. });
    assert!(stage.commands.iter().any(closes), "its media end");
}

#[test]
fn what_is_played_to_a_caller_that_heard_answers_it_with_what_it_knows() {
    let mut stage = Stage::new(|_| {});
    let told = is_let_hear(&mut stage, &connect(&["tel:+447700900123"], true));
    stage.gateway_offers();
    stage.responds(480, "");
    let again = connect(&["tel:+447700900124"], true);
    stage.page(&again);
    assert_eq!(answers_made(&stage), 1, "it hears already");
    stage.gateway_offers();
    stage.responds(480, "");
    let before = words(&stage).len();
    stage.page(&json!([{ "play": { "play_list": [{ "digits": "1" }] } }]));
    assert_eq!(stage.status(), 200);
    assert_eq!(sdp(&stage), told);
    assert_eq!(words(&stage).len(), before, "not before its ACK");
    stage.in_dialog("ACK");
    assert_eq!(words(&stage)[before..], ["play"]);
    assert_eq!(answers_made(&stage), 1);
}

#[test]
fn a_caller_that_heard_and_was_not_answered_may_give_up() {
    for method in ["CANCEL", "BYE"] {
        let mut stage = Stage::new(|_| {});
        is_let_hear(&mut stage, &connect(&["tel:+447700900123"], true));
        stage.gateway_offers();
        stage.responds(183, EARLY);
        match method {
            "CANCEL" => {
                let cancel = stage.request("INVITE", "+441908273800", "", 1);
                let (head, _) = cancel.split_once("Content-Type").unwrap();
                let cancel = head.replace("INVITE", "CANCEL");
                stage.says(&format!("{cancel}Content-Length: 0\r\n\r\n"));
            }
            _ => stage.in_dialog("BYE"),
        }
        assert!(stage.heard.starts_with("CANCEL "), "{}", stage.heard);
        let outcomes = stage.records.iter().rev();
        let outcome = outcomes.filter_map(|record| record.outcome.as_ref()).next();
        assert_eq!(outcome.map(|outcome| outcome.status), Some(487), "{method}");
    }
}

#[test]
fn a_page_that_comes_while_the_gateway_answers_has_the_caller_answered() {
    let mut stage = Stage::new(|_| {});
    stage.invites("+441908273800");
    stage.page(&connect(&["tel:+447700900123"], true));
    let instance = stage.asked()["application_instance_id"].clone();
    stage.interrupts(instance.as_str().unwrap(), "https://app.example.com/other");
    stage.page(&json!([{ "play": { "play_list": [{ "digits": "1" }] } }]));
    stage.gateway_answers(0);
    assert_eq!(stage.status(), 200);
    stage.in_dialog("ACK");
    assert_eq!(words(&stage), ["play"]);
}
