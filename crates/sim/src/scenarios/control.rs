//! Calls that an account begins, sees and steers by itself, without an application.

use model::media::LegId;
use model::{EndedBy, RecordId, Start, Then};
use serde_json::{Value, json};
use switch::{Control, ControlFault};

use super::application::{application, calls, leg, page, play, talks, told};
use super::{Stage, scenarios};
use crate::browser::{Answering, Heard};
use crate::clock::SECOND;
use crate::server::account_id;

scenarios! {
    controlled_bridge: "An account has two clients connected with each other: the second rings when the first has answered, and the call ends with either.",
    controlled_bridge_to_the_busy: "Whom the first is to be connected with is busy: the first is told why the call ends.",
    controlled_bridge_to_nobody: "Whom the first is to be connected with is not registered: the call ends, and neither side of it has ended it.",
    controlled_hang_up: "An account ends a call between two clients: both are told why.",
    controlled_hang_up_of_ringing: "An account ends a call that rings: the caller is told, and the callee stops.",
    controlled_hang_up_of_an_application: "An account ends a call to an application: the final page is told.",
    controlled_transfer: "What an application does is left off, and its caller is connected with somebody else.",
    controlled_transfer_of_a_bridge: "Of two who are connected the first is connected with a third: the second is told that the call has ended.",
    controlled_transfer_to_nobody: "Nobody of those whom a call is to be transferred to is registered: that is refused, and the call goes on.",
    controlled_play: "Something is played into a call beside what its application does, which goes on.",
    controlled_play_that_is_missing: "What is to be played into a call is missing: the call goes on, and says so to its account.",
    controlled_record: "A call is recorded, and the recording ends when that is wanted; one recording at a time.",
    controlled_digits: "Keys are sent to whom the first party is connected with.",
    controlled_by_strangers: "Another account, or a wrong name, does nothing to a call; between two clients there is nothing to steer.",
}

fn bridge(with: &str) -> Start {
    Start {
        account: account_id(0),
        id: RecordId(99),
        to: "webrtc:alice".to_owned(),
        from: "the desk".to_owned(),
        then: Then::Connect(json!({ "destinations": [with] }).to_string().into()),
    }
}

/// Alice is called and answers, and is connected with bob; the name of the call.
fn bridged(stage: &mut Stage) -> (usize, usize, String) {
    let (alice, bob) = (stage.answering("alice"), stage.answering("bob"));
    let begun = stage.world.begin_call(bridge("webrtc:bob"));
    stage.until("they are connected", |world| {
        let gateway = &world.gateways[0];
        let mut legs = gateway.legs().into_iter();
        legs.any(|leg| gateway.is_joined(leg.session))
    });
    stage.millis(300);
    (alice, bob, begun.unwrap_or_default())
}

fn does(stage: &mut Stage, id: &str, control: Result<Control, String>) {
    let done = control.map(|control| stage.world.control(0, id, &control));
    stage.claim(done.is_ok_and(|done| done.is_ok()), "it can be done");
    stage.millis(300);
}

fn only_call(stage: &Stage) -> String {
    let mut calls = stage.world.going_calls(0);
    stage.claim(calls.len() == 1, "one call goes on");
    calls.pop().unwrap_or_default()
}

fn controlled_bridge(stage: &mut Stage) {
    let (alice, bob, id) = bridged(stage);
    stage.claim(only_call(stage) == id, "it is listed");
    for (page, from) in [(alice, "the desk"), (bob, "alice")] {
        let shown = stage.heard(page, |heard| {
            matches!(heard, Heard::Incoming { from: shown, kind: "service", .. } if shown == from)
        });
        stage.claim(shown == 1, "they are told who calls");
    }
    let incoming = stage.browser(bob).last_incoming().expect("bob was called");
    stage.hang_up(bob, incoming);
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("NORMAL"), "alice is told");
    let records = stage.records();
    stage.claim(records.len() == 2, "both are recorded");
    let ended = records.iter().map(|record| record.outcome.as_ref());
    let ended: Vec<_> = ended.map(|outcome| outcome.map(|end| end.by)).collect();
    stage.claim(
        ended == [Some(EndedBy::Server), Some(EndedBy::Callee)],
        "it was bob who hung up",
    );
    let callers = records.iter().map(|record| record.caller.to_string());
    let own = callers.filter(|caller| caller == "account as the desk");
    stage.claim(own.count() == 2, "as the account's own");
    stage.claim(stage.world.going_calls(0).is_empty(), "none goes on");
}

