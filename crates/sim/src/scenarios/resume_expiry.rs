//! Stories with resumable signalling in which whoever loses its connection does not come back in time (docs/resume.md,
//! "Coming back" 4): at every boundary, in each way, on one side and on all at once.
//!
//! Calls are over after the window and the bounds on noticing a loss, not sooner and not later; who is left is told, who
//! comes back is told as well, registers anew and can be called.

use model::{CallRecord, EndedBy};

use super::resume_sweep::{ALICE, BOB, Story, begin, call_of, is_end, is_talking, plan, times};
use super::{Stage, scenarios};
use crate::authority::Wish;
use crate::browser::{Answering, Heard};
use crate::clock::{MILLI, SECOND};
use crate::faults::{Cut, Faults};

scenarios! {
    expired_call: "Call and re-INVITEs; lost at every boundary for good: the other side is told after the window.",
    expired_call_all_lost: "The same; every connection is lost at once, for good.",
    expired_hangup: "The callee hangs up; lost at every boundary for good.",
    expired_cancel: "A call is taken back; lost at every boundary for good.",
    expired_reject: "A call is rejected; lost at every boundary for good.",
    late_call: "Call and re-INVITEs; lost at every boundary, back after 65 s and after 200 s.",
    late_call_all_lost: "The same; every connection is lost at once.",
    late_hangup: "The callee hangs up; lost at every boundary, back after 65 s and after 200 s.",
    late_cancel: "A call is taken back; lost at every boundary, back after 65 s and after 200 s.",
}

/// Nobody is away for longer in any world.
const FOR_GOOD: u64 = 100_000 * SECOND;
/// Two pings without an answer, the window, and what a message takes.
const AT_THE_LATEST_S: u64 = 75 + 60 + 2;

fn call(stage: &mut Stage) {
    begin(stage, Answering::After(300 * MILLI));
    stage.call(ALICE, "bob");
    stage.waits(3, |world| {
        is_talking(world, ALICE) && is_talking(world, BOB)
    });
    for page in [ALICE, BOB] {
        if let Some(call) = call_of(&stage.world, page) {
            stage
                .world
                .app(page, |browser, now| browser.reinvite(now, call));
            stage.millis(200);
        }
    }
    stage.seconds(1);
}

fn hangup(stage: &mut Stage) {
    begin(stage, Answering::After(300 * MILLI));
    stage.call(ALICE, "bob");
    stage.waits(3, |world| {
        is_talking(world, ALICE) && is_talking(world, BOB)
    });
    if let Some(call) = call_of(&stage.world, BOB) {
        stage.hang_up(BOB, call);
    }
    stage.seconds(1);
}

fn cancel(stage: &mut Stage) {
    begin(stage, Answering::Never);
    let call = stage.call(ALICE, "bob");
    stage.waits(3, |world| {
        times(world, ALICE, |heard| matches!(heard, Heard::Ringing(_))) > 0
    });
    stage.hang_up(ALICE, call);
    stage.seconds(1);
}

fn reject(stage: &mut Stage) {
    begin(stage, Answering::Rejects(486, 300 * MILLI));
    stage.call(ALICE, "bob");
    stage.seconds(3);
}

/// Tells a story for each boundary and kind of loss, with whoever is lost away for so long.
fn sweep(stage: &mut Stage, loses_all: bool, away: u64, story: Story) {
    stage.restart(&plan(Faults::none()));
    story(stage);
    let (start, end) = (stage.mark, stage.world.faults.boundaries());
    stage.claim(end - start > 18, "the story has many boundaries");
    for boundary in start..end {
        for cut in Cut::ALL {
            let faults = Faults::loss_at(boundary, cut);
            stage.restart(&plan(faults.for_all(loses_all).away(away)));
            stage.title =
                format!("boundary {boundary}, {cut:?}, all {loses_all}, away {away} µs: ");
            story(stage);
            let since = stage.world.micros();
            stage.seconds(AT_THE_LATEST_S);
            calls_are_over(stage, away);
            if away == FOR_GOOD {
                who_is_away_is_forgotten(stage);
            } else {
                stage.world.run_to(since + away);
                stage.seconds(40);
                comes_back(stage);
            }
            stage.ends();
        }
    }
}

fn is_away(stage: &Stage, page: usize) -> bool {
    stage.world.is_away(page)
}

