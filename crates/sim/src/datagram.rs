//! The datagram network: realms of addresses, NATs between them, and datagrams that are late, lost, doubled or overtaken.
//!
//! Realm 0 is the public Internet; every NAT has a realm inside and stands in another outside, so that NATs can stand
//! behind NATs. Says where a datagram ends and when; never looks into one.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::clock::MILLI;
use crate::nat::{Kind, Nat};
use crate::random::Random;

/// The public Internet.
pub const PUBLIC: usize = 0;

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// From whom, as whoever gets it sees it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// What.
    pub payload: Vec<u8>,
}

/// A datagram in the realm in which it arrives, before any NAT there has let it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    realm: usize,
    datagram: Datagram,
}

/// How good the network is.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// At least so long on the way, in microseconds.
    pub base: u64,
    /// At most so much more, for each by itself: datagrams overtake each other.
    pub jitter: u64,
    /// How many of a thousand get lost.
    pub lost_per_mille: u32,
    /// How many of a thousand arrive twice.
    pub doubled_per_mille: u32,
}

impl Quality {
    /// Ten milliseconds, and nothing goes wrong.
    pub const STEADY: Self = Self {
        base: 10 * MILLI,
        jitter: 0,
        lost_per_mille: 0,
        doubled_per_mille: 0,
    };
}

/// A host, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host(pub usize);

#[derive(Debug)]
struct Boundary {
    nat: Nat,
    outside: usize,
}

/// Every host, and what stands between them.
#[derive(Debug)]
pub struct Ground {
    /// How good it is.
    pub quality: Quality,
    hosts: BTreeMap<(usize, IpAddr), Host>,
    realms: Vec<usize>,
    made: usize,
    /// The NAT in front of each realm; none in front of the public one.
    boundaries: Vec<Option<Boundary>>,
    random: Random,
}

impl Ground {
    /// The public Internet alone.
    pub fn new(quality: Quality, random: Random) -> Self {
        Self {
            quality,
            hosts: BTreeMap::new(),
            realms: Vec::new(),
            made: 0,
            boundaries: vec![None],
            random,
        }
    }

    /// A NAT with this outside address, standing in that realm; gives the realm inside.
    pub fn add_nat(&mut self, kind: Kind, outside: usize, public: IpAddr) -> usize {
        let nat = Nat::new(kind, public);
        self.boundaries.push(Some(Boundary { nat, outside }));
        self.boundaries.len() - 1
    }

    /// A host with these addresses.
    pub fn add_host(&mut self, realm: usize, addresses: &[IpAddr]) -> Host {
        let host = Host(self.made);
        self.made += 1;
        self.realms.push(realm);
        for address in addresses {
            self.hosts.insert((realm, *address), host);
        }
        host
    }

    /// The realm of a host.
    pub fn realm_of(&self, host: Host) -> usize {
        self.realms[host.0]
    }

    /// The NAT in front of a realm.
    pub fn nat_mut(&mut self, realm: usize) -> Option<&mut Nat> {
        self.boundaries[realm]
            .as_mut()
            .map(|boundary| &mut boundary.nat)
    }

    /// A host sends: what is on its way from then on, and when each arrives. Twice if it is doubled, never if it is
    /// lost or has no way.
    pub fn send(&mut self, now: u64, host: Host, datagram: Datagram) -> Vec<(u64, Flight)> {
        let Some(flight) = self.outward(now, self.realm_of(host), datagram) else {
            return Vec::new();
        };
        let quality = self.quality;
        if quality.lost_per_mille > 0 && self.random.happens(quality.lost_per_mille) {
            return Vec::new();
        }
        let is_doubled =
            quality.doubled_per_mille > 0 && self.random.happens(quality.doubled_per_mille);
        let copies = if is_doubled { 2 } else { 1 };
        (0..copies)
            .map(|_| (now + self.delay(), flight.clone()))
            .collect()
    }

    /// How long something takes this time.
    pub fn delay(&mut self) -> u64 {
        match self.quality.jitter {
            0 => self.quality.base,
            jitter => self.quality.base + self.random.below(jitter),
        }
    }

    /// A flight arrives: at this host, if a NAT does not keep it out.
    pub fn arrive(&mut self, now: u64, flight: Flight) -> Option<(Host, Datagram)> {
        let Flight {
            mut realm,
            mut datagram,
        } = flight;
        // Each turn goes one realm further in.
        for _ in 0..self.boundaries.len() {
            if let Some(host) = self.hosts.get(&(realm, datagram.to.ip())) {
                return Some((*host, datagram));
            }
            let (inside, boundary) = self.standing_in(realm, datagram.to.ip())?;
            datagram.to = boundary.nat.inward(now, datagram.from, datagram.to)?;
            realm = inside;
        }
        None
    }

