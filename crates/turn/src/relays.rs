//! Relayed transport addresses: which ports are taken, by whom, and how packets find them.
//!
//! Every port of the server's share is tracked here; whether the system gives it is the shell's to find out.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::config::{RelayAddress, Share};
use crate::input::RelayId;
use crate::table::{Keyed, Table};

/// Whose a relayed address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The allocation in this place.
    Allocation(u32),
    /// Whoever shows this RESERVATION-TOKEN.
    Reservation(u64),
    /// Another server with which we share our addresses, until it returns the port.
    Lent(u16),
}

/// An open, or opening, relayed transport address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relayed {
    pub(crate) owner: Owner,
    /// What is told.
    pub(crate) public: SocketAddr,
    /// What the socket is bound to.
    pub(crate) local: SocketAddr,
}

/// Which ports a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parity {
    Any,
    Even,
    /// An even one whose next is free as well.
    Pair,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    relayed: Option<Relayed>,
}

/// One of our addresses, and which of its ports are taken.
#[derive(Debug)]
struct Address {
    address: RelayAddress,
    taken: u32,
    /// A bit for each port from the first on.
    ports: Vec<u64>,
}

#[derive(Debug)]
pub(crate) struct Relays {
    addresses: Vec<Address>,
    ports: RangeInclusive<u16>,
    share: Share,
    places: Vec<Place>,
    free: Vec<u32>,
    /// By public address, and by the local one where that is another.
    by_address: Table,
}

/// An address as a key: all at once, because hashers are slow with many small parts.
struct Key(SocketAddr);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let port = self.0.port().to_le_bytes();
        let mut bytes = [0; 18];
        bytes[..2].copy_from_slice(&port);
        let end = match self.0.ip() {
            IpAddr::V4(ip) => {
                bytes[2..6].copy_from_slice(&ip.octets());
                6
            }
            IpAddr::V6(ip) => {
                bytes[2..18].copy_from_slice(&ip.octets());
                18
            }
        };
        state.write(&bytes[..end]);
    }
}

impl Relays {
    pub(crate) fn new(
        addresses: &[RelayAddress],
        ports: RangeInclusive<u16>,
        share: Share,
        keyed: Keyed,
    ) -> Self {
        let words = ports.len().div_ceil(64);
        let addresses = addresses.iter().map(|address| Address {
            address: *address,
            taken: 0,
            ports: vec![0; words],
        });
        Self {
            addresses: addresses.collect(),
            ports,
            share,
            places: Vec::new(),
            free: Vec::new(),
            by_address: Table::new(keyed),
        }
    }

    /// Whether relayed addresses of this family can be had at all.
    pub(crate) fn has_family(&self, is_v6: bool) -> bool {
        self.addresses
            .iter()
            .any(|own| own.address.local.is_ipv6() == is_v6)
    }

    /// Whether peers and clients know this address as one that we relay from.
    pub(crate) fn is_address(&self, ip: IpAddr) -> bool {
        self.addresses
            .iter()
            .any(|own| own.address.local == ip || own.address.public == ip)
    }

    /// Whether a port is in the range of relayed addresses.
    pub(crate) fn has_port(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }

    /// Which server has a port.
    pub(crate) fn server_of(&self, port: u16) -> u16 {
        self.share.owner(port)
    }

    pub(crate) fn is_own_share(&self, port: u16) -> bool {
        self.share.owner(port) == self.share.index
    }

    /// Takes a free port of a family, beginning the search at a random one.
    pub(crate) fn take(
        &mut self,
        is_v6: bool,
        parity: Parity,
        start: u64,
        owner: Owner,
    ) -> Option<RelayId> {
        let at = self.pick_address(is_v6)?;
        let (first, count) = (u64::from(*self.ports.start()), self.ports.len() as u64);
        let offset = start.checked_rem(count)?;
        let port = (0..count)
            .map(|step| (first + (offset + step) % count) as u16)
            .find(|port| self.is_free(at, *port, parity))?;
        Some(self.insert(at, port, owner))
    }

    /// Takes the port after an even one: the other half of a pair.
    pub(crate) fn take_next(&mut self, of: RelayId, owner: Owner) -> Option<RelayId> {
        let even = self.get(of)?.local;
        let at = self.position(even.ip())?;
        let port = even.port().checked_add(1)?;
        self.is_free(at, port, Parity::Any)
            .then(|| self.insert(at, port, owner))
    }

    /// Notes a port of another server's share that was lent to us.
    pub(crate) fn borrow_port(&mut self, local: SocketAddr, owner: Owner) -> Option<RelayId> {
        let at = self.position(local.ip())?;
        self.is_unused(at, local.port())
            .then(|| self.insert(at, local.port(), owner))
    }

    /// Takes a port back that was lent to this server.
    pub(crate) fn take_back(&mut self, local: SocketAddr, from: u16) {
        let Some(index) = self.find_index(local) else {
            return;
        };
        let place = &self.places[index as usize];
        let is_lent = |relayed: &Relayed| relayed.owner == Owner::Lent(from);
        if place.relayed.as_ref().is_some_and(is_lent) {
            let generation = place.generation;
            self.remove(RelayId { index, generation });
        }
    }

