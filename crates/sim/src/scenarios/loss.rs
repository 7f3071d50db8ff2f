//! Connections that are lost around calls: the other side is told at once, with a Reason (issue: within 5 s).

use model::EndedBy;

use super::setup::reply;
use super::{Stage, scenarios};
use crate::authority::Wish;
use crate::browser::{CallState, Heard};
use crate::clock::SECOND;
use crate::faults::Cut;
use crate::raw::row;

scenarios! {
    caller_lost_while_ringing: "The caller's connection is lost while it rings: the callee gets CANCEL with a Reason.",
    caller_lost_before_180: "The same before the callee said anything: CANCEL as soon as it does.",
    callee_lost_while_ringing: "The callee's connection is lost while it rings: 480 with a Reason to the caller.",
    caller_lost_in_call: "The caller's connection is lost in a call: BYE with a Reason to the callee at once.",
    callee_lost_in_call: "The callee's connection is lost in a call: BYE with a Reason to the caller at once.",
    half_open_in_call: "A connection that dies silently in a call is found when its page comes back: the other side is told.",
    half_open_but_back: "A connection that dies silently is known to be dead as soon as its user agent comes back.",
    both_lost: "Both connections are lost: the record still has one outcome.",
    lost_during_reinvite: "A connection is lost while a re-INVITE is open: the other side is told by BYE.",
    returns_and_is_called: "A page that lost its call comes back and can be called again.",
    page_closed_in_call: "A page that is closed during a call: the other side is told at once.",
}

fn told_within(stage: &Stage, page: usize, since: u64) -> bool {
    stage
        .heard_at(page, |heard| matches!(heard, Heard::Disconnected { .. }))
        .is_some_and(|at| at < since + 5 * SECOND)
}

fn caller_lost_while_ringing(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(1);
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.sends(bob, reply(&invite, "180 Ringing", "b1"));
    stage.world.cut(alice, Cut::SERVER);
    stage.millis(50);
    let cancel = stage.inbox(bob).last("CANCEL").unwrap_or_default();
    stage.claim(
        row(&cancel, "Reason")
            .is_some_and(|reason| reason.contains("text=\"the caller's connection was lost\"")),
        "the CANCEL says why",
    );
    stage.recorded(EndedBy::Server, 503);
}

fn caller_lost_before_180(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(1);
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.world.cut(alice, Cut::SERVER);
    stage.millis(50);
    stage.claim(
        stage.inbox(bob).count("CANCEL") == 0,
        "bob has said nothing yet",
    );
    stage.sends(bob, reply(&invite, "180 Ringing", "b1"));
    stage.claim(stage.inbox(bob).count("CANCEL") == 1, "now he is told");
}

fn callee_lost_while_ringing(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let alice = stage.page("alice");
    stage.call(alice, "bob");
    stage.seconds(1);
    let since = stage.world.micros();
    stage.world.cut(bob, Cut::BOTH);
    stage.millis(100);
    stage.claim(
        stage.cause(alice) == Some("UNOBTAINABLE"),
        "alice hears UNOBTAINABLE",
    );
    stage.claim(told_within(stage, alice, since), "at once");
    stage.recorded(EndedBy::Server, 503);
}

fn in_call(stage: &mut Stage, lost_caller: bool, cut: Cut) -> (usize, usize) {
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    stage.talking(alice, bob);
    let (lost, left) = if lost_caller {
        (alice, bob)
    } else {
        (bob, alice)
    };
    stage.world.cut(lost, cut);
    (lost, left)
}

fn caller_lost_in_call(stage: &mut Stage) {
    let since = stage.world.micros();
    let (lost, left) = in_call(stage, true, Cut::BOTH);
    stage.millis(100);
    stage.claim(stage.cause(left) == Some("FAILED"), "bob hears FAILED");
    stage.claim(stage.cause(lost) == Some("FAILED"), "so does alice");
    stage.claim(told_within(stage, left, since + 5 * SECOND), "at once");
    stage.recorded(EndedBy::Server, 503);
}

fn callee_lost_in_call(stage: &mut Stage) {
    let (lost, left) = in_call(stage, false, Cut::BOTH);
    stage.millis(100);
    stage.claim(stage.cause(left) == Some("FAILED"), "alice hears FAILED");
    stage.claim(stage.cause(lost) == Some("FAILED"), "so does bob");
    stage.recorded(EndedBy::Server, 503);
    let (_, _, reason) = stage.only_outcome();
    stage.claim(
        reason == "the callee's connection was lost",
        "the record says why",
    );
}

fn half_open_in_call(stage: &mut Stage) {
    let nobody_notices = Cut {
        client_after: 600 * SECOND,
        server_after: None,
    };
    let (_, left) = in_call(stage, false, nobody_notices);
    stage.seconds(50);
    stage.claim(stage.cause(left).is_none(), "nobody can know yet");
    stage.seconds(60);
    let told = stage.cause(left) == Some("FAILED");
    stage.claim(told, "two pings later alice is told");
    stage.recorded(EndedBy::Server, 503);
}

fn half_open_but_back(stage: &mut Stage) {
    let (_, left) = in_call(stage, false, Cut::CLIENT);
    stage.millis(900);
    stage.claim(stage.cause(left).is_none(), "nobody can know yet");
    stage.millis(300);
    let told = stage.cause(left) == Some("FAILED");
    stage.claim(told, "bob is back after a second, and alice is told");
    stage.recorded(EndedBy::Server, 503);
    stage.claim(stage.clients() == ["bob"], "bob is registered");
    stage.seconds(120);
    let stays = stage.clients() == ["bob"] && stage.records().len() == 1;
    stage.claim(stays, "the late end of the old connection changes nothing");
}

fn both_lost(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    stage.talking(alice, bob);
    stage.world.cut(alice, Cut::BOTH);
    stage.world.cut(bob, Cut::BOTH);
    stage.seconds(1);
    stage.recorded(EndedBy::Server, 503);
}

fn lost_during_reinvite(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    let (out, _) = stage.talking(alice, bob);
    stage
        .world
        .app(alice, |browser, now| browser.reinvite(now, out));
    stage.millis(15);
    stage.world.cut(alice, Cut::BOTH);
    stage.seconds(1);
    stage.claim(stage.cause(bob) == Some("FAILED"), "bob hears FAILED");
    stage.recorded(EndedBy::Server, 503);
}

fn returns_and_is_called(stage: &mut Stage) {
    let (lost, left) = in_call(stage, false, Cut::BOTH);
    stage.seconds(3);
    stage.claim(stage.clients() == ["bob"], "bob is back");
    let again = stage.call(left, "bob");
    stage.seconds(3);
    stage.claim(
        stage.browser(left).call_state(again) == Some(CallState::Established),
        "and talks again",
    );
    stage.claim(stage.records().len() == 2, "two calls, two records");
    stage.claim(stage.browser(lost).is_registered(), "registered");
    let token = stage.token(&Wish::all("bob"));
    stage.claim(!token.is_empty(), "with the token that it had");
}

fn page_closed_in_call(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    stage.talking(alice, bob);
    stage.world.close_page(bob);
    stage.millis(100);
    stage.claim(
        stage.cause(alice) == Some("FAILED"),
        "alice hears FAILED at once",
    );
    stage.claim(stage.clients().is_empty(), "bob is not registered any more");
}
