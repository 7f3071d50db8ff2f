//! The sessions of a server and the connections that they are on (docs/resume.md).
//!
//! A plain session is its connection. One that was opened by `OPEN` outlives it: it waits for its client and is taken
//! over by whoever shows its credential. Never looks into SIP.

use model::{ConnectionId, Instant, Now, limits};
use switch::edge::{Flow, Liveness};
use switch::resume::{self, Broken, Incoming, Opening, SocketNumber};
use switch::{Closing, Counter, Input};

use super::{Out, Server};

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its connection was lost, and it was bound to it.
    Lost,
    /// Its client closed its socket.
    Goodbye,
    /// Its client did not come back in time.
    Expired,
    /// There was no room to wait for its client.
    NotKept,
    /// More waits for its client than may.
    Full,
    /// Its client broke the protocol.
    Broken(Broken),
    /// What its client sent, or did not send, made the edge close it.
    Closed(Closing),
    /// The shard has dismissed it.
    Dismissed(Closing),
    /// It goes on at another node.
    Moved,
}

/// One session, on a connection or waiting for one.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) flow: Flow,
    /// The shard that knows it, once a message was delivered.
    pub(super) shard: Option<usize>,
    pub(super) link: Option<ConnectionId>,
    /// What makes it resumable.
    pub(super) numbers: Option<resume::Session>,
    /// Messages that wait because a plain connection carries none.
    stalled: usize,
    pub(super) is_closing: bool,
    pub(super) is_full: bool,
}

/// A connection.
#[derive(Debug)]
pub(super) enum Line {
    /// It has agreed to resume sessions and not said yet which.
    New {
        /// How long that may take.
        until: Instant,
    },
    /// Its client has shown what another node is asked about.
    Asking {
        /// How long that may take.
        until: Instant,
    },
    /// It carries this session.
    Of(ConnectionId),
}

impl Server {
    /// A connection was accepted; says whether sessions on it can be resumed.
    pub fn accept(&mut self, now: Now, link: ConnectionId, offers: bool) -> bool {
        let resumes = offers && !self.window().is_zero();
        if resumes {
            let until = now.mono + limits::INTRODUCTION_TIME;
            self.lines.insert(link, Line::New { until });
        } else {
            self.begin(link, Flow::new(link, now, None), None);
        }
        self.touched.push(link);
        resumes
    }

    /// A text frame came in. Gives the message in it, and its session.
    pub fn receive(
        &mut self,
        now: Now,
        link: ConnectionId,
        frame: &[u8],
    ) -> Option<(ConnectionId, Vec<u8>)> {
        match *self.lines.get(&link)? {
            Line::New { .. } => {
                self.introduce(now, link, frame);
                None
            }
            // A client says nothing before it is answered.
            Line::Asking { .. } => None,
            Line::Of(id) => {
                let message = self.unwrap(now, id, frame)?;
                Some((id, message))
            }
        }
    }

    /// A pong came in.
    pub fn pong(&mut self, now: Now, link: ConnectionId) {
        if let Some(&Line::Of(id)) = self.lines.get(&link)
            && let Some(session) = self.sessions.get_mut(&id)
        {
            session.flow.alive(now);
        }
    }

    /// A frame could not leave: the connection carries nothing. Says whether the outbox of a plain one is full.
    pub fn stall(&mut self, link: ConnectionId) -> bool {
        let session = self
            .sessions
            .get_mut(&link)
            .filter(|session| session.numbers.is_none());
        session.is_some_and(|session| {
            session.stalled += 1;
            session.stalled > limits::OUTBOX_MESSAGES
        })
    }

