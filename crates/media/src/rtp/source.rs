//! Whose packets an RTP leg takes: those of the address in the SDP, or, for a peer behind a NAT, of the first source that sends
//! within two seconds from inside the networks that are allowed. Where packets are protected, one that is not authentic is of nobody.
//!
//! Never moves once it is decided: whoever guesses a port cannot take a call over. A peer that moves says so in an SDP, and has a new
//! source then.

use std::net::SocketAddr;

use model::Instant;
use model::limits::RTP_LATCH_TIME;
use model::media::Network;

/// One leg's peer.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where the SDP says that the peer is; nothing for a peer on hold.
    named: Option<SocketAddr>,
    allowed: Vec<Network>,
    open_until: Instant,
    decided: Option<SocketAddr>,
}

impl Source {
    /// From the moment at which the answer was given.
    pub fn new(now: Instant, named: Option<SocketAddr>, allowed: &[Network]) -> Self {
        Self {
            named,
            allowed: allowed.to_vec(),
            open_until: now + RTP_LATCH_TIME,
            decided: None,
        }
    }

    /// Whether a packet from there may be the peer's.
    pub fn may_be(&self, now: Instant, from: SocketAddr) -> bool {
        if let Some(decided) = self.decided {
            return from == decided;
        }
        let is_allowed = now < self.open_until
            && self
                .allowed
                .iter()
                .any(|network| network.contains(from.ip()));
        self.named == Some(from) || is_allowed
    }

    /// A packet from there, where the peer may be, is the peer's.
    pub fn decide(&mut self, from: SocketAddr) {
        self.decided = self.decided.or(Some(from));
    }

    /// Where the SDP says that it is.
    pub fn named(&self) -> Option<SocketAddr> {
        self.named
    }

    /// Where the peer is to be sent to: where it came from, or where the SDP says.
    pub fn target(&self) -> Option<SocketAddr> {
        self.decided.or(self.named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: &str = "192.0.2.1:4000";

    fn source(allowed: &[(&str, u8)]) -> Source {
        let networks: Vec<Network> = allowed
            .iter()
            .map(|(ip, bits)| Network::new(ip.parse().unwrap(), *bits).unwrap())
            .collect();
        Source::new(Instant::default(), NAMED.parse().ok(), &networks)
    }

    fn accepts(source: &mut Source, ms: u64, from: &str) -> bool {
        let from = from.parse().unwrap();
        let is_peer = source.may_be(Instant::from_micros(ms * 1_000), from);
        if is_peer {
            source.decide(from);
        }
        is_peer
    }

    #[test]
    fn without_networks_only_the_named_address_is_heard() {
        let mut source = source(&[]);
        assert!(!accepts(&mut source, 0, "192.0.2.1:4001"));
        assert!(!accepts(&mut source, 0, "192.0.2.2:4000"));
        assert!(accepts(&mut source, 60_000, NAMED));
        assert_eq!(source.target(), NAMED.parse().ok());
    }

    #[test]
    fn the_first_of_an_allowed_network_within_two_seconds_is_the_peer_for_good() {
        let mut source = source(&[("198.51.100.0", 24)]);
        assert!(!accepts(&mut source, 100, "203.0.113.9:1"));
        assert!(accepts(&mut source, 1_999, "198.51.100.7:9000"));
        assert_eq!(source.target(), "198.51.100.7:9000".parse().ok());
        assert!(!accepts(&mut source, 1_999, "198.51.100.8:9000"));
        assert!(!accepts(&mut source, 1_999, "198.51.100.7:9001"));
        assert!(!accepts(&mut source, 2_500, NAMED));
        assert!(accepts(&mut source, 9_000, "198.51.100.7:9000"));
    }

    #[test]
    fn after_two_seconds_or_after_the_named_one_nobody_else_is() {
        let mut late = source(&[("198.51.100.0", 24)]);
        assert!(!accepts(&mut late, 2_000, "198.51.100.7:9000"));
        assert!(accepts(&mut late, 2_000, NAMED));
        let mut named = source(&[("198.51.100.0", 24)]);
        assert!(accepts(&mut named, 0, NAMED));
        assert!(!accepts(&mut named, 1, "198.51.100.7:9000"));
    }
}
