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
    call_id: String,
}

#[derive(Debug, Default)]
pub(super) struct Answers {
    connections: BTreeMap<ConnectionId, BTreeMap<Key, Asked>>,
    rubbish: BTreeMap<ConnectionId, u32>,
    /// Answers to REGISTER: one that got lost with its connection may be repeated once on the next.
    registers: BTreeMap<Key, (ConnectionId, String)>,
    /// INVITEs whose connection is gone: they may still be ended, once, on the next.
    invites: BTreeMap<Key, String>,
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
            (Method::Invite, Some(_)) => 250 * SECOND,
            _ => 45 * SECOND,
        };
        let key = transaction(message);
        let asked = self.connections.entry(connection).or_default();
        let asked = asked.entry(key.clone()).or_insert(Asked {
            copies: 0,
            finals: 0,
            deadline: now + patience,
            call_id: request.headers.call_id().to_owned(),
        });
        asked.copies += 1;
        if asked.copies == 1 {
            self.deadlines.insert((asked.deadline, connection, key));
        }
    }

    pub(super) fn read_rubbish(&mut self, connection: ConnectionId) {
        *self.rubbish.entry(connection).or_default() += 1;
    }

    /// Something that cannot be read was sent: only an answer to rubbish may be so. Says whether it may.
    pub(super) fn sent_unreadable(&mut self, connection: ConnectionId) -> bool {
        match self.rubbish.get_mut(&connection) {
            Some(rubbish) if *rubbish > 0 => {
                *rubbish -= 1;
                true
            }
            Some(_) | None => false,
        }
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
        if key.0.starts_with("asm566") && key.1 == "REGISTER" { eprintln!("DBG {} {key:?} {status} {}", connection.0, identity(response)); }
        let asked = self
            .connections
            .get_mut(&connection)
            .and_then(|asked| asked.get_mut(&key));
        let Some(asked) = asked else {
            if let Some((first, heads)) = self.registers.remove(&key)
                && first != connection
                && heads == identity(response)
            {
                return Ok(());
            }
            if status == 487
                && let Some(call_id) = self.invites.remove(&key)
                && call_id == response.headers.call_id()
            {
                return Ok(());
            }
            if self.sent_unreadable(connection) {
                return Ok(());
            }
            return Err(format!(
                "#{} was sent {status} for {key:?}, which it never asked {:?}",
                connection.0, (&self.registers, identity(response))
            ));
        };
        if status < 200 {
            if asked.finals >= asked.copies {
                return Err(format!("{status} came after the final answer to {key:?}"));
            }
            return Ok(());
        }
        asked.finals += 1;
        if response.headers.cseq().method == Method::Register {
            self.registers
                .insert(key.clone(), (connection, identity(response)));
        }
        let entry = (asked.deadline, connection, key);
        self.deadlines.remove(&entry);
        if asked.finals > asked.copies {
            let key = entry.2;
            return Err(format!(
                "#{} was sent {} final answers to {key:?}, the last one {status}",
                connection.0, asked.finals
            ));
        }
        Ok(())
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.rubbish.remove(&connection);
        for (key, asked) in self.connections.remove(&connection).unwrap_or_default() {
            if key.1 == "INVITE" {
                self.invites.insert(key.clone(), asked.call_id);
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
