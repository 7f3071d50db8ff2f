//! The connections that a shard knows: from their first request to their loss.
//!
//! A connection that is dismissed stays known until the shell says that it is gone, and whatever it
//! still sends is ignored. Decides nothing about what is asked on a connection.

use model::{AccountId, ClientId, ConnectionId, Now, limits};
use sip::{Method, Request};

use crate::call::{CallKey, End};
use crate::effect::{Closing, Counter, Effect};
use crate::orphan::{Orphan, Question};
use crate::refusal;
use crate::shard::Shard;
use crate::timer::Due;

/// A connection that has told its account.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) account: AccountId,
    user_agent: UserAgent,
    /// Clients that have registered here.
    clients: Vec<ClientId>,
    pub(crate) calls: Vec<CallKey>,
    is_dismissed: bool,
}

/// Who is at the other end, by its first request.
#[derive(Debug, PartialEq, Eq)]
struct UserAgent {
    /// Via sent-by.
    sent_by: Box<str>,
    /// User of the From address.
    client: Box<str>,
}

impl UserAgent {
    fn of(request: &Request<'_>) -> Self {
        Self {
            sent_by: request.headers.via().sent_by.into(),
            client: request.headers.from().uri.user_decoded().into(),
        }
    }

    /// RFC 7118 §5: a browser makes up a name under `.invalid`, one for each user agent; an address
    /// says nothing, since several may share it.
    fn has_a_name(&self) -> bool {
        self.sent_by.ends_with(".invalid")
    }
}

impl Connection {
    pub(crate) fn note_client(&mut self, client: &ClientId) {
        if !self.clients.contains(client) {
            self.clients.push(client.clone());
        }
    }

    pub(crate) fn note_call(&mut self, call: CallKey) {
        if !self.calls.contains(&call) {
            self.calls.push(call);
        }
    }
}

impl Shard {
    /// Makes a connection known at its first request. Says whether the request may go on.
    pub(crate) fn introduce(
        &mut self,
        now: Now,
        connection: ConnectionId,
        account: AccountId,
        request: &Request<'_>,
    ) -> bool {
        if let Some(known) = self.connections.get(&connection) {
            return !known.is_dismissed;
        }
        let count = self.per_account.entry(account).or_default();
        if *count >= limits::CONNECTIONS_PER_ACCOUNT {
            self.act(now).count(Counter::AccountFull);
            self.refuse(now, connection, request, &refusal::account_full());
            return false;
        }
        *count += 1;
        let user_agent = UserAgent::of(request);
        // What a user agent begins with; a stray CANCEL or BYE proves nothing.
        if matches!(
            request.method,
            Method::Options | Method::Register | Method::Invite
        ) {
            self.replace_user_agent(now, connection, account, &user_agent);
        }
        let fresh = Connection {
            account,
            user_agent,
            clients: Vec::new(),
            calls: Vec::new(),
            is_dismissed: false,
        };
        self.connections.insert(connection, fresh);
        self.hand_out_orphans(now, connection, account, request);
        true
    }

    pub(crate) fn is_dismissed(&self, connection: ConnectionId) -> bool {
        self.connections
            .get(&connection)
            .is_some_and(|known| known.is_dismissed)
    }

    /// A connection is gone.
    pub(crate) fn on_connection_lost(&mut self, now: Now, connection: ConnectionId) {
        self.release(now, connection, None);
        let Some(lost) = self.connections.remove(&connection) else {
            return;
        };
        if let Some(count) = self.per_account.get_mut(&lost.account) {
            *count -= 1;
            if *count == 0 {
                self.per_account.remove(&lost.account);
            }
        }
        let sent_by = &lost.user_agent.sent_by;
        if self.user_agents.get(sent_by) == Some(&connection) {
            self.user_agents.remove(sent_by);
        }
    }

    /// Closes a connection, and treats it as lost from now on. `end` says how its calls end if not so.
    pub(crate) fn dismiss(
        &mut self,
        now: Now,
        connection: ConnectionId,
        end: Option<&End>,
        why: Closing,
    ) {
        self.release(now, connection, end);
        if let Some(known) = self.connections.get_mut(&connection) {
            known.is_dismissed = true;
            self.effects.push_back(Effect::Close { connection, why });
        }
    }

    pub(crate) fn keep_orphan(&mut self, sent_by: &str, orphan: Orphan) {
        let before = self.orphans.first_end();
        self.orphans.keep(sent_by, orphan);
        self.timers
            .shift(Due::Orphan, before, self.orphans.first_end());
    }

    /// A user agent has one connection: one that comes on another has lost the one before, however
    /// long the network takes to say so.
    fn replace_user_agent(
        &mut self,
        now: Now,
        connection: ConnectionId,
        account: AccountId,
        user_agent: &UserAgent,
    ) {
        if !user_agent.has_a_name() {
            return;
        }
        let before = self
            .user_agents
            .insert(user_agent.sent_by.clone(), connection);
        let Some(before) = before else { return };
        let is_same = self.connections.get(&before).is_some_and(|known| {
            known.account == account && known.user_agent == *user_agent && !known.is_dismissed
        });
        if is_same {
            self.dismiss(now, before, None, Closing::REPLACED);
        }
    }

    /// Ends what a connection holds: bindings and calls.
    fn release(&mut self, now: Now, connection: ConnectionId, end: Option<&End>) {
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        let account = known.account;
        let (clients, calls) = (
            std::mem::take(&mut known.clients),
            std::mem::take(&mut known.calls),
        );
        // A client that has come back on another connection keeps its binding there.
        for client in &clients {
            let shift = self
                .location
                .unbind(account, client, |binding| binding.connection == connection);
            self.shift_client(account, client, shift);
        }
        for key in calls {
            let unheard = self
                .calls
                .get(&key)
                .and_then(|call| call.unheard(connection, now));
            if let Some((sent_by, orphan)) = unheard.filter(|_| end.is_none()) {
                self.keep_orphan(&sent_by, orphan);
            }
            self.drive(now, key, |call, act| match end {
                Some(end) => call.hang_up(end.clone(), act),
                None => call.on_lost(connection, act),
            });
        }
    }

    /// Answers that a user agent may still wait for.
    fn hand_out_orphans(
        &mut self,
        now: Now,
        connection: ConnectionId,
        account: AccountId,
        request: &Request<'_>,
    ) {
        let before = self.orphans.first_end();
        let orphans = self.orphans.claim(account, request);
        self.timers
            .shift(Due::Orphan, before, self.orphans.first_end());
        let mut act = self.act(now);
        for orphan in orphans {
            act.count(match orphan.question {
                Question::Register => Counter::RegisterRescued,
                Question::Invite => Counter::InviteRescued,
            });
            act.send(connection, orphan.answer);
        }
    }
}
