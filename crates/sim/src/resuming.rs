//! A client's resuming socket (docs/resume.md): between an app that believes in one WebSocket and the connections that
//! carry it.
//!
//! Written from the page and from the client's side: shares no code with the server's machine, so that one can find
//! the faults of the other. Never looks into messages. Holds on to connections that it has given up until the session
//! goes on elsewhere: a close frame on one of them would end the session.

mod head;

use std::collections::VecDeque;

use model::ConnectionId;

use crate::clock::{MILLI, SECOND};
use crate::random::Random;
use head::Head;
pub use head::without_head;

/// Silence after which it asks whether the server is there, and how long it waits for the answer.
const SILENCE: u64 = 10 * SECOND;
const PING_PATIENCE: u64 = 4 * SECOND;
/// How long a connection may take to be of use.
const ATTEMPT: u64 = 5 * SECOND;
/// Full jitter: the first pause at most, and the longest.
const PAUSE: u64 = 500 * MILLI;
const PAUSE_MAX: u64 = 5 * SECOND;
/// It says how far it is after so many messages, or bytes.
const UNTOLD_MESSAGES: u64 = 8;
const UNTOLD_BYTES: usize = 32 * 1024;
/// What may wait for the server.
const KEPT_MESSAGES: usize = 256;
const KEPT_BYTES: usize = 1024 * 1024;

/// After so long whoever has had no answer to an INVITE has given it up.
const TIMER_B: u64 = 32 * SECOND;
/// A message that means nothing (RFC 5626 §3.5.1).
const KEEP_ALIVE: &[u8] = b"\r\n";

/// What it wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Open one more connection, and say which with `dials`.
    Open,
    /// Send a frame.
    Send(ConnectionId, Vec<u8>),
    /// Close a connection with a close frame.
    Close(ConnectionId),
    /// Tell the transcript that a message was taken back before the server had it, by its number.
    Withdraw(u64),
    /// The app is told that its socket is open.
    TellOpened,
    /// The app is given a message.
    Tell(Vec<u8>),
    /// Ask for the acknowledgement that is due, now that the app has had its turn.
    Acknowledge,
    /// The app is told that its socket is gone.
    TellLost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first connection is being opened.
    Connecting,
    /// `OPEN` is out.
    Greeting,
    /// The server speaks plain SIP.
    Plain,
    /// The session is on a connection.
    Live,
    /// It is on none, and a new one is waited for, opened, or asked to go on.
    Lost,
    /// Over for good.
    Over,
}

/// See the module.
#[derive(Debug)]
pub struct Resuming {
    /// What nobody may do to it: the run fails.
    pub complaint: Option<String>,
    /// Whether the server has said that the session has ended.
    pub was_gone: bool,
    phase: Phase,
    link: Option<ConnectionId>,
    forsaken: Vec<ConnectionId>,
    credential: String,
    /// Credentials that are worth nothing any more.
    spent: Vec<String>,
    window: u64,
    sent: u64,
    /// With the time at which the app handed each over.
    kept: VecDeque<(u64, Vec<u8>)>,
    kept_bytes: usize,
    received: u64,
    told: u64,
    untold_bytes: usize,
    heard: u64,
    ping_ends: Option<u64>,
    attempt_ends: Option<u64>,
    next_try: Option<u64>,
    gives_up: Option<u64>,
    tries: u32,
    is_closing: bool,
    now: u64,
    random: Random,
    acts: VecDeque<Act>,
}

impl Resuming {
    /// One whose first connection is being opened.
    pub fn new(link: ConnectionId, now: u64, random: Random) -> Self {
        Self {
            complaint: None,
            was_gone: false,
            phase: Phase::Connecting,
            link: Some(link),
            forsaken: Vec::new(),
            credential: String::new(),
            spent: Vec::new(),
            window: 0,
            sent: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            received: 0,
            told: 0,
            untold_bytes: 0,
            heard: now,
            ping_ends: None,
            attempt_ends: Some(now + ATTEMPT),
            next_try: None,
            gives_up: None,
            tries: 0,
            is_closing: false,
            now,
            random,
            acts: VecDeque::new(),
        }
    }

