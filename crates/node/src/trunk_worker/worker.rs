//! The task's work: waits for the socket, the shards and the time, and does what the lines want.
//!
//! Nobody is read for longer than a turn, however much there is: a flood at the socket leaves the timers and the shards what is
//! theirs.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use model::{Instant, Now};
use switch::trunk::{Line, LineEffect, LineInput};

use super::Lines;
use super::door::Door;
use super::sources::{Sources, canonical};
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
    pub(super) sources: Sources,
    /// Where the peers of each trunk reach us.
    pub(super) own: Vec<SocketAddr>,
}

impl Worker {
    /// Works until the lines have stopped, and then waits for ever.
    pub(crate) async fn run(&self, signalling: &Signalling) {
        let mut run = Run {
            lines: Vec::new(),
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
            is_stopping: false,
            worker: self,
            signalling,
        };
        run.lines = (0..self.own.len()).map(|at| run.line(at)).collect();
        for at in 0..run.lines.len() {
            run.drain(at).await;
        }
        while !run.is_done() {
            run.wait().await;
            run.take_mail().await;
            run.keep_time().await;
            run.read().await;
        }
        self.lines.is_done.send_replace(true);
        std::future::pending().await
    }
}

/// See the module.
struct Run<'w> {
    lines: Vec<Line>,
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
    async fn wait(&self) {
        let next = self.next().map(|next| self.signalling.clock.deadline(next));
        let time = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What is wrong with the socket is met when it is read.
            _ = self.worker.door.socket.readable() => {}
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
        // Borrowed by what the line is told.
        let mut buffer = std::mem::take(&mut self.buffer);
        let (mut reads, mut faults) = (0, 0);
        while reads < DATAGRAMS && faults < READ_ATTEMPTS {
            match self.worker.door.socket.try_recv_from(&mut buffer) {
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
        match self.worker.sources.line(from) {
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
        }
        self.drain(at).await;
    }

    async fn drain(&mut self, at: usize) {
        while let Some(effect) = self.lines[at].poll_effect() {
            match effect {
                LineEffect::Datagram { to, bytes } => self.send(to, &bytes).await,
                LineEffect::Deliver { message } => self.deliver(at, &message),
                LineEffect::State(state) => self.worker.lines.set_state(at, state),
                LineEffect::Count(counter) => self.signalling.counters.add(counter),
            }
        }
    }

    async fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let door = &self.worker.door;
        let to = match (door.local.ip(), to.ip().to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(ip)) => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), to.port())
            }
            (IpAddr::V6(_) | IpAddr::V4(_), ip) => SocketAddr::new(ip, to.port()),
        };
        if door.socket.send_to(bytes, to).await.is_err() {
            self.count(ShellCounter::TrunkUnsent);
        }
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
