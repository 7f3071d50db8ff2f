//! What we send on one leg: numbers and timestamps, and what a sender report says of them (RFC 3550 §5.1, §6.4.1).
//!
//! Never starts at a number that can be foretold: the seed comes in.

use model::{Instant, Now};
use rtcp_types::{SenderReport, SenderReportBuilder};
use rtp_types::RtpPacketBuilder;

/// Seconds between 1900, where NTP begins, and 1970.
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

/// One stream.
#[derive(Debug)]
pub struct Outgoing {
    ssrc: u32,
    sequence: u16,
    clock: u32,
    packets: u64,
    bytes: u64,
    /// The last packet's timestamp, and when it left.
    last: Option<(u32, Instant)>,
}

impl Outgoing {
    /// A stream whose source and first number are drawn from `random`.
    pub fn new(random: u64, clock: u32) -> Self {
        Self {
            ssrc: (random >> 32) as u32,
            sequence: random as u16,
            clock,
            packets: 0,
            bytes: 0,
            last: None,
        }
    }

    /// Who we are.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Packets and bytes of payload so far.
    pub fn sent(&self) -> (u64, u64) {
        (self.packets, self.bytes)
    }

    /// Leaves out numbers, so that a peer sees what was lost before it came to us.
    pub fn skip(&mut self, packets: u16) {
        self.sequence = self.sequence.wrapping_add(packets);
    }

    /// The next packet as it leaves, appended to `packet`.
    pub fn write(
        &mut self,
        now: Instant,
        payload_type: u8,
        marker: bool,
        timestamp: u32,
        payload: &[u8],
        packet: &mut Vec<u8>,
    ) {
        let written = RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(payload_type & 0x7f)
            .marker_bit(marker)
            .sequence_number(self.sequence)
            .timestamp(timestamp)
            .ssrc(self.ssrc)
            .payload(payload)
            .write_into_vec(packet);
        debug_assert!(
            written.is_ok(),
            "a packet without extensions is always well-formed"
        );
        self.sequence = self.sequence.wrapping_add(1);
        self.packets += 1;
        self.bytes += payload.len() as u64;
        self.last = Some((timestamp, now));
    }

    /// What we say of ourselves; nothing before the first packet.
    pub fn report(&self, now: Now) -> Option<SenderReportBuilder> {
        let (timestamp, at) = self.last?;
        let passed = now.mono.since(at).as_micros() * u128::from(self.clock) / 1_000_000;
        let millis = now.unix.as_millis();
        let fraction = ((millis % 1_000) << 32) / 1_000;
        Some(
            SenderReport::builder(self.ssrc)
                .ntp_timestamp((millis / 1_000 + NTP_TO_UNIX_S) << 32 | fraction)
                .rtp_timestamp(timestamp.wrapping_add(passed as u32))
                .packet_count(self.packets as u32)
                .octet_count(self.bytes as u32),
        )
    }
}

#[cfg(test)]
mod tests {
    use model::UnixTime;

    use super::*;
    use crate::rtp::Packet;

    #[test]
    fn numbers_go_on_and_wrap() {
        let mut out = Outgoing::new(0x1234_5678_0000_ffff, 8_000);
        let mut numbers = Vec::new();
        for at in 0..3_u32 {
            let mut bytes = Vec::new();
            out.write(
                Instant::default(),
                8,
                at == 0,
                at * 160,
                &[1, 2, 3],
                &mut bytes,
            );
            let packet = Packet::read(&bytes).unwrap();
            assert_eq!(packet.ssrc, 0x1234_5678);
            assert_eq!(packet.payload, [1, 2, 3]);
            assert_eq!((packet.payload_type, packet.marker), (8, at == 0));
            numbers.push((packet.sequence, packet.timestamp));
        }
        assert_eq!(numbers, [(0xffff, 0), (0, 160), (1, 320)]);
        assert_eq!(out.sent(), (3, 9));
    }

    #[test]
    fn a_report_says_both_clocks_at_one_moment() {
        let mut out = Outgoing::new(1, 8_000);
        let at = |micros: u64, millis: u64| Now {
            mono: Instant::from_micros(micros),
            unix: UnixTime::from_millis(millis),
        };
        assert!(out.report(at(0, 0)).is_none());
        out.write(
            Instant::from_micros(1_000_000),
            8,
            false,
            800,
            &[0; 160],
            &mut Vec::new(),
        );
        let report = out.report(at(1_500_000, 1_500)).unwrap();
        let mut bytes = [0; 64];
        let length = rtcp_types::RtcpPacketWriterExt::write_into(&report, &mut bytes).unwrap();
        let read = <SenderReport as rtcp_types::RtcpPacketParser>::parse(&bytes[..length]).unwrap();
        assert_eq!(read.rtp_timestamp(), 800 + 4_000);
        assert_eq!(read.ntp_timestamp() >> 32, NTP_TO_UNIX_S + 1);
        assert_eq!(read.ntp_timestamp() as u32, 1 << 31);
        assert_eq!((read.packet_count(), read.octet_count()), (1, 160));
    }
}
