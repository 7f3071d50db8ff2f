//! The way of one call's media: candidates, checks over every pair, and the packets on the best that works.
//!
//! ICE in small (RFC 8445): each side checks every pair of one of its own addresses and one of the other's, in both
//! directions, and sends on the best that answered; consent is asked for again and again (RFC 7675). Roles, nomination
//! and the exact order of checks are left out: here a pair works or it does not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use super::candidate::{Candidate, Described, Source};
use super::{Act, Conduct, Path, Tally};
use crate::clock::{MILLI, SECOND};
use crate::random::Random;
use crate::turn_client::{Ask, Told, TurnClient};

/// How long a page waits for servers that do not answer (wire.md §3).
const GATHERING: u64 = 5 * SECOND;
/// First pause between two checks of a pair; it grows up to eight times that.
const CHECK_PAUSE: u64 = 250 * MILLI;
/// Checks of a pair whose answers are waited for.
const CHECKS_REMEMBERED: usize = 8;
/// Pairs of a session (RFC 8445 §6.1.2.5): two NATs that give each other new ports would make more and more.
const MOST_PAIRS: usize = 60;
/// Checks of a pair that checks of the other side may bring about.
const MOST_TRIGGERED: u32 = 8;
/// Checks of a pair that never answered.
const MOST_CHECKS: u32 = 12;
/// How often a working pair is asked, and after which silence it works no more.
const CONSENT_PAUSE: u64 = 5 * SECOND;
const CONSENT_LIFE: u64 = 15 * SECOND;
/// How long no pair may work before the page takes the way for broken.
const PATIENCE: u64 = 8 * SECOND;

/// One of our own ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Host,
    Leg(usize),
}

#[derive(Debug)]
struct Pair {
    base: Base,
    remote: Candidate,
    checks: u32,
    /// Checks that a check of the other side has brought about.
    triggered: u32,
    next: Option<u64>,
    /// Numbers of the last checks.
    asked: VecDeque<u64>,
    last: Option<u64>,
    heard: Option<u64>,
}

impl Pair {
    fn path(&self) -> Path {
        if self.base == Base::Host && self.remote.source != Source::Relay {
            Path::Direct
        } else {
            Path::Relayed
        }
    }

    fn rank(&self) -> (bool, bool, Source) {
        let is_direct = self.path() == Path::Direct;
        (is_direct, self.base == Base::Host, self.remote.source)
    }
}

/// The way to the TURN server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// Datagrams from the session's own socket to here.
    Datagram(SocketAddr),
    /// A stream of this number.
    Stream(u64),
}

/// One allocation.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) link: Link,
    pub(super) client: TurnClient,
    /// Whom the server lets it reach: yes, no, or not known yet.
    permitted: BTreeMap<IpAddr, Option<bool>>,
    bound: BTreeSet<SocketAddr>,
    is_settled: bool,
}

impl Leg {
    pub(super) fn new(now: u64, link: Link, mut client: TurnClient) -> Self {
        client.ask(now, Ask::Allocate);
        Self {
            link,
            client,
            permitted: BTreeMap::new(),
            bound: BTreeSet::new(),
            is_settled: false,
        }
    }
}

/// One call's media.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) socket: SocketAddr,
    pub(super) legs: Vec<Leg>,
    pub(super) tally: Tally,
    ufrag: String,
    gathers_until: Option<u64>,
    remote: Described,
    is_talking: bool,
    is_ending: bool,
    pairs: Vec<Pair>,
    selected: Option<usize>,
    /// Since when no pair works.
    lacks_since: Option<u64>,
    next_packet: u64,
    sent: u64,
    seen: BTreeSet<u64>,
    random: Random,
    acts: VecDeque<Act>,
}

impl Session {
    pub(super) fn new(now: u64, socket: SocketAddr, legs: Vec<Leg>, mut random: Random) -> Self {
        Self {
            socket,
            legs,
            tally: Tally::default(),
            ufrag: random.word(6),
            gathers_until: Some(now + GATHERING),
            remote: Described::default(),
            is_talking: false,
            is_ending: false,
            pairs: Vec::new(),
            selected: None,
            lacks_since: None,
            next_packet: 0,
            sent: 0,
            seen: BTreeSet::new(),
            random,
            acts: VecDeque::new(),
        }
    }

    /// Takes over what was counted and learnt when the way is sought anew.
    pub(super) fn succeeds(&mut self, now: u64, before: &Self) {
        self.tally = before.tally.clone();
        self.sent = before.sent;
        self.seen.clone_from(&before.seen);
        self.is_talking = before.is_talking;
        self.lacks_since = Some(now + GATHERING);
        self.tally.path = None;
    }

