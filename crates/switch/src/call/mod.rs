//! One call: a back-to-back user agent that behaves like a proxy.
//!
//! Two dialogs, one for each client, with the same Call-ID; SDP passes byte for byte. A call knows
//! its two connections and nothing of registrations or tokens: whoever places it has checked them.
//! It is driven by messages, lost connections and its deadline, and answers with effects.

mod exchange;
mod hunt;
mod leg;
mod moving;
mod packed;
mod pass;
mod reach;
mod relay;
mod setup;
mod teardown;

use std::collections::VecDeque;

use model::{CallRecord, ConnectionId, Instant, NodeNumber, Now};

pub(crate) use exchange::{Exchange, Progress};
pub(crate) use hunt::Hunt;
pub(crate) use leg::{
    Hop, Leg, Side, Tagged, mint_branch, mint_party_tag, read_branch, read_party_tag, read_tag,
};
pub(crate) use packed::PackedCall;
use reach::Reach;
pub(crate) use setup::{Placing, printable};
pub(crate) use teardown::End;

use crate::effect::{Counter, Effect};
use crate::location::Binding;
use crate::random::Random;

/// A call's number in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallKey(pub(crate) u64);

/// Bits of a number among the calls of one shard; the node's stand before them. Both together leave room for what a gateway and an
/// application add.
const COUNT_BITS: u32 = 32;

impl CallKey {
    /// The `count`th call of a shard of this node; begins anew after four thousand million.
    pub(crate) fn of_node(node: NodeNumber, count: u64) -> Self {
        Self((u64::from(node.get()) << COUNT_BITS) | (count & ((1 << COUNT_BITS) - 1)))
    }

    /// The node whose call it is.
    pub(crate) fn node(self) -> NodeNumber {
        let number = u16::try_from(self.0 >> COUNT_BITS).ok();
        number.and_then(NodeNumber::new).unwrap_or_default()
    }
}

/// What a call may use while it acts.
pub(crate) struct Act<'a> {
    pub(crate) now: Now,
    pub(crate) random: &'a mut Random,
    pub(crate) effects: &'a mut VecDeque<Effect>,
    /// Whether there is a TURN server that wants to know whom clients may reach.
    pub(crate) has_relay: bool,
}

impl Act<'_> {
    pub(crate) fn send(&mut self, connection: ConnectionId, message: Vec<u8>) {
        self.effects.push_back(Effect::Send {
            connection,
            message,
        });
    }

    pub(crate) fn count(&mut self, counter: Counter) {
        self.effects.push_back(Effect::Count(counter));
    }

    pub(crate) fn record(&mut self, record: &CallRecord) {
        self.effects
            .push_back(Effect::Record(Box::new(record.clone())));
    }
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The callee has not answered.
    Setup {
        /// When it has rung long enough.
        until: Instant,
    },
    /// Answered.
    Live {
        /// When nobody has ended it for far too long.
        until: Instant,
    },
    /// Ended; late answers and repeated requests are still absorbed.
    Over {
        /// When it may be forgotten.
        until: Instant,
    },
}

#[derive(Debug)]
pub(crate) struct Call {
    key: CallKey,
    call_id: Box<str>,
    caller: Leg,
    callee: Leg,
    /// Via sent-by of the INVITE.
    caller_sent_by: Box<str>,
    phase: Phase,
    exchanges: Vec<Exchange>,
    record: CallRecord,
    reach: Reach,
    /// While several clients may answer, or one of them has and the others stop ringing.
    hunt: Option<Box<Hunt>>,
}

impl Call {
    pub(crate) fn key(&self) -> CallKey {
        self.key
    }

    pub(crate) fn record(&self) -> &CallRecord {
        &self.record
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// Whether it has been answered, and goes on.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// Whether its callee, on this binding's connection, has not answered yet. A call that was given up rings on until its
    /// callee has shown that it has read the INVITE: its bytes wait in the outbox as before.
    pub(crate) fn rings_at(&self, binding: &Binding) -> bool {
        let rings = matches!(self.phase, Phase::Setup { .. }) || self.is_unread();
        (rings && self.callee.connection == binding.connection)
            || self.has_rival_ringing_at(binding.connection)
    }

    /// Whether the callee has said nothing to the INVITE, and may still.
    pub(crate) fn is_unread(&self) -> bool {
        let mut exchanges = self.exchanges.iter();
        exchanges.any(|exchange| exchange.is_initial && exchange.is_unread())
    }

    /// Whether the callee's connection has anything of it.
    pub(crate) fn concerns_callee(&self) -> bool {
        !self.is_over() || self.is_unread()
    }

    /// The connections of caller and callee.
    pub(crate) fn connections(&self) -> [ConnectionId; 2] {
        [self.caller.connection, self.callee.connection]
    }

    pub(crate) fn leg(&self, side: Side) -> &Leg {
        match side {
            Side::Caller => &self.caller,
            Side::Callee => &self.callee,
        }
    }

    fn leg_mut(&mut self, side: Side) -> &mut Leg {
        match side {
            Side::Caller => &mut self.caller,
            Side::Callee => &mut self.callee,
        }
    }

    /// When the call wants to be told that its time has come.
    pub(crate) fn deadline(&self) -> Instant {
        let (Phase::Setup { until } | Phase::Live { until } | Phase::Over { until }) = self.phase;
        let own = self
            .exchanges
            .iter()
            .filter(|exchange| !matches!(exchange.progress, Progress::Closed { .. }))
            .map(|exchange| exchange.deadline)
            .chain(self.reach.ends())
            .fold(until, Instant::min);
        match &self.hunt {
            None => own,
            Some(hunt) => hunt.deadlines().fold(own, Instant::min),
        }
    }

    /// Whether this INVITE is one that the call has seen, or this CANCEL means one (RFC 3261 §17.2.3, §9.2).
    pub(crate) fn has_seen(&self, connection: ConnectionId, request: &sip::Request<'_>) -> bool {
        *self.call_id == *request.headers.call_id()
            && self.exchanges.iter().any(|exchange| {
                exchange.is_invite()
                    && exchange.is_of(request)
                    && self.leg(exchange.asker).connection == connection
            })
    }

    /// Whether this INVITE came before, on the same connection and under another branch (RFC 3261 §8.2.2.2). What came on another is
    /// not its sender's, who must not suffer from a copy.
    pub(crate) fn is_merged(&self, connection: ConnectionId, request: &sip::Request<'_>) -> bool {
        *self.call_id == *request.headers.call_id()
            && self.caller.connection == connection
            && !self.is_over()
            && self.caller.remote_tag.as_deref() == request.headers.from().tag()
    }
}
