//! The media of a page: a session for each call, sockets of its own, and the streams to the TURN server.
//!
//! A machine without time or network of its own: datagrams and frames go in, acts come out. Counts what it sends and
//! gets; a packet carries a number and no sound.

mod candidate;
mod session;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

pub use candidate::{Candidate, Described, IceServer, Source};
use session::{Leg, Link, Session};

use crate::browser::CallKey;
use crate::clock::MILLI;
use crate::random::Random;
use crate::turn_client::{Ask, TurnClient};

/// What a page's media does to the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Sends a datagram.
    Datagram {
        /// From this address of the page's host.
        from: SocketAddr,
        /// To this one.
        to: SocketAddr,
        /// What.
        payload: Vec<u8>,
    },
    /// Opens a stream.
    Dial {
        /// Its number at this page.
        stream: u64,
        /// From this address.
        from: SocketAddr,
        /// To this one.
        to: SocketAddr,
    },
    /// Sends one message on a stream.
    Frame {
        /// Which stream.
        stream: u64,
        /// The message.
        payload: Vec<u8>,
    },
    /// Closes a stream.
    Hang {
        /// Which.
        stream: u64,
    },
}

/// What the page must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Its candidates are there: the description can be written.
    Gathered(CallKey),
    /// No way works any more.
    Broken(CallKey),
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// From host to host, through NATs alone.
    Direct,
    /// Through a relayed address of either side or both.
    Relayed,
}

/// What a page does about a way that broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Seeks another with a new offer (an ICE restart).
    Restarts,
    /// Hangs up and says why.
    HangsUp,
    /// Nothing.
    Endures,
}

/// How a page's media behaves.
#[derive(Clone, Copy, Debug)]
pub struct Conduct {
    /// Names this address beside its own.
    pub names: Option<SocketAddr>,
    /// `iceTransportPolicy: "relay"`.
    pub relay_only: bool,
    /// Goes on sending when its call is over, and keeps its allocations.
    pub clings: bool,
    /// See the type.
    pub remedy: Remedy,
    /// Time from packet to packet, in microseconds; 0 sends none.
    pub pace: u64,
    /// Bytes of a packet.
    pub bytes: usize,
}

impl Default for Conduct {
    fn default() -> Self {
        Self {
            names: None,
            relay_only: false,
            clings: false,
            remedy: Remedy::Restarts,
            pace: 200 * MILLI,
            bytes: 172,
        }
    }
}

/// What was counted for a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets sent.
    pub sent: u64,
    /// Different packets that came.
    pub received: u64,
    /// Bytes in them, doubles included.
    pub bytes_received: u64,
    /// When the last came.
    pub last: u64,
    /// Packets that no page has sent.
    pub strange: u64,
    /// Which way packets go now.
    pub path: Option<Path>,
    /// What the TURN server refused.
    pub refused: Vec<(Ask, Option<u16>)>,
    /// How often the way was sought anew.
    pub restarts: u32,
}

/// The media of a page.
#[derive(Debug)]
pub struct Media {
    /// How it behaves.
    pub conduct: Conduct,
    /// What was counted, for every call that there was.
    pub tallies: BTreeMap<CallKey, Tally>,
    /// The servers that it was told of last.
    pub servers: Option<IceServer>,
    address: IpAddr,
    sessions: BTreeMap<CallKey, Session>,
    /// How the other side of a call has described itself last.
    described: BTreeMap<CallKey, Described>,
    /// Calls whose way was sought anew, and whose other side has not been told yet.
    owed: BTreeSet<CallKey>,
    /// Sessions whose calls are over and that have something left to say.
    ending: Vec<Session>,
    last_port: u16,
    last_stream: u64,
    random: Random,
    acts: VecDeque<Act>,
    news: VecDeque<News>,
}

impl Media {
    /// The media of a page on a host with this address.
    pub fn new(address: IpAddr, random: Random) -> Self {
        Self {
            conduct: Conduct::default(),
            tallies: BTreeMap::new(),
            servers: None,
            address,
            sessions: BTreeMap::new(),
            described: BTreeMap::new(),
            owed: BTreeSet::new(),
            ending: Vec::new(),
            last_port: 40_000,
            last_stream: 0,
            random,
            acts: VecDeque::new(),
            news: VecDeque::new(),
        }
    }

    /// The same for the page that is loaded next on the same host: nothing is told to any server.
    pub fn reloaded(&mut self) -> Self {
        let mut fresh = Self::new(self.address, self.random.fork());
        fresh.conduct = self.conduct;
        fresh.tallies = std::mem::take(&mut self.tallies);
        // What the old page had open, the new one has not.
        fresh.last_port = self.last_port;
        fresh.last_stream = self.last_stream;
        let sessions = self.sessions.values().chain(&self.ending);
        fresh.acts = sessions.flat_map(hang_all).collect();
        fresh
    }

    /// The page begins to gather for a call, or to seek its way anew.
    pub fn gather(&mut self, now: u64, call: CallKey) {
        self.last_port = match self.last_port {
            60_000.. => 40_000,
            port => port + 2,
        };
        let socket = SocketAddr::new(self.address, self.last_port);
        let legs = self.legs(now, socket);
        let mut session = Session::new(now, socket, legs, self.random.fork());
        if let Some(mut before) = self.sessions.remove(&call) {
            session.succeeds(now, &before);
            session.tally.restarts += 1;
            before.ends(now);
            self.ending.push(before);
        }
        if let Some(remote) = self.described.get(&call) {
            session.hears(now, remote.clone(), &self.conduct);
        }
        self.sessions.insert(call, session);
        self.look(now);
    }

