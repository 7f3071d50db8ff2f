//! The two clocks of the node, read here and nowhere else.

use std::time::{Duration, SystemTime};

use model::{Now, UnixTime};

/// Counts the monotonic time from the start of the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: std::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }

    /// What the monotonic time is counted from.
    pub(crate) fn epoch(&self) -> std::time::Instant {
        self.start
    }

    /// Both clocks.
    pub(crate) fn now(&self) -> Now {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now {
            mono: model::Instant::from_micros(micros),
            unix: Self::unix(),
        }
    }

    /// How much time has passed since then.
    pub(crate) fn since(&self, then: model::Instant) -> Duration {
        let then = Duration::from_micros(then.as_micros());
        self.start.elapsed().saturating_sub(then)
    }

    /// The calendar clock alone; a clock that stands before 1970 reads as 1970.
    pub(crate) fn unix() -> UnixTime {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        UnixTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The point at which a timer for `at` must fire.
    pub(crate) fn deadline(&self, at: model::Instant) -> tokio::time::Instant {
        let after = Duration::from_micros(at.as_micros());
        // What lies further ahead than the clock can say is looked at again in an hour.
        let far = || self.start + self.start.elapsed() + Duration::from_secs(3600);
        self.start.checked_add(after).unwrap_or_else(far).into()
    }
}
