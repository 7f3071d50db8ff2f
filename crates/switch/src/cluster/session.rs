//! A session goes from one node to another, and its calls stay where they are: to them it is another connection from then on.
//!
//! The node that has it hands it over whole, in one step; the node that takes it tells all others. Whoever has a call with it goes on with
//! the connection that it is now, and what still names the old one is passed on. Never looks at credentials: whoever keeps sessions has.

use std::sync::Arc;

use model::{AccountId, ClientId, ConnectionId, NodeNumber, Now};

use super::homes::Home;
use super::moving::{Moving, Resident};
use super::published::Published;
use super::word::Word;
use crate::call::{Act, CallKey, End};
use crate::connection::{Connection, UserAgent};
use crate::effect::{Closing, Counter, Effect};
use crate::marks::Marks;
use crate::shard::Shard;
use crate::turn_grant::TurnChange;

impl Shard {
    /// A session is about to be handed over: what it waits for here is answered first.
    pub(crate) fn on_leaving(&mut self, now: Now, connection: ConnectionId) {
        for look in self.looks_of(connection) {
            self.on_found(now, look, &[]);
        }
    }

    /// A session is handed over to the node of `to`.
    pub(crate) fn on_leaves(
        &mut self,
        now: Now,
        connection: ConnectionId,
        to: ConnectionId,
        mut moving: Box<Moving>,
    ) {
        let Some(resident) = self.resident(connection, to) else {
            let word = Word::NotHere { to };
            let node = to.node();
            return self.effects.push_back(Effect::Tell { node, word });
        };
        let clients = resident.clients();
        let is_missed = resident.elsewhere.nodes().contains(&self.node);
        moving.resident = Some(resident);
        let account = self.connections.get(&connection).map(|known| known.account);
        self.effects.push_back(Effect::Tell {
            node: to.node(),
            word: Word::Here { to, moving },
        });
        if is_missed {
            // Media that our relay carries for it go on, until its connection there is gone.
            self.left_behind.push((connection, to));
        } else {
            self.turn(TurnChange::Gone { connection });
        }
        self.rename(now, connection, to);
        for (account, client) in account.into_iter().flat_map(|account| {
            let clients = clients.iter();
            clients.map(move |client| (account, client))
        }) {
            self.location.rename(account, client, connection, to);
            self.publish(account, client);
        }
        self.act(now).count(Counter::SessionLeft);
    }

    /// What is known of a connection, for the node that takes it.
    fn resident(&self, connection: ConnectionId, to: ConnectionId) -> Option<Resident> {
        let known = self.connections.get(&connection)?;
        if known.is_dismissed() {
            return None;
        }
        let mut elsewhere = known.elsewhere.as_deref().cloned().unwrap_or_default();
        elsewhere.leaves(to.node());
        let mut dialogs = Vec::new();
        for key in &known.calls {
            if let Some(call) = self.calls.get(key) {
                dialogs.extend(call.dialogs_with(connection, self.node));
            } else if let Some(run) = self.runs.get(key) {
                dialogs.extend(run.dialogs_with(connection, self.node));
            }
        }
        if !known.calls.is_empty() || self.snapshot.settings.turn.is_some() {
            elsewhere.joins(self.node, dialogs);
        }
        let mut bindings = Vec::new();
        for client in known.clients() {
            let instances = self.location.instances(known.account, client.as_str());
            for binding in instances.into_iter().flat_map(|instances| instances.iter()) {
                if binding.connection == connection {
                    let moved = Published::of(binding).on(to);
                    bindings.push((client.as_str().to_owned(), moved));
                }
            }
        }
        let user_agent = known.user_agent();
        let user_agent = user_agent.map(|own| (own.client().as_str().into(), own.sent_by().into()));
        Some(Resident {
            user_agent,
            is_proven: known.is_proven(),
            is_trusted: known.is_trusted(),
            marks: known.marks.pack(),
            clients: known
                .clients()
                .iter()
                .map(|of| of.as_str().into())
                .collect(),
            bindings,
            elsewhere,
        })
    }

