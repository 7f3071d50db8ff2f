//! Which addresses nobody may reach through a relay, however they are spelled.
//!
//! Looks at addresses alone: who asks and why is [`Authority`](crate::Authority)'s concern. Kinds by the IANA registries of
//! special-purpose addresses (RFC 6890); the networks for documentation are not among them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The operator's exceptions; everything else is built in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerPolicy {
    /// Networks that may be reached though they are forbidden by kind.
    pub allowed: Vec<Network>,
}

/// An address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Any address in it.
    pub address: IpAddr,
    /// Leading bits that count.
    pub prefix: u8,
}

/// Why an address may not be reached, in a word for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forbidden(pub &'static str);

/// A text that names no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoNetwork(String);

impl fmt::Display for NoNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no network: give an address, and behind a '/' how many of its bits count, such as 10.1.0.0/16",
            self.0
        )
    }
}

impl std::error::Error for NoNetwork {}

impl PeerPolicy {
    /// Whether this address may be reached at all.
    pub fn check(&self, peer: IpAddr) -> Result<(), Forbidden> {
        if self.is_allowed(peer) {
            return Ok(());
        }
        match peer {
            IpAddr::V4(peer) => forbidden_v4(peer).map_or(Ok(()), Err),
            IpAddr::V6(peer) => self.check_v6(peer),
        }
    }

    /// Whether the operator listed it.
    pub(crate) fn is_allowed(&self, peer: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(peer))
    }

    fn check_v6(&self, peer: Ipv6Addr) -> Result<(), Forbidden> {
        if let Some(kind) = forbidden_v6(peer) {
            return Err(kind);
        }
        let embedded = Embedded::of(peer);
        let mut carried = embedded.addresses().into_iter().flatten();
        match embedded {
            Embedded::Never(_, kind) => carried
                .all(|carried| self.is_allowed(carried.into()))
                .then_some(())
                .ok_or(kind),
            Embedded::Judged(_) | Embedded::None => {
                carried.try_for_each(|carried| self.check(carried.into()))
            }
        }
    }
}

/// Every spelling of an address: itself, and the IPv4 addresses that it carries if it is one of IPv6.
pub(crate) fn spellings(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let carried = match address {
        IpAddr::V4(_) => [None, None],
        IpAddr::V6(address) => Embedded::of(address).addresses(),
    };
    std::iter::once(address).chain(carried.into_iter().flatten().map(IpAddr::V4))
}

/// The IPv4 addresses that an IPv6 address carries.
#[derive(Clone, Copy)]
enum Embedded {
    None,
    /// In a form that nobody uses on the wire.
    Never(Ipv4Addr, Forbidden),
    /// In a form that leads to them.
    Judged([Option<Ipv4Addr>; 2]),
}

impl Embedded {
    fn addresses(self) -> [Option<Ipv4Addr>; 2] {
        match self {
            Self::None => [None, None],
            Self::Never(address, _) => [Some(address), None],
            Self::Judged(addresses) => addresses,
        }
    }

    fn of(peer: Ipv6Addr) -> Self {
        let bytes = peer.octets();
        let v4 = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
        match peer.segments() {
            [0, 0, 0, 0, 0, 0xffff, ..] => Self::Never(v4(12), Forbidden("IPv4-mapped")),
            [0, 0, 0, 0, 0, 0, ..] => Self::Never(v4(12), Forbidden("IPv4-compatible")),
            [0, 0, 0, 0, 0xffff, 0, ..] => Self::Never(v4(12), Forbidden("IPv4-translated")),
            [0x64, 0xff9b, 0, 0, 0, 0, ..] => Self::Judged([Some(v4(12)), None]),
            [0x2002, ..] => Self::Judged([Some(v4(2)), None]),
            // RFC 4380 §4: the server, and the client with every bit turned over.
            [0x2001, 0, ..] => {
                let client = Ipv4Addr::from_bits(!v4(12).to_bits());
                Self::Judged([Some(v4(4)), Some(client)])
            }
            // RFC 5214 §6.1, whatever the two bits say that are no part of the number.
            [_, _, _, _, 0 | 0x100 | 0x200 | 0x300, 0x5efe, ..] => {
                Self::Judged([Some(v4(12)), None])
            }
            _ => Self::None,
        }
    }
}

fn forbidden_v4(peer: Ipv4Addr) -> Option<Forbidden> {
    // What follows the last row is multicast, reserved and broadcast.
    const KINDS: [(u32, u8, &str); 13] = [
        (0x0000_0000, 8, "this network"),
        (0x0a00_0000, 8, "private"),
        (0x6440_0000, 10, "shared by carriers"),
        (0x7f00_0000, 8, "loopback"),
        (0xa9fe_0000, 16, "link-local"),
        (0xac10_0000, 12, "private"),
        (0xc000_0000, 24, "for protocols"),
        (0xc058_6300, 24, "6to4 relays"),
        (0xc0a8_0000, 16, "private"),
        (0xc612_0000, 15, "for benchmarks"),
        (0xa83f_8110, 32, "metadata of a cloud"),
        (0xe000_0000, 4, "multicast"),
        (0xf000_0000, 4, "reserved"),
    ];
    let bits = peer.to_bits();
    KINDS
        .iter()
        .find(|(network, prefix, _)| (bits ^ network).leading_zeros() >= u32::from(*prefix))
        .map(|(_, _, kind)| Forbidden(kind))
}

fn forbidden_v6(peer: Ipv6Addr) -> Option<Forbidden> {
    let kind = match peer.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0x64, 0xff9b, 1, ..] => "NAT64 of the network",
        [0x100, 0, 0, 0 | 1, ..] => "discarded",
        [0x2001, 2, 0, ..] => "for benchmarks",
        [first, ..] if first & 0xffc0 == 0xfe80 => "link-local",
        [first, ..] if first & 0xffc0 == 0xfec0 => "site-local",
        [first, ..] if first & 0xfe00 == 0xfc00 => "unique local",
        [first, ..] if first & 0xff00 == 0xff00 => "multicast",
        _ => return None,
    };
    Some(Forbidden(kind))
}

impl Network {
    /// Whether an address is in it. Addresses of the other family never are.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros()
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros()
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        differing >= u32::from(self.prefix)
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let fault = || NoNetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| fault())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().map_err(|_| fault())?
            }
            Some(_) => return Err(fault()),
        };
        if prefix > longest {
            return Err(fault());
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}
