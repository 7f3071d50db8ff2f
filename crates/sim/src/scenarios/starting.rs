//! Calls that applications begin: whoever answers is the first party of a run, and what comes of it is told in the end.

use model::{Caller, EndedBy, RecordId, ServiceName, Start, Then};
use serde_json::{Value, json};

use super::application::{application, leg, page, play, told};
use super::{Stage, scenarios};
use crate::browser::{Answering, Heard};
use crate::clock::SECOND;
use crate::faults::Cut;
use crate::server::account_id;

scenarios! {
    started: "An application calls a client: its app is told that a service calls, and who; the first page is asked when it has answered, and the end is told.",
    started_and_left: "Whom an application has called hangs up: the final page is told so.",
    started_to_the_busy: "Whom an application calls is busy: no first page is asked, and the final page is told.",
    started_to_nobody: "Whom an application calls is not registered: the final page is told at once.",
    started_and_not_answered: "Nobody answers a call that an application has begun: it stops ringing, and the final page is told.",
    started_and_lost: "The connection of whom an application has called is lost: the final page is told.",
    started_and_connected: "An application calls a client and connects it with another, which is told who was called first.",
    started_by_nobody: "A service that is not there, or that clients answer for, begins no call; nor does one call nobody.",
    started_at_the_stop: "A server that stops ends the calls that applications have begun.",
}

fn start(to: &str) -> Start {
    Start {
        account: account_id(0),
        id: RecordId(77 + to.len() as u128),
        to: to.to_owned(),
        from: "+441908273800".to_owned(),
        then: Then::Application {
            service: ServiceName::parse("ivr").expect("it is a name"),
            token: Some("t-0".to_owned()),
            parameters: Some("{\"order\":17}".into()),
        },
    }
}

fn begins(stage: &mut Stage, to: &str) {
    let begun = stage.world.begin_call(start(to));
    stage.claim(begun.is_ok(), "it may");
}

/// The application calls bob, who answers; his page.
fn talks_to_bob(stage: &mut Stage, first: Value) -> usize {
    let bob = stage.answering("bob");
    application(stage, &[("first", first)]);
    begins(stage, "webrtc:bob");
    stage.until("bob talks", |world| {
        let browser = world.browser(bob).expect("a page");
        let is_connected = |heard: &Heard| matches!(heard, Heard::Connected(_));
        browser.heard.iter().any(|(_, heard)| is_connected(heard))
    });
    stage.millis(300);
    bob
}

fn final_cause(stage: &Stage) -> Value {
    told(stage, "final")["this_call"]["call_cause"].clone()
}

fn was_asked(stage: &Stage, last: &str) -> bool {
    !stage.world.webhooks.told(&page(last)).is_empty()
}

fn started(stage: &mut Stage) {
    let bob = talks_to_bob(stage, json!([play()]));
    let shown = stage.heard(bob, |heard| {
        matches!(heard, Heard::Incoming { from, kind: "service", .. } if from == "+441908273800")
    });
    stage.claim(shown == 1, "bob is told who calls");
    let told_first = told(stage, "first");
    let call = &told_first["this_call"];
    stage.claim(call["call_direction"] == "out", "it goes out");
    stage.claim(call["call_state"] == "answered", "it is answered");
    stage.claim(call["call_to"] == "bob", "to whom is told");
    stage.claim(call["call_from"] == "+441908273800", "and from whom");
    stage.claim(
        call["outbound_parameters"]["order"] == 17,
        "and what was given",
    );
    stage.claim(told_first["token"] == "t-0", "and the token");
    stage.seconds(3);
    stage.claim(
        stage.cause(bob) == Some("NORMAL"),
        "it has nothing more to do",
    );
    stage.claim(final_cause(stage) == "completed", "and is told so");
    stage.recorded(EndedBy::Caller, 200);
    let record = &stage.records()[0];
    let is_service = matches!(record.caller, Caller::Service(_));
    stage.claim(
        is_service && record.callee.to_string() == "bob",
        "it is recorded",
    );
}

