//! Stories with resumable signalling, told again and again: each time a connection, or every connection, is lost at the
//! next boundary of a frame, in each way (docs/resume.md).
//!
//! A page that comes back in time: both apps are told what they are told in the undisturbed run, and the records say the
//! same. The frames of the extension itself have boundaries as well.

use super::{Stage, scenarios};
use crate::authority::Wish;
use crate::browser::{Answering, Browser, CallKey, CallState, Heard};
use crate::clock::MILLI;
use crate::faults::{Cut, Faults};
use crate::world::{Plan, World};

scenarios! {
    resumed_call: "Call, re-INVITEs of both sides, the caller hangs up; lost at every boundary, resumed.",
    resumed_call_all_lost: "The same; every connection is lost at once.",
    resumed_callee_hangs_up: "The callee hangs up; lost at every boundary, resumed.",
    resumed_cancel: "A call is taken back; lost at every boundary, resumed.",
    resumed_reject: "A call is rejected; lost at every boundary, resumed.",
    resumed_registration: "Register, refresh, un-register; lost at every boundary, resumed.",
    resumed_twice: "A call; lost at every boundary, and again at each boundary of the resumption.",
    resumed_twice_half_open: "The same; the server does not know that the first connection is lost.",
    resumed_twice_all_lost: "The same; the first time every connection is lost.",
    resumed_socket_for_a_call: "A page that is not registered calls, hangs up and closes; lost at every boundary, resumed.",
}

pub(super) const BOB: usize = 0;
pub(super) const ALICE: usize = 1;

/// What came of a story: what each app was told, and what the records say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    apps: Vec<Vec<String>>,
    records: Vec<String>,
    clients: Vec<String>,
}

impl Outcome {
    fn of(stage: &Stage) -> Self {
        let pages = 0..stage.world.client_count();
        Self {
            apps: pages.map(|page| told(stage.browser(page))).collect(),
            records: stage
                .records()
                .iter()
                .map(|record| {
                    let outcome = record.outcome.as_ref();
                    let end = outcome.map(|end| (end.by, end.status, end.reason.as_str()));
                    format!("answered {}: {end:?}", record.answered.is_some())
                })
                .collect(),
            clients: stage.clients(),
        }
    }
}

/// What an app was told, with its calls numbered in their order.
fn told(browser: &Browser) -> Vec<String> {
    let mut keys: Vec<CallKey> = Vec::new();
    let mut number = |key: CallKey| match keys.iter().position(|known| *known == key) {
        Some(at) => at,
        None => {
            keys.push(key);
            keys.len() - 1
        }
    };
    let heard = browser.heard.iter().map(|(_, heard)| match heard {
        Heard::IncomingState { .. } => format!("{heard:?}"),
        Heard::Incoming { call, from, kind } => {
            format!("call {} from {from} ({kind})", number(*call))
        }
        Heard::Ringing(call) => format!("call {} rings", number(*call)),
        Heard::Connected(call) => format!("call {} is connected", number(*call)),
        Heard::Disconnected { call, cause } => format!("call {} is over: {cause}", number(*call)),
        Heard::Reinvited(call, status) => format!("call {} has changed: {status}", number(*call)),
    });
    heard.collect()
}

/// A story: tells what happens, and waits for what must come of each part.
pub(super) type Story = fn(&mut Stage);

/// Tells a story without losses: what comes of it, and between which boundaries it can be disturbed.
pub(super) fn undisturbed(stage: &mut Stage, story: Story) -> (Outcome, u64, u64) {
    stage.restart(&plan(Faults::none()));
    story(stage);
    let end = stage.world.faults.boundaries();
    let outcome = Outcome::of(stage);
    let start = stage.mark;
    stage.ends();
    (outcome, start, end)
}

pub(super) fn plan(faults: Faults) -> Plan {
    Plan {
        faults,
        resumes: true,
        ..Plan::default()
    }
}

/// Boundaries of one resumption: RESUME, SESSION, what is sent again, and the acknowledgement.
const RESUMPTION: u64 = 14;

/// Tells a story for each boundary, and loses the connection again at each boundary that follows.
fn sweep_twice(stage: &mut Stage, first: Cut, loses_all: bool, story: Story) {
    let (wanted, start, end) = undisturbed(stage, story);
    for boundary in start..end {
        for behind in 0..RESUMPTION {
            for second in Cut::ALL {
                let faults = Faults::loss_at(boundary, first).for_all(loses_all);
                stage.restart(&plan(faults.then(behind, second)));
                stage.title = format!("boundary {boundary}, then {behind}, {second:?}: ");
                story(stage);
                let found = Outcome::of(stage);
                let sentence = format!("it came out as {found:#?}\nand should as {wanted:#?}");
                stage.claim(found == wanted, &sentence);
                stage.ends();
            }
        }
    }
}

