//! What each packet of the benchmark carries in front: whose it is, its number, and when it was sent.
//!
//! Never as long as a packet: the rest is zeros, and whoever receives it need not look at more than [`STAMP_LEN`] bytes.

use std::time::Instant;

/// Bytes of a stamp, and the smallest packet that can be measured.
pub(super) const STAMP_LEN: usize = 24;

/// The front of a packet's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The run that it belongs to: what an earlier one left under way does not count.
    pub(super) run: u32,
    pub(super) flow: u32,
    /// Counts from 1 in each flow.
    pub(super) number: u64,
    /// Nanoseconds since the run began.
    pub(super) sent_ns: u64,
}

impl Stamp {
    /// Writes itself over the first bytes of a payload.
    pub(super) fn write(&self, payload: &mut [u8]) {
        payload[..4].copy_from_slice(&self.run.to_be_bytes());
        payload[4..8].copy_from_slice(&self.flow.to_be_bytes());
        payload[8..16].copy_from_slice(&self.number.to_be_bytes());
        payload[16..STAMP_LEN].copy_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// The stamp of a payload, if it is long enough to have one.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (run, rest) = payload.split_first_chunk()?;
        let (flow, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (sent_ns, _) = rest.split_first_chunk()?;
        Some(Self {
            run: u32::from_be_bytes(*run),
            flow: u32::from_be_bytes(*flow),
            number: u64::from_be_bytes(*number),
            sent_ns: u64::from_be_bytes(*sent_ns),
        })
    }
}

/// Nanoseconds since an instant; 584 years of them fit.
pub(super) fn nanoseconds_since(start: Instant) -> u64 {
    let passed = start.elapsed();
    passed.as_secs() * 1_000_000_000 + u64::from(passed.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_nothing_behind_it_is_touched() {
        let stamp = Stamp {
            run: 7,
            flow: 9_999,
            number: u64::MAX - 1,
            sent_ns: 1_234_567_890_123,
        };
        let mut payload = [0xee; STAMP_LEN + 1];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(payload[STAMP_LEN], 0xee);
        assert_eq!(Stamp::read(&payload[..STAMP_LEN - 1]), None);
    }
}
