//! Relays in trouble and in order: what they tell the records, state that is lost, sockets that cannot be had, the end.

use std::time::Duration;

use model::RelayUsage;

use super::nat::{Duo, conduct, connect, duo, flows, tally, with_turn};
use super::{Stage, scenarios};
use crate::clock::{MILLI, SECOND};
use crate::datagram::PUBLIC;
use crate::media::{Path, Remedy};
use crate::nat::Kind;
use crate::relay::TurnPlan;

scenarios! {
    usage_in_the_record: "What was relayed for either side stands in the call's record, packet by packet.",
    no_usage_without_a_relay: "A call that went direct has the checks alone on its record.",
    nothing_passes_after_the_call: "Ten seconds after the call nothing passes, though both pages and a peer go on sending.",
    relay_loses_its_state: "Every worker loses its state in mid-call: pages allocate anew and the call goes on.",
    one_worker_loses_its_state: "One worker of four loses its state: whoever it served allocates anew.",
    relay_is_lost_and_the_page_gives_up: "The same, and a page that hangs up instead, with a reason.",
    server_is_killed_under_relays: "The server is killed with a call on its relays: nothing is left, and the next call works.",
    call_over_half_an_hour: "Allocations, permissions, channels and nonces are renewed for half an hour.",
    sockets_are_refused: "Every other socket cannot be had: others are tried, and media flows.",
    no_socket_at_all: "No socket can be had: the relay is refused with 508, the direct way works, nothing is left.",
    late_sockets: "Sockets come late: allocations wait for them, repeated requests make no second one.",
    late_recheck: "Workers are told late and twice that a call has ended: nothing is harmed.",
    page_is_closed: "A page is closed without a word: its allocations end by themselves.",
    never_called: "A page gathers for a call that is refused: its allocations are given back.",
}

/// Two pages behind NATs that only a relay joins, in a call.
#[track_caller]
pub(super) fn relayed(stage: &mut Stage, turn: TurnPlan) -> Duo {
    stage.restart(&with_turn(turn));
    let homes = [(); 2].map(|()| stage.world.add_nat(Kind::SYMMETRIC, PUBLIC));
    let duo = duo(stage, homes);
    stage.seconds(5);
    duo
}

/// The relays' part of the last record.
fn recorded(stage: &Stage) -> [RelayUsage; 2] {
    let records = stage.records();
    stage.claim(!records.is_empty(), "there is a record");
    records[records.len() - 1].relay
}

fn usage_in_the_record(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    flows(stage, &duo, 20, Path::Relayed);
    stage.hang_up(duo.alice, duo.out);
    stage.seconds(45);
    let counted = |holder: usize| {
        let relays = stage.world.relays(0).expect("this world has TURN");
        // Sessions are numbered in the order in which they were opened: bob's first.
        let all: Vec<RelayUsage> = relays.counted.values().copied().collect();
        all[holder]
    };
    let (bob, alice) = (counted(0), counted(1));
    let record = recorded(stage);
    stage.claim(
        record == [alice, bob],
        &format!("the record says {record:?}, and {alice:?} and {bob:?} were relayed"),
    );
    stage.claim(
        record[0].bytes() > 20 * 5 * 172,
        "which is what twenty seconds of media come to",
    );
}

fn no_usage_without_a_relay(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    let duo = duo(stage, [PUBLIC; 2]);
    stage.seconds(3);
    flows(stage, &duo, 20, Path::Direct);
    stage.hang_up(duo.alice, duo.out);
    stage.seconds(45);
    let record = recorded(stage);
    stage.claim(
        record.iter().all(|usage| usage.sent.packets < 100),
        &format!("only checks were relayed: {record:?}"),
    );
}

fn nothing_passes_after_the_call(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    for page in [alice, bob] {
        let home = stage.world.add_nat(Kind::SYMMETRIC, PUBLIC);
        stage.world.place(page, home);
        conduct(stage, page, |conduct| conduct.clings = true);
    }
    // Alice is registered: her connection outlives the call.
    let token = stage.token(&crate::authority::Wish::all("alice"));
    stage
        .world
        .app(alice, |browser, now| browser.enable_incoming(now, &token));
    let duo = connect(stage, alice, bob);
    stage.seconds(5);
    flows(stage, &duo, 5, Path::Relayed);
    let relayed: Vec<_> = stage
        .world
        .relays(0)
        .map_or_else(Vec::new, |relays| relays.relayed());
    stage.claim(!relayed.is_empty(), "there are relayed addresses");
    stage.hang_up(alice, duo.out);
    stage.seconds(11);
    let before = duo.tallies(stage);
    let seen = stage.world.reach.seen;
    stage.seconds(60);
    let after = duo.tallies(stage);
    for at in 0..2 {
        stage.claim(after[at].sent > before[at].sent, "the pages go on sending");
        stage.claim(
            after[at].received == before[at].received,
            "and nothing arrives any more",
        );
    }
    stage.claim(
        stage.world.reach.seen == seen,
        "no datagram leaves a relayed address",
    );
    for page in [alice, bob] {
        stage.world.close_page(page);
    }
}

fn relay_loses_its_state(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    flows(stage, &duo, 5, Path::Relayed);
    lose_all(stage);
    stage.seconds(60);
    flows(stage, &duo, 5, Path::Relayed);
    let restarts: u32 = duo.tallies(stage).iter().map(|tally| tally.restarts).sum();
    stage.claim(restarts > 0, "somebody has sought the way anew");
}