/// Nothing that should be dead is alive, at the server or in a page that can know.
fn calls_are_over(stage: &mut Stage, away: u64) {
    for record in stage.records() {
        let Some(end) = &record.outcome else {
            // A client that notices its loss late may still come back in time; then both sides must know of the call.
            let both_talk = is_talking(&stage.world, ALICE) && is_talking(&stage.world, BOB);
            stage.claim(both_talk, "a call goes on without one of its sides");
            return;
        };
        if end.by == EndedBy::Server && end.status == 503 {
            let names_window = end.reason.ends_with("did not come back in 60 s");
            let is_replaced = away < FOR_GOOD && end.reason.ends_with("connection was lost");
            stage.claim(
                names_window || is_replaced,
                &format!("the record says what happened: {:?}", end.reason),
            );
            stage.claim(
                is_replaced || waited(&record) >= 60,
                "the server has waited for the whole window",
            );
        }
    }
    for page in [BOB, ALICE] {
        if !is_away(stage, page) {
            let calls = stage.browser(page).open_calls();
            stage.claim(calls.is_empty(), &format!("page {page} has {calls:?}"));
        }
        let calls = times(&stage.world, page, |heard| {
            matches!(heard, Heard::Incoming { .. })
        }) + usize::from(page == ALICE);
        let ends = times(&stage.world, page, is_end);
        // A caller whose INVITE has no final answer waits for one, wherever it is (SIP.js).
        stage.claim(
            ends == calls || (page == ALICE && is_away(stage, ALICE)),
            &format!("page {page} was told {ends} ends of {calls} calls"),
        );
    }
}

fn waited(record: &CallRecord) -> u64 {
    record.outcome.as_ref().map_or(0, |end| {
        end.at.as_secs().saturating_sub(record.started.as_secs()) + 1
    })
}

fn who_is_away_is_forgotten(stage: &mut Stage) {
    let here: Vec<_> = [(ALICE, "alice"), (BOB, "bob")]
        .into_iter()
        .filter(|(page, _)| !is_away(stage, *page))
        .map(|(_, name)| name.to_owned())
        .collect();
    stage.claim(stage.clients() == here, "who is away is not registered");
    stage.claim(
        stage.world.server(0).sessions().len() == here.len(),
        "nobody waits for who is away",
    );
}

fn comes_back(stage: &mut Stage) {
    for (page, name) in [(BOB, "bob"), (ALICE, "alice")] {
        if !stage.browser(page).wants_calls() {
            let token = stage.token(&Wish::all(name));
            stage
                .world
                .app(page, |browser, now| browser.enable_incoming(now, &token));
        }
    }
    stage.seconds(5);
    stage.claim(
        stage.clients() == ["alice", "bob"],
        "both are registered again",
    );
    if let Some(call) = call_of(&stage.world, ALICE) {
        stage.hang_up(ALICE, call);
        stage.seconds(2);
    }
    stage.claim(stage.browser(ALICE).may_call(), "alice may call again");
    stage.habit(BOB, Answering::After(300 * MILLI));
    stage.call(ALICE, "bob");
    stage.seconds(5);
    stage.claim(is_talking(&stage.world, BOB), "and bob answers");
}

fn expired_call(stage: &mut Stage) {
    sweep(stage, false, FOR_GOOD, call);
}

fn expired_call_all_lost(stage: &mut Stage) {
    sweep(stage, true, FOR_GOOD, call);
}

fn expired_hangup(stage: &mut Stage) {
    sweep(stage, false, FOR_GOOD, hangup);
    sweep(stage, true, FOR_GOOD, hangup);
}

fn expired_cancel(stage: &mut Stage) {
    sweep(stage, false, FOR_GOOD, cancel);
    sweep(stage, true, FOR_GOOD, cancel);
}

fn expired_reject(stage: &mut Stage) {
    sweep(stage, false, FOR_GOOD, reject);
    sweep(stage, true, FOR_GOOD, reject);
}

fn late(stage: &mut Stage, loses_all: bool, story: Story) {
    for away in [65 * SECOND, 200 * SECOND] {
        sweep(stage, loses_all, away, story);
    }
}

fn late_call(stage: &mut Stage) {
    late(stage, false, call);
}

fn late_call_all_lost(stage: &mut Stage) {
    late(stage, true, call);
}

fn late_hangup(stage: &mut Stage) {
    late(stage, false, hangup);
    late(stage, true, hangup);
}

fn late_cancel(stage: &mut Stage) {
    late(stage, false, cancel);
    late(stage, true, cancel);
}
