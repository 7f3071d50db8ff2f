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

/// What goes wrong in a run.
#[derive(Clone, Debug)]
pub struct Faults {
    /// How often in a thousand boundaries the connection is lost there.
    pub loss_per_mille: u32,
    /// Lose the connection at this boundary, counted from 0.
    pub loss_at: Option<(u64, Cut)>,
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

    /// A message is at a boundary: is its connection lost here?
    pub fn boundary(&mut self, random: &mut Random) -> Option<Cut> {
        let at = self.boundaries;
        self.boundaries += 1;
        match self.loss_at {
            Some((chosen, cut)) if chosen == at => return Some(cut),
            Some(_) | None => {}
        }
        (self.loss_per_mille > 0 && random.happens(self.loss_per_mille))
            .then(|| Cut::by_chance(random))
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
