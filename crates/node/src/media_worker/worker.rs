//! The thread's work: waits for sockets and commands, reads by turns, and does what the worker wants.
//!
//! Nobody is read for longer than a turn, however much there is: a flood at the door of all browsers leaves the beat and the
//! commands what is theirs. What is left over is remembered, because the system tells of each arrival once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use media::rtp::RtpPort;
use media::{Effect, Input, Worker};
use mio::net::UdpSocket;
use mio::{Events, Poll};
use model::media::{LegId, MediaCommand, MediaEvent};
use model::{AccountId, Now};

use super::datagrams::{BATCH, FEW, Incoming, Outgoing};
use super::doors::Door;
use super::inbox::{Inbox, closed_by, opened_by};
use super::plan::Place;
use super::ports::Ports;
use super::recordings::Recordings;
use super::streams::Streams;
use super::token::Token;
use super::{Deliver, too_much};
use crate::clock::Clock;
use crate::shell_counter::ShellCounter;
use crate::signalling::random;
use crate::telemetry::Counters;

/// Events that are taken at once; the others come with the next turn.
const EVENTS: usize = 1_024;
/// Commands before the others have their turn: the dearest, an answer to a browser, takes some 0.1 ms, and the beat comes each 20 ms.
const COMMANDS: usize = 128;
/// Datagrams of one door before the others have their turn: those of 20 ms of as many legs.
const DOOR_DATAGRAMS: usize = 512;
/// Datagrams of one port of a leg before the others have their turn: a peer sends one each 20 ms.
const RTP_DATAGRAMS: usize = 16;
/// Ports of legs that are read before the others have their turn.
const RTP_PORTS: usize = 512;

/// What outlives a worker that ends by a bug.
pub(super) struct Post {
    pub(super) poll: Poll,
    pub(super) doors: Vec<Door>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) rtp: Place,
    pub(super) rtp_ports: RangeInclusive<u16>,
    pub(super) clock: Clock,
    pub(super) counters: Arc<Counters>,
    pub(super) deliver: Deliver,
    pub(super) recordings: Recordings,
    pub(super) streams: Streams,
    /// Those that were taken from the inbox.
    pub(super) commands: VecDeque<(AccountId, MediaCommand)>,
    /// Legs that are given up when these are done.
    pub(super) given_up: BTreeSet<LegId>,
    /// Legs that the shards believe to be there.
    pub(super) legs: BTreeMap<LegId, LegState>,
    pub(super) count: Arc<AtomicUsize>,
}

/// How far a leg is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LegState {
    /// It was asked for.
    Asked,
    /// It has our SDP: from now on only its end ends it.
    There,
}

impl Post {
    /// Keeps account of legs, and passes on what the shards are to hear.
    pub(super) fn tell(&mut self, event: MediaEvent) {
        match &event {
            MediaEvent::Answered { leg, .. } | MediaEvent::Offered { leg, .. } => {
                self.legs.insert(*leg, LegState::There);
            }
            MediaEvent::Refused { leg, .. } => {
                // One that is there goes on as it was.
                if self.legs.get(leg) == Some(&LegState::Asked) {
                    self.legs.remove(leg);
                }
            }
            MediaEvent::Ended { leg, .. } => {
                self.legs.remove(leg);
            }
            MediaEvent::StreamEnded { leg, number, end } => {
                self.streams.end(*leg, *number, end);
            }
            MediaEvent::NotEntered { .. }
            | MediaEvent::Connected { .. }
            | MediaEvent::Digit { .. }
            | MediaEvent::Played { .. }
            | MediaEvent::Recording { .. }
            | MediaEvent::Recorded { .. } => {}
        }
        self.count.store(self.legs.len(), Ordering::Relaxed);
        if let Some(event) = self.recordings.take(event) {
            (self.deliver)(event);
        }
    }

    fn send(&self, socket: Option<&UdpSocket>, to: SocketAddr, bytes: &[u8]) {
        let is_sent = socket.is_some_and(|socket| {
            loop {
                match socket.send_to(bytes, to) {
                    Ok(_) => return true,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return false,
                }
            }
        });
        if !is_sent {
            self.counters.add_shell(ShellCounter::MediaUnsent);
        }
    }
}

/// Works until it is told to stop.
pub(super) fn work(post: &mut Post, worker: Worker) -> io::Result<()> {
    let seed = u64::from_le_bytes(random());
    let mut run = Run {
        worker,
        ports: Ports::new(post.rtp, post.rtp_ports.clone(), seed),
        mail_ready: true,
        door_ready: vec![true; post.doors.len()],
        rtp_ready: VecDeque::new(),
        incoming: Some(Incoming::new()),
        outgoing: post.doors.iter().map(|_| Outgoing::new()).collect(),
        must_stop: false,
        post,
    };
    let mut events = Events::with_capacity(EVENTS);
    while !run.must_stop {
        let patience = run.patience();
        match run.post.poll.poll(&mut events, patience) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        for event in &events {
            run.note(event.token().into());
        }
        run.take_mail();
        run.hear_bots();
        run.keep_time();
        run.read_doors();
        run.read_rtp();
        run.flush_all();
    }
    run.finish();
    Ok(())
}

