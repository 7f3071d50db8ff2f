//! Resumable signalling (docs/resume.md): one task for each session, which outlives the sockets of its client.
//!
//! Reads the first frame of a socket; then the session's own task carries messages both ways, numbered and kept by
//! `switch::resume`, and waits for the next socket when one is lost. Its shard is told once, when the session ends or goes to another
//! node. Never decides what a number or a credential is worth.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use model::{ConnectionId, Now, limits};
use switch::edge::{Flow, Liveness, Verdict};
use switch::resume::{GONE, Incoming, Opening, Session as Numbers, SocketNumber};
use switch::{Closing, Counter};
use tokio::time::{Instant, Sleep, sleep_until, timeout, timeout_at};

use super::Place;
use super::handover::{Answer, Arrived, Handovers, Next, Ticket};
use super::socket::{Fault, Received, Socket};
use super::ws::{Ending, ending_of, farewell};
use crate::outbox::Outgoing;
use crate::shutdown::raised;
use crate::signalling::{Session, Signalling};

/// Serves a socket whose client speaks `sip-resume`: begins a session, or hands the socket to the one that it names.
/// `host` is what the client called this machine; a session keeps that of its first socket.
pub(crate) async fn enter(
    mut socket: Socket,
    number: SocketNumber,
    place: Arc<Place>,
    signalling: Arc<Signalling>,
    handovers: Arc<Handovers>,
    host: Option<String>,
) {
    let mut stopping = place.stopping();
    let first = tokio::select! {
        biased;
        () = raised(&mut stopping) => Err(Ending::Close(Closing::STOPPING)),
        first = timeout(limits::INTRODUCTION_TIME, first_frame(&mut socket, &signalling)) => {
            first.unwrap_or(Err(Ending::Close(Closing::NO_INTRODUCTION)))
        }
    };
    let first = match first {
        Ok(first) => first,
        Err(ending) => return part(socket, ending).await,
    };
    match Opening::parse(&first) {
        Ok(Opening::Open) => {
            let line = Line::new(socket, place);
            // In a task of its own: what it took to get here is not kept for as long.
            let life = Life::begin(&signalling, &handovers, number, host.as_deref());
            tokio::spawn(life.run(Arc::clone(&line.place), Some(line)));
        }
        Ok(Opening::Resume {
            credential,
            received,
        }) => {
            let known = Arc::clone(&place);
            if let Some(socket) = handovers.resume(credential, received, number, socket, known) {
                let seeker = Seeker {
                    signalling,
                    handovers,
                    number,
                    place,
                    received,
                };
                seeker.seek(socket, credential, host.as_deref()).await;
            }
        }
        Err(_) => part(socket, Ending::Close(Closing::BROKEN_SESSION)).await,
    }
}

/// The first frame that is none of the WebSocket's own.
async fn first_frame(socket: &mut Socket, signalling: &Signalling) -> Result<Vec<u8>, Ending> {
    loop {
        match socket.next().await {
            Ok(Received::Message(message)) => return Ok(message),
            Ok(Received::Ping) => socket.flush().await.map_err(|_| Ending::Lost)?,
            Ok(Received::Pong) => {}
            Ok(Received::Close) => return Err(Ending::Closed),
            Err(fault) => return Err(ending_of(&fault, &signalling.counters)),
        }
    }
}

/// A client whose session is not here.
struct Seeker {
    signalling: Arc<Signalling>,
    handovers: Arc<Handovers>,
    number: SocketNumber,
    place: Arc<Place>,
    /// How far the client has received.
    received: u64,
}

