//! What falls due when. One entry for each client and each call, moved when its time changes.
//!
//! Never reads a clock: the owner asks for the first instant and is told when it has come.

use std::collections::BTreeSet;

use model::{AccountId, ClientId, Instant};

use crate::call::CallKey;

/// What falls due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// The first binding of a client ends.
    Client(AccountId, ClientId),
    /// A timer of a call.
    Call(CallKey),
    /// An INVITE has waited long enough for the bus.
    Look(u64),
    /// An answer that may have got lost need not be kept any longer.
    Orphan,
}

#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Instant, Due)>);

impl Timers {
    /// Moves an entry from one instant to another; `None` means that it stands or shall stand nowhere.
    pub(crate) fn shift(&mut self, due: Due, from: Option<Instant>, to: Option<Instant>) {
        if from == to {
            return;
        }
        let mut entry = due;
        if let Some(from) = from {
            let key = (from, entry);
            self.0.remove(&key);
            entry = key.1;
        }
        if let Some(to) = to {
            self.0.insert((to, entry));
        }
    }

    pub(crate) fn first(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes out the first entry that is due at `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, Due)> {
        let is_due = self.0.first().is_some_and(|(at, _)| *at <= now);
        is_due.then(|| self.0.pop_first()).flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
