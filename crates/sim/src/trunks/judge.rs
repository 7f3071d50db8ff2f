//! What a line may not do, judged by what passes through it.
//!
//! Each request has one final answer, on either side; nothing is delivered twice; datagrams go to whom the trunk admits and are SIP.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use model::Trunk;
use sip::{Message, Method};

use crate::check::transaction;
use crate::clock::SECOND;

/// By sent-by, branch and method.
type Key = (String, String);

#[derive(Debug)]
struct Asked {
    at: u64,
    deadline: u64,
    /// Tags of final answers; a refusal is `""` and excludes all others.
    finals: BTreeSet<String>,
}

/// Requests of one side, and what the other has said to them.
#[derive(Debug, Default)]
struct Side {
    asked: BTreeMap<Key, Asked>,
    open: BTreeSet<(u64, Key)>,
}

impl Side {
    fn asks(&mut self, now: u64, message: &Message<'_>) -> Result<(), String> {
        let headers = message.headers();
        let key = transaction(message);
        let patience = match (headers.cseq().method, headers.to().tag()) {
            (Method::Invite, None) => 110,
            (Method::Invite, Some(_)) => 80,
            _ => 45,
        };
        let deadline = now + patience * SECOND;
        let finals = BTreeSet::new();
        let asked = Asked {
            at: now,
            deadline,
            finals,
        };
        let before = self.asked.insert(key.clone(), asked);
        // Whoever means harm may use a branch again after its transaction has ended.
        if before.is_some_and(|before| now < before.at + 5 * SECOND) {
            return Err(format!("{key:?} was asked twice"));
        }
        self.open.insert((deadline, key));
        Ok(())
    }

    fn answers(&mut self, message: &Message<'_>, status: u16) -> Result<(), String> {
        let key = transaction(message);
        let Some(asked) = self.asked.get_mut(&key) else {
            return Err(format!("{status} for {key:?}, which was never asked"));
        };
        if status < 200 {
            return match asked.finals.is_empty() {
                true => Ok(()),
                false => Err(format!("{status} after the final answer to {key:?}")),
            };
        }
        let tag = message.headers().to().tag().unwrap_or_default();
        let is_taken = key.1 == "INVITE" && status < 300;
        let tag = if is_taken { tag } else { "" };
        let is_second = !asked.finals.is_empty() && (!is_taken || asked.finals.contains(""));
        if is_second || !asked.finals.insert(tag.to_owned()) {
            return Err(format!("{status} is another final answer to {key:?}"));
        }
        let entry = (asked.deadline, key);
        self.open.remove(&entry);
        Ok(())
    }

    fn overdue(&self, now: u64) -> Option<&Key> {
        let (deadline, key) = self.open.first()?;
        (*deadline < now).then_some(key)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Judge {
    /// What the shard asks of peers.
    out: Side,
    /// What peers ask of the shard.
    inn: Side,
    /// ACKs that were delivered.
    acknowledged: BTreeSet<(String, u32, String)>,
}

impl Judge {
    /// The line gives this to the shard.
    pub fn delivers(&mut self, now: u64, bytes: &[u8]) -> Result<(), String> {
        let message =
            sip::parse(bytes).map_err(|fault| format!("a line delivered no SIP: {fault}"))?;
        let what = match &message {
            Message::Request(request) if request.method == Method::Ack => {
                let headers = &request.headers;
                let from = headers.from().tag().unwrap_or_default().to_owned();
                let key = (headers.call_id().to_owned(), headers.cseq().number, from);
                match self.acknowledged.insert(key) {
                    true => Ok(()),
                    false => Err("an ACK twice".to_owned()),
                }
            }
            Message::Request(_) => self.inn.asks(now, &message),
            Message::Response(response) => self.out.answers(&message, response.status),
        };
        what.map_err(|what| format!("a line delivered {what}"))
    }

    /// The shard gives this to the line.
    pub fn is_sent(&mut self, now: u64, bytes: &[u8]) -> Result<(), String> {
        let message = sip::parse(bytes).map_err(|fault| format!("a shard sent no SIP: {fault}"))?;
        let what = match &message {
            Message::Request(request) if request.method == Method::Ack => Ok(()),
            // It has the branch of its INVITE and a method of its own.
            Message::Request(_) => self.out.asks(now, &message),
            Message::Response(response) => self.inn.answers(&message, response.status),
        };
        what.map_err(|what| format!("a shard sent {what}"))
    }

    /// The line sends a datagram.
    pub fn leaves(trunk: &Trunk, to: SocketAddr, bytes: &[u8]) -> Result<(), String> {
        if !trunk.admits(to.ip()) {
            return Err(format!("a line sent something to {to}, who is no peer"));
        }
        match sip::parse(bytes) {
            Err(fault) if bytes != b"\r\n" => Err(format!("a line sent no SIP: {fault}")),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Time has passed.
    pub fn check(&self, now: u64, is_stopping: bool) -> Result<(), String> {
        if is_stopping {
            return Ok(());
        }
        match (self.out.overdue(now), self.inn.overdue(now)) {
            (Some(key), _) => Err(format!("a line has never answered {key:?} of its shard")),
            (None, Some(key)) => Err(format!("a shard has never answered {key:?} of a peer")),
            (None, None) => Ok(()),
        }
    }
}