    /// A connection is gone: by its client's goodbye, or lost.
    pub fn lost(&mut self, now: Now, link: ConnectionId, by_goodbye: bool) {
        if let Some(asking) = self.asking.get_mut(&link) {
            asking.is_up = false;
        }
        let Some(Line::Of(id)) = self.lines.remove(&link) else {
            return;
        };
        let room = self.waiting() < self.waiting_room;
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.link = None;
        match &mut session.numbers {
            None => self.end(now, id, Ending::Lost),
            Some(_) if session.is_closing => self.end(now, id, Ending::Dismissed(Closing::GONE)),
            Some(_) if by_goodbye => self.end(now, id, Ending::Goodbye),
            Some(_) if !room => {
                self.count(Some(Counter::SessionNotKept));
                self.end(now, id, Ending::NotKept);
            }
            Some(numbers) => {
                numbers.lost(now.mono);
                self.touched.push(id);
                self.out.push_back(Out::Suspended(id));
            }
        }
    }

    /// The time of a session, or of a connection that belongs to none, has come.
    pub fn wake_flow(&mut self, now: Now, id: ConnectionId) {
        if let Some(&Line::New { until }) = self.lines.get(&id) {
            if until <= now.mono {
                self.shut(id, Closing::NO_INTRODUCTION);
            }
            return;
        }
        if let Some(&Line::Asking { until }) = self.lines.get(&id) {
            if until <= now.mono {
                self.stop_asking(id);
            }
            return;
        }
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let Some(link) = session.link else {
            if session.is_over(now) {
                self.count(Some(Counter::SessionExpired));
                self.end(now, id, Ending::Expired);
            }
            return;
        };
        match session.flow.timeout(now) {
            Liveness::Wait => {}
            Liveness::Ping => self.out.push_back(Out::Ping(link)),
            Liveness::Close { why, count } => {
                self.count(count);
                let may_wait = self.sessions[&id].numbers.is_some() && why == Closing::NO_PONG;
                if may_wait {
                    self.lost(now, link, false);
                    self.shut(link, why);
                } else {
                    self.close(now, id, why, Ending::Closed(why));
                }
            }
        }
    }

    /// When a session, or a connection that belongs to none, wants to be woken.
    pub fn flow_timeout(&self, id: ConnectionId) -> Option<u64> {
        if let Some(Line::New { until } | Line::Asking { until }) = self.lines.get(&id) {
            return Some(until.as_micros());
        }
        let session = self.sessions.get(&id)?;
        let due = match (session.link, &session.numbers) {
            (None, Some(numbers)) => numbers.poll_timeout()?,
            (Some(_) | None, _) => session.flow.poll_timeout(),
        };
        Some(due.as_micros())
    }

