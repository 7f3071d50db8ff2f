//! Connections by themselves: TURN credentials, keep-alives, losses, and answers that got lost (wire.md §3).

use switch::Counter;

use super::{Stage, scenarios};
use crate::authority::{Wish, domain};
use crate::browser::{Browser, Heard};
use crate::faults::{Cut, Faults};
use crate::raw::row;
use crate::world::Plan;

scenarios! {
    turn_request: "OPTIONS with X-AculabTurnRequest: 200 and a JSON array.",
    plain_options: "Plain OPTIONS: 200 with Allow, without a body.",
    keep_alive: "A double CRLF is answered by a single one; a single one by nothing.",
    pings: "An idle connection is pinged each 25 s and lives on as long as it answers.",
    comes_back: "A page that loses its connection is registered again a second later.",
    orphaned_register: "A REGISTER whose answer got lost with the socket is rescued on the next one.",
    orphan_is_not_for_others: "The rescued answer goes to its own user agent alone, and once.",
    late_close: "The late close of the old connection does not undo the binding that has moved.",
    silent_connection_is_closed: "Who never says which account it belongs to is closed after 30 s.",
    caller_that_comes_back: "A caller whose socket is lost before a final answer is told on the next one.",
    invite_again_on_the_next_connection: "The same INVITE again on the next connection has one final answer there.",
    callee_that_repeats_its_answer: "A callee whose socket is lost before the ACK gets ACK and BYE on the next one.",
    account_in_another_spelling: "Host names are taken in any case.",
}

fn options(stage: &mut Stage, raw: usize, turn: bool) -> String {
    let host = "webrtc-1-2-0.aculabcloud.net";
    let mut draft = stage.draft(
        "OPTIONS",
        "bob",
        &format!("sip:{host}"),
        &format!("<sip:{host}>"),
    );
    if turn {
        draft = draft.row("X-AculabTurnRequest", "1");
    }
    stage.sends(raw, draft.finish());
    stage.inbox(raw).texts().pop().unwrap_or_default()
}

fn turn_request(stage: &mut Stage) {
    let raw = stage.raw("bob");
    // The first request of a connection is the shard's, later ones the edge's.
    for _ in 0..2 {
        let answer = options(stage, raw, true);
        stage.claim(answer.starts_with("SIP/2.0 200 "), "200");
        stage.claim(
            row(&answer, "Content-Type") == Some("application/json"),
            "as JSON",
        );
        stage.claim(answer.ends_with("\r\n\r\n[]"), "an empty list");
    }
}

fn plain_options(stage: &mut Stage) {
    let raw = stage.raw("bob");
    for _ in 0..2 {
        let answer = options(stage, raw, false);
        stage.claim(answer.starts_with("SIP/2.0 200 "), "200");
        stage.claim(
            row(&answer, "Allow").is_some_and(|allow| allow.contains("INVITE")),
            "with Allow",
        );
        stage.claim(
            answer.ends_with("\r\nContent-Length: 0\r\n\r\n"),
            "without a body",
        );
    }
}

fn keep_alive(stage: &mut Stage) {
    let raw = stage.raw("bob");
    stage.sends(raw, b"\r\n\r\n".to_vec());
    stage.claim(stage.inbox(raw).texts() == ["\r\n"], "one CRLF comes back");
    stage.sends(raw, b"\r\n".to_vec());
    stage.claim(stage.inbox(raw).texts().len() == 1, "and no more");
}

fn pings(stage: &mut Stage) {
    let raw = stage.registered_raw("bob");
    stage.seconds(590);
    stage.claim(
        stage.inbox(raw).is_open,
        "a silent page that answers pings lives on",
    );
    stage.claim(
        stage.world.server(0).counted(Counter::NoPong) == 0,
        "and is not counted",
    );
}

fn comes_back(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage.world.cut(bob, Cut::BOTH);
    stage.millis(500);
    stage.claim(
        stage.clients().is_empty(),
        "the binding went with its connection",
    );
    stage.seconds(1);
    stage.claim(stage.clients() == ["bob"], "bob is back");
    stage.claim(
        stage.browser(bob).last_state() == Some((true, "NORMAL", true)),
        "and his app was told so",
    );
}

/// Finds the boundary at which the first answer to REGISTER arrives, and loses the connection there.
fn with_lost_answer(stage: &mut Stage, cut: Cut) -> usize {
    for boundary in 0..12 {
        let faults = Faults::loss_at(boundary, cut);
        stage.restart(&Plan {
            faults,
            ..Plan::default()
        });
        let bob = stage.page("bob");
        let token = stage.token(&Wish::all("bob"));
        stage
            .world
            .app(bob, |browser, now| browser.enable_incoming(now, &token));
        stage.millis(500);
        let answered = stage.world.server(0).counted(Counter::Registered) == 1;
        let heard = stage.heard(bob, |heard| matches!(heard, Heard::IncomingState { .. }));
        if answered && heard == 0 {
            return bob;
        }
    }
    panic!("no boundary loses the answer to REGISTER");
}

fn orphaned_register(stage: &mut Stage) {
    let bob = with_lost_answer(stage, Cut::BOTH);
    stage.claim(
        stage.clients().is_empty(),
        "the binding is gone with its connection",
    );
    stage.seconds(2);
    stage.claim(
        stage.world.server(0).counted(Counter::RegisterRescued) == 1,
        "the old answer was handed out on the new socket",
    );
    stage.claim(stage.browser(bob).is_registered(), "the SDK took it");
    stage.claim(stage.clients() == ["bob"], "and registered afresh");
    stage.seconds(40);
    stage.claim(stage.clients() == ["bob"], "for good");
}

