//! Trunks in the world: datagrams between lines and telephones, messages between lines and shards, and how calls end at both.
//!
//! A datagram of whoever is no peer of a trunk gets no further, as in the shell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use model::{CallRecord, ConnectionId, RecordId};
use switch::trunk::{LineEffect, LineInput, without_others};

use super::{Event, Sleeper, World};
use crate::clock::{MILLI, Rank, SECOND};
use crate::ladder::Column;
use crate::phone::{Phone, Stand};
use crate::trunks::{Judge, Trunks};

/// How long the one end of a call may last after the other, in microseconds: two transactions, and the ways between.
const ENDS_WITHIN: u64 = 100 * SECOND;

/// Something of a trunk's on its way.
#[derive(Debug)]
pub(super) enum Post {
    /// A datagram: from, to, and what.
    Datagram(SocketAddr, SocketAddr, Vec<u8>),
    /// From a line to the shard, if the server has not been started anew since.
    Deliver(usize, u32, Vec<u8>),
    /// DNS answers a line about a place, if the server has not been started anew since.
    Answer(usize, u32, usize),
}

/// How calls have ended for the servers, by Call-ID; nothing, while they go on.
#[derive(Debug, Default)]
pub(super) struct Ends {
    calls: BTreeMap<String, Option<u64>>,
    /// The Call-ID that a record had last.
    dialogs: BTreeMap<RecordId, String>,
    next_look: u64,
}

impl World {
    pub(super) fn start_lines(&mut self, node: usize) {
        let now = self.now();
        self.trunks.start(node, now);
        for line in 0..self.trunks.posts.len() {
            self.settle_line(line);
        }
        if self.trunks.is_over {
            self.stop_lines(node);
        }
    }

    pub(super) fn vanish_lines(&mut self, node: usize) {
        self.trunks.vanish(node);
        self.ends.calls.clear();
    }

    /// What lines registered is taken back.
    pub(super) fn stop_lines(&mut self, node: usize) {
        for line in 0..self.trunks.posts.len() {
            if self.trunks.posts[line].node == node {
                self.tell_line(line, LineInput::Stop);
            }
        }
    }

    /// The telephones leave, and lines ask for nothing more by themselves.
    pub(super) fn trunks_leave(&mut self) {
        self.trunks.is_over = true;
        for phone in 0..self.trunks.phones.len() {
            self.phone(phone, |phone, now| phone.leaves(now));
        }
        for node in 0..self.servers.len() {
            self.stop_lines(node);
        }
        if !self.trunks.posts.is_empty() {
            // Nobody is heard any more, whatever was said.
            for node in 0..self.gateways.len() {
                let micros = self.micros();
                for leg in self.gateways[node].legs() {
                    self.gateways[node].lose(micros, leg, model::media::LegEnd::Silent);
                }
                self.wake_gateway(node);
            }
        }
    }

    /// Nothing is under way any more.
    pub(super) fn conclude_lines(&mut self) {
        let now = self.now();
        for post in &self.trunks.posts {
            // A line's connection is never lost; whatever else there is must be gone before.
            self.servers[post.node].forget_line(now, post.connection, post.trunk.account);
        }
        for post in &self.trunks.posts {
            let left = post.line.as_ref().map(switch::trunk::Line::census);
            if let Some(left) = left.filter(|left| *left != [0; 3]) {
                let [asked, served, dialogs] = left;
                let what = format!(
                    "nobody is there and a line has {asked} requests, {served} of its peer and {dialogs} dialogs"
                );
                return self.fail(what);
            }
        }
    }

    /// Lets a telephone do something.
    pub fn phone<T>(&mut self, phone: usize, act: impl FnOnce(&mut Phone, u64) -> T) -> T {
        let now = self.micros();
        let result = act(&mut self.trunks.phones[phone], now);
        self.serve_phone(phone);
        result
    }

    /// Somebody sends a datagram to where lines are.
    pub fn knock(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.carry(from, to, bytes.to_vec());
    }

