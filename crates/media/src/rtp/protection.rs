//! What one leg's packets are protected with as its SDP says: the key that each side has told the other (RFC 4568).
//!
//! Never lets go of a key while both sides keep it, so that what has come once does not come again after a re-INVITE; and never sends a
//! stream under a key that it may have been sent under before.

use crate::sdp::Crypto;
use crate::srtp::{Context, MasterKey};

const NO_CIPHER: &str = "the cipher cannot be set up";

/// Of one leg.
#[derive(Debug)]
pub struct Protection {
    /// The rows of our last SDP, of which a later answer chooses again.
    rows: Vec<Crypto>,
    ours: MasterKey,
    theirs: MasterKey,
    context: Context,
}

impl Protection {
    /// What the rows of our SDP and the peer's row have come to; the peer's has the tag of one of ours.
    pub fn new(rows: Vec<Crypto>, theirs: &Crypto) -> Result<Self, String> {
        let ours = theirs.chosen(&rows)?.key.clone();
        let theirs = theirs.key.clone();
        Ok(Self {
            context: Context::new(&ours, &theirs).ok_or(NO_CIPHER)?,
            rows,
            ours,
            theirs,
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
        let ours = &theirs.chosen(&rows)?.key;
        let theirs = &theirs.key;
        let new_ours = Some(ours).filter(|key| **key != self.ours);
        let new_theirs = Some(theirs).filter(|key| **key != self.theirs);
        let renewed = self.context.renew(new_ours, new_theirs);
        renewed.ok_or(NO_CIPHER)?;
        let is_ours_new = new_ours.is_some();
        self.ours = ours.clone();
        self.theirs = theirs.clone();
        self.rows = rows;
        Ok(is_ours_new)
    }

    /// What seals and opens.
    pub fn context(&mut self) -> &mut Context {
        &mut self.context
    }
}
