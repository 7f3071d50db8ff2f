//! Questions about a shard: who is registered, how much there is. Changes nothing.

use model::{AccountId, ClientId, Now, UnixTime};

use crate::shard::Shard;

/// A client that is registered for calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredClient {
    /// Which one.
    pub client: ClientId,
    /// When its newest instance registered or refreshed.
    pub last_modified: UnixTime,
    /// When that registration ends unless it is refreshed.
    pub expires: UnixTime,
}

/// How much a shard holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Connections that have told their account.
    pub connections: usize,
    /// Clients that are registered.
    pub registrations: usize,
    /// Calls that are being set up or go on.
    pub calls: usize,
    /// Those of them that have been answered.
    pub calls_answered: usize,
    /// Calls that have ended, and absorb what comes late.
    pub calls_lingering: usize,
    /// User agents that an answer is kept for, which may have got lost with its connection.
    pub answers_kept: usize,
    /// Tokens that need not be verified again.
    pub tokens_remembered: usize,
    /// What falls due at some time.
    pub timers: usize,
}

impl Shard {
    /// The registered clients of an account, by client id, one entry for each.
    pub fn clients(&self, account: AccountId, now: Now) -> Vec<RegisteredClient> {
        self.location
            .clients(account)
            .into_iter()
            .filter_map(|(client, instances)| Some((client, instances.newest()?)))
            .filter(|(_, newest)| now.mono < newest.expires)
            .map(|(client, newest)| RegisteredClient {
                client: client.clone(),
                last_modified: newest.modified,
                expires: newest.expires_unix,
            })
            .collect()
    }

    /// How much there is.
    pub fn census(&self) -> Census {
        let calls = self.calls.values().filter(|call| !call.is_over()).count()
            + self.runs.values().filter(|run| !run.is_over()).count();
        Census {
            connections: self.connections.len(),
            registrations: self.location.len(),
            calls,
            calls_answered: self.calls.values().filter(|call| call.is_live()).count()
                + self.runs.values().filter(|run| run.is_live()).count(),
            calls_lingering: self.calls.len() + self.runs.len() - calls,
            answers_kept: self.orphans.len(),
            tokens_remembered: self.remembered.len(),
            timers: self.timers.len(),
        }
    }
}
