//! Performs what a shard wants done.
//!
//! Matches every effect; runs under the shard's lock, so nothing here waits.

use std::collections::HashMap;
use std::sync::Arc;

use model::ConnectionId;
use switch::Effect;
use switch::turn_grant::TurnChange;

use crate::errand::{Errand, Errands};
use crate::media_worker::{Gateway, refusal_without_gateway};
use crate::outbox::Outbox;
use crate::record_writer::RecordWriter;
use crate::relay::Relay;
use crate::telemetry::Counters;

/// Where effects go.
pub(crate) struct Performer<'a> {
    /// The connection that a message came from, which is found without looking.
    pub(crate) own: Option<(ConnectionId, &'a Outbox)>,
    pub(crate) outboxes: &'a HashMap<ConnectionId, Arc<Outbox>>,
    pub(crate) records: &'a RecordWriter,
    pub(crate) counters: &'a Counters,
    /// None where TURN is switched off.
    pub(crate) relay: Option<&'a Relay>,
    /// None where the media gateway is switched off.
    pub(crate) gateway: Option<&'a Gateway>,
    pub(crate) errands: &'a Errands,
    /// Whose effects these are.
    pub(crate) shard: usize,
    /// Connections whose outbox ran over: they count as lost.
    pub(crate) overflowed: &'a mut Vec<ConnectionId>,
}

impl Performer<'_> {
    pub(crate) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send {
                connection,
                message,
            } => {
                if let Some(outbox) = self.outbox(connection)
                    && outbox.push(message).is_err()
                {
                    self.overflowed.push(connection);
                }
            }
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
                if let Some(relay) = self.relay {
                    relay.apply(&change);
                }
            }
            Effect::Record(record) => self.records.keep(*record),
            Effect::Media { account, command } => match self.gateway {
                Some(gateway) => gateway.put(account, command, self.counters),
                None => {
                    if let Some(event) = refusal_without_gateway(&command) {
                        self.errands.push(self.shard, Errand::Tell(event));
                    }
                }
            },
            Effect::Ask(request) => self.errands.push(self.shard, Errand::Ask(request)),
            Effect::Bring(request) => self.errands.push(self.shard, Errand::Bring(request)),
            Effect::Count(counter) => self.counters.add(counter),
        }
    }

    fn outbox(&self, connection: ConnectionId) -> Option<&Outbox> {
        match self.own {
            Some((own, outbox)) if own == connection => Some(outbox),
            Some(_) | None => self.outboxes.get(&connection).map(|outbox| &**outbox),
        }
    }
}