    /// A server gives a message to a line.
    pub(super) fn line_is_given(&mut self, connection: ConnectionId, message: &[u8]) {
        let Some(line) = self.trunks.line_of(connection) else {
            return;
        };
        let micros = self.micros();
        let judged = self.trunks.posts[line].judge.is_sent(micros, message);
        self.blame(judged);
        self.tell_line(line, LineInput::Send { message });
    }

    pub(super) fn record_of_trunks(&mut self, record: &CallRecord) {
        if !self.trunks.posts.is_empty() {
            let at = record.outcome.is_some().then(|| self.micros());
            self.ends.calls.insert(record.call_id.clone(), at);
            let before = self.ends.dialogs.insert(record.id, record.call_id.clone());
            // A number is called by another trunk: what went by the one before is over.
            if let Some(before) = before.filter(|before| *before != record.call_id) {
                let now = self.micros();
                self.ends.calls.insert(before, Some(now));
            }
        }
    }

    pub(super) fn on_post(&mut self, post: Post) {
        match post {
            Post::Datagram(from, to, bytes) => self.datagram_comes(from, to, &bytes),
            Post::Deliver(line, boot, message) => {
                let node = self.trunks.posts[line].node;
                if self.servers[node].boot == boot && self.servers[node].is_up {
                    let (now, connection) = (self.now(), self.trunks.posts[line].connection);
                    let account = self.trunks.posts[line].trunk.account;
                    self.servers[node].deliver(now, connection, account, &message);
                    self.settle(node);
                }
            }
            Post::Answer(line, boot, place) => {
                let node = self.trunks.posts[line].node;
                if self.servers[node].boot == boot && self.servers[node].is_up {
                    self.dns_answers(line, place);
                }
            }
        }
        self.check_ends();
    }

    pub(super) fn wake_line(&mut self, line: usize) {
        self.tell_line(line, LineInput::Timeout);
        self.check_ends();
    }

    pub(super) fn wake_phone(&mut self, phone: usize) {
        self.phone(phone, Phone::timeout);
    }

    fn datagram_comes(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let micros = self.micros();
        self.trace.packet(micros, from, to, bytes);
        if let Some(phone) = self.trunks.phone_at(to) {
            let line = self.trunks.line_for(from, to);
            self.draw_datagram(line, phone, bytes, false);
            return self.phone(phone, |phone, now| phone.datagram(now, bytes));
        }
        let Some(line) = self.trunks.line_for(to, from) else {
            return;
        };
        if let Some(phone) = self.trunks.phone_at(from) {
            self.draw_datagram(Some(line), phone, bytes, true);
        }
        self.tell_line(line, LineInput::Datagram { from, bytes });
    }

    fn dns_answers(&mut self, line: usize, place: usize) {
        let trunks = self.trunks.posts.iter();
        let trunks = trunks.map(|post| post.trunk.as_ref());
        let answer = without_others(self.trunks.dns.says[line].clone(), line, trunks);
        let node = self.trunks.posts[line].node;
        let own = Some(crate::trunks::own_address(node));
        let answer = &answer;
        self.tell_line(line, LineInput::Resolved { place, answer, own });
    }

    fn draw_datagram(&mut self, line: Option<usize>, phone: usize, bytes: &[u8], is_up: bool) {
        let Some(post) = line.map(|line| &self.trunks.posts[line]) else {
            return;
        };
        let (phone, server) = (Column::Phone(phone), Column::Server(post.node));
        let ends = if is_up {
            (phone, server)
        } else {
            (server, phone)
        };
        let (at, connection) = (self.clock.micros(), post.connection);
        self.trace.message(at, ends, connection, bytes, false);
    }

    fn tell_line(&mut self, line: usize, input: LineInput<'_>) {
        let now = self.now();
        if let Some(line) = &mut self.trunks.posts[line].line {
            line.handle(now, input);
        }
        self.settle_line(line);
    }

