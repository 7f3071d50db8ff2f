//! How many connections there may be: in all, and from one address.
//!
//! A connection takes its place when it is accepted and gives it back when its last task ends. Behind a proxy its
//! address is known, and counted, only with its request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::limits;
use tokio::sync::watch;

use crate::config::Bounds;

/// Which bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Node,
    Address,
}

/// The places that there are.
#[derive(Debug)]
pub(crate) struct Capacity {
    bounds: Bounds,
    taken: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    stopping: watch::Sender<bool>,
}

/// One of them; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    capacity: Arc<Capacity>,
    /// Whether it is a connection's own, or only adds the address to one that is counted.
    counts: bool,
    address: Option<IpAddr>,
    /// Turns true when the node stops, which waits until the last of these is dropped.
    stopping: watch::Receiver<bool>,
}

impl Capacity {
    pub(crate) fn new(bounds: Bounds, stopping: watch::Sender<bool>) -> Self {
        Self {
            bounds,
            taken: AtomicUsize::new(0),
            by_address: Mutex::default(),
            stopping,
        }
    }

    /// A place for a connection that has just come in; none if there is not even room to refuse it.
    /// `address` is that of the client, where it is known already.
    pub(crate) fn accept(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Place, Full> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        let place = Place {
            capacity: Arc::clone(self),
            counts: true,
            address: None,
            stopping: self.stopping.subscribe(),
        };
        if taken >= self.bounds.connections + limits::ROOM_FOR_REFUSALS {
            return Err(Full::Node);
        }
        match address {
            Some(address) => place.with_address(address, limits::ROOM_FOR_REFUSALS_PER_ADDRESS),
            None => Ok(place),
        }
    }

    /// Whether an accepted connection may become a WebSocket; what is returned must live as long as that.
    pub(crate) fn upgrade(
        self: &Arc<Self>,
        place: &Arc<Place>,
        address: IpAddr,
    ) -> Result<Arc<Place>, Full> {
        if self.taken.load(Ordering::Relaxed) > self.bounds.connections {
            return Err(Full::Node);
        }
        match place.address {
            Some(known) => {
                let count = self.lock().get(&known).copied().unwrap_or_default();
                if count > self.bounds.connections_per_address {
                    return Err(Full::Address);
                }
                Ok(Arc::clone(place))
            }
            None => {
                // The connection's own place is given back with its HTTP task, so this one counts in its stead.
                self.taken.fetch_add(1, Ordering::Relaxed);
                let place = Place {
                    capacity: Arc::clone(self),
                    counts: true,
                    address: None,
                    stopping: self.stopping.subscribe(),
                };
                place.with_address(address, 0).map(Arc::new)
            }
        }
    }

    /// Connections of any kind.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Turns true when the node stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }

    fn with_address(mut self, address: IpAddr, room: usize) -> Result<Self, Full> {
        let mut by_address = self.capacity.lock();
        let count = by_address.entry(address).or_default();
        *count += 1;
        let is_full = *count > self.capacity.bounds.connections_per_address + room;
        drop(by_address);
        self.address = Some(address);
        if is_full {
            Err(Full::Address)
        } else {
            Ok(self)
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.counts {
            self.capacity.taken.fetch_sub(1, Ordering::Relaxed);
        }
        let Some(address) = self.address else {
            return;
        };
        if let Entry::Occupied(mut count) = self.capacity.lock().entry(address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(connections: usize, connections_per_address: usize) -> Arc<Capacity> {
        let bounds = Bounds {
            connections,
            connections_per_address,
            ..Bounds::default()
        };
        Arc::new(Capacity::new(bounds, watch::Sender::new(false)))
    }

    #[test]
    fn the_node_refuses_upgrades_beyond_its_bound_and_takes_them_again_later() {
        let capacity = capacity(1, 10);
        let address = IpAddr::from([192, 0, 2, 1]);
        let first = Arc::new(capacity.accept(Some(address)).unwrap());
        let first_upgraded = capacity.upgrade(&first, address).unwrap();
        let second = Arc::new(capacity.accept(Some(address)).unwrap());
        assert_eq!(capacity.upgrade(&second, address).unwrap_err(), Full::Node);
        drop((first, first_upgraded));
        assert!(capacity.upgrade(&second, address).is_ok());
    }

    #[test]
    fn an_address_has_its_own_bound_known_at_once_or_with_the_request() {
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        for known_at_once in [true, false] {
            let capacity = capacity(100, 1);
            let accept = |address| {
                let place = capacity.accept(known_at_once.then_some(address)).unwrap();
                let place = Arc::new(place);
                capacity.upgrade(&place, address)
            };
            let first = accept(one).unwrap();
            assert_eq!(accept(one).unwrap_err(), Full::Address, "{known_at_once}");
            assert!(accept(other).is_ok(), "{known_at_once}");
            drop(first);
            assert!(accept(one).is_ok(), "{known_at_once}");
            assert_eq!(capacity.taken(), 0);
            assert!(capacity.lock().is_empty());
        }
    }

    #[test]
    fn there_is_an_end_even_to_refusals() {
        let capacity = capacity(0, 0);
        let address = IpAddr::from([192, 0, 2, 1]);
        let places: Vec<_> = (0..limits::ROOM_FOR_REFUSALS_PER_ADDRESS)
            .map(|_| capacity.accept(Some(address)).unwrap())
            .collect();
        assert_eq!(capacity.accept(Some(address)).unwrap_err(), Full::Address);
        drop(places);
        let places: Vec<_> = (0..limits::ROOM_FOR_REFUSALS)
            .map(|_| capacity.accept(None).unwrap())
            .collect();
        assert_eq!(capacity.accept(None).unwrap_err(), Full::Node);
        drop(places);
        assert_eq!(capacity.taken(), 0);
    }
}
