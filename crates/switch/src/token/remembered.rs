//! Verified tokens, remembered until they expire: a refresh costs a look-up, not a signature check.
//!
//! Keeps a SHA-256 of each token, never its text.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::digest;
use model::{AccountId, UnixTime, limits};

use super::Grant;
use crate::table::{Keyed, Table};

type TokenHash = [u8; 32];

/// Grants by the hash of their token.
#[derive(Debug)]
pub(crate) struct Remembered {
    grants: Table<TokenHash, (AccountId, Arc<Grant>)>,
    by_expiry: BTreeSet<(UnixTime, TokenHash)>,
}

impl Remembered {
    pub(crate) fn new(keyed: Keyed) -> Self {
        Self {
            grants: Table::with_hasher(keyed),
            by_expiry: BTreeSet::new(),
        }
    }

    pub(crate) fn hash(token: &str) -> TokenHash {
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// The grant of a token that was verified for this account and has not expired.
    pub(crate) fn get(
        &self,
        hash: &TokenHash,
        account: AccountId,
        now: UnixTime,
    ) -> Option<Arc<Grant>> {
        let (owner, grant) = self.grants.get(hash)?;
        (*owner == account && now < grant.expires).then(|| Arc::clone(grant))
    }

    pub(crate) fn insert(
        &mut self,
        hash: TokenHash,
        account: AccountId,
        grant: Arc<Grant>,
        now: UnixTime,
    ) {
        self.forget_expired(now);
        if self.grants.len() >= limits::REMEMBERED_TOKENS
            && let Some((_, first)) = self.by_expiry.pop_first()
        {
            self.grants.remove(&first);
        }
        self.by_expiry.insert((grant.expires, hash));
        self.grants.insert(hash, (account, grant));
    }

    pub(crate) fn len(&self) -> usize {
        self.grants.len()
    }

    /// Forgets everything: keys or accounts have changed, and what was verified may no longer hold.
    pub(crate) fn clear(&mut self) {
        self.grants.clear();
        self.by_expiry.clear();
    }

    pub(crate) fn forget_expired(&mut self, now: UnixTime) {
        while let Some((expires, hash)) = self.by_expiry.first().copied()
            && expires <= now
        {
            self.by_expiry.pop_first();
            self.grants.remove(&hash);
        }
    }
}
