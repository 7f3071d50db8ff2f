//! One story, told again and again: each time the connection is lost at the next boundary of a message, in each way.
//!
//! Whatever is lost, the checks hold, nothing is left, and the pages find each other again afterwards.

use super::{Stage, scenarios};
use crate::authority::Wish;
use crate::browser::Answering;
use crate::clock::MILLI;
use crate::faults::{Cut, Faults};
use crate::world::Plan;

scenarios! {
    every_boundary_of_a_call: "Register, call, re-INVITE, hang up; lost at every boundary in every way.",
    every_boundary_of_a_cancelled_call: "Register, call, cancel; lost at every boundary in every way.",
}

/// Tells a story once for each boundary and kind of loss; returns how many boundaries the story has.
fn sweep(stage: &mut Stage, story: fn(&mut Stage)) -> u64 {
    let mut boundary = 0;
    loop {
        let mut reached = 0;
        for cut in Cut::ALL {
            stage.restart(&Plan {
                faults: Faults::loss_at(boundary, cut),
                ..Plan::default()
            });
            story(stage);
            reached = stage.world.faults.boundaries();
            still_works(stage);
            stage.ends();
        }
        boundary += 1;
        if boundary > reached {
            return boundary;
        }
    }
}

/// Whatever was lost: bob registers again (with a new token if his SDK has dropped the old one) and can be called.
fn still_works(stage: &mut Stage) {
    stage.world.faults.loss_at = None;
    stage.seconds(150);
    if !stage.browser(BOB).wants_calls() {
        let token = stage.token(&Wish::all("bob"));
        stage
            .world
            .app(BOB, |browser, now| browser.enable_incoming(now, &token));
        stage.seconds(5);
    }
    stage.claim(stage.clients() == ["bob"], "bob is registered again");
    stage.claim(stage.browser(ALICE).may_call(), "alice may call again");
    stage.call(ALICE, "bob");
    stage.seconds(5);
    let talks = !stage.browser(BOB).open_calls().is_empty();
    stage.claim(talks, "and bob answers");
}

const BOB: usize = 0;
const ALICE: usize = 1;

fn begin(stage: &mut Stage, answering: Answering) {
    let (bob, alice) = (stage.page("bob"), stage.page("alice"));
    assert_eq!((bob, alice), (BOB, ALICE), "the first two clients");
    stage.habit(bob, answering);
    let token = stage.token(&Wish::all("bob"));
    stage
        .world
        .app(bob, |browser, now| browser.enable_incoming(now, &token));
    stage.seconds(3);
}

fn every_boundary_of_a_call(stage: &mut Stage) {
    let boundaries = sweep(stage, |stage| {
        begin(stage, Answering::After(300 * MILLI));
        let call = stage.call(ALICE, "bob");
        stage.seconds(3);
        stage
            .world
            .app(ALICE, |browser, now| browser.reinvite(now, call));
        stage.seconds(2);
        stage.hang_up(ALICE, call);
        stage.seconds(2);
    });
    stage.claim(boundaries > 50, "the story has many boundaries");
}

fn every_boundary_of_a_cancelled_call(stage: &mut Stage) {
    let boundaries = sweep(stage, |stage| {
        begin(stage, Answering::Never);
        let call = stage.call(ALICE, "bob");
        stage.seconds(2);
        stage.hang_up(ALICE, call);
        stage.seconds(2);
        stage.habit(BOB, Answering::After(300 * MILLI));
    });
    stage.claim(boundaries > 30, "the story has many boundaries");
}
