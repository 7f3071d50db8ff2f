//! Compressed files on their way to being heard: decoded a few at a time, and no two of one account.
//!
//! What they become is counted before it is there. For a moment, when all of it is, it is there twice.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use media::compressed::Decoding;
use media::wav::HEAD_BYTES;
use model::{AccountId, limits};

use super::Unread;
use super::shelf::Turn;

/// Room is taken in steps of this: some seconds of speech.
const STEP: usize = 1024 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Decoders {
    /// Whose files are being decoded.
    busy: Mutex<BTreeSet<AccountId>>,
    done: Condvar,
}

impl Decoders {
    /// What a compressed file is as WAV; nothing: it is none. Waits for those before it, and takes a core then.
    pub(super) fn decode(
        &self,
        account: AccountId,
        file: &Arc<[u8]>,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Arc<[u8]>>, Unread> {
        if !Decoding::is_for(file) {
            return Ok(None);
        }
        let _place = self.enter(account);
        let begun = Decoding::begin(Arc::clone(file)).map_err(Unread::Undecodable)?;
        begun.map(|decoding| whole(decoding, turn)).transpose()
    }

    fn enter(&self, account: AccountId) -> Busy<'_> {
        let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |busy: &mut BTreeSet<AccountId>| {
            busy.len() >= limits::DECODINGS_AT_ONCE || busy.contains(&account)
        };
        let entered = self.done.wait_while(busy, is_full);
        let mut busy = entered.unwrap_or_else(PoisonError::into_inner);
        busy.insert(account);
        Busy {
            decoders: self,
            account,
        }
    }
}

struct Busy<'a> {
    decoders: &'a Decoders,
    account: AccountId,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let busy = self.decoders.busy.lock();
        let mut busy = busy.unwrap_or_else(PoisonError::into_inner);
        busy.remove(&self.account);
        drop(busy);
        self.decoders.done.notify_all();
    }
}

fn whole(mut decoding: Decoding, turn: &mut Turn<'_>) -> Result<Arc<[u8]>, Unread> {
    let mut wav = vec![0; HEAD_BYTES];
    let mut room = 0;
    while decoding.more(&mut wav).map_err(Unread::Undecodable)? {
        while room < wav.len() {
            turn.grow(STEP).map_err(Unread::NoRoom)?;
            room += STEP;
            // As much again as there is: each step of its own would be copied once more.
            if room > wav.capacity() {
                wav.reserve_exact((2 * wav.len()).max(room) - wav.len());
            }
        }
    }
    wav[..HEAD_BYTES].copy_from_slice(&decoding.head());
    turn.shrink(room - wav.len());
    Ok(wav.into())
}
