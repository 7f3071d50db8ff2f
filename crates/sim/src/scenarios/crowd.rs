//! Too many calls to applications at a time: whose part of the places is full, and who has room all the same.

use model::limits;
use serde_json::json;
use switch::Counter;

use super::application::application;
use super::stage::OFFER;
use super::{Stage, scenarios};
use crate::raw::Draft;

scenarios! {
    strangers_crowd_an_application: "Callers without a token fill their part of an account's places with an application: 503 for the next, and who has shown a token has room.",
}

fn call_of(stage: &mut Stage, client: &str) -> Draft {
    let uri = "sip:ivr@sip-1-2-0.aculab.com;transport=tcp";
    stage
        .draft("INVITE", client, uri, &format!("<{uri}>"))
        .row("Contact", "<sip:raw@raw.invalid;transport=ws>")
        .body("application/sdp", OFFER)
}

fn strangers_crowd_an_application(stage: &mut Stage) {
    let actions = json!([{ "sleep": { "seconds": 3_600 } }]);
    application(stage, &[("first", actions)]);
    let mut left = limits::APPLICATION_CALLS_OF_STRANGERS;
    let mut rows = 0;
    while left > 0 {
        let raw = stage.raw("mallory");
        rows += 1;
        for _ in 0..limits::CALLS_PER_CONNECTION.min(left) {
            let invite = call_of(stage, "mallory").finish();
            stage.world.script(raw, |raw| raw.send(invite));
            left -= 1;
        }
        stage.millis(250);
        let refused = stage.inbox(raw).count("SIP/2.0 503");
        stage.claim(refused == 0, &format!("{rows}: there is room"));
    }
    let raw = stage.raw("mallory");
    let invite = call_of(stage, "mallory").finish();
    stage.sends(raw, invite);
    let refused = stage.inbox(raw).last("SIP/2.0 503").unwrap_or_default();
    stage.claim(refused.contains("shown no token"), "none for one more");
    let counted = stage.world.server(0).counted(Counter::ApplicationCallsFull);
    stage.claim(counted == 1, "counted");
    let alice = stage.registered_raw("alice");
    let invite = call_of(stage, "alice").finish();
    stage.sends(alice, invite);
    let refused = stage.inbox(alice).count("SIP/2.0 503");
    stage.claim(refused == 0, "whoever has shown a token has room");
    stage.seconds(61);
    let invite = call_of(stage, "mallory").finish();
    stage.sends(raw, invite);
    let refused = stage.inbox(raw).count("SIP/2.0 503");
    stage.claim(refused == 1, "what has ended leaves room");
}
