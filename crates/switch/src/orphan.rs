//! Final answers that may have got lost together with their connection.
//!
//! Stock clients wait for an answer on whatever connection they have, and match it by its branch:
//! - one whose connection dies while its REGISTER is unanswered never registers again by itself,
//!   but does so afresh as soon as the old answer comes on its next connection;
//! - one whose connection dies while it calls never tells its app that the call has ended, and
//!   makes no other, until the old INVITE is answered.
//!
//! So such answers are kept for the user agent, and handed out as it comes back. Each is kept for a
//! bounded time, and so are all. The answer to a REGISTER stays with its connection as long as that is there ([`Unheard`]),
//! so that a refresh need not look for anything.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use model::{ConnectionId, Instant, limits};

use crate::connection::UserAgent;
use crate::table::{Keyed, Table};

/// What the answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Register,
    Invite,
}

/// An answer that may have got lost.
#[derive(Debug)]
pub(crate) struct Orphan {
    pub(crate) question: Question,
    /// Via branch of an INVITE: the same again gets an answer of its own. Empty of a REGISTER.
    pub(crate) branch: Box<str>,
    pub(crate) answer: Vec<u8>,
    pub(crate) until: Instant,
}

/// The answer to the last REGISTER on a connection that is still there.
#[derive(Debug)]
pub(crate) struct Unheard {
    pub(crate) answer: Vec<u8>,
    pub(crate) until: Instant,
}

impl Unheard {
    /// What becomes of it when its connection is lost, unless nobody waits for it any more. It leaves nothing behind.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Orphan> {
        let until = std::mem::replace(&mut self.until, now);
        (now < until).then(|| Orphan {
            question: Question::Register,
            branch: Box::default(),
            answer: std::mem::take(&mut self.answer),
            until,
        })
    }
}

/// See the module. A refresh is a look-up: when something ends is looked at again when it was to end first.
#[derive(Debug)]
pub(crate) struct Orphans {
    by_user_agent: Table<Arc<UserAgent>, Kept>,
    /// When each is looked at next.
    by_end: BTreeSet<(Instant, Arc<UserAgent>)>,
    /// Connections that have an [`Unheard`] answer, and when each is looked at next: in this order.
    watched: VecDeque<(Instant, ConnectionId)>,
}

#[derive(Debug)]
struct Kept {
    /// Never later than the first end of them.
    looked_at: Instant,
    orphans: Vec<Orphan>,
}

impl Orphans {
    pub(crate) fn new(keyed: Keyed) -> Self {
        Self {
            by_user_agent: Table::with_hasher(keyed),
            by_end: BTreeSet::new(),
            watched: VecDeque::new(),
        }
    }

    /// Keeps an answer; one to REGISTER replaces the one before.
    pub(crate) fn keep(&mut self, user_agent: &Arc<UserAgent>, orphan: Orphan) {
        let until = orphan.until;
        let Some(kept) = self.by_user_agent.get_mut(user_agent) else {
            if self.by_end.len() >= limits::ORPHANS
                && let Some((_, first)) = self.by_end.first().cloned()
            {
                self.take(&first);
            }
            self.put(user_agent, vec![orphan]);
            return;
        };
        if orphan.question == Question::Register {
            kept.orphans
                .retain(|other| other.question != Question::Register);
        }
        if kept.orphans.len() == limits::ORPHANS_PER_USER_AGENT {
            kept.orphans.remove(0);
        }
        kept.orphans.push(orphan);
        if until < kept.looked_at {
            let before = std::mem::replace(&mut kept.looked_at, until);
            self.by_end.remove(&(before, Arc::clone(user_agent)));
            self.by_end.insert((until, Arc::clone(user_agent)));
        }
    }

    /// Hands out everything that is kept for a user agent.
    pub(crate) fn take(&mut self, user_agent: &Arc<UserAgent>) -> Vec<Orphan> {
        let Some(kept) = self.by_user_agent.remove(user_agent) else {
            return Vec::new();
        };
        self.by_end
            .remove(&(kept.looked_at, Arc::clone(user_agent)));
        kept.orphans
    }

    /// When some of them may be over.
    pub(crate) fn first_end(&self) -> Option<Instant> {
        let lost = self.by_end.first().map(|(until, _)| *until);
        let watched = self.watched.front().map(|(until, _)| *until);
        lost.into_iter().chain(watched).min()
    }

    /// Has a connection looked at in the time of a transaction.
    pub(crate) fn watch(&mut self, connection: ConnectionId, now: Instant) {
        self.watched
            .push_back((now + limits::TRANSACTION_TIME, connection));
    }

    /// The next connection to look at, if its time has come.
    pub(crate) fn next_watched(&mut self, now: Instant) -> Option<ConnectionId> {
        let is_due = |(until, _): &mut (Instant, ConnectionId)| *until <= now;
        self.watched
            .pop_front_if(is_due)
            .map(|(_, connection)| connection)
    }

    pub(crate) fn forget_ended(&mut self, now: Instant) {
        while let Some((until, user_agent)) = self.by_end.first().cloned()
            && until <= now
        {
            let mut orphans = self.take(&user_agent);
            orphans.retain(|orphan| now < orphan.until);
            self.put(&user_agent, orphans);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_user_agent.is_empty() && self.watched.is_empty()
    }

    /// User agents that something is kept for.
    pub(crate) fn len(&self) -> usize {
        self.by_user_agent.len()
    }

    fn put(&mut self, user_agent: &Arc<UserAgent>, orphans: Vec<Orphan>) {
        let Some(first) = orphans.iter().map(|orphan| orphan.until).min() else {
            return;
        };
        let kept = Kept {
            looked_at: first,
            orphans,
        };
        self.by_end.insert((first, Arc::clone(user_agent)));
        self.by_user_agent.insert(Arc::clone(user_agent), kept);
    }
}
