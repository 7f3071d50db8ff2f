//! Sessions that wait for their clients, situation by situation (docs/resume.md): what becomes of calls, registrations and
//! messages meanwhile, when the client is back, and when it is not in time.

use model::{EndedBy, limits};
use switch::Counter;

use super::resume::{counted, in_call, sessions};
use super::resume_sweep::{is_talking, plan};
use super::{Stage, scenarios};
use crate::authority::{Taken, Wish};
use crate::browser::{Browser, CallState, Heard};
use crate::clock::SECOND;
use crate::faults::{Cut, Faults};
use crate::raw::row;
use crate::world::Plan;

scenarios! {
    registered_while_it_waits: "A client that is waited for is registered, and is not any more when its window is over.",
    goodbye_ends_it: "A page that is closed ends its session at once.",
    called_while_it_waits: "A call comes while the callee is waited for: it rings as soon as it is back.",
    called_and_cancelled_while_it_waits: "A call comes and is taken back meanwhile: it does not ring on.",
    called_in_vain_while_it_waits: "A call comes and nobody answers in time: nothing rings when the callee is back.",
    answer_repeated_while_it_waits: "An answer that was repeated while its sender was lost does not end the call.",
    stale_invite_is_taken_back: "An INVITE that its caller has given up rings nowhere when the caller comes back.",
    reason_names_the_window: "After the window the other side gets BYE with a Reason that names it, and the record too.",
    ringing_callee_expires: "A callee that rings is lost for good: 480 to the caller after the window, with a Reason.",
    account_disabled_while_it_waits: "An account that is disabled ends its sessions that wait; whoever is back is told.",
    token_revoked_while_it_waits: "A token that is revoked with its end ends the session that waits; whoever is back registers in vain.",
    server_stops_while_it_waits: "A server that stops ends sessions that wait, and their calls.",
    server_is_drained_while_it_waits: "A server that is drained waits on for whoever has a call, and takes it back.",
    server_crashes_while_it_waits: "After a crash nobody can come back: the app is told and registers anew.",
    too_much_for_a_waiting_client: "A flood of calls, each taken back, for a client that is waited for: the caller gets 486, and the session waits on.",
    too_much_from_a_waiting_app: "More than 256 messages of an app that is cut off: it is told.",
    no_room_to_wait: "Where no more sessions may wait, one that is lost ends at once.",
    other_pages_are_plain: "A page that resumes and one that does not talk with each other.",
    silent_loss_is_found_by_ping: "A server that does not answer is noticed by PING within 14 s.",
}

fn registered_while_it_waits(stage: &mut Stage) {
    stage.restart(&plan(Faults::none()));
    let bob = stage.registered("bob");
    stage.world.take_away(bob, 1000 * SECOND);
    stage.world.cut(bob, Cut::BOTH);
    stage.seconds(59);
    stage.claim(stage.clients() == ["bob"], "59 s later he is registered");
    stage.claim(stage.world.server(0).waiting() == 1, "and waited for");
    stage.seconds(2);
    stage.claim(stage.clients().is_empty(), "61 s later he is not");
    stage.claim(sessions(stage) == 0, "and nobody waits");
    stage.claim(counted(stage, Counter::SessionExpired) == 1, "counted");
}

fn goodbye_ends_it(stage: &mut Stage) {
    let (alice, bob) = in_call(stage);
    stage.world.close_page(alice);
    stage.millis(100);
    stage.claim(stage.cause(bob) == Some("FAILED"), "bob is told at once");
    stage.claim(sessions(stage) == 1, "nobody waits for alice");
    stage.recorded(EndedBy::Server, 503);
}

/// Bob is waited for, and alice calls him; he is back after so many seconds.
fn called_while_away(stage: &mut Stage, seconds: u64, gives_up: bool) -> (usize, usize) {
    stage.restart(&plan(Faults::none()));
    let bob = stage.answering("bob");
    let alice = stage.registered("alice");
    stage.world.take_away(bob, seconds * SECOND);
    stage.world.cut(bob, Cut::BOTH);
    stage.seconds(1);
    let call = stage.call(alice, "bob");
    stage.seconds(2);
    if gives_up {
        stage.hang_up(alice, call);
    }
    stage.seconds(seconds + 4);
    (alice, bob)
}

fn rings(stage: &Stage, page: usize) -> usize {
    stage.heard(page, |heard| matches!(heard, Heard::Incoming { .. }))
}

