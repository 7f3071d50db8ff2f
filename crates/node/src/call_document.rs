//! A call as JSON: what listings and the web services tell of it.
//!
//! Words alone; docs/api.md has the shape.

use model::{CallRecord, Caller, RelayTraffic, RelayUsage, ServiceName, TrunkName};
use serde_json::{Value, json};

fn usage_json(usage: RelayUsage) -> Value {
    let traffic =
        |traffic: RelayTraffic| json!({ "packets": traffic.packets, "bytes": traffic.bytes });
    json!({ "sent": traffic(usage.sent), "received": traffic(usage.received) })
}

/// A call, as it is kept.
pub fn shown(record: &CallRecord) -> Value {
    let outcome = record.outcome.as_ref();
    json!({
        "id": record.id.to_string(),
        "caller": record.caller.as_str(),
        "caller_kind": caller_kind(&record.caller),
        "caller_trunk": record.caller.trunk().map(TrunkName::as_str),
        "callee": Some(record.callee.as_str()).filter(|callee| !callee.is_empty()),
        "callee_trunk": record.callee.trunk().map(TrunkName::as_str),
        "service": record.callee.service().map(ServiceName::as_str),
        "call_id": record.call_id,
        "started": record.started.to_string(),
        "ringing": record.ringing.map(|at| at.to_string()),
        "answered": record.answered.map(|at| at.to_string()),
        "ended": outcome.map(|outcome| outcome.at.to_string()),
        "ended_by": outcome.map(|outcome| outcome.by.as_str()),
        "status": outcome.map(|outcome| outcome.status),
        "reason": outcome.map(|outcome| outcome.reason.as_str()),
        "talk_ms": outcome.map(|_| u64::try_from(record.talk_time().as_millis()).unwrap_or(u64::MAX)),
        "relay": { "caller": usage_json(record.relay[0]), "callee": usage_json(record.relay[1]) },
    })
}

fn caller_kind(caller: &Caller) -> &'static str {
    match caller {
        Caller::Client(_) => "client",
        Caller::Service(_) => "service",
        Caller::Account(_) => "account",
        Caller::Number { .. } => "number",
    }
}
