//! Where sessions have gone that were here, or elsewhere, before: for a while what still names the old place leads to the new one.
//!
//! Bounded in time and number. Never says whether a session is still there.

use std::collections::{BTreeMap, VecDeque};

use model::{ConnectionId, Instant, limits};

/// See the module.
#[derive(Debug, Default)]
pub struct Moves {
    to: BTreeMap<ConnectionId, ConnectionId>,
    /// When each is forgotten, the first one first.
    ends: VecDeque<(Instant, ConnectionId)>,
}

impl Moves {
    /// A session that was `from` is `to`. A number is never used twice, so nothing leads in a circle.
    pub fn note(&mut self, now: Instant, from: ConnectionId, to: ConnectionId) {
        while let Some((at, first)) = self.ends.front()
            && (*at <= now || self.ends.len() >= limits::MOVES_KEPT)
        {
            self.to.remove(first);
            self.ends.pop_front();
        }
        if from != to && self.resolve(to) != from && self.to.insert(from, to).is_none() {
            self.ends.push_back((now + limits::MOVE_KNOWN, from));
        }
    }

    /// What a session is now, as far as is known: itself, if nothing is.
    pub fn resolve(&self, session: ConnectionId) -> ConnectionId {
        let mut found = session;
        while let Some(next) = self.to.get(&found) {
            found = *next;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_went_on_and_on_is_found_for_a_while() {
        let at = |secs: u64| Instant::from_micros(secs * 1_000_000);
        let [a, b, c] = [1, 2, 3].map(ConnectionId);
        let mut moves = Moves::default();
        moves.note(at(0), a, b);
        moves.note(at(1), b, c);
        assert_eq!([a, b, c].map(|of| moves.resolve(of)), [c, c, c]);
        // What cannot be is not believed.
        moves.note(at(1), c, a);
        moves.note(at(1), c, c);
        assert_eq!(moves.resolve(c), c);
        moves.note(at(limits::MOVE_KNOWN.as_secs()), ConnectionId(4), c);
        assert_eq!([a, b].map(|of| moves.resolve(of)), [a, c]);
    }
}
