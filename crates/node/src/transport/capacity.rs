//! How many connections there may be: in all, and from one address.
//!
//! A connection takes its place when it is accepted and gives it back when its last task ends. Behind a proxy its
//! address is known, and counted, only with its request. A session that waits for its client has no connection: it takes
//! a place of another kind, of which there are as many.

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
    waiting: Mutex<Waiting>,
    stopping: watch::Sender<bool>,
}

/// Sessions that wait for their clients.
#[derive(Debug, Default)]
struct Waiting {
    taken: usize,
    by_address: HashMap<IpAddr, usize>,
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
            waiting: Mutex::default(),
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

    /// Sessions that wait for their clients.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.waiting).taken
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        lock(&self.by_address)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes one from an address's number.
fn leave(by_address: &mut HashMap<IpAddr, usize>, address: IpAddr) {
    if let Entry::Occupied(mut count) = by_address.entry(address) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

impl Place {
    /// Turns true when the node stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }

    /// A place to wait in for the session of a connection that is lost, if there is room.
    pub(crate) fn wait(&self) -> Option<WaitingPlace> {
        let bounds = self.capacity.bounds;
        let address = self.address?;
        let mut waiting = lock(&self.capacity.waiting);
        let of_address = waiting.by_address.get(&address).copied().unwrap_or(0);
        if waiting.taken >= bounds.connections || of_address >= bounds.connections_per_address {
            return None;
        }
        waiting.taken += 1;
        *waiting.by_address.entry(address).or_default() += 1;
        drop(waiting);
        Some(WaitingPlace {
            capacity: Arc::clone(&self.capacity),
            address,
            _stopping: self.stopping(),
        })
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
        if let Some(address) = self.address {
            leave(&mut self.capacity.lock(), address);
        }
    }
}

/// Where a session waits for its client; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct WaitingPlace {
    capacity: Arc<Capacity>,
    address: IpAddr,
    /// The node waits until the last of these is dropped.
    _stopping: watch::Receiver<bool>,
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        let mut waiting = lock(&self.capacity.waiting);
        waiting.taken -= 1;
        leave(&mut waiting.by_address, self.address);
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
    fn sessions_that_wait_have_the_bounds_of_connections_and_places_of_their_own() {
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let capacity = capacity(2, 1);
        let accept = |address| {
            let place = Arc::new(capacity.accept(Some(address)).unwrap());
            capacity.upgrade(&place, address)
        };
        let lost = accept(one).unwrap();
        let first = lost.wait().unwrap();
        assert!(lost.wait().is_none(), "the address is full");
        drop(lost);
        // What waits takes no connection's place.
        let again = accept(one).unwrap();
        let elsewhere = accept(other).unwrap();
        let second = elsewhere.wait().unwrap();
        drop(elsewhere);
        let third = accept(IpAddr::from([192, 0, 2, 3])).unwrap();
        assert!(third.wait().is_none(), "the node is full");
        assert_eq!(capacity.waiting(), 2);
        drop((first, second));
        assert!(again.wait().is_some());
        assert_eq!(capacity.waiting(), 0);
        assert!(lock(&capacity.waiting).by_address.is_empty());
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
