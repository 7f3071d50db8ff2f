//! One worker: waits for its sockets, reads them by turns, and passes on what comes.
//!
//! Nobody is read for longer than a turn, however much there is: a flood at one door leaves the relays, the streams
//! and the timers what is theirs. What is left over is remembered, because the system tells of each arrival once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Events, Poll};
use rustls::ServerConfig;
use turn::{Client, Holder, Input, Link, Now, RelayId, Server};

use super::authority::WorkerAuthority;
use super::batch::Batch;
use super::core::Core;
use super::counter::WorkerCounter;
use super::frame::{self, Frame, LONGEST};
use super::limits::{
    ACCEPT_PAUSE, ACCEPTS_A_TURN, DOOR_DATAGRAMS, READ, RELAY_BATCHES, STREAM_TIME, STREAMS_A_TURN,
    StreamBounds,
};
use super::port::Port;
use super::receive::{Reading, Slots};
use super::relay::Relays;
use super::sibling::{Bundle, Inbox, Mail};
use super::stream::Flow;
use super::streams::{Refused, Streams};
use super::token::Token;
use crate::clock::Clock;
use crate::telemetry::Counters;

/// Events that are taken at once; the others come with the next turn.
const EVENTS: usize = 1_024;

/// What outlives a worker that ends by a bug: were a shared socket closed, the kernel would deal out its clients, and
/// those of others, anew.
pub(super) struct Post {
    pub(super) index: usize,
    pub(super) poll: Poll,
    pub(super) doors: Vec<Port>,
    pub(super) listeners: Vec<Listener>,
    pub(super) inboxes: Arc<[Inbox]>,
    pub(super) clock: Clock,
    pub(super) counters: Arc<Counters>,
    pub(super) allocations: Arc<AtomicUsize>,
    pub(super) bounds: StreamBounds,
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// A listening TCP socket.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) is_tls: bool,
    is_ready: bool,
    /// Not before this instant, because the system had no file left.
    paused_until: Option<Duration>,
}

impl Listener {
    pub(super) fn new(socket: TcpListener, is_tls: bool) -> Self {
        Self {
            socket,
            is_tls,
            is_ready: true,
            paused_until: None,
        }
    }
}

/// See the module.
pub(super) struct Worker<'w> {
    core: Core<'w>,
    clock: Clock,
    inbox: usize,
    listeners: &'w mut [Listener],
    door_slots: Slots<u16>,
    relay_slots: Slots<RelayId>,
    /// Which listening UDP sockets may have something to read.
    door_ready: Vec<bool>,
    stream_bytes: Box<[u8]>,
    batch: Batch,
    mail: Mail,
    must_stop: bool,
}