    /// The next thing to do.
    pub fn poll_act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// When it wants to be woken.
    pub fn poll_timeout(&self) -> Option<u64> {
        let silence = match (self.phase, self.ping_ends) {
            (Phase::Live, None) => Some(self.heard + SILENCE),
            (Phase::Live, ends) => ends,
            (Phase::Connecting | Phase::Greeting | Phase::Plain | Phase::Lost | Phase::Over, _) => {
                None
            }
        };
        [silence, self.attempt_ends, self.next_try, self.gives_up]
            .into_iter()
            .flatten()
            .min()
    }

    /// The connection that it uses.
    pub fn link(&self) -> Option<ConnectionId> {
        self.link
    }

    /// Whether the session is on a connection, as far as it knows.
    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Whether it waits to come back.
    pub fn is_lost(&self) -> bool {
        self.phase == Phase::Lost
    }

    /// Whether it will do nothing more.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// What is not acknowledged.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// The credential that it would show.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// A credential that was good once and is worth nothing: its successor's successor is known.
    pub fn spent(&self) -> Option<&String> {
        self.spent.iter().rev().nth(1)
    }

    /// A connection is being opened for it.
    pub fn dials(&mut self, link: ConnectionId) {
        self.link = Some(link);
        self.attempt_ends = Some(self.now + ATTEMPT);
    }

    /// A connection is open; `resumes` says what the server has selected.
    pub fn opened(&mut self, now: u64, link: ConnectionId, resumes: bool) {
        self.now = now;
        if self.link != Some(link) {
            return;
        }
        self.heard = now;
        match (self.phase, resumes) {
            (Phase::Connecting, true) => {
                self.phase = Phase::Greeting;
                self.acts.push_back(Act::Send(link, b"OPEN".to_vec()));
            }
            (Phase::Connecting, false) => {
                self.phase = Phase::Plain;
                self.attempt_ends = None;
                self.acts.push_back(Act::TellOpened);
            }
            (Phase::Lost, true) => {
                let frame = format!("RESUME {} {}", self.credential, self.received);
                self.acts.push_back(Act::Send(link, frame.into_bytes()));
            }
            (Phase::Lost, false) => self.give_up(),
            (Phase::Greeting | Phase::Plain | Phase::Live | Phase::Over, _) => {}
        }
    }

    /// A connection is gone, or could not be opened.
    pub fn lost(&mut self, now: u64, link: ConnectionId) {
        self.now = now;
        self.forsaken.retain(|forsaken| *forsaken != link);
        if self.link != Some(link) {
            return;
        }
        self.link = None;
        match self.phase {
            Phase::Connecting | Phase::Greeting | Phase::Plain => self.give_up(),
            Phase::Live => self.begin_to_come_back(),
            Phase::Lost => self.try_again_later(),
            Phase::Over => {}
        }
    }

    /// A frame came in.
    pub fn frame(&mut self, now: u64, link: ConnectionId, frame: &[u8]) {
        self.now = now;
        if self.link != Some(link) {
            return;
        }
        self.heard = now;
        self.ping_ends = None;
        match self.phase {
            Phase::Plain => self.acts.push_back(Act::Tell(frame.to_vec())),
            Phase::Greeting | Phase::Lost => self.on_welcome(link, frame),
            Phase::Live => self.on_frame(frame),
            Phase::Connecting | Phase::Over => {}
        }
    }

    /// The app sends.
    pub fn send(&mut self, now: u64, message: &[u8]) {
        self.now = now;
        match (self.phase, self.link) {
            (Phase::Plain, Some(link)) => self.acts.push_back(Act::Send(link, message.to_vec())),
            (Phase::Live, Some(link)) => {
                if self.keep(message) {
                    let frame = head::message(self.sent, self.received, message);
                    self.told_now();
                    self.acts.push_back(Act::Send(link, frame));
                }
            }
            (Phase::Lost, _) => _ = self.keep(message),
            (Phase::Plain | Phase::Live | Phase::Connecting | Phase::Greeting | Phase::Over, _) => {
            }
        }
    }

