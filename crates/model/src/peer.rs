//! Where the peers of a trunk are, as an operator writes it: an address, or a name that DNS leads on from (RFC 3263 §4).
//!
//! Knows what a name looks like (RFC 1123 §2.1). Never resolves one.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

/// One of the places of a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerPlace {
    /// This one.
    Address(SocketAddr),
    /// Wherever this name leads.
    Name(PeerName),
}

/// The name of a host or of a service, perhaps with a port: with one it is a host, without one RFC 3263 says how it is asked about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName {
    host: Box<str>,
    port: Option<u16>,
}

/// Text that is no name of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name: a name has labels of 1 to 63 letters, digits and '-' with '.' between them, 253 characters in all, and a \
     letter in its last label"
)]
pub struct InvalidPeerName(String);

impl PeerPlace {
    /// Each of these addresses.
    pub fn addresses(all: &[SocketAddr]) -> Vec<Self> {
        all.iter().copied().map(Self::Address).collect()
    }

    /// What stands here, if it is a name.
    pub fn name(&self) -> Option<&PeerName> {
        match self {
            Self::Address(_) => None,
            Self::Name(name) => Some(name),
        }
    }

    /// What stands here, if it is an address.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Name(_) => None,
        }
    }
}

impl fmt::Display for PeerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl PeerName {
    /// `host` or `host:port`. Capitals and a last `.` say nothing.
    pub fn parse(text: &str) -> Result<Self, InvalidPeerName> {
        let invalid = || InvalidPeerName(text.chars().take(64).collect());
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => {
                let port = port.parse().ok().filter(|port| *port != 0);
                (host, Some(port.ok_or_else(invalid)?))
            }
            None => (text, None),
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_named = (1..=253).contains(&host.len()) && host.split('.').all(is_label);
        // What ends with a number would be read as an address (RFC 1123 §2.1).
        let last = host.rsplit('.').next().unwrap_or_default();
        let is_named = is_named && last.bytes().any(|byte| byte.is_ascii_alphabetic());
        if !is_named || host.parse::<Ipv4Addr>().is_ok() {
            return Err(invalid());
        }
        Ok(Self {
            host: host.to_ascii_lowercase().into(),
            port,
        })
    }

    /// Without a port, in small letters.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where it listens, if that was said.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// Of a host (RFC 952, RFC 1123): `_` is of services, which DNS names itself.
fn is_label(label: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(is_inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_with_and_without_a_port() {
        for (text, host, port) in [
            ("sip.example.com", "sip.example.com", None),
            ("SIP.Example.COM.:5080", "sip.example.com", Some(5080)),
            ("pbx", "pbx", None),
            ("3com.com", "3com.com", None),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
        ] {
            let name = PeerName::parse(text).unwrap();
            assert_eq!((name.host(), name.port()), (host, port), "{text}");
        }
        let name = PeerName::parse("A.b:5061").unwrap();
        assert_eq!(PeerPlace::Name(name).to_string(), "a.b:5061");
    }

    #[test]
    fn what_is_no_name_is_refused_in_words() {
        let long = format!("{}.com", "a".repeat(64));
        let longer = ["abcdefg"; 40].join(".");
        for text in [
            "",
            ".",
            "a..b",
            "-a.com",
            "a-.com",
            "_sip._udp.example.com",
            "a b",
            "a.com:0",
            "a.com:x",
            "a.com:70000",
            "a:1:2",
            "192.0.2.1",
            "1.2.3",
            "a.4",
            "bücher.example",
            &long,
            &longer,
        ] {
            let fault = PeerName::parse(text).unwrap_err().to_string();
            assert!(fault.contains("is no name"), "{text}: {fault}");
        }
    }
}
