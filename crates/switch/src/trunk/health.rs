//! Which peers answer, as far as is known (RFC 3261 §11, RFC 3263 §4.3): the first that does is used.
//!
//! Asks only where the trunk says so; without that every peer always counts as there.

use std::net::SocketAddr;
use std::time::Duration;

use model::{Instant, Now, limits};
use sip::transaction::{Client, ClientKey};
use sip::{MessageWriter, Method, Name, Response};

use super::asking::{Asked, Origin};
use super::deadlines::moment;
use super::line::Line;
use super::names::drawn;
use crate::random::Random;

/// Somebody who may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) address: SocketAddr,
    /// Those with the same share what there is; the least comes first.
    pub(super) rank: u32,
    /// Which host it is; the first address that answers stands for it.
    pub(super) host: (usize, usize),
    /// Of its share (RFC 2782).
    pub(super) weight: u16,
}

impl Candidate {
    /// One that shares with nobody.
    pub(super) fn alone(address: SocketAddr, rank: u32) -> Self {
        Self {
            address,
            rank,
            host: (rank as usize, 0),
            weight: 0,
        }
    }
}

#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    candidate: Candidate,
    /// It did not answer when it was last spoken to.
    is_silent: bool,
    /// It is being asked.
    is_asked: bool,
    /// Until then it wants to be left alone (RFC 3261 §21.5.4).
    rests: Option<Instant>,
}

impl Peer {
    fn new(candidate: Candidate) -> Self {
        Self {
            address: candidate.address,
            candidate,
            is_silent: false,
            is_asked: false,
            rests: None,
        }
    }

    fn may_be_used(&self) -> bool {
        !self.is_silent && self.rests.is_none()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Health {
    peers: Vec<Peer>,
    /// Between two questions; `None`: none is asked.
    pause: Option<Duration>,
    pub(super) due: Option<Instant>,
    /// What the last peer that was found silent said; 408 for nothing.
    refused: Option<u16>,
    call_id: String,
    tag: String,
    cseq: u32,
}

impl Health {
    pub(super) fn new(
        candidates: Vec<Candidate>,
        pause: Option<Duration>,
        now: Instant,
        call_id: String,
        tag: String,
    ) -> Self {
        Self {
            peers: candidates.into_iter().map(Peer::new).collect(),
            pause,
            due: pause.map(|_| now),
            refused: None,
            call_id,
            tag,
            cseq: 0,
        }
    }

    /// The first peer that may be there and is not among `tried`.
    pub(super) fn next(&self, tried: &[SocketAddr]) -> Option<SocketAddr> {
        let mut peers = self.peers.iter().filter(|peer| peer.may_be_used());
        peers
            .find(|peer| !tried.contains(&peer.address))
            .map(|peer| peer.address)
    }

    /// The same for one call: those of the first rank have their shares, by their weights.
    pub(super) fn draw(&self, tried: &[SocketAddr], random: &mut Random) -> Option<SocketAddr> {
        let usable = |peer: &&Peer| peer.may_be_used() && !tried.contains(&peer.address);
        let rank = self.peers.iter().find(usable)?.candidate.rank;
        let mut hosts: Vec<Candidate> = Vec::new();
        for Peer { candidate, .. } in self.peers.iter().filter(usable) {
            let is_new = hosts.iter().all(|known| known.host != candidate.host);
            if candidate.rank == rank && is_new {
                hosts.push(*candidate);
            }
        }
        let weights: Vec<u16> = hosts.iter().map(|host| host.weight).collect();
        let at = match weights.iter().any(|weight| *weight > 0) && hosts.len() > 1 {
            true => drawn(&weights, random),
            false => 0,
        };
        hosts.get(at).map(|host| host.address)
    }

    /// The peers are others now. What is known of those that stay is kept; new ones are asked at once.
    pub(super) fn replace(&mut self, candidates: Vec<Candidate>, now: Instant) {
        let mut before = std::mem::take(&mut self.peers);
        for candidate in candidates {
            let known = before
                .iter()
                .position(|peer| peer.address == candidate.address);
            self.peers.push(match known {
                Some(at) => Peer {
                    candidate,
                    ..before.swap_remove(at)
                },
                None => Peer::new(candidate),
            });
        }
        self.due = self.pause.map(|_| now);
    }

    /// The status of the last failure, while a peer is missed.
    pub(super) fn refused(&self) -> Option<u16> {
        let is_missed = self.peers.iter().any(|peer| peer.is_silent);
        self.refused.filter(|_| is_missed)
    }

    /// A peer has said something.
    pub(super) fn answers(&mut self, address: SocketAddr) {
        if let Some(peer) = self.peer(address) {
            peer.is_silent = false;
        }
    }

    /// A peer did not answer (408), or said that it cannot (503).
    pub(super) fn fails(&mut self, address: SocketAddr, status: u16) {
        if self.pause.is_none() {
            return;
        }
        if let Some(peer) = self.peer(address) {
            peer.is_silent = true;
            self.refused = Some(status);
        }
    }

    /// A peer failed something else than our question: it is asked at once, as it may have meant that request only.
    pub(super) fn doubt(&mut self, address: SocketAddr, status: u16, now: Instant) {
        self.fails(address, status);
        self.due = self.pause.map(|_| now);
    }

    /// A peer says that it cannot now, and for how long nobody is to ask it.
    pub(super) fn rests(&mut self, address: SocketAddr, response: &Response<'_>, now: Instant) {
        let asked = retry_after(response);
        if let (Some(asked), Some(peer)) = (asked, self.peer(address)) {
            peer.rests = Some(now + asked.min(limits::TRUNK_RETRY_AFTER));
        }
    }

    /// When the first of those that rest has done so.
    pub(super) fn first_rested(&self) -> Option<Instant> {
        self.peers.iter().filter_map(|peer| peer.rests).min()
    }

    /// Whoever has rested may be used.
    pub(super) fn wake_rested(&mut self, now: Instant) {
        for peer in &mut self.peers {
            peer.rests.take_if(|until| *until <= now);
        }
    }

    /// The server is going down: nobody is asked any more.
    pub(super) fn stop(&mut self) {
        (self.pause, self.due) = (None, None);
    }

    /// Whom to ask now: those that are used, or would be if they answered, and those that share with them.
    fn to_ask(&self) -> Vec<SocketAddr> {
        let used = self.peers.iter().find(|peer| peer.may_be_used());
        let rank = used.map_or(u32::MAX, |used| used.candidate.rank);
        let mut peers = self.peers.iter();
        let beyond = peers.position(|peer| peer.candidate.rank > rank);
        let count = beyond.unwrap_or(self.peers.len());
        let peers = self.peers.iter().take(count);
        let idle = peers.filter(|peer| !peer.is_asked && peer.rests.is_none());
        idle.map(|peer| peer.address).collect()
    }

    fn peer(&mut self, address: SocketAddr) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.address == address)
    }
}

