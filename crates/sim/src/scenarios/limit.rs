//! Bounds, and the standard answer at each (model/limits.rs).

use model::limits;
use switch::Counter;

use super::{Stage, scenarios};
use crate::authority::{Wish, domain};
use crate::browser::Heard;
use crate::raw::row;

scenarios! {
    message_too_large: "A message above 64 KiB: the connection is closed.",
    largest_message: "A message of just 64 KiB passes.",
    too_many_headers: "More than 96 header rows: 400.",
    twenty_malformed: "The twentieth malformed message closes the connection.",
    flood: "Beyond the pace: 503 with Retry-After; for REGISTER 403, which keeps the SDK's token no worse.",
    pace_recovers: "After a pause the pace is free again.",
    too_many_calls: "More calls on a connection than may be: 503.",
    too_many_calls_ring: "More calls ringing at one callee than may be: 486, and the callee is not drowned.",
    one_caller_rings_too_often: "More calls of one client ringing at one callee than may be: 486, and others still get through.",
    calls_taken_back_ring_on: "Calls that are taken back before their callee has read them ring on: a flood of them is the caller's loss.",
    slow_reader: "A client that reads nothing while messages pile up is closed.",
    too_many_exchanges: "More requests in a call than the other side reads: 503.",
    long_address: "From, To, Via or Contact of more than 1 KiB: 400, and an answer with one is dropped.",
}

fn options(stage: &mut Stage, padding: usize) -> Vec<u8> {
    let home = domain(0);
    let filler = "x".repeat(padding);
    stage
        .draft(
            "OPTIONS",
            "bob",
            &format!("sip:{home}"),
            &format!("<sip:{home}>"),
        )
        .row("X-Filler", &filler)
        .finish()
}

fn message_too_large(stage: &mut Stage) {
    let raw = stage.registered_raw("bob");
    let large = options(stage, limits::MESSAGE_BYTES);
    stage.sends(raw, large);
    stage.claim(!stage.inbox(raw).is_open, "the connection is closed");
    stage.claim(stage.clients().is_empty(), "and what it held is gone");
    stage.claim(
        stage.world.server(0).counted(Counter::TooLarge) == 1,
        "counted",
    );
}

fn largest_message(stage: &mut Stage) {
    let raw = stage.raw("bob");
    let room = limits::MESSAGE_BYTES - options(stage, 0).len();
    // The number of the next draft is as long as that of the last.
    let message = options(stage, room);
    stage.claim(
        message.len() == limits::MESSAGE_BYTES,
        "exactly as long as may be",
    );
    stage.sends(raw, message);
    stage.claim(stage.inbox(raw).count("SIP/2.0 200") == 1, "200");
}

fn too_many_headers(stage: &mut Stage) {
    let raw = stage.raw("bob");
    let home = domain(0);
    let with_rows = |stage: &mut Stage, rows: usize| {
        let uri = format!("sip:{home}");
        let mut draft = stage.draft("OPTIONS", "bob", &uri, &format!("<{uri}>"));
        // Seven rows of its own: Via, To, From, CSeq, Call-ID, Max-Forwards, Content-Length.
        for _ in 7..rows {
            draft = draft.row("X-Row", "1");
        }
        draft.finish()
    };
    let most = with_rows(stage, limits::HEADER_ROWS);
    stage.sends(raw, most);
    stage.claim(
        stage.inbox(raw).count("SIP/2.0 200") == 1,
        "96 rows are fine",
    );
    let more = with_rows(stage, limits::HEADER_ROWS + 1);
    stage.sends(raw, more);
    stage.claim(stage.inbox(raw).count("SIP/2.0 400") == 1, "97 are not");
}

fn twenty_malformed(stage: &mut Stage) {
    let raw = stage.registered_raw("bob");
    for _ in 1..limits::MALFORMED_MESSAGES {
        stage.sends(raw, b"hello\r\n\r\n".to_vec());
    }
    stage.claim(stage.inbox(raw).is_open, "nineteen are borne");
    stage.sends(raw, b"hello\r\n\r\n".to_vec());
    stage.claim(!stage.inbox(raw).is_open, "the twentieth is not");
}

fn flood(stage: &mut Stage) {
    let raw = stage.registered_raw("bob");
    let burst = limits::MESSAGES_BURST;
    for _ in 0..burst + 20 {
        let message = options(stage, 0);
        stage.world.script(raw, |raw| raw.send(message));
    }
    let token = stage.token(&Wish::all("bob"));
    let contact = "<sip:bob@raw.invalid;transport=ws>;expires=600";
    let register = stage.register("bob", Some(&token), contact).finish();
    stage.sends(raw, register);
    stage.claim(
        stage.inbox(raw).count("SIP/2.0 503") >= 19,
        "503 beyond the burst",
    );
    let refusal = stage.inbox(raw).last("SIP/2.0 503").unwrap_or_default();
    stage.claim(
        refusal.contains("\r\nRetry-After: 1\r\n"),
        "with Retry-After",
    );
    stage.claim(
        stage.inbox(raw).count("SIP/2.0 403") == 1,
        "403 to REGISTER",
    );
    stage.claim(stage.inbox(raw).is_open, "the connection lives");
    stage.claim(stage.clients() == ["bob"], "and so does the registration");
    stage.claim(
        stage.world.server(0).counted(Counter::TooManyMessages) >= 20,
        "each was counted",
    );
}

