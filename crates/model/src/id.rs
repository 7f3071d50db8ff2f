//! Names and numbers that identify things, parsed once at the door.
//!
//! A value of these types is always well-formed. Cloning a name never copies its text.

use std::fmt;
use std::sync::Arc;

use crate::limits;

/// A name that does not have the required form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} is not valid: {rule}")]
pub struct InvalidName {
    /// What kind of name it was to be.
    pub what: &'static str,
    /// The text that was given, cut to a printable length.
    pub given: String,
    /// What would have been right.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            #[doc = concat!("Takes a ", $what, ": ", $rule, ".")]
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                if Self::is_valid(text) {
                    Ok(Self(text.into()))
                } else {
                    let given = text.chars().take(64).collect();
                    Err(InvalidName { what: $what, given, rule: $rule })
                }
            }

            /// Whether the text has that form.
            pub fn is_valid(text: &str) -> bool {
                let is_valid: fn(&str) -> bool = $is_valid;
                is_valid(text)
            }

            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

fn is_client_id(text: &str) -> bool {
    text.len() <= limits::CLIENT_ID_BYTES && is_word(text)
}

/// What may stand as it is in a SIP address and in the path of a URL.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-_.".contains(&b))
}

name!(
    /// The region and tenant part of an account's name, such as `1-2-0`.
    CloudId, "cloud id", "three numbers joined by '-', such as 1-2-0",
    |text| {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        text.len() <= limits::CLOUD_ID_BYTES
            && text.split('-').count() == 3
            && text.split('-').all(is_number)
    }
);

name!(
    /// The public name of an account towards browsers: one DNS label.
    WebRtcAccessKey, "WebRTC access key", "1 to 63 characters of a-z and 0-9",
    |text| {
        (1..=63).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    }
);

name!(
    /// A client of an account, such as `bob`.
    ClientId, "client id", "1 to 128 characters of A-Z, a-z, 0-9, '+', '-', '_' and '.'",
    is_client_id
);

name!(
    /// A service of an account, such as `support`.
    ServiceName, "service name", "1 to 64 characters of A-Z, a-z, 0-9, '+', '-', '_' and '.'",
    |text| text.len() <= limits::SERVICE_NAME_BYTES && is_word(text)
);

name!(
    /// A SIP peer of an account, such as `provider`.
    TrunkName, "trunk name", "1 to 64 characters of A-Z, a-z, 0-9, '+', '-', '_' and '.'",
    |text| text.len() <= limits::SERVICE_NAME_BYTES && is_word(text)
);

name!(
    /// The user part of an account's login, such as `demo@example.com`.
    Username, "user name", "1 to 128 printable characters without space, ':' and '/'",
    |text| {
        (1..=limits::USERNAME_BYTES).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic() && b != b':' && b != b'/')
    }
);

name!(
    /// A file of an account: a sound to be played, or a recording.
    FileName, "file name", "1 to 128 characters of A-Z, a-z, 0-9, '-', '_' and '.', the first no '.'",
    |text| {
        text.len() <= limits::FILE_NAME_BYTES
            && !text.is_empty()
            && !text.starts_with('.')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    }
);

name!(
    /// Where a page of an application is.
    PageUrl, "page address", "a URL of http:// or https:// with a host, at most 2,048 characters of ASCII without spaces and '#'",
    |text| {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let has_host = rest.is_some_and(|rest| {
            let host = rest.split(['/', '?']).next().unwrap_or_default();
            !host.is_empty() && !host.starts_with(':') && !host.contains('@')
        });
        has_host
            && text.len() <= limits::PAGE_URL_BYTES
            && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#' && b != b'"' && b != b'<' && b != b'>' && b != b'\\')
    }
);

/// Which clients a token may call: one id, or every id with a prefix (written with a trailing `*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallPattern {
    /// Exactly this client.
    Client(ClientId),
    /// Every client whose id begins so; the empty prefix is every client.
    Prefix(String),
}

impl CallPattern {
    /// Reads `bob`, `team-*` or `*`.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        match text.strip_suffix('*') {
            Some("") => Ok(Self::Prefix(String::new())),
            Some(prefix) if is_client_id(prefix) => Ok(Self::Prefix(prefix.to_owned())),
            Some(_) => Err(Self::invalid(text)),
            None if text.contains('*') => Err(Self::invalid(text)),
            None => ClientId::parse(text).map(Self::Client),
        }
    }

    fn invalid(text: &str) -> InvalidName {
        InvalidName {
            what: "client pattern",
            given: text.chars().take(64).collect(),
            rule: "it must be a client id, or the beginning of one followed by '*', which stands at the end alone",
        }
    }

    /// Whether this pattern permits calling `client`.
    pub fn permits(&self, client: &ClientId) -> bool {
        match self {
            Self::Client(only) => only == client,
            Self::Prefix(prefix) => client.as_str().starts_with(prefix.as_str()),
        }
    }
}