fn controlled_bridge_to_the_busy(stage: &mut Stage) {
    let alice = stage.answering("alice");
    let bob = stage.registered("bob");
    stage.habit(bob, Answering::Rejects(486, SECOND));
    let begun = stage.world.begin_call(bridge("webrtc:bob"));
    stage.claim(begun.is_ok(), "it may");
    stage.seconds(5);
    stage.claim(stage.cause(alice).is_some(), "alice is told");
    let first = stage.records().remove(0);
    let outcome = first.outcome.map(|outcome| (outcome.by, outcome.status));
    stage.claim(outcome == Some((EndedBy::Server, 486)), "and why");
}

fn controlled_bridge_to_nobody(stage: &mut Stage) {
    let alice = stage.answering("alice");
    let begun = stage.world.begin_call(bridge("webrtc:bob"));
    stage.claim(begun.is_ok(), "it may");
    stage.seconds(5);
    stage.claim(stage.cause(alice).is_some(), "alice is told");
    stage.recorded(EndedBy::Server, 404);
}

fn controlled_hang_up(stage: &mut Stage) {
    let (alice, bob) = (stage.registered("alice"), stage.answering("bob"));
    stage.talking(alice, bob);
    let id = only_call(stage);
    does(stage, &id, Ok(Control::hang_up()));
    for page in [alice, bob] {
        stage.claim(stage.cause(page) == Some("NORMAL"), "they are told");
    }
    stage.recorded(EndedBy::Server, 200);
    let control = Control::hang_up();
    let again = stage.world.control(0, &id, &control);
    stage.claim(again == Err(ControlFault::Ended), "it has ended");
}

fn controlled_hang_up_of_ringing(stage: &mut Stage) {
    let (alice, bob) = (stage.registered("alice"), stage.registered("bob"));
    stage.call(alice, "bob");
    stage.seconds(1);
    let id = only_call(stage);
    does(stage, &id, Ok(Control::hang_up()));
    stage.claim(stage.cause(alice).is_some(), "alice is told");
    let stopped = stage.heard(bob, |heard| matches!(heard, Heard::Disconnected { .. }));
    stage.claim(stopped == 1, "bob stops ringing");
    stage.recorded(EndedBy::Server, 480);
}

/// Alice talks to an application that sleeps; her page, and the name of the call.
fn asleep(stage: &mut Stage) -> (usize, String) {
    let sleeps = json!([play(), { "sleep": { "seconds": 20 } }]);
    application(stage, &[("first", sleeps)]);
    let (alice, _) = calls(stage);
    talks(stage, alice);
    stage.seconds(5);
    (alice, only_call(stage))
}

fn controlled_hang_up_of_an_application(stage: &mut Stage) {
    let (alice, id) = asleep(stage);
    does(stage, &id, Ok(Control::hang_up()));
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("NORMAL"), "alice is told");
    let last = told(stage, "final");
    stage.claim(
        last["this_call"]["call_cause"] == "completed",
        "so is the application",
    );
    stage.claim(
        last["application_instance_id"] == id.as_str(),
        "by its name",
    );
}

fn controlled_transfer(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let (alice, id) = asleep(stage);
    let to = br#"{"destinations":["webrtc:bob"]}"#;
    does(stage, &id, Control::transfer(to));
    stage.seconds(3);
    let session = leg(stage).session;
    stage.claim(
        stage.world.gateways[0].is_joined(session),
        "they are connected",
    );
    let incoming = stage.browser(bob).last_incoming().expect("bob was called");
    stage.hang_up(bob, incoming);
    stage.seconds(1);
    stage.claim(
        stage.cause(alice) == Some("NORMAL"),
        "nothing more is to be done",
    );
    stage.claim(
        !stage.world.webhooks.told(&page("final")).is_empty(),
        "the application is told",
    );
}

fn controlled_transfer_of_a_bridge(stage: &mut Stage) {
    let carol = stage.answering("carol");
    let (alice, bob, id) = bridged(stage);
    let to = br#"{"destinations":["webrtc:carol"]}"#;
    does(stage, &id, Control::transfer(to));
    stage.claim(stage.cause(bob) == Some("NORMAL"), "bob is told");
    stage.seconds(3);
    stage.claim(stage.cause(alice).is_none(), "alice talks on");
    let session = leg(stage).session;
    stage.claim(
        stage.world.gateways[0].is_joined(session),
        "they are connected",
    );
    let incoming = stage
        .browser(carol)
        .last_incoming()
        .expect("carol was called");
    stage.hang_up(carol, incoming);
    stage.seconds(1);
    stage.claim(
        stage.cause(alice) == Some("NORMAL"),
        "the call ends with it",
    );
}