impl Seeker {
    /// Asks the node that may have the session, and goes on with it here.
    async fn seek(self, socket: Socket, credential: &str, host: Option<&str>) {
        let signalling = &self.signalling;
        let claim = self.handovers.claim(credential);
        let Some(claim) = claim.filter(|claim| signalling.reaches(claim.session.node())) else {
            return self.refuse(socket).await;
        };
        if signalling.is_stopping() {
            return part(socket, Ending::Close(Closing::STOPPING)).await;
        }
        let to = signalling.reserve();
        let mut answer = self.handovers.ask(to, self.number);
        signalling.fetch(claim, to);
        match timeout(limits::FETCH_TIME, &mut answer).await {
            Ok(Ok(Answer::Here(arrived))) => self.go_on(arrived, Some(socket), host),
            Ok(Ok(Answer::Again(credential))) => {
                let (number, place) = (self.number, Arc::clone(&self.place));
                let left = self
                    .handovers
                    .resume(&credential, self.received, number, socket, place);
                if let Some(socket) = left {
                    self.refuse(socket).await;
                }
            }
            Ok(Ok(Answer::Gone) | Err(_)) => self.refuse(socket).await,
            Err(_) => {
                part(socket, Ending::Close(Closing::NOT_YET)).await;
                // It may still come, and its client with it.
                if let Ok(Ok(Answer::Here(arrived))) =
                    timeout(limits::LINK_PATIENCE, &mut answer).await
                {
                    return self.go_on(arrived, None, host);
                }
                self.handovers.stop_asking(to);
            }
        }
    }

    fn go_on(&self, arrived: Box<Arrived>, socket: Option<Socket>, host: Option<&str>) {
        let place = Arc::clone(&self.place);
        let mut line = socket.map(|socket| Line::new(socket, Arc::clone(&place)));
        let mut life = Life::arrived(*arrived, self.signalling.now(), host);
        if line.is_some() && life.numbers.resumed(self.received).is_err() {
            let ending = Ending::Close(Closing::BROKEN_SESSION);
            tokio::spawn(life.end(line.take(), ending));
            return;
        }
        tokio::spawn(life.run(place, line));
    }

    async fn refuse(&self, socket: Socket) {
        self.signalling.counters.add(Counter::ResumeRefused);
        refuse(socket).await;
    }
}

/// Says that there is no such session.
async fn refuse(mut socket: Socket) {
    let gone = async {
        socket.output().push(GONE.as_bytes());
        if socket.flush().await.is_ok() {
            farewell(socket, Ending::Close(Closing::GONE)).await;
        }
    };
    let _ = timeout(limits::FAREWELL_TIME, gone).await;
}

async fn part(socket: Socket, ending: Ending) {
    let _ = timeout(limits::FAREWELL_TIME, farewell(socket, ending)).await;
}

/// A session, on whatever socket.
struct Life {
    session: Session,
    flow: Flow,
    numbers: Numbers,
    ticket: Ticket,
    /// Why it will be closed when its last messages are written.
    closing: Option<Closing>,
    /// What its next socket is told first.
    welcome: Bytes,
}

/// How waiting for the client ended without it.
enum Over {
    Expired,
    Ended(Ending),
}

impl Life {
    fn begin(
        signalling: &Arc<Signalling>,
        handovers: &Arc<Handovers>,
        number: SocketNumber,
        host: Option<&str>,
    ) -> Box<Self> {
        let session = signalling.open();
        let window = signalling.published().snapshot.settings.resume_window;
        let mut numbers = Numbers::new(window);
        let (ticket, credential) = handovers.open(session.connection, number);
        Box::new(Self {
            flow: Flow::resumable(session.connection, signalling.now(), host),
            welcome: numbers.welcome(&credential),
            session,
            numbers,
            ticket,
            closing: None,
        })
    }

    fn arrived(arrived: Arrived, now: Now, host: Option<&str>) -> Box<Self> {
        let Arrived {
            session,
            mut numbers,
            kin,
            ticket,
            credential,
        } = arrived;
        Box::new(Self {
            flow: Flow::moved(session.connection, now, host, &kin),
            welcome: numbers.welcome(&credential),
            session,
            numbers,
            ticket,
            closing: None,
        })
    }