    /// Takes back every port that was lent to this server.
    pub(crate) fn take_all_back(&mut self, from: u16) {
        let is_lent = |relayed: &Relayed| relayed.owner == Owner::Lent(from);
        for index in 0..self.places.len() {
            let place = &self.places[index];
            let generation = place.generation;
            if place.relayed.as_ref().is_some_and(is_lent) {
                let index = index as u32;
                self.remove(RelayId { index, generation });
            }
        }
    }

    pub(crate) fn get(&self, relay: RelayId) -> Option<&Relayed> {
        let place = self.places.get(relay.index as usize)?;
        (place.generation == relay.generation)
            .then_some(place.relayed.as_ref())
            .flatten()
    }

    pub(crate) fn set_owner(&mut self, relay: RelayId, owner: Owner) {
        if self.get(relay).is_some()
            && let Some(relayed) = &mut self.places[relay.index as usize].relayed
        {
            relayed.owner = owner;
        }
    }

    /// The relayed address that a packet to this address means.
    pub(crate) fn find(&self, address: SocketAddr) -> Option<&Relayed> {
        let index = self.find_index(address)?;
        self.places[index as usize].relayed.as_ref()
    }

    fn find_index(&self, address: SocketAddr) -> Option<u32> {
        self.by_address
            .find(&Key(address), |index| self.is_at(index, address))
    }

    pub(crate) fn remove(&mut self, relay: RelayId) {
        if self.get(relay).is_none() {
            return;
        }
        let place = &mut self.places[relay.index as usize];
        place.generation = place.generation.wrapping_add(1);
        let Some(relayed) = place.relayed.take() else {
            return;
        };
        self.free.push(relay.index);
        self.by_address.remove(&Key(relayed.public), relay.index);
        if relayed.local != relayed.public {
            self.by_address.remove(&Key(relayed.local), relay.index);
        }
        if let Some(at) = self.position(relayed.local.ip()) {
            self.addresses[at].taken -= 1;
            self.set_taken(at, relayed.local.port(), false);
        }
    }

    fn is_at(&self, index: u32, address: SocketAddr) -> bool {
        self.places[index as usize]
            .relayed
            .as_ref()
            .is_some_and(|relayed| relayed.public == address || relayed.local == address)
    }

    fn position(&self, local: IpAddr) -> Option<usize> {
        self.addresses
            .iter()
            .position(|own| own.address.local == local)
    }

    /// The address of a family with the most room.
    fn pick_address(&self, is_v6: bool) -> Option<usize> {
        self.addresses
            .iter()
            .enumerate()
            .filter(|(_, own)| own.address.local.is_ipv6() == is_v6)
            .min_by_key(|(_, own)| own.taken)
            .map(|(at, _)| at)
    }

    fn is_free(&self, at: usize, port: u16, parity: Parity) -> bool {
        let suits = match parity {
            Parity::Any => true,
            Parity::Even => port.is_multiple_of(2),
            Parity::Pair => port.is_multiple_of(2) && self.is_unused(at, port | 1),
        };
        suits && self.is_unused(at, port) && self.is_own_share(port) && {
            // Two local addresses behind one public one share its ports.
            let public = SocketAddr::new(self.addresses[at].address.public, port);
            self.find(public).is_none()
        }
    }

    fn is_unused(&self, at: usize, port: u16) -> bool {
        self.bit(port)
            .is_some_and(|(word, bit)| self.addresses[at].ports[word] & bit == 0)
    }

    /// Where a port of the range has its bit.
    fn bit(&self, port: u16) -> Option<(usize, u64)> {
        let nth = self.has_port(port).then(|| port - self.ports.start())?;
        Some((usize::from(nth / 64), 1 << (nth % 64)))
    }

    fn set_taken(&mut self, at: usize, port: u16, is_taken: bool) {
        if let Some((word, bit)) = self.bit(port) {
            let word = &mut self.addresses[at].ports[word];
            *word = if is_taken { *word | bit } else { *word & !bit };
        }
    }

    fn insert(&mut self, at: usize, port: u16, owner: Owner) -> RelayId {
        let address = self.addresses[at].address;
        let relayed = Relayed {
            owner,
            local: SocketAddr::new(address.local, port),
            public: SocketAddr::new(address.public, port),
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 0,
                relayed: None,
            });
            // As many places as ports, and those have 16 bits for each address.
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        place.relayed = Some(relayed);
        let generation = place.generation;
        self.addresses[at].taken += 1;
        self.set_taken(at, port, true);
        self.by_address.insert(&Key(relayed.public), index);
        if relayed.local != relayed.public {
            self.by_address.insert(&Key(relayed.local), index);
        }
        RelayId { index, generation }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.by_address.bytes()
            + self.places.capacity() * size_of::<Place>()
            + self.free.capacity() * size_of::<u32>()
    }
}
