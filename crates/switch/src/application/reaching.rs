//! What relays have to do with a run: who may reach the gateway through one, and what they did for whom.
//!
//! Where the gateway is, the ledger knows.

use model::{ConnectionId, RelayUsage};

use super::run::Run;
use crate::call::Act;
use crate::effect::Effect;
use crate::turn_grant::TurnChange;

impl Run {
    /// A relay tells what it did for a party.
    pub(crate) fn on_relayed_usage(
        &mut self,
        connection: ConnectionId,
        usage: RelayUsage,
        act: &mut Act<'_>,
    ) {
        if self.caller.connection() != connection {
            self.on_callee_usage(connection, usage, act);
        } else {
            let side = usize::from(self.about.is_outgoing);
            self.record.relay[side] = self.record.relay[side].plus(usage);
            // While the call goes on, its record can wait for the end.
            if self.is_over() {
                act.record(&self.record);
            }
        }
    }

    /// Nothing of the gateway may be reached any more.
    pub(crate) fn withdraw_reach(&mut self, act: &mut Act<'_>) {
        self.reach_ends = None;
        for connection in std::mem::take(&mut self.reached) {
            let call = self.key.0;
            act.effects
                .push_back(Effect::Turn(TurnChange::Ended { connection, call }));
        }
    }

    /// A client is about to be told where the gateway is.
    pub(super) fn reach(&mut self, connection: ConnectionId, act: &mut Act<'_>) {
        if !act.has_relay || self.reached.contains(&connection) {
            return;
        }
        self.reached.push(connection);
        let call = self.key.0;
        act.effects
            .push_back(Effect::Turn(TurnChange::Gateway { connection, call }));
    }

    /// A client that has left need not reach the gateway any more, unless it is another party as well.
    pub(super) fn unreach(&mut self, connection: ConnectionId, act: &mut Act<'_>) {
        if self.concerns(connection) {
            return;
        }
        if let Some(at) = self
            .reached
            .iter()
            .position(|reached| *reached == connection)
        {
            self.reached.swap_remove(at);
            let call = self.key.0;
            act.effects
                .push_back(Effect::Turn(TurnChange::Ended { connection, call }));
        }
    }
}
