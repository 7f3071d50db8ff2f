//! Inside a call: re-INVITE either way with its glare, INFO, and methods that are refused (wire.md §3).

use super::{Stage, scenarios};
use crate::browser::{CallKey, Heard};
use crate::clock::MILLI;
use crate::net::Latency;
use crate::raw::Draft;
use crate::world::Plan;

scenarios! {
    reinvite_both_ways: "A new offer of the caller, then one of the callee, each answered.",
    glare: "Both offer at the same time: 491 passes both ways, the call goes on.",
    reinvite_cancelled: "A re-INVITE that is taken back before its answer; the call goes on.",
    info: "INFO passes with its body and is answered 200.",
    update: "UPDATE passes; the SDK's 405 comes back with its Allow.",
    refer: "REFER is refused by us: 405 with Allow.",
    reinvite_unanswered: "A re-INVITE to a page that hangs: 408 after a minute, and the call goes on.",
    reinvite_open_at_the_end: "A re-INVITE that is open when the other side hangs up: 487.",
    many_reinvites: "Thirty re-INVITEs in twelve seconds, each answered.",
    out_of_order: "A request whose CSeq is not above the last: 500.",
    message: "MESSAGE passes and is answered 200.",
}

fn talk(stage: &mut Stage) -> (usize, usize, CallKey, CallKey) {
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    let (out, incoming) = stage.talking(alice, bob);
    (alice, bob, out, incoming)
}

fn reinvited(stage: &Stage, page: usize, status: u16) -> usize {
    stage.heard(
        page,
        |heard| matches!(heard, Heard::Reinvited(_, found) if *found == status),
    )
}

fn offer(stage: &mut Stage, page: usize, call: CallKey) {
    let went = stage
        .world
        .app(page, |browser, now| browser.reinvite(now, call));
    stage.claim(went == Some(true), "SIP.js lets the re-INVITE go out");
}

fn reinvite_both_ways(stage: &mut Stage) {
    let (alice, bob, out, incoming) = talk(stage);
    offer(stage, alice, out);
    stage.seconds(1);
    offer(stage, bob, incoming);
    stage.seconds(1);
    stage.claim(
        reinvited(stage, alice, 200) == 1,
        "alice's offer is answered",
    );
    stage.claim(reinvited(stage, bob, 200) == 1, "bob's too");
    stage.hang_up(alice, out);
    stage.seconds(1);
    stage.claim(
        stage.cause(bob) == Some("NORMAL"),
        "and the call ends as usual",
    );
}

fn glare(stage: &mut Stage) {
    let (alice, bob, out, incoming) = talk(stage);
    offer(stage, alice, out);
    offer(stage, bob, incoming);
    stage.seconds(1);
    stage.claim(reinvited(stage, alice, 491) == 1, "alice hears 491");
    stage.claim(reinvited(stage, bob, 491) == 1, "so does bob");
    offer(stage, alice, out);
    stage.seconds(1);
    stage.claim(reinvited(stage, alice, 200) == 1, "the next one works");
    stage.claim(stage.cause(alice).is_none(), "the call goes on");
}

fn reinvite_cancelled(stage: &mut Stage) {
    stage.restart(&Plan {
        latency: Latency {
            base: 100 * MILLI,
            ..Latency::STEADY
        },
        ..Plan::default()
    });
    let (alice, bob, out, _) = talk(stage);
    stage.seconds(1);
    offer(stage, alice, out);
    stage
        .world
        .app(alice, |browser, now| browser.cancel_reinvite(now, out));
    stage.seconds(3);
    // The SDK answers a re-INVITE at once, so the CANCEL comes too late for it.
    stage.claim(reinvited(stage, alice, 200) == 1, "the answer was quicker");
    stage.claim(stage.cause(bob).is_none(), "the call goes on");
    offer(stage, alice, out);
    stage.seconds(2);
    stage.claim(reinvited(stage, alice, 200) == 2, "and takes another offer");
}

fn info(stage: &mut Stage) {
    let (alice, bob, out, incoming) = talk(stage);
    let before = stage.world.steps;
    stage.world.app(alice, |browser, now| {
        browser.ask_in_dialog(now, out, "INFO", "Signal=1\r\n");
    });
    stage.world.app(bob, |browser, now| {
        browser.ask_in_dialog(now, incoming, "INFO", "Signal=2\r\n");
    });
    stage.seconds(1);
    let ladder = stage.world.ladder();
    stage.claim(
        ladder.matches("200 INFO").count() == 4,
        "each passes, with its 200",
    );
    stage.claim(stage.world.steps > before, "something happened");
}