fn called_while_it_waits(stage: &mut Stage) {
    let (alice, bob) = called_while_away(stage, 20, false);
    stage.claim(rings(stage, bob) == 1, "it rang once");
    stage.claim(
        is_talking(&stage.world, alice) && is_talking(&stage.world, bob),
        "and they talk",
    );
}

fn called_and_cancelled_while_it_waits(stage: &mut Stage) {
    for seconds in [10, 45] {
        let (alice, bob) = called_while_away(stage, seconds, true);
        stage.claim(stage.cause(alice) == Some("NOANSWER"), "alice gave up");
        stage.claim(
            stage.browser(bob).open_calls().is_empty(),
            "bob does not ring on",
        );
        stage.recorded(EndedBy::Caller, 487);
    }
}

fn called_in_vain_while_it_waits(stage: &mut Stage) {
    let (alice, bob) = called_while_away(stage, 45, false);
    stage.claim(
        stage.cause(alice) == Some("UNOBTAINABLE"),
        "alice was told after 32 s",
    );
    stage.claim(
        stage.browser(bob).open_calls().is_empty(),
        "nothing rings when bob is back",
    );
    stage.claim(
        stage.heard(bob, |heard| matches!(heard, Heard::Connected(_))) == 0,
        "and nothing was answered",
    );
}

fn answer_repeated_while_it_waits(stage: &mut Stage) {
    stage.restart(&plan(Faults::none()));
    let bob = stage.answering("bob");
    let alice = stage.registered("alice");
    stage.call(alice, "bob");
    stage.until("alice has the answer", |world| is_talking(world, alice));
    // The ACK is still on its way to bob, who repeats his answer meanwhile.
    stage.world.take_away(bob, 45 * SECOND);
    stage.world.cut(bob, Cut::BOTH);
    stage.seconds(52);
    stage.claim(
        stage.browser(bob).is_connected(),
        "bob is back within the window",
    );
    // SIP.js itself leaves a call whose ACK does not come within 32 s.
    stage.claim(
        stage.cause(bob) == Some("NORMAL") && stage.cause(alice) == Some("NORMAL"),
        "his own SDK has left the call, and nobody else",
    );
    stage.recorded(EndedBy::Callee, 200);

    stage.restart(&plan(Faults::none()));
    let bob = stage.answering("bob");
    let alice = stage.registered("alice");
    stage.call(alice, "bob");
    stage.until("alice has the answer", |world| is_talking(world, alice));
    stage.world.take_away(bob, 20 * SECOND);
    stage.world.cut(bob, Cut::BOTH);
    stage.seconds(60);
    stage.claim(
        is_talking(&stage.world, alice) && is_talking(&stage.world, bob),
        "after 20 s they talk on",
    );
}

fn stale_invite_is_taken_back(stage: &mut Stage) {
    stage.restart(&plan(Faults::none()));
    let bob = stage.answering("bob");
    let alice = stage.registered("alice");
    stage.seconds(1);
    stage.world.take_away(alice, 40 * SECOND);
    stage.world.cut(alice, Cut::BOTH);
    stage.millis(100);
    stage.call(alice, "bob");
    stage.seconds(35);
    stage.claim(
        stage.cause(alice) == Some("FAILED"),
        "the SDK has given it up after 32 s",
    );
    stage.seconds(20);
    stage.claim(stage.browser(alice).is_connected(), "alice is back");
    stage.claim(rings(stage, bob) == 0, "and nobody rings");
    stage.claim(stage.records().is_empty(), "there was no call");
}

fn reason_names_the_window(stage: &mut Stage) {
    stage.restart(&plan(Faults::none()));
    let bob = stage.registered_raw("bob");
    let alice = stage.registered("alice");
    stage.call(alice, "bob");
    stage.seconds(1);
    let invite = stage.inbox(bob).last("INVITE").unwrap_or_default();
    stage.sends(bob, super::cancel::accept(&invite, "b1"));
    stage.world.take_away(alice, 1000 * SECOND);
    stage.world.cut(alice, Cut::BOTH);
    stage.seconds(58);
    stage.claim(stage.inbox(bob).count("BYE") == 0, "not before its time");
    stage.seconds(4);
    let bye = stage.inbox(bob).last("BYE").unwrap_or_default();
    let wanted =
        "SIP;cause=503;text=\"the caller's connection was lost and did not come back in 60 s\"";
    stage.claim(row(&bye, "Reason") == Some(wanted), "the BYE says why");
    stage.recorded(EndedBy::Server, 503);
    stage.claim(
        stage.browser(alice).open_calls().is_empty(),
        "alice's app knows as well",
    );
    stage.claim(stage.cause(alice) == Some("FAILED"), "by itself");
}

