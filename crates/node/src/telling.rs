//! How often the log says that something fails: at once, and then each minute, as long as it goes on failing.

use std::time::{Duration, Instant};

/// A store that is away for a night fills no disk with lines.
const EVERY: Duration = Duration::from_secs(60);

/// How it stands with one thing that may fail again and again.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    /// When its failing is told again; none while it works.
    next: Option<Instant>,
}

impl Telling {
    /// It has failed: whether that is to be told.
    pub(crate) fn failed(&mut self) -> bool {
        self.failed_at(Instant::now())
    }

    fn failed_at(&mut self, now: Instant) -> bool {
        let is_due = self.next.is_none_or(|next| next <= now);
        if is_due {
            self.next = Some(now + EVERY);
        }
        is_due
    }

    /// It has worked: whether that is news.
    pub(crate) fn worked(&mut self) -> bool {
        self.next.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_failing_is_told_once_a_minute() {
        let mut telling = Telling::default();
        assert!(!telling.worked(), "it never failed");
        let now = Instant::now();
        for minute in 0..3 {
            let now = now + EVERY * minute;
            assert!(telling.failed_at(now));
            assert!(!telling.failed_at(now + EVERY / 2));
        }
        assert!(telling.worked() && !telling.worked());
        assert!(telling.failed(), "it fails anew");
    }
}
