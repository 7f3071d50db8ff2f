//! What several nodes do together, told as stories.

mod moving;

use std::time::Duration;

use model::{EndedBy, RingOrder};

use super::Cluster;
use crate::authority::Taken;
use crate::browser::{Answering, Browser, CallKey, CallState, Heard};
use crate::clock::{MILLI, SECOND};

const MINUTE: Duration = Duration::from_secs(60);

#[track_caller]
fn fine(cluster: &Cluster) {
    if let Some(fault) = cluster.fault() {
        panic!("{fault}");
    }
}

#[track_caller]
fn claim(cluster: &Cluster, holds: bool, sentence: &str) {
    fine(cluster);
    assert!(holds, "{sentence}\n{}", cluster.log.join("\n"));
}

#[track_caller]
fn until(cluster: &mut Cluster, sentence: &str, holds: impl Fn(&Cluster) -> bool) {
    let came = cluster.run_until(MINUTE, holds);
    claim(cluster, came, &format!("never came: {sentence}"));
}

#[track_caller]
fn millis(cluster: &mut Cluster, millis: u64) {
    cluster.run_for(Duration::from_millis(millis));
    fine(cluster);
}

/// A registered page on a node, which answers calls after half a second.
#[track_caller]
fn registered(cluster: &mut Cluster, client: &str, node: usize) -> usize {
    registers(cluster, client, node, false)
}

#[track_caller]
fn registers(cluster: &mut Cluster, client: &str, node: usize, resumes: bool) -> usize {
    let page = cluster.page(client, node);
    cluster.pages[page].resumes = resumes;
    cluster.pages[page].browser.habit.answering = Answering::After(SECOND / 2);
    let token = cluster.token(client);
    cluster.app(page, |browser, now| browser.enable_incoming(now, &token));
    until(cluster, "a page is registered", |cluster| {
        cluster.pages[page].browser.is_registered()
    });
    millis(cluster, 20);
    page
}

fn call(cluster: &mut Cluster, page: usize, callee: &str) -> CallKey {
    let client = cluster.pages[page].browser.client.clone();
    let token = cluster.token(&client);
    cluster.app(page, |browser, now| browser.call(now, callee, &token))
}

fn talks(cluster: &Cluster, page: usize) -> bool {
    let calls = cluster.pages[page].browser.open_calls();
    calls
        .iter()
        .any(|(_, state)| *state == CallState::Established)
}

fn is_idle(cluster: &Cluster, page: usize) -> bool {
    cluster.pages[page].browser.open_calls().is_empty()
}

#[track_caller]
fn talking(cluster: &mut Cluster, caller: usize, callee: usize) -> CallKey {
    let name = cluster.pages[callee].browser.client.clone();
    let key = call(cluster, caller, &name);
    until(cluster, "both talk", |cluster| {
        talks(cluster, caller) && talks(cluster, callee)
    });
    millis(cluster, 200);
    key
}

fn rang(cluster: &Cluster, page: usize) -> usize {
    let heard = &cluster.pages[page].browser.heard;
    let is_call = |heard: &&(u64, Heard)| matches!(heard.1, Heard::Incoming { .. });
    heard.iter().filter(is_call).count()
}

#[track_caller]
fn only_outcome(cluster: &Cluster) -> (EndedBy, u16, String) {
    let records = cluster.records();
    claim(cluster, records.len() == 1, "there is one record");
    match &records[0].outcome {
        Some(outcome) => (outcome.by, outcome.status, outcome.reason.clone()),
        None => panic!("the call has no outcome\n{}", cluster.log.join("\n")),
    }
}

#[test]
fn a_token_that_is_revoked_ends_and_is_refused_on_every_node() {
    let mut cluster = Cluster::new(11, 3);
    let alice = registered(&mut cluster, "alice", 0);
    let bob = registered(&mut cluster, "bob", 1);
    let old = cluster.token("bob");
    talking(&mut cluster, alice, bob);
    millis(&mut cluster, 1000);
    let now = cluster.now().unix;
    let taken = Taken::Client("bob".to_owned());
    cluster.authority.revoke(0, taken, now, true);
    cluster.publish();
    until(
        &mut cluster,
        "the caller on another node is told",
        |cluster| is_idle(cluster, alice),
    );
    millis(&mut cluster, 500);
    only_outcome(&cluster);
    for node in 0..3 {
        let clients = cluster.clients(node);
        claim(&cluster, clients == ["alice"], "bob is nowhere any more");
    }
    let elsewhere = cluster.page("bob", 2);
    cluster.app(elsewhere, |browser, now| browser.enable_incoming(now, &old));
    millis(&mut cluster, 1000);
    let cause = cluster.pages[elsewhere].browser.last_state();
    let cause = cause.map(|(ready, cause, _)| (ready, cause));
    claim(
        &cluster,
        cause == Some((false, "INVALIDTOKEN")),
        "the third node refuses the token, too",
    );
    registered(&mut cluster, "bob", 2);
}

