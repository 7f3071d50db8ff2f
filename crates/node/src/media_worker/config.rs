//! What an operator chooses about the media gateway.
//!
//! Plain values and what stands against them by themselves; what they come to on this machine is `plan`'s.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

/// Outside the ports of TURN and of Linux's own choice.
const RTP_PORTS: RangeInclusive<u16> = 20_000..=29_999;
/// Below it ports belong to the system (RFC 6335 §6).
const PORT_MIN: u16 = 1_024;

/// The configuration of the media gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaConfig {
    /// Whether there is one.
    pub is_on: bool,
    /// Where it listens for browsers, UDP; empty: at port 3479 of the address that the node listens on.
    pub listen: Vec<SocketAddr>,
    /// What a NAT makes of the addresses that it listens on, in the same order; empty: what TURN knows of it.
    pub public: Vec<IpAddr>,
    /// The ports of plain RTP.
    pub rtp_ports: RangeInclusive<u16>,
}

impl MediaConfig {
    /// Beside those of STUN and TURN.
    pub const PORT: u16 = 3_479;

    /// Says what stands against it, whatever the machine.
    pub(crate) fn check(&self) -> Result<(), MediaConfigFault> {
        if !self.is_on {
            return Ok(());
        }
        let (first, last) = (*self.rtp_ports.start(), *self.rtp_ports.end());
        if first < PORT_MIN || last <= first || (last - first == 1 && first % 2 == 1) {
            return Err(MediaConfigFault::Ports { first, last });
        }
        let is_of_many = |ip: IpAddr| ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        if let Some(at) = self.listen.iter().find(|at| is_of_many(at.ip())) {
            return Err(MediaConfigFault::Listen(*at));
        }
        let mut publics = self.public.iter();
        match publics.find(|ip| ip.is_unspecified() || is_of_many(**ip)) {
            Some(ip) => Err(MediaConfigFault::Public(*ip)),
            None => Ok(()),
        }
    }
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            is_on: true,
            listen: Vec::new(),
            public: Vec::new(),
            rtp_ports: RTP_PORTS,
        }
    }
}

/// What stands against a gateway as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaConfigFault {
    /// Too few, or not anybody's to take.
    #[error(
        "plain RTP needs at least one even port and the next one from {min} to 65535, such as 20000-29999, not \
         {first}-{last} (--media-rtp-ports)",
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
        "the media gateway cannot listen on {0}: give an address of this machine, or 0.0.0.0 or [::] for all of them \
         (--media-listen)"
    )]
    Listen(SocketAddr),
    /// TURN has it.
    #[error(
        "the media gateway cannot listen on {0}, where TURN listens (--turn-listen): give another port (--media-listen)"
    )]
    OfTurn(SocketAddr),
    /// No address that peers can send to.
    #[error(
        "nobody can send media to {0}: give the address that a NAT puts in the place of this machine's own \
         (--media-public)"
    )]
    Public(IpAddr),
    /// Which is which cannot be told.
    #[error(
        "there must be one public {family} address (--media-public) for each {family} address that the media gateway \
         listens on (--media-listen), in the same order: {publics} and {own} are given or found"
    )]
    Pairs {
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// How many public ones.
        publics: usize,
        /// How many are listened on.
        own: usize,
    },
    /// The machine has none.
    #[error(
        "the media gateway finds no address of this machine to listen on: name one with --media-listen ADDR:PORT, or \
         switch it off with --media=false"
    )]
    NoAddress,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> MediaConfig {
        MediaConfig::default()
    }

    #[test]
    fn ports_are_a_pair_at_least_and_nobody_elses() {
        let ports = |rtp_ports| {
            MediaConfig {
                rtp_ports,
                ..base()
            }
            .check()
        };
        for right in [20_000..=20_001, 20_001..=20_003, 1_024..=65_535] {
            assert_eq!(ports(right), Ok(()));
        }
        for (first, last) in [(20_001, 20_002), (20_000, 20_000), (1_000, 2_000)] {
            let sentence = ports(first..=last).unwrap_err().to_string();
            assert!(sentence.contains("--media-rtp-ports"), "{sentence}");
        }
    }

    #[test]
    fn addresses_that_are_nobodys_are_refused_unless_it_is_off() {
        let mut config = MediaConfig {
            listen: vec!["224.0.0.1:1".parse().unwrap()],
            ..base()
        };
        assert!(matches!(config.check(), Err(MediaConfigFault::Listen(_))));
        config.is_on = false;
        assert_eq!(config.check(), Ok(()));
        let config = MediaConfig {
            public: vec!["0.0.0.0".parse().unwrap()],
            ..base()
        };
        assert!(matches!(config.check(), Err(MediaConfigFault::Public(_))));
    }
}