    /// From socket to socket, to its end here. `place`: that of its last one.
    async fn run(mut self: Box<Self>, place: Arc<Place>, mut line: Option<Box<Line>>) {
        let (mut place, mut waiting) = (Some(place), None);
        loop {
            let next = match &mut line {
                Some(line) => {
                    line.welcome(std::mem::take(&mut self.welcome), &self.numbers);
                    self.go_on(line).await
                }
                None => Err(Ending::Lost),
            };
            let next = match next {
                Ok(next) => next,
                Err(ending @ (Ending::Closed | Ending::Close(_))) => {
                    return self.end(line, ending).await;
                }
                Err(Ending::Lost) => {
                    drop(line.take());
                    if let Some(place) = place.take() {
                        waiting = place.wait();
                    }
                    match self.is_lost(waiting.is_some()).await {
                        Ok(next) => next,
                        Err(ending) => return self.end(None, ending).await,
                    }
                }
            };
            if matches!(next, Next::Away)
                && let Some(told) = line.take()
            {
                tokio::spawn(part(told.socket, Ending::Close(Closing::MOVE)));
            }
            // A socket that was there before is dropped here, whatever was on its way in it.
            drop(line.take());
            let arrival = match next {
                Next::Away => continue,
                Next::Here(arrival) => arrival,
                Next::There(to) => match self.departs(to) {
                    Ok(true) => return self.end(None, Ending::Lost).await,
                    Ok(false) => continue,
                    Err(ending) => return self.end(None, ending).await,
                },
            };
            (place, waiting) = (Some(Arc::clone(&arrival.place)), None);
            let fresh = Line::new(arrival.socket, arrival.place);
            if self.numbers.resumed(arrival.received).is_err() {
                let ending = Ending::Close(Closing::BROKEN_SESSION);
                return self.end(Some(fresh), ending).await;
            }
            line = Some(fresh);
            self.welcome = self.numbers.welcome(&arrival.credential);
            self.flow.resumed(self.session.signalling.now());
            self.count(Counter::SessionResumed);
        }
    }

    /// Its socket is lost: where it goes on, or how it ends.
    async fn is_lost(&mut self, has_room: bool) -> Result<Next, Ending> {
        // What was to be written last cannot be.
        if self.closing.is_some() {
            return Err(Ending::Lost);
        }
        if !has_room {
            self.count(Counter::SessionNotKept);
            return Err(Ending::Lost);
        }
        match self.wait().await {
            Ok(next) => Ok(next),
            Err(Over::Ended(ending)) => Err(ending),
            Err(Over::Expired) => {
                self.count(Counter::SessionExpired);
                self.session.expires(self.numbers.window());
                Err(Ending::Lost)
            }
        }
    }

    /// Goes to another node. Says whether it could; if not, whatever was said meanwhile waits for its client.
    fn departs(&mut self, to: ConnectionId) -> Result<bool, Ending> {
        if self.session.outbox.is_proven() {
            self.flow.proven();
        }
        let signalling = Arc::clone(&self.session.signalling);
        let left = signalling.departs(&mut self.session, &mut self.numbers, self.flow.kin(), to);
        left.map_err(|_| {
            self.count(Counter::SlowReader);
            Ending::Close(Closing::SLOW_READER)
        })
    }

    /// Carries messages until the client is there on another socket, or this one is lost, or the session ends.
    async fn go_on(&mut self, line: &mut Line) -> Result<Next, Ending> {
        let clock = self.session.signalling.clock;
        let mut timer = pin!(sleep_until(clock.deadline(self.flow.poll_timeout())));
        loop {
            let is_written = line.is_written();
            if is_written && let Some(why) = self.closing {
                return Err(Ending::Close(why));
            }
            let step = tokio::select! {
                biased;
                next = self.ticket.next(), if self.closing.is_none() => {
                    return Ok(next);
                }
                outgoing = self.session.outbox.next(), if self.closing.is_none() => {
                    self.take(outgoing, line)
                }
                moved = line.go_on() => match moved {
                    Ok(Moved::Out) => Ok(()),
                    Ok(Moved::In(received)) => self.read(received, line),
                    Err(ending) => Err(ending),
                },
                () = timer.as_mut(), if is_written => self.time(timer.as_mut(), line),
            };
            step?;
        }
    }

