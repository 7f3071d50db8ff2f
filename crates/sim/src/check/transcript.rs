//! What both ends of each session said and heard, told by the two ends themselves.
//!
//! What one side handed over is what the other is given: the same messages, in the same order, once. A session that
//! waits ends with its window and not sooner; one that ends otherwise has a reason that both sides know. Knows no number,
//! no head and no credential.

use std::collections::{BTreeMap, BTreeSet};

use model::{ConnectionId, limits};
use sip::{Message, Method};

use super::transaction;
use crate::server::Ending;

/// One direction of a session.
#[derive(Debug, Default)]
struct Direction {
    handed: Vec<Vec<u8>>,
    given: usize,
}

impl Direction {
    fn give(&mut self, message: &[u8]) -> Result<(), &'static str> {
        match self.handed.get(self.given) {
            Some(next) if next == message => self.given += 1,
            Some(_) if self.handed[..self.given].contains(&message.to_vec()) => {
                return Err("was given a message twice");
            }
            Some(_) => return Err("was given another message than the next"),
            None => return Err("was given a message that nobody has sent"),
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Dialogue {
    node: usize,
    up: Direction,
    down: Direction,
    /// Transactions that reached the client's user agent.
    requests: BTreeSet<(String, String)>,
    /// When the server began to wait for the client.
    waits_since: Option<u64>,
    /// Whether each end has done with it.
    server_ended: bool,
    client_ended: bool,
}

/// Every session of a resuming socket, by its first connection.
#[derive(Debug, Default)]
pub struct Transcripts {
    dialogues: BTreeMap<ConnectionId, Dialogue>,
    window: u64,
}

impl Transcripts {
    /// Sessions wait for so many microseconds.
    pub fn new(window: u64) -> Self {
        Self {
            dialogues: BTreeMap::new(),
            window,
        }
    }

    /// A resuming socket begins.
    pub fn begins(&mut self, session: ConnectionId, node: usize) {
        let dialogue = Dialogue {
            node,
            up: Direction::default(),
            down: Direction::default(),
            requests: BTreeSet::new(),
            waits_since: None,
            server_ended: false,
            client_ended: false,
        };
        self.dialogues.insert(session, dialogue);
    }

    /// The app sends.
    pub fn client_hands(&mut self, session: ConnectionId, message: &[u8]) {
        if let Some(dialogue) = self.dialogues.get_mut(&session) {
            dialogue.up.handed.push(message.to_vec());
        }
    }

    /// A message is taken back, by its number, before the server was given it: a keep-alive goes in its place.
    pub fn client_withdraws(&mut self, session: ConnectionId, number: u64) {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(dialogue) = self.dialogues.get_mut(&session)
            && let Some(message) = dialogue.up.handed.get_mut(at.saturating_sub(1))
        {
            *message = b"\r\n".to_vec();
        }
    }

    /// The server sends.
    pub fn server_hands(&mut self, session: ConnectionId, message: &[u8]) {
        if let Some(dialogue) = self.dialogues.get_mut(&session) {
            dialogue.down.handed.push(message.to_vec());
        }
    }

    /// The app is given a message.
    pub fn client_is_given(&mut self, session: ConnectionId, message: &[u8]) -> Result<(), String> {
        let Some(dialogue) = self.dialogues.get_mut(&session) else {
            return Ok(());
        };
        let given = dialogue.down.give(message);
        given.map_err(|what| format!("the client of session {} {what}", session.0))?;
        // An ACK is repeated with the answer that it is to (RFC 3261 §13.2.2.4).
        if let Ok(parsed) = sip::parse(message)
            && let Message::Request(request) = &parsed
            && request.method != Method::Ack
            && !dialogue.requests.insert(transaction(&parsed))
        {
            let method = &request.method;
            return Err(format!(
                "one {method} reached the client of session {} twice",
                session.0
            ));
        }
        Ok(())
    }

    /// The server is given a message that came on a connection of the client's session `of`.
    pub fn server_is_given(
        &mut self,
        session: ConnectionId,
        of: Option<ConnectionId>,
        message: &[u8],
    ) -> Result<(), String> {
        let Some(dialogue) = self.dialogues.get_mut(&session) else {
            return Ok(());
        };
        if of != Some(session) {
            return Err(format!("somebody else speaks on session {}", session.0));
        }
        let given = dialogue.up.give(message);
        given.map_err(|what| format!("the server was told on session {}: it {what}", session.0))
    }

    /// The server begins to wait.
    pub fn suspends(&mut self, session: ConnectionId, now: u64) {
        if let Some(dialogue) = self.dialogues.get_mut(&session) {
            dialogue.waits_since.get_or_insert(now);
        }
    }

    /// The server goes on, on a connection of the client's session `of`.
    pub fn resumes(
        &mut self,
        session: ConnectionId,
        of: Option<ConnectionId>,
    ) -> Result<(), String> {
        let Some(dialogue) = self.dialogues.get_mut(&session) else {
            return Ok(());
        };
        dialogue.waits_since = None;
        if of == Some(session) {
            Ok(())
        } else {
            Err(format!("session {} went over to somebody else", session.0))
        }
    }

    /// The server has given a session up, and closes it.
    pub fn is_dismissed(&mut self, session: ConnectionId) {
        if let Some(dialogue) = self.dialogues.get_mut(&session) {
            dialogue.server_ended = true;
        }
    }

    /// The server ends a session.
    pub fn ends(&mut self, session: ConnectionId, ending: Ending, now: u64) -> Result<(), String> {
        let window = self.window;
        let Some(dialogue) = self.dialogues.get_mut(&session) else {
            return Ok(());
        };
        dialogue.server_ended = true;
        let since = dialogue.waits_since.take();
        let unheard = dialogue.down.handed.len() - dialogue.down.given;
        let is_deserved = match ending {
            Ending::Expired => since.is_some_and(|since| since + window == now),
            Ending::Goodbye => dialogue.client_ended,
            Ending::Full => unheard >= limits::OUTBOX_MESSAGES / 2,
            // One server alone hands nothing over.
            Ending::Broken(_) | Ending::Moved => false,
            Ending::Lost | Ending::NotKept | Ending::Closed(_) | Ending::Dismissed(_) => true,
        };
        if is_deserved {
            Ok(())
        } else {
            Err(format!(
                "session {} ended as {ending:?}, which it did not deserve (it waited since {since:?})",
                session.0
            ))
        }
    }

    /// A resuming socket has done with its session; `is_gone` if the server said that it is over.
    pub fn client_ends(&mut self, session: ConnectionId, is_gone: bool) -> Result<(), String> {
        let Some(dialogue) = self.dialogues.get_mut(&session) else {
            return Ok(());
        };
        dialogue.client_ended = true;
        if is_gone && !dialogue.server_ended {
            return Err(format!(
                "session {} goes on, and its client was refused",
                session.0
            ));
        }
        Ok(())
    }

    /// A server is gone, with its sessions.
    pub fn vanishes(&mut self, node: usize) {
        for dialogue in self.dialogues.values_mut().filter(|d| d.node == node) {
            dialogue.server_ended = true;
            dialogue.waits_since = None;
        }
    }

    /// What must hold after every step.
    pub fn check(&mut self, now: u64) -> Result<(), String> {
        self.dialogues
            .retain(|_, dialogue| !(dialogue.server_ended && dialogue.client_ended));
        for (session, dialogue) in &self.dialogues {
            if dialogue
                .waits_since
                .is_some_and(|since| since + self.window < now)
            {
                return Err(format!("session {} has outlived its window", session.0));
            }
        }
        Ok(())
    }

    /// Whether everything that was handed over has been given, both ways, and both ends still have the session.
    pub fn is_settled(&self, session: ConnectionId) -> bool {
        self.dialogues.get(&session).is_some_and(|dialogue| {
            let [up, down] = [&dialogue.up, &dialogue.down];
            [up, down].iter().all(|way| way.given == way.handed.len())
                && !dialogue.server_ended
                && !dialogue.client_ended
                && dialogue.waits_since.is_none()
        })
    }
}
