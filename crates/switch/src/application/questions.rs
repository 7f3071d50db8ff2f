//! How a run numbers what it asks: pages and sounds, whose answers come back by these numbers.
//!
//! A number says whose it is. An application may ask without end: its numbers begin anew then, and are never those of another run.

use model::QuestionId;

use crate::call::CallKey;

/// Numbers of one run: those of its first script, and as many for whoever is called by it.
const BITS: u32 = 20;
/// Set in those of the second kind.
const SECONDARY: u64 = 1 << (BITS - 1);

/// The series of one script.
#[derive(Clone, Copy, Debug)]
pub(super) struct Questions {
    first: u64,
    last: u64,
}

impl Questions {
    /// Those of a run's own script.
    pub(super) fn of(run: CallKey) -> Self {
        Self {
            first: run.0 << BITS,
            last: 0,
        }
    }

    /// Those of the scripts of whom it calls, one after the other.
    pub(super) fn secondary(run: CallKey) -> Self {
        Self {
            first: (run.0 << BITS) | SECONDARY,
            last: 0,
        }
    }

    pub(super) fn next(&mut self) -> QuestionId {
        self.last = (self.last + 1) % SECONDARY;
        QuestionId(self.first + self.last)
    }
}

/// The run that a question was asked for.
pub(crate) fn asker(id: QuestionId) -> CallKey {
    CallKey(id.0 >> BITS)
}

/// Whether it was asked for somebody who was called.
pub(super) fn is_secondary(id: QuestionId) -> bool {
    id.0 & SECONDARY != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_often_a_run_asks_its_numbers_are_no_others() {
        let run = CallKey(7);
        let mut own = Questions::of(run);
        let mut secondary = Questions::secondary(run);
        for _ in 0..=2 * SECONDARY {
            let (own, secondary) = (own.next(), secondary.next());
            assert_eq!((asker(own), asker(secondary)), (run, run));
            assert!(!is_secondary(own) && is_secondary(secondary));
        }
        assert_eq!(Questions::of(run).next(), QuestionId((7 << 20) + 1));
    }
}