fn pace_recovers(stage: &mut Stage) {
    let raw = stage.raw("bob");
    for _ in 0..limits::MESSAGES_BURST + 10 {
        let message = options(stage, 0);
        stage.world.script(raw, |raw| raw.send(message));
    }
    stage.seconds(1);
    stage.claim(stage.inbox(raw).count("SIP/2.0 503") > 0, "too fast");
    let before = stage.inbox(raw).count("SIP/2.0 200");
    for _ in 0..limits::MESSAGES_PER_SECOND - 5 {
        let message = options(stage, 0);
        stage.world.script(raw, |raw| raw.send(message));
    }
    stage.seconds(1);
    let after = stage.inbox(raw).count("SIP/2.0 200");
    stage.claim(
        after - before == usize::try_from(limits::MESSAGES_PER_SECOND - 5).unwrap_or(0),
        "a second later it is not",
    );
}

fn too_many_calls(stage: &mut Stage) {
    let callees: Vec<_> = (0..=limits::CALLS_PER_CONNECTION / limits::CALLS_RINGING_PER_CALLER)
        .map(|number| format!("bob{number}"))
        .collect();
    let pages: Vec<_> = callees
        .iter()
        .map(|callee| stage.registered(callee))
        .collect();
    for page in &pages {
        stage
            .world
            .app(*page, |browser, _| browser.habit.at_once = 1000);
    }
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    for number in 0..=limits::CALLS_PER_CONNECTION {
        let callee = &callees[number / limits::CALLS_RINGING_PER_CALLER];
        let invite = stage.invite("alice", callee, &token).finish();
        stage.sends(alice, invite);
    }
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 503") == 1,
        "503 for the last",
    );
    let is_ring = |heard: &Heard| matches!(heard, Heard::Incoming { .. });
    let rings: usize = pages.iter().map(|page| stage.heard(*page, is_ring)).sum();
    stage.claim(rings == limits::CALLS_PER_CONNECTION, "the others ring");
    stage.claim(
        stage.world.server(0).counted(Counter::CallsFull) == 1,
        "counted",
    );
}

/// Callers and their tokens: as many as it takes to fill the places of one callee.
fn crowd(stage: &mut Stage) -> [(&'static str, usize, String); 3] {
    ["alice", "carol", "dave"].map(|name| {
        let token = stage.token(&Wish::all(name));
        (name, stage.raw(name), token)
    })
}

/// Who makes the call of this number.
fn of_crowd(number: usize) -> usize {
    number / limits::CALLS_RINGING_PER_CALLER
}

fn too_many_calls_ring(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage
        .world
        .app(bob, |browser, _| browser.habit.at_once = 1000);
    let crowd = crowd(stage);
    for number in 0..=limits::CALLS_RINGING_PER_CONNECTION {
        let (name, raw, token) = &crowd[of_crowd(number)];
        let invite = stage.invite(name, "bob", token).finish();
        stage.sends(*raw, invite);
    }
    let refused = crowd.map(|(_, raw, _)| stage.inbox(raw).count("SIP/2.0 486"));
    stage.claim(refused == [0, 0, 1], "486 for the last");
    let rings = stage.heard(bob, |heard| matches!(heard, Heard::Incoming { .. }));
    stage.claim(
        rings == limits::CALLS_RINGING_PER_CONNECTION,
        "the others ring",
    );
}

fn one_caller_rings_too_often(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let token = stage.token(&Wish::all("alice"));
    // A second connection of the same client is no second client.
    for _ in 0..2 {
        let alice = stage.raw("alice");
        for _ in 0..=limits::CALLS_RINGING_PER_CALLER {
            let invite = stage.invite("alice", "bob", &token).finish();
            stage.sends(alice, invite);
        }
        stage.claim(
            stage.inbox(bob).count("INVITE") == limits::CALLS_RINGING_PER_CALLER,
            "bob hears her share",
        );
        let refused = stage.inbox(alice).last("SIP/2.0 486").unwrap_or_default();
        stage.claim(
            refused.contains("alice has as many calls ringing at bob as one caller may"),
            "and she why no more",
        );
    }
    let carol = stage.raw("carol");
    let token = stage.token(&Wish::all("carol"));
    let invite = stage.invite("carol", "bob", &token).finish();
    stage.sends(carol, invite);
    stage.claim(
        stage.inbox(bob).count("INVITE") == limits::CALLS_RINGING_PER_CALLER + 1,
        "carol gets through",
    );
}

fn calls_taken_back_ring_on(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let calls = 2 * limits::CALLS_RINGING_PER_CALLER;
    for _ in 0..calls {
        let draft = stage.invite("alice", "bob", &token);
        stage.sends(alice, draft.finish());
        stage.sends(alice, super::cancel::as_cancel(&draft.finish()));
    }
    stage.claim(
        stage.inbox(bob).count("INVITE") == limits::CALLS_RINGING_PER_CALLER,
        "bob gets as many as she may",
    );
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 486") == calls - limits::CALLS_RINGING_PER_CALLER,
        "486 for the others",
    );
    for invite in stage.inbox(bob).texts() {
        if invite.starts_with("INVITE") {
            stage.sends(bob, super::setup::reply(&invite, "100 Trying", "b"));
        }
    }
    let next = stage.invite("alice", "bob", &token).finish();
    stage.sends(alice, next);
    stage.claim(
        stage.inbox(bob).count("INVITE") == limits::CALLS_RINGING_PER_CALLER + 1,
        "once he has read them there is room",
    );
}

