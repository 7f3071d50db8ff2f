//! Transfers that a trunk's peer asks for: by REFER, with and without Replaces, and by an INVITE that takes a place.

use model::{Callee, TrunkTransfer};
use serde_json::{Value, json};

use super::application::{application, told};
use super::trunk::{begin, called, count, stands, wait};
use super::{Stage, scenarios};
use crate::clock::SECOND;
use crate::datagram::Quality;
use crate::phone::Stand;
use crate::trunks::{TrunkPlan, Trunks};
use crate::webhook::Manner;

scenarios! {
    trunk_refer_blind: "A telephone has its call with a browser transferred to another: both talk, the telephone is told and let go.",
    trunk_refer_blind_fails: "Nobody takes the place: the telephone is told the status, and the call goes on.",
    trunk_refer_hangs_up_at_once: "A telephone hangs up while the other still rings: the transfer goes on without it.",
    trunk_refer_back_to_the_trunk: "A number that leads to nobody here goes back by the trunk that it came by.",
    trunk_refer_to_application: "A telephone has its call with a browser transferred to a number whose application answers.",
    trunk_refer_from_a_connection: "A number that an application has connected transfers its caller to another application.",
    trunk_refer_from_application: "An application alone with a telephone goes on with whoever takes its place.",
    trunk_refer_attended: "A telephone has two calls, and their far ends hear each other; one hangs up, and all is over.",
    trunk_refer_replaces: "Another telephone calls to take the place of the first: that is let go.",
    trunk_refer_bad_network: "The network loses, repeats and reorders: transfers are carried out once, and all ends.",
    trunk_refer_hostile: "What is no transfer, or names nobody who may be reached, changes nothing.",
    trunk_refer_is_off: "Transfers are off: a REFER is refused in words, and nothing is said of them before.",
}

/// A telephone calls a client by its name, who answers.
fn talks(stage: &mut Stage, client: &str) -> usize {
    let call = stage.world.phone(0, |phone, now| phone.call(now, client));
    stage.until("the telephone talks", |world| {
        world.trunks.phones[0].calls[call].stand == Stand::Talking
    });
    stage.seconds(1);
    call
}

fn refer(stage: &mut Stage, call: usize, user: &str, rows: &str) {
    stage.world.phone(0, |phone, now| {
        let to = phone.at_server(user);
        phone.refer(now, call, &to, rows);
    });
}

/// The status lines that a telephone was told of transfers.
fn notified(stage: &Stage) -> Vec<String> {
    let heard = stage.world.trunks.phones[0].heard.iter();
    let notifies = heard.filter(|(_, text)| text.starts_with("NOTIFY "));
    let lines = notifies.map(|(_, text)| text.rsplit("\r\n\r\n").next().unwrap_or_default());
    lines.map(|line| line.trim_end().to_owned()).collect()
}

fn open_records(stage: &Stage) -> usize {
    let all = stage.records();
    all.iter().filter(|record| record.outcome.is_none()).count()
}

fn reasons(stage: &Stage) -> Vec<String> {
    let all = stage.records().into_iter();
    all.filter_map(|record| Some(record.outcome?.reason))
        .collect()
}

fn trunk_refer_blind(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let (ann, bob) = (stage.answering("ann"), stage.answering("bob"));
    let call = talks(stage, "ann");
    refer(stage, call, "bob", "Referred-By: <sip:boss@example.com>");
    stage.seconds(3);
    stands(stage, 0, call, Stand::Over);
    let told = notified(stage);
    stage.claim(
        told == ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"],
        &format!("it is told: {told:?}"),
    );
    stage.claim(
        stage.cause(ann).is_none() && stage.cause(bob).is_none(),
        "both talk",
    );
    stage.claim(open_records(stage) == 2, "and have calls of their own");
    stage.claim(
        reasons(stage) == ["transferred to bob"],
        "that of the telephone says where it went",
    );
    stage.world.close_page(bob);
    stage.seconds(40);
    stage.claim(stage.cause(ann).is_some(), "one ends it for both");
    stage.claim(open_records(stage) == 0, "all is over");
}

fn trunk_refer_blind_fails(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let ann = stage.answering("ann");
    let call = talks(stage, "ann");
    refer(stage, call, "bob", "");
    stage.seconds(1);
    stage.world.trunks.phones[0].conduct.takes = Some((486, SECOND));
    refer(stage, call, "+15550", "");
    stage.seconds(5);
    let told = notified(stage);
    stage.claim(
        told.iter().any(|line| line == "SIP/2.0 404 Not Found")
            && told.iter().any(|line| line == "SIP/2.0 486 Busy Here"),
        &format!("it is told: {told:?}"),
    );
    stands(stage, 0, call, Stand::Talking);
    stage.claim(stage.cause(ann).is_none(), "the call goes on");
    stage.world.phone(0, |phone, now| phone.hang_up(now, call));
    stage.seconds(1);
    stage.claim(
        stage.cause(ann) == Some("NORMAL"),
        "until somebody hangs up",
    );
}

