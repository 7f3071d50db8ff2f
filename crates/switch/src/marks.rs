//! Which tokens a connection has shown for what it has: its registrations, and the calls that it made.
//!
//! Kept to find what is to end with a token that is revoked. Never holds the token.

use model::{AccountId, ClientId, ConnectionId, Standing, TokenId, UnixTime};
use serde::{Deserialize, Serialize};

use crate::shard::Shard;
use crate::token::{Grant, TokenMark};

/// What a token was shown for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// To be registered.
    Registration,
    /// To call.
    Call,
}

#[derive(Debug)]
struct Mark {
    client: ClientId,
    shows: Shows,
    token: TokenMark,
}

/// See the module. One for each client that registers on a connection, which nearly always is one, and for each token that its calls
/// were made with.
#[derive(Debug, Default)]
pub(crate) struct Marks(Vec<Mark>);

/// A mark on its way to another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PackedMark {
    client: String,
    is_call: bool,
    token: Option<String>,
    issued_ms: u64,
}

impl PackedMark {
    fn of(mark: &Mark) -> Self {
        Self {
            client: mark.client.as_str().to_owned(),
            is_call: mark.shows == Shows::Call,
            token: mark.token.id.map(|id| id.as_str().to_owned()),
            issued_ms: mark.token.issued.as_millis(),
        }
    }

    /// Nothing, if it names no client.
    fn mark(self) -> Option<Mark> {
        Some(Mark {
            client: ClientId::parse(&self.client).ok()?,
            shows: match self.is_call {
                true => Shows::Call,
                false => Shows::Registration,
            },
            token: TokenMark {
                id: self.token.as_deref().and_then(TokenId::read),
                issued: UnixTime::from_millis(self.issued_ms),
            },
        })
    }
}

impl Marks {
    pub(crate) fn pack(&self) -> Vec<PackedMark> {
        self.0.iter().map(PackedMark::of).collect()
    }

    pub(crate) fn unpack(packed: Vec<PackedMark>) -> Self {
        Self(packed.into_iter().filter_map(PackedMark::mark).collect())
    }

    /// A client has shown a good token. The one that it registered with before counts no more.
    pub(crate) fn note(&mut self, grant: &Grant, shows: Shows) {
        let is_of = |mark: &&mut Mark| {
            let is_same = match shows {
                Shows::Registration => true,
                Shows::Call => mark.token == grant.mark,
            };
            mark.shows == shows && is_same && mark.client == grant.client
        };
        if let Some(mark) = self.0.iter_mut().find(is_of) {
            mark.token = grant.mark;
            return;
        }
        self.0.reserve_exact(1);
        self.0.push(Mark {
            client: grant.client.clone(),
            shows,
            token: grant.mark,
        });
    }

    /// No call goes on that was made with a token.
    pub(crate) fn forget_calls(&mut self) {
        self.0.retain(|mark| mark.shows != Shows::Call);
    }

    fn of_client(&self, client: &ClientId) -> impl Iterator<Item = &Mark> {
        self.0.iter().filter(move |mark| mark.client == *client)
    }
}

impl Shard {
    /// A client has shown a good token on a connection, for this.
    pub(crate) fn note_shown(&mut self, connection: ConnectionId, grant: &Grant, shows: Shows) {
        let is_idle = shows == Shows::Call && !self.has_open_call(connection);
        if let Some(known) = self.connections.get_mut(&connection) {
            if is_idle {
                known.marks.forget_calls();
            }
            known.marks.note(grant, shows);
        }
    }

    /// Whether a connection has what was made with a token that is revoked with all that was.
    pub(crate) fn is_ended(&self, connection: ConnectionId) -> bool {
        let known = self.connections.get(&connection);
        known
            .filter(|known| !known.is_dismissed())
            .is_some_and(|known| {
                known.marks.0.iter().any(|mark| {
                    let counts = match mark.shows {
                        Shows::Registration => true,
                        Shows::Call => self.has_open_call(connection),
                    };
                    counts && self.standing(known.account, mark) == Standing::Ended
                })
            })
    }

    /// Whether every token was revoked by which a connection speaks for a client.
    pub(crate) fn is_revoked(&self, connection: ConnectionId, client: &ClientId) -> bool {
        self.connections.get(&connection).is_some_and(|known| {
            let is_good = |mark| self.standing(known.account, mark) == Standing::Good;
            let mut marks = known.marks.of_client(client).peekable();
            marks.peek().is_some() && !marks.any(is_good)
        })
    }

    fn standing(&self, account: AccountId, mark: &Mark) -> Standing {
        let account = self.snapshot.directory.account(account);
        account.map_or(Standing::Good, |account| {
            let TokenMark { id, issued } = mark.token;
            account.revocations.standing(id, &mark.client, issued)
        })
    }

    fn has_open_call(&self, connection: ConnectionId) -> bool {
        let known = self.connections.get(&connection);
        let elsewhere = known.and_then(|known| known.elsewhere.as_ref());
        if elsewhere.is_some_and(|elsewhere| elsewhere.has_calls()) {
            return true;
        }
        self.calls_of(connection).any(|call| !call.is_over())
            || self.runs_of(connection).any(|run| !run.is_over())
    }
}
