//! The call record: who called whom, when, for how long, and how and by whom it was ended.
//!
//! Holds no SDP, no token and no header of the callers'.

use std::time::Duration;

use crate::id::{AccountId, ClientId, RecordId};
use crate::time::UnixTime;

/// Who brought a call to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The client that placed the call.
    Caller,
    /// The client that was called.
    Callee,
    /// offhook: a timer, a lost connection, a shutdown.
    Server,
}

impl EndedBy {
    /// The word used in listings and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
            Self::Server => "server",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Caller, Self::Callee, Self::Server]
            .into_iter()
            .find(|by| by.as_str() == text)
    }
}

/// How a call came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// When.
    pub at: UnixTime,
    /// Who ended it.
    pub by: EndedBy,
    /// The SIP status that says how: 200 for a call that was answered and hung up, else the refusal or failure.
    pub status: u16,
    /// The same in plain words.
    pub reason: String,
}

/// One call. Written when it begins (without outcome) and again when it ends, under the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// Its own number.
    pub id: RecordId,
    /// Whose call it was.
    pub account: AccountId,
    /// Who called.
    pub caller: ClientId,
    /// Who was called.
    pub callee: ClientId,
    /// The SIP Call-ID, the same at both ends.
    pub call_id: String,
    /// When the INVITE was accepted for routing.
    pub started: UnixTime,
    /// When the callee began to ring.
    pub ringing: Option<UnixTime>,
    /// When the callee answered.
    pub answered: Option<UnixTime>,
    /// How it ended; `None` while it goes on.
    pub outcome: Option<CallOutcome>,
}

impl CallRecord {
    /// Time from answer to end; zero for a call that was not answered or still goes on.
    pub fn talk_time(&self) -> Duration {
        match (self.answered, &self.outcome) {
            (Some(answered), Some(outcome)) => outcome.at.since(answered),
            (None, _) | (_, None) => Duration::ZERO,
        }
    }
}
