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
