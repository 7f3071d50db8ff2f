//! Calls by a trunk: numbers that reach applications and clients, applications that call numbers, and how they end.

use model::{Callee, Caller, EndedBy, RecordId, ServiceName, Start, Then};
use serde_json::{Value, json};

use super::application::{application, play, plays, told};
use super::{Stage, scenarios};
use crate::browser::Heard;
use crate::clock::SECOND;
use crate::phone::{Mischief, Stand};
use crate::server::account_id;
use crate::trunks::{TrunkPlan, Trunks};
use crate::world::Plan;

scenarios! {
    trunk_number_reaches_application: "A number reaches its application, which plays and hangs up.",
    trunk_caller_hangs_up: "Whoever has called a number hangs up: the final page is told.",
    trunk_number_rings_client: "A client is called by its name from a telephone: it answers, and both are told of the end.",
    trunk_caller_cancels: "A telephone gives up while a client rings: that stops, and the call is recorded as cancelled.",
    trunk_number_of_nobody: "A number that leads nowhere: 404, and nobody is asked.",
    trunk_application_calls: "An application calls a number, plays to it, and hangs up.",
    trunk_callee_hangs_up: "Whom an application has called hangs up: the final page is told.",
    trunk_callee_is_busy: "Whom an application calls is busy: the final page is told.",
    trunk_browser_is_connected: "A browser is connected by an application with a number; whoever is called there hangs up, and the browser's call goes on.",
    trunk_holds: "A telephone asks for its media otherwise: the gateway answers, and the call goes on.",
    trunk_crossed_answer: "A telephone takes a call that is being cancelled: it is told at once that it is over.",
    trunk_late_answer: "A telephone says nothing for 40 s and then takes the call: it gets its ACK and a BYE, and the application hears nothing of it.",
    trunk_peer_is_gone: "A peer is gone: the call goes to the next one.",
    trunk_start_next_line: "The peer of the first trunk has no room: an application's call goes by the second one, as one call.",
    trunk_start_no_line: "Neither trunk has an answer: the final page is told what the last one said.",
    trunk_peer_rests: "A peer says for how long it cannot: calls go to the next one meanwhile, and come back.",
    trunk_challenges: "A telephone asks who we are, with several challenges in one row: the strongest is answered.",
    trunk_challenges_for_ever: "A telephone asks who we are again and again: that is a refusal.",
    trunk_two_take_it: "Two telephones behind a peer take one call: the second is told that it is over.",
    trunk_peer_restarts: "A peer forgets its calls: a BYE finds nobody, and all is over.",
    trunk_stranger: "A stranger gets no answer, whatever it says.",
    trunk_bad_network: "The network loses, repeats and reorders: calls begin and end once.",
    trunk_registers: "The line registers, does so again, and takes it back when the server stops.",
}

/// A world with trunks.
pub(super) fn begin(stage: &mut Stage, trunk: TrunkPlan) {
    stage.restart(&Plan {
        trunk: Some(trunk),
        ..Plan::default()
    });
}

/// An application with these actions, which the first telephone calls.
pub(super) fn called(stage: &mut Stage, actions: Value) -> usize {
    application(stage, &[("first", actions)]);
    let number = Trunks::number_of("ivr");
    let call = stage.world.phone(0, |phone, now| phone.call(now, &number));
    stage.until("the telephone talks", |world| {
        world.trunks.phones[0].calls[call].stand == Stand::Talking
    });
    stage.millis(300);
    call
}

pub(super) fn wait() -> Value {
    json!([{ "answer": {} }, { "sleep": { "seconds": 60 } }])
}

/// The application calls a number.
pub(super) fn calls_number(stage: &mut Stage, actions: Value) {
    application(stage, &[("first", actions)]);
    let begun = stage.world.begin_call(call_to_number(77));
    stage.claim(begun.is_ok(), "it may");
}

pub(super) fn call_to_number(record: u128) -> Start {
    Start {
        account: account_id(0),
        id: RecordId(record),
        to: "tel:+447700900123".to_owned(),
        from: "ivr".to_owned(),
        then: Then::Application {
            service: ServiceName::parse("ivr").expect("it is a name"),
            token: None,
            parameters: None,
        },
    }
}

#[track_caller]
pub(super) fn stands(stage: &Stage, phone: usize, call: usize, stand: Stand) {
    let calls = &stage.world.trunks.phones[phone].calls;
    let found = calls.get(call).map(|call| call.stand);
    stage.claim(
        found == Some(stand),
        &format!("the telephone's call is {found:?}, not {stand:?}"),
    );
}

pub(super) fn count(stage: &Stage, phone: usize, start: &str) -> usize {
    stage.world.trunks.phones[phone].count(start)
}