    /// Whether everything that can be gathered is there; true once.
    pub(super) fn takes_gathered(&mut self, now: u64) -> bool {
        let is_done = self
            .gathers_until
            .is_some_and(|until| until <= now || self.legs.iter().all(|leg| leg.is_settled));
        if is_done {
            self.gathers_until = None;
        }
        is_done
    }

    pub(super) fn is_gathering(&self) -> bool {
        self.gathers_until.is_some()
    }

    /// The lines of the session description.
    pub(super) fn describes(&self, conduct: &Conduct) -> (String, String) {
        let lines = self
            .candidates(conduct)
            .iter()
            .map(|candidate| format!("{candidate}\r\n"))
            .collect();
        (self.ufrag.clone(), lines)
    }

    fn candidates(&self, conduct: &Conduct) -> Vec<Candidate> {
        let mut found = Vec::new();
        let mut add = |source, address: SocketAddr| {
            if !found
                .iter()
                .any(|known: &Candidate| known.address == address)
            {
                found.push(Candidate { source, address });
            }
        };
        if !conduct.relay_only {
            add(Source::Host, self.socket);
            for leg in &self.legs {
                if let (Link::Datagram(_), Some(mapped)) = (leg.link, leg.client.mapped) {
                    add(Source::ServerReflexive, mapped);
                }
            }
        }
        for leg in &self.legs {
            if let Some(relayed) = leg.client.relayed {
                add(Source::Relay, relayed);
            }
        }
        if let Some(address) = conduct.names {
            add(Source::Host, address);
        }
        found
    }

    /// The other side has described itself.
    pub(super) fn hears(&mut self, now: u64, remote: Described, conduct: &Conduct) {
        if remote.ufrag.is_empty() || remote == self.remote {
            return;
        }
        if remote.ufrag != self.remote.ufrag {
            self.pairs.clear();
            self.selected = None;
        }
        self.remote = remote;
        if self.is_talking {
            self.pair_up(now, conduct);
        }
    }

    /// Offer and answer are there.
    pub(super) fn starts(&mut self, now: u64, conduct: &Conduct) {
        self.is_talking = true;
        self.next_packet = now;
        self.pair_up(now, conduct);
    }

    fn pair_up(&mut self, now: u64, conduct: &Conduct) {
        for remote in self.remote.candidates.clone() {
            self.add_pairs(now, remote, conduct);
        }
        self.lacks_since.get_or_insert(now);
    }

    fn add_pairs(&mut self, now: u64, remote: Candidate, conduct: &Conduct) {
        if !conduct.relay_only {
            self.add_pair(now, Base::Host, remote);
        }
        for leg in 0..self.legs.len() {
            if self.legs[leg].client.is_allocated() {
                self.permit(now, leg, remote.address.ip());
                self.add_pair(now, Base::Leg(leg), remote);
            }
        }
    }

    fn add_pair(&mut self, now: u64, base: Base, remote: Candidate) -> Option<usize> {
        let is_same = |pair: &Pair| pair.base == base && pair.remote.address == remote.address;
        if let Some(at) = self.pairs.iter().position(is_same) {
            return Some(at);
        }
        if self.pairs.len() >= MOST_PAIRS {
            return None;
        }
        self.pairs.push(Pair {
            base,
            remote,
            checks: 0,
            triggered: 0,
            next: Some(now),
            asked: VecDeque::new(),
            last: None,
            heard: None,
        });
        Some(self.pairs.len() - 1)
    }

    fn permit(&mut self, now: u64, leg: usize, peer: IpAddr) {
        let leg = &mut self.legs[leg];
        if let std::collections::btree_map::Entry::Vacant(entry) = leg.permitted.entry(peer) {
            entry.insert(None);
            leg.client.ask(now, Ask::Permit(peer));
        }
    }

    /// The call is over: its allocations are given back.
    pub(super) fn ends(&mut self, now: u64) {
        self.is_talking = false;
        self.is_ending = true;
        self.gathers_until = None;
        self.pairs.clear();
        self.selected = None;
        for leg in &mut self.legs {
            if leg.client.is_allocated() {
                leg.client.ask(now, Ask::Refresh(0));
            } else {
                leg.client.gives_up();
            }
        }
    }

    /// Whether nothing is left to say to any server.
    pub(super) fn is_over(&self) -> bool {
        let is_quiet = |leg: &Leg| leg.client.poll_timeout().is_none();
        self.is_ending && self.legs.iter().all(is_quiet)
    }

    /// A datagram came to the session's socket.
    pub(super) fn datagram(&mut self, now: u64, from: SocketAddr, data: &[u8], conduct: &Conduct) {
        let leg = self
            .legs
            .iter()
            .position(|leg| leg.link == Link::Datagram(from));
        match leg {
            Some(leg) => self.message(now, leg, data, conduct),
            None => self.packet(now, Base::Host, from, data, conduct),
        }
    }