fn ringing_callee_expires(stage: &mut Stage) {
    let mut patient = plan(Faults::none());
    patient.settings.no_answer = std::time::Duration::from_secs(300);
    stage.restart(&patient);
    let bob = stage.registered("bob");
    let alice = stage.registered_raw("alice");
    let token = stage.token(&Wish::all("alice"));
    let invite = stage.invite("alice", "bob", &token).finish();
    stage.sends(alice, invite);
    stage.claim(rings(stage, bob) == 1, "bob rings");
    stage.world.take_away(bob, 1000 * SECOND);
    stage.world.cut(bob, Cut::BOTH);
    stage.seconds(59);
    stage.claim(stage.inbox(alice).count("SIP/2.0 480") == 0, "59 s");
    stage.seconds(2);
    let refusal = stage.inbox(alice).last("SIP/2.0 480").unwrap_or_default();
    stage.claim(
        row(&refusal, "Reason").is_some_and(|reason| reason.contains("did not come back in 60 s")),
        "the 480 says why",
    );
    stage.recorded(EndedBy::Server, 503);
}

fn account_disabled_while_it_waits(stage: &mut Stage) {
    let (alice, bob) = in_call(stage);
    stage.world.take_away(alice, 10 * SECOND);
    stage.world.cut(alice, Cut::BOTH);
    stage.seconds(5);
    stage.claim(is_talking(&stage.world, bob), "bob talks on");
    stage.world.authority.set_disabled(0, true);
    stage.world.publish();
    stage.seconds(2);
    stage.claim(
        sessions(stage) == 0 || stage.world.server(0).waiting() == 0,
        "nobody is waited for",
    );
    stage.claim(stage.cause(bob) == Some("FAILED"), "bob is told");
    stage.recorded(EndedBy::Server, 403);
    stage.seconds(15);
    stage.claim(
        stage.cause(alice) == Some("FAILED"),
        "and alice when she is back",
    );
    stage.claim(
        counted(stage, Counter::ResumeRefused) >= 1,
        "she was refused",
    );
    stage.claim(stage.clients().is_empty(), "nobody is registered");
}

fn token_revoked_while_it_waits(stage: &mut Stage) {
    let (alice, bob) = in_call(stage);
    stage.world.take_away(alice, 10 * SECOND);
    stage.world.cut(alice, Cut::BOTH);
    stage.seconds(5);
    stage.claim(is_talking(&stage.world, bob), "bob talks on");
    let now = stage.world.now().unix;
    let taken = Taken::Client("alice".to_owned());
    stage.world.authority.revoke(0, taken, now, true);
    stage.world.publish();
    stage.seconds(2);
    stage.claim(stage.cause(bob) == Some("FAILED"), "bob is told");
    stage.recorded(EndedBy::Server, 403);
    stage.seconds(15);
    stage.claim(
        counted(stage, Counter::ResumeRefused) >= 1,
        "she was refused",
    );
    stage.claim(stage.clients() == ["bob"], "she is not registered");
}

fn server_stops_while_it_waits(stage: &mut Stage) {
    let (alice, bob) = in_call(stage);
    stage.world.take_away(alice, 10 * SECOND);
    stage.world.cut(alice, Cut::BOTH);
    stage.seconds(2);
    stage
        .world
        .stop_server(0, Some(std::time::Duration::from_secs(3)));
    stage.millis(100);
    stage.claim(stage.cause(bob) == Some("FAILED"), "bob is told at once");
    stage.claim(stage.world.server(0).waiting() == 0, "nobody is waited for");
    stage.recorded(EndedBy::Server, 503);
    stage.seconds(20);
    stage.claim(stage.cause(alice) == Some("FAILED"), "alice as she is back");
    stage.claim(
        stage.clients() == ["alice", "bob"],
        "both are registered anew",
    );
}

fn server_is_drained_while_it_waits(stage: &mut Stage) {
    let (alice, bob) = in_call(stage);
    stage.world.take_away(alice, 10 * SECOND);
    stage.world.cut(alice, Cut::BOTH);
    stage.seconds(2);
    let left = stage.world.drain_server(0);
    stage.claim(left == 1, "the call goes on");
    stage.seconds(20);
    let left = stage.world.drain_server(0);
    stage.claim(left == 1, "for as long as it lasts");
    for page in [alice, bob] {
        stage.claim(is_talking(&stage.world, page), "both talk on");
    }
}

