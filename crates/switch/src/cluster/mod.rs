//! Several nodes that work as one: what a shard does for calls and bindings that are partly another node's.
//!
//! Every node knows all bindings: each publishes those of its own connections, and keeps what the others publish. A call lives whole on
//! its caller's node; a connection of another node is to it a connection like any other, whose messages pass by the bus. Which
//! node a message belongs to its cookies say, as they say which call. A session whose client comes back to another node goes there, and
//! its calls stay.
//!
//! Never knows what the bus is: [`Word`]s go out as [`Effect::Tell`] and come in as [`Input::Told`](crate::Input::Told), in order and once
//! ([`Member`] sees to that), or the node counts as gone.

mod elsewhere;
mod homes;
mod links;
mod look;
mod member;
mod moving;
mod peer;
mod published;
mod rehoming;
mod session;
mod word;

use std::sync::Arc;

use model::{AccountId, ClientId, ConnectionId, NodeNumber, Now};
use sip::{Message, Request};

pub use elsewhere::Dialog as DialogElsewhere;
pub(crate) use elsewhere::Elsewhere;
use homes::Home;
pub(crate) use homes::Homes;
pub(crate) use look::Looks;
pub use member::{Content, Member, MemberEffect, MemberInput};
pub use moving::{Moving, Resident};
pub(crate) use published::moved as registered_after_moving;
pub use published::{Bindings, Published};
pub use word::{Audience, Garbled, Word};

use crate::call::{Call, CallKey, read_branch, read_party_tag, read_tag};
use crate::connection::{Coming, Connection, UserAgent};
use crate::effect::{Closing, Counter, Effect};
use crate::location::{Binding, Instances};
use crate::shard::Shard;
use crate::turn_grant::TurnChange;

impl Shard {
    /// The same, as one node among several.
    #[must_use]
    pub fn on_node(mut self, node: NodeNumber) -> Self {
        self.node = node;
        self
    }

    /// Whether there are other nodes.
    pub(crate) fn has_others(&self) -> bool {
        self.node != NodeNumber::ALONE
    }

    pub(crate) fn is_own(&self, connection: ConnectionId) -> bool {
        connection.node() == self.node
    }

    /// What is for a connection of another node goes there.
    pub(crate) fn addressed(&self, effect: Effect) -> Effect {
        match effect {
            Effect::Send {
                connection,
                message,
            } if !self.is_own(connection) => Effect::Tell {
                node: connection.node(),
                word: Word::Send {
                    connection,
                    message,
                },
            },
            Effect::Turn(TurnChange::Reach {
                connection,
                call,
                addresses,
            }) if !self.is_own(connection) => Effect::Tell {
                node: connection.node(),
                word: Word::Reach {
                    connection,
                    call,
                    addresses,
                },
            },
            Effect::Turn(TurnChange::Ended { connection, call }) if !self.is_own(connection) => {
                Effect::Tell {
                    node: connection.node(),
                    word: Word::Unreach { connection, call },
                }
            }
            Effect::Send { .. }
            | Effect::Turn(_)
            | Effect::Close { .. }
            | Effect::Record(_)
            | Effect::Media { .. }
            | Effect::Ask(_)
            | Effect::Bring(_)
            | Effect::Complain { .. }
            | Effect::Publish { .. }
            | Effect::Look { .. }
            | Effect::Tell { .. }
            | Effect::Count(_) => effect,
        }
    }

