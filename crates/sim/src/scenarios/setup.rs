//! Calls that are set up: ringing, answered, rejected, unanswered (wire.md §3 INVITE, RFC 3261 §13).

use std::time::Duration;

use model::EndedBy;

use super::{Stage, scenarios};
use crate::authority::{Wish, domain};
use crate::browser::{Answering, Heard};
use crate::clock::{MILLI, SECOND};
use crate::net::Latency;
use crate::raw::{row, tag};

scenarios! {
    answered: "A call rings, is answered and hung up; both apps know the same call id; the record tells when.",
    rejected_486: "A rejected call: the caller hears BUSY.",
    rejected_603: "A decline (603) reaches the caller as it is.",
    busy: "A callee that already talks: its SDK answers 486.",
    callee_says_503: "A callee's 503 becomes 500: it concerns the hop to the callee alone.",
    no_answer: "Nobody answers for a minute: the callee gets CANCEL with a Reason, the caller 480.",
    no_answer_by_setting: "The time to ring is the operator's.",
    callee_is_silent: "A callee's page that says nothing at all: 480 to the caller after 32 s.",
    from_tells_client: "The callee's app is told who calls and that a client calls, in its own spelling of the domain.",
    extra_headers: "X- headers pass both ways in INVITE, 180 and 200, repeated ones included.",
    token_stays_here: "The caller's token never reaches the callee.",
    calls_itself: "A client calls itself over one connection, talks and hangs up.",
    from_another_page_of_its_own: "A client calls its own other page.",
    two_at_once: "Two calls to one client that takes two.",
    caller_registers_too: "Two registered pages call each other at the same time and both are busy.",
}

fn answered(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    let (out, incoming) = stage.talking(alice, bob);
    stage.claim(
        stage.browser(alice).call_id(out) == stage.browser(bob).call_id(incoming),
        "callId() is the same at both ends",
    );
    stage.claim(
        stage.heard(alice, |heard| *heard == Heard::Ringing(out)) == 2,
        "both 180 reach the caller",
    );
    stage.seconds(10);
    stage.hang_up(alice, out);
    stage.seconds(1);
    stage.claim(stage.cause(bob) == Some("NORMAL"), "bob hears NORMAL");
    stage.recorded(EndedBy::Caller, 200);
    let record = stage.records()[0].clone();
    stage.claim(
        (10..12).contains(&record.talk_time().as_secs()),
        "the record knows how long they talked",
    );
    stage.claim(record.ringing.is_some(), "and when it began to ring");
    stage.claim(
        (record.caller.as_str(), record.callee.to_string().as_str()) == ("alice", "bob"),
        "and who called whom",
    );
}

fn rejected(stage: &mut Stage, status: u16, cause: &str) {
    let bob = stage.registered("bob");
    stage.habit(bob, Answering::Rejects(status, SECOND));
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(3);
    stage.claim(
        stage.cause(alice) == Some(cause),
        &format!("alice hears {cause}"),
    );
    stage.recorded(EndedBy::Callee, status);
}

fn rejected_486(stage: &mut Stage) {
    rejected(stage, 486, "BUSY");
}

fn rejected_603(stage: &mut Stage) {
    rejected(stage, 603, "BUSY");
}

fn busy(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let (alice, carol) = (stage.page("alice"), stage.page("carol"));
    stage.talking(alice, bob);
    stage.call(carol, "bob");
    stage.seconds(2);
    stage.claim(stage.cause(carol) == Some("BUSY"), "carol hears BUSY");
    stage.claim(stage.cause(alice).is_none(), "alice talks on");
}

fn callee_says_503(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage.habit(bob, Answering::Rejects(503, SECOND));
    let raw = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let invite = stage.invite("alice", "bob", &token).finish();
    stage.sends(raw, invite);
    stage.seconds(2);
    stage.claim(
        stage.inbox(raw).count("SIP/2.0 500") == 1,
        "500 and not 503",
    );
    stage.recorded(EndedBy::Callee, 503);
}