    /// Keeps what comes for the client, until it is there or its time is over.
    async fn wait(&mut self) -> Result<Next, Over> {
        let signalling = Arc::clone(&self.session.signalling);
        let now = signalling.now().mono;
        self.numbers.lost(now);
        let until = self.numbers.poll_timeout().unwrap_or(now);
        let mut timer = pin!(sleep_until(signalling.clock.deadline(until)));
        loop {
            tokio::select! {
                biased;
                next = self.ticket.next() => return Ok(next),
                outgoing = self.session.outbox.next() => match outgoing {
                    Outgoing::Message(message) => {
                        self.number(&message).map_err(Over::Ended)?;
                    }
                    Outgoing::Close(why) => return Err(Over::Ended(Ending::Close(why))),
                },
                () = timer.as_mut() => return Err(Over::Expired),
            }
        }
    }

    /// Nobody can come back any more, and its shard is told; then the client is, if it is there.
    async fn end(self: Box<Self>, line: Option<Box<Line>>, ending: Ending) {
        let Self {
            session, ticket, ..
        } = *self;
        tracing::debug!(
            connection = session.connection.0,
            ?ending,
            "a session ended"
        );
        drop(ticket);
        drop(session);
        if let Some(line) = line {
            part(line.socket, ending).await;
        }
    }

    fn read(&mut self, received: Result<Received, Fault>, line: &mut Line) -> Result<(), Ending> {
        match received {
            Ok(Received::Message(frame)) => self.frame(&frame, line),
            Ok(Received::Ping) => self.pace(),
            Ok(Received::Pong) => {
                self.flow.alive(self.session.signalling.now());
                Ok(())
            }
            Ok(Received::Close) => Err(Ending::Closed),
            Err(fault) => Err(ending_of(&fault, &self.session.signalling.counters)),
        }
    }

    fn frame(&mut self, frame: &[u8], line: &mut Line) -> Result<(), Ending> {
        if self.numbers.confirms() {
            self.ticket.confirm();
        }
        match self.numbers.incoming(frame) {
            Ok(Incoming::Message(message)) => self.message(message, line)?,
            Ok(Incoming::Nothing) => self.pace()?,
            Ok(Incoming::Ping) => {
                self.pace()?;
                line.put(self.numbers.ack());
            }
            Err(_) => return Err(Ending::Close(Closing::BROKEN_SESSION)),
        }
        // An answer that is there already says how far this side is.
        while self.closing.is_none()
            && let Some(outgoing) = self.session.outbox.pop()
        {
            self.take(outgoing, line)?;
        }
        if let Some(ack) = self.numbers.due_ack() {
            line.put(ack);
        }
        Ok(())
    }

    fn message(&mut self, message: &[u8], line: &mut Line) -> Result<(), Ending> {
        let signalling = &self.session.signalling;
        let published = signalling.published();
        let shards = signalling.shard_count();
        if self.session.outbox.is_proven() {
            self.flow.proven();
        }
        let now = signalling.now();
        let verdict = self.flow.frame(now, message, &published.snapshot, shards);
        match verdict {
            Verdict::Deliver {
                shard,
                account,
                message,
                ice_servers,
            } => self
                .session
                .deliver(now, shard, account, &message, ice_servers.as_deref()),
            Verdict::Reply { message, count } => {
                count.into_iter().for_each(|counter| self.count(counter));
                signalling.counters.meters.leaves(&message);
                line.put(self.number(&message)?);
            }
            Verdict::Ignore { count } => {
                count.into_iter().for_each(|counter| self.count(counter));
            }
            Verdict::Close { why, count } => {
                self.count(count);
                return Err(Ending::Close(why));
            }
        }
        Ok(())
    }