fn lose_all(stage: &mut Stage) {
    let workers = stage.world.relays(0).map_or(0, |r| r.worker_count());
    for worker in 0..workers {
        stage.world.lose_worker(0, worker);
    }
}

fn one_worker_loses_its_state(stage: &mut Stage) {
    for worker in 0..4 {
        let duo = relayed(
            stage,
            TurnPlan {
                workers: 4,
                ..TurnPlan::default()
            },
        );
        stage.world.lose_worker(0, worker);
        stage.seconds(90);
        flows(stage, &duo, 5, Path::Relayed);
        stage.ends();
    }
}

fn relay_is_lost_and_the_page_gives_up(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    for page in [duo.alice, duo.bob] {
        conduct(stage, page, |conduct| conduct.remedy = Remedy::HangsUp);
    }
    lose_all(stage);
    stage.seconds(60);
    let records = stage.records();
    stage.claim(
        records.len() == 1 && records[0].outcome.is_some(),
        "the call has ended, and its record says so",
    );
    stage.claim(
        stage.cause(duo.alice).is_some() && stage.cause(duo.bob).is_some(),
        "both apps were told",
    );
}

fn server_is_killed_under_relays(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    flows(stage, &duo, 5, Path::Relayed);
    stage
        .world
        .crash_server(0, Some(Duration::from_millis(500)));
    stage.seconds(10);
    stage.claim(stage.cause(duo.alice).is_some(), "the call is over");
    let again = connect(stage, duo.alice, duo.bob);
    stage.seconds(5);
    flows(stage, &again, 5, Path::Relayed);
}

fn call_over_half_an_hour(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    for page in [duo.alice, duo.bob] {
        conduct(stage, page, |conduct| conduct.pace = SECOND);
    }
    stage.seconds(1_800);
    for page in [duo.alice, duo.bob] {
        conduct(stage, page, |conduct| conduct.pace = 200 * MILLI);
    }
    stage.seconds(2);
    flows(stage, &duo, 5, Path::Relayed);
    let tallies = duo.tallies(stage);
    for tally in &tallies {
        stage.claim(tally.restarts == 0, "nobody had to seek the way anew");
        stage.claim(
            tally.received > 1_790,
            &format!("{} packets of 1,800 came", tally.received),
        );
    }
}

fn sockets_are_refused(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    stage.world.relay_faults.refused_per_mille = 500;
    let homes = [(); 2].map(|()| stage.world.add_nat(Kind::SYMMETRIC, PUBLIC));
    let duo = duo(stage, homes);
    stage.seconds(8);
    flows(stage, &duo, 5, Path::Relayed);
}

fn no_socket_at_all(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    stage.world.relay_faults.refused_per_mille = 1000;
    let duo = duo(stage, [PUBLIC; 2]);
    stage.seconds(3);
    flows(stage, &duo, 5, Path::Direct);
    let refused = tally(stage, duo.alice, duo.out).refused;
    stage.claim(
        refused.iter().any(|(_, code)| *code == Some(508)),
        &format!("alice was refused with 508: {refused:?}"),
    );
    let left = stage.world.relays(0).map_or(0, |relays| relays.admitted());
    stage.claim(left == 0, "no allocation is counted");
}

fn late_sockets(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    stage.world.relay_faults.late_socket = 2 * SECOND;
    let homes = [(); 2].map(|()| stage.world.add_nat(Kind::SYMMETRIC, PUBLIC));
    let duo = duo(stage, homes);
    stage.seconds(8);
    flows(stage, &duo, 5, Path::Relayed);
    let allocations = stage.world.relays(0).map_or(0, |r| r.allocations());
    stage.claim(
        allocations == 4,
        &format!("one for each link of either side, not {allocations}"),
    );
}

fn late_recheck(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    stage.world.relay_faults.late_recheck = 3 * SECOND;
    let homes = [(); 2].map(|()| stage.world.add_nat(Kind::SYMMETRIC, PUBLIC));
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    for (page, home) in [alice, bob].into_iter().zip(homes) {
        stage.world.place(page, home);
        conduct(stage, page, |conduct| conduct.clings = true);
    }
    let first = connect(stage, alice, bob);
    stage.seconds(5);
    stage.hang_up(alice, first.out);
    // The second call is up when the workers are told of the end of the first.
    for page in [alice, bob] {
        conduct(stage, page, |conduct| conduct.clings = false);
    }
    stage.seconds(8);
    let (out, incoming) = stage.talking(alice, bob);
    let second = Duo {
        out,
        incoming,
        ..first
    };
    stage.seconds(5);
    flows(stage, &second, 20, Path::Relayed);
    for page in [alice, bob] {
        stage.world.close_page(page);
    }
}

fn page_is_closed(stage: &mut Stage) {
    let duo = relayed(stage, TurnPlan::default());
    stage.world.close_page(duo.alice);
    stage.world.close_page(duo.bob);
    stage.seconds(700);
    let relays = stage.world.relays(0).expect("this world has TURN");
    let left = relays.census();
    stage.claim(left.is_none(), &format!("something is left: {left:?}"));
}

fn never_called(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    let home = stage.world.add_nat(Kind::SYMMETRIC, PUBLIC);
    let alice = stage.page("alice");
    stage.world.place(alice, home);
    stage.call(alice, "nobody");
    stage.seconds(10);
    stage.claim(stage.cause(alice).is_some(), "nobody is there");
    let left = stage.world.relays(0).map_or(0, |r| r.allocations());
    stage.claim(left == 0, "the allocations were given back");
}
