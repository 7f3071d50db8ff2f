//! Random runs of a cluster: pages that register, call, leave and change nodes, with their sessions or without, while nodes
//! are drained or die and the bus fails in every way. Then the
//! faults stop, and within a bounded time everything must be as it should.

use std::time::Duration;

use super::Cluster;
use crate::browser::{Answering, CallState};
use crate::clock::{MILLI, SECOND};

/// How long it may take until everything is as it should, once faults have stopped.
const SETTLES: Duration = Duration::from_secs(75);

/// One run; what went wrong in it, with all that happened.
pub fn run(seed: u64) -> Result<(), String> {
    let mut cluster = Cluster::new(seed, 3);
    let pages: Vec<usize> = ["alice", "bob", "carol", "dave", "bob", "erin"]
        .into_iter()
        .map(|client| open(&mut cluster, client))
        .collect();
    let is_wild = cluster.random.below(2) == 0;
    if is_wild {
        cluster.bus.faults.lag = (MILLI, cluster.random.below(200) * MILLI);
        cluster.bus.faults.loss = cluster.random.below(300);
        cluster.bus.faults.repetition = cluster.random.below(300);
        cluster.bus.faults.unsure = cluster.random.below(200);
    }
    for _ in 0..40 {
        let pause = cluster.random.below(2 * SECOND);
        cluster.run_for(Duration::from_micros(pause));
        let page = pages[cluster.random.below(pages.len() as u64) as usize];
        act(&mut cluster, page);
        if let Some(fault) = cluster.fault() {
            return Err(fault);
        }
    }
    settles(&mut cluster)
}

fn open(cluster: &mut Cluster, client: &str) -> usize {
    let node = cluster.random.below(cluster.node_count() as u64) as usize;
    let page = cluster.page(client, node);
    cluster.pages[page].resumes = cluster.random.below(2) == 0;
    let after = cluster.random.below(3 * SECOND);
    let talks = cluster.random.below(10 * SECOND);
    let habit = &mut cluster.pages[page].browser.habit;
    habit.answering = Answering::After(after);
    habit.talks = Some(talks);
    let token = cluster.token(client);
    cluster.app(page, |browser, now| browser.enable_incoming(now, &token));
    page
}

fn act(cluster: &mut Cluster, page: usize) {
    let node = cluster.random.below(cluster.node_count() as u64) as usize;
    match cluster.random.below(13) {
        0..=5 => {
            let callees = ["alice", "bob", "carol", "dave", "erin"];
            let callee = callees[cluster.random.below(5) as usize];
            let client = cluster.pages[page].browser.client.clone();
            if cluster.pages[page].browser.may_call() && client != callee {
                let token = cluster.token(&client);
                cluster.app(page, |browser, now| browser.call(now, callee, &token));
            }
        }
        6 => {
            for (call, _) in cluster.pages[page].browser.open_calls() {
                cluster.app(page, |browser, now| browser.hang_up_call(now, call));
            }
        }
        7 => {
            cluster.pages[page].node = node;
            let notices = cluster.random.below(2) == 0;
            cluster.cut(page, notices);
        }
        8 => {
            let away = Duration::from_micros(cluster.random.below(12 * SECOND));
            if cluster.is_up(node) {
                cluster.kill(node, Some(away));
            }
        }
        9 => {
            let is_up = cluster.bus.is_up;
            cluster.set_bus(!is_up);
        }
        10 => {
            let other = cluster.random.below(cluster.node_count() as u64) as usize;
            if !cluster.bus.faults.deaf.remove(&(node, other)) {
                cluster.bus.faults.deaf.insert((node, other));
            }
        }
        11 => cluster.bus.forget(),
        _ => {
            let away = Duration::from_micros(cluster.random.below(5 * SECOND));
            if cluster.is_up(node) {
                cluster.drain(node, away);
            }
        }
    }
}

/// Faults stop; then everybody who believes to be registered is, on every node, every call ends, and each has one record.
fn settles(cluster: &mut Cluster) -> Result<(), String> {
    cluster.bus.faults = super::bus::BusFaults::default();
    if !cluster.bus.is_up {
        cluster.set_bus(true);
    }
    cluster.run_for(SETTLES);
    let fault =
        |cluster: &Cluster, what: String| Err(format!("{what}\n{}", cluster.log.join("\n")));
    if let Some(fault) = cluster.fault() {
        return Err(fault);
    }
    let believers = cluster.believers();
    for node in 0..cluster.node_count() {
        let clients = cluster.clients(node);
        if clients != believers {
            let what = format!("node {node} lists {clients:?}, and {believers:?} are registered");
            return fault(cluster, what);
        }
    }
    for page in &cluster.pages {
        let calls = page.browser.open_calls();
        if calls
            .iter()
            .any(|(_, state)| *state == CallState::Established)
        {
            let client = page.browser.client.clone();
            return fault(cluster, format!("{client} still has a call: {calls:?}"));
        }
    }
    match cluster.check_records(true) {
        Err(what) => fault(cluster, what),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn random_runs_of_a_cluster_settle() {
        for seed in 0..30 {
            if let Err(what) = super::run(seed) {
                panic!("seed {seed}: {what}");
            }
        }
    }
}
