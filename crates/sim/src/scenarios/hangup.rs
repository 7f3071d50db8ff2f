//! Calls that end after they were answered, and how the other side learns why (wire.md §3, RFC 3261 §15, RFC 3326).

use model::{EndedBy, limits};

use super::cancel::accept;
use super::{Stage, scenarios};
use crate::authority::Wish;
use crate::raw::{Draft, row, tag};

scenarios! {
    caller_hangs_up: "The caller hangs up: the callee hears NORMAL.",
    callee_hangs_up: "The callee hangs up: the caller hears NORMAL.",
    bye_with_reason: "A BYE with a Reason that names 603 is heard as BUSY at the other end.",
    bye_with_bare_cause: "A Reason without text gets one: existing clients need the semicolon.",
    both_hang_up: "Both hang up at the same moment: each BYE has its answer, the record one outcome.",
    no_ack: "The caller never acknowledges the answer: after 32 s both are told.",
    bye_before_ack: "A callee that hangs up before the ACK came: SIP.js waits for it, the server sends it.",
    bye_from_a_third_connection: "A BYE with the right tags from a third connection: 481, and the call goes on.",
    bye_after_the_end: "A BYE after the end: 481 once the call is forgotten, 200 while it lingers.",
    token_expiry_ends_no_call: "A call goes on when the tokens of both have expired.",
    endless_call: "A call that nobody ends is ended after two days.",
}

fn talk(
    stage: &mut Stage,
) -> (
    usize,
    usize,
    crate::browser::CallKey,
    crate::browser::CallKey,
) {
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    let (out, incoming) = stage.talking(alice, bob);
    (alice, bob, out, incoming)
}

fn caller_hangs_up(stage: &mut Stage) {
    let (alice, bob, out, _) = talk(stage);
    stage.hang_up(alice, out);
    stage.seconds(1);
    stage.claim(stage.cause(bob) == Some("NORMAL"), "bob hears NORMAL");
    stage.recorded(EndedBy::Caller, 200);
}

fn callee_hangs_up(stage: &mut Stage) {
    let (alice, bob, _, incoming) = talk(stage);
    stage.hang_up(bob, incoming);
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("NORMAL"), "alice hears NORMAL");
    stage.recorded(EndedBy::Callee, 200);
}

fn bye_with_reason(stage: &mut Stage) {
    let (alice, bob, _, incoming) = talk(stage);
    stage
        .world
        .app(bob, |browser, now| browser.reject_with(now, incoming, 603));
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("BUSY"), "alice hears BUSY");
}

/// A scripted callee and a page that talk: both, and the INVITE as the callee got it.
fn scripted_callee(stage: &mut Stage) -> (usize, usize, String) {
    let bob = stage.registered_raw("bob");
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(1);
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.sends(bob, accept(&invite, "b1"));
    (alice, bob, invite)
}

/// A request of a scripted callee inside its dialog.
pub(super) fn from_callee(method: &str, invite: &str, cseq: u32) -> Draft {
    let contact = row(invite, "Contact").unwrap_or_default();
    let uri = contact
        .trim_start_matches('<')
        .split('>')
        .next()
        .unwrap_or_default();
    let from = format!("{};tag=b1", row(invite, "To").unwrap_or_default());
    Draft::new(
        method,
        uri,
        &from,
        row(invite, "From").unwrap_or_default(),
        u64::from(cseq),
    )
    .call_id(row(invite, "Call-ID").unwrap_or_default())
    .cseq(cseq)
}

fn bye_with_bare_cause(stage: &mut Stage) {
    let (alice, bob, invite) = scripted_callee(stage);
    let bye = from_callee("BYE", &invite, 1).row("Reason", "SIP;cause=486");
    stage.sends(bob, bye.finish());
    stage.claim(stage.cause(alice) == Some("BUSY"), "alice hears BUSY");
    stage.claim(
        stage.inbox(bob).last("SIP/2.0 200").is_some(),
        "the BYE has its 200",
    );
    stage.recorded(EndedBy::Callee, 200);
}

fn both_hang_up(stage: &mut Stage) {
    let (alice, bob, out, incoming) = talk(stage);
    stage.hang_up(alice, out);
    stage.hang_up(bob, incoming);
    stage.seconds(40);
    stage.claim(stage.cause(alice) == Some("NORMAL"), "alice hears NORMAL");
    stage.claim(stage.cause(bob) == Some("NORMAL"), "so does bob");
    let (by, status, _) = stage.only_outcome();
    stage.claim(
        matches!(by, EndedBy::Caller | EndedBy::Callee) && status == 200,
        "one of them ended it",
    );
}