fn no_answer(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(59);
    stage.claim(stage.cause(alice).is_none(), "it rings for a minute");
    stage.seconds(2);
    stage.claim(
        stage.cause(alice) == Some("UNOBTAINABLE"),
        "alice hears UNOBTAINABLE",
    );
    stage.claim(
        stage.cause(bob) == Some("NORMAL"),
        "bob's page rings no more",
    );
    stage.recorded(EndedBy::Server, 480);

    let carol = stage.registered_raw("carol");
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let invite = stage.invite("alice", "carol", &token).finish();
    stage.sends(alice, invite);
    let ringing = reply(
        &stage.inbox(carol).last("INVITE").unwrap_or_default(),
        "180 Ringing",
        "c",
    );
    stage.sends(carol, ringing);
    stage.seconds(61);
    let cancel = stage.inbox(carol).last("CANCEL").unwrap_or_default();
    let reason = row(&cancel, "Reason").unwrap_or_default().to_owned();
    stage.claim(
        reason.starts_with("SIP;cause=487;text=\""),
        "the CANCEL has a Reason with cause 487",
    );
    let refusal = stage.inbox(alice).last("SIP/2.0 480").unwrap_or_default();
    stage.claim(
        row(&refusal, "Reason").is_some_and(|reason| reason.starts_with("SIP;cause=480;text=")),
        "the 480 has a Reason",
    );
}

/// A response of a scripted client.
pub(super) fn reply(request: &str, status: &str, to_tag: &str) -> String {
    let to = row(request, "To").unwrap_or_default();
    let to = match tag(request, "To") {
        Some(_) => to.to_owned(),
        None => format!("{to};tag={to_tag}"),
    };
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nTo: {to}\r\nFrom: {}\r\nCall-ID: {}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
        row(request, "Via").unwrap_or_default(),
        row(request, "From").unwrap_or_default(),
        row(request, "Call-ID").unwrap_or_default(),
        row(request, "CSeq").unwrap_or_default(),
    )
}

fn no_answer_by_setting(stage: &mut Stage) {
    let mut plan = crate::world::Plan::default();
    plan.settings.no_answer = Duration::from_secs(7);
    stage.restart(&plan);
    stage.registered("bob");
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(6);
    stage.claim(stage.cause(alice).is_none(), "it rings");
    stage.seconds(2);
    stage.claim(
        stage.cause(alice) == Some("UNOBTAINABLE"),
        "for seven seconds",
    );
}

fn callee_is_silent(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage
        .world
        .app(bob, |browser, _| browser.habit.is_dead = true);
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(31);
    stage.claim(stage.cause(alice).is_none(), "31 s pass");
    stage.seconds(2);
    stage.claim(
        stage.cause(alice) == Some("UNOBTAINABLE"),
        "then alice hears UNOBTAINABLE",
    );
    stage.recorded(EndedBy::Server, 480);
}

fn from_tells_client(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let token = stage.token(&Wish::all("alice"));
    let raw = stage.raw("alice");
    let home = domain(0);
    let shouted = home.to_uppercase().replace("KEY0", "key0");
    let from = format!("\"Alice A.\" <sip:alice@{shouted}>;tag=x1");
    let uri = format!("sip:bob@{shouted};transport=tcp");
    let invite = crate::raw::Draft::new("INVITE", &uri, &from, &format!("<{uri}>"), 5)
        .token(&token)
        .row("Contact", "<sip:raw@raw.invalid;transport=ws>")
        .body("application/sdp", super::stage::OFFER)
        .finish();
    stage.sends(raw, invite);
    let told = stage.heard(
        bob,
        |heard| matches!(heard, Heard::Incoming { from, kind: "client", .. } if from == "alice"),
    );
    stage.claim(told == 1, "bob's app is told: alice, a client");
    stage.claim(
        stage.inbox(raw).count("SIP/2.0 100") == 1,
        "the caller has its 100",
    );
}

