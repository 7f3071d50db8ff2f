//! What comes: packets and reports under one key of the peer's, each of them once.
//!
//! Never keeps anything of a packet that is not authentic, and forgets no source while its key is good: what it has sent could be
//! sent again by anybody.

use model::limits::SRTP_SOURCES;

use super::cipher::Cipher;
use super::keys::MasterKey;
use super::window::Window;
use super::{head_of, word};

/// Why something was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It is no packet, or of one source too many.
    Misformed,
    /// It was changed, or sealed by another key.
    Forged,
    /// It has come already, or is too old to be sure.
    Repeated,
}

/// One direction.
#[derive(Debug)]
pub struct Opener {
    rtp: Cipher,
    rtcp: Cipher,
    /// Who has sent packets, and who reports.
    pub(super) sources: Vec<(u32, Window)>,
    pub(super) reporters: Vec<(u32, Window)>,
}

impl Opener {
    /// Nothing if the cipher cannot be set up.
    pub fn new(key: &MasterKey) -> Option<Self> {
        Some(Self {
            rtp: Cipher::rtp(key)?,
            rtcp: Cipher::rtcp(key)?,
            sources: Vec::new(),
            reporters: Vec::new(),
        })
    }

    /// Writes the packet as it was before it was sealed.
    pub fn open(&mut self, packet: &[u8], clear: &mut Vec<u8>) -> Result<(), Closed> {
        let head = head_of(packet).ok_or(Closed::Misformed)?;
        let ssrc = word(packet, 8).ok_or(Closed::Misformed)?;
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        let known = place_of(&self.sources, ssrc)?;
        let index = match known {
            // RFC 4568 §6.4: numbers begin before their first wrap.
            None => u64::from(number),
            Some(at) => {
                let window = &self.sources[at].1;
                let whole = window.whole(number).ok_or(Closed::Repeated)?;
                if !window.is_fresh(whole) {
                    return Err(Closed::Repeated);
                }
                whole
            }
        };
        let opened = self.rtp.open(packet, head, index, clear);
        opened.ok_or(Closed::Forged)?;
        take(&mut self.sources, known, ssrc, index);
        Ok(())
    }

    /// Writes the report as it was before it was sealed.
    pub fn open_report(&mut self, report: &[u8], clear: &mut Vec<u8>) -> Result<(), Closed> {
        let ssrc = word(report, 4).ok_or(Closed::Misformed)?;
        let index = self.rtcp.report_index(report).ok_or(Closed::Misformed)?;
        let known = place_of(&self.reporters, ssrc)?;
        if known.is_some_and(|at| !self.reporters[at].1.is_fresh(index.into())) {
            return Err(Closed::Repeated);
        }
        let opened = self.rtcp.open_report(report, index, clear);
        opened.ok_or(Closed::Forged)?;
        take(&mut self.reporters, known, ssrc, index.into());
        Ok(())
    }
}

/// Whoever came last is looked at first.
fn place_of(sources: &[(u32, Window)], ssrc: u32) -> Result<Option<usize>, Closed> {
    let known = sources.iter().rposition(|(known, _)| *known == ssrc);
    if known.is_none() && sources.len() >= SRTP_SOURCES {
        return Err(Closed::Misformed);
    }
    Ok(known)
}

fn take(sources: &mut Vec<(u32, Window)>, known: Option<usize>, ssrc: u32, index: u64) {
    match known {
        Some(at) => sources[at].1.take(index),
        None => sources.push((ssrc, Window::new(index))),
    }
}
