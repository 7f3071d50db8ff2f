//! Every call has exactly one record, and in the end an outcome.

use std::collections::BTreeMap;

use model::{CallRecord, Callee, RecordId, RelayUsage};

#[derive(Debug, Default)]
pub(super) struct Records {
    known: BTreeMap<RecordId, CallRecord>,
}

impl Records {
    pub(super) fn takes(&mut self, record: &CallRecord) -> Result<(), String> {
        let id = record.id;
        if let Some(before) = self.known.get(&id) {
            // Relays may tell late what they did; nothing else is to be told of a call that has ended.
            let is_late_usage = before.outcome == record.outcome && before.relay != record.relay;
            if before.outcome.is_some() && !is_late_usage {
                return Err(format!("record {id} was written after its outcome"));
            }
            if !has_grown(&before.relay, &record.relay) {
                return Err(format!("record {id} has forgotten what was relayed"));
            }
            let is_same = before.account == record.account
                && before.caller == record.caller
                && before.callee.service() == record.callee.service()
                && before
                    .callee
                    .client()
                    .is_none_or(|client| record.callee.client() == Some(client))
                && (before.call_id == record.call_id || goes_onward(before, record))
                && before.started == record.started;
            if !is_same {
                return Err(format!("record {id} has become another call's"));
            }
            if before.answered.is_some() && record.answered != before.answered {
                return Err(format!("record {id} has forgotten when it was answered"));
            }
        }
        if let Some(outcome) = &record.outcome {
            let is_told = (200..700).contains(&outcome.status) && !outcome.reason.is_empty();
            if !is_told || outcome.at < record.started {
                return Err(format!("record {id} has no plain outcome: {outcome:?}"));
            }
        }
        self.known.insert(id, record.clone());
        Ok(())
    }

    /// A server was killed: the calls that went on have no outcome that anyone could write.
    pub(super) fn cut_short(&mut self) {
        self.known.retain(|_, record| record.outcome.is_some());
    }

    /// What a call's record says of relays.
    pub(super) fn relayed(&self, record: RecordId) -> [RelayUsage; 2] {
        self.known
            .get(&record)
            .map(|record| record.relay)
            .unwrap_or_default()
    }

    pub(super) fn concludes(&self) -> Result<(), String> {
        match self.known.values().find(|record| record.outcome.is_none()) {
            Some(record) => Err(format!(
                "the call {} of {} to {} is over and its record has no outcome",
                record.call_id, record.caller, record.callee
            )),
            None => Ok(()),
        }
    }
}

/// A number that nobody has answered is called by another trunk, in a dialog of its own.
fn goes_onward(before: &CallRecord, now: &CallRecord) -> bool {
    let trunk = |record: &CallRecord| match &record.callee {
        Callee::Number { trunk, .. } => Some(trunk.clone()),
        Callee::Client(_) | Callee::Service { .. } => None,
    };
    let (from, to) = (trunk(before), trunk(now));
    before.answered.is_none() && from.is_some() && to.is_some() && from != to
}

/// Whether nothing of what was relayed before is missing.
fn has_grown(before: &[RelayUsage; 2], after: &[RelayUsage; 2]) -> bool {
    let counts = |usage: &RelayUsage| {
        let (sent, received) = (usage.sent, usage.received);
        [sent.packets, sent.bytes, received.packets, received.bytes]
    };
    let before = before.iter().flat_map(counts);
    before
        .zip(after.iter().flat_map(counts))
        .all(|(before, after)| before <= after)
}
