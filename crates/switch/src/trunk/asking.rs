//! The requests that a line has sent, until nothing more can come of them: their client transactions (RFC 3261 §17.1), and who
//! waits for the answer.
//!
//! Finds them by what is answered and by what a shard sends after; never sends anything.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use model::Instant;
use sip::transaction::{Client, ClientKey};

use super::deadlines::{Deadlines, instant};
use super::dialog::{DialogKey, is_at};

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Origin {
    /// The shard.
    Shard(Box<FromShard>),
    /// Our registration.
    Registration,
    /// We want to know whether the peer is there.
    Check,
    /// Nobody any more: an INVITE that was given up. Whoever takes it all the same is told that it is over.
    Forsaken(Box<FromShard>),
    /// Nobody, or nobody any more: answers are absorbed.
    Nobody,
}

/// A request of the shard's, until its final answer.
#[derive(Clone, Debug)]
pub(super) struct FromShard {
    /// As it came.
    pub(super) message: Vec<u8>,
    pub(super) via: String,
    pub(super) branch: String,
    pub(super) cseq: u32,
    pub(super) is_invite: bool,
    /// It opens a dialog, or stands alone: any peer will do.
    pub(super) is_initial: bool,
    pub(super) dialog: DialogKey,
    /// Peers that did not take it.
    pub(super) tried: Vec<SocketAddr>,
    pub(super) cancel: Cancel,
    /// It is an INVITE, and somebody has taken it: others may as well.
    pub(super) is_accepted: bool,
    /// Challenges answered.
    pub(super) answered: u8,
    /// It is the line's own, as a shard would ask it: nobody is told what comes of it.
    pub(super) is_own: bool,
}

/// Whether the shard takes its INVITE back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cancel {
    No,
    /// It does, but the peer has said nothing yet (RFC 3261 §9.1). With the Reason rows.
    Waits(Vec<String>),
    /// With the same, for a BYE if the peer takes the call all the same.
    Sent(Vec<String>),
}

impl Cancel {
    /// The Reason rows.
    pub(super) fn reasons(&self) -> &[String] {
        match self {
            Self::No => &[],
            Self::Waits(reasons) | Self::Sent(reasons) => reasons,
        }
    }
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) client: Client,
    pub(super) key: ClientKey,
    pub(super) origin: Origin,
    pub(super) to: SocketAddr,
    /// The source of a connection that it goes by, as long as that is open.
    pub(super) by: Option<SocketAddr>,
    pub(super) sent: Vec<u8>,
    /// As the peer counts.
    pub(super) cseq: u32,
    pub(super) authorization: Option<(&'static str, String)>,
    /// Anything has come.
    pub(super) is_heard: bool,
    /// Of the refusal of an INVITE.
    pub(super) ack: Option<Vec<u8>>,
    /// When an INVITE that rings is given up.
    pub(super) gives_up: Option<Instant>,
}

impl Asked {
    fn deadline(&self) -> Option<Instant> {
        let ends = instant(self.client.deadline());
        ends.into_iter().chain(self.gives_up).min()
    }
}

#[derive(Debug)]
struct Kept {
    asked: Asked,
    queued: Option<Instant>,
    /// The shard's, of its INVITE.
    branch: Option<String>,
}

/// All of a line.
#[derive(Debug)]
pub(super) struct Asking {
    all: BTreeMap<u64, Kept>,
    by_key: BTreeMap<ClientKey, u64>,
    /// INVITEs, by the shard's branch.
    by_branch: BTreeMap<String, u64>,
    deadlines: Deadlines<u64>,
    last: u64,
}

impl Asking {
    pub(super) fn new() -> Self {
        Self {
            all: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_branch: BTreeMap::new(),
            deadlines: Deadlines::new(),
            last: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether any went to whoever is there.
    pub(super) fn has_one_with(&self, ip: IpAddr) -> bool {
        let mut all = self.all.values();
        all.any(|kept| is_at(ip, kept.asked.to) || kept.asked.by.is_some_and(|by| is_at(ip, by)))
    }

    /// Whether a final answer is still to come to any.
    pub(super) fn is_waiting(&self) -> bool {
        let mut all = self.all.values();
        all.any(|kept| kept.asked.client.is_unanswered())
    }

    pub(super) fn insert(&mut self, asked: Asked) -> u64 {
        self.last += 1;
        let id = self.last;
        let branch = match &asked.origin {
            Origin::Shard(from) if from.is_invite => Some(from.branch.clone()),
            Origin::Shard(_)
            | Origin::Registration
            | Origin::Check
            | Origin::Forsaken(_)
            | Origin::Nobody => None,
        };
        if let Some(branch) = &branch {
            self.by_branch.insert(branch.clone(), id);
        }
        self.by_key.insert(asked.key.clone(), id);
        let queued = asked.deadline();
        self.deadlines.shift(&id, None, queued);
        let kept = Kept {
            asked,
            queued,
            branch,
        };
        self.all.insert(id, kept);
        id
    }

    /// Those that went to this peer by a connection of ours and that it has said nothing to.
    pub(super) fn unheard(&self, to: SocketAddr) -> Vec<u64> {
        let is_unheard = |asked: &Asked| {
            asked.to == to && asked.by.is_none() && !asked.is_heard && asked.client.is_unanswered()
        };
        let all = self.all.iter();
        let unheard = all.filter(|(_, kept)| is_unheard(&kept.asked));
        unheard.map(|(id, _)| *id).collect()
    }

    pub(super) fn find(&self, key: &ClientKey) -> Option<u64> {
        self.by_key.get(key).copied()
    }

    /// The INVITE that a shard sent with this branch.
    pub(super) fn find_invite(&self, branch: &str) -> Option<u64> {
        self.by_branch.get(branch).copied()
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Asked> {
        self.all.get_mut(&id).map(|kept| &mut kept.asked)
    }

    /// Takes over from whoever waits for the answer.
    pub(super) fn take_origin(&mut self, id: u64) -> Origin {
        match self.all.get_mut(&id) {
            Some(kept) => std::mem::replace(&mut kept.asked.origin, Origin::Nobody),
            None => Origin::Nobody,
        }
    }

    /// Nobody wants it any more, and it is not sent again.
    pub(super) fn abandon(&mut self, id: u64) {
        self.take_origin(id);
        if let Some(asked) = self.get_mut(id) {
            asked.client.on_transport_lost();
        }
        self.requeue(id);
    }

    /// It has changed: it may be due at another time, or not at all.
    pub(super) fn requeue(&mut self, id: u64) {
        let Some(kept) = self.all.get_mut(&id) else {
            return;
        };
        let to = kept.asked.deadline();
        self.deadlines.shift(&id, kept.queued, to);
        kept.queued = to;
        if kept.asked.client.is_over() {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(kept) = self.all.remove(&id) else {
            return;
        };
        self.deadlines.shift(&id, kept.queued, None);
        if self.find(&kept.asked.key) == Some(id) {
            self.by_key.remove(&kept.asked.key);
        }
        if let Some(branch) = kept.branch
            && self.find_invite(&branch) == Some(id)
        {
            self.by_branch.remove(&branch);
        }
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.deadlines.first()
    }

    pub(super) fn due(&self, now: Instant) -> Option<u64> {
        self.deadlines.due(now)
    }
}