    /// What is no message counts towards the pace like a ping.
    fn pace(&mut self) -> Result<(), Ending> {
        match self.flow.ping(self.session.signalling.now()) {
            None => Ok(()),
            Some(why) => {
                self.count(Counter::TooManyMessages);
                Err(Ending::Close(why))
            }
        }
    }

    fn time(&mut self, timer: Pin<&mut Sleep>, line: &mut Line) -> Result<(), Ending> {
        let signalling = &self.session.signalling;
        match self.flow.timeout(signalling.now()) {
            Liveness::Wait => {}
            Liveness::Ping => line.ping(),
            Liveness::Close { why, count } => {
                count.into_iter().for_each(|counter| self.count(counter));
                return Err(if why == Closing::NO_PONG {
                    Ending::Lost
                } else {
                    Ending::Close(why)
                });
            }
        }
        timer.reset(signalling.clock.deadline(self.flow.poll_timeout()));
        Ok(())
    }

    /// From the outbox to the socket.
    fn take(&mut self, outgoing: Outgoing, line: &mut Line) -> Result<(), Ending> {
        match outgoing {
            Outgoing::Message(message) => line.put(self.number(&message)?),
            Outgoing::Close(why) => {
                self.closing = Some(why);
                self.ticket.withdraw();
            }
        }
        Ok(())
    }

    fn number(&mut self, message: &[u8]) -> Result<Bytes, Ending> {
        self.numbers.outgoing(message).map_err(|_| {
            self.count(Counter::SlowReader);
            Ending::Close(Closing::SLOW_READER)
        })
    }

    fn count(&self, counter: Counter) {
        self.session.signalling.counters.add(counter);
    }
}

/// What happened on a socket.
enum Moved {
    In(Result<Received, Fault>),
    Out,
}

/// One socket of a session, and what is on its way into it.
struct Line {
    socket: Socket,
    place: Arc<Place>,
    /// When it counts as lost if it takes nothing.
    patience: Instant,
}

impl Line {
    fn new(socket: Socket, place: Arc<Place>) -> Box<Self> {
        Box::new(Self {
            socket,
            place,
            patience: Instant::now(),
        })
    }

    /// The first words, and everything that the client has not received.
    fn welcome(&mut self, words: Bytes, numbers: &Numbers) {
        self.put(words);
        numbers.kept().for_each(|frame| self.put(frame.clone()));
    }

    fn put(&mut self, frame: Bytes) {
        self.expect();
        self.socket.output().push(&frame);
    }

    fn ping(&mut self) {
        self.expect();
        self.socket.output().ping();
    }

    /// From now on the client has to take something.
    fn expect(&mut self) {
        if self.is_written() {
            self.patience = Instant::now() + limits::WRITE_TIME;
        }
    }

    fn is_written(&self) -> bool {
        self.socket.is_flushed()
    }

    /// Writes what is there, or reads; safe to drop at any time.
    ///
    /// Nothing is read before all is written: a client that takes nothing may ask for nothing more.
    async fn go_on(&mut self) -> Result<Moved, Ending> {
        if self.is_written() {
            return Ok(Moved::In(self.socket.next().await));
        }
        loop {
            let patience = self.patience;
            let writing = poll_fn(|context| {
                let unsent = self.socket.unsent();
                let written = self.socket.poll_flush(context);
                if self.socket.unsent() < unsent {
                    self.patience = Instant::now() + limits::WRITE_TIME;
                }
                written
            });
            match timeout_at(patience, writing).await {
                Ok(Ok(())) => return Ok(Moved::Out),
                Ok(Err(_)) => return Err(Ending::Lost),
                Err(_) if self.patience <= patience => return Err(Ending::Lost),
                // Some of it was taken meanwhile.
                Err(_) => {}
            }
        }
    }
}
