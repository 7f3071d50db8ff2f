//! A browser with the stock SDK (4.0.8 on SIP.js 0.21), state by state as its source does it.
//!
//! Opens its socket when it needs it, comes back 1.0 s after a loss for ever, asks for TURN credentials each 30 s and
//! holds calls until it has them. Written from the SDK's side: it shares no rule with the server. Where the server does
//! what the SDK could not take, it complains, and the run fails. RFC 3261, 7118.

mod app;
mod call;
mod dialog;
mod incoming;
mod outgoing;
mod registration;
mod talk;
mod text;

use std::collections::{BTreeMap, BTreeSet};

pub use app::{Answering, Habit, Heard};
pub use call::{CallKey, CallState};

use crate::authority;
use crate::clock::{MILLI, SECOND};
use crate::media::{IceServer, Media};
use crate::random::Random;
use call::Call;
use registration::Registerer;

/// What a client of the world wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Open a WebSocket; the one before, if any, is closed.
    Open,
    /// The same, and speak the extension by oneself (docs/resume.md).
    OpenResumable,
    /// Send a text frame.
    Send(Vec<u8>),
    /// Close the WebSocket.
    Close,
    /// The page is gone, and with it what was not sent.
    Leave,
}

/// What happens to a client of the world.
#[derive(Clone, Copy, Debug)]
pub enum Happening<'a> {
    /// The WebSocket is open.
    Opened,
    /// It could not be opened.
    Refused,
    /// A text frame came.
    Frame(&'a [u8]),
    /// The WebSocket is gone.
    Lost,
    /// The time of `poll_timeout` has come.
    Timeout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    Closed,
    Opening,
    Open,
}

/// What waits for a response.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Waiting {
    Register { registerer: u32, unbinds: bool },
    Options,
    Invite(CallKey),
    Reinvite(CallKey),
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Reconnect,
    AskForServers(u32),
    Refresh(u32),
    Expired(u32),
    Unanswered(String),
    Gathered(CallKey),
    RepeatAnswer(CallKey, u64),
    OffersAgain(CallKey),
    NoAck(CallKey),
    AppDecides(CallKey),
    AppHangsUp(CallKey),
}

/// SIP.js timer F and its kin: 64 × T1.
const TRANSACTION: u64 = 32 * SECOND;

/// One page with one SDK client.
#[derive(Debug)]
pub struct Browser {
    /// The client id.
    pub client: String,
    /// Its account, counted from 0.
    pub account: usize,
    /// How its app behaves.
    pub habit: Habit,
    /// What its app was told, and when.
    pub heard: Vec<(u64, Heard)>,
    /// What carries its calls' media, if the world gives it a place in the datagram network.
    pub media: Option<Box<Media>>,
    /// What the server did that the SDK cannot take.
    pub complaint: Option<String>,
    /// Responses whose Via is not the page's own alone; SIP.js drops them. Only an attacker who knows the page's Via can
    /// bring them about.
    pub strange_responses: u32,
    domain: String,
    contact_user: String,
    via_host: String,
    now: u64,
    random: Random,
    started: bool,
    socket: Socket,
    reconnecting: bool,
    token: String,
    registerers: Vec<Registerer>,
    current: Option<u32>,
    made: u32,
    has_servers: bool,
    asking: Option<u32>,
    calls: Vec<Call>,
    /// Call-IDs of INVITEs that nobody answered in time: SIP.js drops what comes later.
    timed_out: BTreeSet<String>,
    waiting: BTreeMap<String, Waiting>,
    timers: BTreeSet<(u64, Timer)>,
    deeds: Vec<Deed>,
}

impl Browser {
    /// A page that has been loaded.
    pub fn new(client: &str, account: usize, mut random: Random) -> Self {
        Self {
            client: client.to_owned(),
            account,
            habit: Habit::default(),
            heard: Vec::new(),
            media: None,
            complaint: None,
            strange_responses: 0,
            domain: authority::domain(account),
            contact_user: random.word(8),
            via_host: format!("{}.invalid", random.word(12)),
            now: 0,
            random,
            started: false,
            socket: Socket::Closed,
            reconnecting: false,
            token: String::new(),
            registerers: Vec::new(),
            current: None,
            made: 0,
            has_servers: false,
            asking: None,
            calls: Vec::new(),
            timed_out: BTreeSet::new(),
            waiting: BTreeMap::new(),
            timers: BTreeSet::new(),
            deeds: Vec::new(),
        }
    }

    /// Something happened.
    pub fn handle(&mut self, now: u64, what: Happening<'_>) {
        self.now = now;
        match what {
            Happening::Opened => self.on_opened(),
            Happening::Refused | Happening::Lost => self.on_lost(),
            Happening::Frame(frame) => self.on_frame(frame),
            Happening::Timeout => {
                self.on_timeout();
                self.wake_media();
            }
        }
    }

