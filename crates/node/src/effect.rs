//! Performs what a shard wants done.
//!
//! Matches every effect; runs under the shard's lock, so nothing here waits.

use std::collections::HashMap;
use std::sync::Arc;

use model::{CallRecord, ConnectionId};
use switch::Effect;
use switch::cluster::MemberInput;
use switch::turn_grant::TurnChange;

use crate::cluster::Cluster;
use crate::errand::{Errand, Errands};
use crate::media_worker::{Gateway, refusal_without_gateway};
use crate::outbox::Outbox;
use crate::record_writer::RecordWriter;
use crate::relay::Relay;
use crate::telemetry::Counters;
use crate::trunk_worker::Lines;

/// Where effects go that are for no connection.
pub(crate) struct Outlets {
    pub(crate) records: Arc<RecordWriter>,
    pub(crate) counters: Arc<Counters>,
    /// None where TURN is switched off.
    pub(crate) relay: Option<Arc<Relay>>,
    /// None where the media gateway is switched off.
    pub(crate) gateway: Option<Gateway>,
    /// None where there is no trunk.
    pub(crate) lines: Option<Arc<Lines>>,
    pub(crate) errands: Arc<Errands>,
    /// None where this node works alone.
    pub(crate) cluster: Option<Arc<Cluster>>,
}

/// Performs the effects of one input.
pub(crate) struct Performer<'a> {
    /// The connection that a message came from, which is found without looking.
    pub(crate) own: Option<(ConnectionId, &'a Outbox)>,
    pub(crate) outboxes: &'a HashMap<ConnectionId, Arc<Outbox>>,
    pub(crate) outlets: &'a Outlets,
    /// Whose effects these are.
    pub(crate) shard: usize,
    /// Whether a call's record can only be told again: a relay has said late what it did.
    pub(crate) is_late: bool,
    /// Connections whose outbox ran over: they count as lost.
    pub(crate) overflowed: &'a mut Vec<ConnectionId>,
}

impl Performer<'_> {
    pub(crate) fn perform(&mut self, effect: Effect) {
        let outlets = self.outlets;
        match effect {
            Effect::Send {
                connection,
                message,
            } => self.send(connection, message),
            // A line has no outbox, and is never closed.
            Effect::Close { connection, why } => {
                if let Some(outbox) = self.outbox(connection) {
                    outbox.close(why);
                }
            }
            Effect::Turn(change) => {
                if let TurnChange::Proven { connection, .. } = &change
                    && let Some(outbox) = self.outbox(*connection)
                {
                    outbox.prove();
                }
                if let Some(relay) = &outlets.relay {
                    relay.apply(&change);
                }
            }
            Effect::Record(record) => self.keep(*record),
            Effect::Media { account, command } => match &outlets.gateway {
                Some(gateway) => gateway.put(account, command, &outlets.counters),
                None => {
                    if let Some(event) = refusal_without_gateway(&command) {
                        outlets.errands.push(self.shard, Errand::Tell(event));
                    }
                }
            },
            Effect::Ask(request) => outlets.errands.push(self.shard, Errand::Ask(request)),
            Effect::Bring(request) => outlets.errands.push(self.shard, Errand::Bring(request)),
            Effect::Complain { account, why } => {
                outlets
                    .errands
                    .push(self.shard, Errand::Complain(account, why));
            }
            Effect::Publish {
                account,
                client,
                bindings,
            } => self.tell(MemberInput::Publish {
                account,
                client,
                bindings,
            }),
            Effect::Look {
                look,
                account,
                client,
            } => self.tell(MemberInput::Look {
                shard: self.shard,
                look,
                account,
                client,
            }),
            Effect::Tell { node, word } => self.tell(MemberInput::Tell { node, word }),
            Effect::Count(counter) => outlets.counters.add(counter),
        }
    }

    fn send(&mut self, connection: ConnectionId, message: Vec<u8>) {
        let outlets = self.outlets;
        match (self.outbox(connection), &outlets.lines) {
            (Some(outbox), _) => {
                outlets.counters.meters.leaves(&message);
                if outbox.push(message).is_err() {
                    self.overflowed.push(connection);
                }
            }
            (None, Some(lines)) => {
                outlets.counters.meters.leaves(&message);
                lines.put(connection, message, &outlets.counters);
            }
            (None, None) => {}
        }
    }

    fn keep(&self, record: CallRecord) {
        let outlets = self.outlets;
        let is_answered = record.answered.is_some();
        if let Some(outcome) = record.outcome.as_ref().filter(|_| !self.is_late) {
            outlets.counters.meters.ended(outcome, is_answered);
            let status = outcome.status;
            tracing::debug!(call_id = record.call_id, status, "a call has ended");
        } else {
            tracing::debug!(
                call_id = record.call_id,
                is_answered,
                "the record of a call has changed"
            );
        }
        outlets.records.keep(record);
    }

    /// Nobody is told anything by a node that works alone.
    fn tell(&self, input: MemberInput<'_>) {
        if let Some(cluster) = &self.outlets.cluster {
            cluster.tell(input);
        }
    }

    fn outbox(&self, connection: ConnectionId) -> Option<&Outbox> {
        match self.own {
            Some((own, outbox)) if own == connection => Some(outbox),
            Some(_) | None => self.outboxes.get(&connection).map(|outbox| &**outbox),
        }
    }
}