    fn settle_line(&mut self, at: usize) {
        let micros = self.micros();
        while let Some(line) = &mut self.trunks.posts[at].line
            && let Some(effect) = line.poll_effect()
        {
            let post = &mut self.trunks.posts[at];
            let (node, own) = (post.node, crate::trunks::own_address(post.node));
            match effect {
                LineEffect::Datagram { to, bytes } => {
                    let judged = Judge::leaves(&post.trunk, to, &bytes);
                    self.blame(judged);
                    self.carry(own, to, bytes);
                }
                // Telephones of this world are reached by UDP.
                LineEffect::Stream { to, .. } => {
                    self.fail(format!(
                        "a line by UDP sent something by a connection to {to}"
                    ));
                }
                LineEffect::Deliver { message } => {
                    let judged = post.judge.delivers(micros, &message);
                    self.blame(judged);
                    let boot = self.servers[node].boot;
                    let post = Event::Post(Post::Deliver(at, boot, message));
                    self.agenda.at(micros, Rank::Usual, post);
                }
                LineEffect::Resolve { place, .. } => {
                    let boot = self.servers[node].boot;
                    let answers = Event::Post(Post::Answer(at, boot, place));
                    let answered = micros + self.trunks.dns.takes;
                    self.agenda.at(answered, Rank::Usual, answers);
                }
                LineEffect::Trunk(trunk) => {
                    post.trunk = Arc::clone(&trunk);
                    let (now, connection) = (self.now(), self.trunks.posts[at].connection);
                    self.servers[node].lead(now, connection, trunk);
                    self.settle(node);
                }
                LineEffect::State(state) => {
                    let note = format!("line: {state:?}");
                    self.trace.note(micros, Column::Server(node), &note);
                }
                LineEffect::Count(_) => {}
            }
        }
        let line = self.trunks.posts[at].line.as_ref();
        let due = line.and_then(|line| Some(line.poll_timeout()?.as_micros()));
        let late = self.faults.lateness(&mut self.trunks.random);
        self.arm(Sleeper::Line(at), due, late);
    }

    fn serve_phone(&mut self, at: usize) {
        while let Some(bytes) = self.trunks.phones[at].poll_out() {
            let phone = &self.trunks.phones[at];
            let (from, to) = (phone.address, phone.server());
            self.carry(from, to, bytes);
        }
        let phone = &self.trunks.phones[at];
        if let Some(complaint) = phone.complaint.clone() {
            self.fail(complaint);
        }
        let due = self.trunks.phones[at].poll_timeout();
        self.arm(Sleeper::Phone(at), due, 0);
    }

    /// Brings a datagram on its way, once, twice, or not at all.
    fn carry(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let now = self.micros();
        let Trunks {
            quality, random, ..
        } = &mut self.trunks;
        let is_lost = random.happens(quality.lost_per_mille);
        let is_doubled = random.happens(quality.doubled_per_mille);
        let copies = if is_lost {
            0
        } else {
            1 + u64::from(is_doubled)
        };
        for _ in 0..copies {
            let at = now + quality.base + random.below(quality.jitter + 1);
            let datagram = Event::Post(Post::Datagram(from, to, bytes.clone()));
            self.agenda.at(at.max(now + MILLI), Rank::Usual, datagram);
        }
    }

    /// Each call ends at both ends.
    fn check_ends(&mut self) {
        let now = self.micros();
        if now < self.ends.next_look {
            return;
        }
        self.ends.next_look = now + SECOND;
        for post in 0..self.trunks.posts.len() {
            let (node, judge) = (self.trunks.posts[post].node, &self.trunks.posts[post].judge);
            let is_gone = !self.servers[node].is_up || self.stopping[node];
            let judged = judge.check(now, is_gone);
            self.blame(judged);
        }
        let is_old = |at: u64| at + ENDS_WITHIN < now;
        let mut found = None;
        for phone in self.trunks.phones.iter().filter(|phone| phone.is_plain) {
            for call in phone.calls.iter().filter(|call| call.is_known) {
                let server = self.ends.calls.get(&call.call_id);
                let is_over = call.stand == Stand::Over;
                if !is_over && server.is_some_and(|ended| ended.is_some_and(is_old)) {
                    found = Some((&call.call_id, "the server and not for the telephone"));
                } else if call.over.is_some_and(is_old) && server == Some(&None) {
                    found = Some((&call.call_id, "the telephone and not for the server"));
                }
            }
        }
        if let Some((call_id, whom)) = found {
            let what = format!("the call {call_id} has long been over for {whom}");
            self.fail(what);
        }
    }
}