    /// The next thing to do.
    pub fn poll_deed(&mut self) -> Option<Deed> {
        (!self.deeds.is_empty()).then(|| self.deeds.remove(0))
    }

    /// When it wants to be woken.
    pub fn poll_timeout(&self) -> Option<u64> {
        let timer = self.timers.first().map(|(at, _)| *at);
        timer.into_iter().chain(self.media_timeout()).min()
    }

    /// Whether its WebSocket is open.
    pub fn is_connected(&self) -> bool {
        self.socket == Socket::Open
    }

    /// Whether its app was told that it can be called.
    pub fn is_registered(&self) -> bool {
        self.current.is_some_and(|id| {
            self.registerers
                .iter()
                .any(|r| r.id == id && r.is_registered())
        })
    }

    /// Whether it wants to be called: it has a token that was not refused.
    pub fn wants_calls(&self) -> bool {
        !self.token.is_empty()
    }

    /// Whether the page does nothing any more.
    pub fn is_stopped(&self) -> bool {
        !self.started
    }

    /// The user part of its Contact.
    pub fn contact_user(&self) -> &str {
        &self.contact_user
    }

    /// The host of its Via.
    pub fn via_host(&self) -> &str {
        &self.via_host
    }

    fn address(&self) -> String {
        format!("sip:{}@{}", self.client, self.domain)
    }

    fn start(&mut self) {
        if !self.started {
            self.started = true;
            self.socket = Socket::Opening;
            self.deeds.push(Deed::Open);
        }
    }

    /// `_checkStop`: without calls and without a token the socket is not needed.
    fn check_stop(&mut self) {
        if self.started && self.token.is_empty() && self.calls.iter().all(Call::is_gone) {
            self.deeds.push(Deed::Close);
            self.started = false;
            self.socket = Socket::Closed;
            self.waiting.clear();
            self.registerers.clear();
            self.calls.clear();
        }
    }

    fn on_opened(&mut self) {
        if !self.started {
            return;
        }
        self.socket = Socket::Open;
        self.reconnecting = false;
        if !self.token.is_empty() {
            self.register_again();
        }
        self.ask_for_servers();
    }

    fn on_lost(&mut self) {
        if !self.started {
            return;
        }
        self.socket = Socket::Closed;
        self.reconnecting = false;
        for at in 0..self.calls.len() {
            self.lose_call(at);
        }
        self.asking = None;
        self.reconnect();
        self.check_stop();
    }

    fn reconnect(&mut self) {
        if self.started && !self.reconnecting {
            self.reconnecting = true;
            self.wake(SECOND, Timer::Reconnect);
        }
    }

    /// `_requestIceServers`.
    fn ask_for_servers(&mut self) {
        if !self.started || self.socket != Socket::Open {
            return;
        }
        self.asking = None;
        let branch = self.branch();
        let message = self.options_text(&branch);
        self.ask(&branch, "OPTIONS", Waiting::Options, message);
    }

    fn on_servers(&mut self, status: u16, body: &[u8]) {
        let granted = (200..300).contains(&status);
        self.has_servers = granted && body.starts_with(b"[");
        if let Some(media) = &mut self.media
            && granted
        {
            media.servers = IceServer::read(body);
        }
        if granted && !self.has_servers {
            self.complain("a 200 to the OPTIONS of the SDK has no JSON array of servers");
        }
        self.made += 1;
        self.asking = Some(self.made);
        let pause = if granted { 30 } else { 60 };
        self.wake(pause * SECOND, Timer::AskForServers(self.made));
        if self.has_servers {
            for at in 0..self.calls.len() {
                self.go_on(at);
            }
        }
    }

    fn is_ready(&self) -> bool {
        self.socket == Socket::Open && self.has_servers
    }

    fn wake(&mut self, after: u64, timer: Timer) {
        self.timers.insert((self.now + after, timer));
    }

    fn complain(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.complaint
            .get_or_insert_with(|| format!("{}: {what}", self.client));
    }

    fn tell(&mut self, heard: Heard) {
        self.heard.push((self.now, heard));
    }

    fn branch(&mut self) -> String {
        format!(
            "z9hG4bK{}{:06}",
            self.random.below(10_000_000),
            self.made_next()
        )
    }

