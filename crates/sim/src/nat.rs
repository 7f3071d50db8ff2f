//! NATs as RFC 4787 sorts them: how an inside address is mapped, and what is let in from outside.
//!
//! A pure machine: addresses and the time go in, the translated address or nothing comes out. Carries no datagram
//! itself, and knows nothing of what is in one. RFC 4787 §4 (mapping), §5 (filtering), §6 (hairpinning).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::clock::SECOND;

/// On how much of the other end's address something depends (RFC 4787 §4.1, §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependence {
    /// On nothing of it.
    Endpoint,
    /// On its IP address.
    Address,
    /// On its address and port.
    AddressAndPort,
}

impl Dependence {
    /// All three, the most open first.
    pub const ALL: [Self; 3] = [Self::Endpoint, Self::Address, Self::AddressAndPort];

    /// What of an address counts.
    fn part(self, of: SocketAddr) -> Part {
        match self {
            Self::Endpoint => (None, None),
            Self::Address => (Some(of.ip()), None),
            Self::AddressAndPort => (Some(of.ip()), Some(of.port())),
        }
    }
}

type Part = (Option<IpAddr>, Option<u16>);

/// How a NAT behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// For which destinations an inside address keeps its mapping.
    pub mapping: Dependence,
    /// Who may send to a mapping: those to whom something was sent from it, by so much of their address.
    pub filtering: Dependence,
    /// Whether inside hosts reach each other by their outside addresses (RFC 4787 REQ-9).
    pub hairpins: bool,
    /// Whether the outside port is the inside one where that is free (RFC 4787 §4.2.1).
    pub keeps_ports: bool,
    /// Whether no UDP passes at all.
    pub blocks_udp: bool,
    /// How long a mapping, and a peer's right to send to it, outlive the last datagram sent out, in microseconds.
    pub timeout: u64,
}

impl Kind {
    /// Mapping and filtering by nothing: "full cone".
    pub const OPEN: Self = Self::of(Dependence::Endpoint, Dependence::Endpoint);
    /// "Restricted cone".
    pub const RESTRICTED: Self = Self::of(Dependence::Endpoint, Dependence::Address);
    /// "Port-restricted cone": what most homes have.
    pub const PORT_RESTRICTED: Self = Self::of(Dependence::Endpoint, Dependence::AddressAndPort);
    /// "Symmetric": what many companies and mobile networks have.
    pub const SYMMETRIC: Self = Self::of(Dependence::AddressAndPort, Dependence::AddressAndPort);
    /// A firewall that lets no UDP through.
    pub const NO_UDP: Self = Self {
        blocks_udp: true,
        ..Self::PORT_RESTRICTED
    };

    /// A NAT that hairpins, keeps no ports and forgets after two minutes (RFC 4787 REQ-5).
    pub const fn of(mapping: Dependence, filtering: Dependence) -> Self {
        Self {
            mapping,
            filtering,
            hairpins: true,
            keeps_ports: false,
            blocks_udp: false,
            timeout: 120 * SECOND,
        }
    }

    /// The same with another timeout.
    pub const fn forgets_after(mut self, timeout: u64) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same without hairpinning.
    pub const fn without_hairpins(mut self) -> Self {
        self.hairpins = false;
        self
    }

    /// Whether two hosts behind such NATs, each told the outside address that a third party has seen of the other, can
    /// come to exchange datagrams by the checks of ICE when both send first (RFC 4787 §4.1, §5; RFC 8445 §7).
    pub fn meets(self, other: Self) -> bool {
        let is_open = !self.blocks_udp && !other.blocks_udp;
        // Where each new port of one side gives the other a new port, an answer never comes from where it is awaited.
        let chases = |kind: Self| kind.mapping == Dependence::AddressAndPort;
        let is_chase = chases(self) && chases(other);
        is_open && !is_chase && (self.is_reached_by(other) || other.is_reached_by(self))
    }

    /// Whether the first datagram of `other` comes in to us, and what we send back comes in there.
    fn is_reached_by(self, other: Self) -> bool {
        let is_told = |kind: Self| kind.mapping == Dependence::Endpoint;
        let comes_in = match self.filtering {
            Dependence::Endpoint => true,
            // Only the mapping that we send from has sent to it.
            Dependence::Address => is_told(self),
            // And it must come from the very port that we were told and have sent to.
            Dependence::AddressAndPort => is_told(self) && is_told(other),
        };
        let goes_back = match other.filtering {
            Dependence::Endpoint | Dependence::Address => true,
            Dependence::AddressAndPort => is_told(self),
        };
        comes_in && goes_back
    }
}

/// A mapping's inside address and the part of the destination that it was made for.
type Key = (SocketAddr, Part);

#[derive(Clone, Debug)]
struct Mapping {
    port: u16,
    used: u64,
    /// To whom something was sent, and when last.
    peers: BTreeMap<Part, u64>,
}

