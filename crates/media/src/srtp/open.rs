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
    sources: Vec<(u32, Window)>,
    reporters: Vec<(u32, Window)>,
    /// Who sent packets under the key before this one: where a source goes on, its count of wraps may too (RFC 3711 §3.3.1), or not.
    before: Vec<(u32, Window)>,
}

impl Opener {
    /// Nothing if the cipher cannot be set up.
    pub fn new(key: &MasterKey) -> Option<Self> {
        Some(Self {
            rtp: Cipher::rtp(key)?,
            rtcp: Cipher::rtcp(key)?,
            sources: Vec::new(),
            reporters: Vec::new(),
            before: Vec::new(),
        })
    }

    /// The peer has another key.
    pub fn replaced(&self, key: &MasterKey) -> Option<Self> {
        let mut new = Self::new(key)?;
        let before = match self.sources.is_empty() {
            true => &self.before,
            false => &self.sources,
        };
        new.before.clone_from(before);
        Some(new)
    }

    /// Writes the packet as it was before it was sealed.
    pub fn open(&mut self, packet: &[u8], clear: &mut Vec<u8>) -> Result<(), Closed> {
        let head = head_of(packet).ok_or(Closed::Misformed)?;
        let ssrc = word(packet, 8).ok_or(Closed::Misformed)?;
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        let known = place_of(&self.sources, ssrc)?;
        let indexes = match known {
            // RFC 4568 §6.4: numbers begin before their first wrap.
            None => [Some(u64::from(number)), self.continued(ssrc, number)],
            Some(at) => {
                let window = &self.sources[at].1;
                let whole = window.whole(number).ok_or(Closed::Repeated)?;
                if !window.is_fresh(whole) {
                    return Err(Closed::Repeated);
                }
                [Some(whole), None]
            }
        };
        let mut indexes = indexes.into_iter().flatten();
        let is_it = |index: &u64| self.rtp.open(packet, head, *index, clear).is_some();
        let index = indexes.find(is_it).ok_or(Closed::Forged)?;
        take(&mut self.sources, known, ssrc, index);
        Ok(())
    }

    /// The whole number of a source that has gone on from another key.
    fn continued(&self, ssrc: u32, number: u16) -> Option<u64> {
        let (_, window) = self.before.iter().find(|(known, _)| *known == ssrc)?;
        let whole = window.whole(number);
        whole.filter(|whole| *whole != u64::from(number))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::Suite;

    fn key(byte: u8) -> MasterKey {
        MasterKey::drawn(Suite::AesCm128HmacSha1_80, &[byte; MasterKey::BYTES])
    }

    fn sealed(key: &MasterKey, index: u64) -> Vec<u8> {
        let number = (index as u16).to_be_bytes();
        let mut packet = vec![
            0x80, 8, number[0], number[1], 0, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3,
        ];
        let cipher = Cipher::rtp(key).unwrap();
        cipher.seal(&mut packet, 12, index).unwrap();
        packet
    }

    #[test]
    fn a_source_goes_on_under_a_new_key_whether_or_not_it_counts_its_wraps_anew() {
        for begins in [65_550_u64, 14] {
            let mut opener = Opener::new(&key(1)).unwrap();
            let mut clear = Vec::new();
            for index in 65_530..65_550 {
                assert_eq!(opener.open(&sealed(&key(1), index), &mut clear), Ok(()));
            }
            // A key that nothing came under changes nothing.
            let mut opener = opener.replaced(&key(2)).unwrap();
            opener = opener.replaced(&key(3)).unwrap();
            let old = sealed(&key(1), 65_551);
            assert_eq!(opener.open(&old, &mut clear), Err(Closed::Forged));
            for index in begins..begins + 5 {
                let packet = sealed(&key(3), index);
                assert_eq!(opener.open(&packet, &mut clear), Ok(()), "{index}");
                assert_eq!(opener.open(&packet, &mut clear), Err(Closed::Repeated));
            }
        }
    }
}
