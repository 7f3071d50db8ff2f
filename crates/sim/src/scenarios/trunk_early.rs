//! Calls that hear something before anybody has answered them: a number's early sound, towards telephones and browsers.

use model::EndedBy;
use serde_json::{Value, json};

use super::application::{application, calls, leg, plays, told};
use super::trunk::{begin, count, stands};
use super::{Stage, scenarios};
use crate::browser::{Answering, Heard};
use crate::clock::SECOND;
use crate::phone::Stand;
use crate::trunks::{TrunkPlan, Trunks};

scenarios! {
    trunk_early_media_telephone: "A telephone that nobody has answered hears a number before that answers, and is answered with the same SDP then.",
    trunk_early_media_browser: "A browser that nobody has answered hears a number before that answers, and is answered with the same SDP then.",
    trunk_early_media_client: "A telephone that nobody has answered is connected with a client: it hears that it rings, and is answered when the client answers.",
    trunk_early_media_busy: "A number that was heard is busy: its caller was never answered, and is refused by the application.",
    trunk_early_media_given_up: "A telephone gives up while it hears a number: that stops.",
    trunk_early_media_reliable: "A telephone wants what it hears early to arrive: it never acknowledges that, and the call is refused.",
    trunk_early_media_of_nobody: "Nobody answers whom an unanswered telephone hears: it is told after a minute.",
}

fn connect(to: &str) -> Value {
    json!([{ "connect": {
        "destinations": [to],
        "pass_early_media": true,
        "seconds_answer_timeout": 90,
        "next_page": { "url": "next" },
    } }])
}

/// Telephone 1 is behind the second peer and calls; telephone 0 is called, and heard meanwhile.
fn hears(stage: &mut Stage, to: &str, takes: Option<(u16, u64)>, rows: &str) -> usize {
    begin(
        stage,
        TrunkPlan {
            peers: 2,
            ..TrunkPlan::default()
        },
    );
    stage.world.trunks.phones[0].conduct.is_early = true;
    stage.world.trunks.phones[0].conduct.takes = takes;
    stage.world.trunks.phones[1].conduct.rows = rows.to_owned();
    let reject = json!([{ "reject": { "cause": "busy" } }]);
    application(stage, &[("first", connect(to)), ("next", reject)]);
    let number = Trunks::number_of("ivr");
    let call = stage.world.phone(1, |phone, now| phone.call(now, &number));
    stage.seconds(1);
    call
}

fn body(stage: &Stage, start: &str) -> String {
    let message = stage.world.trunks.phones[1].last(start).unwrap_or_default();
    let (_, body) = message.split_once("\r\n\r\n").unwrap_or_default();
    body.to_owned()
}

fn trunk_early_media_telephone(stage: &mut Stage) {
    let call = hears(stage, "tel:+447700900123", Some((200, 5 * SECOND)), "");
    stands(stage, 1, call, Stand::Calling);
    let early = body(stage, "SIP/2.0 183");
    stage.claim(early.contains("m=audio"), "it is told where it is heard");
    let session = leg(stage).session;
    stage.claim(
        stage.world.gateways[0].is_joined(session),
        "it hears the number",
    );
    stage.claim(
        told(stage, "first")["this_call"]["call_state"] == "inbound",
        "nobody has answered it",
    );
    stage.seconds(5);
    stands(stage, 1, call, Stand::Talking);
    stands(stage, 0, 0, Stand::Talking);
    stage.claim(body(stage, "SIP/2.0 200") == early, "the SDP is the same");
    stage.world.phone(1, |phone, now| phone.hang_up(now, call));
    stage.seconds(1);
    let records = stage.records();
    let all = records.iter().all(|record| record.answered.is_some());
    stage.claim(records.len() == 2 && all, "both were answered");
}