/// See the module.
struct Run<'p> {
    post: &'p mut Post,
    worker: Worker,
    ports: Ports,
    /// Whether the inbox may have something: it says so once.
    mail_ready: bool,
    /// Which doors may have something to read.
    door_ready: Vec<bool>,
    /// Ports of legs that may have something to read, each once.
    rtp_ready: VecDeque<(u64, RtpPort)>,
    /// Nothing while what is in it is passed on.
    incoming: Option<Incoming>,
    /// What waits to leave from which door.
    outgoing: Vec<Outgoing>,
    must_stop: bool,
}

impl Run<'_> {
    /// How long to wait for events; `None` as long as it takes.
    fn patience(&self) -> Option<Duration> {
        let is_anything_left = self.door_ready.contains(&true)
            || !self.rtp_ready.is_empty()
            || !self.post.commands.is_empty()
            || self.post.streams.is_ready()
            || self.mail_ready;
        if is_anything_left {
            return Some(Duration::ZERO);
        }
        let next = self.worker.poll_timeout()?;
        Some(next.since(self.post.clock.now().mono))
    }

    fn note(&mut self, token: Token) {
        match token {
            Token::Mail => self.mail_ready = true,
            Token::Door(index) => {
                if let Some(is_ready) = self.door_ready.get_mut(usize::from(index)) {
                    *is_ready = true;
                }
            }
            Token::Rtp(number, port) => self.rtp_may_have(number, port),
        }
    }

    fn rtp_may_have(&mut self, number: u64, port: RtpPort) {
        if self.ports.note(number, port) {
            self.rtp_ready.push_back((number, port));
        }
    }

    /// Does what the shards have said, as far as its turn goes; whether that was anything. What they say meanwhile stays in the inbox,
    /// whose bound is that of all that waits.
    fn take_mail(&mut self) -> bool {
        if self.post.commands.is_empty() {
            self.mail_ready = false;
            let mail = self.post.inbox.take();
            #[cfg(test)]
            assert!(!mail.bug, "a bug that a test asked for");
            self.must_stop |= mail.must_stop;
            self.post.commands = mail.commands;
            self.post.given_up.extend(mail.given_up);
            self.post.streams.note(mail.spoken);
        }
        let is_anything = !self.post.commands.is_empty() || !self.post.given_up.is_empty();
        for _ in 0..COMMANDS {
            let Some((account, command)) = self.post.commands.pop_front() else {
                break;
            };
            self.command(account, command);
        }
        if !self.post.commands.is_empty() {
            return true;
        }
        for leg in std::mem::take(&mut self.post.given_up) {
            if self.post.legs.contains_key(&leg) {
                self.handle(Input::Command(MediaCommand::CloseLeg { leg }));
                self.forget(leg..=leg);
            } else {
                let sentence = too_much();
                self.post.tell(MediaEvent::Refused { leg, sentence });
            }
        }
        is_anything
    }

    fn command(&mut self, account: AccountId, command: MediaCommand) {
        if let Some(leg) = opened_by(&command) {
            self.post.legs.entry(leg).or_insert(LegState::Asked);
            let count = self.post.legs.len();
            self.post.count.store(count, Ordering::Relaxed);
        }
        if let MediaCommand::Record { leg, record } = &command
            && self.post.legs.get(leg) == Some(&LegState::There)
        {
            self.post.recordings.expect(*leg, account, record);
        }
        let closed = closed_by(&command);
        let mut streamed = None;
        if let MediaCommand::Stream { leg, stream } = &command
            && self.post.legs.get(leg) == Some(&LegState::There)
        {
            streamed = Some((*leg, stream.clone()));
        }
        self.handle(Input::Command(command));
        // After the one before has ended.
        if let Some((leg, stream)) = streamed {
            self.post.streams.open(account, leg, stream);
        }
        if let Some(closed) = closed {
            self.forget(closed);
        }
    }

    /// Legs that were closed before they were there, of which nothing is told.
    fn forget(&mut self, legs: RangeInclusive<LegId>) {
        let left: Vec<LegId> = self.post.legs.range(legs).map(|(leg, _)| *leg).collect();
        for leg in left {
            self.post.legs.remove(&leg);
        }
        let count = self.post.legs.len();
        self.post.count.store(count, Ordering::Relaxed);
    }

    /// Gives the gateway what bots have said.
    fn hear_bots(&mut self) {
        for (leg, word) in self.post.streams.take() {
            self.handle(Input::FromBot { leg, word });
        }
    }

    fn keep_time(&mut self) {
        let now = self.post.clock.now().mono;
        if self.worker.poll_timeout().is_some_and(|at| at <= now) {
            self.handle(Input::Timeout);
        }
    }

    fn read_doors(&mut self) {
        let Some(mut incoming) = self.incoming.take() else {
            return;
        };
        for index in 0..self.door_ready.len() {
            let mut read = 0;
            while self.door_ready[index] && read < DOOR_DATAGRAMS {
                let Door { socket, told } = &self.post.doors[index];
                let local = *told;
                self.door_ready[index] = incoming.read::<BATCH>(socket, told.is_ipv4());
                let now = self.post.clock.now();
                for (from, bytes) in incoming.datagrams() {
                    self.handle_at(now, Input::WebRtc { local, from, bytes });
                    read += 1;
                }
            }
        }
        self.incoming = Some(incoming);
    }

    fn read_rtp(&mut self) {
        let Some(mut incoming) = self.incoming.take() else {
            return;
        };
        for _ in 0..RTP_PORTS.min(self.rtp_ready.len()) {
            let Some((number, port)) = self.rtp_ready.pop_front() else {
                break;
            };
            self.ports.turn_to(number, port);
            let mut read = 0;
            // The leg may end by what comes.
            while let Some((leg, socket)) = self.ports.socket(number, port) {
                if read >= RTP_DATAGRAMS {
                    self.rtp_may_have(number, port);
                    break;
                }
                let has_more = incoming.read::<FEW>(socket, self.ports.is_v4());
                for (from, bytes) in incoming.datagrams() {
                    self.handle(Input::Rtp {
                        leg,
                        port,
                        from,
                        bytes,
                    });
                    read += 1;
                }
                if !has_more {
                    break;
                }
            }
        }
        self.incoming = Some(incoming);
    }

    fn handle(&mut self, input: Input<'_>) {
        self.handle_at(self.post.clock.now(), input);
    }

    /// One input, then every effect, then what these bring in.
    fn handle_at(&mut self, now: Now, input: Input<'_>) {
        self.worker.handle(now, input);
        let mut opened = self.drain();
        while let Some((leg, address)) = opened.pop() {
            self.worker.handle(now, Input::RtpOpened { leg, address });
            opened.extend(self.drain());
        }
    }

    /// Performs every effect; says which ports were opened for whom.
    fn drain(&mut self) -> Vec<(LegId, Option<SocketAddr>)> {
        let mut opened = Vec::new();
        while let Some(effect) = self.worker.poll_effect() {
            match effect {
                Effect::Event(event) => self.post.tell(event),
                Effect::Send { from, to, bytes } => self.send(from, to, bytes),
                Effect::SendRtp {
                    leg,
                    port,
                    to,
                    bytes,
                } => self.post.send(self.ports.of_leg(leg, port), to, &bytes),
                Effect::OpenRtp { leg } => {
                    let address = self.ports.open(leg, self.post.poll.registry());
                    if address.is_none() {
                        self.post.counters.add_shell(ShellCounter::MediaPortFault);
                    }
                    opened.push((leg, address));
                }
                Effect::CloseRtp { leg } => self.ports.close(leg),
                Effect::ToBot { leg, word } => self.post.streams.tell(leg, word),
                Effect::Count(counter) => self.post.counters.add_shell(counted(counter)),
            }
        }
        opened
    }

    /// A datagram leaves from a door when its turn is over, with others.
    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        match self.post.doors.iter().position(|door| door.told == from) {
            Some(index) => {
                if self.outgoing[index].put(to, bytes) {
                    self.flush(index);
                }
            }
            None => self.post.counters.add_shell(ShellCounter::MediaUnsent),
        }
    }

    fn flush(&mut self, index: usize) {
        let lost = self.outgoing[index].send(&self.post.doors[index].socket);
        for _ in 0..lost {
            self.post.counters.add_shell(ShellCounter::MediaUnsent);
        }
    }

    fn flush_all(&mut self) {
        for index in 0..self.outgoing.len() {
            if !self.outgoing[index].is_empty() {
                self.flush(index);
            }
        }
    }

    /// Ends every session that is left, after what the shards have still to say.
    fn finish(&mut self) {
        // Each round answers what the one before brought about: all calls have ended, so there are few.
        while self.take_mail() {}
        let sessions: BTreeSet<_> = self.post.legs.keys().map(|leg| leg.session).collect();
        for session in sessions {
            self.handle(Input::Command(MediaCommand::Close { session }));
        }
        self.flush_all();
    }
}

/// What the gateway counts, as the shell lists it.
fn counted(counter: media::Counter) -> ShellCounter {
    match counter {
        media::Counter::Unchecked => ShellCounter::MediaUnchecked,
        media::Counter::UnknownCheck => ShellCounter::MediaUnknownCheck,
        media::Counter::Forged => ShellCounter::MediaForged,
        media::Counter::Refused => ShellCounter::MediaRefused,
    }
}