/// Works until it is told to stop.
pub(super) fn work(
    post: &mut Post,
    server: Server,
    authority: &mut dyn WorkerAuthority,
) -> io::Result<()> {
    let registry = post.poll.registry().try_clone()?;
    let mut worker = Worker {
        door_ready: vec![true; post.doors.len()],
        core: Core {
            server,
            index: post.index as u16,
            authority,
            relays: Relays::default(),
            streams: Streams::new(post.bounds, post.tls.clone()),
            registry: &registry,
            counters: Arc::clone(&post.counters),
            outbound: post.inboxes.iter().map(|_| Bundle::default()).collect(),
            inboxes: Arc::clone(&post.inboxes),
            opened: Default::default(),
            allocations: Arc::clone(&post.allocations),
            doors: &mut post.doors,
        },
        clock: post.clock,
        inbox: post.index,
        listeners: &mut post.listeners,
        door_slots: Slots::new(),
        relay_slots: Slots::new(),
        stream_bytes: vec![0; LONGEST + 3 * READ].into_boxed_slice(),
        batch: Batch::new(),
        mail: Mail::default(),
        must_stop: false,
    };
    let mut events = Events::with_capacity(EVENTS);
    while !worker.must_stop {
        match post.poll.poll(&mut events, worker.patience()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        worker.turn(&events);
    }
    worker.finish();
    Ok(())
}

impl Worker<'_> {
    fn turn(&mut self, events: &Events) {
        for event in events {
            self.note(event);
        }
        self.take_mail();
        self.keep_time();
        self.read_doors();
        self.read_relays();
        self.read_streams();
        self.accept();
    }

    fn now(&self) -> Now {
        let now = self.clock.now();
        Now {
            mono: Duration::from_micros(now.mono.as_micros()),
            unix_s: now.unix.as_secs(),
        }
    }

    /// How long to wait for events; `None` as long as it takes.
    fn patience(&self) -> Option<Duration> {
        let is_busy = self.core.relays.has_ready()
            || self.core.streams.has_ready()
            || self.door_ready.contains(&true)
            || self
                .listeners
                .iter()
                .any(|listener| listener.is_ready && listener.paused_until.is_none());
        if is_busy {
            return Some(Duration::ZERO);
        }
        let pauses = self.listeners.iter().filter(|listener| listener.is_ready);
        let next = pauses
            .filter_map(|listener| listener.paused_until)
            .chain(self.core.server.poll_timeout())
            .chain(self.core.streams.next_check())
            .min()?;
        Some(next.saturating_sub(self.now().mono))
    }

    fn note(&mut self, event: &mio::event::Event) {
        match Token::from(event.token()) {
            Token::Mail => {}
            Token::Door(index) => {
                if let Some(is_ready) = self.door_ready.get_mut(usize::from(index)) {
                    *is_ready = true;
                }
            }
            Token::Listener(index) => {
                if let Some(listener) = self.listeners.get_mut(usize::from(index)) {
                    listener.is_ready = true;
                }
            }
            Token::Relay(relay) => self.core.relays.note(relay),
            Token::Stream(number) => self.core.streams.note(number, event),
        }
    }

    /// Reads what others have for this worker. Looked at each turn, because a mutex that nobody holds costs nothing
    /// beside a system call.
    fn take_mail(&mut self) {
        self.core.inboxes[self.inbox].take(&mut self.mail);
        self.must_stop |= self.mail.must_stop;
        let mail = &self.mail;
        if mail.rechecks.is_empty() && mail.bundle.is_empty() && mail.notes.is_empty() {
            return;
        }
        let now = self.now();
        for (from, note) in self.mail.notes.drain(..) {
            // Nothing is forwarded because of it.
            let _ = self.core.handle(now, Input::Told { from, note });
        }
        for holder in std::mem::take(&mut self.mail.rechecks) {
            let holder = Holder(holder);
            // Nothing is forwarded because of it.
            let _ = self.core.handle(now, Input::Recheck { holder });
        }
        let mut forwards = self.batch.begin();
        for (from, to, data) in self.mail.bundle.packets() {
            let input = Input::FromSibling { from, to, data };
            forwards.extend(self.core.handle(now, input));
        }
        self.batch.finish(&mut self.core, now.mono, forwards);
        self.mail.bundle.clear();
    }

    fn keep_time(&mut self) {
        let now = self.now();
        if self
            .core
            .server
            .poll_timeout()
            .is_some_and(|at| at <= now.mono)
        {
            // Nothing is forwarded because of it.
            let _ = self.core.handle(now, Input::Timeout);
        }
        while let Some(client) = self.core.streams.pop_due(now.mono) {
            let Link::Stream(number) = client.link else {
                continue;
            };
            let has_allocation = self.core.server.holds(client);
            if !self.core.streams.judge(number, now.mono, has_allocation) {
                self.core.count(WorkerCounter::StreamIdle, 1);
            }
        }
        self.core.bury_streams(now);
    }

    fn read_doors(&mut self) {
        for index in 0..self.door_ready.len() {
            let mut read = 0;
            while self.door_ready[index] && read < DOOR_DATAGRAMS {
                read += self.read_door(index);
            }
        }
    }

    /// Reads a batch. Says how many datagrams it was.
    fn read_door(&mut self, index: usize) -> usize {
        let door = &self.core.doors[index];
        let reading = self.door_slots.fill(index as u16, door.fd(), door.is_v4);
        self.door_ready[index] = reading == Reading::More;
        if self.door_slots.is_empty() {
            return 0;
        }
        let now = self.now();
        let mut forwards = self.batch.begin();
        for (door, address, message) in self.door_slots.datagrams() {
            let client = Client {
                link: Link::Datagram(door),
                address,
            };
            let input = Input::FromClient { client, message };
            forwards.extend(self.core.handle(now, input));
        }
        self.batch.finish(&mut self.core, now.mono, forwards);
        self.door_slots.clear()
    }

    fn read_relays(&mut self) {
        for _ in 0..RELAY_BATCHES {
            while !self.relay_slots.is_full()
                && let Some(relay) = self.core.relays.pop_ready()
            {
                let Some(port) = self.core.relays.port(relay) else {
                    continue;
                };
                let (fd, is_v4) = (port.fd(), port.is_v4);
                if self.relay_slots.add(relay, fd, is_v4) == Reading::More {
                    self.core.relays.again(relay);
                }
            }
            if self.relay_slots.is_empty() {
                return;
            }
            let now = self.now();
            let mut forwards = self.batch.begin();
            for (relay, peer, data) in self.relay_slots.datagrams() {
                let input = Input::FromPeer { relay, peer, data };
                forwards.extend(self.core.handle(now, input));
            }
            self.batch.finish(&mut self.core, now.mono, forwards);
            self.relay_slots.clear();
        }
    }

    fn read_streams(&mut self) {
        let begin = self.now();
        for _ in 0..STREAMS_A_TURN {
            let now = self.now();
            if now.mono >= begin.mono + STREAM_TIME || !self.read_stream(now) {
                break;
            }
        }
        // Also what became writable.
        self.core.streams.flush(begin.mono);
        self.core.bury_streams(begin);
    }

    /// Reads one stream; false if none has anything.
    fn read_stream(&mut self, now: Now) -> bool {
        let Some((client, len, flow)) = self.core.streams.read(&mut self.stream_bytes) else {
            return false;
        };
        let Link::Stream(number) = client.link else {
            return true;
        };
        let mut forwards = self.batch.begin();
        let mut rest = &self.stream_bytes[..len];
        let mut is_garbage = flow == Flow::Garbage;
        while self.core.streams.is_open(number) {
            match frame::next(rest) {
                Frame::Message { message, whole } => {
                    let (now_bytes, later) = rest.split_at(whole);
                    rest = later;
                    let message = &now_bytes[..message];
                    let input = Input::FromClient { client, message };
                    forwards.extend(self.core.handle(now, input));
                }
                Frame::Part => break,
                Frame::Garbage => {
                    is_garbage = true;
                    break;
                }
            }
        }
        self.core.streams.keep(number, rest);
        self.batch.finish(&mut self.core, now.mono, forwards);
        if is_garbage {
            self.core.count(WorkerCounter::StreamGarbage, 1);
        }
        if is_garbage || flow == Flow::Ended {
            self.core.streams.close(number);
        }
        self.core.bury_streams(now);
        true
    }

    fn accept(&mut self) {
        for at in 0..self.listeners.len() {
            if self.listeners[at].is_ready {
                self.accept_at(at);
            }
        }
    }

    fn accept_at(&mut self, at: usize) {
        let now = self.now().mono;
        let listener = &mut self.listeners[at];
        if listener.paused_until.is_some_and(|until| now < until) {
            return;
        }
        listener.paused_until = None;
        for _ in 0..ACCEPTS_A_TURN {
            let (socket, address) = match listener.socket.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    listener.is_ready = false;
                    return;
                }
                Err(error) if is_shortage(&error) => {
                    listener.paused_until = Some(now + ACCEPT_PAUSE);
                    self.core.count(WorkerCounter::AcceptFault, 1);
                    return;
                }
                // A client that has gone already, or its network.
                Err(_) => continue,
            };
            let registry = self.core.registry;
            let added = self
                .core
                .streams
                .add(socket, address, listener.is_tls, registry, now);
            match added {
                Ok(()) => {}
                Err(Refused::Full) => self.core.count(WorkerCounter::StreamsFull, 1),
                Err(Refused::Fault) => self.core.count(WorkerCounter::AcceptFault, 1),
            }
        }
    }

    fn finish(&mut self) {
        let now = self.now();
        // Nothing is forwarded because of it.
        let _ = self.core.handle(now, Input::Report);
        self.core.streams.flush(now.mono);
    }
}

/// Whether the system has no room for a connection: the next moment it will have none either.
fn is_shortage(error: &io::Error) -> bool {
    use nix::errno::Errno;

    let shortages = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    let is = |errno: &Errno| error.raw_os_error() == Some(*errno as i32);
    shortages.iter().any(is)
}
