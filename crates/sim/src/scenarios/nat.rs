//! Calls whose media crosses NATs of every kind (RFC 4787): direct where that can be, through a relay where it cannot.
//!
//! The whole way: a credential by OPTIONS, candidates in the offer and the answer, allocations, permissions, packets.

use super::{Stage, scenarios};
use crate::browser::CallKey;
use crate::clock::{MILLI, SECOND};
use crate::datagram::{PUBLIC, Quality};
use crate::media::{Path, Tally};
use crate::nat::{Dependence, Kind};
use crate::relay::TurnPlan;
use crate::world::Plan;

scenarios! {
    every_nat_meets_every_nat: "Five kinds of NAT on either side: media arrives in every cell, by the way that is expected.",
    every_mapping_meets_every_filter: "All nine kinds of RFC 4787 on either side: media arrives in all 81 cells, by the way that is expected.",
    no_udp_at_all: "Both sides let no UDP through: both reach the relay over TCP.",
    one_home: "Two pages behind one NAT talk without leaving home.",
    carrier_nat: "Two homes behind one carrier's NAT: direct if it hairpins, by the relay if not.",
    nat_behind_nat: "A symmetric carrier's NAT in front of an open one at home is symmetric.",
    public_page: "A page without a NAT is reached by a page behind any.",
    short_memory: "NATs that forget after half a minute: the checks keep the way open for five minutes.",
    nat_reboots: "A NAT loses its table in mid-call: media finds another way and the call goes on.",
    relay_by_choice: "Pages that want relays alone get nothing else, though the direct way is open.",
    bad_network: "One packet in twenty lost, some doubled, all out of order: the way is found and kept.",
}

/// Two pages in a call.
pub(super) struct Duo {
    pub(super) alice: usize,
    pub(super) bob: usize,
    pub(super) out: CallKey,
    pub(super) incoming: CallKey,
}

impl Duo {
    /// What alice's and bob's media have counted.
    pub(super) fn tallies(&self, stage: &Stage) -> [Tally; 2] {
        [
            tally(stage, self.alice, self.out),
            tally(stage, self.bob, self.incoming),
        ]
    }
}

pub(super) fn tally(stage: &Stage, page: usize, call: CallKey) -> Tally {
    let media = stage.browser(page).media.as_ref();
    media.map(|media| media.tally(call)).unwrap_or_default()
}

/// A world with TURN.
pub(super) fn with_turn(turn: TurnPlan) -> Plan {
    Plan {
        turn: Some(turn),
        ..Plan::default()
    }
}

/// Alice behind one realm calls bob behind another, and both talk.
#[track_caller]
pub(super) fn duo(stage: &mut Stage, realms: [usize; 2]) -> Duo {
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    stage.world.place(alice, realms[0]);
    stage.world.place(bob, realms[1]);
    connect(stage, alice, bob)
}

#[track_caller]
pub(super) fn connect(stage: &mut Stage, alice: usize, bob: usize) -> Duo {
    // Bob's page asked for servers before it had a host to use them from.
    stage.seconds(31);
    let (out, incoming) = stage.talking(alice, bob);
    Duo {
        alice,
        bob,
        out,
        incoming,
    }
}

/// Media flows both ways for so many seconds from now on, by this way.
#[track_caller]
pub(super) fn flows(stage: &mut Stage, duo: &Duo, seconds: u64, path: Path) {
    let before = duo.tallies(stage);
    stage.seconds(seconds);
    let after = duo.tallies(stage);
    for (at, name) in ["alice", "bob"].into_iter().enumerate() {
        let came = after[at].received - before[at].received;
        let wanted = seconds * SECOND / (200 * MILLI);
        stage.claim(
            came * 10 >= wanted * 8,
            &format!("{name} gets {came} packets of {wanted}"),
        );
        let found = after[at].path;
        stage.claim(
            found == Some(path),
            &format!("{name} sends {found:?} and not {path:?}"),
        );
    }
}

fn cell(stage: &mut Stage, kinds: [Kind; 2], turn: &TurnPlan, path: Path) {
    stage.restart(&with_turn(turn.clone()));
    stage.title = format!("{kinds:?}: ");
    let realms = kinds.map(|kind| stage.world.add_nat(kind, PUBLIC));
    let duo = duo(stage, realms);
    stage.seconds(10);
    flows(stage, &duo, 5, path);
    stage.hang_up(duo.alice, duo.out);
    stage.ends();
}

fn expected(kinds: [Kind; 2]) -> Path {
    if kinds[0].meets(kinds[1]) {
        Path::Direct
    } else {
        Path::Relayed
    }
}

fn every_nat_meets_every_nat(stage: &mut Stage) {
    let kinds = [
        Kind::OPEN,
        Kind::RESTRICTED,
        Kind::PORT_RESTRICTED,
        Kind::SYMMETRIC,
        Kind::NO_UDP,
    ];
    for one in kinds {
        for other in kinds {
            let path = expected([one, other]);
            cell(stage, [one, other], &TurnPlan::default(), path);
        }
    }
}

