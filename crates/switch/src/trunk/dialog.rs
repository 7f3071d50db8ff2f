//! What a line remembers of a call: whom it is with, by which way (RFC 3261 §12), how far its CSeq is ahead of the shard's, and
//! the ACK that may have to be sent again (§13.2.2.4).
//!
//! Bounded in number, and each in time. Never sends anything.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use model::{Instant, Trunk, limits};
use sip::{Headers, Name};

use super::deadlines::Deadlines;
use super::reliable::Heard;

/// The Call-ID, and the tag of our side.
pub(super) type DialogKey = (String, String);

/// Our INVITE that a peer has taken. Several may, if a peer asks several at once (§13.2.2.4); a later one inside the dialog replaces
/// that of the same peer.
#[derive(Debug)]
pub(super) struct Accepted {
    /// As the shard counts.
    pub(super) shard_cseq: u32,
    /// As the peer does.
    pub(super) cseq: u32,
    /// Who took it.
    pub(super) to_tag: String,
    /// Whom it was sent to.
    pub(super) peer: SocketAddr,
    /// Whether the shard still wanted it: a call is with one of those.
    pub(super) is_wanted: bool,
    /// The way to it, the next hop first.
    pub(super) routes: Vec<String>,
    /// What let it in; an ACK has the same (§22.1).
    pub(super) authorization: Option<(&'static str, String)>,
    /// The shard's ACK as it was sent, and to whom.
    pub(super) ack: Option<(SocketAddr, Vec<u8>)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Dialog {
    pub(super) peer: SocketAddr,
    /// Where its connection came from, if the peer made that one.
    pub(super) source: Option<SocketAddr>,
    /// The way to whoever called us, or has not taken our call yet.
    pub(super) routes: Vec<String>,
    /// What is added to the shard's CSeq.
    offset: u32,
    /// The highest CSeq that the peer has seen.
    last_cseq: u32,
    /// The first that is wanted is the one that the call is with.
    accepted: Vec<Accepted>,
    /// The transaction whose 2xx waits for its ACK, and the CSeq of both.
    pub(super) unacknowledged: Option<(u64, u32)>,
    /// What was heard reliably of our INVITE.
    pub(super) heard: Vec<Heard>,
    /// The peer's INVITE whose provisional answers must arrive.
    pub(super) reliable: Option<u64>,
    is_over: bool,
    until: Instant,
}

impl Dialog {
    /// The shard's CSeq, as the peer shall see it.
    pub(super) fn number(&mut self, shard_cseq: u32) -> u32 {
        let cseq = shard_cseq.saturating_add(self.offset);
        self.last_cseq = self.last_cseq.max(cseq);
        cseq
    }

    /// The same again behind all that the peer has seen: it was challenged (RFC 3261 §22.2). The shard's next ones come after it.
    pub(super) fn renumber(&mut self, shard_cseq: u32) -> u32 {
        self.last_cseq = self.last_cseq.saturating_add(1);
        self.offset = self.last_cseq.saturating_sub(shard_cseq);
        self.last_cseq
    }

    /// The way to whom a request is for.
    pub(super) fn routes(&self, to_tag: &str) -> &[String] {
        self.accepted_by(to_tag)
            .map_or(&self.routes, |accepted| &accepted.routes)
    }

    /// The peer, or the first hop of the way if that may be spoken to.
    pub(super) fn next_hop(&self, to_tag: &str, trunk: &Trunk) -> SocketAddr {
        let usual = trunk.transport.port();
        let first = self.routes(to_tag).first();
        let hop = first.and_then(|route| super::rewrite::route_address(route, usual));
        let peer = self.accepted_by(to_tag).map(|accepted| accepted.peer);
        hop.filter(|hop| trunk.admits(hop.ip()))
            .unwrap_or(peer.unwrap_or(self.peer))
    }

    pub(super) fn accepted_by(&self, to_tag: &str) -> Option<&Accepted> {
        let mut all = self.accepted.iter();
        all.find(|accepted| accepted.to_tag == to_tag)
    }

    pub(super) fn accepted_by_mut(&mut self, to_tag: &str) -> Option<&mut Accepted> {
        let mut all = self.accepted.iter_mut();
        all.find(|accepted| accepted.to_tag == to_tag)
    }

    /// The SDP of the reliable answer before a 2xx that has none (RFC 3262 §5).
    pub(super) fn early_sdp(&self, to_tag: &str, cseq: u32) -> Option<&[u8]> {
        let mut heard = self.heard.iter();
        let of_it = heard.find(|heard| heard.to_tag == to_tag && heard.cseq == cseq);
        of_it?.sdp.as_deref()
    }

    pub(super) fn is_accepted(&self) -> bool {
        self.accepted.iter().any(|accepted| accepted.is_wanted)
    }

    /// Whether a request for this one is for whom the call is with, and not for another that took it as well.
    fn is_with(&self, to_tag: &str) -> bool {
        let mut wanted = self.accepted.iter().filter(|accepted| accepted.is_wanted);
        wanted
            .next()
            .is_none_or(|accepted| accepted.to_tag == to_tag)
    }

    /// Somebody takes our INVITE. Says whether that is news and there is room for it.
    pub(super) fn accept(&mut self, news: Accepted) -> bool {
        let has_room = self.accepted.len() < limits::TRUNK_FORKS;
        match self.accepted_by_mut(&news.to_tag) {
            Some(known) if known.cseq >= news.cseq => return false,
            Some(known) => *known = news,
            None if has_room => self.accepted.push(news),
            None => return false,
        }
        true
    }
}

/// All of a line.
#[derive(Debug)]
pub(super) struct Dialogs {
    all: BTreeMap<DialogKey, Dialog>,
    deadlines: Deadlines<DialogKey>,
}

impl Dialogs {
    pub(super) fn new() -> Self {
        Self {
            all: BTreeMap::new(),
            deadlines: Deadlines::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.all.len() >= limits::TRUNK_DIALOGS
    }

    /// Begins one, unless it is there. Whether there is room was asked when its INVITE came: only as many as there are transactions
    /// can begin after that.
    pub(super) fn open(&mut self, key: &DialogKey, peer: SocketAddr, now: Instant) {
        if self.all.contains_key(key) {
            return;
        }
        let until = now + limits::TRUNK_DIALOG_TIME;
        self.deadlines.shift(key, None, Some(until));
        let dialog = Dialog {
            peer,
            source: None,
            routes: Vec::new(),
            offset: 0,
            last_cseq: 0,
            accepted: Vec::new(),
            unacknowledged: None,
            heard: Vec::new(),
            reliable: None,
            is_over: false,
            until,
        };
        self.all.insert(key.clone(), dialog);
    }

    /// Something may still come of it, though nothing is said in it any more.
    pub(super) fn linger(&mut self, key: &DialogKey, now: Instant) {
        let least = now + limits::TRANSACTION_TIME + limits::TRANSACTION_TIME;
        if self.all.get(key).is_some_and(|dialog| dialog.until < least) {
            self.keep_until(key, least);
        }
    }

    /// A shard calls: what was refused is perhaps asked otherwise (RFC 3261 §8.1.3.5), and goes on counting.
    pub(super) fn call(&mut self, key: &DialogKey, peer: SocketAddr, now: Instant) {
        self.open(key, peer, now);
        if let Some(known) = self.all.get_mut(key) {
            known.peer = peer;
            if std::mem::replace(&mut known.is_over, false) {
                self.touch(key, now);
            }
        }
    }

    pub(super) fn get(&self, key: &DialogKey) -> Option<&Dialog> {
        self.all.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &DialogKey) -> Option<&mut Dialog> {
        self.all.get_mut(key)
    }

    /// Something was said in it.
    pub(super) fn touch(&mut self, key: &DialogKey, now: Instant) {
        if self.all.get(key).is_some_and(|dialog| !dialog.is_over) {
            self.keep_until(key, now + limits::TRUNK_DIALOG_TIME);
        }
    }

    /// A BYE of the shard's to this one: the call is over, unless it is one of several that took it.
    pub(super) fn hang_up(&mut self, key: &DialogKey, to_tag: &str, now: Instant) {
        if self
            .all
            .get(key)
            .is_some_and(|dialog| dialog.is_with(to_tag))
        {
            self.end(key, now);
        }
    }

    /// It is over: kept for what is still under way.
    pub(super) fn end(&mut self, key: &DialogKey, now: Instant) {
        if let Some(dialog) = self.all.get_mut(key) {
            dialog.is_over = true;
        }
        self.keep_until(
            key,
            now + limits::TRANSACTION_TIME + limits::TRANSACTION_TIME,
        );
    }

    fn keep_until(&mut self, key: &DialogKey, until: Instant) {
        if let Some(dialog) = self.all.get_mut(key) {
            let before = std::mem::replace(&mut dialog.until, until);
            self.deadlines.shift(key, Some(before), Some(until));
        }
    }

    pub(super) fn first_end(&self) -> Option<Instant> {
        self.deadlines.first()
    }

    pub(super) fn forget_ended(&mut self, now: Instant) {
        while let Some(key) = self.deadlines.due(now) {
            let until = self.all.remove(&key).map(|dialog| dialog.until);
            self.deadlines.shift(&key, until, None);
        }
    }

    /// Whether any is with whoever is there.
    pub(super) fn has_one_with(&self, ip: IpAddr) -> bool {
        self.all.values().any(|dialog| {
            let taken = dialog.accepted.iter().map(|accepted| accepted.peer);
            let mut all = taken.chain(dialog.source).chain([dialog.peer]);
            all.any(|at| is_at(ip, at))
        })
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Whether an address is on this machine.
pub(super) fn is_at(ip: IpAddr, at: SocketAddr) -> bool {
    at.ip().to_canonical() == ip.to_canonical()
}

/// The Record-Route items of a message in its order; none if they are too many to be kept.
pub(super) fn record_routes(headers: &Headers<'_>) -> Vec<String> {
    let length: usize = headers.all(Name::RecordRoute).map(str::len).sum();
    if length > limits::ADDRESS_BYTES {
        return Vec::new();
    }
    headers
        .items(Name::RecordRoute)
        .map(str::to_owned)
        .collect()
}