fn update(stage: &mut Stage) {
    let (alice, _, out, _) = talk(stage);
    stage.world.app(alice, |browser, now| {
        browser.ask_in_dialog(now, out, "UPDATE", "");
    });
    stage.seconds(1);
    let ladder = stage.world.ladder();
    stage.claim(
        ladder.matches("405 UPDATE").count() == 2,
        "the SDK's 405 comes back",
    );
}

fn refer(stage: &mut Stage) {
    let (alice, _, out, _) = talk(stage);
    stage.world.app(alice, |browser, now| {
        browser.ask_in_dialog(now, out, "REFER", "");
    });
    stage.seconds(1);
    let ladder = stage.world.ladder();
    stage.claim(ladder.matches("405 REFER").count() == 1, "405 from us");
    stage.claim(
        ladder.matches("REFER").count() == 2,
        "nothing reaches the other side",
    );
}

fn reinvite_unanswered(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let alice = stage.page("alice");
    let out = stage.call(alice, "bob");
    stage.seconds(1);
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.sends(bob, super::cancel::accept(&invite, "b1"));
    offer(stage, alice, out);
    stage.seconds(59);
    let again = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.claim(again != invite, "bob has the re-INVITE");
    stage.claim(reinvited(stage, alice, 408) == 0, "a minute passes");
    stage.seconds(2);
    let timed_out = reinvited(stage, alice, 408) == 1;
    stage.claim(timed_out, "alice hears 408");
    stage.claim(stage.cause(alice).is_none(), "the call goes on");
    // His answer comes after all: it is acknowledged, and the call goes on.
    let acks = stage.inbox(bob).count("ACK");
    stage.sends(bob, super::cancel::accept(&again, "b1"));
    stage.claim(
        stage.inbox(bob).count("ACK") == acks + 1,
        "a late answer is acknowledged",
    );
    stage.claim(
        stage.inbox(bob).count("BYE") == 0,
        "and does not end the call",
    );
}

fn reinvite_open_at_the_end(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let alice = stage.page("alice");
    let out = stage.call(alice, "bob");
    stage.seconds(1);
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.sends(bob, super::cancel::accept(&invite, "b1"));
    offer(stage, alice, out);
    stage.seconds(1);
    let bye = super::hangup::from_callee("BYE", &invite, 1);
    stage.sends(bob, bye.finish());
    let ladder = stage.world.ladder();
    stage.claim(
        ladder.matches("487 INVITE").count() == 1,
        "the re-INVITE is answered 487",
    );
    stage.claim(
        stage.cause(alice) == Some("NORMAL"),
        "and alice hears NORMAL",
    );
}

fn many_reinvites(stage: &mut Stage) {
    let (alice, _, out, _) = talk(stage);
    for _ in 0..30 {
        offer(stage, alice, out);
        stage.millis(400);
    }
    stage.claim(reinvited(stage, alice, 200) == 30, "each is answered");
}

fn out_of_order(stage: &mut Stage) {
    let (alice, bob, _, _) = talk(stage);
    let raw = stage.registered_raw("carol");
    stage.claim(
        stage.cause(alice).is_none() && stage.cause(bob).is_none(),
        "they talk",
    );
    let dave = stage.answering("dave");
    let token = stage.token(&crate::authority::Wish::all("carol"));
    let draft = stage.invite("carol", "dave", &token).cseq(10);
    stage.sends(raw, draft.finish());
    stage.seconds(2);
    let answer = stage.inbox(raw).last("SIP/2.0 200").unwrap_or_default();
    let text = String::from_utf8_lossy(&draft.finish()).into_owned();
    let inside = |method: &str, cseq: u32| {
        Draft::new(
            method,
            "sip:any@key0.webrtc-1-2-0.aculabcloud.net",
            crate::raw::row(&text, "From").unwrap_or_default(),
            crate::raw::row(&answer, "To").unwrap_or_default(),
            500 + u64::from(cseq),
        )
        .call_id(crate::raw::row(&text, "Call-ID").unwrap_or_default())
        .cseq(cseq)
        .finish()
    };
    stage.sends(raw, inside("ACK", 10));
    stage.sends(raw, inside("INFO", 9));
    stage.claim(stage.inbox(raw).count("SIP/2.0 500") == 1, "500");
    stage.sends(raw, inside("INFO", 11));
    stage.claim(
        stage
            .inbox(raw)
            .last("SIP/2.0 200")
            .is_some_and(|t| t.contains("11 INFO")),
        "200",
    );
    stage.claim(stage.cause(dave).is_none(), "the call goes on");
}

fn message(stage: &mut Stage) {
    let (_, bob, _, incoming) = talk(stage);
    stage.world.app(bob, |browser, now| {
        browser.ask_in_dialog(now, incoming, "MESSAGE", "hello");
    });
    stage.seconds(1);
    let ladder = stage.world.ladder();
    stage.claim(
        ladder.matches("200 MESSAGE").count() == 2,
        "it is answered 200",
    );
}