impl Line {
    pub(super) fn check_peers(&mut self, now: Now) {
        self.health.due = self.health.pause.map(|pause| now.mono + pause);
        for peer in self.health.to_ask() {
            self.check(now, peer);
        }
    }

    fn check(&mut self, now: Now, to: SocketAddr) {
        let branch = self.mint_branch();
        self.health.cseq = self.health.cseq.wrapping_add(1) & 0x7fff_ffff;
        if let Some(peer) = self.health.peer(to) {
            peer.is_asked = true;
        }
        let domain = &self.trunk().domain;
        let mut writer = MessageWriter::request("OPTIONS", &format!("sip:{domain}"));
        let address = self.own_address();
        writer
            .header("Via", self.here().via(&branch))
            .header("Max-Forwards", 70)
            .header("From", format_args!("<{address}>;tag={}", self.health.tag))
            .header("To", format_args!("<sip:{domain}>"))
            .header("Call-ID", &self.health.call_id)
            .header("CSeq", format_args!("{} OPTIONS", self.health.cseq))
            .header("Contact", self.here().contact(None))
            .header("Accept", "application/sdp");
        self.send_first(Asked {
            client: Client::new(false, self.reliability(), moment(now.mono)),
            key: ClientKey::new(&branch, Method::Options),
            origin: Origin::Check,
            to,
            by: None,
            sent: writer.finish(),
            cseq: self.health.cseq,
            authorization: None,
            is_heard: false,
            ack: None,
            gives_up: None,
        });
    }

    /// Any answer but 503 means that somebody is there.
    pub(super) fn on_check_answer(&mut self, now: Now, id: u64, status: Option<u16>) {
        let Some(to) = self.asking.get_mut(id).map(|asked| asked.to) else {
            return;
        };
        if let Some(peer) = self.health.peer(to) {
            peer.is_asked = false;
        }
        if status.is_some_and(|status| status != 503) {
            return self.health.answers(to);
        }
        if self.health.pause.is_none() {
            // Nobody is asked any more, and so nobody is found silent.
            return;
        }
        let was = self.health.next(&[]);
        self.health.fails(to, status.unwrap_or(408));
        // The next one is asked without delay whether it is any better.
        if was == Some(to)
            && let Some(next) = self.health.next(&[])
            && self.health.to_ask().contains(&next)
        {
            self.check(now, next);
        }
    }
}

/// The seconds in front of a comment and of parameters (RFC 3261 §20.33).
fn retry_after(response: &Response<'_>) -> Option<Duration> {
    let row = response.headers.get(Name::RetryAfter)?;
    let digits = row.trim_start();
    let end = digits.find(|letter: char| !letter.is_ascii_digit());
    let digits = &digits[..end.unwrap_or(digits.len())];
    match digits.is_empty() {
        true => None,
        // More digits than a number has: longer than any bound.
        false => Some(Duration::from_secs(
            digits.parse().unwrap_or(u64::from(u32::MAX)),
        )),
    }
}