    /// The SDK's branches are seven random digits; a number behind them keeps a long run free of accidents.
    fn made_next(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    fn send(&mut self, message: Vec<u8>) -> bool {
        let is_open = self.socket == Socket::Open;
        if is_open {
            self.deeds.push(Deed::Send(message));
        }
        is_open
    }

    /// Sends a request and waits for its response; without a socket it fails as SIP.js lets it fail.
    fn ask(&mut self, branch: &str, method: &str, waiting: Waiting, message: Vec<u8>) {
        let key = format!("{branch} {method}");
        if self.send(message) {
            self.waiting.insert(key.clone(), waiting);
            self.wake(TRANSACTION, Timer::Unanswered(key));
        } else {
            self.on_failed(waiting, 503);
        }
    }

    /// SIP.js makes up a response of its own: 503 for a broken transport, 408 for a timeout.
    fn on_failed(&mut self, waiting: Waiting, status: u16) {
        match waiting {
            Waiting::Register {
                registerer,
                unbinds,
            } => self.on_register_failed(registerer, unbinds, status),
            Waiting::Options => self.on_servers(status, b""),
            Waiting::Invite(key) => self.on_invite_failed(key, status),
            Waiting::Reinvite(key) => self.on_reinvite_failed(key),
            Waiting::Nothing => {}
        }
    }

    fn on_timeout(&mut self) {
        while let Some((at, _)) = self.timers.first()
            && *at <= self.now
            && let Some((at, timer)) = self.timers.pop_first()
        {
            self.on_timer(at, timer);
        }
    }

    fn on_timer(&mut self, at: u64, timer: Timer) {
        match timer {
            Timer::Reconnect if self.started => {
                self.socket = Socket::Opening;
                self.deeds.push(Deed::Open);
            }
            Timer::Reconnect => self.reconnecting = false,
            // A timer that the SDK forgot to clear asks as well.
            Timer::AskForServers(_) => self.ask_for_servers(),
            Timer::Refresh(id) => self.refresh(id, at),
            Timer::Expired(id) => self.registration_ended(id, at),
            Timer::Unanswered(key) => {
                // SIP.js knows no timeout for an INVITE that has had a provisional response.
                let rings = matches!(
                    self.waiting.get(&key),
                    Some(Waiting::Invite(call) | Waiting::Reinvite(call)) if self.has_heard(*call)
                );
                if !rings && let Some(waiting) = self.waiting.remove(&key) {
                    if let Waiting::Invite(call) | Waiting::Reinvite(call) = &waiting
                        && let Some(call_id) = self.call_id(*call).map(str::to_owned)
                    {
                        self.timed_out.insert(call_id);
                    }
                    self.on_failed(waiting, 408);
                }
            }
            Timer::Gathered(key) => self.on_gathered(key),
            Timer::OffersAgain(key) => self.on_offer_due(key),
            Timer::RepeatAnswer(key, pause) => self.repeat_answer(key, pause),
            Timer::NoAck(key) => self.on_no_ack(key),
            Timer::AppDecides(key) => self.app_decides(key),
            Timer::AppHangsUp(key) => self.hang_up(key),
        }
    }

    fn on_frame(&mut self, frame: &[u8]) {
        if frame.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return;
        }
        match sip::parse(frame) {
            Ok(sip::Message::Request(request)) => self.on_request(&request),
            Ok(sip::Message::Response(response)) => self.on_response(&response),
            Err(malformed) => self.complain(format!("the server sent no SIP: {malformed}")),
        }
    }

    fn on_response(&mut self, response: &sip::Response<'_>) {
        let via = response.headers.via();
        if via.sent_by != self.via_host || response.headers.items(sip::Name::Via).count() != 1 {
            self.strange_responses += 1;
            return;
        }
        let method = response.headers.cseq().method;
        let key = format!("{} {method}", via.branch().unwrap_or_default());
        let Some(waiting) = self.waiting.get(&key).cloned() else {
            self.on_late_answer(response);
            return;
        };
        if response.status >= 200 {
            self.waiting.remove(&key);
        }
        match waiting {
            Waiting::Register {
                registerer,
                unbinds,
            } => self.on_registered(registerer, unbinds, response),
            Waiting::Options if response.status >= 200 => {
                self.on_servers(response.status, response.body);
            }
            Waiting::Options | Waiting::Nothing => {}
            Waiting::Invite(call) => self.on_invite_answer(call, response),
            Waiting::Reinvite(call) => self.on_reinvite_answer(call, response),
        }
    }

    /// A page that is opened anew: nothing of the old one is left.
    pub fn reload(&mut self) {
        if self.started {
            self.deeds.push(Deed::Leave);
        }
        let mut fresh = Self::new(&self.client, self.account, self.random.fork());
        fresh.habit = self.habit.clone();
        fresh.deeds = std::mem::take(&mut self.deeds);
        fresh.heard = std::mem::take(&mut self.heard);
        fresh.complaint = self.complaint.take();
        fresh.strange_responses = self.strange_responses;
        fresh.now = self.now;
        fresh.media = self.reloaded_media();
        *self = fresh;
    }

    fn gathering_time(&mut self) -> u64 {
        self.random.between(20 * MILLI, 80 * MILLI)
    }
}
