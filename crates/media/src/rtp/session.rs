//! One medium with one peer, both ways (an RTP session, RFC 3550 §3): the numbers of each, and what is reported of them.
//!
//! Never knows an address, and never decodes or encrypts.

use std::time::Duration;

use model::limits::RTCP_INTERVAL;
use model::{Instant, Now};
use rtcp_types::{
    Compound, CompoundBuilder, Packet as Report, ReceiverReport, RtcpPacketWriter,
    RtcpPacketWriterExt as _, Sdes, SdesChunk, SdesItem,
};

use super::{Incoming, Outgoing, Packet};

/// The top bit of the first number of a stream, which is far from its wrap, lest a peer that opens what was sealed count one wrap too few
/// (RFC 4568 §6.4).
const FAR: u64 = 1 << 15;

/// See the module.
#[derive(Debug)]
pub struct RtpSession {
    clock: u32,
    outgoing: Outgoing,
    incoming: Option<Incoming>,
    report_due: Instant,
    random: u64,
}

impl RtpSession {
    /// On a clock; the first half of `random` is who we are.
    pub fn new(now: Instant, random: u64, clock: u32) -> Self {
        Self {
            clock,
            outgoing: Outgoing::new(random & !FAR, clock),
            incoming: None,
            report_due: now + RTCP_INTERVAL / 2,
            random,
        }
    }

    /// What is sent from now on has another clock, and so is another stream (RFC 7160 §3.1).
    pub fn change_clock(&mut self, random: u64, clock: u32) {
        if clock != self.clock {
            self.clock = clock;
            self.begin_anew(random);
            self.incoming = None;
        }
    }

    /// Another stream, whose name is another.
    pub fn begin_anew(&mut self, random: u64) {
        let is_same = (random >> 32) as u32 == self.outgoing.ssrc();
        let random = if is_same { random ^ 1 << 32 } else { random };
        self.outgoing = Outgoing::new(random & !FAR, self.clock);
    }

    /// The number of one of the peer's packets, without wraps; nothing if it is none that could follow.
    pub fn take(&mut self, now: Instant, packet: &Packet<'_>) -> Option<u64> {
        let clock = self.clock;
        let incoming = match &mut self.incoming {
            Some(known) if known.ssrc() == packet.ssrc => known,
            other => other.insert(Incoming::new(now, packet, clock)),
        };
        incoming.take(now, packet)
    }

    /// What the peer reports.
    pub fn take_report(&mut self, now: Instant, bytes: &[u8]) {
        let Ok(compound) = Compound::parse(bytes) else {
            return;
        };
        for report in compound.flatten() {
            if let (Report::Sr(report), Some(incoming)) = (report, &mut self.incoming)
                && report.ssrc() == incoming.ssrc()
            {
                incoming.on_sender_report(now, report.ntp_timestamp());
            }
        }
    }

    /// Leaves out numbers of packets that were lost before they came to us.
    pub fn skip(&mut self, packets: u16) {
        self.outgoing.skip(packets);
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
        self.outgoing
            .write(now, payload_type, marker, timestamp, payload, packet);
    }

    /// When the next report is due.
    pub fn poll_timeout(&self) -> Instant {
        self.report_due
    }

    /// The report that is due.
    pub fn on_timeout(&mut self, now: Now) -> Option<Vec<u8>> {
        if now.mono < self.report_due {
            return None;
        }
        self.report_due = now.mono + self.draw_interval();
        self.write_report(now)
    }

    /// Packets and bytes from the peer, lost packets, and packets and bytes to it.
    pub fn counts(&self) -> ((u64, u64, u64), (u64, u64)) {
        let incoming = self.incoming.as_ref().map(Incoming::counts);
        (incoming.unwrap_or_default(), self.outgoing.sent())
    }

    /// RFC 3550 §6.2: half to one and a half times the interval, so that reports of many legs do not leave together.
    fn draw_interval(&mut self) -> Duration {
        // Splitmix, of a seed that came in.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        RTCP_INTERVAL / 2 + RTCP_INTERVAL * ((mixed >> 54) as u32) / 1_024
    }

    fn write_report(&mut self, now: Now) -> Option<Vec<u8>> {
        let ssrc = self.outgoing.ssrc();
        let block = self
            .incoming
            .as_mut()
            .map(|incoming| incoming.report(now.mono));
        let item = SdesItem::builder(SdesItem::CNAME, "offhook");
        let names = Sdes::builder().add_chunk(SdesChunk::builder(ssrc).add_item(item));
        let compound: CompoundBuilder<'_> = match (self.outgoing.report(now), block) {
            (Some(report), Some(block)) => {
                Compound::builder().add_packet(report.add_report_block(block))
            }
            (Some(report), None) => Compound::builder().add_packet(report),
            (None, Some(block)) => Compound::builder()
                .add_packet(ReceiverReport::builder(ssrc).add_report_block(block)),
            (None, None) => Compound::builder().add_packet(ReceiverReport::builder(ssrc)),
        };
        let compound = compound.add_packet(names);
        let mut bytes = vec![0; compound.calculate_size().ok()?];
        let length = compound.write_into(&mut bytes).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }
}
