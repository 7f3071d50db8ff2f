//! What operators do while clients are there: accounts switched off, servers stopped, killed and started again.

use std::time::Duration;

use model::EndedBy;

use super::{Stage, scenarios};
use crate::authority::Wish;
use crate::browser::{Answering, Heard};
use crate::clock::SECOND;

scenarios! {
    account_disabled_in_a_call: "An account is switched off during a call: BYE with Reason to both, then the connections are closed.",
    disabled_account_stays_out: "Clients of a disabled account are refused until it is switched on again.",
    other_accounts_go_on: "Another account's clients notice nothing.",
    server_stops: "A server that is told to stop ends calls with BYE, closes connections and keeps every record.",
    server_stops_while_ringing: "A call that rings while the server stops: 480 to the caller, CANCEL to the callee.",
    server_restarts: "After a restart every page is registered again by itself.",
    server_is_killed: "After a kill the pages come back as well; calls that went on are lost for the store.",
    away_for_long: "A server that is away for minutes: pages try each second and are back at once.",
    no_calls_while_stopping: "A new call while the server stops: 503.",
    server_is_drained: "A server that is drained lets calls go on to their ends, begins none, and closes whoever has none.",
}

fn account_disabled_in_a_call(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let alice = stage.registered("alice");
    stage.talking(alice, bob);
    stage.world.authority.set_disabled(0, true);
    stage.world.publish();
    stage.claim(
        stage.clients().is_empty(),
        "nobody is registered from this moment",
    );
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("FAILED"), "alice hears FAILED");
    stage.claim(stage.cause(bob) == Some("FAILED"), "so does bob");
    stage.recorded(EndedBy::Server, 403);
    stage.seconds(5);
    stage.claim(stage.clients().is_empty(), "nobody comes back");
}

fn disabled_account_stays_out(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage.world.authority.set_disabled(0, true);
    stage.world.publish();
    stage.seconds(10);
    stage.claim(
        stage.browser(bob).last_state().map(|(ready, _, _)| ready) == Some(false),
        "bob's app knows",
    );
    stage.world.authority.set_disabled(0, false);
    stage.world.publish();
    let token = stage.token(&Wish::all("bob"));
    stage
        .world
        .app(bob, |browser, now| browser.enable_incoming(now, &token));
    stage.seconds(2);
    stage.claim(stage.clients() == ["bob"], "later he may come back");
}

fn other_accounts_go_on(stage: &mut Stage) {
    let bob = stage.registered_with(1, &Wish::all("bob"));
    let alice = stage.registered_with(1, &Wish::all("alice"));
    stage.habit(bob, Answering::After(SECOND));
    let call = stage.call(alice, "bob");
    stage.seconds(3);
    stage.world.authority.set_disabled(0, true);
    stage.world.publish();
    stage.seconds(10);
    stage.claim(stage.cause(bob).is_none(), "they talk on");
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.claim(stage.cause(bob) == Some("NORMAL"), "until one hangs up");
}

fn server_stops(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let alice = stage.registered("alice");
    stage.talking(alice, bob);
    stage.world.stop_server(0, None);
    stage.millis(100);
    stage.claim(stage.cause(alice) == Some("FAILED"), "alice hears FAILED");
    stage.claim(stage.cause(bob) == Some("FAILED"), "so does bob");
    stage.recorded(EndedBy::Server, 503);
    stage.seconds(3);
    stage.claim(
        !stage.browser(bob).is_connected(),
        "the connections are closed",
    );
}

fn server_stops_while_ringing(stage: &mut Stage) {
    let bob = stage.registered("bob");
    let alice = stage.registered("alice");
    stage.call(alice, "bob");
    stage.seconds(1);
    stage.world.stop_server(0, None);
    stage.millis(100);
    stage.claim(
        stage.cause(alice) == Some("UNOBTAINABLE"),
        "alice hears UNOBTAINABLE",
    );
    stage.claim(stage.cause(bob) == Some("NORMAL"), "bob rings no more");
    stage.recorded(EndedBy::Server, 503);
}

fn server_restarts(stage: &mut Stage) {
    let (bob, alice) = (stage.registered("bob"), stage.registered("alice"));
    stage.world.stop_server(0, Some(Duration::from_secs(5)));
    stage.seconds(4);
    stage.claim(stage.clients().is_empty(), "nobody is registered");
    stage.seconds(5);
    stage.claim(stage.clients() == ["alice", "bob"], "both are back");
    for page in [bob, alice] {
        stage.claim(
            stage.browser(page).last_state() == Some((true, "NORMAL", true)),
            "and their apps know",
        );
    }
}

fn server_is_killed(stage: &mut Stage) {
    let bob = stage.answering("bob");
    let alice = stage.registered("alice");
    stage.talking(alice, bob);
    stage.world.crash_server(0, Some(Duration::from_secs(2)));
    stage.millis(100);
    stage.claim(stage.cause(bob) == Some("FAILED"), "the pages notice");
    stage.seconds(5);
    stage.claim(stage.clients() == ["alice", "bob"], "both are back");
    let records = stage.records();
    stage.claim(records.len() == 1, "the call was in the store");
    stage.claim(
        records[0].outcome.is_none(),
        "nobody could write how it ended",
    );
}

fn away_for_long(stage: &mut Stage) {
    let bob = stage.registered("bob");
    stage.world.crash_server(0, Some(Duration::from_secs(300)));
    stage.seconds(299);
    stage.claim(
        stage.browser(bob).wants_calls(),
        "the SDK has kept its token",
    );
    stage.seconds(4);
    stage.claim(stage.clients() == ["bob"], "bob is back at once");
    let told = stage.heard(bob, |heard| {
        matches!(heard, Heard::IncomingState { ready: false, .. })
    });
    stage.claim(told == 0, "his app was never told otherwise");
}

fn no_calls_while_stopping(stage: &mut Stage) {
    stage.registered("bob");
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let hello = stage.register(
        "alice",
        Some(&token),
        "<sip:alice@raw.invalid;transport=ws>;expires=600",
    );
    stage.sends(alice, hello.finish());
    let invite = stage.invite("alice", "bob", &token).finish();
    // It is on its way when the server is told to stop.
    stage.world.script(alice, |raw| raw.send(invite));
    stage.millis(1);
    stage.world.stop_server(0, None);
    stage.seconds(2);
    stage.claim(stage.records().is_empty(), "no call was placed");
}

fn server_is_drained(stage: &mut Stage) {
    let (bob, carol) = (stage.answering("bob"), stage.registered("carol"));
    let alice = stage.registered("alice");
    let (call, _) = stage.talking(alice, bob);
    let left = stage.world.drain_server(0);
    stage.claim(left == 1, "one call goes on");
    stage.seconds(1);
    stage.claim(
        !stage.browser(carol).is_connected() && stage.clients() == ["alice", "bob"],
        "carol is sent elsewhere",
    );
    stage.call(alice, "bob");
    stage.seconds(1);
    stage.claim(stage.cause(alice) == Some("FAILED"), "no other call begins");
    stage.seconds(30);
    let left = stage.world.drain_server(0);
    stage.claim(left == 1, "the first one goes on");
    stage.hang_up(alice, call);
    stage.seconds(1);
    stage.claim(stage.cause(bob) == Some("NORMAL"), "until one hangs up");
    let left = stage.world.drain_server(0);
    stage.claim(left == 0, "then none is left");
    stage.seconds(1);
    stage.claim(stage.clients().is_empty(), "and nobody");
}
