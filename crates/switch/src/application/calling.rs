//! How somebody is called by us: a client by its connection, a number by a trunk's line.
//!
//! Writes what the dialog begins with, and asks the gateway for an offer; what comes of it is `connecting`'s, or the first party's.

use std::borrow::Cow;
use std::time::Duration;

use model::media::{LegKind, MediaCommand};
use model::{CallRecord, Callee, Caller, ClientId, ConnectionId, Number, Trunk, TrunkTransfer};

use super::connecting::Called;
use super::dialog::Dialog;
use super::run::Run;
use super::wanted::Wanted;
use crate::call::{Act, CallKey, Leg, mint_party_tag};
use crate::domain::service_host;
use crate::effect::Counter;
use crate::location::Binding;

/// Somebody who is to be called.
pub(crate) struct Outgoing {
    pub(crate) leg: Leg,
    pub(crate) callee: Callee,
    pub(crate) kind: LegKind,
    /// How often its session is refreshed.
    pub(crate) session: Option<Duration>,
    /// Rows of the INVITE.
    pub(crate) headers: Vec<(Cow<'static, str>, String)>,
    /// Whom it may have calls transferred to, if it is a trunk's.
    pub(crate) transfers: Option<TrunkTransfer>,
}

impl Outgoing {
    /// A client, which is told that a service calls.
    pub(crate) fn to_client(
        (run, place): (CallKey, u8),
        from: &str,
        client: &ClientId,
        binding: &Binding,
        act: &mut Act<'_>,
    ) -> Self {
        let host = service_host(&binding.domain);
        let leg = Leg {
            connection: binding.connection,
            domain: binding.domain.clone(),
            local_tag: mint_party_tag(run, place, act.random),
            remote_tag: None,
            local: format!("<sip:{}@{host}>", escaped(from)).into(),
            remote: format!("<sip:{client}@{}>", binding.domain).into(),
            target: binding.contact.clone(),
            cseq: 1,
            remote_cseq: 0,
        };
        Self {
            leg,
            callee: Callee::Client(client.clone()),
            kind: LegKind::WebRtc,
            session: None,
            headers: Vec::new(),
            transfers: None,
        }
    }

    /// Somebody behind a trunk.
    pub(crate) fn to_number(
        (run, place): (CallKey, u8),
        from: &str,
        number: &str,
        connection: ConnectionId,
        trunk: &Trunk,
        act: &mut Act<'_>,
    ) -> Self {
        let (host, from) = (&trunk.domain, shown_number(from, trunk));
        let leg = Leg {
            connection,
            domain: host.as_str().into(),
            local_tag: mint_party_tag(run, place, act.random),
            remote_tag: None,
            local: format!("<sip:{from}@{host}>").into(),
            remote: format!("<sip:{number}@{host}>").into(),
            target: format!("sip:{number}@{host}").into(),
            cseq: 1,
            remote_cseq: 0,
        };
        let callee = Callee::Number {
            number: number.into(),
            trunk: trunk.name.clone(),
        };
        let kind = trunk.leg_kind();
        let mut headers = Vec::new();
        if trunk.is_trusted {
            let identity = format!("<sip:{from}@{host}>");
            headers.push(("P-Asserted-Identity".into(), identity));
        }
        Self {
            leg,
            callee,
            kind,
            session: trunk.session,
            headers,
            transfers: Some(trunk.transfer),
        }
    }
}

impl Outgoing {
    /// With these rows besides.
    pub(crate) fn with(mut self, rows: Vec<(&'static str, String)>) -> Self {
        let rows = rows.into_iter();
        self.headers
            .extend(rows.map(|(name, value)| (name.into(), value)));
        self
    }
}

impl Run {
    /// Calls one of those whom the caller is to be connected to.
    pub(super) fn ring(
        &mut self,
        wanted: Wanted,
        outgoing: impl FnOnce((CallKey, u8), &str, &mut Act<'_>) -> Outgoing,
        act: &mut Act<'_>,
    ) {
        let caller = self.caller_for(&wanted);
        let (place, key, account) = (self.next_place(), self.key, self.account);
        let Some(connecting) = self.ringing_for(&wanted) else {
            return;
        };
        let Outgoing {
            leg,
            callee,
            kind,
            session,
            headers,
            transfers,
        } = outgoing((key, place), &connecting.from, act);
        let id = act.random.record_id();
        let (parties, began) = ((caller, callee), act.now.unix);
        let record = CallRecord::begun(id, account, parties, id.to_string(), began);
        act.record(&record);
        act.count(Counter::CallRouted);
        connecting.called.push(Called {
            place,
            wanted,
            connection: leg.connection,
            kind: kind.clone(),
            headers,
            dialog: Dialog::planned(key, leg, &record.call_id)
                .timed(session, None)
                .transfers(transfers),
            record,
            joined: None,
            bye_due: None,
        });
        let leg = self.leg(place);
        self.tell_gateway(MediaCommand::Offer { leg, kind }, act);
    }

    /// Whom records of those who are called name as the caller.
    pub(crate) fn caller_for(&self, wanted: &Wanted) -> Caller {
        let in_transfer = self.caller_in_transfer();
        let known = in_transfer.filter(|_| wanted.is_in_transfer());
        known.unwrap_or(&self.record.caller).clone()
    }

    /// A place that nobody has.
    pub(crate) fn next_place(&mut self) -> u8 {
        loop {
            self.last_place = self.last_place.checked_add(1).unwrap_or(1);
            if self.dialog(self.last_place).is_none() {
                return self.last_place;
            }
        }
    }
}

/// Who calls, as a trunk may be told: a number, whatever else a caller is called.
fn shown_number(from: &str, trunk: &Trunk) -> String {
    if let Ok(number) = Number::parse(from) {
        return number.to_string();
    }
    let login = trunk.login.as_ref().map(|login| login.user.as_str());
    match (&trunk.caller, login) {
        (Some(number), _) => number.to_string(),
        (None, Some(user)) => escaped(user),
        // RFC 3323 §4.1.1.3
        (None, None) => "anonymous".to_owned(),
    }
}

/// What may stand in the user part of an address (RFC 3261 §25.1); anything else is escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