    /// The way of a call is sought anew; its other side is owed an offer.
    pub fn restart(&mut self, now: u64, call: CallKey) {
        self.owed.insert(call);
        self.gather(now, call);
    }

    /// Whether the other side of a call must be told of a new way.
    pub fn owes_offer(&self, call: CallKey) -> bool {
        let is_gathered = self
            .sessions
            .get(&call)
            .is_some_and(|session| !session.is_gathering());
        is_gathered && self.owed.contains(&call)
    }

    /// It was told.
    pub fn offer_is_answered(&mut self, call: CallKey) {
        self.owed.remove(&call);
    }

    /// Whether a call has media, gathered or not.
    pub fn has(&self, call: CallKey) -> bool {
        self.sessions.contains_key(&call)
    }

    /// The lines of a call's session description: its ufrag and its candidates.
    pub fn describes(&self, call: CallKey) -> Option<(String, String)> {
        let session = self.sessions.get(&call)?;
        Some(session.describes(&self.conduct))
    }

    /// The other side has described itself.
    pub fn hears(&mut self, now: u64, call: CallKey, sdp: &[u8]) {
        let remote = Described::read(sdp);
        self.described.insert(call, remote.clone());
        if let Some(session) = self.sessions.get_mut(&call) {
            session.hears(now, remote, &self.conduct);
        }
    }

    /// Offer and answer are there.
    pub fn starts(&mut self, now: u64, call: CallKey) {
        if let Some(session) = self.sessions.get_mut(&call) {
            session.starts(now, &self.conduct);
        }
    }

    /// A call is over.
    pub fn ends(&mut self, now: u64, call: CallKey) {
        if self.conduct.clings {
            return;
        }
        self.described.remove(&call);
        self.owed.remove(&call);
        if let Some(mut session) = self.sessions.remove(&call) {
            self.tallies.insert(call, session.tally.clone());
            session.ends(now);
            self.ending.push(session);
        }
    }

    /// What was counted for a call so far.
    pub fn tally(&self, call: CallKey) -> Tally {
        let running = self.sessions.get(&call).map(|session| &session.tally);
        running
            .or_else(|| self.tallies.get(&call))
            .cloned()
            .unwrap_or_default()
    }

    /// A datagram came to an address of the page's host.
    pub fn datagram(&mut self, now: u64, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let conduct = self.conduct;
        if let Some(session) = self.all().find(|session| session.socket == to) {
            session.datagram(now, from, payload, &conduct);
        }
        self.look(now);
    }

    /// A message came on a stream.
    pub fn frame(&mut self, now: u64, stream: u64, payload: &[u8]) {
        let conduct = self.conduct;
        if let Some((session, leg)) = self.of_stream(stream) {
            session.message(now, leg, payload, &conduct);
        }
        self.look(now);
    }

    /// A stream is gone, or could not be opened.
    pub fn stream_is_gone(&mut self, now: u64, stream: u64) {
        if let Some((session, leg)) = self.of_stream(stream) {
            session.legs[leg].client.gives_up();
        }
        self.look(now);
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: u64) {
        let conduct = self.conduct;
        for session in self.all() {
            session.timeout(now, &conduct);
        }
        self.look(now);
    }

    /// When it wants to be woken.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.sessions
            .values()
            .chain(&self.ending)
            .filter_map(|session| session.poll_timeout(&self.conduct))
            .min()
    }

    /// The next thing to do.
    pub fn poll_act(&mut self) -> Option<Act> {
        if let Some(act) = self.acts.pop_front() {
            return Some(act);
        }
        self.all().find_map(Session::poll_act)
    }

    /// The next thing that the page must know.
    pub fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    fn legs(&mut self, now: u64, socket: SocketAddr) -> Vec<Leg> {
        let Some(servers) = self.servers.clone() else {
            return Vec::new();
        };
        let mut legs = Vec::new();
        let mut client = |is_stream| {
            let random = self.random.fork();
            TurnClient::new(&servers.username, &servers.password, is_stream, random)
        };
        if let Some(to) = servers.udp {
            legs.push(Leg::new(now, Link::Datagram(to), client(false)));
        }
        if let Some(to) = servers.tcp {
            let client = client(true);
            self.last_stream += 1;
            let stream = self.last_stream;
            // The port of a stream is not that of the socket beside it.
            let from = SocketAddr::new(socket.ip(), socket.port() + 1);
            self.acts.push_back(Act::Dial { stream, from, to });
            legs.push(Leg::new(now, Link::Stream(stream), client));
        }
        legs
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Session> {
        self.sessions.values_mut().chain(&mut self.ending)
    }

    fn of_stream(&mut self, stream: u64) -> Option<(&mut Session, usize)> {
        self.all().find_map(|session| {
            let is_it = |leg: &Leg| leg.link == Link::Stream(stream);
            let leg = session.legs.iter().position(is_it)?;
            Some((session, leg))
        })
    }

    /// Tells the page what is new, and lets go of what is over.
    fn look(&mut self, now: u64) {
        for (call, session) in &mut self.sessions {
            if session.takes_gathered(now) {
                self.news.push_back(News::Gathered(*call));
            }
            if session.takes_broken(now) {
                self.news.push_back(News::Broken(*call));
            }
        }
        let over = |session: &mut Session| session.is_over();
        for mut session in self.ending.extract_if(.., over) {
            while let Some(act) = session.poll_act() {
                self.acts.push_back(act);
            }
            self.acts.extend(hang_all(&session));
        }
    }
}

fn hang_all(session: &Session) -> Vec<Act> {
    let stream = |leg: &Leg| match leg.link {
        Link::Stream(stream) => Some(Act::Hang { stream }),
        Link::Datagram(_) => None,
    };
    session.legs.iter().filter_map(stream).collect()
}
