//! What a peer sends on one leg: which numbers are plausible, what was lost, how unevenly it comes (RFC 3550 A.1, A.3, A.8).
//!
//! Never keeps a packet.

use std::time::Duration;

use model::Instant;
use rtcp_types::{ReportBlock, ReportBlockBuilder};

use super::Packet;

/// RFC 3550 A.1: numbers may jump so far ahead …
const MAX_DROPOUT: u16 = 3_000;
/// … and so far back.
const MAX_MISORDER: u16 = 100;

/// One source.
#[derive(Debug)]
pub struct Incoming {
    ssrc: u32,
    clock: u32,
    first: u64,
    highest: u64,
    received: u64,
    bytes: u64,
    /// The number that would confirm a jump.
    after_jump: Option<u16>,
    /// Of the last report.
    expected_then: u64,
    received_then: u64,
    /// Arrival less timestamp, in units of the clock, and how much it varies, in sixteenths.
    transit: u32,
    jitter: u32,
    /// The middle of the last sender report's NTP time, and when it came.
    sender_report: Option<(u32, Instant)>,
}

impl Incoming {
    /// From a source's first packet on. The extended number begins at 2¹⁶, so that a packet before the first has one too.
    pub fn new(now: Instant, packet: &Packet<'_>, clock: u32) -> Self {
        let first = (1 << 16) + u64::from(packet.sequence);
        let mut new = Self {
            ssrc: packet.ssrc,
            clock,
            first,
            highest: first - 1,
            received: 0,
            bytes: 0,
            after_jump: None,
            expected_then: 0,
            received_then: 0,
            transit: 0,
            jitter: 0,
            sender_report: None,
        };
        new.transit = new.arrival(now).wrapping_sub(packet.timestamp);
        new
    }

    /// Who it is.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The number of a packet without its wraps; nothing if it is none that could follow.
    pub fn take(&mut self, now: Instant, packet: &Packet<'_>) -> Option<u64> {
        let ahead = packet.sequence.wrapping_sub(self.highest as u16);
        let number = if ahead < MAX_DROPOUT {
            self.highest += u64::from(ahead);
            self.highest
        } else if ahead > u16::MAX - MAX_MISORDER {
            self.highest - u64::from(ahead.wrapping_neg())
        } else if self.after_jump == Some(packet.sequence) {
            // Two in a row: the source has begun anew.
            self.highest += u64::from(ahead);
            self.first = self.highest;
            (self.received, self.expected_then, self.received_then) = (0, 0, 0);
            self.highest
        } else {
            self.after_jump = Some(packet.sequence.wrapping_add(1));
            return None;
        };
        self.after_jump = None;
        self.received += 1;
        self.bytes += packet.payload.len() as u64;
        self.measure(now, packet.timestamp);
        Some(number)
    }

    /// A sender report came; `ntp` is its time.
    pub fn on_sender_report(&mut self, now: Instant, ntp: u64) {
        self.sender_report = Some(((ntp >> 16) as u32, now));
    }

    /// Packets, bytes of payload, and packets that never came.
    pub fn counts(&self) -> (u64, u64, u64) {
        (
            self.received,
            self.bytes,
            self.expected().saturating_sub(self.received),
        )
    }

    /// How unevenly packets come.
    pub fn jitter(&self) -> Duration {
        Duration::from_micros(u64::from(self.jitter / 16) * 1_000_000 / u64::from(self.clock))
    }

    /// What we say of it, since the last time we did.
    pub fn report(&mut self, now: Instant) -> ReportBlockBuilder {
        let expected = self.expected() - self.expected_then;
        let received = self.received - self.received_then;
        (self.expected_then, self.received_then) = (self.expected(), self.received);
        let lost = expected.saturating_sub(received);
        let fraction = (lost << 8).checked_div(expected).unwrap_or(0).min(255);
        let (last, delay) = self.sender_report.map_or((0, 0), |(middle, at)| {
            (middle, now.since(at).as_micros() * 65_536 / 1_000_000)
        });
        ReportBlock::builder(self.ssrc)
            .fraction_lost(fraction as u8)
            .cumulative_lost(self.counts().2.min(0x7f_ffff) as u32)
            .extended_sequence_number((self.highest - (1 << 16)) as u32)
            .interarrival_jitter(self.jitter / 16)
            .last_sender_report_timestamp(last)
            .delay_since_last_sender_report_timestamp(delay as u32)
    }