fn server_crashes_while_it_waits(stage: &mut Stage) {
    let (alice, bob) = in_call(stage);
    stage.world.take_away(alice, 5 * SECOND);
    stage.world.cut(alice, Cut::BOTH);
    stage.seconds(2);
    stage
        .world
        .crash_server(0, Some(std::time::Duration::from_secs(3)));
    stage.seconds(20);
    for page in [alice, bob] {
        stage.claim(stage.cause(page) == Some("FAILED"), "both are told");
    }
    stage.claim(
        stage.clients() == ["alice", "bob"],
        "both are registered anew",
    );
}

fn too_much_for_a_waiting_client(stage: &mut Stage) {
    stage.restart(&plan(Faults::none()));
    let bob = stage.registered("bob");
    let alice = stage.raw("alice");
    let token = stage.token(&Wish::all("alice"));
    stage.world.take_away(bob, 1000 * SECOND);
    stage.world.cut(bob, Cut::BOTH);
    let calls = 2 * limits::CALLS_RINGING_PER_CALLER;
    for _ in 0..calls {
        let draft = stage.invite("alice", "bob", &token);
        stage.world.script(alice, |raw| raw.send(draft.finish()));
        stage.millis(100);
        let cancel = super::cancel::as_cancel(&draft.finish());
        stage.world.script(alice, |raw| raw.send(cancel));
        stage.millis(100);
    }
    stage.seconds(1);
    stage.claim(stage.clients() == ["bob"], "bob's session waits on");
    stage.claim(
        counted(stage, Counter::SlowReader) == 0,
        "it is not drowned",
    );
    stage.claim(
        stage.inbox(alice).count("SIP/2.0 486") == calls - limits::CALLS_RINGING_PER_CALLER,
        "the caller is told that he has enough of hers",
    );
}

fn too_much_from_a_waiting_app(stage: &mut Stage) {
    let (alice, bob) = in_call(stage);
    let key = super::resume_sweep::call_of(&stage.world, alice).expect("they talk");
    stage.world.take_away(alice, 1000 * SECOND);
    stage.world.cut(alice, Cut::BOTH);
    stage.millis(10);
    for _ in 0..=limits::OUTBOX_MESSAGES {
        stage.world.app(alice, |browser, now| {
            browser.ask_in_dialog(now, key, "INFO", "x");
        });
    }
    stage.millis(10);
    stage.claim(stage.cause(alice) == Some("FAILED"), "alice's app is told");
    stage.seconds(61);
    stage.claim(stage.cause(bob) == Some("FAILED"), "bob after the window");
}

fn no_room_to_wait(stage: &mut Stage) {
    stage.restart(&Plan {
        waiting_room: 1,
        ..plan(Faults::none())
    });
    let pages = [stage.registered("bob"), stage.registered("alice")];
    for page in pages {
        stage.world.take_away(page, 20 * SECOND);
        stage.world.cut(page, Cut::BOTH);
    }
    stage.millis(100);
    stage.claim(stage.clients() == ["bob"], "there is room for one");
    stage.claim(counted(stage, Counter::SessionNotKept) == 1, "counted");
    stage.seconds(30);
    stage.claim(
        stage.clients() == ["alice", "bob"],
        "the other registers anew",
    );
}

fn other_pages_are_plain(stage: &mut Stage) {
    stage.restart(&plan(Faults::none()));
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    stage.world.set_resumes(alice, false);
    stage.talking(alice, bob);
    stage.world.cut(bob, Cut::BOTH);
    stage.seconds(5);
    stage.claim(
        is_talking(&stage.world, alice) && is_talking(&stage.world, bob),
        "bob's loss is nothing to them",
    );
    stage.world.cut(alice, Cut::BOTH);
    stage.millis(100);
    stage.claim(
        stage.cause(bob) == Some("FAILED"),
        "alice's ends the call at once",
    );
}

fn silent_loss_is_found_by_ping(stage: &mut Stage) {
    let (alice, bob) = in_call(stage);
    stage.world.cut(
        alice,
        Cut {
            client_after: 600 * SECOND,
            server_after: None,
        },
    );
    stage.seconds(15);
    stage.claim(
        counted(stage, Counter::SessionResumed) == 1,
        "alice is on another socket",
    );
    let talks = |page| {
        let browser: &Browser = stage.browser(page);
        let calls = browser.open_calls();
        matches!(calls[..], [(_, CallState::Established)])
    };
    stage.claim(talks(alice) && talks(bob), "they talk");
    stage.claim(stage.world.is_settled(alice), "and all has arrived");
}
