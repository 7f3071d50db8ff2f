//! A call record as a line of text, and back: what `record_file` holds.
//!
//! A line is the sum of its text, a space, and the text, which is JSON. A line that is not as it was written is known by its sum.

use aws_lc_rs::digest::{SHA256, digest};
use model::{
    AccountId, CallOutcome, CallRecord, Callee, Caller, ClientId, EndedBy, RecordId, RelayTraffic,
    RelayUsage, ServiceName, TrunkName, UnixTime,
};
use serde::{Deserialize, Serialize};

/// Hexadecimal digits of a sum: enough against what a disk does.
const SUM_DIGITS: usize = 16;

/// Appends the record's line, with its end.
pub(crate) fn write(record: &CallRecord, lines: &mut Vec<u8>) {
    let text = serde_json::to_vec(&Form::of(record)).expect("texts and numbers serialise");
    lines.extend_from_slice(sum(&text).as_bytes());
    lines.push(b' ');
    lines.extend_from_slice(&text);
    lines.push(b'\n');
}

/// The record of a line without its end; `None`: it is damaged.
pub(crate) fn read(line: &[u8]) -> Option<CallRecord> {
    let (told, rest) = line.split_at_checked(SUM_DIGITS)?;
    let text = rest.strip_prefix(b" ")?;
    if told != sum(text).as_bytes() {
        return None;
    }
    serde_json::from_slice::<Form>(text).ok()?.record()
}