impl fmt::Display for CallPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => client.fmt(f),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// How an account logs in to the web services: `cloudID/username`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Login {
    /// The part before the slash.
    pub cloud_id: CloudId,
    /// The part after it.
    pub username: Username,
}

impl Login {
    /// Reads `1-2-0/bob@example.com`.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let (cloud_id, username) = text.split_once('/').ok_or_else(|| InvalidName {
            what: "login",
            given: text.chars().take(64).collect(),
            rule: "cloud id, '/', user name, such as 1-2-0/bob@example.com",
        })?;
        Ok(Self {
            cloud_id: CloudId::parse(cloud_id)?,
            username: Username::parse(username)?,
        })
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cloud_id, self.username)
    }
}

/// An account's number in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);

/// One process among those that work together: 1 to 4,095 by the bus that they share, 0 for one that works alone. A process that
/// starts again has another number, and a number comes back after all others only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeNumber(u16);

impl NodeNumber {
    /// The process that works alone.
    pub const ALONE: Self = Self(0);
    /// The largest: a number has 12 bits.
    pub const LAST: Self = Self(0xfff);

    /// `None` where no node has this number.
    pub const fn new(number: u16) -> Option<Self> {
        if number == 0 || number > Self::LAST.0 {
            None
        } else {
            Some(Self(number))
        }
    }

    /// The number of whoever is the `count`th to start, from 0: each in its turn.
    pub const fn of_start(count: u64) -> Self {
        Self((count % Self::LAST.0 as u64) as u16 + 1)
    }

    /// As a plain number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for NodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One connection of a client; never used twice in a process, and no other node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// Names the node in its upper bits, so that whoever has a connection finds its owner.
    pub const fn of_node(node: NodeNumber, connection: u64) -> Self {
        Self(((node.0 as u64) << 48) | (connection & 0xffff_ffff_ffff))
    }

    /// Its number among those of its node.
    pub const fn number(self) -> u64 {
        self.0 & 0xffff_ffff_ffff
    }

    /// The node whose client that is.
    pub const fn node(self) -> NodeNumber {
        NodeNumber((self.0 >> 48) as u16 & NodeNumber::LAST.0)
    }
}

/// A call's own number, unique in the store: 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub u128);

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_form() {
        for good in ["1-2-0", "0-0-0", "10-200-3"] {
            assert!(CloudId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "1-2", "1-2-0-1", "a-2-0", "1--0", " 1-2-0"] {
            assert!(CloudId::parse(bad).is_err(), "{bad}");
        }
        for good in ["bob", "a+b-c_d.e", "A1"] {
            assert!(ClientId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "bob smith", "bob*", "böb", "a@b"] {
            assert!(ClientId::parse(bad).is_err(), "{bad}");
        }
        assert!(ClientId::parse(&"x".repeat(129)).is_err());
        assert!(ServiceName::parse(&"x".repeat(64)).is_ok());
        for bad in ["", "the service", "a/b", &"x".repeat(65)] {
            assert!(ServiceName::parse(bad).is_err(), "{bad}");
        }
        assert!(WebRtcAccessKey::parse("Upper").is_err());
        assert!(Login::parse("1-2-0/bob@example.com").is_ok());
        assert!(Login::parse("bob@example.com").is_err());
    }

    #[test]
    fn patterns_permit_one_client_or_a_prefix() {
        let client = |id| ClientId::parse(id).unwrap();
        assert!(CallPattern::parse("*").unwrap().permits(&client("anyone")));
        assert!(
            CallPattern::parse("team-*")
                .unwrap()
                .permits(&client("team-a"))
        );
        assert!(
            !CallPattern::parse("team-*")
                .unwrap()
                .permits(&client("tea"))
        );
        for wrong in ["a*b", "*a", "**"] {
            let fault = CallPattern::parse(wrong).unwrap_err();
            assert!(fault.rule.contains("followed by '*'"), "{fault}");
        }
        assert!(CallPattern::parse("bob").unwrap().permits(&client("bob")));
        assert!(!CallPattern::parse("bob").unwrap().permits(&client("bobby")));
        for bad in ["", "*a", "a*b", "a**"] {
            assert!(CallPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