fn extra_headers(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let alice = stage.page("alice");
    let rows = [
        ("X-Order", "4711"),
        ("X-Order", "4712"),
        ("x-lower", "a, b"),
        ("X-Empty", ""),
    ];
    stage.world.app(alice, |browser, _| {
        browser.habit.headers = rows
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
    });
    stage.call(alice, "bob");
    stage.seconds(1);
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.claim(
        invite.contains("X-Order: 4711\r\nX-Order: 4712\r\n")
            && invite.contains("x-lower: a, b\r\n"),
        "they pass in the INVITE",
    );
    let ringing = reply(&invite, "180 Ringing", "b1")
        .replace("Content-Length", "X-Ring: 1\r\nX-Ring: 2\r\nContent-Length");
    stage.sends(bob, ringing);
    let answer = reply(&invite, "200 OK", "b1").replace(
        "Content-Length: 0\r\n\r\n",
        &format!(
            "X-Reply: yes\r\nContact: <sip:bob@raw.invalid;transport=ws>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{}",
            super::stage::ANSWER.len(),
            super::stage::ANSWER
        ),
    );
    stage.sends(bob, answer);
    let connected = stage.heard(alice, |heard| matches!(heard, Heard::Connected(_)));
    stage.claim(connected == 1, "alice is connected");
    stage.claim(stage.inbox(bob).count("ACK") == 1, "bob has his ACK");
    // That 180 and 200 carry them is judged by the world's own check of content.
    let bye = stage.inbox(bob).count("BYE");
    stage.claim(bye == 0, "and they talk");
}

fn token_stays_here(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(1);
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.claim(!invite.is_empty(), "bob rings");
    stage.claim(
        row(&invite, "Authorization").is_none(),
        "without alice's token",
    );
    stage.claim(
        row(&invite, "Record-Route").is_none(),
        "and without a route set",
    );
}

fn calls_itself(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage.world.app(bob, |browser, _| {
        browser.habit.at_once = 2;
        browser.habit.answering = Answering::After(300 * MILLI);
    });
    let call = stage.call(bob, "bob");
    stage.seconds(3);
    let connected = stage.heard(bob, |heard| matches!(heard, Heard::Connected(_)));
    stage.claim(connected == 2, "both ends are connected");
    stage.hang_up(bob, call);
    stage.seconds(1);
    let ended = stage.heard(bob, |heard| matches!(heard, Heard::Disconnected { .. }));
    stage.claim(ended == 2, "both ends are told");
    stage.recorded(EndedBy::Caller, 200);
}

fn from_another_page_of_its_own(stage: &mut Stage) {
    let (first, second) = (stage.registered("bob"), stage.registered("bob"));
    stage.habit(second, Answering::After(SECOND));
    let call = stage.call(first, "bob");
    stage.seconds(3);
    stage.hang_up(first, call);
    stage.seconds(1);
    stage.claim(
        stage.cause(second) == Some("NORMAL"),
        "the other page talked",
    );
    stage.recorded(EndedBy::Caller, 200);
}

fn two_at_once(stage: &mut Stage) {
    let bob = stage.answering("bob");
    stage.world.app(bob, |browser, _| browser.habit.at_once = 2);
    let (alice, carol) = (stage.page("alice"), stage.page("carol"));
    let first = stage.call(alice, "bob");
    stage.call(carol, "bob");
    stage.seconds(3);
    let connected = stage.heard(bob, |heard| matches!(heard, Heard::Connected(_)));
    stage.claim(connected == 2, "bob talks to both");
    stage.hang_up(alice, first);
    stage.seconds(1);
    stage.claim(stage.cause(carol).is_none(), "carol talks on");
}

fn caller_registers_too(stage: &mut Stage) {
    stage.restart(&crate::world::Plan {
        latency: Latency {
            base: 200 * MILLI,
            ..Latency::STEADY
        },
        ..crate::world::Plan::default()
    });
    let (alice, bob) = (stage.registered("alice"), stage.registered("bob"));
    stage.call(alice, "bob");
    stage.call(bob, "alice");
    stage.seconds(3);
    stage.claim(stage.cause(alice) == Some("BUSY"), "alice hears BUSY");
    stage.claim(stage.cause(bob) == Some("BUSY"), "so does bob");
    stage.claim(stage.records().len() == 2, "both calls have a record");
}
