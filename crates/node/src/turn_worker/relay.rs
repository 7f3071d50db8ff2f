//! The relay sockets of one worker.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use turn::RelayId;

use super::port::Port;
use super::token::{Token, told};

/// All of them, by their place.
#[derive(Debug, Default)]
pub(super) struct Relays {
    places: Vec<Option<Relay>>,
    /// Those that may have something to read, in order.
    ready: VecDeque<RelayId>,
}

#[derive(Debug)]
struct Relay {
    id: RelayId,
    port: Port,
    is_ready: bool,
}

impl Relays {
    /// Opens a socket, which nobody else may have.
    pub(super) fn open(
        &mut self,
        id: RelayId,
        local: SocketAddr,
        registry: &Registry,
    ) -> io::Result<()> {
        let port = Port::relay(local)?;
        let token = Token::of(id).into();
        registry.register(&mut SourceFd(&port.fd()), token, Interest::READABLE)?;
        let place = id.index as usize;
        if self.places.len() <= place {
            self.places.resize_with(place + 1, || None);
        }
        self.places[place] = Some(Relay {
            id,
            port,
            is_ready: false,
        });
        Ok(())
    }

    /// Closing a socket also ends its events.
    pub(super) fn close(&mut self, id: RelayId) {
        if self.get(id).is_some() {
            self.places[id.index as usize] = None;
        }
    }

    pub(super) fn port(&mut self, id: RelayId) -> Option<&mut Port> {
        self.get(id).map(|relay| &mut relay.port)
    }

    /// Notes an event. What the socket was that it is of may be gone.
    pub(super) fn note(&mut self, event: RelayId) {
        if let Some(Some(relay)) = self.places.get_mut(event.index as usize)
            && told(relay.id) == event
            && !relay.is_ready
        {
            relay.is_ready = true;
            self.ready.push_back(relay.id);
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next one to read; what is left in it after that must be noted by [`Self::again`].
    pub(super) fn pop_ready(&mut self) -> Option<RelayId> {
        while let Some(id) = self.ready.pop_front() {
            if let Some(relay) = self.get(id) {
                relay.is_ready = false;
                return Some(id);
            }
        }
        None
    }

    pub(super) fn again(&mut self, id: RelayId) {
        self.note(told(id));
    }

    fn get(&mut self, id: RelayId) -> Option<&mut Relay> {
        let place = self.places.get_mut(id.index as usize)?;
        place.as_mut().filter(|relay| relay.id == id)
    }
}
