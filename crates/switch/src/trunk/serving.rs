//! The requests of peers, until nothing more can come of them: their server transactions (RFC 3261 §17.2), and the 2xx to an
//! INVITE until its ACK comes (§13.3.1.4).
//!
//! Finds them by what comes again and by what a shard answers; never sends anything.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use model::Instant;
use sip::transaction::{Repetition, Server, ServerKey};

use super::deadlines::{Deadlines, instant, moment};
use super::dialog::is_at;

/// A 2xx, or a provisional answer, that nobody has acknowledged.
#[derive(Debug)]
pub(super) struct Unheard {
    pub(super) has_sdp: bool,
    pub(super) repetition: Repetition,
    pub(super) message: Vec<u8>,
    pub(super) until: Instant,
}

/// Of an INVITE whose sender wants provisional answers to arrive (RFC 3262).
#[derive(Debug, Default)]
pub(super) struct Reliable {
    /// The last one's.
    pub(super) rseq: Option<u32>,
    /// Until its PRACK comes.
    pub(super) unheard: Option<Unheard>,
    /// What the shard has said since and must not overtake it: SDP, or a 2xx after SDP (§3, §5).
    pub(super) held: Option<Vec<u8>>,
}

/// A request of a peer.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) server: Server,
    pub(super) key: ServerKey,
    pub(super) is_invite: bool,
    /// It opens a dialog, or stands alone.
    pub(super) is_initial: bool,
    /// Whence it came, and where answers go.
    pub(super) from: SocketAddr,
    pub(super) record_routes: Vec<String>,
    pub(super) cseq: u32,
    pub(super) reliable: Option<Reliable>,
    pub(super) unheard: Option<Unheard>,
    /// When it is forgotten, if the shard never answers.
    pub(super) unanswered: Option<Instant>,
    /// Nothing more can come of it.
    pub(super) is_over: bool,
}

impl Served {
    /// What is to be sent again because nobody has said that it has arrived.
    pub(super) fn repeat_unheard(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let early = self.reliable.as_mut().map(|reliable| &mut reliable.unheard);
        let mut again = Vec::new();
        for unheard in [Some(&mut self.unheard), early].into_iter().flatten() {
            unheard.take_if(|unheard| unheard.until <= now);
            if let Some(unheard) = unheard
                && unheard.repetition.is_due(moment(now))
            {
                again.push(unheard.message.clone());
            }
        }
        again
    }

    /// What the shard has said and nobody has heard, because what came before it was never acknowledged.
    pub(super) fn give_up_held(&mut self) -> Option<Vec<u8>> {
        let reliable = self.reliable.as_mut()?;
        match reliable.unheard {
            Some(_) => None,
            None => reliable.held.take(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let early = self
            .reliable
            .as_ref()
            .and_then(|early| early.unheard.as_ref());
        let unheard = self.unheard.iter().chain(early);
        let again = unheard.filter_map(|unheard| {
            let next = instant(unheard.repetition.next())?;
            Some(next.min(unheard.until))
        });
        let ends = instant(self.server.deadline());
        ends.into_iter().chain(again).chain(self.unanswered).min()
    }
}

/// All of a line.
#[derive(Debug)]
pub(super) struct Serving {
    all: BTreeMap<u64, (Served, Option<Instant>)>,
    by_key: BTreeMap<ServerKey, u64>,
    deadlines: Deadlines<u64>,
    last: u64,
}

impl Serving {
    pub(super) fn new() -> Self {
        Self {
            all: BTreeMap::new(),
            by_key: BTreeMap::new(),
            deadlines: Deadlines::new(),
            last: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether any came from whoever is there.
    pub(super) fn has_one_with(&self, ip: IpAddr) -> bool {
        let mut all = self.all.values();
        all.any(|(served, _)| is_at(ip, served.from))
    }

    /// Whether an answer is still to be acknowledged.
    pub(super) fn is_waiting(&self) -> bool {
        self.all
            .values()
            .any(|(served, _)| served.unheard.is_some())
    }

    pub(super) fn insert(&mut self, served: Served) {
        self.last += 1;
        let id = self.last;
        self.by_key.insert(served.key.clone(), id);
        let until = served.deadline();
        self.deadlines.shift(&id, None, until);
        self.all.insert(id, (served, until));
    }

    pub(super) fn find(&self, key: &ServerKey) -> Option<u64> {
        self.by_key.get(key).copied()
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Served> {
        self.all.get_mut(&id).map(|(served, _)| served)
    }

    /// It has changed: it may be due at another time, or not at all.
    pub(super) fn requeue(&mut self, id: u64) {
        let Some((served, queued)) = self.all.get_mut(&id) else {
            return;
        };
        if !served.is_over {
            let to = served.deadline();
            self.deadlines.shift(&id, *queued, to);
            *queued = to;
            return;
        }
        self.deadlines.shift(&id, *queued, None);
        self.by_key.remove(&served.key);
        self.all.remove(&id);
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.deadlines.first()
    }

    pub(super) fn due(&self, now: Instant) -> Option<u64> {
        self.deadlines.due(now)
    }
}