    /// A message of the TURN server came.
    pub(super) fn message(&mut self, now: u64, leg: usize, data: &[u8], conduct: &Conduct) {
        self.legs[leg].client.handle(now, data);
        self.digest(now, leg, conduct);
    }

    pub(super) fn timeout(&mut self, now: u64, conduct: &Conduct) {
        for leg in 0..self.legs.len() {
            self.legs[leg].client.timeout(now);
            self.digest(now, leg, conduct);
        }
        if !self.is_talking {
            return;
        }
        self.lose_consent(now);
        for at in 0..self.pairs.len() {
            if self.pairs[at].next.is_some_and(|next| next <= now) {
                self.check(now, at);
            }
        }
        if self.next_packet <= now && conduct.pace > 0 {
            self.next_packet = now + conduct.pace;
            self.send_packet(conduct);
        }
    }

    pub(super) fn poll_timeout(&self, conduct: &Conduct) -> Option<u64> {
        let legs = self.legs.iter().filter_map(|leg| leg.client.poll_timeout());
        let due = legs.chain(self.gathers_until).min();
        if !self.is_talking {
            return due;
        }
        let pairs = self.pairs.iter().filter_map(|pair| pair.next);
        let packet = (conduct.pace > 0).then_some(self.next_packet);
        let broken = self.lacks_since.map(|since| since + PATIENCE);
        pairs.chain(due).chain(packet).chain(broken).min()
    }

    pub(super) fn poll_act(&mut self) -> Option<Act> {
        for leg in &mut self.legs {
            if let Some(payload) = leg.client.poll_out() {
                return Some(match leg.link {
                    Link::Datagram(to) => Act::Datagram {
                        from: self.socket,
                        to,
                        payload,
                    },
                    Link::Stream(stream) => Act::Frame { stream, payload },
                });
            }
        }
        self.acts.pop_front()
    }

    /// Whether the way is lost for so long that it should be sought anew; true once for each loss.
    pub(super) fn takes_broken(&mut self, now: u64) -> bool {
        let is_broken = self.is_talking
            && !self.is_gathering()
            && self
                .lacks_since
                .is_some_and(|since| since + PATIENCE <= now);
        if is_broken {
            self.lacks_since = None;
        }
        is_broken
    }

    fn digest(&mut self, now: u64, leg: usize, conduct: &Conduct) {
        while let Some(told) = self.legs[leg].client.poll_told() {
            match told {
                Told::Granted(Ask::Allocate) => self.legs[leg].is_settled = true,
                Told::Granted(Ask::Permit(peer)) => {
                    self.legs[leg].permitted.insert(peer, Some(true));
                }
                Told::Granted(Ask::Refresh(_) | Ask::Bind(_)) => {}
                Told::Refused(ask, code) => self.on_refused(leg, ask, code),
                Told::Data(peer, data) => {
                    self.packet(now, Base::Leg(leg), peer, &data, conduct);
                }
            }
        }
    }

    fn on_refused(&mut self, leg: usize, ask: Ask, code: Option<u16>) {
        if let Ask::Allocate = ask {
            self.legs[leg].is_settled = true;
        }
        if let Ask::Permit(peer) = ask {
            self.legs[leg].permitted.insert(peer, Some(false));
        }
        self.tally.refused.push((ask, code));
    }

    /// A check, its answer, or media.
    fn packet(&mut self, now: u64, base: Base, from: SocketAddr, data: &[u8], conduct: &Conduct) {
        let text = String::from_utf8_lossy(data);
        let mut words = text.split_whitespace();
        let (kind, to) = (words.next(), words.next());
        self.tally.strange += u64::from(!matches!(kind, Some("ask" | "ack" | "pkt")));
        // What was for the way before is of no use any more.
        if to != Some(self.ufrag.as_str()) || self.is_ending {
            return;
        }
        match (kind, words.next(), words.next()) {
            (Some("ask"), Some(back), Some(number)) => {
                if conduct.relay_only && base == Base::Host {
                    return;
                }
                let answer = format!("ack {back} {number}");
                self.send(base, from, answer.as_bytes());
                if self.is_talking && back == self.remote.ufrag {
                    self.on_asked(now, base, from);
                }
            }
            (Some("ack"), Some(number), _) => self.on_answered(now, base, from, number),
            (Some("pkt"), Some(number), _) => {
                if let Ok(number) = number.parse() {
                    self.tally.received += u64::from(self.seen.insert(number));
                    self.tally.bytes_received += data.len() as u64;
                    self.tally.last = now;
                }
            }
            (_, _, _) => {}
        }
    }

