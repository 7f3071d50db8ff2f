//! Final answers that may have got lost together with their connection.
//!
//! Stock clients wait for an answer on whatever connection they have, and match it by its branch:
//! - one whose connection dies while its REGISTER is unanswered never registers again by itself,
//!   but does so afresh as soon as the old answer comes on its next connection;
//! - one whose connection dies while it calls never tells its app that the call has ended, and
//!   makes no other, until the old INVITE is answered.
//!
//! So such answers are kept for the user agent, and handed out as it comes back. Each is kept for a
//! bounded time, and so are all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Instant, limits};

use crate::connection::UserAgent;

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
    /// Via branch of the request: the same request again gets an answer of its own.
    pub(crate) branch: Box<str>,
    pub(crate) answer: Vec<u8>,
    pub(crate) until: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Orphans {
    by_user_agent: BTreeMap<Arc<UserAgent>, Vec<Orphan>>,
    by_end: BTreeSet<(Instant, Arc<UserAgent>)>,
}

impl Orphans {
    /// Keeps an answer; one to REGISTER replaces the one before.
    pub(crate) fn keep(&mut self, user_agent: &Arc<UserAgent>, orphan: Orphan) {
        if self.by_end.len() >= limits::ORPHANS
            && let Some((_, first)) = self.by_end.first().cloned()
        {
            self.take(&first);
        }
        let mut kept = self.take(user_agent);
        if orphan.question == Question::Register {
            kept.retain(|other| other.question != Question::Register);
        }
        if kept.len() == limits::ORPHANS_PER_USER_AGENT {
            kept.remove(0);
        }
        kept.push(orphan);
        self.put(user_agent, kept);
    }

    /// Hands out everything that is kept for a user agent.
    pub(crate) fn take(&mut self, user_agent: &Arc<UserAgent>) -> Vec<Orphan> {
        let orphans = self.by_user_agent.remove(user_agent).unwrap_or_default();
        for orphan in &orphans {
            self.by_end.remove(&(orphan.until, Arc::clone(user_agent)));
        }
        orphans
    }

    /// When the first of them may go.
    pub(crate) fn first_end(&self) -> Option<Instant> {
        self.by_end.first().map(|(until, _)| *until)
    }

    pub(crate) fn forget_ended(&mut self, now: Instant) {
        while let Some((until, user_agent)) = self.by_end.first().cloned()
            && until <= now
        {
            let mut kept = self.take(&user_agent);
            kept.retain(|orphan| now < orphan.until);
            self.put(&user_agent, kept);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_user_agent.is_empty()
    }

    fn put(&mut self, user_agent: &Arc<UserAgent>, orphans: Vec<Orphan>) {
        if orphans.is_empty() {
            return;
        }
        for orphan in &orphans {
            self.by_end.insert((orphan.until, Arc::clone(user_agent)));
        }
        self.by_user_agent.insert(Arc::clone(user_agent), orphans);
    }
}
