//! The task's work: waits for the sockets, the shards and the time, and does what the lines want.
//!
//! Nobody is read for longer than a turn, however much there is: a flood at the socket leaves the timers and the shards what is
//! theirs.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use model::{Instant, Now, PeerName, Trunk, TrunkTransport, limits};
use switch::trunk::{
    Answer, Line, LineEffect, LineInput, LineState, NameFault, without_others, without_own,
};
use tokio::sync::{mpsc, watch};

use super::Lines;
use super::dns::{Families, Question};
use super::door::{self, Door};
use super::secure::Secure;
use super::sources::{Sources, canonical};
use super::streams::{Event, Sent, Streams, Way};
use super::tcp;
use super::trouble::{self, Word};
use crate::shell_counter::ShellCounter;
use crate::signalling::{Signalling, random};

/// No datagram is longer.
const DATAGRAM: usize = 65_536;
/// Datagrams that are read before the shards and the timers have their turn.
const DATAGRAMS: usize = 64;
/// Attempts to read a socket that tells errors instead: each is the fate of an earlier datagram, and told once.
const READ_ATTEMPTS: usize = 8;

/// What outlives a bug.
pub(crate) struct Worker {
    pub(super) door: Door,
    pub(super) lines: Arc<Lines>,
    /// Who is admitted.
    pub(super) sources: watch::Sender<Sources>,
    /// How the connections of each trunk are secured.
    pub(super) secure: Vec<Option<Arc<Secure>>>,
    /// Where the peers of each trunk reach us.
    pub(super) own: Vec<SocketAddr>,
    /// What peers call us, if the operator says so, and what NATs make of addresses of ours.
    pub(super) address: Option<IpAddr>,
    pub(super) nat: Vec<(IpAddr, IpAddr)>,
    /// Servers of DNS; none: those of the system.
    pub(super) dns: Vec<SocketAddr>,
}

impl Worker {
    /// Works until the lines have stopped, and then waits for ever.
    pub(crate) async fn run(&self, signalling: &Signalling) {
        let (tell, events) = mpsc::channel(limits::TRUNK_STREAM_MESSAGES);
        let acceptor = self.door.acceptor.clone();
        let mut run = Run {
            lines: Vec::new(),
            told: vec![None; self.own.len()],
            streams: Streams::new(tell.clone(), acceptor),
            events,
            event: None,
            lost: VecDeque::new(),
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
            is_stopping: false,
            worker: self,
            signalling,
        };
        run.accept(&tell);
        run.lines = (0..self.own.len()).map(|at| run.line(at)).collect();
        for at in 0..run.lines.len() {
            run.drain(at).await;
        }
        while !run.is_done() {
            run.wait().await;
            run.take_mail().await;
            run.keep_time().await;
            run.read().await;
            run.take_events().await;
            run.tell_lost().await;
        }
        self.lines.is_done.send_replace(true);
        std::future::pending().await
    }
}

/// See the module.
struct Run<'w> {
    lines: Vec<Line>,
    /// What was logged of each line last.
    told: Vec<Option<LineState>>,
    streams: Streams,
    events: mpsc::Receiver<Event>,
    /// One that has been taken and not been looked at.
    event: Option<Event>,
    /// Connections that lines have not been told of yet: whose, to whom, and whether they were open.
    lost: VecDeque<(usize, SocketAddr, bool)>,
    buffer: Box<[u8]>,
    is_stopping: bool,
    worker: &'w Worker,
    signalling: &'w Signalling,
}