fn trunk_number_reaches_application(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let call = called(stage, json!([play()]));
    stage.claim(plays(stage) == 1, "it is played to");
    stage.seconds(3);
    stands(stage, 0, call, Stand::Over);
    stage.claim(
        told(stage, "first")["this_call"]["call_from"] == "+441234567890",
        "who calls is told",
    );
    stage.recorded(EndedBy::Callee, 200);
    let is_number = matches!(stage.records()[0].caller, Caller::Number { .. });
    stage.claim(is_number, "it is recorded");
}

fn trunk_caller_hangs_up(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let call = called(stage, wait());
    stage.world.phone(0, |phone, now| phone.hang_up(now, call));
    stage.seconds(1);
    stage.claim(
        told(stage, "final")["this_call"]["call_cause"] == "hung_up",
        "it is told",
    );
    stage.recorded(EndedBy::Caller, 200);
}

fn trunk_number_rings_client(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let alice = stage.answering("alice");
    let call = stage.world.phone(0, |phone, now| phone.call(now, "alice"));
    stage.seconds(3);
    stands(stage, 0, call, Stand::Talking);
    stage.claim(
        count(stage, 0, "SIP/2.0 180") >= 1,
        "it is told that she rings",
    );
    stage.world.phone(0, |phone, now| phone.hang_up(now, call));
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("NORMAL"), "she is told");
}

fn trunk_caller_cancels(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let alice = stage.registered("alice");
    let call = stage.world.phone(0, |phone, now| phone.call(now, "alice"));
    stage.seconds(3);
    stage.world.phone(0, |phone, now| phone.hang_up(now, call));
    stage.seconds(1);
    stands(stage, 0, call, Stand::Over);
    let stopped = stage.heard(alice, |heard| matches!(heard, Heard::Disconnected { .. }));
    stage.claim(stopped == 1, "she stops ringing");
    let outcome = stage.records()[0].outcome.clone();
    stage.claim(
        outcome.is_some_and(|outcome| outcome.status == 487),
        "it is recorded",
    );
}

fn trunk_number_of_nobody(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let call = stage.world.phone(0, |phone, now| phone.call(now, "+15550"));
    stage.seconds(1);
    stands(stage, 0, call, Stand::Over);
    stage.claim(count(stage, 0, "SIP/2.0 404") == 1, "it is told");
}

fn trunk_application_calls(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    calls_number(stage, json!([play()]));
    stage.seconds(4);
    stands(stage, 0, 0, Stand::Over);
    stage.claim(plays(stage) == 1, "it is played to");
    stage.claim(count(stage, 0, "BYE ") == 1, "and told of the end");
    stage.recorded(EndedBy::Caller, 200);
    let is_number = matches!(stage.records()[0].callee, Callee::Number { .. });
    stage.claim(is_number, "it is recorded");
}

fn trunk_callee_hangs_up(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    stage.world.trunks.phones[0].conduct.talks = Some(2 * SECOND);
    calls_number(stage, json!([{ "sleep": { "seconds": 60 } }]));
    stage.seconds(5);
    stage.claim(
        told(stage, "final")["this_call"]["call_cause"] == "hung_up",
        "it is told",
    );
    stage.recorded(EndedBy::Callee, 200);
}

fn trunk_callee_is_busy(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    stage.world.trunks.phones[0].conduct.takes = Some((486, SECOND));
    calls_number(stage, json!([play()]));
    stage.seconds(3);
    stage.claim(
        told(stage, "final")["this_call"]["call_cause"] == "busy",
        "it is told",
    );
    stage.recorded(EndedBy::Callee, 486);
}

fn trunk_browser_is_connected(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    stage.world.trunks.phones[0].conduct.talks = Some(3 * SECOND);
    let connect = json!([
        { "connect": { "destinations": ["tel:+447700900123"], "next_page": { "url": "next" } } },
    ]);
    application(stage, &[("first", connect), ("next", wait())]);
    let (alice, call) = super::application::calls(stage);
    stage.seconds(2);
    stands(stage, 0, 0, Stand::Talking);
    stage.seconds(4);
    stands(stage, 0, 0, Stand::Over);
    let result = told(stage, "next")["action_result"]["result"].clone();
    stage.claim(
        result["call_cause"] == "completed",
        "the application is told",
    );
    stage.claim(stage.cause(alice).is_none(), "the browser goes on");
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.claim(stage.records().len() == 2, "both are recorded");
}

fn trunk_holds(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let call = called(stage, wait());
    stage.world.phone(0, |phone, now| phone.hold(now, call));
    stage.seconds(1);
    stage.claim(count(stage, 0, "SIP/2.0 200") == 2, "it is answered");
    stands(stage, 0, call, Stand::Talking);
    stage.world.phone(0, |phone, now| phone.hang_up(now, call));
    stage.seconds(1);
    stage.recorded(EndedBy::Caller, 200);
}