    /// Another node says something.
    pub(crate) fn on_told(&mut self, now: Now, from: NodeNumber, word: Word) {
        match word {
            Word::Send {
                connection,
                message,
            } => self.on_carried(from, connection, message),
            Word::Came {
                connection,
                account,
                message,
            } if self.is_of(connection, from) => self.on_came(now, connection, account, &message),
            Word::Adopt(call) => self.on_adopt(now, *call),
            Word::Rehomed { connection, dialog } => self.on_rehomed(from, connection, *dialog),
            Word::Lost { connection } if connection.node() == from => {
                self.on_connection_lost(now, connection, None);
            }
            // Of a connection that is not the speaker's it has nothing to say.
            Word::Came { .. } | Word::Lost { .. } => {}
            Word::Left { connection } => self.on_left(from, connection),
            Word::Unbind {
                account,
                client,
                contact,
            } => self.on_unbind(account, &client, &contact),
            Word::Back {
                connection,
                account,
                client,
                sent_by,
                branch,
                registers,
            } => {
                let coming = Coming {
                    branch: &branch,
                    registers,
                };
                let user_agent = UserAgent::named(account, client, sent_by);
                self.on_back(now, connection, &user_agent, coming);
            }
            Word::Reach {
                connection,
                call,
                addresses,
            } => self.turn(TurnChange::Reach {
                connection,
                call,
                addresses,
            }),
            Word::Unreach { connection, call } => {
                self.turn(TurnChange::Ended { connection, call });
            }
            Word::Here { to, moving } => self.on_here(now, from, to, *moving),
            Word::Moved {
                from: before,
                to,
                account,
                clients,
            } if to.node() == from => self.on_moved(now, (before, to), account, &clients),
            // For whoever keeps sessions; and what somebody says who has not got it.
            Word::Fetch { .. } | Word::NotHere { .. } | Word::Moved { .. } => {}
            Word::Relayed(relayed) => {
                self.on_relayed(
                    now,
                    relayed.connection,
                    CallKey(relayed.call),
                    relayed.usage,
                );
            }
        }
    }

    /// Something came on a connection of another node.
    fn on_came(&mut self, now: Now, connection: ConnectionId, account: AccountId, message: &[u8]) {
        // It may have gone on since, and been taken in before this came.
        let connection = self.moves.resolve(connection);
        if let Ok(message) = sip::parse(message)
            && !self.pass_home(connection, account, &message)
        {
            self.on_message(now, connection, account, &message, None);
        }
    }

    /// A node's calls have nothing to do with a connection of ours any more.
    fn on_left(&mut self, from: NodeNumber, connection: ConnectionId) {
        if let Some(known) = self.connections.get_mut(&connection)
            && let Some(elsewhere) = &mut known.elsewhere
        {
            elsewhere.leaves(from);
            if elsewhere.nodes().is_empty() {
                known.elsewhere = None;
            }
        }
    }

    /// A client has ended, on another node, a registration that this one holds.
    fn on_unbind(&mut self, account: AccountId, client: &ClientId, contact: &str) {
        let node = self.node;
        let shift = self.location.unbind(account, client, |binding| {
            binding.connection.node() == node && *binding.contact == *contact
        });
        self.shift_client(account, client, shift);
        self.publish(account, client);
    }

    /// Asks the other nodes for answers that a user agent may still wait for.
    pub(crate) fn tell_back(
        &mut self,
        connection: ConnectionId,
        account: AccountId,
        user_agent: &UserAgent,
        coming: Coming<'_>,
    ) {
        for node in self.others.iter() {
            self.effects.push_back(Effect::Tell {
                node: *node,
                word: Word::Back {
                    connection,
                    account,
                    client: user_agent.client().clone(),
                    sent_by: user_agent.sent_by().into(),
                    branch: coming.branch.into(),
                    registers: coming.registers,
                },
            });
        }
    }

    /// A user agent that was here has come to another node.
    fn on_back(
        &mut self,
        now: Now,
        connection: ConnectionId,
        user_agent: &Arc<UserAgent>,
        coming: Coming<'_>,
    ) {
        let before = self.user_agents.get(user_agent).copied();
        self.hand_out_orphans(now, connection, user_agent, before, coming);
        self.effects.push_back(Effect::Tell {
            node: connection.node(),
            word: Word::Left { connection },
        });
    }

    /// A call of another node sends something to a connection of ours.
    fn on_carried(&mut self, from: NodeNumber, connection: ConnectionId, message: Vec<u8>) {
        let now_is = self.moves.resolve(connection);
        if !self.is_own(now_is) {
            self.effects.push_back(Effect::Send {
                connection: now_is,
                message,
            });
            return;
        }
        let known = self.connections.get_mut(&now_is);
        let Some(known) = known.filter(|known| !known.is_dismissed()) else {
            self.effects.push_back(Effect::Tell {
                node: from,
                word: Word::Lost { connection },
            });
            return;
        };
        let connection = now_is;
        let Ok(parsed) = sip::parse(&message) else {
            return;
        };
        known.elsewhere.get_or_insert_default().sends(from, &parsed);
        self.effects.push_back(Effect::Send {
            connection,
            message,
        });
    }

