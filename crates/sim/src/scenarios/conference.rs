//! Callers whom applications bring together in a conference.

use model::limits;
use model::media::LegId;
use serde_json::{Value, json};

use super::application::{application, page, talks, told};
use super::{Stage, scenarios};
use crate::browser::CallKey;

scenarios! {
    three_confer: "Three callers are in one room; one hangs up, and the others go on.",
    conference_waits: "Whoever does not start the conference hears hold media until somebody comes who does.",
    conference_is_left_by_a_key: "The exit digit leaves: the next page is told for how long, and the others go on.",
    conference_ends_for_all: "One that destroys the conference leaves: it ends for everybody, and their applications go on.",
    conference_mutes: "The mute digit takes a caller's voice away and gives it back.",
    conference_is_full: "A conference has so many parties and no more: the error page is told.",
    conferences_are_full: "An account has so many conferences and no more: the error page is told; in one that is there, there is room.",
    conferences_have_names: "Conferences of two names are two rooms.",
}

fn confer(name: &str, participant: Value) -> Value {
    json!([{ "connect_to_conference": {
        "name": name,
        "hold_media": { "play": { "play_list": [{ "tone": { "frequencies_hz": [440], "milliseconds": 1000 } }] } },
        "conference_participant": participant,
        "next_page": { "url": "next" },
    } }])
}

/// Somebody calls the service, and is answered.
fn comes(stage: &mut Stage, client: &str, actions: Value) -> (usize, CallKey, LegId) {
    let manner = crate::webhook::Manner::Actions(actions);
    stage
        .world
        .webhooks
        .replace(&page("first"), [manner].into());
    let caller = stage.page(client);
    let call = stage
        .world
        .app(caller, |browser, now| browser.call_service(now, "ivr"))
        .expect("pages may call");
    talks(stage, caller);
    let legs = stage.world.gateways[0].legs();
    let leg = legs.last().copied().expect("the newest call has a leg");
    (caller, call, leg)
}

fn in_room(stage: &Stage) -> usize {
    stage.world.gateways[0].rooms().len()
}

fn rooms(stage: &Stage) -> usize {
    let mut rooms: Vec<_> = stage.world.gateways[0].rooms().values().collect();
    rooms.sort_unstable();
    rooms.dedup();
    rooms.len()
}

fn three_confer(stage: &mut Stage) {
    application(stage, &[("next", json!([]))]);
    let (alice, call, _) = comes(stage, "alice", confer("lobby", json!({})));
    comes(stage, "bob", confer("lobby", json!({})));
    comes(stage, "carol", confer("lobby", json!({})));
    stage.claim(
        (in_room(stage), rooms(stage)) == (3, 1),
        "all are in one room",
    );
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.claim((in_room(stage), rooms(stage)) == (2, 1), "two are left");
    let told = told(stage, "final");
    stage.claim(
        told["this_call"]["call_cause"] == "hung_up",
        "her page is told",
    );
}

fn conference_waits(stage: &mut Stage) {
    application(stage, &[("next", json!([]))]);
    let waits = json!({ "start_on_entry": false });
    let (_, _, leg) = comes(stage, "alice", confer("lobby", waits));
    stage.claim(in_room(stage) == 0, "she waits");
    stage.claim(
        stage.world.gateways[0].hears(leg).is_some(),
        "and hears something",
    );
    comes(stage, "bob", confer("lobby", json!({})));
    stage.claim(in_room(stage) == 2, "then both are in");
    stage.claim(
        stage.world.gateways[0].hears(leg).is_none(),
        "and nothing else is heard",
    );
}

fn conference_is_left_by_a_key(stage: &mut Stage) {
    application(stage, &[("next", json!([]))]);
    let (_, _, leg) = comes(
        stage,
        "alice",
        confer("lobby", json!({ "exit_digit": "#" })),
    );
    comes(stage, "bob", confer("lobby", json!({})));
    stage.seconds(3);
    stage
        .world
        .gateway(|gateway, now| gateway.press(now, leg, '#'));
    stage.seconds(1);
    let told = told(stage, "next");
    let result = &told["action_result"];
    stage.claim(
        result["action"] == "connect_to_conference",
        "it is the result",
    );
    let lasted = result["result"]["seconds_connected_duration"].as_f64();
    stage.claim(
        lasted.is_some_and(|lasted| (3.0..5.0).contains(&lasted)),
        "for how long",
    );
    stage.claim(in_room(stage) == 1, "the other goes on");
}

fn conference_ends_for_all(stage: &mut Stage) {
    application(stage, &[("next", json!([{ "sleep": { "seconds": 60 } }]))]);
    let host = json!({ "destroy_on_exit": true });
    let (alice, call, _) = comes(stage, "alice", confer("lobby", host));
    comes(stage, "bob", confer("lobby", json!({})));
    comes(stage, "carol", confer("lobby", json!({})));
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.claim(in_room(stage) == 0, "nobody is in it");
    let asked = stage.world.webhooks.told(&page("next")).len();
    stage.claim(asked == 2, "both applications go on");
}

fn conference_mutes(stage: &mut Stage) {
    application(stage, &[("next", json!([]))]);
    let (_, _, leg) = comes(
        stage,
        "alice",
        confer("lobby", json!({ "mute_digit": "1" })),
    );
    let talks = |stage: &Stage| stage.world.gateways[0].may_talk(leg);
    stage.claim(talks(stage), "she is heard");
    stage
        .world
        .gateway(|gateway, now| gateway.press(now, leg, '1'));
    stage.claim(!talks(stage), "and is not");
    stage
        .world
        .gateway(|gateway, now| gateway.press(now, leg, '2'));
    stage.claim(!talks(stage), "another key changes nothing");
    stage
        .world
        .gateway(|gateway, now| gateway.press(now, leg, '1'));
    stage.claim(talks(stage), "and is again");
}

fn conference_is_full(stage: &mut Stage) {
    let sleep = json!([{ "sleep": { "seconds": 60 } }]);
    application(stage, &[("next", json!([])), ("error", sleep)]);
    stage.world.gateways[0].conduct.is_full = true;
    comes(stage, "alice", confer("lobby", json!({})));
    stage.seconds(1);
    let error = &told(stage, "error")["error_result"];
    stage.claim(error["action"] == "connect_to_conference", "it is told");
}

fn conferences_are_full(stage: &mut Stage) {
    application(stage, &[("next", json!([])), ("error", json!([]))]);
    for number in 0..limits::CONFERENCES_PER_ACCOUNT {
        let name = format!("room {number}");
        comes(stage, &format!("c{number}"), confer(&name, json!({})));
    }
    let most = limits::CONFERENCES_PER_ACCOUNT;
    stage.claim(rooms(stage) == most, "each has its room");
    comes(stage, "late", confer("one more", json!({})));
    let told = told(stage, "error").to_string();
    stage.claim(told.contains("has 200 conferences"), &told);
    comes(stage, "guest", confer("room 7", json!({})));
    stage.claim(
        (rooms(stage), in_room(stage)) == (most, most + 1),
        "and a guest",
    );
}

fn conferences_have_names(stage: &mut Stage) {
    application(stage, &[("next", json!([]))]);
    comes(stage, "alice", confer("lobby", json!({})));
    comes(stage, "bob", confer("yard", json!({})));
    stage.claim(
        (in_room(stage), rooms(stage)) == (2, 2),
        "each has its room",
    );
}
