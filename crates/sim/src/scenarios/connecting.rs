//! Callers whom an application connects with clients: several ring, one answers, and everybody hears of the end.

use serde_json::{Value, json};

use super::application::{application, calls, leg, talks, told};
use super::{Stage, scenarios};
use crate::browser::{Answering, CallKey, Heard};
use crate::clock::{MILLI, SECOND};
use crate::faults::Cut;

scenarios! {
    connected: "The application connects the caller with another client: both talk, the application is told for how long.",
    connects_to_nobody: "Nobody is registered under that name: the next page is told that it was unobtainable.",
    connects_to_the_busy: "Whom it calls is busy: the next page is told.",
    connects_first_of_two: "Two ring; one answers, the other stops and is told that the call was completed elsewhere.",
    connect_rings_too_long: "Nobody answers in the time that the page gives: they stop ringing, and the next page is told.",
    caller_leaves_while_it_rings: "The caller hangs up while somebody rings for it: that stops too.",
    connected_caller_hangs_up: "The caller hangs up after it was connected: both sides end.",
    connected_callee_closes_its_media_first: "Whom the caller was connected to closes its media a moment before its BYE comes: it has hung up.",
    connected_callee_is_lost: "Whom the caller was connected to is lost: the application goes on.",
}

fn connect(destinations: &[&str], extra: Value) -> Value {
    let mut connect = json!({ "destinations": destinations, "next_page": { "url": "next" } });
    for (name, value) in extra.as_object().into_iter().flatten() {
        connect[name] = value.clone();
    }
    json!([{ "connect": connect }])
}

fn result(stage: &Stage) -> Value {
    let told = told(stage, "next");
    stage.claim(
        told["action_result"]["action"] == "connect",
        "it is the result",
    );
    told["action_result"]["result"].clone()
}

/// alice is connected to bob; the record of the call with bob comes second.
fn connects(stage: &mut Stage) -> (usize, CallKey, usize) {
    let bob = stage.answering("bob");
    let actions = connect(&["webrtc:bob"], json!({ "call_from": "desk" }));
    application(stage, &[("first", actions), ("next", json!([]))]);
    let (alice, call) = calls(stage);
    stage.until("bob talks", |world| {
        let browser = world.browser(bob).expect("a page");
        browser
            .heard
            .iter()
            .any(|(_, heard)| matches!(heard, Heard::Connected(_)))
    });
    stage.millis(300);
    (alice, call, bob)
}

fn connected(stage: &mut Stage) {
    let (alice, _, bob) = connects(stage);
    let session = leg(stage).session;
    stage.claim(
        stage.world.gateways[0].is_joined(session),
        "they hear each other",
    );
    let from = stage.heard(
        bob,
        |heard| matches!(heard, Heard::Incoming { from, kind: "service", .. } if from == "desk"),
    );
    stage.claim(from == 1, "bob is told that a service calls, and as whom");
    stage.seconds(4);
    let incoming = stage.browser(bob).last_incoming().expect("bob was called");
    stage.hang_up(bob, incoming);
    stage.seconds(1);
    let result = result(stage);
    let lasted = result["seconds_connected_duration"].as_f64().unwrap_or(0.0);
    stage.claim((4.0..5.5).contains(&lasted), "it is told for how long");
    stage.claim(result["call_cause"] == "completed", "and how it ended");
    stage.claim(
        stage.cause(alice) == Some("NORMAL"),
        "the application had no more to do",
    );
    stage.claim(stage.records().len() == 2, "each call has its record");
}

fn connects_to_nobody(stage: &mut Stage) {
    let actions = connect(&["webrtc:nobody"], json!({}));
    let sleep = json!([{ "sleep": { "seconds": 60 } }]);
    application(stage, &[("first", actions), ("next", sleep)]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    stage.seconds(1);
    stage.claim(result(stage)["call_cause"] == "unobtainable", "it is told");
    let hears = stage.world.gateways[0].hears(leg(stage));
    stage.claim(hears.is_none(), "and it rings no more in the caller's ear");
}

fn connects_to_the_busy(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage.habit(bob, Answering::Rejects(486, SECOND));
    let actions = connect(&["webrtc:bob"], json!({}));
    application(stage, &[("first", actions), ("next", json!([]))]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    stage.seconds(5);
    stage.claim(result(stage)["call_cause"] == "busy", "it is told");
}

fn connects_first_of_two(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let carol = stage.registered("carol");
    let actions = connect(&["webrtc:carol", "webrtc:bob"], json!({}));
    application(stage, &[("first", actions), ("next", json!([]))]);
    let (alice, call) = calls(stage);
    talks(stage, alice);
    stage.seconds(3);
    stage.claim(
        stage.heard(bob, |heard| matches!(heard, Heard::Connected(_))) == 1,
        "bob talks",
    );
    let rang = stage.heard(carol, |heard| matches!(heard, Heard::Incoming { .. }));
    let stopped = stage.heard(carol, |heard| matches!(heard, Heard::Disconnected { .. }));
    stage.claim((rang, stopped) == (1, 1), "carol rang and stopped");
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.claim(stage.cause(bob) == Some("NORMAL"), "bob is told of the end");
}

fn connect_rings_too_long(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let actions = connect(&["webrtc:bob"], json!({ "seconds_answer_timeout": 5 }));
    application(stage, &[("first", actions), ("next", json!([]))]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    stage.seconds(6);
    let stopped = stage.heard(bob, |heard| matches!(heard, Heard::Disconnected { .. }));
    stage.claim(stopped == 1, "bob stops ringing");
    stage.claim(
        result(stage)["call_cause"] == "no_answer",
        "the page is told",
    );
}

fn caller_leaves_while_it_rings(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let actions = connect(&["webrtc:bob"], json!({}));
    application(stage, &[("first", actions)]);
    let (alice, call) = calls(stage);
    talks(stage, alice);
    stage.seconds(2);
    let before = stage.world.micros();
    stage.hang_up(alice, call);
    stage.seconds(1);
    let stopped = stage.heard_at(bob, |heard| matches!(heard, Heard::Disconnected { .. }));
    stage.claim(
        stopped.is_some_and(|at| at < before + 200 * MILLI),
        "at once",
    );
}

fn connected_caller_hangs_up(stage: &mut Stage) {
    let (alice, call, bob) = connects(stage);
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.claim(stage.cause(bob) == Some("NORMAL"), "bob is told");
    stage.claim(stage.world.gateways[0].legs().is_empty(), "no leg is left");
    let ended = stage
        .records()
        .iter()
        .all(|record| record.outcome.is_some());
    stage.claim(ended, "both records have an end");
}

fn connected_callee_closes_its_media_first(stage: &mut Stage) {
    let (_, _, bob) = connects(stage);
    let legs = stage.world.gateways[0].legs();
    let leg = legs.last().copied().expect("bob has a leg");
    let gone = model::media::LegEnd::Peer;
    stage
        .world
        .gateway(|gateway, now| gateway.lose(now, leg, gone));
    stage.millis(300);
    let incoming = stage.browser(bob).last_incoming().expect("bob was called");
    stage.hang_up(bob, incoming);
    stage.seconds(1);
    stage.claim(
        result(stage)["call_cause"] == "completed",
        "the page is told so",
    );
}

fn connected_callee_is_lost(stage: &mut Stage) {
    let (_, _, bob) = connects(stage);
    stage.world.cut(bob, Cut::BOTH);
    stage.seconds(1);
    stage.claim(result(stage)["call_cause"] == "dropped", "the page is told");
}