/// A browser that an application connects with a number gives up before that answers.
fn gives_up(stage: &mut Stage, after: u64) {
    let connect = json!([{ "connect": { "destinations": ["tel:+447700900123"] } }]);
    application(stage, &[("first", connect)]);
    let (alice, call) = super::application::calls(stage);
    stage.seconds(after);
    stage.hang_up(alice, call);
}

fn trunk_crossed_answer(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    stage.world.trunks.phones[0].conduct.takes = None;
    stage.world.trunks.phones[0].conduct.mischief = Some(Mischief::TakesCancelled);
    gives_up(stage, 3);
    stage.seconds(4);
    stands(stage, 0, 0, Stand::Over);
    stage.claim(count(stage, 0, "CANCEL ") == 1, "it was told to stop");
    stage.claim(count(stage, 0, "ACK ") == 1, "its answer is acknowledged");
    stage.claim(
        count(stage, 0, "BYE ") == 1,
        "and it is told that it is over",
    );
}

fn trunk_late_answer(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    stage.world.trunks.phones[0].conduct.mischief = Some(Mischief::Late(40 * SECOND));
    calls_number(stage, json!([play()]));
    stage.seconds(35);
    stage.recorded(EndedBy::Callee, 408);
    let asked = stage.world.webhooks.asked.len();
    stage.seconds(10);
    stands(stage, 0, 0, Stand::Over);
    stage.claim(count(stage, 0, "ACK ") >= 1, "its answer is acknowledged");
    stage.claim(
        count(stage, 0, "BYE ") >= 1,
        "and it is told that it is over",
    );
    stage.claim(
        stage.world.webhooks.asked.len() == asked,
        "nobody else is told",
    );
}

fn trunk_peer_is_gone(stage: &mut Stage) {
    begin(
        stage,
        TrunkPlan {
            peers: 2,
            ..TrunkPlan::default()
        },
    );
    stage.world.trunks.phones[0].gone_until = u64::MAX;
    stage.world.trunks.phones[0].is_plain = false;
    calls_number(stage, json!([play()]));
    stage.seconds(40);
    stage.claim(
        stage.world.trunks.phones[0].calls.is_empty(),
        "the first is not there",
    );
    stands(stage, 1, 0, Stand::Over);
    stage.claim(plays(stage) == 1, "the next is played to");
}

/// The first trunk's peer says this to a call that an application begins, and the spare one's that.
fn starts_with_spare(stage: &mut Stage, first: u16, second: Option<u16>) {
    begin(
        stage,
        TrunkPlan {
            has_spare: true,
            ..TrunkPlan::default()
        },
    );
    let spare = stage.world.trunks.phones.len() - 1;
    for (phone, status) in [(0, Some(first)), (spare, second)] {
        let conduct = &mut stage.world.trunks.phones[phone].conduct;
        conduct.always = status.map(|status| (status, String::new()));
    }
    calls_number(stage, json!([play()]));
    stage.seconds(4);
    stage.claim(count(stage, 0, "INVITE ") == 1, "the first is asked");
    stage.claim(count(stage, spare, "INVITE ") == 1, "so is the next");
}

fn trunk_start_next_line(stage: &mut Stage) {
    starts_with_spare(stage, 503, None);
    stage.claim(plays(stage) == 1, "whoever answers is played to");
    stage.recorded(EndedBy::Caller, 200);
    let callee = stage.records()[0].callee.to_string();
    let by = "+447700900123 by spare";
    stage.claim(callee == by, &format!("it is one call: {callee}"));
    stage.claim(stage.world.gateways[0].legs().is_empty(), "no leg is left");
}

fn trunk_start_no_line(stage: &mut Stage) {
    starts_with_spare(stage, 503, Some(503));
    let cause = told(stage, "final")["this_call"]["call_cause"].clone();
    stage.claim(cause == "dropped", "it is told");
    stage.recorded(EndedBy::Callee, 503);
}

fn trunk_peer_rests(stage: &mut Stage) {
    begin(
        stage,
        TrunkPlan {
            peers: 2,
            ..TrunkPlan::default()
        },
    );
    let rests = (503, "Retry-After: 20".to_owned());
    stage.world.trunks.phones[0]
        .conduct
        .refuses
        .push_back(rests);
    calls_number(stage, json!([{ "hang_up": {} }]));
    stage.seconds(3);
    stands(stage, 1, 0, Stand::Over);
    let rings = |stage: &mut Stage, number: u128| {
        let begun = stage.world.begin_call(call_to_number(number));
        stage.claim(begun.is_ok(), "it may");
        stage.seconds(3);
        let phones = &stage.world.trunks.phones;
        [phones[0].calls.len(), phones[1].calls.len()]
    };
    let during = rings(stage, 78);
    stage.claim(during == [0, 2], "it is left alone");
    stage.seconds(15);
    let after = rings(stage, 79);
    stage.claim(after == [1, 2], "and asked again");
}

