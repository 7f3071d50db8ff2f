//! Answers to REGISTER that may have got lost together with their connection.
//!
//! A stock client whose connection dies while its REGISTER is unanswered never registers again by
//! itself, but does accept the answer to that old request on its next connection (it matches by
//! branch) and then registers afresh. So the answer is kept for as long as the client waits for it
//! (timer F), by the client's Via sent-by, which is unique for each user agent. Never kept longer.

use std::collections::{BTreeMap, BTreeSet};

use model::{AccountId, ConnectionId, Instant, limits};

#[derive(Debug)]
struct Orphan {
    account: AccountId,
    connection: ConnectionId,
    /// The From address: the same sent-by from another client is another user agent.
    from: Box<str>,
    answer: Vec<u8>,
    until: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Orphans {
    by_sent_by: BTreeMap<Box<str>, Orphan>,
    by_end: BTreeSet<(Instant, Box<str>)>,
}

impl Orphans {
    /// Keeps an answer.
    pub(crate) fn keep(
        &mut self,
        now: Instant,
        account: AccountId,
        connection: ConnectionId,
        request: &sip::Request<'_>,
        answer: &[u8],
    ) {
        let sent_by = request.headers.via().sent_by;
        self.forget(sent_by);
        if self.by_end.len() == limits::ORPHANED_REGISTERS
            && let Some((_, first)) = self.by_end.pop_first()
        {
            self.by_sent_by.remove(&first);
        }
        let until = now + limits::TRANSACTION_TIME;
        let orphan = Orphan {
            account,
            connection,
            from: request.headers.from().uri_text.into(),
            answer: answer.to_vec(),
            until,
        };
        self.by_end.insert((until, sent_by.into()));
        self.by_sent_by.insert(sent_by.into(), orphan);
    }

    /// The first request of a connection has come: hands out the answer that its user agent may
    /// still wait for. A user agent that registers by itself waits for none.
    pub(crate) fn claim(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &sip::Request<'_>,
    ) -> Option<Vec<u8>> {
        let sent_by = request.headers.via().sent_by;
        let orphan = self.by_sent_by.get(sent_by)?;
        if orphan.account != account
            || orphan.connection == connection
            || *orphan.from != *request.headers.from().uri_text
        {
            return None;
        }
        let orphan = self.forget(sent_by)?;
        (request.method != sip::Method::Register).then_some(orphan.answer)
    }

    /// When the first of them may go.
    pub(crate) fn first_end(&self) -> Option<Instant> {
        self.by_end.first().map(|(until, _)| *until)
    }

    pub(crate) fn forget_ended(&mut self, now: Instant) {
        while let Some((until, _)) = self.by_end.first()
            && *until <= now
            && let Some((_, sent_by)) = self.by_end.pop_first()
        {
            self.by_sent_by.remove(&sent_by);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_sent_by.len()
    }

    fn forget(&mut self, sent_by: &str) -> Option<Orphan> {
        let (sent_by, orphan) = self.by_sent_by.remove_entry(sent_by)?;
        self.by_end.remove(&(orphan.until, sent_by));
        Some(orphan)
    }
}
