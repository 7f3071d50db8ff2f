//! Revocations: tokens that are taken back before their end.
//!
//! Says whether a token stands; never reads one, and never looks whether its time is over.

use std::collections::BTreeMap;
use std::fmt;

use crate::id::{ClientId, InvalidName};
use crate::limits;
use crate::time::UnixTime;

/// Letters of base64url that 128 bits take.
const TOKEN_ID_BYTES: usize = 22;

/// The name of one token, its claim `jti` (RFC 7519 §4.1.7): 128 random bits in base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId([u8; TOKEN_ID_BYTES]);

impl TokenId {
    /// Takes a `jti` as it stands in a token.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        Self::read(text).ok_or_else(|| InvalidName {
            what: "token id (jti)",
            given: text.chars().take(64).collect(),
            rule: "22 characters of A-Z, a-z, 0-9, '-' and '_', the claim jti of a token",
        })
    }

    /// The same without a word of what is wrong, and without allocating.
    pub fn read(text: &str) -> Option<Self> {
        let is_letter = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_';
        let letters: [u8; TOKEN_ID_BYTES] = text.as_bytes().try_into().ok()?;
        letters.iter().all(is_letter).then_some(Self(letters))
    }

    /// The text of the name.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Which tokens of an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revoked {
    /// This one.
    Token(TokenId),
    /// Those of this client.
    Client(ClientId),
    /// All.
    Account,
}

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => write!(f, "the token {id}"),
            Self::Client(client) => write!(f, "the tokens of client {client}"),
            Self::Account => f.write_str("all tokens"),
        }
    }
}

/// Tokens that are good no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Which.
    pub what: Revoked,
    /// Those that were issued before this; one token whenever it was issued. A token tells whole seconds, so what was issued in the
    /// second in which this lies counts as issued before.
    pub issued_before: UnixTime,
    /// What was made with those that were issued before this ends with them: registrations and calls.
    pub ends_before: Option<UnixTime>,
    /// When the last of them has ended by itself, and this may be forgotten.
    pub kept_until: UnixTime,
}

impl Revocation {
    /// For as long as a token of the web services can live.
    pub fn new(what: Revoked, issued_before: UnixTime, ends: bool) -> Self {
        Self {
            what,
            issued_before,
            ends_before: ends.then_some(issued_before),
            kept_until: issued_before + limits::REVOCATION_TIME,
        }
    }

    /// What becomes of a token that it is about.
    fn standing(&self, issued: UnixTime) -> Standing {
        let is_one = match &self.what {
            Revoked::Token(_) => true,
            Revoked::Client(_) | Revoked::Account => false,
        };
        if self.ends_before.is_some_and(|end| is_one || issued < end) {
            Standing::Ended
        } else if is_one || issued < self.issued_before {
            Standing::Refused
        } else {
            Standing::Good
        }
    }
}

/// Whether a token still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It does.
    Good,
    /// It is refused; what was made with it stays until it has to be shown again.
    Refused,
    /// It is refused, and what was made with it ends.
    Ended,
}

/// What an account has revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations(BTreeMap<Revoked, Revocation>);

impl Revocations {
    /// Adds one; another of the same is replaced.
    pub fn insert(&mut self, revocation: Revocation) {
        self.0.insert(revocation.what.clone(), revocation);
    }

    /// All: single tokens, then clients, then the account.
    pub fn iter(&self) -> impl Iterator<Item = &Revocation> {
        self.0.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the token of this name, of this client and issued then still counts. Three look-ups, whatever has been revoked;
    /// allocates nothing.
    pub fn standing(&self, id: Option<TokenId>, client: &ClientId, issued: UnixTime) -> Standing {
        if self.0.is_empty() {
            return Standing::Good;
        }
        let token = id.map(Revoked::Token);
        let others = [Revoked::Client(client.clone()), Revoked::Account];
        let found = token.iter().chain(&others).filter_map(|of| self.0.get(of));
        let worst = found.map(|revocation| revocation.standing(issued)).max();
        worst.unwrap_or(Standing::Good)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const AT: UnixTime = UnixTime::from_millis(100_500);

    fn client(id: &str) -> ClientId {
        ClientId::parse(id).unwrap()
    }

    fn id(letter: char) -> TokenId {
        TokenId::parse(&letter.to_string().repeat(TOKEN_ID_BYTES)).unwrap()
    }

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    fn of(what: Revoked, ends: bool) -> Revocations {
        let mut revocations = Revocations::default();
        revocations.insert(Revocation::new(what, AT, ends));
        revocations
    }

    #[test]
    fn a_token_is_known_by_its_name_whenever_it_was_issued() {
        for (ends, standing) in [(false, Standing::Refused), (true, Standing::Ended)] {
            let revoked = of(Revoked::Token(id('a')), ends);
            for issued in [at(1), at(100), at(101), at(900)] {
                let found = revoked.standing(Some(id('a')), &client("bob"), issued);
                assert_eq!(found, standing);
                for other in [None, Some(id('b'))] {
                    let found = revoked.standing(other, &client("bob"), issued);
                    assert_eq!(found, Standing::Good);
                }
            }
        }
    }

    #[test]
    fn a_client_and_an_account_are_cut_off_at_an_instant() {
        let bob = of(Revoked::Client(client("bob")), false);
        let all = of(Revoked::Account, true);
        for (issued, is_before) in [(at(1), true), (at(100), true), (at(101), false)] {
            let (of_bob, of_all) = match is_before {
                true => (Standing::Refused, Standing::Ended),
                false => (Standing::Good, Standing::Good),
            };
            assert_eq!(bob.standing(None, &client("bob"), issued), of_bob);
            assert_eq!(
                bob.standing(Some(id('a')), &client("bo"), issued),
                Standing::Good
            );
            assert_eq!(all.standing(Some(id('a')), &client("eve"), issued), of_all);
        }
    }

    #[test]
    fn the_strictest_of_several_counts_and_what_ended_before_still_ends() {
        let mut revocations = of(Revoked::Client(client("bob")), true);
        revocations.insert(Revocation::new(Revoked::Account, at(200), false));
        let standing = |issued| revocations.standing(None, &client("bob"), issued);
        assert_eq!(standing(at(100)), Standing::Ended);
        assert_eq!(standing(at(150)), Standing::Refused);
        assert_eq!(standing(at(200)), Standing::Good);

        // As a store makes one of two.
        revocations.insert(Revocation {
            issued_before: at(300),
            ..Revocation::new(Revoked::Client(client("bob")), AT, true)
        });
        let standing = |issued| revocations.standing(None, &client("bob"), issued);
        assert_eq!(standing(at(100)), Standing::Ended);
        assert_eq!(standing(at(250)), Standing::Refused);
    }

    #[test]
    fn it_is_kept_until_the_last_token_has_ended() {
        let revocation = Revocation::new(Revoked::Account, AT, false);
        let longest = Duration::from_secs(limits::TOKEN_TTL_MAX_S.into());
        assert!(revocation.kept_until >= AT + longest);
    }

    #[test]
    fn a_token_id_is_the_jti_of_a_token() {
        let text = "AAAAAAAAAAAAAAAAAAAB_-";
        assert_eq!(TokenId::parse(text).unwrap().as_str(), text);
        for wrong in ["", "a", "AAAAAAAAAAAAAAAAAAAB_=", "AAAAAAAAAAAAAAAAAAAB_-A"] {
            let fault = TokenId::parse(wrong).unwrap_err().to_string();
            assert!(fault.contains("22 characters"), "{fault}");
        }
    }
}
