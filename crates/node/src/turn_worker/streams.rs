//! The TCP and TLS connections of one worker: who may come, who must go, and whose turn it is.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry};
use rustls::ServerConfig;
use turn::{Client, Link};

use super::limits::{READ, StreamBounds};
use super::stream::{Flow, Stream, Verdict};
use super::tls::Tls;
use super::token::Token;

/// See the module.
pub(super) struct Streams {
    bounds: StreamBounds,
    tls: Option<Arc<ServerConfig>>,
    open: HashMap<u64, Stream>,
    sources: HashMap<IpAddr, usize>,
    /// The number of the newest one; none is used again.
    last: u64,
    /// When each is looked at next.
    checks: BTreeSet<(Duration, u64)>,
    ready: VecDeque<u64>,
    dirty: Vec<u64>,
    /// Ended, or to be closed; the server has to be told.
    lost: Vec<Client>,
    sealed: Box<[u8]>,
}

/// Why a connection was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are as many as may be.
    Full,
    /// The system failed.
    Fault,
}

impl Streams {
    pub(super) fn new(bounds: StreamBounds, tls: Option<Arc<ServerConfig>>) -> Self {
        Self {
            bounds,
            tls,
            open: HashMap::new(),
            sources: HashMap::new(),
            last: 0,
            checks: BTreeSet::new(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            lost: Vec::new(),
            sealed: vec![0; READ].into_boxed_slice(),
        }
    }

    /// Takes a connection that has just been accepted.
    pub(super) fn add(
        &mut self,
        mut socket: TcpStream,
        address: SocketAddr,
        is_tls: bool,
        registry: &Registry,
        now: Duration,
    ) -> Result<(), Refused> {
        let of_source = self.sources.get(&source(address)).copied().unwrap_or(0);
        if self.open.len() >= self.bounds.connections
            || of_source >= self.bounds.connections_per_source
        {
            return Err(Refused::Full);
        }
        let tls = match &self.tls {
            Some(config) if is_tls => Some(Box::new(Tls::new(config).map_err(|_| Refused::Fault)?)),
            Some(_) | None => None,
        };
        let number = self.last + 1;
        self.prepare(&mut socket, number, registry)
            .map_err(|_| Refused::Fault)?;
        self.last = number;
        *self.sources.entry(source(address)).or_default() += 1;
        let client = Client {
            link: Link::Stream(number),
            address,
        };
        let patience = if tls.is_some() {
            self.bounds.handshake
        } else {
            self.bounds.idle
        };
        self.checks.insert((now + patience, number));
        self.open
            .insert(number, Stream::new(client, socket, tls, now));
        Ok(())
    }

    fn prepare(&self, socket: &mut TcpStream, number: u64, registry: &Registry) -> io::Result<()> {
        // A packet must not wait for the next one.
        socket.set_nodelay(true)?;
        let token = Token::Stream(number).into();
        registry.register(socket, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Notes an event.
    pub(super) fn note(&mut self, number: u64, event: &mio::event::Event) {
        let Some(stream) = self.open.get_mut(&number) else {
            return;
        };
        stream.is_ending |= event.is_read_closed() || event.is_error();
        if event.is_writable() && !stream.is_dirty {
            stream.is_dirty = true;
            self.dirty.push(number);
        }
        if (event.is_readable() || stream.is_ending) && !stream.is_ready {
            stream.is_ready = true;
            self.ready.push_back(number);
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Reads the next stream that has something. Says whose, how many bytes there are, and whether that was the end.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> Option<(Client, usize, Flow)> {
        loop {
            let number = self.ready.pop_front()?;
            let Some(stream) = self.open.get_mut(&number) else {
                continue;
            };
            let (len, flow) = stream.read(bytes, &mut self.sealed);
            stream.is_ready = flow == Flow::More;
            if stream.is_ready {
                self.ready.push_back(number);
            }
            let client = stream.client;
            self.soil(number);
            return Some((client, len, flow));
        }
    }

    pub(super) fn is_open(&self, number: u64) -> bool {
        self.open.contains_key(&number)
    }

    /// Keeps the beginning of a message for the next read.
    pub(super) fn keep(&mut self, number: u64, part: &[u8]) {
        if let Some(stream) = self.open.get_mut(&number) {
            stream.keep(part);
        }
    }

    /// Takes a packet for a client; false if its reader is too slow.
    pub(super) fn push_packet(&mut self, number: u64, parts: [&[u8]; 3]) -> bool {
        let Some(stream) = self.open.get_mut(&number) else {
            return true;
        };
        let is_taken = stream.push_packet(parts, &self.bounds);
        self.soil(number);
        is_taken
    }

    /// Takes an answer for a client; one who reads none of them is lost.
    pub(super) fn push_answer(&mut self, number: u64, answer: &[u8]) {
        let Some(stream) = self.open.get_mut(&number) else {
            return;
        };
        if stream.push_answer(answer, &self.bounds) {
            self.soil(number);
        } else {
            self.close(number);
        }
    }

    /// Writes what was pushed since the last time.
    pub(super) fn flush(&mut self, now: Duration) {
        while let Some(number) = self.dirty.pop() {
            let Some(stream) = self.open.get_mut(&number) else {
                continue;
            };
            stream.is_dirty = false;
            if !stream.write(now) {
                self.remove(number);
            }
        }
    }

    /// Closes one, with a last word. The server is told by [`Self::pop_lost`].
    pub(super) fn close(&mut self, number: u64) {
        if let Some(stream) = self.open.get_mut(&number) {
            stream.end();
            self.remove(number);
        }
    }

    /// The next of those that are gone.
    pub(super) fn pop_lost(&mut self) -> Option<Client> {
        self.lost.pop()
    }

    /// When somebody has to be looked at.
    pub(super) fn next_check(&self) -> Option<Duration> {
        self.checks.first().map(|(at, _)| *at)
    }

    /// The next one whose time has come.
    pub(super) fn pop_due(&mut self, now: Duration) -> Option<Client> {
        while let Some((at, number)) = self.checks.first().copied()
            && at <= now
        {
            self.checks.pop_first();
            if let Some(stream) = self.open.get(&number) {
                return Some(stream.client);
            }
        }
        None
    }

    /// Judges one whose time had come; false if it had to go.
    pub(super) fn judge(&mut self, number: u64, now: Duration, has_allocation: bool) -> bool {
        let Some(stream) = self.open.get_mut(&number) else {
            return true;
        };
        match stream.judge(now, has_allocation, &self.bounds) {
            Verdict::Keep(until) => {
                self.checks.insert((until, number));
                true
            }
            Verdict::Close => {
                self.close(number);
                false
            }
        }
    }

    fn soil(&mut self, number: u64) {
        if let Some(stream) = self.open.get_mut(&number)
            && !stream.is_dirty
        {
            stream.is_dirty = true;
            self.dirty.push(number);
        }
    }

    /// Closing a socket also ends its events; its check finds nobody.
    fn remove(&mut self, number: u64) {
        let Some(stream) = self.open.remove(&number) else {
            return;
        };
        let source = source(stream.client.address);
        if let Some(count) = self.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
        self.lost.push(stream.client);
    }
}

/// Who counts as one: an IPv4 address, an IPv6 network of 64 bits.
fn source(address: SocketAddr) -> IpAddr {
    match address.ip() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}
