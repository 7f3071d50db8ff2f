//! Draining a node: its clients and calls go to others, then it ends and comes back.

use std::time::Duration;

use model::{NodeNumber, limits};

use super::{Cluster, Event};
use crate::clock::{Rank, SECOND};

impl Cluster {
    /// A node is drained, ends as soon as nothing is left on it, and comes back after `away` under another number.
    pub fn drain(&mut self, node: usize, away: Duration) {
        self.note(format!("node {node} is drained"));
        let (now, number) = (self.clock.micros(), self.nodes[node].number);
        let event = Event::Drain(node, number, away.as_micros() as u64);
        self.agenda.at(now, Rank::Usual, event);
    }

    pub(super) fn drain_on(&mut self, node: usize, number: NodeNumber, away: u64) {
        if !self.nodes[node].server.is_up || self.nodes[node].number != number {
            return;
        }
        let (now, micros) = (self.now(), self.clock.micros());
        self.nodes[node].server.drain(now);
        self.settle(node);
        let is_empty = self.nodes[node].server.is_empty();
        let (after, event) = match is_empty {
            true => (
                limits::DRAIN_LINGER.as_micros() as u64,
                Event::Leave(node, number, away),
            ),
            false => (SECOND, Event::Drain(node, number, away)),
        };
        self.agenda.at(micros + after, Rank::Usual, event);
    }

    pub(super) fn leave(&mut self, node: usize, number: NodeNumber, away: u64) {
        if !self.nodes[node].server.is_up || self.nodes[node].number != number {
            return;
        }
        self.say_farewell(node);
        self.kill(node, Some(Duration::from_micros(away)));
    }

    /// Where a balancer sends a page: to its node, unless that is drained or not there.
    pub(super) fn balance(&mut self, page: usize) -> usize {
        let wanted = self.pages[page].node;
        let nodes = self.nodes.len();
        let serves = |node: &usize| {
            let server = &self.nodes[*node].server;
            server.is_up && !server.is_draining()
        };
        let mut others = (0..nodes).map(|step| (wanted + step) % nodes);
        let found = others.find(serves).unwrap_or(wanted);
        self.pages[page].node = found;
        found
    }
}
