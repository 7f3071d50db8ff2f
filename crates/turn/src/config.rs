//! What the server is set up with.
//!
//! Plain values; where they come from is the shell's concern.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::peer_policy::PeerPolicy;

/// One server. Several may share addresses and keys, each with its [`Share`] of the ports.
#[derive(Clone, Debug)]
pub struct Config {
    /// REALM; short, because each challenge carries it.
    pub realm: String,
    /// SOFTWARE; nothing is said unless given.
    pub software: Option<String>,
    /// Where relayed addresses are taken from, the preferred one of a family first.
    pub relays: Vec<RelayAddress>,
    /// The ports of relayed addresses.
    pub ports: RangeInclusive<u16>,
    /// Which of those ports are this server's.
    pub share: Share,
    /// Where this machine listens: never a peer, whatever the policy says. An unspecified address means all of the
    /// machine's, which `machine` lists.
    pub listening: Vec<SocketAddr>,
    /// Every address of this machine, and every public one that leads to it: as peers, only relayed ones among them.
    pub machine: Vec<IpAddr>,
    /// Whom nobody may reach.
    pub peers: PeerPolicy,
    /// What of this machine may be a peer all the same, whatever is said above, for whom the authority lets reach its address.
    pub gateways: Vec<Gateway>,
    /// Secret of the nonces; the same for all that share addresses.
    pub nonce_key: [u8; 16],
    /// Seed of everything random: of this server alone.
    pub seed: [u8; 32],
    /// What is bounded.
    pub bounds: Bounds,
}

/// An address to relay from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// What sockets are bound to.
    pub local: IpAddr,
    /// What clients and peers are told: the same, or what a NAT makes of it port by port.
    pub public: IpAddr,
}

/// A socket of this machine that clients are meant to reach through a relay: that of a media gateway. A few at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// What clients are told, and the only thing that they may call it.
    pub public: SocketAddr,
    /// Where packets for it go, and come from: the same, or what stands behind a NAT that need not lead back to itself.
    pub local: SocketAddr,
}

/// A server's part of the ports: the pairs of an even port and the next one are dealt out in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// This server, counted from 0.
    pub index: u16,
    /// How many there are.
    pub of: u16,
}

impl Share {
    /// The only one.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Which server a port belongs to.
    pub const fn owner(self, port: u16) -> u16 {
        (port / 2) % self.of
    }
}

/// Every bound of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Allocations of this server.
    pub allocations: usize,
    /// Permissions of one allocation: a browser makes one for each address that its peer named.
    pub permissions: usize,
    /// Channels of one allocation.
    pub channels: usize,
    /// Lifetime of an allocation whose request names none, or less (RFC 8656 §3.2).
    pub lifetime_default: Duration,
    /// The longest.
    pub lifetime_max: Duration,
    /// How long a nonce is good for.
    pub nonce_life: Duration,
    /// Answers to unauthenticated requests for one source (IPv4 address, IPv6 /64) a second, beyond `answers_burst`.
    pub answers_per_second: u32,
    /// Such answers at once.
    pub answers_burst: u32,
    /// What is asked for at a time by [`Authority::lease`](crate::Authority::lease), in bytes.
    pub lease: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            allocations: 100_000,
            permissions: 64,
            channels: 64,
            lifetime_default: Duration::from_secs(600),
            lifetime_max: Duration::from_secs(3_600),
            nonce_life: Duration::from_secs(600),
            answers_per_second: 20,
            answers_burst: 100,
            lease: 64 * 1024,
        }
    }
}
