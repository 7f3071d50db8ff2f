//! What a call that the gateway answers is for: an application, or clients who ring for a caller that they cannot reach themselves.
//!
//! A plain value: doing it is `script`'s and `run`'s.

use std::time::Duration;

use model::Application;

use super::action::{Connect, Destination};

/// Who says what happens in a call.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// The pages of an application.
    Application(Application),
    /// Nobody: the caller rings until one of these has answered, and the call ends with that one's.
    Ring(Connect),
    /// Nobody: whoever has answered our call is connected with one of these, and the call ends with that one's.
    Connect(Connect),
}

impl Plan {
    /// Those of a row ring at once, each row for so long; the next one when nobody of the one before is left.
    pub(crate) fn in_rows(rows: Vec<Vec<Destination>>, ring: Duration) -> Self {
        let mut rows = rows.into_iter();
        Self::Ring(Connect {
            destinations: rows.next().unwrap_or_default(),
            later: rows.collect(),
            from: None,
            hold: None,
            ring,
            next: None,
        })
    }

    /// How long a caller may be without an answer; `usual`: where that is an application's to give.
    pub(crate) fn patience(&self, usual: Duration) -> Duration {
        match self {
            Self::Application(_) | Self::Connect(_) => usual,
            Self::Ring(connect) => {
                let rows = u32::try_from(1 + connect.later.len()).unwrap_or(u32::MAX);
                connect.ring.saturating_mul(rows)
            }
        }
    }
}