fn trunk_challenges(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let rows = "WWW-Authenticate: Digest realm=\"a, b\", nonce=\"1\", Digest realm=\"a, b\", nonce=\"2\", algorithm=SHA-256";
    let phone = &mut stage.world.trunks.phones[0];
    phone.conduct.refuses.push_back((401, rows.to_owned()));
    calls_number(stage, json!([play()]));
    stage.seconds(4);
    let invite = stage.world.trunks.phones[0]
        .last("INVITE ")
        .unwrap_or_default()
        .to_owned();
    let is_best = invite.contains("nonce=\"2\"") && invite.contains("SHA-256");
    stage.claim(is_best, &format!("the strongest is answered: {invite}"));
    stage.claim(plays(stage) == 1, "it is let in");
}

fn trunk_challenges_for_ever(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let rows = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"".to_owned();
    stage.world.trunks.phones[0].conduct.always = Some((407, rows));
    calls_number(stage, json!([play()]));
    stage.seconds(3);
    stage.claim(
        count(stage, 0, "INVITE ") == 2,
        "it is told once who we are",
    );
    stage.recorded(EndedBy::Callee, 407);
}

fn trunk_two_take_it(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    stage.world.trunks.phones[0].conduct.mischief = Some(Mischief::Forks);
    stage.world.trunks.phones[0].is_plain = false;
    calls_number(stage, wait());
    stage.seconds(5);
    let phone = &stage.world.trunks.phones[0];
    let to = |start: &str, is_other: bool| {
        let all = phone
            .heard
            .iter()
            .filter(|(_, text)| text.starts_with(start));
        all.filter(|(_, text)| text.contains("-other") == is_other)
            .count()
    };
    let told = [
        to("ACK ", true),
        to("BYE ", true),
        to("ACK ", false),
        to("BYE ", false),
    ];
    stage.claim(
        told == [1, 1, 1, 0],
        &format!("one is let go, the other not: {told:?}"),
    );
}

fn trunk_peer_restarts(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    called(stage, wait());
    stage.world.phone(0, |phone, _| phone.restart());
    stage.seconds(65);
    stage.claim(
        count(stage, 0, "BYE ") == 1,
        "it is told of the end, and knows of no call",
    );
    stage.recorded(EndedBy::Callee, 200);
}

fn trunk_stranger(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let own = crate::trunks::own_address(0);
    let from = "198.51.100.66:5060".parse().expect("it is an address");
    let invite = "INVITE sip:+441908300@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.66;branch=z9hG4bK1\r\n\
                  From: <sip:x@y>;tag=1\r\nTo: <sip:+441908300@203.0.113.1>\r\nCall-ID: s\r\nCSeq: 1 INVITE\r\n\r\n";
    for bytes in [invite, "OPTIONS", "\r\n\r\n", "\0"] {
        stage.world.knock(from, own, bytes.as_bytes());
    }
    // Who sends anything to whom is no peer is found by the judge.
    stage.seconds(40);
    stage.claim(stage.records().is_empty(), "nobody is asked");
}

fn trunk_bad_network(stage: &mut Stage) {
    let quality = crate::datagram::Quality {
        base: 20_000,
        jitter: 600_000,
        lost_per_mille: 200,
        doubled_per_mille: 300,
    };
    begin(
        stage,
        TrunkPlan {
            quality,
            ..TrunkPlan::default()
        },
    );
    application(stage, &[("first", json!([play()]))]);
    let number = Trunks::number_of("ivr");
    for _ in 0..10 {
        stage.world.phone(0, |phone, now| phone.call(now, &number));
        stage.seconds(5);
    }
    stage.seconds(100);
    let open = stage.world.trunks.phones[0].open();
    stage.claim(open.is_empty(), "all are over");
    let answered = stage.records();
    let answered = answered.iter().filter(|record| record.answered.is_some());
    stage.claim(answered.count() >= 9, "most were answered");
}

fn trunk_registers(stage: &mut Stage) {
    let registration = Some(std::time::Duration::from_secs(60));
    begin(
        stage,
        TrunkPlan {
            registration,
            ..TrunkPlan::default()
        },
    );
    let rows = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"".to_owned();
    stage.world.trunks.phones[0]
        .conduct
        .refuses
        .push_back((401, rows));
    stage.seconds(110);
    let asked = count(stage, 0, "REGISTER ");
    stage.claim(
        (3..=5).contains(&asked),
        &format!("it registers anew: {asked}"),
    );
    stage.world.stop_server(0, None);
    stage.seconds(1);
    let last = stage.world.trunks.phones[0]
        .last("REGISTER ")
        .unwrap_or_default()
        .to_owned();
    stage.claim(last.contains("Expires: 0"), "it is taken back");
}