fn incoming(browser: &Browser) -> CallKey {
    browser.last_incoming().expect("it was called")
}

#[test]
fn pages_on_different_nodes_call_each_other() {
    let mut cluster = Cluster::new(1, 3);
    let alice = registered(&mut cluster, "alice", 0);
    let bob = registered(&mut cluster, "bob", 1);
    for node in 0..3 {
        claim(
            &cluster,
            cluster.clients(node) == ["alice", "bob"],
            "every node knows both",
        );
    }
    let key = talking(&mut cluster, alice, bob);
    cluster.app(alice, |browser, now| browser.hang_up_call(now, key));
    until(&mut cluster, "the callee is told", |cluster| {
        is_idle(cluster, bob)
    });
    millis(&mut cluster, 500);
    assert_eq!(only_outcome(&cluster).0, EndedBy::Caller);

    // And back, ended by the callee.
    talking(&mut cluster, bob, alice);
    let key = incoming(&cluster.pages[alice].browser);
    cluster.app(alice, |browser, now| browser.hang_up_call(now, key));
    until(&mut cluster, "the caller is told", |cluster| {
        is_idle(cluster, bob)
    });
    millis(&mut cluster, 500);
    claim(
        &cluster,
        cluster.records().len() == 2,
        "two calls, two records",
    );
    cluster.check_records(false).unwrap();
}

#[test]
fn a_call_is_given_up_refused_and_unanswered_across_nodes_as_at_home() {
    let mut cluster = Cluster::new(2, 2);
    let alice = registered(&mut cluster, "alice", 0);
    let bob = registered(&mut cluster, "bob", 1);
    cluster.pages[bob].browser.habit.answering = Answering::Never;
    let key = call(&mut cluster, alice, "bob");
    until(&mut cluster, "it rings", |cluster| rang(cluster, bob) == 1);
    millis(&mut cluster, 300);
    cluster.app(alice, |browser, now| browser.hang_up_call(now, key));
    until(&mut cluster, "it rings no more", |cluster| {
        is_idle(cluster, bob)
    });
    cluster.pages[bob].browser.habit.answering = Answering::Rejects(486, 100 * MILLI);
    call(&mut cluster, alice, "bob");
    until(&mut cluster, "it is refused", |cluster| {
        rang(cluster, bob) == 2 && is_idle(cluster, alice)
    });
    millis(&mut cluster, 500);
    let outcomes: Vec<_> = cluster
        .records()
        .iter()
        .filter_map(|record| record.outcome.as_ref())
        .map(|outcome| (outcome.by, outcome.status))
        .collect();
    assert_eq!(outcomes, [(EndedBy::Caller, 487), (EndedBy::Callee, 486)]);
}

#[test]
fn the_newest_registration_of_a_client_rings_wherever_it_is() {
    let mut cluster = Cluster::new(3, 3);
    let alice = registered(&mut cluster, "alice", 0);
    let old = registered(&mut cluster, "bob", 0);
    let new = registered(&mut cluster, "bob", 1);
    let key = talking(&mut cluster, alice, new);
    assert_eq!(rang(&cluster, old), 0);
    cluster.app(alice, |browser, now| browser.hang_up_call(now, key));
    millis(&mut cluster, 500);
    // The page leaves; the older is the newest again, on every node.
    cluster.app(new, |browser, _| browser.reload());
    millis(&mut cluster, 100);
    talking(&mut cluster, alice, old);
    assert_eq!((rang(&cluster, old), rang(&cluster, new)), (1, 1));
    fine(&cluster);
}

#[test]
fn a_page_that_comes_back_to_another_node_is_registered_once() {
    let mut cluster = Cluster::new(4, 2);
    let alice = registered(&mut cluster, "alice", 1);
    let bob = registered(&mut cluster, "bob", 0);
    // Its old connection hangs half open: its node will not know for a minute.
    cluster.pages[bob].node = 1;
    cluster.cut(bob, false);
    until(&mut cluster, "it is back", |cluster| {
        cluster.pages[bob].browser.is_registered() && cluster.pages[bob].socket.is_some()
    });
    cluster.run_for(Duration::from_secs(3));
    for node in 0..2 {
        assert_eq!(cluster.clients(node), ["alice", "bob"]);
    }
    talking(&mut cluster, alice, bob);
    claim(&cluster, rang(&cluster, bob) == 1, "it rings once");
}

