//! A call on its way from one node to another: all of an answered call in which nothing is under way.
//!
//! Says itself when it may go; who takes it is the shard's to decide. What it names its dialogs by stays: clients know no other.

use std::net::IpAddr;
use std::time::Duration;

use model::{
    AccountId, CallRecord, Callee, Caller, ClientId, ConnectionId, Instant, RecordId, RelayTraffic,
    RelayUsage, ServiceName, UnixTime,
};
use serde::{Deserialize, Serialize};

use super::exchange::Progress;
use super::leg::{Leg, Side};
use super::reach::Reach;
use super::{Act, Call, CallKey, Phase};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedCall {
    call_id: Box<str>,
    caller: PackedLeg,
    callee: PackedLeg,
    caller_sent_by: Box<str>,
    /// How long it may still go on.
    lasts_ms: u64,
    record: PackedRecord,
    /// What the caller, and the callee, may reach by a relay.
    reach: [Option<Vec<IpAddr>>; 2],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PackedLeg {
    connection: u64,
    domain: Box<str>,
    local_tag: String,
    remote_tag: Option<Box<str>>,
    local: Box<str>,
    remote: Box<str>,
    target: Box<str>,
    cseq: u32,
    remote_cseq: u32,
}

/// Of a call of two clients, one of whom may have answered for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PackedRecord {
    id: String,
    account: u32,
    caller: String,
    callee: String,
    service: Option<String>,
    call_id: String,
    started: u64,
    ringing: Option<u64>,
    answered: Option<u64>,
    /// Packets and bytes sent, packets and bytes received, for each.
    relay: [[u64; 4]; 2],
}

impl PackedCall {
    /// Whose call it is.
    pub(crate) fn account(&self) -> AccountId {
        AccountId(self.record.account)
    }
}

impl Call {
    /// All of it, if it may go to another node now: it is answered, and neither side waits for anything.
    pub(crate) fn pack(&self, now: Instant) -> Option<PackedCall> {
        let Phase::Live { until } = self.phase else {
            return None;
        };
        let is_done = |progress: &Progress| match progress {
            Progress::Accepted { ack, .. } => ack.is_some(),
            Progress::Closed { .. } => true,
            Progress::Waiting | Progress::Abandoned => false,
        };
        let is_quiet = self.hunt.is_none()
            && self
                .exchanges
                .iter()
                .all(|exchange| is_done(&exchange.progress));
        is_quiet.then_some(())?;
        let lasts = until.since(now).as_millis();
        Some(PackedCall {
            call_id: self.call_id.clone(),
            caller: PackedLeg::of(&self.caller),
            callee: PackedLeg::of(&self.callee),
            caller_sent_by: self.caller_sent_by.clone(),
            lasts_ms: u64::try_from(lasts).unwrap_or(u64::MAX),
            record: PackedRecord::of(&self.record)?,
            reach: self.reach.pack(),
        })
    }

    /// One that comes from another node, under a key of this one.
    pub(crate) fn unpack(
        packed: PackedCall,
        key: CallKey,
        connection: impl Fn(ConnectionId) -> ConnectionId,
        act: &mut Act<'_>,
    ) -> Option<Self> {
        let mut legs = [packed.caller, packed.callee].map(PackedLeg::leg);
        for leg in &mut legs {
            leg.connection = connection(leg.connection);
        }
        let [caller, callee] = legs;
        let record = packed.record.record()?;
        let until = act.now.mono + Duration::from_millis(packed.lasts_ms);
        let call = Self {
            key,
            call_id: packed.call_id,
            caller,
            callee,
            caller_sent_by: packed.caller_sent_by,
            phase: Phase::Live { until },
            exchanges: Vec::new(),
            record,
            reach: Reach::unpack(packed.reach),
            hunt: None,
        };
        for side in [Side::Caller, Side::Callee] {
            let connection = call.leg(side).connection;
            call.reach.tell_again(key, side, connection, act);
        }
        Some(call)
    }
}

impl PackedLeg {
    fn of(leg: &Leg) -> Self {
        Self {
            connection: leg.connection.0,
            domain: leg.domain.clone(),
            local_tag: leg.local_tag.clone(),
            remote_tag: leg.remote_tag.clone(),
            local: leg.local.clone(),
            remote: leg.remote.clone(),
            target: leg.target.clone(),
            cseq: leg.cseq,
            remote_cseq: leg.remote_cseq,
        }
    }

    fn leg(self) -> Leg {
        Leg {
            connection: ConnectionId(self.connection),
            domain: self.domain,
            local_tag: self.local_tag,
            remote_tag: self.remote_tag,
            local: self.local,
            remote: self.remote,
            target: self.target,
            cseq: self.cseq,
            remote_cseq: self.remote_cseq,
        }
    }
}

impl PackedRecord {
    /// Nothing, where a trunk or an application has part in it.
    fn of(record: &CallRecord) -> Option<Self> {
        let (callee, service) = match &record.callee {
            Callee::Client(client) => (client, None),
            Callee::Service {
                name,
                client: Some(client),
            } => (client, Some(name.as_str().to_owned())),
            Callee::Service { client: None, .. } | Callee::Number { .. } => return None,
        };
        let usage = |usage: &RelayUsage| {
            let RelayUsage { sent, received } = usage;
            [sent.packets, sent.bytes, received.packets, received.bytes]
        };
        Some(Self {
            id: record.id.to_string(),
            account: record.account.0,
            caller: record.caller.client()?.as_str().to_owned(),
            callee: callee.as_str().to_owned(),
            service,
            call_id: record.call_id.clone(),
            started: record.started.as_millis(),
            ringing: record.ringing.map(UnixTime::as_millis),
            answered: record.answered.map(UnixTime::as_millis),
            relay: [usage(&record.relay[0]), usage(&record.relay[1])],
        })
    }

    fn record(self) -> Option<CallRecord> {
        let client = ClientId::parse(&self.callee).ok()?;
        let callee = match self.service {
            None => Callee::Client(client),
            Some(name) => Callee::Service {
                name: ServiceName::parse(&name).ok()?,
                client: Some(client),
            },
        };
        let caller = Caller::Client(ClientId::parse(&self.caller).ok()?);
        let id = RecordId(u128::from_str_radix(&self.id, 16).ok()?);
        let account = AccountId(self.account);
        let started = UnixTime::from_millis(self.started);
        let usage = |[sent, sent_bytes, received, bytes]: [u64; 4]| RelayUsage {
            sent: RelayTraffic {
                packets: sent,
                bytes: sent_bytes,
            },
            received: RelayTraffic {
                packets: received,
                bytes,
            },
        };
        Some(CallRecord {
            ringing: self.ringing.map(UnixTime::from_millis),
            answered: self.answered.map(UnixTime::from_millis),
            relay: self.relay.map(usage),
            ..CallRecord::begun(id, account, (caller, callee), self.call_id, started)
        })
    }
}