    fn expected(&self) -> u64 {
        self.highest + 1 - self.first
    }

    fn arrival(&self, now: Instant) -> u32 {
        (u128::from(now.as_micros()) * u128::from(self.clock) / 1_000_000) as u32
    }

    fn measure(&mut self, now: Instant, timestamp: u32) {
        let transit = self.arrival(now).wrapping_sub(timestamp);
        let change = (transit.wrapping_sub(self.transit) as i32).unsigned_abs();
        self.transit = transit;
        // A timestamp that jumps says nothing of the network; a second is more than any.
        if change < self.clock {
            self.jitter = self.jitter + change - (self.jitter + 8) / 16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16) -> Packet<'static> {
        Packet {
            payload_type: 8,
            marker: false,
            sequence,
            timestamp: u32::from(sequence) * 160,
            ssrc: 7,
            payload: &[0; 160],
        }
    }

    /// When a packet leaves that is sent each 20 ms.
    fn at(sequence: u16) -> Instant {
        Instant::from_micros(u64::from(sequence) * 20_000)
    }

    fn take(incoming: &mut Incoming, sequence: u16) -> Option<u64> {
        incoming.take(at(sequence), &packet(sequence))
    }

    fn block(incoming: &mut Incoming, now: Instant) -> Vec<u8> {
        let report = rtcp_types::ReceiverReport::builder(1).add_report_block(incoming.report(now));
        let mut bytes = vec![0; 64];
        let length = rtcp_types::RtcpPacketWriterExt::write_into(&report, &mut bytes).unwrap();
        bytes.truncate(length);
        bytes.split_off(8)
    }

    #[test]
    fn numbers_wrap_and_come_out_of_order() {
        let mut incoming = Incoming::new(at(65_534), &packet(65_534), 8_000);
        let base = (1 << 16) + 65_534;
        assert_eq!(take(&mut incoming, 65_534), Some(base));
        assert_eq!(take(&mut incoming, 65_533), Some(base - 1));
        assert_eq!(take(&mut incoming, 1), Some(base + 3));
        assert_eq!(take(&mut incoming, 0), Some(base + 2));
    }

    #[test]
    fn a_jump_needs_two_in_a_row() {
        let mut incoming = Incoming::new(at(100), &packet(100), 8_000);
        assert!(take(&mut incoming, 100).is_some());
        assert_eq!(take(&mut incoming, 30_000), None);
        assert_eq!(take(&mut incoming, 20_000), None);
        assert!(take(&mut incoming, 101).is_some());
        assert_eq!(take(&mut incoming, 30_000), None);
        let jumped = take(&mut incoming, 30_001).unwrap();
        assert_eq!(take(&mut incoming, 30_002), Some(jumped + 1));
        assert_eq!(incoming.counts().2, 0);
    }

    #[test]
    fn a_report_tells_losses_and_the_way_to_the_sender() {
        let mut incoming = Incoming::new(at(0), &packet(0), 8_000);
        // One of four is lost.
        for sequence in (0..100).filter(|sequence| sequence % 4 != 1) {
            take(&mut incoming, sequence);
        }
        incoming.on_sender_report(at(99), 0x1122_3344_5566_7788);
        let bytes = block(&mut incoming, at(99) + Duration::from_millis(500));
        assert_eq!(bytes[..4], [0, 0, 0, 7]);
        assert_eq!(bytes[4], 64);
        assert_eq!(bytes[5..8], [0, 0, 25]);
        assert_eq!(bytes[8..12], [0, 0, 0, 99]);
        assert_eq!(bytes[16..20], [0x33, 0x44, 0x55, 0x66]);
        assert_eq!(bytes[20..24], 32_768_u32.to_be_bytes());
        // Nothing was lost since.
        take(&mut incoming, 100);
        assert_eq!(block(&mut incoming, at(100))[4], 0);
    }

    #[test]
    fn jitter_is_that_of_the_network() {
        let mut even = Incoming::new(at(0), &packet(0), 8_000);
        let mut uneven = Incoming::new(at(0), &packet(0), 8_000);
        for sequence in 0..500 {
            take(&mut even, sequence);
            let late = Duration::from_millis(u64::from(sequence % 2) * 10);
            uneven.take(at(sequence) + late, &packet(sequence));
        }
        assert_eq!(even.jitter(), Duration::ZERO);
        let jitter = uneven.jitter().as_millis();
        assert!((9..=10).contains(&jitter), "{jitter}");
    }
}
