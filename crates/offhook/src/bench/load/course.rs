//! One measurement in time: warming up, counting, the last answers; what is due, what was done and what failed.
//!
//! Closed loop: so many under way at most. Open loop: so many a second, and an answer is late by what its question had to wait,
//! too, so that a server that stalls cannot hide it.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use super::meter::Meter;
use super::swarm::Next;
use crate::bench::latency::Latencies;

/// What is not counted before the clock starts, as a part of the whole.
const WARM_UP: f64 = 0.2;
/// And at most.
const WARM_UP_MAX: Duration = Duration::from_secs(2);
/// How long answers are waited for after the end.
const GRACE: Duration = Duration::from_secs(5);
/// The part of what is due that the end may cut off.
const LATE: f64 = 0.02;

/// How much is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// So many under way at most.
    Window(usize),
    /// So many a second, come what may.
    Rate(f64),
}

/// See the module.
pub(super) struct Course {
    pace: Pace,
    /// Beside a window: no more than so many a second.
    at_most: Option<f64>,
    begun: Instant,
    counted_from: Instant,
    ends: Instant,
    started: u64,
    under_way: usize,
    pub(super) tally: Tally,
    meter: Meter,
}

/// What came of it.
pub(super) struct Tally {
    pub(super) latencies: Latencies,
    /// While the clock ran.
    pub(super) done: u64,
    /// Why it failed, and how often, from the beginning on.
    pub(super) failures: BTreeMap<String, u64>,
    /// Connections that the server ended, and why it ended the first.
    pub(super) lost: u64,
    pub(super) lost_because: Option<String>,
    pub(super) elapsed: Duration,
}

impl Course {
    pub(super) fn new(pace: Pace, length: Duration, meter: Meter) -> Self {
        let begun = Instant::now();
        let counted_from = begun + length.mul_f64(WARM_UP).min(WARM_UP_MAX);
        Self {
            pace,
            at_most: None,
            begun,
            counted_from,
            ends: counted_from + length,
            started: 0,
            under_way: 0,
            tally: Tally {
                latencies: Latencies::new(),
                done: 0,
                failures: BTreeMap::new(),
                lost: 0,
                lost_because: None,
                elapsed: length,
            },
            meter,
        }
    }

    /// Offers no more a second than the clients may ask for, though the window were open.
    pub(super) fn at_most(mut self, rate: Option<f64>) -> Self {
        self.at_most = rate;
        self
    }

    /// Counts from the beginning on: what is offered may be over before it is warm.
    pub(super) fn at_once(mut self) -> Self {
        self.counted_from = self.begun;
        self
    }

    /// If one more is due: the time that it counts from.
    pub(super) fn start(&mut self, now: Instant) -> Option<Instant> {
        if self.is_over(now) {
            return None;
        }
        let since = match self.pace {
            Pace::Window(window) => {
                (self.under_way < window && self.planned() <= now).then_some(now)?
            }
            Pace::Rate(_) => Some(self.planned()).filter(|planned| *planned <= now)?,
        };
        self.started += 1;
        self.under_way += 1;
        Some(since)
    }

    fn planned(&self) -> Instant {
        let rate = match self.pace {
            Pace::Window(_) => self.at_most,
            Pace::Rate(rate) => Some(rate),
        };
        self.begun
            + rate.map_or(Duration::ZERO, |rate| {
                Duration::from_secs_f64(self.started as f64 / rate)
            })
    }

    /// Whether nothing is offered any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.ends
    }

    /// One that began then has succeeded.
    pub(super) fn done(&mut self, since: Instant) {
        let now = Instant::now();
        self.under_way -= 1;
        if (self.counted_from..self.ends).contains(&now) {
            self.tally.done += 1;
            let latency = now.saturating_duration_since(since).as_nanos();
            self.tally.latencies.count(latency as u64, 1);
        }
    }

    pub(super) fn failed(&mut self, why: String) {
        self.under_way -= 1;
        *self.tally.failures.entry(why).or_default() += 1;
    }

    /// A connection is gone, of so many that should have lasted; with the last one it is over.
    pub(super) fn lost(&mut self, why: &io::Error, of: usize) {
        self.tally.lost += 1;
        if self.tally.lost == of as u64 {
            self.ends = self.ends.min(Instant::now());
            self.tally.elapsed = self.ends.saturating_duration_since(self.counted_from);
        }
        self.tally
            .lost_because
            .get_or_insert_with(|| why.to_string());
    }

    /// What was due before the end and could not be offered, because nobody was free. A generator that is late with a few at the end
    /// is left alone.
    fn not_offered(&self) -> u64 {
        let Pace::Rate(rate) = self.pace else {
            return 0;
        };
        let due = rate
            * self
                .ends
                .saturating_duration_since(self.begun)
                .as_secs_f64();
        let missing = due - self.started as f64;
        if missing > due * LATE {
            missing as u64
        } else {
            0
        }
    }

    /// One that was started was none, and there are no more: the clock stops.
    pub(super) fn stop(&mut self, now: Instant) {
        self.under_way -= 1;
        if now < self.ends {
            self.ends = now;
            self.tally.elapsed = now.saturating_duration_since(self.counted_from);
        }
    }

    /// When it wants to be asked again.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        self.meter.look(now >= self.counted_from, now >= self.ends);
        if now >= self.ends {
            let is_over = self.under_way == 0 || now >= self.ends + GRACE;
            return if is_over { Next::Done } else { Next::Message };
        }
        match self.pace {
            Pace::Window(window) if self.under_way >= window || self.planned() <= now => {
                Next::At(self.ends)
            }
            Pace::Window(_) => Next::At(self.planned().min(self.ends)),
            Pace::Rate(_) => Next::At(self.planned()),
        }
    }

    /// What came of it; what is still under way has failed.
    pub(super) fn finish(mut self) -> (Tally, Meter) {
        let missing = self.not_offered();
        if missing > 0 {
            let why = "could not be offered, since no client was free or there".to_owned();
            *self.tally.failures.entry(why).or_default() += missing;
        }
        if self.under_way > 0 {
            let why = "no answer came".to_owned();
            *self.tally.failures.entry(why).or_default() += self.under_way as u64;
        }
        (self.tally, self.meter)
    }
}
