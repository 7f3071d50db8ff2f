//! Every request gets exactly one final response while its connection stays up; an ACK gets none.
//!
//! A repeated request may be absorbed or answered again, but the first one never goes without.

use std::collections::{BTreeMap, BTreeSet};

use model::ConnectionId;
use sip::{Message, Method};

use super::transaction;
use crate::clock::SECOND;

type Key = (String, String);

#[derive(Debug)]
struct Asked {
    copies: u32,
    finals: u32,
    deadline: u64,
    /// More than one where an attacker uses one branch for many calls.
    call_ids: BTreeSet<String>,
}

#[derive(Debug, Default)]
pub(super) struct Answers {
    connections: BTreeMap<ConnectionId, BTreeMap<Key, Asked>>,
    /// Connections that sent what breaks the syntax: its answer may have the Via of another request, so that these are
    /// held to one final answer at least, and no longer to one at most.
    rubbish: BTreeSet<ConnectionId>,
    /// Answers to REGISTER: one that got lost with its connection may be repeated once on the next.
    registers: BTreeSet<(Key, String, ConnectionId)>,
    /// INVITEs whose connection is gone: they may still be ended, once, on the next.
    /// By their Call-IDs.
    invites: BTreeMap<Key, BTreeSet<String>>,
    deadlines: BTreeSet<(u64, ConnectionId, Key)>,
}

impl Answers {
    pub(super) fn read(&mut self, now: u64, connection: ConnectionId, message: &Message<'_>) {
        let Message::Request(request) = message else {
            return;
        };
        if request.method == Method::Ack {
            return;
        }
        let patience = match (request.method, request.headers.to().tag()) {
            (Method::Invite, None) => 110 * SECOND,
            (Method::Invite, Some(_)) => 80 * SECOND,
            _ => 45 * SECOND,
        };
        let key = transaction(message);
        let asked = self.connections.entry(connection).or_default();
        let asked = asked.entry(key.clone()).or_insert(Asked {
            copies: 0,
            finals: 0,
            deadline: now + patience,
            call_ids: BTreeSet::new(),
        });
        asked.call_ids.insert(request.headers.call_id().to_owned());
        asked.copies += 1;
        if asked.copies == 1 {
            self.deadlines.insert((asked.deadline, connection, key));
        }
    }

    pub(super) fn read_rubbish(&mut self, connection: ConnectionId) {
        self.rubbish.insert(connection);
    }

    pub(super) fn sends_rubbish(&self, connection: ConnectionId) -> bool {
        self.rubbish.contains(&connection)
    }

    pub(super) fn sent(
        &mut self,
        connection: ConnectionId,
        message: &Message<'_>,
    ) -> Result<(), String> {
        let Message::Response(response) = message else {
            return Ok(());
        };
        let key = transaction(message);
        let status = response.status;
        // Whoever repeats another's whole message, token included, gets what its sender would get: a rescued answer
        // may come beside its own.
        let is_rescue = self.is_rescue(connection, &key, response);
        let is_lenient = is_rescue || self.is_repeated(connection, &key);
        let asked = self
            .connections
            .get_mut(&connection)
            .and_then(|asked| asked.get_mut(&key));
        let Some(asked) = asked else {
            return if is_rescue || self.sends_rubbish(connection) {
                Ok(())
            } else {
                Err(format!(
                    "#{} was sent {status} for {key:?}, which it never asked",
                    connection.0
                ))
            };
        };
        let is_final = status >= 200;
        asked.finals += u32::from(is_final);
        let (finals, is_too_many) = match is_final {
            true => (asked.finals, asked.finals > asked.copies),
            false => (asked.finals, asked.finals >= asked.copies),
        };
        if is_too_many && !is_lenient {
            return Err(format!(
                "#{} was sent {status} after {finals} final answers to {key:?}",
                connection.0
            ));
        }
        if is_final {
            let entry = (asked.deadline, connection, key);
            self.deadlines.remove(&entry);
            if response.headers.cseq().method == Method::Register {
                self.registers
                    .insert((entry.2, identity(response), connection));
            }
        }
        Ok(())
    }

    /// An answer that got lost with its connection is given once more, on the user agent's next.
    fn is_rescue(&self, connection: ConnectionId, key: &Key, response: &sip::Response<'_>) -> bool {
        let answer = identity(response);
        let is_known = self
            .registers
            .iter()
            .any(|(first, given, on)| first == key && *given == answer && *on != connection);
        let call_id = response.headers.call_id();
        let is_ended = self.invites.get(key).is_some_and(|lost| lost.contains(call_id))
            // The connection before may be given up in this very step.
            || self.asked_elsewhere(connection, key).any(|asked| asked.call_ids.contains(call_id));
        is_known || (key.1 == "INVITE" && response.status >= 300 && is_ended)
    }

    /// Whether the upper bound says nothing: a request that was asked on other connections too, or rubbish beside it.
    fn is_repeated(&self, connection: ConnectionId, key: &Key) -> bool {
        self.sends_rubbish(connection)
            || self.invites.contains_key(key)
            || self.asked_elsewhere(connection, key).next().is_some()
    }

    fn asked_elsewhere(&self, connection: ConnectionId, key: &Key) -> impl Iterator<Item = &Asked> {
        self.connections
            .iter()
            .filter(move |(on, _)| **on != connection)
            .filter_map(move |(_, asked)| asked.get(key))
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.rubbish.remove(&connection);
        for (key, asked) in self.connections.remove(&connection).unwrap_or_default() {
            if key.1 == "INVITE" {
                let call_ids = self.invites.entry(key.clone()).or_default();
                call_ids.extend(asked.call_ids);
            }
            self.deadlines.remove(&(asked.deadline, connection, key));
        }
    }

    pub(super) fn check(&self, now: u64) -> Result<(), String> {
        match self.deadlines.first() {
            Some((deadline, connection, key)) if *deadline < now => Err(format!(
                "{key:?} of #{} has had no final answer",
                connection.0
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// What a repeated answer must have in common with the first.
fn identity(response: &sip::Response<'_>) -> String {
    let headers = &response.headers;
    format!(
        "{} {} {} {}",
        response.status,
        headers.from().uri_text,
        headers.call_id(),
        headers.cseq().number
    )
}