#[test]
fn a_registration_whose_answer_got_lost_is_answered_on_another_node() {
    let mut cluster = Cluster::new(16, 2);
    let bob = registered(&mut cluster, "bob", 0);
    let token = cluster.token("bob");
    cluster.app(bob, |browser, now| browser.enable_incoming(now, &token));
    // Its server has read it, and the answer is on its way.
    millis(&mut cluster, 6);
    cluster.pages[bob].node = 1;
    cluster.cut(bob, true);
    // Without the answer the page waits for half a minute.
    cluster.run_for(Duration::from_secs(3));
    claim(
        &cluster,
        cluster.pages[bob].browser.is_registered(),
        "the page is registered",
    );
    for node in 0..2 {
        assert_eq!(cluster.clients(node), ["bob"]);
    }
}

#[test]
fn a_client_whose_notice_got_lost_is_found_by_one_more_look() {
    let mut cluster = Cluster::new(17, 2);
    let alice = registered(&mut cluster, "alice", 0);
    cluster.bus.faults.deaf.insert((1, 0));
    let bob = registered(&mut cluster, "bob", 1);
    cluster.bus.faults.deaf.clear();
    assert_eq!(cluster.clients(0), ["alice"]);
    talking(&mut cluster, alice, bob);
    fine(&cluster);
    // Whoever is nowhere is refused once, and recorded once.
    let carol = registered(&mut cluster, "carol", 0);
    let before = cluster.records().len();
    call(&mut cluster, carol, "nobody");
    until(&mut cluster, "it is refused", |cluster| {
        is_idle(cluster, carol)
    });
    assert_eq!(cluster.records().len(), before + 1);
    // And one that is taken back while it waits ends everywhere.
    cluster.bus.faults.deaf.insert((1, 0));
    cluster.bus.faults.lag = (300 * MILLI, 0);
    let dave = registered(&mut cluster, "dave", 1);
    cluster.bus.faults.deaf.clear();
    let key = call(&mut cluster, carol, "dave");
    millis(&mut cluster, 50);
    cluster.app(carol, |browser, now| browser.hang_up_call(now, key));
    cluster.run_for(Duration::from_secs(3));
    for page in [carol, dave] {
        claim(&cluster, is_idle(&cluster, page), "it is taken back");
    }
}

#[test]
fn whoever_talks_with_a_node_that_dies_is_told_why() {
    let mut cluster = Cluster::new(5, 2);
    let alice = registered(&mut cluster, "alice", 0);
    let bob = registered(&mut cluster, "bob", 1);
    talking(&mut cluster, alice, bob);
    cluster.kill(1, None);
    let came = cluster.run_until(Duration::from_secs(8), |cluster| is_idle(cluster, alice));
    claim(&cluster, came, "the caller is told within 8 seconds");
    let (by, status, reason) = only_outcome(&cluster);
    assert_eq!((by, status), (EndedBy::Server, 503), "{reason}");
    assert_eq!(cluster.clients(0), ["alice"]);
}

#[test]
fn whoever_was_called_by_a_node_that_dies_is_told_too() {
    let mut cluster = Cluster::new(14, 2);
    let alice = registered(&mut cluster, "alice", 0);
    let bob = registered(&mut cluster, "bob", 1);
    talking(&mut cluster, alice, bob);
    cluster.kill(0, None);
    let came = cluster.run_until(Duration::from_secs(8), |cluster| is_idle(cluster, bob));
    claim(&cluster, came, "the callee is told within 8 seconds");

    let mut cluster = Cluster::new(15, 2);
    let alice = registered(&mut cluster, "alice", 0);
    let bob = registered(&mut cluster, "bob", 1);
    cluster.pages[bob].browser.habit.answering = Answering::Never;
    call(&mut cluster, alice, "bob");
    until(&mut cluster, "it rings", |cluster| rang(cluster, bob) == 1);
    cluster.kill(0, None);
    let came = cluster.run_until(Duration::from_secs(8), |cluster| is_idle(cluster, bob));
    claim(&cluster, came, "it rings no more within 8 seconds");
    fine(&cluster);
}

