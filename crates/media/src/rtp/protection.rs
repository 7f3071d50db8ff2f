//! What one leg's packets are protected with: the key that each side has told the other, and what is sealed and opened with them.
//!
//! Never lets go of a key while both sides keep it, so that what has come once does not come again after a re-INVITE; and never sends a
//! stream under a key that it may have been sent under before.

use crate::sdp::Crypto;
use crate::srtp::{Closed, MasterKey, Opener, Sealer};

/// Of one leg.
#[derive(Debug)]
pub struct Protection {
    /// The rows of our last SDP, of which a later answer chooses again.
    rows: Vec<Crypto>,
    ours: MasterKey,
    theirs: MasterKey,
    sealer: Sealer,
    opener: Opener,
    /// Packets that were not the peer's, since somebody asked.
    forged: u32,
}

impl Protection {
    /// What the rows of our SDP and the peer's row have come to; the peer's has the tag of one of ours.
    pub fn new(rows: Vec<Crypto>, theirs: &Crypto) -> Result<Self, String> {
        let ours = theirs.chosen(&rows)?.key.clone();
        Ok(Self {
            sealer: sealer(&ours)?,
            opener: opener(&theirs.key)?,
            rows,
            ours,
            theirs: theirs.key.clone(),
            forged: 0,
        })
    }

    /// Our row to a further offer: the one that we had, unless the peer has changed its own.
    pub fn reanswer(&self, theirs: &Crypto, drawn: &[u8; MasterKey::BYTES]) -> Crypto {
        let key = match theirs.key == self.theirs {
            true => self.ours.clone(),
            false => MasterKey::drawn(theirs.key.suite(), drawn),
        };
        let tag = theirs.tag;
        Crypto { tag, key }
    }

    /// The rows of our last SDP.
    pub fn rows(&self) -> &[Crypto] {
        &self.rows
    }

    /// Goes on with what has been agreed anew; what is the same stays. True: our key is another, and what we send must be another stream.
    pub fn renew(&mut self, rows: Vec<Crypto>, theirs: &Crypto) -> Result<bool, String> {
        let ours = theirs.chosen(&rows)?.key.clone();
        let is_ours_new = ours != self.ours;
        let sealer = is_ours_new.then(|| sealer(&ours)).transpose()?;
        if theirs.key != self.theirs {
            self.opener = self.opener.replaced(&theirs.key).ok_or(NO_CIPHER)?;
            self.theirs = theirs.key.clone();
        }
        if let Some(sealer) = sealer {
            self.sealer = sealer;
            self.ours = ours;
        }
        self.rows = rows;
        Ok(is_ours_new)
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

fn sealer(key: &MasterKey) -> Result<Sealer, String> {
    Sealer::new(key).ok_or_else(|| NO_CIPHER.to_owned())
}

fn opener(key: &MasterKey) -> Result<Opener, String> {
    Opener::new(key).ok_or_else(|| NO_CIPHER.to_owned())
}

const NO_CIPHER: &str = "the cipher cannot be set up";