/// One NAT.
#[derive(Clone, Debug)]
pub struct Nat {
    /// How it behaves.
    pub kind: Kind,
    public: IpAddr,
    mappings: BTreeMap<Key, Mapping>,
    by_port: BTreeMap<u16, Key>,
    last_port: u16,
}

/// Where outside ports begin.
const FIRST_PORT: u16 = 20_000;

impl Nat {
    /// A NAT with this outside address.
    pub fn new(kind: Kind, public: IpAddr) -> Self {
        Self {
            kind,
            public,
            mappings: BTreeMap::new(),
            by_port: BTreeMap::new(),
            last_port: FIRST_PORT,
        }
    }

    /// Its outside address.
    pub fn public(&self) -> IpAddr {
        self.public
    }

    /// A datagram goes out: the outside address that it gets, if it passes.
    pub fn outward(&mut self, now: u64, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        if self.kind.blocks_udp {
            return None;
        }
        self.forget(now);
        let key = (from, self.kind.mapping.part(to));
        if !self.mappings.contains_key(&key) {
            let port = self.free_port(from.port())?;
            self.by_port.insert(port, key);
            let mapping = Mapping {
                port,
                used: now,
                peers: BTreeMap::new(),
            };
            self.mappings.insert(key, mapping);
        }
        let filtering = self.kind.filtering;
        let mapping = self.mappings.get_mut(&key)?;
        mapping.used = now;
        mapping.peers.insert(filtering.part(to), now);
        Some(SocketAddr::new(self.public, mapping.port))
    }

    /// A datagram comes in for an outside address: the inside address that it goes to, if it passes.
    pub fn inward(&mut self, now: u64, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        if self.kind.blocks_udp || to.ip() != self.public {
            return None;
        }
        self.forget(now);
        let key = *self.by_port.get(&to.port())?;
        let mapping = self.mappings.get(&key)?;
        let may_send = mapping.peers.contains_key(&self.kind.filtering.part(from));
        may_send.then_some(key.0)
    }

    /// A stream is opened from inside; streams are never blocked.
    pub fn dials(&mut self, from: SocketAddr) -> SocketAddr {
        // Ports of TCP are their own, and nobody compares them with those of UDP.
        SocketAddr::new(self.public, from.port())
    }

    /// It loses its table.
    pub fn reboots(&mut self) {
        self.mappings.clear();
        self.by_port.clear();
        // Whoever comes first again does not get the same port again.
        self.last_port = FIRST_PORT + (self.last_port - FIRST_PORT + 4_001) % 20_000;
    }

    /// How many mappings it holds.
    pub fn mappings(&self) -> usize {
        self.mappings.len()
    }

    fn forget(&mut self, now: u64) {
        let timeout = self.kind.timeout;
        let by_port = &mut self.by_port;
        self.mappings.retain(|_, mapping| {
            let stays = mapping.used + timeout > now;
            if !stays {
                by_port.remove(&mapping.port);
            }
            mapping.peers.retain(|_, sent| *sent + timeout > now);
            stays
        });
    }

