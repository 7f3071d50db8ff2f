//! The keys of one leg at work (a cryptographic context each way, RFC 3711 §3.2): what it seals for its peer, what it opens of it, and
//! how much came that was not the peer's.
//!
//! Never knows where the keys come from, nor whose address a packet had.

use super::keys::MasterKey;
use super::open::{Closed, Opener};
use super::seal::Sealer;

/// Of one leg, both ways.
#[derive(Debug)]
pub struct Context {
    sealer: Sealer,
    opener: Opener,
    /// Packets that were not the peer's, since somebody asked.
    forged: u32,
}

impl Context {
    /// Of our key and the peer's; nothing if the cipher cannot be set up.
    pub fn new(ours: &MasterKey, theirs: &MasterKey) -> Option<Self> {
        Some(Self {
            sealer: Sealer::new(ours)?,
            opener: Opener::new(theirs)?,
            forged: 0,
        })
    }

    /// Goes on with those keys that are others now; nothing if the cipher cannot be set up, and then all is as it was.
    pub fn renew(&mut self, ours: Option<&MasterKey>, theirs: Option<&MasterKey>) -> Option<()> {
        let sealer = match ours {
            Some(key) => Some(Sealer::new(key)?),
            None => None,
        };
        if let Some(key) = theirs {
            self.opener = self.opener.replaced(key)?;
        }
        if let Some(sealer) = sealer {
            self.sealer = sealer;
        }
        Some(())
    }

    /// Bytes that a packet grows by.
    pub fn tag_bytes(&self) -> usize {
        self.sealer.tag_bytes()
    }

    /// Seals a packet where it stands; nothing: it must not leave.
    pub fn seal(&mut self, packet: &mut Vec<u8>) -> Option<()> {
        self.sealer.seal(packet)
    }

    /// Seals a report where it stands; nothing: it must not leave.
    pub fn seal_report(&mut self, report: &mut Vec<u8>) -> Option<()> {
        self.sealer.seal_report(report)
    }

    /// Writes what the peer has sealed; nothing if it has not, or if it came before.
    pub fn open(&mut self, packet: &[u8], clear: &mut Vec<u8>) -> Option<()> {
        let opened = self.opener.open(packet, clear);
        self.count(opened)
    }

    /// The same of a report.
    pub fn open_report(&mut self, report: &[u8], clear: &mut Vec<u8>) -> Option<()> {
        let opened = self.opener.open_report(report, clear);
        self.count(opened)
    }

    /// How many were forged since this was last asked.
    pub fn take_forged(&mut self) -> u32 {
        std::mem::take(&mut self.forged)
    }

    fn count(&mut self, opened: Result<(), Closed>) -> Option<()> {
        match opened {
            Ok(()) => Some(()),
            Err(Closed::Forged) => {
                self.forged = self.forged.saturating_add(1);
                None
            }
            Err(Closed::Misformed | Closed::Repeated) => None,
        }
    }
}
