//! A message that is sent again, after pauses that double, until something stops it (RFC 3261 §17.1.1.2).
//!
//! Timers A, E and G; the 2xx to an INVITE (§13.3.1.4) and reliable provisional responses (RFC 3262 §3) are repeated in the
//! same way by whoever gives them. Holds no message and sends nothing.

use std::time::Duration;

use super::{Moment, T1};

/// When a message is due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repetition {
    next: Moment,
    pause: Duration,
    longest: Duration,
}

impl Repetition {
    /// Of a message that has just been sent: first after T1, and never after more than `longest`.
    pub fn after(now: Moment, longest: Duration) -> Self {
        Self {
            next: now + T1,
            pause: T1,
            longest,
        }
    }

    /// When the message is due.
    pub fn next(&self) -> Moment {
        self.next
    }

    /// From now on after pauses of this length.
    pub fn settle(&mut self, now: Moment, pause: Duration) {
        (self.pause, self.longest, self.next) = (pause, pause, now + pause);
    }

    /// Whether the message is due at `now`; the next one then is after twice the pause.
    pub fn is_due(&mut self, now: Moment) -> bool {
        if now < self.next {
            return false;
        }
        self.pause = (self.pause * 2).min(self.longest);
        // From when it was due, not from a late look: the pauses are the peer's to rely on. Never in the past.
        self.next = (self.next + self.pause).max(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::T2;
    use super::*;

    fn moments(mut repetition: Repetition, until: u64) -> Vec<u64> {
        let mut found = Vec::new();
        while repetition.next() < Duration::from_millis(until) {
            let now = repetition.next();
            assert!(repetition.is_due(now));
            found.push(u64::try_from(now.as_millis()).unwrap());
        }
        found
    }

    #[test]
    fn pauses_double_and_stay_at_the_longest() {
        let invite = Repetition::after(Duration::ZERO, Duration::MAX);
        assert_eq!(
            moments(invite, 32_000),
            [500, 1_500, 3_500, 7_500, 15_500, 31_500]
        );
        let other = Repetition::after(Duration::ZERO, T2);
        assert_eq!(
            moments(other, 32_000),
            [
                500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500
            ]
        );
    }

    #[test]
    fn a_late_look_sends_once_and_not_what_was_missed() {
        let mut repetition = Repetition::after(Duration::ZERO, T2);
        let late = Duration::from_secs(20);
        assert!(repetition.is_due(late));
        assert!(repetition.next() >= late);
    }
}