    /// A message that belongs to a call of another node goes there. Says whether it does.
    pub(crate) fn pass_on(
        &mut self,
        connection: ConnectionId,
        account: AccountId,
        message: &Message<'_>,
    ) -> bool {
        if !self.has_others() || !self.is_own(connection) {
            return false;
        }
        let key = match message {
            Message::Request(request) => call_of_request(request),
            Message::Response(response) => response.headers.via().branch().and_then(read_branch),
        };
        let home = home_tag(message).and_then(|tag| self.homes.get(tag));
        let node = match home {
            Some(Home::There(node)) => Some(node),
            Some(Home::Here(_)) => None,
            None => key.map(CallKey::node),
        };
        let Some(node) = node.filter(|node| *node != self.node && self.others.contains(node))
        else {
            return false;
        };
        let known = self.connections.get_mut(&connection);
        if let Some(elsewhere) = known.and_then(|known| known.elsewhere.as_mut()) {
            elsewhere.hears(message);
        }
        let message = message.as_bytes().to_vec();
        self.effects.push_back(Effect::Tell {
            node,
            word: Word::Came {
                connection,
                account,
                message,
            },
        });
        true
    }

    /// Whether a node may say what came on a connection: its own, or one that a call which has come here has.
    fn is_of(&self, connection: ConnectionId, node: NodeNumber) -> bool {
        let now_is = self.moves.resolve(connection);
        connection.node() == node || self.connections.contains_key(&now_is)
    }

    /// What comes for a call that has gone to another node goes there too. Says whether it does.
    fn pass_home(
        &mut self,
        connection: ConnectionId,
        account: AccountId,
        message: &Message<'_>,
    ) -> bool {
        let home = home_tag(message).and_then(|tag| self.homes.get(tag));
        let Some(Home::There(node)) = home.filter(|_| !self.is_own(connection)) else {
            return false;
        };
        let message = message.as_bytes().to_vec();
        self.effects.push_back(Effect::Tell {
            node,
            word: Word::Came {
                connection,
                account,
                message,
            },
        });
        true
    }

    /// Makes another node's connection known that a call is about to have.
    pub(crate) fn know_remote(&mut self, connection: ConnectionId, account: AccountId) {
        if self.is_own(connection) || self.connections.contains_key(&connection) {
            return;
        }
        *self.per_account.entry(account).or_default() += 1;
        self.connections.insert(connection, Connection::of(account));
    }

    /// A call has nothing to do with a connection any more.
    pub(crate) fn part(&mut self, connection: ConnectionId, key: CallKey) {
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        known.calls.retain(|known| *known != key);
        if known.calls.is_empty() && !self.is_own(connection) {
            self.forget_connection(connection);
            // Our relay may still serve it.
            if self.left_behind.iter().any(|left| left.1 == connection) {
                return;
            }
            self.effects.push_back(Effect::Tell {
                node: connection.node(),
                word: Word::Left { connection },
            });
        }
    }

    /// Tells the nodes whose calls have something of a connection of ours that it is gone.
    pub(crate) fn tell_lost(
        &mut self,
        connection: ConnectionId,
        elsewhere: Option<Box<Elsewhere>>,
    ) {
        for node in elsewhere.iter().flat_map(|elsewhere| elsewhere.nodes()) {
            let node = *node;
            self.effects.push_back(Effect::Tell {
                node,
                word: Word::Lost { connection },
            });
        }
    }

    /// Tells the others where this client is on this node.
    pub(crate) fn publish(&mut self, account: AccountId, client: &ClientId) {
        if self.has_others() {
            let bindings = self.location.published(account, client, self.node);
            self.effects.push_back(Effect::Publish {
                account,
                client: client.clone(),
                bindings,
            });
        }
    }

