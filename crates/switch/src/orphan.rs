//! Final answers that may have got lost together with their connection.
//!
//! Stock clients wait for an answer on whatever connection they have, and match it by its branch:
//! - one whose connection dies while its REGISTER is unanswered never registers again by itself,
//!   but does so afresh as soon as the old answer comes on its next connection;
//! - one whose connection dies while it calls never tells its app that the call has ended, and
//!   makes no other, until the old INVITE is answered.
//!
//! So such answers are kept by the client's Via sent-by, which is unique for each user agent, and
//! handed out as that user agent comes back. Each is kept for a bounded time, and so are all.

use std::collections::{BTreeMap, BTreeSet};

use model::{AccountId, Instant, limits};
use sip::{Method, Request};

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
    pub(crate) account: AccountId,
    /// User of the From address: the same sent-by from another client is another user agent.
    pub(crate) client: Box<str>,
    pub(crate) answer: Vec<u8>,
    pub(crate) until: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Orphans {
    by_sent_by: BTreeMap<Box<str>, Vec<Orphan>>,
    by_end: BTreeSet<(Instant, Box<str>)>,
}

impl Orphans {
    /// Keeps an answer; one to REGISTER replaces the one before.
    pub(crate) fn keep(&mut self, sent_by: &str, orphan: Orphan) {
        if self.by_end.len() >= limits::ORPHANS
            && let Some((_, first)) = self.by_end.first().cloned()
        {
            self.forget(&first);
        }
        let mut kept = self.forget(sent_by);
        if orphan.question == Question::Register {
            kept.retain(|other| other.question != Question::Register);
        }
        if kept.len() == limits::ORPHANS_PER_USER_AGENT {
            kept.remove(0);
        }
        kept.push(orphan);
        self.put(sent_by, kept);
    }

    /// The first request of a connection has come: hands out what its user agent may still wait for.
    /// One that registers by itself does not wait for an answer to REGISTER.
    pub(crate) fn claim(&mut self, account: AccountId, request: &Request<'_>) -> Vec<Orphan> {
        let sent_by = request.headers.via().sent_by;
        if !self.by_sent_by.contains_key(sent_by) {
            return Vec::new();
        }
        let client = request.headers.from().uri.user_decoded();
        let is_theirs = |orphan: &Orphan| orphan.account == account && *orphan.client == *client;
        let (mut theirs, others): (Vec<_>, Vec<_>) =
            self.forget(sent_by).into_iter().partition(is_theirs);
        self.put(sent_by, others);
        if request.method == Method::Register {
            theirs.retain(|orphan| orphan.question != Question::Register);
        }
        theirs
    }

    /// When the first of them may go.
    pub(crate) fn first_end(&self) -> Option<Instant> {
        self.by_end.first().map(|(until, _)| *until)
    }

    pub(crate) fn forget_ended(&mut self, now: Instant) {
        while let Some((until, sent_by)) = self.by_end.first().cloned()
            && until <= now
        {
            let mut kept = self.forget(&sent_by);
            kept.retain(|orphan| now < orphan.until);
            self.put(&sent_by, kept);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_sent_by.is_empty()
    }

    fn put(&mut self, sent_by: &str, orphans: Vec<Orphan>) {
        if orphans.is_empty() {
            return;
        }
        for orphan in &orphans {
            self.by_end.insert((orphan.until, sent_by.into()));
        }
        self.by_sent_by.insert(sent_by.into(), orphans);
    }

    fn forget(&mut self, sent_by: &str) -> Vec<Orphan> {
        let orphans = self.by_sent_by.remove(sent_by).unwrap_or_default();
        for orphan in &orphans {
            self.by_end.remove(&(orphan.until, sent_by.into()));
        }
        orphans
    }
}
