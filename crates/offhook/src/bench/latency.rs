//! Latencies, counted in buckets: percentiles of any number of packets in constant memory.
//!
//! A bucket is never wider than 1/64 of what it holds. Never allocates while it counts.

/// Buckets for each power of two.
const STEPS: u64 = 64;
const STEPS_BITS: u32 = STEPS.ilog2();
/// Powers of two above the exact ones: up to 2^40 ns, 18 minutes; what is longer counts as that.
const POWERS: usize = 40 - STEPS_BITS as usize;

/// How often which latency was seen.
pub(super) struct Latencies {
    buckets: Vec<u64>,
    count: u64,
    max_ns: u64,
}

impl Latencies {
    pub(super) fn new() -> Self {
        Self {
            buckets: vec![0; STEPS as usize * (POWERS + 1)],
            count: 0,
            max_ns: 0,
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.buckets.fill(0);
        (self.count, self.max_ns) = (0, 0);
    }

    /// Counts packets of one latency.
    pub(super) fn count(&mut self, latency_ns: u64, packets: u64) {
        let last = self.buckets.len() - 1;
        self.buckets[bucket_of(latency_ns).min(last)] += packets;
        self.count += packets;
        self.max_ns = self.max_ns.max(latency_ns);
    }

    /// The latency that so many of 100 packets did not exceed: the upper end of its bucket. Nothing was counted: none.
    pub(super) fn percentile(&self, percent: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        // At least one packet, and never more than there are, however the product was rounded.
        let wanted = (self.count as f64 * percent / 100.0).ceil() as u64;
        let wanted = wanted.clamp(1, self.count);
        let mut passed = 0;
        for (bucket, packets) in self.buckets.iter().enumerate() {
            passed += packets;
            if passed >= wanted {
                return Some(upper_end(bucket).min(self.max_ns));
            }
        }
        Some(self.max_ns)
    }

    pub(super) fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max_ns)
    }
}

fn bucket_of(latency_ns: u64) -> usize {
    if latency_ns < STEPS {
        return latency_ns as usize;
    }
    let power = latency_ns.ilog2() - STEPS_BITS;
    // Between STEPS and 2 * STEPS - 1.
    let step = (latency_ns >> power) as usize;
    power as usize * STEPS as usize + step
}

/// The largest latency of a bucket.
fn upper_end(bucket: usize) -> u64 {
    let (bucket, steps) = (bucket as u64, STEPS);
    if bucket < 2 * steps {
        return bucket;
    }
    let power = bucket / steps - 1;
    let step = steps + bucket % steps;
    ((step + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_latency_lies_in_its_bucket_and_the_bucket_is_narrow() {
        let around = |power: u32| [(1 << power) - 1, 1 << power, (1 << power) + 1];
        for latency in (0..39).flat_map(around).chain([100, 12_345, 987_654_321]) {
            let bucket = bucket_of(latency);
            let top = upper_end(bucket);
            assert!(top >= latency, "{latency} is above its bucket's end {top}");
            assert!(top - latency <= latency / STEPS, "{latency}: {top}");
            assert_eq!(bucket_of(top), bucket, "{latency}");
            assert_eq!(bucket_of(top + 1), bucket + 1, "{latency}");
        }
    }

    #[test]
    fn percentiles_are_what_so_many_packets_did_not_exceed() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.percentile(50.0), None);
        assert_eq!(latencies.max(), None);
        for latency in 1..=60 {
            latencies.count(latency, 1);
        }
        latencies.count(1_000_000, 40);
        assert_eq!(latencies.percentile(0.0), Some(1));
        assert_eq!(latencies.percentile(50.0), Some(50));
        assert_eq!(latencies.percentile(60.0), Some(60));
        assert_eq!(latencies.percentile(61.0), Some(1_000_000));
        assert_eq!(latencies.percentile(100.0), Some(1_000_000));
        assert_eq!(latencies.max(), Some(1_000_000));
        latencies.clear();
        assert_eq!(latencies.percentile(50.0), None);
    }

    #[test]
    fn what_is_longer_than_the_last_bucket_is_counted_there() {
        let mut latencies = Latencies::new();
        latencies.count(u64::MAX, 1);
        assert_eq!(latencies.max(), Some(u64::MAX));
        assert!(latencies.percentile(50.0) >= Some((1 << 40) - 1));
    }
}