    /// Never one that is taken (RFC 4787 REQ-3), and of the inside port's parity (§4.2.2).
    fn free_port(&mut self, inside: u16) -> Option<u16> {
        if self.kind.keeps_ports && !self.by_port.contains_key(&inside) {
            return Some(inside);
        }
        for _ in 0..u16::MAX {
            self.last_port = match self.last_port {
                u16::MAX => FIRST_PORT,
                port => port + 1,
            };
            let is_free = !self.by_port.contains_key(&self.last_port);
            if is_free && self.last_port % 2 == inside % 2 {
                return Some(self.last_port);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    const INSIDE: &str = "10.0.0.2:4000";

    fn nat(mapping: Dependence, filtering: Dependence) -> Nat {
        Nat::new(Kind::of(mapping, filtering), "5.0.0.1".parse().unwrap())
    }

    /// Outside addresses of one inside address towards: a host, the same host's other port, another host.
    fn mapped(mapping: Dependence) -> [SocketAddr; 3] {
        let mut nat = nat(mapping, Dependence::Endpoint);
        ["6.0.0.1:1", "6.0.0.1:2", "7.0.0.1:1"]
            .map(|to| nat.outward(0, at(INSIDE), at(to)).unwrap())
    }

    #[test]
    fn req_1_mappings_depend_on_what_their_kind_says() {
        let [one, two, three] = mapped(Dependence::Endpoint);
        assert!(one == two && two == three, "endpoint-independent");
        let [one, two, three] = mapped(Dependence::Address);
        assert!(one == two && two != three, "address-dependent");
        let [one, two, three] = mapped(Dependence::AddressAndPort);
        assert!(one != two && two != three && one != three, "both");
    }

    #[test]
    fn req_8_filters_let_in_whom_their_kind_says() {
        // Something was sent to 6.0.0.1:1; these ask to come in: itself, its other port, another host.
        let lets_in = |filtering| {
            let mut nat = nat(Dependence::Endpoint, filtering);
            let outside = nat.outward(0, at(INSIDE), at("6.0.0.1:1")).unwrap();
            ["6.0.0.1:1", "6.0.0.1:2", "7.0.0.1:1"]
                .map(|from| nat.inward(1, at(from), outside) == Some(at(INSIDE)))
        };
        assert_eq!(lets_in(Dependence::Endpoint), [true, true, true]);
        assert_eq!(lets_in(Dependence::Address), [true, true, false]);
        assert_eq!(lets_in(Dependence::AddressAndPort), [true, false, false]);
    }

    #[test]
    fn nothing_comes_in_where_nothing_went_out() {
        let mut nat = nat(Dependence::Endpoint, Dependence::Endpoint);
        assert_eq!(nat.inward(0, at("6.0.0.1:1"), at("5.0.0.1:20001")), None);
        nat.outward(0, at(INSIDE), at("6.0.0.1:1"));
        assert_eq!(nat.inward(0, at("6.0.0.1:1"), at("5.0.0.1:1")), None);
        assert_eq!(nat.inward(0, at("6.0.0.1:1"), at("5.0.0.2:20001")), None);
    }

    #[test]
    fn req_3_no_two_mappings_share_a_port() {
        let mut nat = nat(Dependence::Endpoint, Dependence::Endpoint);
        nat.kind.keeps_ports = true;
        let one = nat
            .outward(0, at("10.0.0.2:4000"), at("6.0.0.1:1"))
            .unwrap();
        let two = nat
            .outward(0, at("10.0.0.3:4000"), at("6.0.0.1:1"))
            .unwrap();
        assert_eq!(one.port(), 4000, "the port is kept where it is free");
        assert_ne!(one, two);
        assert_eq!(two.port() % 2, 0, "parity is kept (REQ-4)");
    }

    #[test]
    fn req_5_and_6_a_mapping_lives_from_the_last_datagram_out() {
        let mut nat = nat(Dependence::Endpoint, Dependence::AddressAndPort);
        let peer = at("6.0.0.1:1");
        let first = nat.outward(0, at(INSIDE), peer).unwrap();
        assert_eq!(nat.outward(100 * SECOND, at(INSIDE), peer), Some(first));
        assert!(nat.inward(219 * SECOND, peer, first).is_some());
        // What comes in does not lengthen it.
        assert!(nat.inward(220 * SECOND, peer, first).is_none());
        assert_eq!(nat.mappings(), 0);
        let second = nat.outward(221 * SECOND, at(INSIDE), peer).unwrap();
        assert_ne!(first, second);
    }

    #[test]
    fn a_peers_right_ends_by_itself_while_the_mapping_lives() {
        let mut nat = nat(Dependence::Endpoint, Dependence::Address);
        let outside = nat.outward(0, at(INSIDE), at("6.0.0.1:1")).unwrap();
        nat.outward(100 * SECOND, at(INSIDE), at("7.0.0.1:1"));
        assert!(nat.inward(130 * SECOND, at("6.0.0.1:1"), outside).is_none());
        assert!(nat.inward(130 * SECOND, at("7.0.0.1:1"), outside).is_some());
    }

    #[test]
    fn a_reboot_loses_the_table_and_a_firewall_lets_nothing_pass() {
        let mut rebooted = nat(Dependence::Endpoint, Dependence::Endpoint);
        let before = rebooted.outward(0, at(INSIDE), at("6.0.0.1:1")).unwrap();
        rebooted.reboots();
        assert_eq!(rebooted.inward(0, at("6.0.0.1:1"), before), None);
        let after = rebooted.outward(0, at(INSIDE), at("6.0.0.1:1"));
        assert_ne!(after, Some(before));

        let mut firewall = Nat::new(Kind::NO_UDP, "5.0.0.1".parse().unwrap());
        assert_eq!(firewall.outward(0, at(INSIDE), at("6.0.0.1:1")), None);
    }

    #[test]
    fn the_textbook_table_of_who_meets_whom() {
        let kinds = [
            Kind::OPEN,
            Kind::RESTRICTED,
            Kind::PORT_RESTRICTED,
            Kind::SYMMETRIC,
            Kind::NO_UDP,
        ];
        let table = kinds.map(|one| kinds.map(|other| u8::from(one.meets(other))));
        assert_eq!(
            table,
            [
                [1, 1, 1, 1, 0],
                [1, 1, 1, 1, 0],
                [1, 1, 1, 0, 0],
                [1, 1, 0, 0, 0],
                [0, 0, 0, 0, 0],
            ]
        );
    }
}