    /// The address that a stream from here is seen with in the public Internet.
    pub fn dials(&mut self, host: Host, from: SocketAddr) -> SocketAddr {
        let (mut realm, mut seen) = (self.realm_of(host), from);
        while let Some(boundary) = &mut self.boundaries[realm] {
            seen = boundary.nat.dials(seen);
            realm = boundary.outside;
        }
        seen
    }

    /// Out through NATs up to the realm that knows the destination.
    fn outward(&mut self, now: u64, mut realm: usize, mut datagram: Datagram) -> Option<Flight> {
        loop {
            let to = datagram.to.ip();
            let is_here =
                self.hosts.contains_key(&(realm, to)) || self.standing_in(realm, to).is_some();
            if is_here {
                return Some(Flight { realm, datagram });
            }
            let Boundary { nat, outside } = self.boundaries[realm].as_mut()?;
            let is_own = nat.public() == to;
            if is_own && !nat.kind.hairpins {
                return None;
            }
            datagram.from = nat.outward(now, datagram.from, datagram.to)?;
            realm = *outside;
        }
    }

    /// The NAT that has this outside address in a realm, and the realm inside it.
    fn standing_in(&mut self, realm: usize, address: IpAddr) -> Option<(usize, &mut Boundary)> {
        self.boundaries
            .iter_mut()
            .enumerate()
            .find_map(|(inside, boundary)| {
                let boundary = boundary.as_mut()?;
                let is_it = boundary.outside == realm && boundary.nat.public() == address;
                is_it.then_some((inside, boundary))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn ground() -> Ground {
        Ground::new(Quality::STEADY, Random::new(1))
    }

    /// Sends, and says who gets it, from whom and to which address of its own.
    fn carried(
        ground: &mut Ground,
        host: Host,
        from: &str,
        to: &str,
    ) -> Option<(Host, SocketAddr, SocketAddr)> {
        let datagram = Datagram {
            from: at(from),
            to: at(to),
            payload: Vec::new(),
        };
        let (when, flight) = ground.send(0, host, datagram).pop()?;
        let (host, datagram) = ground.arrive(when, flight)?;
        Some((host, datagram.from, datagram.to))
    }

    #[test]
    fn a_datagram_goes_out_through_every_nat_and_its_answer_comes_back() {
        let mut ground = ground();
        let server = ground.add_host(PUBLIC, &["5.0.0.9".parse().unwrap()]);
        let carrier = ground.add_nat(Kind::PORT_RESTRICTED, PUBLIC, "5.0.0.1".parse().unwrap());
        let home = ground.add_nat(Kind::SYMMETRIC, carrier, "100.64.0.1".parse().unwrap());
        let page = ground.add_host(home, &["192.168.0.2".parse().unwrap()]);
        let (who, from, _) = carried(&mut ground, page, "192.168.0.2:9", "5.0.0.9:3478").unwrap();
        assert_eq!((who, from.ip().to_string()), (server, "5.0.0.1".to_owned()));
        let back = carried(&mut ground, server, "5.0.0.9:3478", &from.to_string());
        assert_eq!(back, Some((page, at("5.0.0.9:3478"), at("192.168.0.2:9"))));
        let other = carried(&mut ground, server, "5.0.0.9:1", &from.to_string());
        assert_eq!(other, None, "the filter keeps another port out");
    }

    #[test]
    fn req_9_hairpins_show_the_outside_address() {
        let mut ground = ground();
        let home = ground.add_nat(Kind::OPEN, PUBLIC, "5.0.0.1".parse().unwrap());
        let one = ground.add_host(home, &["192.168.0.2".parse().unwrap()]);
        let two = ground.add_host(home, &["192.168.0.3".parse().unwrap()]);
        let near = carried(&mut ground, one, "192.168.0.2:8", "192.168.0.3:8").unwrap();
        assert_eq!(near, (two, at("192.168.0.2:8"), at("192.168.0.3:8")));
        let nat = ground.nat_mut(home).unwrap();
        let outside = nat
            .outward(0, at("192.168.0.3:8"), at("6.0.0.1:1"))
            .unwrap();
        let (host, from, _) =
            carried(&mut ground, one, "192.168.0.2:8", &outside.to_string()).unwrap();
        assert_eq!((host, from.ip().to_string()), (two, "5.0.0.1".to_owned()));
        ground.nat_mut(home).unwrap().kind.hairpins = false;
        let gone = carried(&mut ground, one, "192.168.0.2:8", &outside.to_string());
        assert_eq!(gone, None);
    }

    #[test]
    fn private_addresses_have_no_way_through_the_internet() {
        let mut ground = ground();
        let server = ground.add_host(PUBLIC, &["5.0.0.9".parse().unwrap()]);
        let home = ground.add_nat(Kind::OPEN, PUBLIC, "5.0.0.1".parse().unwrap());
        ground.add_host(home, &["192.168.0.2".parse().unwrap()]);
        let gone = carried(&mut ground, server, "5.0.0.9:1", "192.168.0.2:8");
        assert_eq!(gone, None);
    }
}
