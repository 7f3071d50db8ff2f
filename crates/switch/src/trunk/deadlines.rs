//! What of a line falls due when, one entry for each thing.
//!
//! Never reads a clock.

use std::collections::BTreeSet;
use std::time::Duration;

use model::Instant;
use sip::transaction::Moment;

/// See the module.
#[derive(Debug)]
pub(super) struct Deadlines<K>(BTreeSet<(Instant, K)>);

impl<K: Ord + Clone> Deadlines<K> {
    pub(super) fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Moves an entry; `None` means that it stands, or shall stand, nowhere.
    pub(super) fn shift(&mut self, key: &K, from: Option<Instant>, to: Option<Instant>) {
        if from == to {
            return;
        }
        if let Some(from) = from {
            self.0.remove(&(from, key.clone()));
        }
        if let Some(to) = to {
            self.0.insert((to, key.clone()));
        }
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// The first that is due. It stays until it is moved.
    pub(super) fn due(&self, now: Instant) -> Option<K> {
        let (at, key) = self.0.first()?;
        (*at <= now).then(|| key.clone())
    }
}

/// An instant as transactions know it.
pub(super) fn moment(at: Instant) -> Moment {
    Duration::from_micros(at.as_micros())
}

/// And back; nothing if it never comes.
pub(super) fn instant(at: Moment) -> Option<Instant> {
    u64::try_from(at.as_micros()).ok().map(Instant::from_micros)
}