fn no_ack(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let draft = stage.invite("alice", "bob", &token);
    stage.sends(alice, draft.finish());
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.sends(bob, accept(&invite, "b1"));
    stage.seconds(31);
    stage.claim(stage.inbox(alice).count("BYE") == 0, "31 s pass");
    stage.seconds(2);
    for side in [alice, bob] {
        let bye = stage.inbox(side).last("BYE").unwrap_or_default();
        stage.claim(
            row(&bye, "Reason").is_some_and(|reason| reason.starts_with("SIP;cause=408;text=")),
            "both are told why",
        );
    }
    stage.claim(
        stage.inbox(bob).count("ACK") == 1,
        "bob's answer is acknowledged before",
    );
    stage.recorded(EndedBy::Server, 408);
}

fn bye_before_ack(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let invite = stage.invite("alice", "bob", &token).finish();
    stage.sends(alice, invite);
    let incoming = stage.browser(bob).last_incoming().expect("bob rings");
    stage
        .world
        .app(bob, |browser, now| browser.answer(now, incoming));
    stage.seconds(1);
    stage.hang_up(bob, incoming);
    stage.seconds(10);
    stage.claim(stage.cause(bob).is_none(), "SIP.js waits for the ACK");
    stage.seconds(25);
    stage.claim(
        stage.cause(bob) == Some("NORMAL"),
        "which comes after 32 s, with the end",
    );
    stage.claim(stage.inbox(alice).count("BYE") == 1, "alice has one BYE");
}

fn bye_from_a_third_connection(stage: &mut Stage) {
    let (alice, bob, invite) = scripted_callee(stage);
    let stranger = stage.raw("stranger");
    for method in ["BYE", "INFO", "INVITE"] {
        let request = from_callee(method, &invite, 5)
            .row("Contact", "<sip:x@raw.invalid;transport=ws>")
            .body("application/sdp", super::stage::OFFER);
        stage.sends(stranger, request.finish());
    }
    stage.claim(
        stage.inbox(stranger).count("SIP/2.0 481") == 3,
        "481 to the stranger",
    );
    stage.claim(stage.cause(alice).is_none(), "alice talks on");
    stage.claim(stage.inbox(bob).count("BYE") == 0, "so does bob");
    let ours = from_callee("INFO", &invite, 6);
    stage.sends(bob, ours.finish());
    stage.claim(
        stage.inbox(bob).count("SIP/2.0 200") == 2,
        "while bob's own requests pass",
    );
}

fn bye_after_the_end(stage: &mut Stage) {
    let (_, bob, invite) = scripted_callee(stage);
    for cseq in [1, 2] {
        let bye = from_callee("BYE", &invite, cseq);
        stage.sends(bob, bye.finish());
    }
    stage.claim(
        stage.inbox(bob).count("SIP/2.0 200") == 3,
        "200 while it lingers",
    );
    stage.seconds(limits::LINGER_TIME.as_secs() + 1);
    let bye = from_callee("BYE", &invite, 3);
    stage.sends(bob, bye.finish());
    stage.claim(stage.inbox(bob).count("SIP/2.0 481") == 1, "481 afterwards");
}

fn token_expiry_ends_no_call(stage: &mut Stage) {
    let bob = stage.registered_with(0, &Wish::all("bob").ttl(70));
    let alice = stage.page("alice");
    let token = stage.token(&Wish::all("alice").ttl(60));
    stage.call_with(alice, "bob", &token);
    stage.seconds(1);
    let incoming = stage.browser(bob).last_incoming().expect("bob rings");
    stage
        .world
        .app(bob, |browser, now| browser.answer(now, incoming));
    stage.seconds(300);
    stage.claim(stage.clients().is_empty(), "bob's registration is over");
    stage.claim(stage.cause(alice).is_none(), "they talk on");
    stage.hang_up(bob, incoming);
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("NORMAL"), "until one hangs up");
}

fn endless_call(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let draft = stage.invite("alice", "bob", &token);
    stage.sends(alice, draft.finish());
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.sends(bob, accept(&invite, "b1"));
    let answer = stage.inbox(alice).last("SIP/2.0 200").unwrap_or_default();
    let text = String::from_utf8_lossy(&draft.finish()).into_owned();
    let ack = Draft::new(
        "ACK",
        "sip:any@key0.webrtc-1-2-0.aculabcloud.net",
        row(&text, "From").unwrap_or_default(),
        row(&answer, "To").unwrap_or_default(),
        900,
    )
    .call_id(row(&text, "Call-ID").unwrap_or_default());
    stage.sends(alice, ack.finish());
    stage.claim(tag(&answer, "To").is_some(), "they talk");
    stage.seconds(limits::CALL_TIME.as_secs() - 10);
    stage.claim(stage.inbox(alice).count("BYE") == 0, "for two days");
    stage.seconds(11);
    stage.claim(stage.inbox(alice).count("BYE") == 1, "then alice is told");
    stage.claim(stage.inbox(bob).count("BYE") == 1, "and bob");
    stage.recorded(EndedBy::Server, 408);
}
