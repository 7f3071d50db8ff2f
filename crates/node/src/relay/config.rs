//! What an operator chooses about TURN.
//!
//! Plain values and what stands against them by themselves; what they come to on this machine is `plan`'s. Reads no
//! interface and binds nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use switch::turn_grant::TurnBounds;

use crate::config::is_host_name;

/// The ports of RFC 8656 §7.2: those that nothing is registered for.
const PORTS: RangeInclusive<u16> = 49_152..=65_535;
/// Below it ports belong to the system (RFC 6335 §6).
const PORT_MIN: u16 = 1_024;

/// The configuration of the TURN server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnConfig {
    /// Whether there is one.
    pub is_on: bool,
    /// Where it listens, UDP and TCP; empty: at port 3478 of the address that the node listens on.
    pub listen: Vec<SocketAddr>,
    /// Where it listens for TLS; empty: at port 5349 of the same addresses (at any where they take any), if there is a
    /// certificate.
    pub tls_listen: Vec<SocketAddr>,
    /// The ports of relayed addresses.
    pub ports: RangeInclusive<u16>,
    /// The addresses to relay from; empty: those it listens on, and where that is all of them, one of each family.
    pub relay: Vec<IpAddr>,
    /// What a NAT makes of the addresses to relay from: none, or one for each of its family, in the same order.
    pub public: Vec<IpAddr>,
    /// What clients are to call this machine; else what they called it when they connected.
    pub host: Option<String>,
    /// Networks that may be peers though they are forbidden by their kind.
    pub allow: Vec<turn::Network>,
    /// How much of it a client, an account and the node may have.
    pub bounds: TurnBounds,
}

impl TurnConfig {
    /// The port of STUN and TURN (RFC 8656 §7.1).
    pub const PORT: u16 = 3_478;
    /// The same over TLS.
    pub const TLS_PORT: u16 = 5_349;
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            is_on: true,
            listen: Vec::new(),
            tls_listen: Vec::new(),
            ports: PORTS,
            relay: Vec::new(),
            public: Vec::new(),
            host: None,
            allow: Vec::new(),
            bounds: TurnBounds::default(),
        }
    }
}

/// What stands against a TURN server as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnConfigFault {
    /// Too few, or not anybody's to take.
    #[error(
        "relayed addresses need at least two ports from {min} to 65535, such as 49152-65535, not {first}-{last} (--turn-ports)",
        min = PORT_MIN
    )]
    Ports {
        /// The lowest.
        first: u16,
        /// The highest.
        last: u16,
    },
    /// No address to listen on.
    #[error(
        "TURN cannot listen on {0}: give an address of this machine, or 0.0.0.0 or [::] for all of them (--turn-listen)"
    )]
    Listen(SocketAddr),
    /// The same for TLS.
    #[error(
        "TURN cannot listen on {0}: give an address of this machine, or 0.0.0.0 or [::] for all of them (--turn-tls-listen)"
    )]
    TlsListen(SocketAddr),
    /// Both want TCP.
    #[error(
        "TURN cannot listen on {0}, where HTTP is listened on (--listen): give another port (--turn-listen)"
    )]
    Own(SocketAddr),
    /// TLS needs one.
    #[error(
        "TURN listens for TLS with a certificate only: give --tls-cert FILE and --tls-key FILE, or drop --turn-tls-listen"
    )]
    NoCertificate,
    /// No address to relay from.
    #[error(
        "nothing can be relayed from {0}: give an address of this machine that others can reach (--turn-relay)"
    )]
    Relay(IpAddr),
    /// No address that peers can send to.
    #[error(
        "nobody can send to {0}: give the address that a NAT puts in the place of this machine's own (--turn-public)"
    )]
    Public(IpAddr),
    /// Which is which cannot be told.
    #[error(
        "there must be one public {family} address (--turn-public) for each {family} address to relay from (--turn-relay), \
         in the same order: {publics} and {relays} are given or found"
    )]
    Pairs {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// How many public ones.
        publics: usize,
        /// How many to relay from.
        relays: usize,
    },
    /// Not a name that a URL can have.
    #[error(
        "the TURN host {0:?} is no host: give a name or an address without a port, such as turn.example.com (--turn-host)"
    )]
    Host(String),
    /// The machine has none.
    #[error(
        "TURN finds no address of this machine to relay from: name one with --turn-relay ADDR, or switch it off with \
         --turn=false"
    )]
    NoAddress,
}

