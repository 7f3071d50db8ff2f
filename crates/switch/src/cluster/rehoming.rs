//! A call leaves a node that is drained, and goes to the node of one of its clients.
//!
//! It goes whole, when nothing is under way in it, and its record with it. The node that takes it in tells those that have its clients; what
//! still comes for it to the old one is passed on. Calls with trunks and applications stay: their media are their node's.

use model::{ConnectionId, NodeNumber, Now};

use super::elsewhere::Dialog;
use super::homes::Home;
use super::word::Word;
use crate::call::{Act, Call, CallKey, PackedCall, Side, read_tag};
use crate::effect::{Counter, Effect};
use crate::shard::Shard;
use crate::timer::Due;

impl Shard {
    /// This node is drained: calls go where their clients have gone.
    pub(crate) fn hand_calls_on(&mut self, now: Now) {
        let keys: Vec<CallKey> = self.calls.keys().copied().collect();
        for key in keys {
            self.hand_on(now, key);
        }
    }

    fn hand_on(&mut self, now: Now, key: CallKey) {
        let Some(call) = self.calls.get(&key) else {
            return;
        };
        let connections = call.connections();
        if connections.iter().any(|of| self.trunk_of(*of).is_some()) {
            return;
        }
        // A client that stays here keeps its call here: it would lose it with its connection.
        if connections
            .iter()
            .any(|connection| self.is_own(*connection))
        {
            return;
        }
        let mut nodes = connections.iter().map(|connection| connection.node());
        let to = nodes.find(|node| self.others.contains(node));
        let Some((to, packed)) = to.zip(call.pack(now.mono)) else {
            return;
        };
        let tags = [Side::Caller, Side::Callee].map(|side| call.leg(side).local_tag.clone());
        self.effects.push_back(Effect::Tell {
            node: to,
            word: Word::Adopt(Box::new(packed)),
        });
        self.drive(now, key, |call, act| call.withdraw_reach(act));
        if let Some(call) = self.calls.remove(&key) {
            self.timers
                .shift(Due::Call(key), Some(call.deadline()), None);
        }
        for tag in tags {
            self.homes.note(&tag, Home::There(to));
        }
        for connection in connections {
            self.forget_part(connection, key);
        }
        self.act(now).count(Counter::CallLeft);
    }

    /// How many connections of ours have part in calls of other nodes.
    pub fn engaged_elsewhere(&self) -> usize {
        let own = self.connection_ids().into_iter();
        own.filter(|connection| {
            let known = self.connections.get(connection);
            let elsewhere = known.and_then(|known| known.elsewhere.as_ref());
            elsewhere.is_some_and(|elsewhere| elsewhere.has_calls())
        })
        .count()
    }

    /// A call has nothing to do with a connection here any more, and has elsewhere.
    fn forget_part(&mut self, connection: ConnectionId, key: CallKey) {
        let Some(known) = self.connections.get_mut(&connection) else {
            return;
        };
        known.calls.retain(|known| *known != key);
        if known.calls.is_empty() && !self.is_own(connection) {
            self.forget_connection(connection);
        }
    }

    /// A call comes from a node that is drained.
    pub(crate) fn on_adopt(&mut self, now: Now, packed: PackedCall) {
        let (key, account) = (self.next_key(), packed.account());
        let mut act = Act {
            now,
            random: &mut self.random,
            effects: &mut self.effects,
            has_relay: self.snapshot.settings.turn.is_some(),
        };
        let moves = &self.moves;
        let call = Call::unpack(packed, key, |before| moves.resolve(before), &mut act);
        let Some(call) = call else {
            return;
        };
        act.record(call.record());
        act.count(Counter::CallCame);
        for side in [Side::Caller, Side::Callee] {
            self.homes.note(&call.leg(side).local_tag, Home::Here(key));
        }
        let connections = call.connections();
        let dialogs: Vec<_> = connections
            .iter()
            .flat_map(|connection| {
                let dialogs = call.dialogs_with(*connection, self.node).into_iter();
                dialogs.map(|dialog| (*connection, dialog))
            })
            .collect();
        self.timers
            .shift(Due::Call(key), None, Some(call.deadline()));
        self.calls.insert(key, call);
        for connection in connections {
            self.know_remote(connection, account);
            if let Some(known) = self.connections.get_mut(&connection) {
                known.note_call(key);
            }
        }
        for (connection, dialog) in dialogs {
            self.tell_rehomed(connection, dialog);
        }
        for connection in connections {
            let is_there = match self.is_own(connection) {
                true => self
                    .connections
                    .get(&connection)
                    .is_some_and(|known| !known.is_dismissed()),
                false => self.others.contains(&connection.node()),
            };
            if !is_there {
                self.drive(now, key, |call, act| call.on_lost(connection, None, act));
            }
        }
    }

    fn tell_rehomed(&mut self, connection: ConnectionId, dialog: Dialog) {
        if self.is_own(connection) {
            let known = self.connections.get_mut(&connection);
            if let Some(elsewhere) = known.and_then(|known| known.elsewhere.as_mut()) {
                elsewhere.forgets(&dialog);
            }
            return;
        }
        let dialog = Box::new(dialog);
        self.effects.push_back(Effect::Tell {
            node: connection.node(),
            word: Word::Rehomed { connection, dialog },
        });
    }

    /// A call of a client of ours is another node's now.
    pub(crate) fn on_rehomed(
        &mut self,
        from: NodeNumber,
        connection: ConnectionId,
        mut dialog: Dialog,
    ) {
        let connection = self.moves.resolve(connection);
        if !self.is_own(connection) {
            // Its node has learnt so with its session, or is told so now.
            let (node, dialog) = (connection.node(), Box::new(dialog));
            return self.effects.push_back(Effect::Tell {
                node,
                word: Word::Rehomed { connection, dialog },
            });
        }
        // It is whose it says: another may have passed this on.
        let home = dialog.node;
        if home == self.node {
            return;
        }
        let known = self.connections.get_mut(&connection);
        let Some(known) = known.filter(|known| !known.is_dismissed()) else {
            return self.effects.push_back(Effect::Tell {
                node: if home == self.node { from } else { home },
                word: Word::Lost { connection },
            });
        };
        if let Some((_, tag)) = dialog.from.rsplit_once(";tag=") {
            self.homes.note(tag, Home::There(home));
        }
        dialog.node = home;
        known.elsewhere.get_or_insert_default().rehomes(dialog);
    }

    /// The call and side that a tag of ours names: one that came from another node bears that node's tag.
    pub(crate) fn read_tag(&self, tag: &str) -> Option<(CallKey, Side)> {
        let (named, side) = read_tag(tag)?;
        match self.homes.get(tag) {
            Some(Home::Here(key)) => Some((key, side)),
            Some(Home::There(_)) | None => Some((named, side)),
        }
    }

    /// A call's tags lead nowhere any more.
    pub(crate) fn forget_home(&mut self, call: &Call) {
        for side in [Side::Caller, Side::Callee] {
            self.homes.forget(&call.leg(side).local_tag);
        }
    }
}
