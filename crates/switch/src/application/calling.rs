//! How somebody is called for a caller: a client by its connection, a number by a trunk's line.
//!
//! Writes what the dialog begins with, and asks the gateway for an offer; what comes of it is `connecting`'s.

use model::media::{LegKind, MediaCommand};
use model::{CallRecord, Callee, ClientId, ConnectionId, Number, Trunk};

use super::connecting::Called;
use super::dialog::Dialog;
use super::run::Run;
use crate::call::{Act, Leg, mint_party_tag};
use crate::domain::service_host;
use crate::effect::Counter;
use crate::location::Binding;

/// Rows of an INVITE.
pub(super) type Rows = Vec<(&'static str, String)>;

impl Run {
    /// One of them is here.
    pub(crate) fn ring_client(&mut self, client: &ClientId, binding: &Binding, act: &mut Act<'_>) {
        let Some(connecting) = &self.connecting else {
            return;
        };
        let host = service_host(&binding.domain);
        let local = format!("<sip:{}@{host}>", escaped(&connecting.from)).into();
        let place = self.next_place();
        let leg = Leg {
            connection: binding.connection,
            domain: binding.domain.clone(),
            local_tag: mint_party_tag(self.key, place, act.random),
            remote_tag: None,
            local,
            remote: format!("<sip:{client}@{}>", binding.domain).into(),
            target: binding.contact.clone(),
            cseq: 1,
            remote_cseq: 0,
        };
        let callee = Callee::Client(client.clone());
        self.call(place, leg, callee, LegKind::WebRtc, Rows::new(), act);
    }

    /// A trunk leads to one of them.
    pub(crate) fn ring_number(
        &mut self,
        number: &str,
        connection: ConnectionId,
        trunk: &Trunk,
        act: &mut Act<'_>,
    ) {
        let Some(connecting) = &self.connecting else {
            return;
        };
        let (host, from) = (&trunk.domain, shown_caller(&connecting.from, trunk));
        let place = self.next_place();
        let leg = Leg {
            connection,
            domain: host.as_str().into(),
            local_tag: mint_party_tag(self.key, place, act.random),
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
        let kind = LegKind::Rtp {
            allowed: trunk.media_networks(),
        };
        let mut headers = Rows::new();
        if trunk.is_trusted {
            headers.push(("P-Asserted-Identity", format!("<sip:{from}@{host}>")));
        }
        self.call(place, leg, callee, kind, headers, act);
    }

    fn next_place(&mut self) -> u8 {
        self.last_place = self.last_place.checked_add(1).unwrap_or(1);
        self.last_place
    }

    fn call(
        &mut self,
        place: u8,
        leg: Leg,
        callee: Callee,
        kind: LegKind,
        headers: Rows,
        act: &mut Act<'_>,
    ) {
        let id = act.random.record_id();
        let record = CallRecord {
            id,
            account: self.account,
            caller: self.record().caller.clone(),
            callee,
            call_id: id.to_string(),
            started: act.now.unix,
            ringing: None,
            answered: None,
            outcome: None,
            relay: Default::default(),
        };
        act.record(&record);
        act.count(Counter::CallRouted);
        if let Some(connecting) = &mut self.connecting {
            connecting.called.push(Called {
                place,
                connection: leg.connection,
                kind: kind.clone(),
                headers,
                dialog: Dialog::planned(self.key, leg, &record.call_id),
                record,
                bye_due: None,
            });
        }
        let leg = self.leg(place);
        self.tell_gateway(MediaCommand::Offer { leg, kind }, act);
    }
}

/// Who calls, as a trunk may be told: a number, whatever else a caller is called.
fn shown_caller(from: &str, trunk: &Trunk) -> String {
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