fn trunk_early_media_browser(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    stage.world.trunks.phones[0].conduct.is_early = true;
    stage.world.trunks.phones[0].conduct.takes = Some((200, 5 * SECOND));
    application(stage, &[("first", connect("tel:+447700900123"))]);
    let (alice, call) = calls(stage);
    stage.seconds(3);
    let connected =
        |stage: &Stage| stage.heard(alice, |heard| matches!(heard, Heard::Connected(_)));
    stage.claim(connected(stage) == 0, "nobody has answered her");
    let session = leg(stage).session;
    stage.claim(
        stage.world.gateways[0].is_joined(session),
        "she hears the number",
    );
    stage.seconds(5);
    stage.claim(connected(stage) == 1, "she is answered");
    stands(stage, 0, 0, Stand::Talking);
    stage.hang_up(alice, call);
    stage.seconds(1);
    stands(stage, 0, 0, Stand::Over);
}

fn trunk_early_media_client(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let bob = stage.registered("bob");
    stage.habit(bob, Answering::After(5 * SECOND));
    application(stage, &[("first", connect("webrtc:bob"))]);
    let number = Trunks::number_of("ivr");
    let call = stage.world.phone(0, |phone, now| phone.call(now, &number));
    stage.seconds(3);
    stands(stage, 0, call, Stand::Calling);
    stage.claim(count(stage, 0, "SIP/2.0 183") >= 1, "it hears");
    stage.claim(plays(stage) == 1, "that it rings");
    stage.seconds(4);
    stands(stage, 0, call, Stand::Talking);
    stage.world.phone(0, |phone, now| phone.hang_up(now, call));
    stage.seconds(1);
    stage.claim(stage.cause(bob) == Some("NORMAL"), "bob is told of the end");
}

fn trunk_early_media_busy(stage: &mut Stage) {
    let call = hears(stage, "tel:+447700900123", Some((486, 3 * SECOND)), "");
    stage.seconds(5);
    stands(stage, 1, call, Stand::Over);
    stage.claim(count(stage, 1, "SIP/2.0 486") == 1, "it is told");
    let result = told(stage, "next")["action_result"]["result"].clone();
    stage.claim(result["call_cause"] == "busy", "so is the application");
    let records = stage.records();
    let none = records.iter().all(|record| record.answered.is_none());
    stage.claim(none, "nobody was answered");
    stage.claim(stage.world.gateways[0].legs().is_empty(), "no leg is left");
}

fn trunk_early_media_given_up(stage: &mut Stage) {
    let call = hears(stage, "tel:+447700900123", None, "");
    stage.world.phone(1, |phone, now| phone.hang_up(now, call));
    stage.seconds(1);
    stands(stage, 1, call, Stand::Over);
    stands(stage, 0, 0, Stand::Over);
    stage.claim(count(stage, 0, "CANCEL ") == 1, "it stops");
    stage.claim(
        told(stage, "final")["this_call"]["call_raw_cause"] == "487",
        "the application is told",
    );
}

fn trunk_early_media_reliable(stage: &mut Stage) {
    let call = hears(
        stage,
        "tel:+447700900123",
        Some((200, 3 * SECOND)),
        "Require: 100rel",
    );
    stage.claim(
        count(stage, 1, "SIP/2.0 183") >= 2,
        "it is told again and again",
    );
    stage.seconds(35);
    stands(stage, 1, call, Stand::Over);
    stage.claim(count(stage, 1, "SIP/2.0 200") == 0, "it is not taken");
    stage.claim(count(stage, 1, "SIP/2.0 504") >= 1, "it is told why");
    stage.seconds(5);
    stands(stage, 0, 0, Stand::Over);
}

fn trunk_early_media_of_nobody(stage: &mut Stage) {
    let call = hears(stage, "tel:+447700900123", None, "");
    stage.seconds(62);
    stands(stage, 1, call, Stand::Over);
    stands(stage, 0, 0, Stand::Over);
    stage.claim(count(stage, 1, "SIP/2.0 480") == 1, "it is told");
    let ended = stage.records().into_iter().find_map(|record| {
        let outcome = record.outcome?;
        (outcome.by == EndedBy::Server).then_some(outcome.reason)
    });
    stage.claim(
        ended.as_deref() == Some("nobody answered in time"),
        "it is recorded",
    );
}
