//! RTP and RTCP of one leg (RFC 3550, RFC 3551): numbers, reports, the order of packets, and whose packets are taken; plain, or
//! protected by `srtp`.
//!
//! Never decodes, and never opens a port. The formats come from `rtp-types` and `rtcp-types`.

mod incoming;
mod jitter;
mod leg;
mod outgoing;
mod protection;
mod session;
mod source;

pub use incoming::Incoming;
pub use jitter::{JitterBuffer, Next};
pub use leg::{RtpLeg, RtpPort};
pub use outgoing::Outgoing;
pub use protection::Protection;
pub use session::RtpSession;
pub use source::Source;

/// A packet that came, without its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What the payload is in.
    pub payload_type: u8,
    /// The marker bit.
    pub marker: bool,
    /// Its number, which wraps.
    pub sequence: u16,
    /// When it was sampled, on the clock of its payload type.
    pub timestamp: u32,
    /// Who sends.
    pub ssrc: u32,
    /// What is in it.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Any bytes: what is no RTP of version 2 is none.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let packet = rtp_types::RtpPacket::parse(bytes).ok()?;
        let begins = packet.payload_offset();
        let ends = begins + packet.payload_len();
        Some(Self {
            payload_type: packet.payload_type(),
            marker: packet.marker_bit(),
            sequence: packet.sequence_number(),
            timestamp: packet.timestamp(),
            ssrc: packet.ssrc(),
            payload: bytes.get(begins..ends)?,
        })
    }
}

/// Whether a datagram on a port for both is RTCP (RFC 5761 §4).
pub fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.get(1).is_some_and(|kind| (192..=223).contains(kind))
}