fn long_address(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let alice = stage.registered_raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let long = "x".repeat(limits::ADDRESS_BYTES);
    for row in [
        "From: ",
        "To: ",
        "Via: SIP/2.0/WSS x.invalid;branch=z9hG4bKx;y=",
        "Contact: ",
    ] {
        let invite = stage.invite("alice", "bob", &token).finish();
        let text = String::from_utf8_lossy(&invite).into_owned();
        let longer = if row.starts_with("Via") {
            text.replacen("Max-Forwards", &format!("{row}{long}\r\nMax-Forwards"), 1)
        } else {
            text.replacen(row, &format!("{row}\"{long}\" "), 1)
        };
        stage.sends(alice, longer);
    }
    stage.claim(stage.inbox(alice).count("SIP/2.0 400") == 4, "400 for each");
    stage.claim(
        stage.inbox(bob).count("INVITE") == 0,
        "and bob hears nothing",
    );
    let invite = stage.invite("alice", "bob", &token).finish();
    stage.sends(alice, invite);
    let heard = stage.inbox(bob).last("INVITE").unwrap_or_default();
    let ringing = super::setup::reply(&heard, "180 Ringing", "b");
    let contact = format!("\r\nContact: <sip:{long}@raw.invalid>\r\nCSeq");
    stage.sends(bob, ringing.replacen("\r\nCSeq", &contact, 1));
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 180") == 0,
        "it is dropped",
    );
    stage.sends(bob, ringing);
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 180") == 1,
        "a short one is not",
    );
}

fn slow_reader(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    // In each of some calls as much waits for him as may.
    let calls = limits::OUTBOX_MESSAGES / limits::EXCHANGES_UNREAD + 1;
    let mut infos = Vec::new();
    for number in 0..calls {
        let client = format!("caller{number}");
        let caller = stage.raw(&client);
        let token = stage.token(&Wish::all(&client));
        let draft = stage.invite(&client, "bob", &token);
        stage.sends(caller, draft.finish());
        let heard = stage.inbox(bob).last("INVITE").unwrap_or_default();
        stage.sends(bob, super::cancel::accept(&heard, "b"));
        let answer = stage.inbox(caller).last("SIP/2.0 200").unwrap_or_default();
        let to = row(&answer, "To").unwrap_or_default().to_owned();
        for cseq in 2..2 + u32::try_from(limits::EXCHANGES_UNREAD).unwrap_or(0) {
            let info = draft
                .clone()
                .inside("INFO", &to, cseq)
                .body("text/plain", "x");
            infos.push((caller, info.finish()));
        }
    }
    stage.world.cut(
        bob,
        crate::faults::Cut {
            client_after: 1_000_000_000,
            server_after: None,
        },
    );
    for (caller, info) in infos {
        stage.world.script(caller, |raw| raw.send(info));
    }
    stage.seconds(1);
    stage.claim(stage.clients().is_empty(), "bob is gone");
}

fn too_many_exchanges(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let alice = stage.page("alice");
    let out = stage.call(alice, "bob");
    stage.seconds(1);
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.sends(bob, super::cancel::accept(&invite, "b1"));
    for _ in 0..=limits::EXCHANGES_UNREAD {
        stage.world.app(alice, |browser, now| {
            browser.ask_in_dialog(now, out, "INFO", "x")
        });
        stage.millis(100);
    }
    stage.claim(
        stage.world.ladder().matches("503 INFO").count() == 1,
        "503 for the last",
    );
    stage.claim(stage.cause(alice).is_none(), "the call goes on");
    stage.seconds(40);
    let timeouts = stage.world.ladder().matches("408 INFO").count();
    stage.claim(
        timeouts == limits::EXCHANGES_UNREAD,
        "the others end with 408",
    );
}
