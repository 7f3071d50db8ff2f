//! Every call has exactly one record, and in the end an outcome.

use std::collections::BTreeMap;

use model::{CallRecord, RecordId};

#[derive(Debug, Default)]
pub(super) struct Records {
    known: BTreeMap<RecordId, CallRecord>,
}

impl Records {
    pub(super) fn takes(&mut self, record: &CallRecord) -> Result<(), String> {
        let id = record.id;
        if let Some(before) = self.known.get(&id) {
            if before.outcome.is_some() {
                return Err(format!("record {id} was written after its outcome"));
            }
            let is_same = before.account == record.account
                && before.caller == record.caller
                && before.callee == record.callee
                && before.call_id == record.call_id
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