    /// Tells the nodes that hold these bindings of a client that they have ended.
    pub(crate) fn unbind_elsewhere(
        &mut self,
        account: AccountId,
        client: &ClientId,
        is_meant: impl Fn(&Binding) -> bool,
    ) {
        let instances = self.location.instances(account, client.as_str());
        let elsewhere = instances
            .into_iter()
            .flat_map(Instances::iter)
            .filter(|binding| !self.is_own(binding.connection) && is_meant(binding));
        let told = elsewhere.map(|binding| Effect::Tell {
            node: binding.connection.node(),
            word: Word::Unbind {
                account,
                client: client.clone(),
                contact: binding.contact.clone(),
            },
        });
        let told: Vec<_> = told.collect();
        self.effects.extend(told);
    }

    /// Another node has said where a client is there.
    pub(crate) fn on_published(
        &mut self,
        now: Now,
        node: NodeNumber,
        account: AccountId,
        client: &ClientId,
        bindings: &[Published],
    ) {
        if node == self.node {
            return;
        }
        let there = bindings
            .iter()
            .filter(|published| published.connection.node() == node)
            .filter_map(|published| published.binding(now));
        let (shift, gone) = self.location.replace(account, client, node, there);
        self.shift_client(account, client, shift);
        if gone.is_empty() {
            return;
        }
        // The same page has come back elsewhere.
        self.publish(account, client);
        for connection in gone {
            if self.is_own(connection) && !self.is_dismissed(connection) {
                self.dismiss(now, connection, None, Closing::REPLACED);
            }
        }
    }

    /// What was on its way to or from a node is lost: calls with its connections end.
    pub(crate) fn on_severed(&mut self, now: Now, node: NodeNumber) {
        if node == self.node {
            return;
        }
        let mut theirs = self.connection_ids();
        theirs.retain(|connection| connection.node() == node);
        for connection in theirs {
            self.act(now).count(Counter::LostWithNode);
            self.on_connection_lost(now, connection, None);
        }
        self.forget_left_behind(|connection| connection.node() == node);
        self.end_calls_of(node);
    }

    /// Ends what calls of a node that is gone have with connections of ours.
    fn end_calls_of(&mut self, node: NodeNumber) {
        for connection in self.connection_ids() {
            let Some(known) = self.connections.get_mut(&connection) else {
                continue;
            };
            let Some(elsewhere) = &mut known.elsewhere else {
                continue;
            };
            let farewells = elsewhere.farewells(node, &mut self.random);
            if elsewhere.nodes().is_empty() {
                known.elsewhere = None;
            }
            for message in farewells {
                self.effects.push_back(Effect::Send {
                    connection,
                    message,
                });
            }
        }
    }

    /// Which nodes can be reached now. Whoever calls a client that has not said a word yet, and cannot be reached any more, is told.
    pub(crate) fn on_reach(&mut self, now: Now, nodes: Arc<[NodeNumber]>, has_bus: bool) {
        let before = std::mem::replace(&mut self.others, nodes);
        self.has_bus = has_bus;
        let gone = before.iter().filter(|node| !self.others.contains(node));
        for gone in gone.copied().collect::<Vec<_>>() {
            // What came with a session was published by nobody yet.
            for (account, client, shift) in self.location.forget_node(gone) {
                self.shift_client(account, &client, shift);
            }
        }
        let mut away = self.connection_ids();
        away.retain(|connection| !self.is_in_reach(*connection));
        for connection in away {
            let unread = self.calls_of(connection).filter(|call| call.is_unread());
            let unread: Vec<_> = unread.map(Call::key).collect();
            for key in unread {
                self.drive(now, key, |call, act| call.on_lost(connection, None, act));
            }
        }
    }

    /// Whether messages get to a connection now.
    pub(crate) fn is_in_reach(&self, connection: ConnectionId) -> bool {
        self.is_own(connection) || self.has_bus && self.others.contains(&connection.node())
    }
}

/// The tag of ours in a request inside a dialog.
fn home_tag<'a>(message: &Message<'a>) -> Option<&'a str> {
    match message {
        Message::Request(request) => request.headers.to().tag(),
        Message::Response(_) => None,
    }
}

/// The call that a request inside a dialog belongs to.
fn call_of_request(request: &Request<'_>) -> Option<CallKey> {
    let tag = request.headers.to().tag()?;
    read_tag(tag)
        .map(|(key, _)| key)
        .or_else(|| read_party_tag(tag).map(|(key, _)| key))
}