impl TurnConfig {
    /// Says what stands against it, whatever the machine.
    pub(crate) fn check(&self, has_certificate: bool) -> Result<(), TurnConfigFault> {
        if !self.is_on {
            return Ok(());
        }
        let (first, last) = (*self.ports.start(), *self.ports.end());
        if first < PORT_MIN || last <= first {
            return Err(TurnConfigFault::Ports { first, last });
        }
        let is_of_many = |ip: IpAddr| ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        let wrong = |list: &[SocketAddr]| list.iter().copied().find(|at| is_of_many(at.ip()));
        if let Some(at) = wrong(&self.listen) {
            return Err(TurnConfigFault::Listen(at));
        }
        if let Some(at) = wrong(&self.tls_listen) {
            return Err(TurnConfigFault::TlsListen(at));
        }
        if !self.tls_listen.is_empty() && !has_certificate {
            return Err(TurnConfigFault::NoCertificate);
        }
        let wrong = |list: &[IpAddr]| {
            let mut list = list.iter().copied();
            list.find(|ip| ip.is_unspecified() || is_of_many(*ip))
        };
        if let Some(ip) = wrong(&self.relay) {
            return Err(TurnConfigFault::Relay(ip));
        }
        if let Some(ip) = wrong(&self.public) {
            return Err(TurnConfigFault::Public(ip));
        }
        match &self.host {
            Some(host) if in_url(host).is_none() => Err(TurnConfigFault::Host(host.clone())),
            Some(_) | None => Ok(()),
        }
    }
}

/// A host as it stands in a URL: a literal IPv6 address in brackets. `None` if it is none.
pub(super) fn in_url(host: &str) -> Option<String> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bare.unwrap_or(host).parse() {
        Ok(IpAddr::V6(ip)) => Some(format!("[{ip}]")),
        Ok(IpAddr::V4(ip)) if bare.is_none() => Some(ip.to_string()),
        Ok(IpAddr::V4(_)) => None,
        Err(_) => is_host_name(host).then(|| host.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(config: TurnConfig) -> String {
        config.check(false).unwrap_err().to_string()
    }

    fn base() -> TurnConfig {
        TurnConfig::default()
    }

    #[test]
    fn the_default_stands_with_and_without_a_certificate() {
        assert_eq!(base().check(false), Ok(()));
        assert_eq!(base().check(true), Ok(()));
    }

    #[test]
    fn ports_are_two_at_least_and_nobody_elses() {
        let ports = |ports| TurnConfig { ports, ..base() };
        for right in [1_024..=1_025, 50_001..=50_002, 49_152..=65_535] {
            assert_eq!(ports(right).check(false), Ok(()));
        }
        assert_eq!(
            fault(ports(50_000..=50_000)),
            "relayed addresses need at least two ports from 1024 to 65535, such as 49152-65535, not 50000-50000 \
             (--turn-ports)"
        );
        for (first, last) in [(1_023, 2_000), (0, 65_535), (50_001, 50_000)] {
            assert!(fault(ports(first..=last)).contains("at least two ports"));
        }
    }

    #[test]
    fn addresses_that_are_nobodys_are_refused_with_the_flag_that_gave_them() {
        let listen = |at: &str| TurnConfig {
            listen: vec![at.parse().unwrap()],
            ..base()
        };
        for right in ["0.0.0.0:3478", "[::]:0", "127.0.0.1:3478", "192.0.2.1:443"] {
            assert_eq!(listen(right).check(false), Ok(()), "{right}");
        }
        for wrong in ["224.0.0.1:3478", "[ff02::1]:3478", "255.255.255.255:1"] {
            let sentence = fault(listen(wrong));
            assert!(
                sentence.contains(wrong) && sentence.contains("--turn-listen"),
                "{sentence}"
            );
        }
        for wrong in ["0.0.0.0", "::", "239.0.0.1", "255.255.255.255"] {
            let ip: IpAddr = wrong.parse().unwrap();
            let sentence = fault(TurnConfig {
                relay: vec![ip],
                ..base()
            });
            assert!(sentence.contains("--turn-relay"), "{sentence}");
            let sentence = fault(TurnConfig {
                public: vec![ip],
                ..base()
            });
            assert!(sentence.contains("--turn-public"), "{sentence}");
        }
    }

    #[test]
    fn tls_needs_a_certificate() {
        let config = TurnConfig {
            tls_listen: vec!["192.0.2.1:443".parse().unwrap()],
            ..base()
        };
        assert_eq!(config.check(true), Ok(()));
        assert!(fault(config).contains("give --tls-cert FILE and --tls-key FILE"));
    }

    #[test]
    fn what_is_switched_off_is_not_looked_at() {
        let config = TurnConfig {
            is_on: false,
            ports: 1..=2,
            ..base()
        };
        assert_eq!(config.check(false), Ok(()));
    }

    #[test]
    fn hosts_are_names_and_addresses_without_a_port() {
        for (host, url) in [
            ("turn.example.com", Some("turn.example.com")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("2001:db8::1", Some("[2001:db8::1]")),
            ("[2001:db8::1]", Some("[2001:db8::1]")),
            ("turn.example.com:3478", None),
            ("[192.0.2.1]", None),
            ("turn:example.com", None),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(in_url(host).as_deref(), url, "{host}");
            let config = TurnConfig {
                host: Some(host.to_owned()),
                ..base()
            };
            assert_eq!(config.check(false).is_ok(), url.is_some(), "{host}");
        }
    }
}
