//! Somebody with a host and no page: a peer that sends what it likes, or a client of TURN that asks for what it likes.
//!
//! Does nothing by itself but repeat what TURN left unanswered; keeps whatever reaches it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use crate::datagram::{Datagram, Host};
use crate::random::Random;
use crate::turn_client::{Ask, Told, TurnClient};

/// See the module.
#[derive(Debug)]
pub struct Stranger {
    /// What reached it and was no answer of TURN's, and when.
    pub inbox: Vec<(u64, Datagram)>,
    /// What came of what it asked of TURN.
    pub told: Vec<Told>,
    /// Its host.
    pub host: Host,
    /// Its address.
    pub address: IpAddr,
    /// Where it asks for relays, and from which port.
    turn: Vec<(SocketAddr, SocketAddr, TurnClient)>,
    random: Random,
    out: VecDeque<Datagram>,
}

impl Stranger {
    /// Somebody at a host.
    pub fn new(host: Host, address: IpAddr, random: Random) -> Self {
        Self {
            inbox: Vec::new(),
            told: Vec::new(),
            host,
            address,
            turn: Vec::new(),
            random,
            out: VecDeque::new(),
        }
    }

    /// Sends a datagram from one of its ports.
    pub fn send(&mut self, port: u16, to: SocketAddr, payload: &[u8]) {
        let from = SocketAddr::new(self.address, port);
        self.forge(from, to, payload);
    }

    /// Sends one under an address that need not be its own.
    pub fn forge(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        self.out.push_back(Datagram {
            from,
            to,
            payload: payload.to_vec(),
        });
    }

    /// Becomes a client of TURN on one of its ports; asks for an allocation.
    pub fn allocates(&mut self, now: u64, port: u16, server: SocketAddr, credential: (&str, &str)) {
        let mut client = TurnClient::new(credential.0, credential.1, false, self.random.fork());
        client.ask(now, Ask::Allocate);
        let own = SocketAddr::new(self.address, port);
        self.turn.push((own, server, client));
        self.drain();
    }

    /// Does something as the client of TURN that it became last.
    pub fn turns<T>(&mut self, act: impl FnOnce(&mut TurnClient) -> T) -> Option<T> {
        let result = self.turn.last_mut().map(|(_, _, client)| act(client));
        self.drain();
        result
    }

    /// The relayed address that it had last.
    pub fn relayed(&self) -> Option<SocketAddr> {
        self.turn.last().and_then(|(_, _, client)| client.relayed)
    }

    /// Codes of what TURN refused, oldest first.
    pub fn refusals(&self) -> Vec<(Ask, u16)> {
        let refused = |told: &Told| match told {
            Told::Refused(ask, Some(code)) => Some((ask.clone(), *code)),
            Told::Refused(_, None) | Told::Granted(_) | Told::Data(..) => None,
        };
        self.told.iter().filter_map(refused).collect()
    }

    /// How often something like this was granted.
    pub fn granted(&self, like: impl Fn(&Ask) -> bool) -> usize {
        self.told
            .iter()
            .filter(|told| matches!(told, Told::Granted(ask) if like(ask)))
            .count()
    }

    /// Packets that came through its relays.
    pub fn relayed_to_it(&self) -> usize {
        self.told
            .iter()
            .filter(|told| matches!(told, Told::Data(..)))
            .count()
    }

    /// A datagram came.
    pub fn datagram(&mut self, now: u64, datagram: Datagram) {
        let found = self
            .turn
            .iter_mut()
            .find(|(own, server, _)| *own == datagram.to && *server == datagram.from);
        match found {
            Some((_, _, client)) => client.handle(now, &datagram.payload),
            None => self.inbox.push((now, datagram)),
        }
        self.drain();
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: u64) {
        for (_, _, client) in &mut self.turn {
            client.timeout(now);
        }
        self.drain();
    }

    /// When it wants to be woken.
    pub fn poll_timeout(&self) -> Option<u64> {
        let due = |(_, _, client): &(_, _, TurnClient)| client.poll_timeout();
        self.turn.iter().filter_map(due).min()
    }

    /// The next datagram that it sends.
    pub fn poll_out(&mut self) -> Option<Datagram> {
        self.out.pop_front()
    }

    /// It goes and leaves everything as it is.
    pub fn leaves(&mut self) {
        self.turn.clear();
    }

    fn drain(&mut self) {
        for (own, server, client) in &mut self.turn {
            while let Some(payload) = client.poll_out() {
                self.out.push_back(Datagram {
                    from: *own,
                    to: *server,
                    payload,
                });
            }
            while let Some(told) = client.poll_told() {
                self.told.push(told);
            }
        }
    }
}