    /// Sessions and connections whose time may have come nearer since this was asked last.
    pub fn take_touched(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.touched)
    }

    /// Every session, whether it is on a connection or waits for one.
    pub fn sessions(&self) -> Vec<ConnectionId> {
        self.sessions.keys().copied().collect()
    }

    /// How many sessions wait for their clients.
    pub fn waiting(&self) -> usize {
        self.sessions
            .values()
            .filter(|session| session.link.is_none())
            .count()
    }

    /// A message for a client; nothing happens if its session is over.
    pub(super) fn hand_over(&mut self, id: ConnectionId, message: Vec<u8>) {
        let Some(session) = self.sessions.get_mut(&id).filter(|known| !known.is_full) else {
            return;
        };
        let frame = match &mut session.numbers {
            None => message.clone(),
            Some(numbers) => match numbers.outgoing(&message) {
                Ok(frame) => frame.to_vec(),
                Err(resume::Full) => {
                    session.is_full = true;
                    self.doomed.push_back((id, Ending::Full));
                    return;
                }
            },
        };
        let link = session.link;
        self.out.push_back(Out::Message {
            session: id,
            message,
        });
        if let Some(link) = link {
            self.out.push_back(Out::Frame { link, frame });
        }
    }

    /// The shard closes a session: after what was sent before, or at once if it waits for its client.
    pub(super) fn dismiss(&mut self, id: ConnectionId, why: Closing) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.is_closing = true;
        self.credentials.forget(id);
        self.out.push_back(Out::Dismissed { session: id, why });
        match session.link {
            Some(link) => self.out.push_back(Out::Close {
                link,
                why,
                at_once: false,
            }),
            None => self.doomed.push_back((id, Ending::Dismissed(why))),
        }
    }

    /// Ends what was doomed while effects were performed.
    pub(super) fn bury(&mut self, now: Now) {
        while let Some((id, ending)) = self.doomed.pop_front() {
            if ending == Ending::Full {
                self.count(Some(Counter::SlowReader));
            }
            self.close(now, id, Closing::SLOW_READER, ending);
        }
    }

    /// Ends a session, and its connection with it.
    pub(super) fn close(&mut self, now: Now, id: ConnectionId, why: Closing, ending: Ending) {
        let link = self.sessions.get(&id).and_then(|session| session.link);
        self.end(now, id, ending);
        if let Some(link) = link {
            self.shut(link, why);
        }
    }

    /// The `ACK` that is due when no message has said it.
    pub(super) fn acknowledge(&mut self, id: ConnectionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && let (Some(numbers), Some(link)) = (&mut session.numbers, session.link)
            && let Some(ack) = numbers.due_ack()
        {
            let frame = ack.to_vec();
            self.out.push_back(Out::Frame { link, frame });
        }
    }

    /// Connections that have not said which session they are for are closed.
    pub(super) fn close_new_lines(&mut self) {
        let new: Vec<_> = self
            .lines
            .iter()
            .filter(|(_, line)| matches!(line, Line::New { .. }))
            .map(|(link, _)| *link)
            .collect();
        for link in new {
            self.shut(link, Closing::STOPPING);
        }
    }

    pub(super) fn check_sessions(&self) -> Result<(), String> {
        for (id, session) in &self.sessions {
            let is_bound = session.link.is_none_or(
                |link| matches!(self.lines.get(&link), Some(Line::Of(carried)) if carried == id),
            );
            if !is_bound {
                return Err(format!("session {} has lost its connection", id.0));
            }
            if session.link.is_none() && session.numbers.is_none() {
                return Err(format!("the plain session {} waits for its client", id.0));
            }
        }
        let resumable = self.sessions.values().filter(|s| s.numbers.is_some());
        if self.credentials.len() > resumable.count() {
            return Err("there are more credentials than sessions to resume".to_owned());
        }
        Ok(())
    }

    fn window(&self) -> std::time::Duration {
        self.snapshot.settings.resume_window
    }

    pub(super) fn secret(&mut self) -> [u8; 16] {
        let mut secret = [0; 16];
        secret.copy_from_slice(&self.random.seed()[..16]);
        secret
    }

    fn begin(&mut self, id: ConnectionId, flow: Flow, numbers: Option<resume::Session>) {
        let session = Session {
            link: Some(id),
            ..Session::new(flow, numbers)
        };
        self.sessions.insert(id, session);
        self.lines.insert(id, Line::Of(id));
    }

    /// The first frame of a connection.
    fn introduce(&mut self, now: Now, link: ConnectionId, frame: &[u8]) {
        let secret = self.secret();
        match Opening::parse(frame) {
            Ok(Opening::Open) if self.is_draining => self.shut(link, Closing::STOPPING),
            Ok(Opening::Open) => {
                let mut numbers = resume::Session::new(self.window());
                let credential = self.credentials.open(link, SocketNumber(link.0), secret);
                let frame = numbers.welcome(&credential).to_vec();
                self.begin(link, Flow::resumable(link, now, None), Some(numbers));
                self.out.push_back(Out::Opened(link));
                self.out.push_back(Out::Frame { link, frame });
                self.touched.push(link);
            }
            Ok(Opening::Resume {
                credential,
                received,
            }) => match self
                .credentials
                .renew(credential, SocketNumber(link.0), secret)
            {
                Some((id, next)) => self.take_over(now, id, link, received, &next),
                None => self.ask(now, link, credential, received),
            },
            Err(_) => self.shut(link, Closing::BROKEN_SESSION),
        }
    }

    /// There is no such session.
    pub(super) fn say_gone(&mut self, link: ConnectionId) {
        self.count(Some(Counter::ResumeRefused));
        let frame = resume::GONE.as_bytes().to_vec();
        self.out.push_back(Out::Frame { link, frame });
        self.shut(link, Closing::GONE);
    }

    /// A session goes over to a connection, whatever has become of the one before.
    pub(super) fn take_over(
        &mut self,
        now: Now,
        id: ConnectionId,
        link: ConnectionId,
        received: u64,
        next: &resume::Credential,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let Some(numbers) = &mut session.numbers else {
            return;
        };
        if let Err(broken) = numbers.resumed(received) {
            self.shut(link, Closing::BROKEN_SESSION);
            self.close(now, id, Closing::BROKEN_SESSION, Ending::Broken(broken));
            return;
        }
        let welcome = numbers.welcome(next).to_vec();
        let again: Vec<_> = numbers.kept().map(|kept| kept.to_vec()).collect();
        session.flow.resumed(now);
        let before = session.link.replace(link);
        self.lines.insert(link, Line::Of(id));
        if let Some(before) = before {
            self.shut(before, Closing::REPLACED);
        }
        self.count(Some(Counter::SessionResumed));
        self.touched.push(id);
        self.out.push_back(Out::Resumed { session: id, link });
        for frame in std::iter::once(welcome).chain(again) {
            self.out.push_back(Out::Frame { link, frame });
        }
    }

    /// The message in a frame, if it has one that is new.
    fn unwrap(&mut self, now: Now, id: ConnectionId, frame: &[u8]) -> Option<Vec<u8>> {
        let session = self.sessions.get_mut(&id)?;
        let Some(numbers) = &mut session.numbers else {
            return Some(frame.to_vec());
        };
        if numbers.confirms() {
            self.credentials.confirm(id);
        }
        match numbers.incoming(frame) {
            Ok(Incoming::Message(message)) => return Some(message.to_vec()),
            Ok(Incoming::Nothing) => {}
            Ok(Incoming::Ping) => {
                let frame = numbers.ack().to_vec();
                if let Some(link) = session.link {
                    self.out.push_back(Out::Frame { link, frame });
                }
            }
            Err(broken) => {
                self.close(now, id, Closing::BROKEN_SESSION, Ending::Broken(broken));
                return None;
            }
        }
        // What is no message counts towards the pace like a WebSocket ping.
        if let Some(why) = session.flow.ping(now) {
            self.count(Some(Counter::TooManyMessages));
            self.close(now, id, why, Ending::Closed(why));
        }
        None
    }

    /// A session is over; its shard is told.
    pub(super) fn end(&mut self, now: Now, id: ConnectionId, ending: Ending) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        self.credentials.forget(id);
        if let Some(link) = session.link {
            self.lines.remove(&link);
        }
        self.out.push_back(Out::Ended {
            session: id,
            ending,
        });
        let Some(shard) = session.shard else {
            return;
        };
        let waited = session.numbers.map(|numbers| numbers.window());
        let input = match (ending, waited) {
            (Ending::Expired, Some(waited)) => Input::Expired {
                connection: id,
                waited,
            },
            (_, _) => Input::Lost { connection: id },
        };
        self.step(now, shard, input);
    }

    /// Gives a connection up that carries no session (any more).
    pub(super) fn shut(&mut self, link: ConnectionId, why: Closing) {
        self.lines.remove(&link);
        self.out.push_back(Out::Close {
            link,
            why,
            at_once: true,
        });
    }
}

impl Session {
    /// One that is on no connection.
    pub(super) fn new(flow: Flow, numbers: Option<resume::Session>) -> Self {
        Self {
            flow,
            shard: None,
            link: None,
            numbers,
            stalled: 0,
            is_closing: false,
            is_full: false,
        }
    }

    fn is_over(&self, now: Now) -> bool {
        self.numbers
            .as_ref()
            .is_some_and(|numbers| numbers.is_over(now.mono))
    }
}