fn sum(text: &[u8]) -> String {
    let sum = digest(&SHA256, text);
    let bytes = sum.as_ref().iter().take(SUM_DIGITS / 2);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// The record in JSON. Times are milliseconds since 1970.
#[derive(Serialize, Deserialize)]
struct Form {
    id: String,
    account: u32,
    caller: CallerForm,
    callee: CalleeForm,
    call_id: String,
    started: u64,
    ringing: Option<u64>,
    answered: Option<u64>,
    outcome: Option<OutcomeForm>,
    /// Of caller and callee: packets and bytes that were sent, and received.
    relay: [[u64; 4]; 2],
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CallerForm {
    Client(String),
    Service(String),
    Account(String),
    Number { number: String, trunk: String },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CalleeForm {
    Client(String),
    Service {
        name: String,
        client: Option<String>,
    },
    Number {
        number: String,
        trunk: String,
    },
}

#[derive(Serialize, Deserialize)]
struct OutcomeForm {
    at: u64,
    by: String,
    status: u16,
    reason: String,
}

impl Form {
    fn of(record: &CallRecord) -> Self {
        let outcome = record.outcome.as_ref().map(|outcome| OutcomeForm {
            at: outcome.at.as_millis(),
            by: outcome.by.as_str().to_owned(),
            status: outcome.status,
            reason: outcome.reason.clone(),
        });
        let relay = record.relay.map(|usage| {
            let RelayUsage { sent, received } = usage;
            [sent.packets, sent.bytes, received.packets, received.bytes]
        });
        Self {
            id: format!("{:032x}", record.id.0),
            account: record.account.0,
            caller: CallerForm::of(&record.caller),
            callee: CalleeForm::of(&record.callee),
            call_id: record.call_id.clone(),
            started: record.started.as_millis(),
            ringing: record.ringing.map(UnixTime::as_millis),
            answered: record.answered.map(UnixTime::as_millis),
            outcome,
            relay,
        }
    }

    fn record(self) -> Option<CallRecord> {
        let outcome = match self.outcome {
            None => None,
            Some(outcome) => Some(CallOutcome {
                at: UnixTime::from_millis(outcome.at),
                by: EndedBy::parse(&outcome.by)?,
                status: outcome.status,
                reason: outcome.reason,
            }),
        };
        let traffic = |packets, bytes| RelayTraffic { packets, bytes };
        let relay = self
            .relay
            .map(|[sent, sent_bytes, received, received_bytes]| RelayUsage {
                sent: traffic(sent, sent_bytes),
                received: traffic(received, received_bytes),
            });
        Some(CallRecord {
            id: RecordId(u128::from_str_radix(&self.id, 16).ok()?),
            account: AccountId(self.account),
            caller: self.caller.caller()?,
            callee: self.callee.callee()?,
            call_id: self.call_id,
            started: UnixTime::from_millis(self.started),
            ringing: self.ringing.map(UnixTime::from_millis),
            answered: self.answered.map(UnixTime::from_millis),
            outcome,
            relay,
        })
    }
}

impl CallerForm {
    fn of(caller: &Caller) -> Self {
        match caller {
            Caller::Client(client) => Self::Client(client.as_str().to_owned()),
            Caller::Service(name) => Self::Service(name.as_str().to_owned()),
            Caller::Account(name) => Self::Account(name.to_string()),
            Caller::Number { number, trunk } => Self::Number {
                number: number.to_string(),
                trunk: trunk.as_str().to_owned(),
            },
        }
    }

    fn caller(self) -> Option<Caller> {
        Some(match self {
            Self::Client(client) => Caller::Client(ClientId::parse(&client).ok()?),
            Self::Service(name) => Caller::Service(ServiceName::parse(&name).ok()?),
            Self::Account(name) => Caller::Account(name.into()),
            Self::Number { number, trunk } => Caller::Number {
                number: number.into(),
                trunk: TrunkName::parse(&trunk).ok()?,
            },
        })
    }
}

impl CalleeForm {
    fn of(callee: &Callee) -> Self {
        match callee {
            Callee::Client(client) => Self::Client(client.as_str().to_owned()),
            Callee::Service { name, client } => Self::Service {
                name: name.as_str().to_owned(),
                client: client.as_ref().map(|client| client.as_str().to_owned()),
            },
            Callee::Number { number, trunk } => Self::Number {
                number: number.to_string(),
                trunk: trunk.as_str().to_owned(),
            },
        }
    }

    fn callee(self) -> Option<Callee> {
        Some(match self {
            Self::Client(client) => Callee::Client(ClientId::parse(&client).ok()?),
            Self::Service { name, client } => Callee::Service {
                name: ServiceName::parse(&name).ok()?,
                client: match client {
                    Some(client) => Some(ClientId::parse(&client).ok()?),
                    None => None,
                },
            },
            Self::Number { number, trunk } => Callee::Number {
                number: number.into(),
                trunk: TrunkName::parse(&trunk).ok()?,
            },
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The record of a call that begins.
    pub(crate) fn record(id: u128, account: AccountId) -> CallRecord {
        let client = |name| ClientId::parse(name).unwrap();
        let parties = (Caller::Client(client("ann")), Callee::Client(client("bob")));
        let started = UnixTime::from_secs(1);
        CallRecord::begun(RecordId(id), account, parties, "call", started)
    }

    /// The same call, when it has ended.
    pub(crate) fn ended(record: &CallRecord) -> CallRecord {
        let outcome = CallOutcome {
            at: UnixTime::from_millis(2_001),
            by: EndedBy::Callee,
            status: 200,
            reason: "hung \"up\"\n\u{1f4de}".to_owned(),
        };
        CallRecord {
            ringing: Some(UnixTime::from_millis(1_250)),
            answered: Some(UnixTime::from_millis(1_500)),
            outcome: Some(outcome),
            ..record.clone()
        }
    }

    fn all() -> Vec<CallRecord> {
        let plain = record(u128::MAX, AccountId(u32::MAX));
        let (client, trunk) = (
            ClientId::parse("carol").unwrap(),
            TrunkName::parse("provider").unwrap(),
        );
        let service = || ServiceName::parse("support").unwrap();
        let number = || ("+44123".into(), trunk.clone());
        let callers = [
            Caller::Service(service()),
            Caller::Account("the desk \n".into()),
            Caller::Number {
                number: number().0,
                trunk: number().1,
            },
        ];
        let callees = [None, Some(client)].map(|client| Callee::Service {
            name: service(),
            client,
        });
        let callee = Callee::Number {
            number: number().0,
            trunk: number().1,
        };
        let traffic = |packets, bytes| RelayTraffic { packets, bytes };
        let usage = |by| RelayUsage {
            sent: traffic(by, 2 * by),
            received: traffic(3 * by, 4 * by),
        };
        let mut all = vec![plain.clone(), ended(&plain)];
        all.extend(callers.map(|caller| CallRecord {
            caller,
            ..plain.clone()
        }));
        all.extend(
            callees
                .into_iter()
                .chain([callee])
                .map(|callee| CallRecord {
                    callee,
                    relay: [usage(1), usage(1 << 40)],
                    ..plain.clone()
                }),
        );
        all
    }

    #[test]
    fn every_record_is_read_back_as_it_was() {
        for record in all() {
            let mut line = Vec::new();
            write(&record, &mut line);
            let text = line.strip_suffix(b"\n").unwrap();
            assert!(!text.contains(&b'\n'), "it is one line");
            assert_eq!(read(text), Some(record));
        }
    }

    #[test]
    fn a_line_that_is_not_as_it_was_written_is_no_record() {
        let mut line = Vec::new();
        write(&ended(&record(7, AccountId(1))), &mut line);
        let line = line.strip_suffix(b"\n").unwrap();
        for at in 0..line.len() {
            let mut changed = line.to_vec();
            changed[at] ^= 1;
            assert_eq!(read(&changed), None, "byte {at}");
            assert_eq!(read(&line[..at]), None, "only {at} bytes");
        }
    }
}
