//! How many answers an unknown source may have: constant memory, however many sources there are.
//!
//! Sources whose keyed hash falls on the same place share it; nobody can choose that without the key.

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use crate::table::Keyed;

/// Sources that are told apart: 256 KiB.
const PLACES: usize = 32 * 1024;

#[derive(Debug)]
pub(crate) struct Brake {
    places: Vec<Place>,
    keyed: Keyed,
    per_second: u32,
    burst: u32,
}

/// A bucket of answers, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// In milliseconds; wraps after 49 days, which fills a bucket at worst.
    filled: u32,
    used: u32,
}

impl Brake {
    pub(crate) fn new(keyed: Keyed, per_second: u32, burst: u32) -> Self {
        Self {
            places: vec![Place::default(); PLACES],
            keyed,
            per_second,
            burst,
        }
    }

    /// Takes one answer for this source, if it may have one.
    pub(crate) fn take(&mut self, mono: Duration, source: IpAddr) -> bool {
        if !self.has_room(mono, source) {
            return false;
        }
        let at = self.place(source);
        self.places[at].used += 1_000;
        true
    }

    /// Whether this source may have an answer.
    pub(crate) fn has_room(&mut self, mono: Duration, source: IpAddr) -> bool {
        let at = self.place(source);
        let place = &mut self.places[at];
        let now = mono.as_millis() as u32;
        let earned = now
            .wrapping_sub(place.filled)
            .saturating_mul(self.per_second);
        place.used = place.used.saturating_sub(earned);
        place.filled = now;
        place.used.saturating_add(1_000) <= self.burst.saturating_mul(1_000)
    }

    /// An IPv4 address, or the /64 that one household has (RFC 6177).
    fn place(&self, source: IpAddr) -> usize {
        let mut hasher = self.keyed.build_hasher();
        match source.to_canonical() {
            IpAddr::V4(source) => source.hash(&mut hasher),
            IpAddr::V6(source) => hasher.write(&source.octets()[..8]),
        }
        hasher.finish() as usize % PLACES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_burst_and_then_its_rate_and_others_are_not_disturbed() {
        let mut brake = Brake::new(Keyed::new(1, 2), 20, 100);
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        let start = Duration::from_secs(100);
        let taken = |brake: &mut Brake, at| (0..1_000).filter(|_| brake.take(at, source)).count();
        assert_eq!(taken(&mut brake, start), 100);
        assert_eq!(taken(&mut brake, start + Duration::from_secs(1)), 20);
        assert!(brake.take(start, "192.0.2.2".parse().unwrap()));
        let (one, two) = (
            "2001:db8::1".parse().unwrap(),
            "2001:db8::2".parse().unwrap(),
        );
        let both = (0..200)
            .filter(|_| brake.take(start, one) | brake.take(start, two))
            .count();
        assert!(both <= 100, "a /64 is one source: {both}");
    }
}
