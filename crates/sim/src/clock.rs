//! The simulated clock and the agenda of what happens when.
//!
//! Time moves only by taking the next entry. Entries of one instant come in the order of their rank, then in the order
//! in which they were made: a run never depends on anything else.

use std::collections::BTreeMap;

use model::{Instant, Now, UnixTime};

/// Microseconds of a second.
pub const SECOND: u64 = 1_000_000;
/// Microseconds of a millisecond.
pub const MILLI: u64 = 1_000;

/// Calendar time at the beginning of every run: 2026-01-01 00:00:00 UTC.
pub const EPOCH_S: u64 = 1_767_225_600;

/// Both clocks of the world.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    micros: u64,
}

impl Clock {
    /// Microseconds since the beginning of the run.
    pub fn micros(self) -> u64 {
        self.micros
    }

    /// What a machine is told.
    pub fn now(self) -> Now {
        Now {
            mono: Instant::from_micros(self.micros),
            unix: UnixTime::from_millis(EPOCH_S * 1000 + self.micros / MILLI),
        }
    }

    /// Moves on; never back.
    pub fn advance(&mut self, to: u64) {
        self.micros = self.micros.max(to);
    }
}

/// What comes first among entries of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A machine that asked to be woken.
    Wake,
    /// Everything else.
    Usual,
}

/// What happens when.
#[derive(Debug)]
pub struct Agenda<T> {
    entries: BTreeMap<(u64, Rank, u64), T>,
    made: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            made: 0,
        }
    }
}

impl<T> Agenda<T> {
    /// Notes an entry.
    pub fn at(&mut self, micros: u64, rank: Rank, entry: T) {
        self.made += 1;
        self.entries.insert((micros, rank, self.made), entry);
    }

    /// When the next entry is due.
    pub fn next_due(&self) -> Option<u64> {
        self.entries.first_key_value().map(|((at, _, _), _)| *at)
    }

    /// Takes the next entry out.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        self.entries
            .pop_first()
            .map(|((at, _, _), entry)| (at, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_by_time_rank_and_age() {
        let mut agenda = Agenda::default();
        agenda.at(5, Rank::Usual, "c");
        agenda.at(5, Rank::Usual, "d");
        agenda.at(5, Rank::Wake, "b");
        agenda.at(4, Rank::Usual, "a");
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop()).collect();
        assert_eq!(order, [(4, "a"), (5, "b"), (5, "c"), (5, "d")]);
    }
}