fn trunk_refer_hangs_up_at_once(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let ann = stage.answering("ann");
    let call = talks(stage, "ann");
    stage.world.trunks.phones[0].conduct.takes = Some((200, 4 * SECOND));
    refer(stage, call, "+15550", "");
    stage.seconds(1);
    stage.world.phone(0, |phone, now| phone.hang_up(now, call));
    stage.seconds(2);
    stage.claim(stage.cause(ann).is_none(), "she waits for the other");
    stage.seconds(4);
    stands(stage, 0, call + 1, Stand::Talking);
    stage
        .world
        .phone(0, |phone, now| phone.hang_up(now, call + 1));
    stage.seconds(1);
    stage.claim(stage.cause(ann) == Some("NORMAL"), "who ends it");
}

fn trunk_refer_back_to_the_trunk(stage: &mut Stage) {
    begin(
        stage,
        TrunkPlan {
            is_trusted: true,
            ..TrunkPlan::default()
        },
    );
    stage.answering("ann");
    let call = talks(stage, "ann");
    refer(stage, call, "+15550", "Referred-By: <sip:boss@example.com>");
    stage.seconds(5);
    let phone = &stage.world.trunks.phones[0];
    let invite = phone.last("INVITE ").unwrap_or_default().to_owned();
    stage.claim(
        invite.starts_with("INVITE sip:+15550@sip.example.com"),
        "it goes out",
    );
    stage.claim(
        invite.contains("Referred-By: <sip:boss@example.com>"),
        "and a trusted trunk is told who has asked",
    );
    stands(stage, 0, call, Stand::Over);
    stands(stage, 0, call + 1, Stand::Talking);
    stage
        .world
        .phone(0, |phone, now| phone.hang_up(now, call + 1));
    stage.seconds(1);
    stage.claim(open_records(stage) == 0, "all is over");
}

fn trunk_refer_to_application(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    application(stage, &[("first", wait())]);
    let ann = stage.answering("ann");
    let call = talks(stage, "ann");
    let number = Trunks::number_of("ivr");
    refer(stage, call, &number, "");
    stage.seconds(2);
    stands(stage, 0, call, Stand::Over);
    stage.claim(
        told(stage, "first")["this_call"]["call_target"] == "ann",
        "the application has her",
    );
    stage.seconds(62);
    stage.claim(stage.cause(ann).is_some(), "until it ends the call");
}

fn trunk_refer_from_a_connection(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let connect = json!([{ "connect": { "destinations": ["tel:+447700900123"] } }]);
    let dial = "https://dial.example";
    stage.world.authority.set_application("dial", dial);
    let pages = &mut stage.world.webhooks;
    pages.answer(&format!("{dial}/first"), Manner::Actions(connect));
    pages.answer(&format!("{dial}/final"), Manner::Body(204, Vec::new()));
    application(stage, &[("first", wait())]);
    let alice = stage.page("alice");
    let call = stage
        .world
        .app(alice, |browser, now| browser.call_service(now, "dial"));
    stage.seconds(4);
    stands(stage, 0, 0, Stand::Talking);
    refer(stage, 0, &Trunks::number_of("ivr"), "");
    stage.seconds(2);
    stands(stage, 0, 0, Stand::Over);
    let last = stage.world.webhooks.told(&format!("{dial}/final"))[0].clone();
    stage.claim(
        last["this_call"]["call_cause"] == "completed",
        "whoever called has not hung up",
    );
    stage.hang_up(alice, call.expect("pages may call"));
    stage.seconds(1);
    stage.claim(open_records(stage) == 0, "all is over");
}

fn trunk_refer_from_application(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let bob = stage.answering("bob");
    let call = called(stage, sleep_twice());
    refer(stage, call, "bob", "");
    stage.seconds(3);
    stands(stage, 0, call, Stand::Over);
    stage.claim(stage.cause(bob).is_none(), "bob has its place");
    stage.seconds(20);
    stage.claim(stage.cause(bob).is_some(), "until the application ends it");
    let last = told(stage, "final")["this_call"].clone();
    stage.claim(last["call_to"] == "bob", "which is told of him");
}

fn sleep_twice() -> Value {
    json!([{ "answer": {} }, { "sleep": { "seconds": 10 } }, { "sleep": { "seconds": 10 } }])
}

fn trunk_refer_attended(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let (ann, bob) = (stage.answering("ann"), stage.answering("bob"));
    let (one, other) = (talks(stage, "ann"), talks(stage, "bob"));
    stage
        .world
        .phone(0, |phone, now| phone.join(now, one, other));
    stage.seconds(3);
    stands(stage, 0, one, Stand::Over);
    stands(stage, 0, other, Stand::Over);
    let told = notified(stage);
    stage.claim(
        told.last().is_some_and(|line| line == "SIP/2.0 200 OK"),
        &format!("it is told: {told:?}"),
    );
    stage.claim(
        stage.cause(ann).is_none() && stage.cause(bob).is_none(),
        "both talk",
    );
    stage.world.close_page(ann);
    stage.seconds(40);
    stage.claim(stage.cause(bob).is_some(), "one ends it for both");
    stage.claim(open_records(stage) == 0, "all is over");
}

