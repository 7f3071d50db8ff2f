//! Credentials that need no memory: a username that says everything, and a password that only we can compute from it.
//!
//! The shape is that of the TURN REST API that coturn made common: `<expiry>:<name>`, HMAC of it as password. The
//! name is ours: `c.<node>.<shard>.<account>.<connection>` for a connection, or
//! `r.<node>.<shard>.<account>.<holder>.<given out>` for a web service, numbers in hexadecimal.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use model::{AccountId, ConnectionId, UnixTime};

/// This node's number; there is one until there are several.
const NODE: u64 = 1;
/// Set in the holder's number of a web service's credential, and never in a connection's.
const REST: u64 = 1 << 63;
/// Ours have less; what is longer is not looked at.
const USERNAME_BYTES: usize = 128;

/// The secret of this start of the node; who has it can make credentials.
#[derive(Clone)]
pub struct TurnSecret(hmac::Key);

impl TurnSecret {
    /// Takes 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    /// The password that belongs to a username.
    pub(super) fn password(&self, username: &str) -> String {
        STANDARD_NO_PAD.encode(hmac::sign(&self.0, username.as_bytes()))
    }
}

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret")
    }
}

/// A username that we may have given out, and the password that proves it.
#[derive(Clone, PartialEq, Eq)]
pub struct Known {
    /// Whose it is.
    pub holder: u64,
    /// What its holder was given with it; `Debug` does not show it.
    pub password: String,
    /// Whether it may open new allocations; an expired one only keeps those that it has.
    pub is_fresh: bool,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("holder", &self.holder)
            .field("is_fresh", &self.is_fresh)
            .finish_non_exhaustive()
    }
}

/// What a username says. Nothing of it is believed before its password was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Username {
    pub(super) until: UnixTime,
    pub(super) account: AccountId,
    pub(super) bearer: Bearer,
}

/// Who was given a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearer {
    /// A client, on its connection.
    Connection { id: ConnectionId, shard: u32 },
    /// A back end of the account, over the web service.
    Rest { holder: u64, given: UnixTime },
}

impl Bearer {
    /// A holder's number for a web service's credential: 62 random bits below the mark.
    pub(super) fn rest(random: u64, given: UnixTime) -> Self {
        Self::Rest {
            holder: REST | random >> 2,
            given,
        }
    }

    pub(super) fn holder(self) -> u64 {
        match self {
            Self::Connection { id, .. } => id.0,
            Self::Rest { holder, .. } => holder,
        }
    }
}

impl Username {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > USERNAME_BYTES {
            return None;
        }
        let (until, name) = text.split_once(':')?;
        let mut words = name.split('.');
        let kind = words.next()?;
        let mut number = || u64::from_str_radix(words.next()?, 16).ok();
        let (node, shard, account, holder) = (number()?, number()?, number()?, number()?);
        let bearer = match kind {
            "c" if holder & REST == 0 => Bearer::Connection {
                id: ConnectionId(holder),
                shard: u32::try_from(shard).ok()?,
            },
            "r" if holder & REST != 0 => Bearer::Rest {
                holder,
                given: UnixTime::from_secs(number()?),
            },
            _ => return None,
        };
        let is_whole = node == NODE && words.next().is_none();
        is_whole.then_some(Self {
            until: UnixTime::from_secs(until.parse().ok()?),
            account: AccountId(u32::try_from(account).ok()?),
            bearer,
        })
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (until, account) = (self.until.as_secs(), self.account.0);
        match self.bearer {
            Bearer::Connection { id, shard } => {
                write!(f, "{until}:c.{NODE:x}.{shard:x}.{account:x}.{:x}", id.0)
            }
            Bearer::Rest { holder, given } => {
                let given = given.as_secs();
                write!(f, "{until}:r.{NODE:x}.0.{account:x}.{holder:x}.{given:x}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_read_back_and_strangers_do_not() {
        let of_connection = Username {
            until: UnixTime::from_secs(1_795_000_120),
            account: AccountId(0x2f),
            bearer: Bearer::Connection {
                id: ConnectionId(0x1_0000),
                shard: 3,
            },
        };
        let text = of_connection.to_string();
        assert_eq!(text, "1795000120:c.1.3.2f.10000");
        assert_eq!(Username::parse(&text), Some(of_connection));
        let of_service = Username {
            bearer: Bearer::rest(u64::MAX, UnixTime::from_secs(1_795_000_000)),
            ..of_connection
        };
        let text = of_service.to_string();
        assert_eq!(Username::parse(&text), Some(of_service));
        assert!(text.len() <= USERNAME_BYTES);
        for stranger in [
            "",
            "bob",
            "1795000120:bob",
            "1795000120:c.1.3.2f",
            "1795000120:c.1.3.2f.10000.1",
            "1795000120:c.2.3.2f.10000",
            "1795000120:r.1.3.2f.10000.1",
            "1795000120:c.1.3.2f.8000000000000000",
            "-1:c.1.3.2f.10000",
            ":c.1.3.2f.10000",
            "1795000120:c.1.3.100000000.10000",
            "1795000120:\u{e9}.1.3.2f.10000",
        ] {
            assert_eq!(Username::parse(stranger), None, "{stranger}");
        }
        assert_eq!(Username::parse(&format!("{text}{}", "0".repeat(99))), None);
    }

    #[test]
    fn a_password_is_the_keyed_hash_of_its_username() {
        // RFC 4231 §4.2 has a key of 20 bytes; ours always has 32. The value is OpenSSL's:
        // printf %s user | openssl dgst -sha256 -mac HMAC -macopt hexkey:0101…01
        let secret = TurnSecret::new([1; 32]);
        assert_eq!(
            secret.password("user"),
            "gtvIa6il3MD8NLC+yKsuRoT/0FD3jzwHxmGTDuAZohc"
        );
        assert_eq!(format!("{secret:?}"), "TurnSecret");
        let known = Known {
            holder: 1,
            password: secret.password("user"),
            is_fresh: true,
        };
        assert!(!format!("{known:?}").contains(&known.password));
    }
}
