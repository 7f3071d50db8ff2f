//! What goes wrong, and when: the loss of connections at the boundaries of messages, late timers, slow records.
//!
//! Four boundaries belong to every message: its sender is about to send, and its receiver about to read, at either end.
//! Decides by chance, or loses exactly the connection at the n-th boundary, so that a sweep can try them all.

use crate::clock::{MILLI, SECOND};
use crate::random::Random;

/// How the two ends notice that a connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// When the client does, in microseconds from the loss.
    pub client_after: u64,
    /// When the server does; `None`: by its pings.
    pub server_after: Option<u64>,
}

impl Cut {
    /// Both ends notice at once.
    pub const BOTH: Self = Self {
        client_after: 0,
        server_after: Some(0),
    };
    /// The client notices at once, the server by its pings.
    pub const CLIENT: Self = Self {
        client_after: 0,
        server_after: None,
    };
    /// The server notices at once, the client half a minute later.
    pub const SERVER: Self = Self {
        client_after: 30 * SECOND,
        server_after: Some(0),
    };
    /// The client notices at once and is back before the server notices.
    pub const LATE_SERVER: Self = Self {
        client_after: 0,
        server_after: Some(3 * SECOND),
    };
    /// Neither notices for a while.
    pub const SILENT: Self = Self {
        client_after: 20 * SECOND,
        server_after: None,
    };
    /// All of these.
    pub const ALL: [Self; 5] = [
        Self::BOTH,
        Self::CLIENT,
        Self::SERVER,
        Self::LATE_SERVER,
        Self::SILENT,
    ];

    fn by_chance(random: &mut Random) -> Self {
        match random.below(4) {
            0 => Self::BOTH,
            1 => Self {
                client_after: random.below(5 * SECOND),
                server_after: None,
            },
            2 => Self {
                client_after: random.below(60 * SECOND),
                server_after: Some(random.below(100 * MILLI)),
            },
            _ => Self {
                client_after: random.below(2 * SECOND),
                server_after: Some(random.below(20 * SECOND)),
            },
        }
    }
}

/// A loss at a boundary.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// How the ends notice.
    pub cut: Cut,
    /// Whether everybody's connection is lost at the same time.
    pub is_for_all: bool,
    /// For how long whoever has lost its connection cannot connect, in microseconds.
    pub away: u64,
}

/// What goes wrong in a run.
#[derive(Clone, Debug)]
pub struct Faults {
    /// How often in a thousand boundaries the connection is lost there.
    pub loss_per_mille: u32,
    /// Lose the connection at this boundary, counted from 0.
    pub loss_at: Option<(u64, Cut)>,
    /// Lose it once more, at this boundary counted from the one before.
    pub then: Option<(u64, Cut)>,
    /// With the connection at `loss_at`, lose every other as well.
    pub loses_all: bool,
    /// For how long whoever loses its connection there cannot connect, in microseconds.
    pub away: u64,
    /// How late a machine may be woken, in microseconds.
    pub late_wake: u64,
    /// How long a call record may wait to be written, in microseconds.
    pub slow_record: u64,
    boundaries: u64,
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self {
            loss_per_mille: 0,
            loss_at: None,
            then: None,
            loses_all: false,
            away: 0,
            late_wake: 0,
            slow_record: 0,
            boundaries: 0,
        }
    }

    /// One loss, at this boundary.
    pub fn loss_at(boundary: u64, cut: Cut) -> Self {
        Self {
            loss_at: Some((boundary, cut)),
            ..Self::none()
        }
    }

    /// The same for everybody at once.
    pub fn for_all(mut self, loses_all: bool) -> Self {
        self.loses_all = loses_all;
        self
    }

    /// Whoever is struck cannot connect for so many microseconds.
    pub fn away(mut self, away: u64) -> Self {
        self.away = away;
        self
    }

    /// And once more, so many boundaries later.
    pub fn then(mut self, behind: u64, cut: Cut) -> Self {
        self.then = Some((behind, cut));
        self
    }

    /// A message is at a boundary: is its connection lost here?
    pub fn boundary(&mut self, random: &mut Random) -> Option<Loss> {
        let at = self.boundaries;
        self.boundaries += 1;
        let first = self.loss_at.filter(|(chosen, _)| *chosen == at);
        let second = self.loss_at.zip(self.then);
        let second = second.filter(|((first, _), (behind, _))| first + 1 + behind == at);
        if let Some((_, cut)) = first {
            return Some(Loss {
                cut,
                is_for_all: self.loses_all,
                away: self.away,
            });
        }
        let by_chance = || {
            (self.loss_per_mille > 0 && random.happens(self.loss_per_mille))
                .then(|| Cut::by_chance(random))
        };
        let cut = second.map(|(_, (_, cut))| cut).or_else(by_chance)?;
        Some(Loss {
            cut,
            is_for_all: false,
            away: 0,
        })
    }

    /// Nothing gets lost any more.
    pub fn heal(&mut self) {
        self.loss_per_mille = 0;
        (self.loss_at, self.then) = (None, None);
    }

    /// How many boundaries there were so far.
    pub fn boundaries(&self) -> u64 {
        self.boundaries
    }

    /// How late a machine is woken this time.
    pub fn lateness(&self, random: &mut Random) -> u64 {
        match self.late_wake {
            0 => 0,
            most => random.between(0, most),
        }
    }

    /// How long a record waits this time.
    pub fn record_delay(&self, random: &mut Random) -> u64 {
        match self.slow_record {
            0 => 0,
            most => random.between(0, most),
        }
    }
}
