//! All clients come back at once, as after a restart: connect, ask for TURN credentials, register. Whoever is refused or
//! dropped tries again a second later, for ever, as stock clients do.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use super::sip::{Client, Kind, Template, refusal};
use super::swarm::{Actor, Next, Outbox};
use crate::cli::output::count;

/// Without jitter or back-off (docs/compat.md).
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Stock clients notice the loss at about the same time: within this they begin.
const WITHIN: Duration = Duration::from_secs(1);

/// How long the first of all may take.
const HOPE: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Storm {
    begun: Instant,
    /// How long it may take.
    patience: Duration,
    options: Vec<Template>,
    registers: Vec<Template>,
    is_registered: Vec<bool>,
    /// Who tries when.
    tries: BTreeSet<(Instant, usize)>,
    /// When each has registered, in order.
    pub(super) registered_after: Vec<Duration>,
    pub(super) attempts: u64,
    pub(super) failures: BTreeMap<String, u64>,
}

impl Storm {
    pub(super) fn new(clients: &[Client], patience: Duration) -> Self {
        let begun = Instant::now();
        let step = WITHIN / clients.len().max(1) as u32;
        let tries = (0..clients.len()).map(|at| (begun + step * at as u32, at));
        Self {
            begun,
            patience,
            options: clients.iter().map(Client::options).collect(),
            registers: clients.iter().map(Client::register).collect(),
            is_registered: vec![false; clients.len()],
            tries: tries.collect(),
            registered_after: Vec::new(),
            attempts: 0,
            failures: BTreeMap::new(),
        }
    }

    /// Why clients had to come again, and how often.
    pub(super) fn failures_in_words(&self) -> String {
        if self.failures.is_empty() {
            return "none".to_owned();
        }
        let each = self.failures.iter();
        let each: Vec<_> = each
            .map(|(why, times)| format!("{} × {why}", count(*times)))
            .collect();
        each.join("; ")
    }

    fn again(&mut self, at: usize, why: String) {
        *self.failures.entry(why).or_default() += 1;
        self.tries.insert((Instant::now() + AGAIN_AFTER, at));
    }
}

impl Actor for Storm {
    fn opened(&mut self, outbox: &mut Outbox, at: usize) {
        outbox.send(at, self.options[at].next());
        outbox.send(at, self.registers[at].next());
    }

    fn message(&mut self, outbox: &mut Outbox, at: usize, message: &[u8]) {
        match Kind::of(message) {
            Kind::Answer(200, b"REGISTER") => {
                if !std::mem::replace(&mut self.is_registered[at], true) {
                    self.registered_after.push(self.begun.elapsed());
                }
            }
            Kind::Answer(200.., b"REGISTER") => {
                outbox.close(at);
                self.again(at, refusal(message));
            }
            Kind::Answer(_, _) | Kind::Request(_) => {}
        }
    }

    fn lost(&mut self, _: &mut Outbox, at: usize, why: &io::Error) {
        if std::mem::replace(&mut self.is_registered[at], false) {
            self.registered_after.pop();
        }
        self.again(at, why.to_string());
    }

    fn turn(&mut self, outbox: &mut Outbox, now: Instant) -> Next {
        let patience = if self.registered_after.is_empty() {
            HOPE
        } else {
            self.patience
        };
        if self.registered_after.len() == self.options.len() || now >= self.begun + patience {
            return Next::Done;
        }
        while let Some((when, at)) = self.tries.first().copied() {
            if when > now {
                return Next::At(when);
            }
            self.tries.pop_first();
            self.attempts += 1;
            outbox.open(at);
        }
        Next::Message
    }
}
