//! The connections that a shard knows: from their first request to their loss.
//!
//! A connection that is dismissed stays known until the shell says that it is gone, and whatever it
//! still sends is ignored. Decides nothing about what is asked on a connection.

use std::sync::Arc;
use std::time::Duration;

use model::{AccountId, ClientId, ConnectionId, Now, limits};
use sip::{Method, Request};

use crate::call::{CallKey, End};
use crate::cluster::Elsewhere;
use crate::effect::{Closing, Counter, Effect};
use crate::marks::{Marks, Shows};
use crate::orphan::{Orphan, Question, Unheard};
use crate::refusal;
use crate::shard::Shard;
use crate::timer::Due;
use crate::token::{Grant, Shown};
use crate::turn_grant::TurnChange;

/// A connection that has told its account.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) account: AccountId,
    user_agent: Option<Arc<UserAgent>>,
    /// Where the same user agent was before, as it says; believed when it has shown its token.
    before: Option<ConnectionId>,
    /// Whether it has.
    is_proven: bool,
    /// Whether any valid token was shown, and the ledger of relays told so.
    is_trusted: bool,
    /// The token that was shown last.
    pub(crate) shown: Option<Shown>,
    /// Those that what it has was made with.
    pub(crate) marks: Marks,
    /// Clients that have registered here.
    clients: Vec<ClientId>,
    /// The answer to its last REGISTER, which may get lost with it.
    unheard: Option<Unheard>,
    pub(crate) calls: Vec<CallKey>,
    /// What calls of other nodes have of it.
    pub(crate) elsewhere: Option<Box<Elsewhere>>,
    is_dismissed: bool,
}

/// A user agent at the other end, by its first request.
///
/// RFC 7118 §5: a browser makes up a Via sent-by under `.invalid` and keeps it from connection to
/// connection. An address instead says nothing, since several may share it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct UserAgent {
    account: AccountId,
    sent_by: Box<str>,
    /// User of the From address: the same name from another client is another user agent.
    client: ClientId,
}

impl UserAgent {
    /// As another node names it.
    pub(crate) fn named(account: AccountId, client: ClientId, sent_by: Box<str>) -> Arc<Self> {
        Arc::new(Self {
            account,
            sent_by,
            client,
        })
    }

    pub(crate) fn sent_by(&self) -> &str {
        &self.sent_by
    }

    pub(crate) fn client(&self) -> &ClientId {
        &self.client
    }

    fn of(account: AccountId, request: &Request<'_>) -> Option<Arc<Self>> {
        let sent_by = request.headers.via().sent_by;
        if !sent_by.ends_with(".invalid") || sent_by.len() > limits::USER_AGENT_BYTES {
            return None;
        }
        let client = ClientId::parse(&request.headers.from().uri.user_decoded()).ok()?;
        Some(Arc::new(Self {
            account,
            sent_by: sent_by.into(),
            client,
        }))
    }
}

impl Connection {
    pub(crate) fn of(account: AccountId) -> Self {
        Self {
            account,
            user_agent: None,
            before: None,
            is_proven: false,
            is_trusted: false,
            shown: None,
            marks: Marks::default(),
            clients: Vec::new(),
            unheard: None,
            calls: Vec::new(),
            elsewhere: None,
            is_dismissed: false,
        }
    }

    /// One that has come from another node.
    pub(crate) fn moved(
        account: AccountId,
        user_agent: Option<Arc<UserAgent>>,
        (is_proven, is_trusted): (bool, bool),
        clients: Vec<ClientId>,
    ) -> Self {
        Self {
            user_agent,
            is_proven,
            is_trusted,
            clients,
            ..Self::of(account)
        }
    }

    pub(crate) fn user_agent(&self) -> Option<&Arc<UserAgent>> {
        self.user_agent.as_ref()
    }

    /// Clients that have registered here.
    pub(crate) fn clients(&self) -> &[ClientId] {
        &self.clients
    }