/// Tells a story once for each boundary and kind of loss; what comes of it must be the same. Returns how often.
fn sweep(stage: &mut Stage, loses_all: bool, story: Story) -> u64 {
    let (wanted, start, end) = undisturbed(stage, story);
    for boundary in start..end {
        for cut in Cut::ALL {
            let faults = Faults::loss_at(boundary, cut).for_all(loses_all);
            stage.restart(&plan(faults));
            stage.title = format!("boundary {boundary}, {cut:?}, all {loses_all}: ");
            story(stage);
            let found = Outcome::of(stage);
            let sentence = format!("it came out as {found:#?}\nand should as {wanted:#?}");
            stage.claim(found == wanted, &sentence);
            stage.ends();
        }
    }
    end - start
}

fn enable(stage: &mut Stage, page: usize, client: &str) {
    let token = stage.token(&Wish::all(client));
    stage
        .world
        .app(page, |browser, now| browser.enable_incoming(now, &token));
}

fn is_registered(world: &World, page: usize) -> bool {
    world.browser(page).is_some_and(Browser::is_registered)
}

/// How often an app has been told something.
pub(super) fn times(world: &World, page: usize, what: impl Fn(&Heard) -> bool) -> usize {
    let heard = world.browser(page).into_iter().flat_map(|b| &b.heard);
    heard.filter(|(_, heard)| what(heard)).count()
}

/// Bob and alice are registered and idle; from here on things get lost.
pub(super) fn begin(stage: &mut Stage, answering: Answering) {
    let (bob, alice) = (stage.page("bob"), stage.page("alice"));
    assert_eq!((bob, alice), (BOB, ALICE), "the first two clients");
    stage.habit(bob, answering);
    enable(stage, BOB, "bob");
    enable(stage, ALICE, "alice");
    stage.until("both are registered", |world| {
        is_registered(world, BOB) && is_registered(world, ALICE)
    });
    stage.seconds(1);
    stage.mark = stage.world.faults.boundaries();
}

/// The call of a page that is the only one.
pub(super) fn call_of(world: &World, page: usize) -> Option<CallKey> {
    Some(world.browser(page)?.open_calls().first()?.0)
}

pub(super) fn is_talking(world: &World, page: usize) -> bool {
    let calls = world.browser(page).map(Browser::open_calls);
    calls.is_some_and(|calls| matches!(calls[..], [(_, CallState::Established)]))
}

/// Everything has arrived, and both sides know how it ended.
fn settles(stage: &mut Stage) {
    stage.until("both apps are told the end", |world| {
        [BOB, ALICE]
            .iter()
            .all(|page| times(world, *page, is_end) == 1)
    });
    stage.until("all that was sent has arrived", |world| {
        world.is_settled(BOB) && (world.socket(ALICE).is_none() || world.is_settled(ALICE))
    });
    stage.until("the record has its outcome", |world| {
        world
            .written()
            .iter()
            .all(|record| record.outcome.is_some())
    });
}

pub(super) fn is_end(heard: &Heard) -> bool {
    matches!(heard, Heard::Disconnected { .. })
}

fn rings(stage: &mut Stage) -> CallKey {
    let call = stage.call(ALICE, "bob");
    stage.until("it rings", |world| {
        times(world, ALICE, |heard| matches!(heard, Heard::Ringing(_))) > 0
    });
    call
}

fn talks(stage: &mut Stage) -> (CallKey, CallKey) {
    let call = rings(stage);
    stage.until("both talk", |world| {
        is_talking(world, ALICE) && is_talking(world, BOB)
    });
    let incoming = call_of(&stage.world, BOB).expect("bob talks");
    (call, incoming)
}

fn reinvites(stage: &mut Stage, page: usize, call: CallKey) {
    // SIP.js lets a re-INVITE out as soon as the ACK of the answer has come.
    for _ in 0..600 {
        let is_out = stage
            .world
            .app(page, |browser, now| browser.reinvite(now, call));
        if is_out == Some(true) {
            break;
        }
        stage.millis(100);
    }
    stage.until("the re-INVITE is answered", |world| {
        times(world, page, |heard| matches!(heard, Heard::Reinvited(..))) > 0
    });
}

