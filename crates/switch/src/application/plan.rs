//! What a call that the gateway answers is for: an application, or clients who ring for a caller that they cannot reach themselves.
//!
//! A plain value: doing it is `script`'s and `run`'s.

use std::time::Duration;

use model::{Application, Page};

use super::action::{Connect, Destination, SecondaryCall};

/// Who says what happens in a call.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// The pages of an application.
    Application(Application),
    /// The pages of whoever an application has called for its caller, until both hear each other.
    Secondary(SecondaryCall),
    /// Nobody: the caller rings until one of these has answered, and the call ends with that one's.
    Ring(Connect),
    /// Nobody: whoever has answered our call is connected with one of these, and the call ends with that one's.
    Connect(Connect),
}

impl Plan {
    /// Those of a row ring at once, each row for so long; the next one when nobody of the one before is left.
    pub(crate) fn in_rows(rows: Vec<Vec<Destination>>, ring: Duration) -> Self {
        let mut rows = rows.into_iter();
        let first = rows.next().unwrap_or_default();
        Self::Ring(Connect {
            later: rows.collect(),
            ..Connect::ringing(first, ring)
        })
    }

    /// How long a caller may be without an answer; `usual`: where that is an application's to give.
    pub(crate) fn patience(&self, usual: Duration) -> Duration {
        match self {
            Self::Application(_) | Self::Secondary(_) | Self::Connect(_) => usual,
            Self::Ring(connect) => {
                let rows = u32::try_from(1 + connect.later.len()).unwrap_or(u32::MAX);
                connect.ring.saturating_mul(rows)
            }
        }
    }

    /// Says what happens, if anything is to.
    pub(crate) fn first_page(&self) -> Option<&Page> {
        match self {
            Self::Application(application) => Some(&application.first_page),
            Self::Secondary(pages) => pages.first.as_ref(),
            Self::Ring(_) | Self::Connect(_) => None,
        }
    }

    /// Told when the call has ended.
    pub(crate) fn final_page(&self) -> Option<&Page> {
        match self {
            Self::Application(application) => application.final_page.as_ref(),
            Self::Secondary(pages) => pages.last.as_ref(),
            Self::Ring(_) | Self::Connect(_) => None,
        }
    }

    /// Told what went wrong.
    pub(crate) fn error_page(&self) -> Option<&Page> {
        match self {
            Self::Application(application) => application.error_page.as_ref(),
            Self::Secondary(pages) => pages.error.as_ref(),
            Self::Ring(_) | Self::Connect(_) => None,
        }
    }

    /// Whether it is somebody's who was called for another.
    pub(crate) fn is_secondary(&self) -> bool {
        matches!(self, Self::Secondary(_))
    }
}