fn every_mapping_meets_every_filter(stage: &mut Stage) {
    let kinds: Vec<Kind> = Dependence::ALL
        .iter()
        .flat_map(|mapping| Dependence::ALL.map(|filtering| Kind::of(*mapping, filtering)))
        .collect();
    for &one in &kinds {
        for &other in &kinds {
            let path = expected([one, other]);
            cell(stage, [one, other], &TurnPlan::default(), path);
        }
    }
}

fn no_udp_at_all(stage: &mut Stage) {
    let turn = TurnPlan {
        udp: false,
        ..TurnPlan::default()
    };
    cell(stage, [Kind::NO_UDP; 2], &turn, Path::Relayed);
}

fn one_home(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    let home = stage
        .world
        .add_nat(Kind::SYMMETRIC.without_hairpins(), PUBLIC);
    let duo = duo(stage, [home; 2]);
    stage.seconds(5);
    flows(stage, &duo, 5, Path::Direct);
}

fn carrier_nat(stage: &mut Stage) {
    let carriers = [
        (Kind::OPEN, Path::Direct),
        (Kind::OPEN.without_hairpins(), Path::Relayed),
    ];
    for (carrier, path) in carriers {
        stage.restart(&with_turn(TurnPlan::default()));
        let carrier = stage.world.add_nat(carrier, PUBLIC);
        let homes = [(); 2].map(|()| stage.world.add_nat(Kind::PORT_RESTRICTED, carrier));
        let duo = duo(stage, homes);
        stage.seconds(8);
        flows(stage, &duo, 5, path);
    }
}

fn nat_behind_nat(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    let carrier = stage.world.add_nat(Kind::SYMMETRIC, PUBLIC);
    let home = stage.world.add_nat(Kind::OPEN, carrier);
    let other = stage.world.add_nat(Kind::PORT_RESTRICTED, PUBLIC);
    let duo = duo(stage, [home, other]);
    stage.seconds(8);
    flows(stage, &duo, 5, Path::Relayed);
}

fn public_page(stage: &mut Stage) {
    for kind in [Kind::OPEN, Kind::SYMMETRIC] {
        stage.restart(&with_turn(TurnPlan::default()));
        let home = stage.world.add_nat(kind, PUBLIC);
        let duo = duo(stage, [home, PUBLIC]);
        stage.seconds(5);
        flows(stage, &duo, 5, Path::Direct);
    }
}

fn short_memory(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    let kind = Kind::PORT_RESTRICTED.forgets_after(30 * SECOND);
    let homes = [(); 2].map(|()| stage.world.add_nat(kind, PUBLIC));
    let duo = duo(stage, homes);
    // Packets would keep it open by themselves.
    quiet(stage, &duo, 0);
    stage.seconds(300);
    quiet(stage, &duo, 200 * MILLI);
    flows(stage, &duo, 5, Path::Direct);
    let restarts = duo.tallies(stage).map(|tally| tally.restarts);
    stage.claim(restarts == [0, 0], "nobody had to seek the way anew");
}

fn quiet(stage: &mut Stage, duo: &Duo, pace: u64) {
    for page in [duo.alice, duo.bob] {
        conduct(stage, page, |conduct| conduct.pace = pace);
    }
}

/// Changes how a page's media behaves.
pub(super) fn conduct(
    stage: &mut Stage,
    page: usize,
    change: impl FnOnce(&mut crate::media::Conduct),
) {
    stage.world.app(page, |browser, _| {
        if let Some(media) = &mut browser.media {
            change(&mut media.conduct);
        }
    });
}

fn nat_reboots(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    let homes = [(); 2].map(|()| stage.world.add_nat(Kind::PORT_RESTRICTED, PUBLIC));
    let duo = duo(stage, homes);
    stage.seconds(5);
    flows(stage, &duo, 5, Path::Direct);
    stage.world.reboot_nat(homes[0]);
    stage.seconds(60);
    let before = duo.tallies(stage);
    stage.seconds(10);
    let after = duo.tallies(stage);
    for at in 0..2 {
        let came = after[at].received - before[at].received;
        stage.claim(came > 40, &format!("media flows again: {came} packets"));
    }
}

fn relay_by_choice(stage: &mut Stage) {
    stage.restart(&with_turn(TurnPlan::default()));
    let bob = stage.answering("bob");
    let alice = stage.page("alice");
    for page in [alice, bob] {
        stage.world.place(page, PUBLIC);
        conduct(stage, page, |conduct| conduct.relay_only = true);
    }
    let duo = connect(stage, alice, bob);
    stage.seconds(3);
    flows(stage, &duo, 5, Path::Relayed);
}

fn bad_network(stage: &mut Stage) {
    let turn = TurnPlan {
        quality: Quality {
            base: 20 * MILLI,
            jitter: 80 * MILLI,
            lost_per_mille: 50,
            doubled_per_mille: 50,
        },
        ..TurnPlan::default()
    };
    for kinds in [
        [Kind::PORT_RESTRICTED; 2],
        [Kind::SYMMETRIC; 2],
        [Kind::SYMMETRIC, Kind::NO_UDP],
    ] {
        let path = expected(kinds);
        cell(stage, kinds, &turn, path);
    }
}