    /// The other side reaches us here: a check back has every chance (RFC 8445 §7.3.1.4).
    fn on_asked(&mut self, now: u64, base: Base, from: SocketAddr) {
        let known = self.remote.candidates.iter().find(|c| c.address == from);
        let source = known.map_or(Source::PeerReflexive, |known| known.source);
        let remote = Candidate {
            source,
            address: from,
        };
        let Some(at) = self.add_pair(now, base, remote) else {
            return;
        };
        let pair = &mut self.pairs[at];
        let has_just_asked = pair.last.is_some_and(|last| last + CHECK_PAUSE > now);
        let may_try = pair.triggered < MOST_TRIGGERED && !has_just_asked;
        if pair.heard.is_none() && may_try {
            pair.triggered += 1;
            pair.checks = pair.checks.min(MOST_CHECKS / 2);
            pair.next = Some(now);
        }
        if let Base::Leg(leg) = base {
            self.permit(now, leg, from.ip());
        }
    }

    fn on_answered(&mut self, now: u64, base: Base, from: SocketAddr, number: &str) {
        let is_it = |pair: &Pair| {
            pair.base == base
                && pair.remote.address == from
                && number
                    .parse()
                    .is_ok_and(|number: u64| pair.asked.contains(&number))
        };
        let Some(at) = self.pairs.iter().position(is_it) else {
            return;
        };
        self.pairs[at].heard = Some(now);
        self.pairs[at].checks = 0;
        self.pairs[at].next = Some(now + CONSENT_PAUSE);
        let is_better = self
            .selected
            .is_none_or(|selected| self.pairs[selected].rank() < self.pairs[at].rank());
        if is_better {
            self.select(now, at);
        }
    }

    fn select(&mut self, now: u64, at: usize) {
        self.selected = Some(at);
        self.lacks_since = None;
        let pair = &self.pairs[at];
        self.tally.path = Some(pair.path());
        if let Base::Leg(leg) = pair.base {
            let peer = pair.remote.address;
            if self.legs[leg].bound.insert(peer) {
                self.legs[leg].client.ask(now, Ask::Bind(peer));
            }
        }
    }

    fn lose_consent(&mut self, now: u64) {
        let Some(selected) = self.selected else {
            return;
        };
        let heard = self.pairs[selected].heard.unwrap_or(0);
        if heard + CONSENT_LIFE > now {
            return;
        }
        self.selected = None;
        self.tally.path = None;
        self.lacks_since = Some(now);
        // Every pair has its chance again.
        for pair in &mut self.pairs {
            (pair.heard, pair.checks, pair.next) = (None, 0, Some(now));
            pair.triggered = 0;
        }
    }

    fn check(&mut self, now: u64, at: usize) {
        let pair = &self.pairs[at];
        let is_idle = pair.heard.is_some() && self.selected.is_some_and(|chosen| chosen != at);
        if is_idle || pair.checks >= MOST_CHECKS {
            self.pairs[at].next = None;
            return;
        }
        let may = match pair.base {
            Base::Host => Some(true),
            Base::Leg(leg) => {
                let permitted = &self.legs[leg].permitted;
                permitted.get(&pair.remote.address.ip()).copied().flatten()
            }
        };
        let (base, to, checks) = (pair.base, pair.remote.address, pair.checks);
        let number = self.random.bits() >> 16;
        match may {
            Some(true) => {
                let ask = format!("ask {} {} {number}", self.remote.ufrag, self.ufrag);
                let asked = &mut self.pairs[at].asked;
                asked.push_back(number);
                if asked.len() > CHECKS_REMEMBERED {
                    asked.pop_front();
                }
                self.pairs[at].last = Some(now);
                self.pairs[at].checks += 1;
                self.send(base, to, ask.as_bytes());
            }
            // Not known yet.
            None => self.pairs[at].checks += 1,
            Some(false) => {
                self.pairs[at].next = None;
                return;
            }
        }
        let is_kept = self.pairs[at].heard.is_some();
        let pause = if is_kept {
            CHECK_PAUSE * 4
        } else {
            CHECK_PAUSE << checks.min(3)
        };
        self.pairs[at].next = Some(now + pause);
    }

    fn send_packet(&mut self, conduct: &Conduct) {
        let Some(selected) = self.selected else {
            return;
        };
        self.sent += 1;
        self.tally.sent += 1;
        let mut packet = format!("pkt {} {} ", self.remote.ufrag, self.sent).into_bytes();
        packet.resize(packet.len().max(conduct.bytes), b'.');
        let (base, to) = (
            self.pairs[selected].base,
            self.pairs[selected].remote.address,
        );
        self.send(base, to, &packet);
    }

    fn send(&mut self, base: Base, to: SocketAddr, payload: &[u8]) {
        match base {
            Base::Host => self.acts.push_back(Act::Datagram {
                from: self.socket,
                to,
                payload: payload.to_vec(),
            }),
            Base::Leg(leg) => self.legs[leg].client.send(to, payload),
        }
    }
}