fn call(stage: &mut Stage) {
    begin(stage, Answering::After(300 * MILLI));
    let (out, incoming) = talks(stage);
    reinvites(stage, ALICE, out);
    reinvites(stage, BOB, incoming);
    stage.hang_up(ALICE, out);
    settles(stage);
}

fn resumed_call(stage: &mut Stage) {
    let boundaries = sweep(stage, false, call);
    stage.claim(
        boundaries > 50,
        &format!("{boundaries} boundaries are many"),
    );
}

fn resumed_call_all_lost(stage: &mut Stage) {
    let boundaries = sweep(stage, true, call);
    stage.claim(
        boundaries > 50,
        &format!("{boundaries} boundaries are many"),
    );
}

fn callee_hangs_up(stage: &mut Stage) {
    begin(stage, Answering::After(300 * MILLI));
    let (_, incoming) = talks(stage);
    stage.hang_up(BOB, incoming);
    settles(stage);
}

fn resumed_callee_hangs_up(stage: &mut Stage) {
    for loses_all in [false, true] {
        let boundaries = sweep(stage, loses_all, callee_hangs_up);
        stage.claim(
            boundaries > 15,
            &format!("{boundaries} boundaries are many"),
        );
    }
}

fn cancel(stage: &mut Stage) {
    begin(stage, Answering::Never);
    let call = rings(stage);
    stage.hang_up(ALICE, call);
    settles(stage);
}

fn resumed_cancel(stage: &mut Stage) {
    for loses_all in [false, true] {
        let boundaries = sweep(stage, loses_all, cancel);
        stage.claim(
            boundaries > 15,
            &format!("{boundaries} boundaries are many"),
        );
    }
}

fn reject(stage: &mut Stage) {
    begin(stage, Answering::Rejects(486, 300 * MILLI));
    rings(stage);
    settles(stage);
}

fn resumed_reject(stage: &mut Stage) {
    for loses_all in [false, true] {
        let boundaries = sweep(stage, loses_all, reject);
        stage.claim(
            boundaries > 15,
            &format!("{boundaries} boundaries are many"),
        );
    }
}

fn resumed_twice(stage: &mut Stage) {
    sweep_twice(stage, Cut::BOTH, false, callee_hangs_up);
}

fn resumed_twice_half_open(stage: &mut Stage) {
    sweep_twice(stage, Cut::CLIENT, false, callee_hangs_up);
}

fn resumed_twice_all_lost(stage: &mut Stage) {
    sweep_twice(stage, Cut::BOTH, true, callee_hangs_up);
}

/// From the first frame of the extension on.
fn registration(stage: &mut Stage) {
    let bob = stage.page("bob");
    enable(stage, bob, "bob");
    stage.until("bob is registered", |world| is_registered(world, BOB));
    enable(stage, bob, "bob");
    stage.until("bob is registered anew", |world| {
        times(world, BOB, |_| true) == 2
    });
    stage
        .world
        .app(bob, |browser, now| browser.disable_incoming(now));
    stage.until("bob is not registered", |world| {
        world.server(0).clients(0, world.now()).is_empty()
    });
}

fn resumed_registration(stage: &mut Stage) {
    let boundaries = sweep(stage, false, registration);
    stage.claim(
        boundaries > 15,
        &format!("{boundaries} boundaries are many"),
    );
}

/// Alice opens a socket for the call, and closes it as soon as she has hung up: her BYE must arrive all the same.
fn socket_for_a_call(stage: &mut Stage) {
    let bob = stage.page("bob");
    let alice = stage.page("alice");
    stage.habit(bob, Answering::After(300 * MILLI));
    enable(stage, bob, "bob");
    stage.until("bob is registered", |world| is_registered(world, BOB));
    let call = stage.call(alice, "bob");
    stage.until("she has a session", |world| {
        world.browser(ALICE).is_some_and(Browser::is_connected)
    });
    stage.mark = stage.world.faults.boundaries();
    stage.until("both talk", |world| {
        is_talking(world, ALICE) && is_talking(world, BOB)
    });
    stage.hang_up(alice, call);
    settles(stage);
}

fn resumed_socket_for_a_call(stage: &mut Stage) {
    for loses_all in [false, true] {
        let boundaries = sweep(stage, loses_all, socket_for_a_call);
        stage.claim(
            boundaries > 15,
            &format!("{boundaries} boundaries are many"),
        );
    }
}
