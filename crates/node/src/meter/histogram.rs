//! How long something took, in buckets. Adding is two relaxed additions; reading takes no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets in microseconds: from what a message costs to what nobody waits for.
const BOUNDS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];
const MICROS: f64 = 1_000_000.0;

#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// The last one has no bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

/// What a histogram held at one moment.
pub(crate) struct Picture {
    /// Upper bound in seconds, and how many were in this bucket alone.
    pub(crate) buckets: Vec<(f64, u64)>,
    pub(crate) count: u64,
    pub(crate) sum_s: f64,
}

impl Histogram {
    pub(crate) fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The count is that of the buckets as they were read, so that they agree.
    pub(crate) fn picture(&self) -> Picture {
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / MICROS);
        let counts = self.buckets.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        Picture {
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
            sum_s: self.sum_micros.load(Ordering::Relaxed) as f64 / MICROS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for micros in [0, 100, 101, 10_000_000, 10_000_001] {
            histogram.add(Duration::from_micros(micros));
        }
        let picture = histogram.picture();
        let filled: Vec<_> = picture
            .buckets
            .iter()
            .filter(|(_, count)| *count > 0)
            .copied()
            .collect();
        let wanted = [(0.0001, 2), (0.00025, 1), (10.0, 1), (f64::INFINITY, 1)];
        assert_eq!(filled, wanted);
        assert_eq!((picture.count, picture.sum_s), (5, 20.000_202));
    }
}