fn controlled_transfer_to_nobody(stage: &mut Stage) {
    let (alice, bob, id) = bridged(stage);
    let to = Control::transfer(br#"{"destinations":["webrtc:nobody"]}"#);
    let done = to.map(|control| stage.world.control(0, &id, &control));
    stage.claim(
        done == Ok(Err(ControlFault::NotRegistered)),
        "it is refused",
    );
    stage.seconds(2);
    for page in [alice, bob] {
        stage.claim(stage.cause(page).is_none(), "they talk on");
    }
}

fn file(party: &str) -> Value {
    json!({ "play_list": [{ "file_to_play": "notice.wav" }], "party": party })
}

fn controlled_play(stage: &mut Stage) {
    let (alice, id) = asleep(stage);
    let control = Control::play(file("first").to_string().as_bytes());
    does(stage, &id, control);
    let leg = leg(stage);
    stage.claim(stage.world.gateways[0].hears(leg).is_some(), "it is heard");
    let second = Control::play(file("second").to_string().as_bytes());
    let nobody = second.map(|control| stage.world.control(0, &id, &control));
    stage.claim(
        nobody == Ok(Err(ControlFault::NotConnected)),
        "by nobody else",
    );
    stage.seconds(25);
    stage.claim(
        stage.cause(alice) == Some("NORMAL"),
        "the application went on",
    );
}

fn controlled_play_that_is_missing(stage: &mut Stage) {
    stage
        .world
        .webhooks
        .lost_files
        .push("notice.wav".to_owned());
    let (alice, id) = asleep(stage);
    let control = Control::play(file("first").to_string().as_bytes());
    does(stage, &id, control);
    stage.claim(stage.cause(alice).is_none(), "the call goes on");
    let fault = stage.world.control_fault(0, &id).unwrap_or_default();
    stage.claim(
        fault.contains("notice.wav"),
        "and says why nothing was heard",
    );
}

fn controlled_record(stage: &mut Stage) {
    let (_, _, id) = bridged(stage);
    let record = || Control::record(b"{}");
    let begun = record().map(|control| stage.world.control(0, &id, &control));
    let file = begun.ok().and_then(Result::ok).flatten();
    stage.claim(file.is_some(), "a file is named");
    stage.seconds(2);
    let again = record().map(|control| stage.world.control(0, &id, &control));
    stage.claim(again == Ok(Err(ControlFault::IsRecorded)), "one at a time");
    let stop = Control::stop_recording();
    let stopped = stage.world.control(0, &id, &stop);
    stage.claim(stopped.is_ok(), "it can be stopped");
    let stop = Control::stop_recording();
    let twice = stage.world.control(0, &id, &stop);
    stage.claim(twice == Err(ControlFault::NotRecorded), "it has ended");
    let other = record().map(|control| stage.world.control(0, &id, &control));
    let other = other.ok().and_then(Result::ok).flatten();
    stage.claim(
        other.is_some() && other != file,
        "the next has another name",
    );
    does(stage, &id, Ok(Control::hang_up()));
}

fn controlled_digits(stage: &mut Stage) {
    let (_, _, id) = bridged(stage);
    let digits = br#"{"digits":"12#","party":"second"}"#;
    does(stage, &id, Control::send_digits(digits));
    let sent = &stage.world.gateways[0].sent;
    let is_right = |(leg, keys): &(LegId, String)| leg.place != 0 && keys == "12#";
    stage.claim(
        sent.len() == 1 && sent.iter().all(is_right),
        "they were sent once",
    );
}

fn controlled_by_strangers(stage: &mut Stage) {
    let (alice, bob) = (stage.registered("alice"), stage.answering("bob"));
    stage.talking(alice, bob);
    let id = only_call(stage);
    let control = Control::hang_up();
    for (account, name) in [(1, id.as_str()), (0, "0.1.77"), (0, ""), (0, "x")] {
        let done = stage.world.control(account, name, &control);
        stage.claim(done == Err(ControlFault::NoSuchCall), name);
    }
    stage.claim(stage.world.going_calls(1).is_empty(), "others see nothing");
    for control in [
        Control::transfer(br#"{"destinations":["webrtc:carol"]}"#),
        Control::play(file("first").to_string().as_bytes()),
        Control::record(b"{}"),
        Control::send_digits(br#"{"digits":"1"}"#),
    ] {
        let done = control.map(|control| stage.world.control(0, &id, &control));
        stage.claim(
            done == Ok(Err(ControlFault::IsDirect)),
            "there is nothing to steer",
        );
    }
    stage.claim(stage.cause(alice).is_none(), "the call goes on");
}