    /// The app closes its socket, after what it has sent: that must arrive first.
    pub fn close(&mut self, now: u64) {
        self.now = now;
        self.is_closing = true;
        match self.phase {
            Phase::Live if self.kept.is_empty() => self.end(),
            Phase::Live => self.ping(),
            Phase::Lost if self.kept.is_empty() => self.end(),
            Phase::Lost | Phase::Over => {}
            Phase::Connecting | Phase::Greeting | Phase::Plain => self.end(),
        }
    }

    /// The page is gone: its browser closes what is open, and nothing comes back.
    pub fn leave(&mut self, now: u64) {
        self.now = now;
        self.is_closing = true;
        self.end();
    }

    /// The app has had its turn with what came in.
    pub fn acknowledge(&mut self) {
        let is_due =
            self.received - self.told >= UNTOLD_MESSAGES || self.untold_bytes >= UNTOLD_BYTES;
        if is_due
            && self.phase == Phase::Live
            && let Some(link) = self.link
        {
            self.acts
                .push_back(Act::Send(link, head::ack(self.received)));
            self.told_now();
        }
    }

    /// The time of `poll_timeout` has come.
    pub fn timeout(&mut self, now: u64) {
        self.now = now;
        let is_due = |due: Option<u64>| due.is_some_and(|due| due <= now);
        if is_due(self.gives_up) {
            self.give_up();
        } else if is_due(self.attempt_ends) {
            self.attempt_ends = None;
            self.forsake();
            match self.phase {
                Phase::Connecting | Phase::Greeting => self.give_up(),
                Phase::Lost => self.try_again_later(),
                Phase::Plain | Phase::Live | Phase::Over => {}
            }
        } else if is_due(self.next_try) {
            self.next_try = None;
            self.acts.push_back(Act::Open);
        } else if self.phase == Phase::Live && is_due(self.ping_ends) {
            self.forsake();
            self.begin_to_come_back();
        } else if self.phase == Phase::Live
            && self.ping_ends.is_none()
            && is_due(Some(self.heard + SILENCE))
        {
            self.ping();
        }
    }

    /// The answer to `OPEN` or `RESUME`.
    fn on_welcome(&mut self, link: ConnectionId, frame: &[u8]) {
        match Head::parse(frame) {
            Some(Head::Session {
                credential,
                window_s,
                received,
            }) => {
                let old = std::mem::replace(&mut self.credential, credential.to_owned());
                if self.phase == Phase::Lost {
                    self.spent.push(old);
                }
                self.window = window_s * SECOND;
                let is_first = self.phase == Phase::Greeting;
                self.phase = Phase::Live;
                (self.attempt_ends, self.gives_up, self.next_try) = (None, None, None);
                self.tries = 0;
                self.drop_acknowledged(received);
                if is_first {
                    self.acts.push_back(Act::TellOpened);
                } else {
                    self.repeat(link);
                }
            }
            Some(Head::Gone) if self.phase == Phase::Lost => {
                self.was_gone = true;
                self.give_up();
            }
            Some(Head::Gone | Head::Ack { .. } | Head::Message { .. }) | None => {
                self.complain("the answer to OPEN or RESUME is none", frame);
            }
        }
    }

    /// Everything that the server has not received, in order; at least an acknowledgement.
    fn repeat(&mut self, link: ConnectionId) {
        for forsaken in std::mem::take(&mut self.forsaken) {
            self.acts.push_back(Act::Close(forsaken));
        }
        let first = self.sent - self.kept.len() as u64 + 1;
        for (number, (since, message)) in (first..).zip(&mut self.kept) {
            if self.now - *since >= TIMER_B && message.starts_with(b"INVITE ") {
                // Its sender has given it up by now (RFC 3261 §17.1.1.2): it must not ring for nobody.
                *message = KEEP_ALIVE.to_vec();
                self.acts.push_back(Act::Withdraw(number));
            }
            let frame = head::message(number, self.received, message);
            self.acts.push_back(Act::Send(link, frame));
        }
        if self.kept.is_empty() {
            self.acts
                .push_back(Act::Send(link, head::ack(self.received)));
        }
        self.told_now();
        if self.is_closing {
            if self.kept.is_empty() {
                self.end();
            } else {
                self.ping();
            }
        }
    }