    /// Whether its user agent has shown its token.
    pub(crate) fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Whether any valid token was shown.
    pub(crate) fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    pub(crate) fn is_dismissed(&self) -> bool {
        self.is_dismissed
    }

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

/// The first request of a user agent on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coming<'a> {
    pub(crate) branch: &'a str,
    pub(crate) registers: bool,
}

impl<'a> Coming<'a> {
    fn by(request: &Request<'a>) -> Self {
        Self {
            branch: request.headers.via().branch().unwrap_or_default(),
            registers: request.method == Method::Register,
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy)]
enum Parting<'a> {
    /// It was lost; its session, if it had one, waited for so long.
    Lost { waited: Option<Duration> },
    /// We end it, and its calls like this.
    Ended(&'a End),
}

impl Parting<'_> {
    fn is_loss(self) -> bool {
        match self {
            Self::Lost { .. } => true,
            Self::Ended(_) => false,
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
        if self.trunk_of(connection).is_some() {
            self.know_line(connection, account);
            return true;
        }
        let count = self.per_account.entry(account).or_default();
        if *count >= limits::CONNECTIONS_PER_ACCOUNT {
            self.act(now).count(Counter::AccountFull);
            self.refuse(now, connection, request, &refusal::account_full());
            return false;
        }
        *count += 1;
        let user_agent = UserAgent::of(account, request);
        let before = user_agent
            .as_ref()
            .and_then(|user_agent| self.user_agents.insert(Arc::clone(user_agent), connection));
        if let Some(user_agent) = &user_agent {
            let coming = Coming::by(request);
            self.hand_out_orphans(now, connection, user_agent, before, coming);
            self.tell_back(connection, account, user_agent, coming);
        }
        let fresh = Connection {
            user_agent,
            before,
            ..Connection::of(account)
        };
        self.connections.insert(connection, fresh);
        self.turn(TurnChange::Opened {
            connection,
            account,
        });
        true
    }

    /// Makes a trunk's line known, if it is not: it is there before anything was said on it, and no relay serves it.
    pub(crate) fn know_line(&mut self, connection: ConnectionId, account: AccountId) {
        if !self.connections.contains_key(&connection) {
            *self.per_account.entry(account).or_default() += 1;
            self.connections.insert(connection, Connection::of(account));
        }
    }

    pub(crate) fn is_dismissed(&self, connection: ConnectionId) -> bool {
        self.connections
            .get(&connection)
            .is_some_and(|known| known.is_dismissed)
    }

    /// A client has shown its token on a connection. A user agent has one connection: if it had
    /// another before, that one is lost, however long the network takes to say so.
    pub(crate) fn prove(
        &mut self,
        now: Now,
        connection: ConnectionId,
        grant: &Grant,
        shows: Shows,
    ) {
        self.note_shown(connection, grant, shows);
        let client = &grant.client;
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        // As it is at every refresh.
        if known.is_trusted && known.is_proven && known.before.is_none() {
            return;
        }
        let account = known.account;
        if !std::mem::replace(&mut known.is_trusted, true) {
            self.turn(TurnChange::Proven {
                connection,
                account,
            });
        }
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        if known
            .user_agent
            .as_ref()
            .is_none_or(|own| own.client != *client)
        {
            return;
        }
        known.is_proven = true;
        if let Some(before) = known.before.take()
            && !self.is_dismissed(before)
        {
            self.dismiss(now, before, None, Closing::REPLACED);
        }
    }

    /// A connection is gone; a session, after its client was `waited` for.
    pub(crate) fn on_connection_lost(
        &mut self,
        now: Now,
        connection: ConnectionId,
        waited: Option<Duration>,
    ) {
        self.release(now, connection, Parting::Lost { waited });
        self.forget_left_behind(|gone| gone == connection);
        let Some(mut lost) = self.forget_connection(connection) else {
            return;
        };
        self.tell_lost(connection, lost.elsewhere.take());
        if !lost.is_dismissed && self.is_own(connection) {
            self.turn(TurnChange::Gone { connection });
        }
        if let Some(user_agent) = &lost.user_agent
            && self.user_agents.get(user_agent) == Some(&connection)
        {
            self.user_agents.remove(user_agent);
            let unheard = lost.unheard.as_mut();
            if let Some(orphan) = unheard.and_then(|unheard| unheard.take(now.mono)) {
                self.keep_for(user_agent, orphan);
            }
        }
    }

    pub(crate) fn forget_connection(&mut self, connection: ConnectionId) -> Option<Connection> {
        let lost = self.connections.remove(&connection)?;
        self.forget_looks(connection);
        if let Some(count) = self.per_account.get_mut(&lost.account) {
            *count -= 1;
            if *count == 0 {
                self.per_account.remove(&lost.account);
            }
        }
        Some(lost)
    }

    /// Closes a connection, and treats it as lost from now on. A trunk's line cannot be closed, nor can another node's connection: it is as if nothing had passed on it. `end` says how its calls end if not so.
    pub(crate) fn dismiss(
        &mut self,
        now: Now,
        connection: ConnectionId,
        end: Option<&End>,
        why: Closing,
    ) {
        let parting = end.map_or(Parting::Lost { waited: None }, Parting::Ended);
        self.release(now, connection, parting);
        if self.trunk_of(connection).is_some() || !self.is_own(connection) {
            self.forget_connection(connection);
        } else if let Some(known) = self.connections.get_mut(&connection) {
            known.is_dismissed = true;
            let elsewhere = known.elsewhere.take();
            self.tell_lost(connection, elsewhere);
            self.turn(TurnChange::Gone { connection });
            self.effects.push_back(Effect::Close { connection, why });
        }
    }

    /// Keeps the answer to a REGISTER whose connection may be just being lost, if its user agent has shown its token: nobody
    /// else can have answers sent to it.
    pub(crate) fn keep_answer(
        &mut self,
        now: Now,
        connection: ConnectionId,
        sent_by: &str,
        answer: &[u8],
    ) {
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        let is_own = |own: &Arc<UserAgent>| *own.sent_by == *sent_by;
        if !known.is_proven
            || !known.user_agent.as_ref().is_some_and(is_own)
            || answer.len() > limits::ORPHAN_BYTES
        {
            return;
        }
        let until = now.mono + limits::TRANSACTION_TIME;
        if let Some(unheard) = &mut known.unheard {
            unheard.until = until;
            unheard.answer.clear();
            unheard.answer.extend_from_slice(answer);
            return;
        }
        known.unheard = Some(Unheard {
            answer: answer.to_vec(),
            until,
        });
        let before = self.orphans.first_end();
        self.orphans.watch(connection, now.mono);
        self.timers
            .shift(Due::Orphan, before, self.orphans.first_end());
    }

    /// Gives up the answers to REGISTER that nobody waits for any more.
    pub(crate) fn forget_heard(&mut self, now: Now) {
        while let Some(connection) = self.orphans.next_watched(now.mono) {
            let Some(known) = self.connections.get_mut(&connection) else {
                continue;
            };
            if let Some(unheard) = &known.unheard
                && now.mono < unheard.until
            {
                self.orphans.watch(connection, now.mono);
            } else {
                known.unheard = None;
            }
        }
    }

    /// Keeps the end of a call that may get lost, or has got lost, with its connection, likewise. One that has come back
    /// meanwhile is told at once.
    pub(crate) fn keep_orphan(
        &mut self,
        now: Now,
        connection: ConnectionId,
        sent_by: &str,
        orphan: Orphan,
    ) {
        let proven = self
            .connections
            .get(&connection)
            .filter(|known| known.is_proven);
        let user_agent = proven
            .and_then(|known| known.user_agent.clone())
            .filter(|user_agent| *user_agent.sent_by == *sent_by);
        let Some(user_agent) = user_agent else { return };
        let newest = self.user_agents.get(&user_agent).copied();
        match newest.filter(|newest| *newest != connection) {
            Some(newest) => self.rescue(now, newest, orphan),
            None if orphan.answer.len() > limits::ORPHAN_BYTES => {}
            None => self.keep_for(&user_agent, orphan),
        }
    }

    fn keep_for(&mut self, user_agent: &Arc<UserAgent>, orphan: Orphan) {
        let before = self.orphans.first_end();
        self.orphans.keep(user_agent, orphan);
        self.timers
            .shift(Due::Orphan, before, self.orphans.first_end());
    }

    /// Whether this connection has registered `client`, or shown its token.
    pub(crate) fn speaks_for(&self, connection: ConnectionId, client: &ClientId) -> bool {
        self.connections.get(&connection).is_some_and(|known| {
            let is_own = |own: &Arc<UserAgent>| known.is_proven && own.client == *client;
            known.clients.contains(client) || known.user_agent.as_ref().is_some_and(is_own)
        })
    }

    /// Every connection, the oldest first.
    pub(crate) fn connection_ids(&self) -> Vec<ConnectionId> {
        #[expect(
            clippy::disallowed_methods,
            reason = "sorted before anyone sees the order"
        )]
        let mut all: Vec<_> = self.connections.keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// Whether a valid token was shown on it.
    pub(crate) fn is_proven(&self, connection: ConnectionId) -> bool {
        let known = self.connections.get(&connection);
        known.is_some_and(|known| known.is_proven)
    }

