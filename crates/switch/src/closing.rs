//! What ends connections and calls from within: an account that is switched off, a token that is revoked, a server that is drained or stops.
//!
//! Decides whom that concerns; how a call ends is the call's.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{AccountId, ConnectionId, Now, Revocations, limits};

use crate::call::{CallKey, End};
use crate::effect::{Closing, Counter, Effect};
use crate::input::Snapshot;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn on_snapshot(&mut self, now: Now, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
        self.remembered.clear();
        self.forget_turns();
        let is_active = |id: AccountId| {
            self.snapshot
                .directory
                .account(id)
                .is_some_and(|account| !account.disabled)
        };
        let mut closed = self.connection_ids();
        closed.retain(|connection| {
            let known = self.connections.get(connection);
            known.is_some_and(|known| !is_active(known.account)) && !self.is_dismissed(*connection)
        });
        for connection in closed {
            let end = End::server(403, "the account was disabled");
            self.dismiss(now, connection, Some(&end), Closing::ACCOUNT_DISABLED);
        }
        self.end_all_revoked(now);
    }

    /// Ends what was made with tokens that were revoked with all that was made with them.
    fn end_all_revoked(&mut self, now: Now) {
        let accounts = self.snapshot.directory.accounts();
        if accounts
            .map(|account| &account.revocations)
            .all(Revocations::is_empty)
        {
            return;
        }
        let mut ended = self.connection_ids();
        ended.retain(|connection| self.is_ended(*connection));
        for connection in ended {
            self.end_revoked(now, connection);
        }
    }

    pub(crate) fn end_revoked(&mut self, now: Now, connection: ConnectionId) {
        let end = End::server(403, "the token was revoked");
        self.act(now).count(Counter::ConnectionRevoked);
        self.dismiss(now, connection, Some(&end), Closing::TOKEN_REVOKED);
    }

    pub(crate) fn on_drain(&mut self, now: Now, resumable: &BTreeSet<ConnectionId>) {
        self.stopping = true;
        // Whoever can go on at another node is told to by whoever keeps its session.
        let may_move = self.has_bus && !self.others.is_empty();
        let mut idle = self.connection_ids();
        idle.retain(|connection| {
            let has_call = self.calls_of(*connection).any(|call| !call.is_over())
                || self.runs_of(*connection).any(|run| !run.is_over());
            let known = self.connections.get(connection);
            let has_call = has_call || known.is_some_and(|known| known.elsewhere.is_some());
            let is_client = self.is_own(*connection) && self.trunk_of(*connection).is_none();
            let moves = may_move && resumable.contains(connection);
            !has_call && !moves && is_client && !self.is_dismissed(*connection)
        });
        idle.truncate(limits::DRAINED_AT_ONCE);
        for connection in idle {
            self.dismiss(now, connection, None, Closing::DRAINED);
        }
        if may_move {
            self.hand_calls_on(now);
        }
    }

    pub(crate) fn on_stop(&mut self, now: Now) {
        self.stopping = true;
        let calls: Vec<CallKey> = self.calls.keys().copied().collect();
        for key in calls {
            self.drive(now, key, |call, act| {
                call.hang_up(End::server(503, "the server is stopping"), act);
                call.withdraw_reach(act);
            });
        }
        let runs: Vec<CallKey> = self.runs.keys().copied().collect();
        for key in runs {
            self.drive_run(now, key, |run, act| {
                run.hang_up(End::server(503, "the server is stopping"), act);
                run.say_farewells(act);
                run.withdraw_reach(act);
            });
        }
        let mut own = self.connection_ids();
        own.retain(|connection| self.is_own(*connection));
        for connection in own {
            let why = Closing::STOPPING;
            self.effects.push_back(Effect::Close { connection, why });
        }
    }
}