    fn on_frame(&mut self, frame: &[u8]) {
        match Head::parse(frame) {
            Some(Head::Ack { received }) => self.drop_acknowledged(received),
            Some(Head::Message {
                number,
                received,
                message,
            }) => {
                self.drop_acknowledged(received);
                if number > self.received + 1 {
                    self.complain("a message is missing before this one", frame);
                } else if number == self.received + 1 {
                    self.received = number;
                    self.untold_bytes += message.len();
                    if !self.is_closing {
                        self.acts.push_back(Act::Tell(message.to_vec()));
                    }
                    self.acts.push_back(Act::Acknowledge);
                }
            }
            Some(Head::Session { .. } | Head::Gone) | None => {
                self.complain("a frame came that is none", frame);
            }
        }
        if self.is_closing && self.phase == Phase::Live && self.kept.is_empty() {
            self.end();
        }
    }

    fn drop_acknowledged(&mut self, received: u64) {
        // A frame that is sent again says how far its sender was when it was sent first.
        if received > self.sent {
            let what = format!("{received} of {} messages are acknowledged", self.sent);
            self.complain(&what, b"");
            return;
        }
        while self.sent - received < self.kept.len() as u64
            && let Some((_, message)) = self.kept.pop_front()
        {
            self.kept_bytes = self.kept_bytes.saturating_sub(message.len());
        }
    }

    /// Numbers a message and keeps it; says whether there was room.
    fn keep(&mut self, message: &[u8]) -> bool {
        if self.kept.len() == KEPT_MESSAGES || self.kept_bytes + message.len() > KEPT_BYTES {
            self.give_up();
            return false;
        }
        self.sent += 1;
        self.kept_bytes += message.len();
        self.kept.push_back((self.now, message.to_vec()));
        true
    }

    fn ping(&mut self) {
        if let Some(link) = self.link {
            self.acts.push_back(Act::Send(link, b"PING".to_vec()));
            self.ping_ends = Some(self.now + PING_PATIENCE);
        }
    }

    fn told_now(&mut self) {
        self.told = self.received;
        self.untold_bytes = 0;
    }

    fn begin_to_come_back(&mut self) {
        self.phase = Phase::Lost;
        self.ping_ends = None;
        self.gives_up = Some(self.now + self.window);
        self.tries = 0;
        self.acts.push_back(Act::Open);
    }

    fn try_again_later(&mut self) {
        let most = (PAUSE << self.tries.min(8)).min(PAUSE_MAX);
        self.tries += 1;
        self.attempt_ends = None;
        self.next_try = Some(self.now + self.random.between(1, most));
    }

    /// Does not use a connection any more, without a word that its server would understand as a goodbye.
    fn forsake(&mut self) {
        self.forsaken.extend(self.link.take());
        self.ping_ends = None;
    }

    /// It does not come back: its app is told.
    fn give_up(&mut self) {
        self.end();
        if !self.is_closing {
            self.acts.push_back(Act::TellLost);
        }
    }

    fn end(&mut self) {
        self.phase = Phase::Over;
        (self.attempt_ends, self.gives_up, self.next_try) = (None, None, None);
        self.ping_ends = None;
        let links = self.link.take().into_iter();
        for link in links.chain(std::mem::take(&mut self.forsaken)) {
            self.acts.push_back(Act::Close(link));
        }
    }

    fn complain(&mut self, what: &str, frame: &[u8]) {
        let frame = String::from_utf8_lossy(&frame[..frame.len().min(60)]).into_owned();
        self.complaint
            .get_or_insert_with(|| format!("{what}: {frame:?}"));
        self.give_up();
    }
}