#[test]
fn whom_a_dead_node_had_is_not_rung_in_place_of_another() {
    let mut cluster = Cluster::new(18, 2);
    cluster
        .authority
        .set_service("desk", &["bob", "carol"], RingOrder::InOrder, 20);
    cluster.publish();
    let alice = registered(&mut cluster, "alice", 0);
    for client in ["bob", "carol"] {
        let page = registered(&mut cluster, client, 1);
        cluster.pages[page].browser.habit.answering = Answering::Never;
    }
    cluster.app(alice, |browser, now| browser.call_service(now, "desk"));
    until(&mut cluster, "it rings", |cluster| rang(cluster, 1) == 1);
    cluster.kill(1, None);
    let came = cluster.run_until(Duration::from_secs(8), |cluster| is_idle(cluster, alice));
    claim(&cluster, came, "the caller is told within 8 seconds");
}

#[test]
fn a_node_that_dies_while_a_callee_rings_lets_the_caller_know() {
    let mut cluster = Cluster::new(6, 2);
    let alice = registered(&mut cluster, "alice", 0);
    let bob = registered(&mut cluster, "bob", 1);
    cluster.pages[bob].browser.habit.answering = Answering::Never;
    call(&mut cluster, alice, "bob");
    until(&mut cluster, "it rings", |cluster| rang(cluster, bob) == 1);
    cluster.kill(1, None);
    let came = cluster.run_until(Duration::from_secs(8), |cluster| is_idle(cluster, alice));
    claim(&cluster, came, "the caller is told within 8 seconds");
}

#[test]
fn a_bus_that_loses_repeats_and_turns_round_costs_no_call() {
    for seed in 0..20 {
        let mut cluster = Cluster::new(700 + seed, 3);
        cluster.bus.faults.lag = (MILLI, 40 * MILLI);
        cluster.bus.faults.loss = 200;
        cluster.bus.faults.repetition = 200;
        cluster.bus.faults.unsure = 100;
        let alice = registered(&mut cluster, "alice", 0);
        let bob = registered(&mut cluster, "bob", 1);
        cluster.run_for(Duration::from_secs(8));
        let key = talking(&mut cluster, alice, bob);
        cluster.app(alice, |browser, now| browser.hang_up_call(now, key));
        until(&mut cluster, "both are idle", |cluster| {
            is_idle(cluster, alice) && is_idle(cluster, bob)
        });
        cluster.run_for(Duration::from_secs(10));
        assert_eq!(only_outcome(&cluster).0, EndedBy::Caller, "seed {seed}");
        for node in 0..3 {
            assert_eq!(cluster.clients(node), ["alice", "bob"], "seed {seed}");
        }
    }
}

#[test]
fn without_the_bus_each_node_goes_on_and_says_so_to_who_calls_across() {
    let mut cluster = Cluster::new(8, 2);
    let alice = registered(&mut cluster, "alice", 0);
    let bob = registered(&mut cluster, "bob", 1);
    let carol = registered(&mut cluster, "carol", 0);
    let erin = registered(&mut cluster, "erin", 0);
    let frank = registered(&mut cluster, "frank", 0);
    let grace = registered(&mut cluster, "grace", 1);
    let across = talking(&mut cluster, alice, bob);
    talking(&mut cluster, frank, grace);
    cluster.set_bus(false);
    cluster.run_for(Duration::from_secs(30));
    claim(&cluster, talks(&cluster, alice), "who talks across goes on");
    let key = talking(&mut cluster, carol, erin);
    cluster.app(carol, |browser, now| browser.hang_up_call(now, key));
    until(&mut cluster, "at home all is as ever", |cluster| {
        is_idle(cluster, carol) && is_idle(cluster, erin)
    });
    let before = cluster.clock.micros();
    call(&mut cluster, carol, "bob");
    until(&mut cluster, "it is refused", |cluster| {
        is_idle(cluster, carol)
    });
    let took = cluster.clock.micros() - before;
    claim(
        &cluster,
        took < SECOND,
        "whoever calls across is told at once",
    );
    let last = cluster
        .records()
        .pop()
        .and_then(|record| record.outcome.clone());
    let outcome = last.expect("it is recorded");
    assert_eq!(outcome.status, 480);
    assert!(
        outcome.reason.contains("cannot be reached"),
        "{}",
        outcome.reason
    );
    // What is said meanwhile waits, from either side.
    cluster.app(alice, |browser, now| browser.hang_up_call(now, across));
    let answered = incoming(&cluster.pages[grace].browser);
    cluster.app(grace, |browser, now| browser.hang_up_call(now, answered));
    cluster.run_for(Duration::from_secs(20));
    let waits = talks(&cluster, bob) && talks(&cluster, frank);
    claim(&cluster, waits, "nothing came through");
    cluster.set_bus(true);
    until(&mut cluster, "it came through", |cluster| {
        is_idle(cluster, bob) && is_idle(cluster, frank)
    });
    talking(&mut cluster, carol, bob);
}