fn started_and_left(stage: &mut Stage) {
    let bob = talks_to_bob(stage, json!([{ "sleep": { "seconds": 60 } }]));
    let incoming = stage.browser(bob).last_incoming().expect("bob was called");
    stage.seconds(2);
    stage.hang_up(bob, incoming);
    stage.seconds(1);
    stage.claim(final_cause(stage) == "hung_up", "it is told");
    stage.recorded(EndedBy::Callee, 200);
}

fn started_to_the_busy(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage.habit(bob, Answering::Rejects(486, SECOND));
    application(stage, &[("first", json!([play()]))]);
    begins(stage, "webrtc:bob");
    stage.seconds(3);
    stage.claim(final_cause(stage) == "busy", "it is told");
    stage.claim(!was_asked(stage, "first"), "nothing was to be done");
    stage.recorded(EndedBy::Callee, 486);
}

fn started_to_nobody(stage: &mut Stage) {
    application(stage, &[("first", json!([play()]))]);
    begins(stage, "webrtc:nobody");
    stage.seconds(1);
    stage.claim(final_cause(stage) == "unobtainable", "it is told");
    stage.recorded(EndedBy::Server, 404);
}

fn started_and_not_answered(stage: &mut Stage) {
    let bob = stage.registered("bob");
    application(stage, &[("first", json!([play()]))]);
    begins(stage, "webrtc:bob");
    stage.seconds(65);
    let stopped = stage.heard(bob, |heard| matches!(heard, Heard::Disconnected { .. }));
    stage.claim(stopped == 1, "bob stops ringing");
    stage.claim(final_cause(stage) == "no_answer", "and it is told");
    stage.recorded(EndedBy::Server, 480);
}

fn started_and_lost(stage: &mut Stage) {
    let bob = talks_to_bob(stage, json!([{ "sleep": { "seconds": 300 } }]));
    stage.world.cut(bob, Cut::BOTH);
    stage.seconds(1);
    stage.claim(final_cause(stage) == "dropped", "it is told");
}

fn started_and_connected(stage: &mut Stage) {
    let carol = stage.answering("carol");
    let connect = json!([{ "connect": { "destinations": ["webrtc:carol"] } }]);
    let bob = talks_to_bob(stage, connect);
    stage.seconds(3);
    let shown = stage.heard(
        carol,
        |heard| matches!(heard, Heard::Incoming { from, .. } if from == "bob"),
    );
    stage.claim(shown == 1, "carol is told who is there");
    let session = leg(stage).session;
    let legs = stage.world.gateways[0].legs();
    let own = legs.iter().filter(|leg| leg.session == session).count();
    stage.claim(own == 2, "both have a leg");
    let incoming = stage.browser(bob).last_incoming().expect("bob was called");
    stage.hang_up(bob, incoming);
    stage.seconds(1);
    stage.claim(
        stage.cause(carol) == Some("NORMAL"),
        "carol is told of the end",
    );
}

fn started_by_nobody(stage: &mut Stage) {
    application(stage, &[("first", json!([play()]))]);
    let other = ServiceName::parse("other").expect("it is a name");
    let unknown = Start {
        then: Then::Application {
            service: other,
            token: None,
            parameters: None,
        },
        ..start("webrtc:bob")
    };
    let begun = stage.world.begin_call(unknown);
    stage.claim(begun.is_err(), "there is no such service");
    for to in [
        "bob",
        "webrtc:",
        "tel:alice",
        "sips:a@b",
        "tel:+441234567890",
    ] {
        let begun = stage.world.begin_call(start(to));
        stage.claim(begun.is_err(), to);
    }
    stage.claim(stage.world.webhooks.asked.is_empty(), "nobody was asked");
}

fn started_at_the_stop(stage: &mut Stage) {
    let bob = talks_to_bob(stage, json!([{ "sleep": { "seconds": 60 } }]));
    stage.world.stop_server(0, None);
    stage.seconds(2);
    stage.claim(stage.cause(bob).is_some(), "bob is told");
}
