//! The network: connections with latency, each direction in order like TCP, that can be lost.
//!
//! Knows how long bytes take and which ends are still there; never looks at messages.

use std::collections::BTreeMap;

use model::ConnectionId;

use crate::clock::MILLI;
use crate::random::Random;

/// What travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A text frame.
    Text(Vec<u8>),
    /// A WebSocket ping.
    Ping,
    /// Its answer.
    Pong,
    /// The sender has closed the connection.
    Close,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// One connection.
#[derive(Clone, Debug)]
pub struct Link {
    /// Whose.
    pub client: usize,
    /// To which server.
    pub node: usize,
    /// Which start of that server accepted it.
    pub boot: u32,
    /// Whether the client's end is open.
    pub client_up: bool,
    /// Whether the server's end is open.
    pub server_up: bool,
    /// Whether bytes still arrive.
    pub carrying: bool,
    /// Whether the client offers to resume sessions, and whether the server takes that up.
    pub offers: bool,
    /// See `offers`.
    pub resumes: bool,
    /// The session that the client uses it for, if a resuming socket does.
    pub session: Option<ConnectionId>,
    /// Until then nothing arrives; then everything does.
    hindered_until: u64,
    latency: u64,
    jitter: u64,
    last_up: u64,
    last_down: u64,
}

/// How slow connections are, in microseconds one way.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// At least.
    pub base: u64,
    /// How much more a connection may have.
    pub spread: u64,
    /// How much a single message may be slower than others of its connection.
    pub jitter: u64,
}

impl Latency {
    /// A good network.
    pub const STEADY: Self = Self {
        base: 10 * MILLI,
        spread: 0,
        jitter: 0,
    };
}

/// Every connection that was ever opened.
#[derive(Debug)]
pub struct Net {
    links: BTreeMap<ConnectionId, Link>,
    opened: u64,
    latency: Latency,
    random: Random,
}

impl Net {
    /// A network without connections.
    pub fn new(latency: Latency, random: Random) -> Self {
        Self {
            links: BTreeMap::new(),
            opened: 0,
            latency,
            random,
        }
    }

    /// A client begins to connect.
    pub fn open(&mut self, client: usize, node: usize) -> ConnectionId {
        self.opened += 1;
        let id = ConnectionId(self.opened);
        let link = Link {
            client,
            node,
            boot: 0,
            client_up: true,
            server_up: false,
            carrying: true,
            offers: false,
            resumes: false,
            session: None,
            hindered_until: 0,
            latency: self.latency.base + self.random.below(self.latency.spread + 1),
            jitter: self.latency.jitter,
            last_up: 0,
            last_down: 0,
        };
        self.links.insert(id, link);
        id
    }

    /// A connection.
    pub fn link(&self, id: ConnectionId) -> Option<&Link> {
        self.links.get(&id)
    }

    /// A connection, to be changed.
    pub fn link_mut(&mut self, id: ConnectionId) -> Option<&mut Link> {
        self.links.get_mut(&id)
    }

    /// Connections whose server end is open.
    pub fn at_server(&self, node: usize) -> Vec<ConnectionId> {
        self.links
            .iter()
            .filter(|(_, link)| link.node == node && link.server_up)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Forgets a connection that is closed at both ends and has nothing under way.
    pub fn forget(&mut self, id: ConnectionId) {
        if self
            .links
            .get(&id)
            .is_some_and(|link| !link.client_up && !link.server_up && !link.carrying)
        {
            self.links.remove(&id);
        }
    }

    /// When bytes sent now arrive.
    pub fn arrival(&mut self, id: ConnectionId, way: Way, now: u64) -> u64 {
        let Some(link) = self.links.get_mut(&id) else {
            return now;
        };
        let jitter = if link.jitter == 0 {
            0
        } else {
            self.random.below(link.jitter)
        };
        let last = match way {
            Way::Up => &mut link.last_up,
            Way::Down => &mut link.last_down,
        };
        *last = (now + link.latency + jitter)
            .max(*last)
            .max(link.hindered_until);
        *last
    }

    /// A hole in the network: what is sent on a connection from now on arrives no sooner than `until`.
    pub fn hinder(&mut self, id: ConnectionId, until: u64) {
        if let Some(link) = self.links.get_mut(&id) {
            link.hindered_until = until;
        }
    }
}