    /// A session comes from another node.
    pub(crate) fn on_here(
        &mut self,
        now: Now,
        from: NodeNumber,
        connection: ConnectionId,
        moving: Moving,
    ) {
        let (Some(account), Some(mut resident)) = (moving.kin.account, moving.resident) else {
            return;
        };
        if !self.is_own(connection) || self.connections.contains_key(&connection) {
            return;
        }
        let clients = resident.clients();
        let user_agent = resident.user_agent.take().and_then(|(client, sent_by)| {
            let client = ClientId::parse(&client).ok()?;
            Some(UserAgent::named(account, client, sent_by))
        });
        if let Some(user_agent) = &user_agent
            && !self.user_agents.contains_key(user_agent)
        {
            self.user_agents.insert(Arc::clone(user_agent), connection);
        }
        resident.elsewhere.leaves(self.node);
        let homes = &mut self.homes;
        resident.elsewhere.learn(|tag, node| match homes.get(tag) {
            // It has come here since.
            Some(Home::Here(_)) => false,
            Some(Home::There(_)) => true,
            None => {
                homes.note(tag, Home::There(node));
                true
            }
        });
        let mut fresh = Connection::moved(
            account,
            user_agent,
            (resident.is_proven, resident.is_trusted),
            clients.clone(),
        );
        fresh.marks = Marks::unpack(resident.marks);
        if !resident.elsewhere.nodes().is_empty() {
            fresh.elsewhere = Some(Box::new(resident.elsewhere));
        }
        self.connections.insert(connection, fresh);
        *self.per_account.entry(account).or_default() += 1;
        self.turn(TurnChange::Opened {
            connection,
            account,
        });
        if resident.is_trusted {
            self.turn(TurnChange::Proven {
                connection,
                account,
            });
        }
        self.rename(now, moving.from, connection);
        let is_late = self.settle(now, account, resident.bindings);
        for client in &clients {
            self.publish(account, client);
        }
        self.tell_moved(from, (moving.from, connection), account, &clients);
        self.act(now).count(Counter::SessionCame);
        let directory = &self.snapshot.directory;
        if directory
            .account(account)
            .is_none_or(|known| known.disabled)
        {
            let end = End::server(403, "the account was disabled");
            self.dismiss(now, connection, Some(&end), Closing::ACCOUNT_DISABLED);
        } else if is_late {
            // Its page has not waited for it, and registered anew.
            self.dismiss(now, connection, None, Closing::REPLACED);
        }
    }

    /// Takes bindings in that have come with their session. Says whether one of them is late: its page has registered anew since.
    fn settle(&mut self, now: Now, account: AccountId, bindings: Vec<(String, Published)>) -> bool {
        let mut is_late = false;
        for (client, published) in bindings {
            if let (Ok(client), Some(binding)) = (ClientId::parse(&client), published.binding(now))
            {
                match self.location.settle(account, &client, binding) {
                    Some(shift) => self.shift_client(account, &client, shift),
                    None => is_late = true,
                }
            }
        }
        is_late
    }

    /// Tells everybody but the node that it comes from.
    fn tell_moved(
        &mut self,
        came_from: NodeNumber,
        (from, to): (ConnectionId, ConnectionId),
        account: AccountId,
        clients: &[ClientId],
    ) {
        for node in self.others.iter().filter(|node| **node != came_from) {
            self.effects.push_back(Effect::Tell {
                node: *node,
                word: Word::Moved {
                    from,
                    to,
                    account,
                    clients: clients.to_vec(),
                },
            });
        }
    }

    /// Another node has taken a session in.
    pub(crate) fn on_moved(
        &mut self,
        now: Now,
        (from, to): (ConnectionId, ConnectionId),
        account: AccountId,
        clients: &[ClientId],
    ) {
        // What is here nobody else has.
        if self.is_own(from) && self.connections.contains_key(&from) {
            return;
        }
        self.rename(now, from, to);
        for client in clients {
            self.location.rename(account, client, from, to);
        }
    }

    /// From now on a connection is another one, whose node may be another.
    fn rename(&mut self, now: Now, from: ConnectionId, to: ConnectionId) {
        self.moves.note(now.mono, from, to);
        for (_, there) in self.left_behind.iter_mut().filter(|left| left.1 == from) {
            *there = to;
        }
        let Some(known) = self.forget_connection(from) else {
            return;
        };
        if let Some(user_agent) = known.user_agent()
            && self.user_agents.get(user_agent) == Some(&from)
        {
            let user_agent = Arc::clone(user_agent);
            self.user_agents.remove(&user_agent);
        }
        if known.calls.is_empty() {
            return;
        }
        self.know_remote(to, known.account);
        for key in known.calls {
            if let Some(there) = self.connections.get_mut(&to) {
                there.note_call(key);
            }
            self.rename_in(now, key, from, to);
        }
    }

    fn rename_in(&mut self, now: Now, key: CallKey, from: ConnectionId, to: ConnectionId) {
        let mut act = Act {
            now,
            random: &mut self.random,
            effects: &mut self.effects,
            has_relay: self.snapshot.settings.turn.is_some(),
        };
        if let Some(call) = self.calls.get_mut(&key) {
            call.rename(from, to, &mut act);
        } else if let Some(run) = self.runs.get_mut(&key) {
            run.rename(from, to);
        }
    }

    /// A connection is gone that a session of ours had become: our relay does nothing for it any more.
    pub(crate) fn forget_left_behind(&mut self, is_gone: impl Fn(ConnectionId) -> bool) {
        let left = self.left_behind.extract_if(.., |left| is_gone(left.1));
        let left: Vec<_> = left.collect();
        for (connection, _) in left {
            self.turn(TurnChange::Gone { connection });
        }
    }
}