fn orphan_is_not_for_others(stage: &mut Stage) {
    let raw = stage.raw("bob");
    let token = stage.token(&Wish::all("bob"));
    let contact = "<sip:bob@raw.invalid;transport=ws>;expires=600";
    let register = stage
        .register("bob", Some(&token), contact)
        .via_host("agent.invalid")
        .finish();
    stage.sends(raw, register);
    stage.world.cut(raw, Cut::BOTH);
    stage.seconds(1);
    let home = domain(0);
    let uri = format!("sip:{home}");
    let ask = |stage: &mut Stage, client: &str, agent: &str| {
        let page = stage.raw(client);
        let draft = stage
            .draft("OPTIONS", client, &uri, &format!("<{uri}>"))
            .via_host(agent);
        stage.sends(page, draft.finish());
        stage.inbox(page).texts().len()
    };
    let got = ask(stage, "carol", "agent.invalid");
    stage.claim(got == 1, "not for another client");
    let got = ask(stage, "bob", "other.invalid");
    stage.claim(got == 1, "not for another user agent");
    let got = ask(stage, "bob", "agent.invalid");
    stage.claim(got == 2, "for its own");
    let got = ask(stage, "bob", "agent.invalid");
    stage.claim(got == 1, "and once");
}

fn late_close(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage.world.cut(bob, Cut::LATE_SERVER);
    stage.millis(2500);
    stage.claim(stage.clients() == ["bob"], "bob is back on a new socket");
    stage.seconds(5);
    stage.claim(
        stage.clients() == ["bob"],
        "and stays when the old one is found dead",
    );
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(1);
    let rings = stage.heard(bob, |heard| matches!(heard, Heard::Incoming { .. }));
    stage.claim(rings == 1, "he can be called");
}

fn silent_connection_is_closed(stage: &mut Stage) {
    let raw = stage.raw("nobody");
    stage.sends(raw, b"\r\n\r\n".to_vec());
    stage.seconds(29);
    stage.claim(stage.inbox(raw).is_open, "29 s are fine");
    stage.seconds(2);
    stage.claim(!stage.inbox(raw).is_open, "then it is closed");
}

fn caller_that_comes_back(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(2);
    stage.world.cut(alice, Cut::BOTH);
    stage.millis(100);
    stage.claim(stage.cause(bob) == Some("NORMAL"), "bob rings no more");
    stage.claim(
        !stage.browser(alice).may_call(),
        "the SDK waits for its answer",
    );
    stage.seconds(2);
    stage.claim(
        stage.cause(alice) == Some("FAILED"),
        "and gets it on its next socket",
    );
    stage.claim(
        stage.world.server(0).counted(Counter::InviteRescued) == 1,
        "which was counted",
    );
    stage.call(alice, "bob");
    stage.seconds(1);
    let rings = stage.heard(bob, |heard| matches!(heard, Heard::Incoming { .. }));
    stage.claim(rings == 2, "she can call again");
}

fn invite_again_on_the_next_connection(stage: &mut Stage) {
    stage.registered("bob");
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let invite = stage.invite("alice", "bob", &token).finish();
    stage.sends(alice, invite.clone());
    stage.world.cut(alice, Cut::BOTH);
    stage.seconds(1);
    let again = stage.raw("alice");
    stage.sends(again, invite);
    stage.seconds(70);
    let finals: Vec<_> = stage
        .inbox(again)
        .texts()
        .into_iter()
        .filter(|text| text.starts_with("SIP/2.0 ") && !text.starts_with("SIP/2.0 1"))
        .collect();
    stage.claim(finals.len() == 1, "there is exactly one final answer");
}

fn callee_that_repeats_its_answer(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(1);
    let incoming = stage.browser(bob).last_incoming().expect("bob rings");
    stage
        .world
        .app(bob, |browser, now| browser.answer(now, incoming));
    stage.until("the 200 has reached alice", |world| {
        world.browser(alice).is_some_and(|alice| {
            alice
                .heard
                .iter()
                .any(|(_, h)| matches!(h, Heard::Connected(_)))
        })
    });
    // The ACK is still on its way to bob.
    stage.world.cut(bob, Cut::BOTH);
    stage.millis(100);
    stage.claim(
        stage.cause(alice) == Some("FAILED"),
        "alice is told at once",
    );
    stage.seconds(5);
    stage.claim(
        stage.cause(bob) == Some("FAILED"),
        "bob is told soon after he is back",
    );
    stage.until("bob stays registered", |world| {
        world.browser(bob).is_some_and(Browser::is_registered)
    });
}

fn account_in_another_spelling(stage: &mut Stage) {
    let raw = stage.raw("bob");
    let token = stage.token(&Wish::all("bob"));
    let home = "key0.WebRTC-1-2-0.ACULABCLOUD.net";
    let address = format!("<sip:bob@{home}>");
    let from = format!("{address};tag=x");
    let register = crate::raw::Draft::new("REGISTER", &format!("sip:{home}"), &from, &address, 1)
        .token(&token)
        .row("Contact", "<sip:bob@raw.invalid;transport=ws>;expires=600");
    stage.sends(raw, register.finish());
    stage.claim(stage.inbox(raw).count("SIP/2.0 200") == 1, "200");
    stage.claim(stage.clients() == ["bob"], "bob is registered");
}