    /// Tells the ledger of relays, if there are any.
    pub(crate) fn turn(&mut self, change: TurnChange) {
        if self.snapshot.settings.turn.is_some() {
            self.effects.push_back(Effect::Turn(change));
        }
    }

    /// Ends what a connection holds: bindings and calls.
    fn release(&mut self, now: Now, connection: ConnectionId, parting: Parting<'_>) {
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
            self.publish(account, client);
        }
        for key in calls {
            let unheard = match self.calls.get(&key) {
                Some(call) => call.unheard(connection, now),
                None => {
                    let run = self.runs.get(&key);
                    run.and_then(|run| run.unheard(connection, now.mono))
                }
            };
            if let Some((sent_by, orphan)) = unheard.filter(|_| parting.is_loss()) {
                self.keep_orphan(now, connection, &sent_by, orphan);
            }
            self.drive(now, key, |call, act| match parting {
                Parting::Ended(end) => call.hang_up(end.clone(), act),
                Parting::Lost { waited } => call.on_lost(connection, waited, act),
            });
            self.drive_run(now, key, |run, act| match parting {
                Parting::Ended(end) => run.hang_up(end.clone(), act),
                Parting::Lost { waited } => run.on_lost(connection, waited, act),
            });
        }
    }

    /// Answers that a user agent may still wait for, from `before` too, which may be lost without our knowing. One that registers by itself does not wait for
    /// an answer to REGISTER.
    pub(crate) fn hand_out_orphans(
        &mut self,
        now: Now,
        connection: ConnectionId,
        user_agent: &Arc<UserAgent>,
        before: Option<ConnectionId>,
        coming: Coming<'_>,
    ) {
        let end = self.orphans.first_end();
        let mut orphans = self.orphans.take(user_agent);
        self.timers
            .shift(Due::Orphan, end, self.orphans.first_end());
        let before = before.and_then(|before| self.connections.get_mut(&before));
        let unheard = before.and_then(|before| before.unheard.as_mut());
        orphans.extend(unheard.and_then(|unheard| unheard.take(now.mono)));
        for orphan in orphans {
            let is_moot = match orphan.question {
                Question::Register => coming.registers,
                Question::Invite => *coming.branch == *orphan.branch,
            };
            if !is_moot {
                self.rescue(now, connection, orphan);
            }
        }
    }

    fn rescue(&mut self, now: Now, connection: ConnectionId, orphan: Orphan) {
        let mut act = self.act(now);
        act.count(match orphan.question {
            Question::Register => Counter::RegisterRescued,
            Question::Invite => Counter::InviteRescued,
        });
        act.send(connection, orphan.answer);
    }
}