impl Run<'_> {
    fn line(&self, at: usize) -> Line {
        let (connection, trunk) = &self.worker.lines.trunks[at];
        let (own, now) = (self.worker.own[at], self.now());
        Line::new(*connection, Arc::clone(trunk), own, random(), now)
    }

    fn now(&self) -> Now {
        self.signalling.now()
    }

    /// When the first line wants to be told the time.
    fn next(&self) -> Option<Instant> {
        self.lines.iter().filter_map(Line::poll_timeout).min()
    }

    /// Everything is said, and no line waits for an answer.
    fn is_done(&self) -> bool {
        self.is_stopping
            && self.worker.lines.inbox.is_empty()
            && !self.lines.iter().any(Line::is_waiting)
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) {
        if !self.lost.is_empty() {
            return;
        }
        let next = self.next().map(|next| self.signalling.clock.deadline(next));
        let time = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        let socket = async {
            match &self.worker.door.udp {
                // What is wrong with the socket is met when it is read.
                Some(socket) => drop(socket.readable().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = socket => {}
            event = self.events.recv() => self.event = event,
            () = self.worker.lines.inbox.filled() => {}
            () = time => {}
        }
    }

    /// What the shards have said, and then that they will say no more.
    async fn take_mail(&mut self) {
        let mail = self.worker.lines.inbox.take();
        for (at, message) in &mail.messages {
            self.handle(*at, LineInput::Send { message }).await;
        }
        if mail.must_stop && !self.is_stopping {
            self.is_stopping = true;
            for at in 0..self.lines.len() {
                self.handle(at, LineInput::Stop).await;
            }
        }
    }

    async fn keep_time(&mut self) {
        for at in 0..self.lines.len() {
            let due = self.lines[at].poll_timeout();
            if due.is_some_and(|due| due <= self.now().mono) {
                self.handle(at, LineInput::Timeout).await;
            }
        }
    }

    /// Reads for a turn.
    async fn read(&mut self) {
        let Some(socket) = &self.worker.door.udp else {
            return;
        };
        // Borrowed by what the line is told.
        let mut buffer = std::mem::take(&mut self.buffer);
        let (mut reads, mut faults) = (0, 0);
        while reads < DATAGRAMS && faults < READ_ATTEMPTS {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => {
                    reads += 1;
                    self.datagram(canonical(from), &buffer[..length]).await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => faults += 1,
            }
        }
        self.buffer = buffer;
    }

    async fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        let line = self.worker.sources.borrow().line(TrunkTransport::Udp, from);
        match line {
            Some(at) => self.handle(at, LineInput::Datagram { from, bytes }).await,
            None => self.count(ShellCounter::TrunkStranger),
        }
    }

    /// One input, and every effect. A bug costs what this line knows.
    async fn handle(&mut self, at: usize, input: LineInput<'_>) {
        let now = self.now();
        let line = &mut self.lines[at];
        if catch_unwind(AssertUnwindSafe(|| line.handle(now, input))).is_err() {
            tracing::error!("the line of a trunk ended by a bug and is begun anew");
            self.lines[at] = self.line(at);
            self.lead(at, Arc::clone(self.lines[at].trunk()));
        }
        self.drain(at).await;
    }

    async fn drain(&mut self, at: usize) {
        while let Some(effect) = self.lines[at].poll_effect() {
            match effect {
                LineEffect::Datagram { to, bytes } => self.send(to, &bytes).await,
                LineEffect::Stream { by, to, bytes } => self.send_by(at, by, to, bytes),
                LineEffect::Deliver { message } => self.deliver(at, &message),
                LineEffect::Resolve { place, name } => self.resolve(at, place, name),
                LineEffect::Trunk(trunk) => self.lead(at, trunk),
                LineEffect::State(state) => self.set_state(at, state),
                LineEffect::Count(counter) => self.signalling.counters.add(counter),
            }
        }
    }

    async fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let door = &self.worker.door;
        let (Some(socket), Some(local)) = (&door.udp, door.local) else {
            return;
        };
        let to = match (local.ip(), to.ip().to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(ip)) => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), to.port())
            }
            (IpAddr::V6(_) | IpAddr::V4(_), ip) => SocketAddr::new(ip, to.port()),
        };
        if socket.send_to(bytes, to).await.is_err() {
            self.count(ShellCounter::TrunkUnsent);
        }
    }

    fn set_state(&mut self, at: usize, state: LineState) {
        let trunk = Arc::clone(self.lines[at].trunk());
        let before = self.told[at].replace(state);
        if !self.is_stopping {
            trouble::changes(&trunk, before, state)
                .iter()
                .for_each(Word::log);
        }
        self.worker.lines.set_state(at, state);
    }

    /// To the shard of the trunk's account.
    fn deliver(&self, at: usize, message: &[u8]) {
        let (connection, trunk) = &self.worker.lines.trunks[at];
        match sip::parse(message) {
            // A bug in the shard was reported where it happened, and harms no line.
            Ok(message) => drop(catch_unwind(AssertUnwindSafe(|| {
                self.signalling.trunk(*connection, trunk.account, &message);
            }))),
            Err(_) => self.count(ShellCounter::TrunkUnread),
        }
    }

    fn count(&self, counter: ShellCounter) {
        self.signalling.counters.add_shell(counter);
    }
}

