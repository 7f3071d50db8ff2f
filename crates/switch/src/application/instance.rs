//! What an application is told of its call: the JSON that goes to each page.
//!
//! Words alone; docs/applications.md has the shapes.

use model::media::StreamRate;
use model::{CallRecord, EndedBy, RecordId, UnixTime};
use serde_json::{Map, Value, json};

use super::beginning::About;
use crate::call::CallKey;

/// The name of a call towards its application and its account: it says whose it is, and cannot be guessed.
pub(crate) fn name(shard: u16, run: CallKey, id: RecordId) -> String {
    format!("{shard:x}.{:x}.{id}", run.0)
}

/// The shard that a name is of.
pub fn shard_of_instance(name: &str) -> Option<usize> {
    let (shard, _) = name.split_once('.')?;
    usize::from_str_radix(shard, 16).ok()
}

/// The call that a name is of.
pub(crate) fn run_of(name: &str) -> Option<CallKey> {
    let (_, rest) = name.split_once('.')?;
    let (run, _) = rest.split_once('.')?;
    u64::from_str_radix(run, 16).ok().map(CallKey)
}

/// The number of the call that a name is of.
pub fn key_of_instance(name: &str) -> Option<u64> {
    run_of(name).map(|key| key.0)
}

/// The record of the call that a name is of.
pub fn record_of_instance(name: &str) -> Option<RecordId> {
    let (_, id) = name.rsplit_once('.')?;
    let is_one = name.matches('.').count() == 2 && id.len() == 32;
    let id = u128::from_str_radix(id, 16).ok().filter(|_| is_one)?;
    (RecordId(id).to_string() == name[name.len() - 32..]).then_some(RecordId(id))
}

/// What is told of a call.
pub(super) struct Told<'a> {
    pub(super) instance: &'a str,
    pub(super) record: &'a CallRecord,
    pub(super) about: &'a About,
    pub(super) now: UnixTime,
    pub(super) token: Option<String>,
    pub(super) is_notification: bool,
    /// `action_result`, `error_result`.
    pub(super) beside: Vec<(&'static str, Value)>,
}

impl About {
    fn parameters(&self) -> Value {
        let given = self.parameters.as_deref();
        given
            .and_then(|given| serde_json::from_str(given).ok())
            .unwrap_or_default()
    }
}

impl<'a> Told<'a> {
    /// The call alone.
    pub(super) fn of(
        instance: &'a str,
        record: &'a CallRecord,
        about: &'a About,
        now: UnixTime,
    ) -> Self {
        Self {
            instance,
            record,
            about,
            now,
            token: None,
            is_notification: false,
            beside: Vec::new(),
        }
    }

    /// As JSON.
    pub(super) fn json(self) -> String {
        let mut told = Map::new();
        told.insert("application_instance_id".to_owned(), self.instance.into());
        told.insert("api_version".to_owned(), "2.0".into());
        told.insert("is_notification".to_owned(), self.is_notification.into());
        told.insert("this_call".to_owned(), self.call());
        told.insert("token".to_owned(), self.token.into());
        for (name, value) in self.beside {
            told.insert(name.to_owned(), value);
        }
        Value::Object(told).to_string()
    }

    /// The first message of a stream, as JSON.
    pub(super) fn greeting(&self, rate: StreamRate) -> String {
        json!({
            "event": "start",
            "application_instance_id": self.instance,
            "token": self.token,
            "this_call": self.call(),
            "sample_rate": rate.hz(),
            "frame_ms": 20,
        })
        .to_string()
    }

    fn call(&self) -> Value {
        let (record, about) = (self.record, self.about);
        let state = match (&record.outcome, record.answered) {
            (Some(_), _) => "idle",
            (None, Some(_)) => "answered",
            (None, None) => "inbound",
        };
        let until = record
            .outcome
            .as_ref()
            .map_or(self.now, |outcome| outcome.at);
        let seconds = record
            .answered
            .map_or(0.0, |answered| seconds(answered, until));
        let mut call = json!({
            "call_id": record.id.to_string(),
            "call_direction": if about.is_outgoing { "out" } else { "in" },
            "call_from": about.from,
            "call_to": about.to,
            "call_target": if about.is_outgoing { &about.to } else { &about.service },
            "call_state": state,
            "seconds_call_duration": seconds,
            "application_parameters": null,
            "outbound_parameters": about.parameters(),
        });
        if let Some(outcome) = &record.outcome {
            let theirs = match about.is_outgoing {
                true => EndedBy::Callee,
                false => EndedBy::Caller,
            };
            call["call_cause"] = cause(outcome.by == theirs, outcome.status).into();
            call["call_raw_cause"] = outcome.status.to_string().into();
        }
        call
    }
}

/// To a tenth.
pub(super) fn seconds(from: UnixTime, to: UnixTime) -> f64 {
    let millis = to.as_millis().saturating_sub(from.as_millis());
    (millis as f64 / 100.0).round() / 10.0
}

/// The word for how a call ended: whoever is at the other end hangs up, or gives up; an application completes.
fn cause(by_them: bool, status: u16) -> &'static str {
    match (by_them, status) {
        (true, 200 | 487) => "hung_up",
        (_, status) => cause_of(status),
    }
}

/// The word for a status.
pub(super) fn cause_of(status: u16) -> &'static str {
    match status {
        200 => "completed",
        408 | 480 | 487 => "no_answer",
        486 | 600 | 603 => "busy",
        404 | 410 | 484 | 604 => "unobtainable",
        503 => "dropped",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is_and_strangers_say_nothing() {
        let name = name(0x1f, CallKey(0x2e), RecordId(7));
        assert_eq!(shard_of_instance(&name), Some(0x1f));
        assert_eq!(run_of(&name), Some(CallKey(0x2e)));
        for stranger in ["", ".", "x", "x.1.2", "1", "1.x.2", "\u{e9}.1.2"] {
            let known = shard_of_instance(stranger).zip(run_of(stranger));
            assert_eq!(known, None, "{stranger}");
        }
    }
}
