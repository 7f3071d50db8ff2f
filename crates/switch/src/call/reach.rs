//! Whom the clients of a call may reach through a relay: what candidates the other side has named.
//!
//! Learnt from messages as they pass, and told before they are sent on; withdrawn a while after the call has ended.
//! Keeps what was told, so that the same addresses are not told again with each offer.

use std::net::IpAddr;

use model::{ConnectionId, Instant, RelayUsage, limits};
use sip::Headers;

use super::{Act, Call, CallKey, Side};
use crate::effect::{Counter, Effect};
use crate::turn_grant::{TurnChange, candidate};

/// What was told of a call.
#[derive(Debug, Default)]
pub(super) struct Reach {
    caller: Reachable,
    callee: Reachable,
    /// When it is to be withdrawn.
    ends: Option<Instant>,
}

/// Whom one side may reach.
#[derive(Debug, Default)]
struct Reachable {
    is_told: bool,
    addresses: Vec<IpAddr>,
}

/// Who may reach what is learnt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Learner {
    pub(super) call: CallKey,
    pub(super) side: Side,
    pub(super) connection: ConnectionId,
}

impl Reach {
    /// Takes in what a message names that goes to the learner.
    pub(super) fn learn(
        &mut self,
        learner: Learner,
        headers: &Headers<'_>,
        body: &[u8],
        act: &mut Act<'_>,
    ) {
        if !act.has_relay || body.is_empty() {
            return;
        }
        let Reachable { is_told, addresses } = match learner.side {
            Side::Caller => &mut self.caller,
            Side::Callee => &mut self.callee,
        };
        let known = addresses.len();
        let mut is_full = false;
        for address in candidate::addresses(headers, body) {
            if addresses.contains(&address) {
                continue;
            }
            if addresses.len() < limits::TURN_CANDIDATES {
                addresses.push(address);
            } else {
                is_full = true;
            }
        }
        if is_full {
            act.count(Counter::CandidatesIgnored);
        }
        if addresses.len() == known && *is_told {
            return;
        }
        *is_told = true;
        act.effects.push_back(Effect::Turn(TurnChange::Reach {
            connection: learner.connection,
            call: learner.call.0,
            addresses: addresses[known..].to_vec(),
        }));
    }

    /// One more may reach what its rivals may.
    pub(super) fn tell_also(&self, call: CallKey, connection: ConnectionId, act: &mut Act<'_>) {
        if self.callee.is_told {
            act.effects.push_back(Effect::Turn(TurnChange::Reach {
                connection,
                call: call.0,
                addresses: self.callee.addresses.clone(),
            }));
        }
    }

    /// The client of one side has another connection.
    pub(super) fn tell_again(
        &self,
        call: CallKey,
        side: Side,
        connection: ConnectionId,
        act: &mut Act<'_>,
    ) {
        let reachable = match side {
            Side::Caller => &self.caller,
            Side::Callee => &self.callee,
        };
        if reachable.is_told {
            act.effects.push_back(Effect::Turn(TurnChange::Reach {
                connection,
                call: call.0,
                addresses: reachable.addresses.clone(),
            }));
        }
    }

    /// One who may answer no more.
    pub(super) fn end_for(&self, call: CallKey, connection: ConnectionId, act: &mut Act<'_>) {
        if self.callee.is_told {
            let call = call.0;
            act.effects
                .push_back(Effect::Turn(TurnChange::Ended { connection, call }));
        }
    }

    /// What was told to the caller, and to the callee.
    pub(super) fn pack(&self) -> [Option<Vec<IpAddr>>; 2] {
        [&self.caller, &self.callee].map(|of| of.is_told.then(|| of.addresses.clone()))
    }

    pub(super) fn unpack(told: [Option<Vec<IpAddr>>; 2]) -> Self {
        let [caller, callee] = told.map(|addresses| Reachable {
            is_told: addresses.is_some(),
            addresses: addresses.unwrap_or_default(),
        });
        Self {
            caller,
            callee,
            ends: None,
        }
    }

    /// When the call wants to be told to withdraw it.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// The call has ended.
    pub(super) fn end_at(&mut self, at: Instant) {
        if self.caller.is_told || self.callee.is_told {
            self.ends = Some(at);
        }
    }
}

impl Call {
    /// Takes in what a message of one side names, which is about to be sent to the other.
    pub(super) fn learn(
        &mut self,
        from: Side,
        headers: &Headers<'_>,
        body: &[u8],
        act: &mut Act<'_>,
    ) {
        if self.is_over() {
            return;
        }
        let side = from.other();
        let learner = Learner {
            call: self.key,
            side,
            connection: self.leg(side).connection,
        };
        self.reach.learn(learner, headers, body, act);
    }

    /// Nothing that the call has named may be reached any more.
    pub(crate) fn withdraw_reach(&mut self, act: &mut Act<'_>) {
        for rival in self.rival_connections() {
            if !self.connections().contains(&rival) {
                self.reach.end_for(self.key, rival, act);
            }
        }
        let Reach { caller, callee, .. } = std::mem::take(&mut self.reach);
        let [calling, called] = self.connections();
        let callee_is_apart = called != calling || !caller.is_told;
        let told = [
            caller.is_told.then_some(calling),
            (callee.is_told && callee_is_apart).then_some(called),
        ];
        for connection in told.into_iter().flatten() {
            let call = self.key.0;
            act.effects
                .push_back(Effect::Turn(TurnChange::Ended { connection, call }));
        }
    }

    /// A relay tells what it did for one side. A connection that has called itself is taken for the caller.
    pub(crate) fn on_relayed_usage(
        &mut self,
        connection: ConnectionId,
        usage: RelayUsage,
        act: &mut Act<'_>,
    ) {
        let is_caller = self.caller.connection == connection;
        // Until somebody has answered for a service, it has no callee.
        let is_callee =
            self.callee.connection == connection && self.record.callee.client().is_some();
        if !is_caller && !is_callee {
            return self.on_hunt_usage(connection, usage, act);
        }
        let side = usize::from(!is_caller);
        self.record.relay[side] = self.record.relay[side].plus(usage);
        // While the call goes on, its record can wait for the end.
        if self.is_over() {
            act.record(&self.record);
        }
    }
}
