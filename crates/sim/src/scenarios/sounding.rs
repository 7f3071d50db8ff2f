//! What applications let callers hear and record, beside what every application does.

use model::media::Sound;
use serde_json::json;

use super::application::{application, calls, leg, talks, told, tone};
use super::{Stage, scenarios};

scenarios! {
    recording_is_announced: "A page is told that there is a recording, beside the next page, and what it answers is not done.",
    digits_are_sent: "Digits in a play list are pressed towards the caller, between what is heard.",
}

fn recording_is_announced(stage: &mut Stage) {
    let record = json!([{ "record": {
        "next_page": { "url": "next" },
        "recording_available_page": { "url": "available" },
    } }]);
    let sleep = json!([{ "sleep": { "seconds": 20 } }]);
    let pages = [
        ("first", record),
        ("next", sleep),
        ("available", json!([{ "hang_up": {} }])),
    ];
    application(stage, &pages);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    stage.seconds(8);
    let available = told(stage, "available");
    stage.claim(available["is_notification"] == true, "it is a notification");
    let next = told(stage, "next");
    stage.claim(next["is_notification"] == false, "and this is none");
    let same = available["action_result"] == next["action_result"];
    stage.claim(same, "both are told the same");
    stage.claim(stage.cause(alice).is_none(), "nothing of it is done");
}

fn digits_are_sent(stage: &mut Stage) {
    let list = json!([tone(), { "digits": "12#" }, tone()]);
    application(
        stage,
        &[("first", json!([{ "play": { "play_list": list } }]))],
    );
    let (alice, _) = calls(stage);
    talks(stage, alice);
    let hears = stage.world.gateways[0].hears(leg(stage));
    let sounds = hears.map(|play| play.sounds.clone()).unwrap_or_default();
    let is_right = matches!(&sounds[..], [Sound::Tone(_), Sound::Digits(digits), Sound::Tone(_)] if digits.len() == 3);
    stage.claim(is_right, "the gateway is to press them");
    stage.seconds(4);
    stage.claim(stage.cause(alice) == Some("NORMAL"), "and it ends");
}
