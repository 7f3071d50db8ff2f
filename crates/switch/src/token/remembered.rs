//! Verified tokens, remembered until they expire: a refresh costs a look-up, not a signature check.
//!
//! Keeps a SHA-256 of each token. The text is kept only of what a connection showed last ([`Shown`]): stock clients show the
//! same again at each refresh, and comparing is cheaper than hashing.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::digest;
use model::{AccountId, CallPattern, SecretBytes, UnixTime, limits};

use super::Grant;
use crate::table::{Keyed, Table};

type TokenHash = [u8; 32];

/// Grants by the hash of their token.
#[derive(Debug)]
pub(crate) struct Remembered {
    grants: Table<TokenHash, (AccountId, Arc<Grant>)>,
    by_expiry: BTreeSet<(UnixTime, TokenHash)>,
    /// What all grants weigh.
    bytes: usize,
    /// How often everything was forgotten.
    epoch: u64,
}

/// The token that a connection showed last, and what it permits.
#[derive(Debug)]
pub(crate) struct Shown {
    token: SecretBytes,
    grant: Arc<Grant>,
    /// That of its verification.
    epoch: u64,
}

impl Remembered {
    pub(crate) fn new(keyed: Keyed) -> Self {
        Self {
            grants: Table::with_hasher(keyed),
            by_expiry: BTreeSet::new(),
            bytes: 0,
            epoch: 0,
        }
    }

    /// The grant of a token that was found good on the same connection, if this is it and nothing has changed since.
    pub(crate) fn again(&self, shown: &Shown, token: &str, now: UnixTime) -> Option<Arc<Grant>> {
        let holds = shown.epoch == self.epoch && now < shown.grant.expires;
        (holds && shown.token.expose() == token.as_bytes()).then(|| Arc::clone(&shown.grant))
    }

    /// What to keep of a token that was just found good; nothing of a long one.
    pub(crate) fn shown(&self, token: &str, grant: &Arc<Grant>) -> Option<Shown> {
        (token.len() <= limits::SHOWN_TOKEN_BYTES).then(|| Shown {
            token: SecretBytes::new(token.into()),
            grant: Arc::clone(grant),
            epoch: self.epoch,
        })
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
        self.bytes += weight(&grant);
        self.by_expiry.insert((grant.expires, hash));
        if let Some((_, before)) = self.grants.insert(hash, (account, grant)) {
            self.bytes -= weight(&before);
        }
        while self.grants.len() > limits::REMEMBERED_TOKENS || self.bytes > limits::REMEMBERED_BYTES
        {
            let Some((_, first)) = self.by_expiry.pop_first() else {
                break;
            };
            self.forget(&first);
        }
    }

    fn forget(&mut self, hash: &TokenHash) {
        if let Some((_, grant)) = self.grants.remove(hash) {
            self.bytes -= weight(&grant);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.grants.len()
    }

    /// Forgets everything: keys or accounts have changed, and what was verified may no longer hold.
    pub(crate) fn clear(&mut self) {
        self.epoch += 1;
        self.grants.clear();
        self.by_expiry.clear();
        self.bytes = 0;
    }

    pub(crate) fn forget_expired(&mut self, now: UnixTime) {
        while let Some((expires, hash)) = self.by_expiry.first().copied()
            && expires <= now
        {
            self.by_expiry.pop_first();
            self.forget(&hash);
        }
    }
}

/// Bytes of a grant: its texts, and what stands round each.
fn weight(grant: &Grant) -> usize {
    let text = |pattern: &CallPattern| match pattern {
        CallPattern::Client(client) => client.as_str().len(),
        CallPattern::Prefix(prefix) => prefix.len(),
    };
    let patterns = grant.call_client.iter();
    let texts: usize = patterns
        .map(|pattern| size_of_val(pattern) + text(pattern))
        .sum();
    size_of::<Grant>() + grant.client.as_str().len() + texts
}

#[cfg(test)]
mod tests {
    use model::ClientId;

    use super::*;
    use crate::random::Random;
    use crate::token::TokenMark;

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    /// Ends at 100.
    fn grant() -> Arc<Grant> {
        Arc::new(Grant {
            client: ClientId::parse("alice").unwrap(),
            enable_incoming: true,
            call_client: Vec::new(),
            expires: at(100),
            mark: TokenMark {
                id: None,
                issued: at(1),
            },
        })
    }

    #[test]
    fn what_was_shown_holds_to_the_byte_until_it_ends_or_something_changes() {
        let mut remembered = Remembered::new(Keyed::new(&mut Random::new([1; 32])));
        let grant = grant();
        let shown = remembered.shown("a.b.c", &grant).unwrap();
        assert_eq!(
            remembered.again(&shown, "a.b.c", at(99)),
            Some(grant.clone())
        );
        for other in ["", "a.b", "a.b.C", "a.b.cd"] {
            assert_eq!(remembered.again(&shown, other, at(99)), None, "{other}");
        }
        assert_eq!(remembered.again(&shown, "a.b.c", at(100)), None);
        remembered.clear();
        assert_eq!(remembered.again(&shown, "a.b.c", at(99)), None);
    }

    #[test]
    fn a_long_token_is_not_kept_on_its_connection() {
        let remembered = Remembered::new(Keyed::new(&mut Random::new([1; 32])));
        let grant = grant();
        let kept = |length| remembered.shown(&"a".repeat(length), &grant).is_some();
        assert!(kept(limits::SHOWN_TOKEN_BYTES));
        assert!(!kept(limits::SHOWN_TOKEN_BYTES + 1));
    }

    #[test]
    fn what_is_remembered_has_a_bound_in_bytes_too() {
        let mut remembered = Remembered::new(Keyed::new(&mut Random::new([1; 32])));
        let pattern = CallPattern::parse(&"x".repeat(100)).unwrap();
        let heavy = Arc::new(Grant {
            call_client: vec![pattern; limits::CALL_PATTERNS],
            ..Grant::clone(&grant())
        });
        let room = limits::REMEMBERED_BYTES / weight(&heavy);
        for number in 0..room + 10 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_be_bytes());
            remembered.insert(hash, AccountId(1), Arc::clone(&heavy), at(1));
        }
        assert_eq!(remembered.len(), room);
        remembered.forget_expired(at(100));
        assert_eq!((remembered.len(), remembered.bytes), (0, 0));
    }
}