fn trunk_refer_replaces(stage: &mut Stage) {
    begin(
        stage,
        TrunkPlan {
            peers: 2,
            ..TrunkPlan::default()
        },
    );
    let ann = stage.answering("ann");
    let call = talks(stage, "ann");
    let replaces = stage.world.trunks.phones[0].replaces(call);
    let replaces = replaces.unwrap_or_default();
    let wrong = format!("x{replaces}");
    let failed = stage
        .world
        .phone(1, |phone, now| phone.replace(now, &wrong));
    stage.seconds(1);
    stands(stage, 1, failed, Stand::Over);
    stage.claim(count(stage, 1, "SIP/2.0 481") == 1, "that is no call");
    let new = stage
        .world
        .phone(1, |phone, now| phone.replace(now, &replaces));
    stage.seconds(2);
    stands(stage, 0, call, Stand::Over);
    stands(stage, 1, new, Stand::Talking);
    stage.claim(stage.cause(ann).is_none(), "she talks to the other");
    stage.world.phone(1, |phone, now| phone.hang_up(now, new));
    stage.seconds(1);
    stage.claim(stage.cause(ann) == Some("NORMAL"), "who ends it");
}

fn trunk_refer_bad_network(stage: &mut Stage) {
    let quality = Quality {
        base: 20_000,
        jitter: 300_000,
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
    let (ann, bob) = (stage.answering("ann"), stage.answering("bob"));
    for to in ["bob", "+15550", "nobody"] {
        let call = stage.world.phone(0, |phone, now| phone.call(now, "ann"));
        stage.seconds(40);
        refer(stage, call, to, "");
        stage.seconds(40);
        for call in stage.world.trunks.phones[0].open() {
            stage.world.phone(0, |phone, now| phone.hang_up(now, call));
        }
        stage.seconds(40);
    }
    stage.world.close_page(ann);
    stage.world.close_page(bob);
    stage.seconds(80);
    stage.claim(
        stage.world.trunks.phones[0].open().is_empty(),
        "all are over",
    );
    let told = notified(stage);
    stage.claim(
        told.iter().any(|line| line == "SIP/2.0 200 OK"),
        "the telephone is told in the end",
    );
    let transferred = reasons(stage);
    let transferred = transferred
        .iter()
        .filter(|reason| *reason == "transferred to bob");
    stage.claim(transferred.count() == 1, "once");
}

fn trunk_refer_hostile(stage: &mut Stage) {
    begin(stage, TrunkPlan::default());
    let ann = stage.answering("ann");
    let call = talks(stage, "ann");
    let own = stage.world.trunks.phones[0].replaces(call);
    let own = own
        .unwrap_or_default()
        .replace(';', "%3B")
        .replace('=', "%3D");
    let (wrong, itself) = ("%00%0d%0a", format!("?Replaces={own}"));
    for to in [
        "http://example.com/".to_owned(),
        "sip:bob@203.0.113.1;method=BYE".to_owned(),
        "sip:bob@203.0.113.1?body=x".to_owned(),
        format!("sip:{wrong}@203.0.113.1"),
        format!("sip:bob@203.0.113.1?Replaces={wrong}"),
        format!("sip:bob@203.0.113.1{itself}"),
        "sip:%41%00@203.0.113.1".to_owned(),
        format!("sip:{}@203.0.113.1", "9".repeat(400)),
        "sip:not%20a%20name@203.0.113.1".to_owned(),
    ] {
        stage
            .world
            .phone(0, |phone, now| phone.refer(now, call, &to, ""));
        stage.seconds(1);
    }
    for _ in 0..40 {
        refer(stage, call, "nobody", "Refer-Sub: false");
        stage.millis(300);
    }
    stands(stage, 0, call, Stand::Talking);
    stage.claim(stage.cause(ann).is_none(), "the call goes on");
    stage.claim(count(stage, 0, "BYE ") == 0, "nobody was let go");
    stage.claim(
        count(stage, 0, "SIP/2.0 403") > 1,
        "there is an end to transfers",
    );
    let is_out = |record: &model::CallRecord| matches!(record.callee, Callee::Number { .. });
    stage.claim(!stage.records().iter().any(is_out), "nothing went out");
}

fn trunk_refer_is_off(stage: &mut Stage) {
    begin(
        stage,
        TrunkPlan {
            transfer: TrunkTransfer::None,
            ..TrunkPlan::default()
        },
    );
    let (ann, _) = (stage.answering("ann"), stage.answering("bob"));
    let call = talks(stage, "ann");
    let answer = stage.world.trunks.phones[0].last("SIP/2.0 200");
    let is_silent = !answer.unwrap_or_default().contains("REFER");
    stage.claim(is_silent, "nothing is said of them");
    refer(stage, call, "bob", "");
    stage.seconds(2);
    stage.claim(count(stage, 0, "SIP/2.0 603") == 1, "it is refused");
    stands(stage, 0, call, Stand::Talking);
    stage.claim(stage.cause(ann).is_none(), "the call goes on");
}