/// What is done with names.
impl Run<'_> {
    fn resolve(&mut self, at: usize, place: usize, name: PeerName) {
        let transport = self.lines[at].trunk().transport;
        let local = self.worker.door.local(transport);
        let question = Question {
            name,
            transport,
            families: Families::of(local.unwrap_or(self.worker.own[at]).ip()),
        };
        self.streams
            .resolve(at, place, self.worker.dns.clone(), question);
    }

    async fn on_resolved(&mut self, at: usize, place: usize, answer: Result<Answer, NameFault>) {
        let trunks = self.worker.lines.led();
        let door = self.worker.door.local(self.lines[at].trunk().transport);
        let answer = without_own(answer, |peer| {
            let (told, nat) = (self.worker.address, &self.worker.nat);
            door.is_some_and(|local| door::is_own(local, told, *peer, nat))
        });
        let answer = without_others(answer, at, trunks.iter().map(Arc::as_ref));
        let targets = answer.as_ref().map_or(&[][..], |answer| &answer.targets);
        let found = targets.iter().filter(|target| !target.addresses.is_empty());
        let first = found.min_by_key(|target| target.priority);
        let first = first.and_then(|first| first.addresses.first().copied());
        let own = first.zip(door).and_then(|(peer, local)| {
            door::own_for(local, self.worker.address, peer, &self.worker.nat)
        });
        let answer = &answer;
        self.handle(at, LineInput::Resolved { place, answer, own })
            .await;
    }

    /// The peers of a trunk are elsewhere: it is admitted from there before anything is sent there.
    fn lead(&self, at: usize, trunk: Arc<Trunk>) {
        let lines = &self.worker.lines;
        lines.lead(at, Arc::clone(&trunk));
        let sources = self.worker.sources.borrow().led(&lines.led());
        self.worker.sources.send_replace(sources);
        let (connection, _) = lines.trunks[at];
        self.signalling.lead(connection, trunk);
    }
}

/// What is done with connections.
impl Run<'_> {
    /// From now on peers can connect.
    fn accept(&mut self, tell: &mpsc::Sender<Event>) {
        let door = &self.worker.door;
        for (listener, transport) in [
            (&door.tcp, TrunkTransport::Tcp),
            (&door.tls, TrunkTransport::Tls),
        ] {
            if let Some(listener) = listener {
                let sources = self.worker.sources.subscribe();
                let counters = Arc::clone(&self.signalling.counters);
                let (listener, tell) = (Arc::clone(listener), tell.clone());
                self.streams
                    .spawn(tcp::accept(listener, transport, sources, tell, counters));
            }
        }
    }

    fn send_by(&mut self, at: usize, by: Option<SocketAddr>, to: SocketAddr, bytes: Vec<u8>) {
        let (_, trunk) = &self.worker.lines.trunks[at];
        let local = self.worker.door.local(trunk.transport);
        let way = Way {
            to,
            local: local.unwrap_or(self.worker.own[at]),
            secure: self.worker.secure[at].clone(),
        };
        match self.streams.send(at, by, &way, bytes) {
            Sent::Yes => {}
            Sent::No => self.lost.push_back((at, to, false)),
        }
    }

    /// Looks at connections for a turn.
    async fn take_events(&mut self) {
        for _ in 0..DATAGRAMS {
            let event = self.event.take().or_else(|| self.events.try_recv().ok());
            match event {
                Some(event) => self.on_event(event).await,
                None => return,
            }
        }
    }

    async fn on_event(&mut self, event: Event) {
        match event {
            Event::Came {
                line,
                from,
                transport,
                tcp,
            } => {
                if !self.streams.came(line, from, transport, tcp) {
                    self.count(ShellCounter::TrunkConnectionFull);
                }
            }
            Event::Message { line, from, bytes } => {
                let bytes = &bytes;
                self.handle(line, LineInput::Datagram { from, bytes }).await;
            }
            Event::Resolved {
                line,
                place,
                answer,
            } => self.on_resolved(line, place, answer).await,
            Event::Open { line, to } => {
                let (_, trunk) = &self.worker.lines.trunks[line];
                let word = self.worker.lines.troubles()[line].ends(trunk, to);
                word.iter().for_each(Word::log);
            }
            Event::Lost {
                line,
                to,
                outbox,
                open_since,
                why,
                is_malformed,
            } => {
                self.count_malformed(is_malformed);
                self.streams.lost(line, to, &outbox, open_since);
                self.on_lost(line, to, open_since.is_some(), &why);
            }
            Event::Left {
                line,
                from,
                outbox,
                is_malformed,
            } => {
                self.count_malformed(is_malformed);
                self.streams.left(line, from, &outbox);
            }
        }
    }

    fn on_lost(&mut self, line: usize, to: SocketAddr, was_open: bool, why: &str) {
        let (_, trunk) = &self.worker.lines.trunks[line];
        self.lost.push_back((line, to, was_open));
        if was_open {
            tracing::debug!(%to, why, "a connection to a trunk's peer has ended");
        } else {
            let word = self.worker.lines.troubles()[line].fails(trunk, to, why);
            word.iter().for_each(Word::log);
        }
    }

    fn count_malformed(&self, is_malformed: bool) {
        if is_malformed {
            self.count(ShellCounter::TrunkConnectionMalformed);
        }
    }

    /// Tells lines what was lost for a turn: what they send then may be lost at once.
    async fn tell_lost(&mut self) {
        for _ in 0..DATAGRAMS {
            let Some((at, to, was_open)) = self.lost.pop_front() else {
                return;
            };
            self.handle(at, LineInput::Lost { to, was_open }).await;
        }
    }
}