#[test]
fn a_client_that_registers_while_the_bus_is_away_is_known_everywhere_within_five_seconds_of_its_return()
 {
    let mut cluster = Cluster::new(9, 3);
    registered(&mut cluster, "alice", 0);
    cluster.set_bus(false);
    cluster.run_for(Duration::from_secs(2));
    registered(&mut cluster, "bob", 1);
    assert_eq!(cluster.clients(2), ["alice"]);
    cluster.set_bus(true);
    cluster.run_for(Duration::from_secs(5));
    for node in 0..3 {
        assert_eq!(cluster.clients(node), ["alice", "bob"]);
    }
}

#[test]
fn a_bus_that_forgets_is_told_again() {
    let mut cluster = Cluster::new(10, 3);
    registered(&mut cluster, "alice", 0);
    registered(&mut cluster, "bob", 1);
    cluster.bus.forget();
    cluster.run_for(Duration::from_secs(5));
    // Whoever joins now learns everything from it.
    cluster.kill(2, Some(Duration::from_secs(1)));
    cluster.run_for(Duration::from_secs(3));
    for node in 0..3 {
        assert_eq!(cluster.clients(node), ["alice", "bob"]);
    }
}

#[test]
fn a_node_that_joins_knows_everybody_and_one_that_dies_takes_its_clients_along() {
    let mut cluster = Cluster::new(11, 2);
    registered(&mut cluster, "alice", 0);
    let bob = registered(&mut cluster, "bob", 1);
    cluster.kill(0, Some(Duration::from_secs(30)));
    cluster.pages[0].node = 1;
    cluster.run_for(Duration::from_secs(7));
    assert_eq!(cluster.clients(1), ["alice", "bob"]);
    cluster.run_for(Duration::from_secs(25));
    assert_eq!(cluster.clients(0), ["alice", "bob"]);
    cluster.app(bob, |browser, _| browser.reload());
    millis(&mut cluster, 100);
    assert_eq!(cluster.clients(0), ["alice"]);
}

#[test]
fn nodes_that_do_not_hear_each_other_end_what_they_have_together_in_bounded_time() {
    for deaf in [vec![(0, 1)], vec![(1, 0)], vec![(0, 1), (1, 0)]] {
        let mut cluster = Cluster::new(12, 3);
        let alice = registered(&mut cluster, "alice", 0);
        let bob = registered(&mut cluster, "bob", 1);
        let key = talking(&mut cluster, alice, bob);
        cluster.bus.faults.deaf = deaf.iter().copied().collect();
        cluster.app(alice, |browser, now| browser.hang_up_call(now, key));
        cluster.run_for(Duration::from_secs(20));
        claim(&cluster, is_idle(&cluster, alice), "who hung up is idle");
        call(&mut cluster, alice, "bob");
        cluster.run_for(Duration::from_secs(33));
        let is_joined = talks(&cluster, alice);
        claim(
            &cluster,
            is_joined || is_idle(&cluster, alice),
            "a call comes about, or is refused",
        );
        cluster.bus.faults.deaf.clear();
        cluster.run_for(Duration::from_secs(40));
        for page in [alice, bob] {
            let calls = cluster.pages[page].browser.open_calls();
            for (call, _) in calls {
                cluster.app(page, |browser, now| browser.hang_up_call(now, call));
            }
        }
        cluster.run_for(Duration::from_secs(10));
        talking(&mut cluster, alice, bob);
        cluster.check_records(true).unwrap();
    }
}

#[test]
fn a_service_rings_its_clients_on_all_nodes() {
    let mut cluster = Cluster::new(13, 3);
    cluster
        .authority
        .set_service("desk", &["bob", "carol"], RingOrder::All, 20);
    cluster.publish();
    let alice = registered(&mut cluster, "alice", 0);
    let bob = registered(&mut cluster, "bob", 1);
    let carol = registered(&mut cluster, "carol", 2);
    cluster.pages[bob].browser.habit.answering = Answering::Never;
    cluster.app(alice, |browser, now| browser.call_service(now, "desk"));
    until(&mut cluster, "one has it", |cluster| {
        talks(cluster, alice) && talks(cluster, carol)
    });
    until(&mut cluster, "the other rings no more", |cluster| {
        rang(cluster, bob) == 1 && is_idle(cluster, bob)
    });
    fine(&cluster);
}
