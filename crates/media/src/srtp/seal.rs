//! What leaves: packets and reports under one key of ours, each with an index that no other has.
//!
//! Never uses an index twice: a source that begins anew is another source, and a key whose indexes are used up seals nothing more.

use super::cipher::Cipher;
use super::keys::MasterKey;
use super::{head_of, word};

/// Reports under one key (RFC 3711 §3.4).
const LAST_REPORT: u32 = (1 << 31) - 1;

/// One direction.
#[derive(Debug)]
pub struct Sealer {
    rtp: Cipher,
    rtcp: Cipher,
    /// Who sends, the number of its last packet, and how often they have wrapped.
    source: Option<(u32, u16, u32)>,
    report: u32,
}

impl Sealer {
    /// Nothing if the cipher cannot be set up.
    pub fn new(key: &MasterKey) -> Option<Self> {
        Some(Self {
            rtp: Cipher::rtp(key)?,
            rtcp: Cipher::rtcp(key)?,
            source: None,
            report: 0,
        })
    }

    /// Bytes that a packet grows by.
    pub fn tag_bytes(&self) -> usize {
        self.rtp.tag_bytes()
    }

    /// Seals the packet that is next of its source, where it stands; nothing: it must not leave.
    pub fn seal(&mut self, packet: &mut Vec<u8>) -> Option<()> {
        let (head, ssrc) = (head_of(packet)?, word(packet, 8)?);
        let number = u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]);
        let wraps = match self.source {
            Some((last_ssrc, last, wraps)) if last_ssrc == ssrc => {
                wraps.checked_add(u32::from(number <= last))?
            }
            Some(_) | None => 0,
        };
        self.source = Some((ssrc, number, wraps));
        let index = u64::from(wraps) << 16 | u64::from(number);
        self.rtp.seal(packet, head, index)
    }

    /// Seals a report where it stands; nothing: it must not leave.
    pub fn seal_report(&mut self, report: &mut Vec<u8>) -> Option<()> {
        if self.report > LAST_REPORT {
            return None;
        }
        let index = self.report;
        self.report += 1;
        self.rtcp.seal_report(report, index)
    }
}
