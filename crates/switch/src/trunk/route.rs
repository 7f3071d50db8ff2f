//! Calls from and to trunks, in their shard: which service a number reaches, and which line leads to a number.
//!
//! A line is a connection that is never lost and that no client speaks on; what passes on it is a run's.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::{
    AccountId, Callee, Caller, ClientGroup, ClientId, ConnectionId, Now, Number, RingOrder,
    Service, ServiceTarget, Trunk, TrunkLogin, limits,
};
use sip::{Name, NameAddr, Request};

use crate::application::{Asked, Destination, Plan, Replaces};
use crate::refusal::{self, Refusal};
use crate::shard::Shard;

impl Shard {
    /// The trunk whose line a connection is.
    pub(crate) fn trunk_of(&self, connection: ConnectionId) -> Option<&Arc<Trunk>> {
        let trunks = &self.trunks;
        let at = trunks.binary_search_by_key(&connection, |(line, _)| *line);
        at.ok().map(|at| &trunks[at].1)
    }

    /// The peers of a trunk are elsewhere now.
    pub(crate) fn on_trunk(&mut self, connection: ConnectionId, trunk: Arc<Trunk>) {
        let mut trunks = self.trunks.to_vec();
        if let Some(known) = trunks.iter_mut().find(|(line, _)| *line == connection) {
            known.1 = trunk;
            self.trunks = trunks.into();
        }
    }

    /// The lines that lead to a destination, the first one first: a number goes by each trunk of the account; an address by those of a peer with
    /// its port, else by those whose domain, or peer, its host is.
    pub(crate) fn trunks_for(
        &self,
        account: AccountId,
        to: &Destination,
    ) -> Vec<(ConnectionId, Arc<Trunk>)> {
        let (host, port) = match to {
            Destination::Client(_) => return Vec::new(),
            Destination::Number(_) => return self.trunks_where(account, |_| true),
            Destination::Address { host, port, .. } => (host, port),
        };
        let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let exact = ip.zip(*port).map(SocketAddr::from);
        let has_exact = |trunk: &Trunk| exact.is_some_and(|peer| trunk.peers.contains(&peer));
        let is_peer = |trunk: &Trunk| trunk.peers.iter().any(|peer| Some(peer.ip()) == ip);
        let exactly = self.trunks_where(account, has_exact);
        match exactly.is_empty() {
            false => exactly,
            true => self.trunks_where(account, |trunk| {
                trunk.domain.eq_ignore_ascii_case(host) || is_peer(trunk)
            }),
        }
    }

    fn trunks_where(
        &self,
        account: AccountId,
        is_wanted: impl Fn(&Trunk) -> bool,
    ) -> Vec<(ConnectionId, Arc<Trunk>)> {
        let all = self.trunks.iter();
        let found = all.filter(|(_, trunk)| trunk.account == account && is_wanted(trunk));
        found.cloned().collect()
    }

    /// Whether one more call may pass.
    pub(crate) fn has_room_on_line(&self, connection: ConnectionId) -> bool {
        let open = self.runs_of(connection);
        open.filter(|run| run.concerns(connection)).count() < limits::CALLS_PER_TRUNK
    }

    /// An INVITE of a trunk's that opens a dialog.
    pub(crate) fn place_from_trunk(
        &mut self,
        trunk: &Trunk,
        connection: ConnectionId,
        request: &Request<'_>,
        now: Now,
    ) -> Result<(), Refusal> {
        let caller = Caller::Number {
            number: caller_of(trunk, request).into(),
            trunk: trunk.name.clone(),
        };
        let account = self.snapshot.directory.account(trunk.account);
        if account.is_none_or(|account| account.disabled) {
            return Err(refusal::no_account());
        }
        if trunk.session.is_some() && Asked::of(&request.headers).is_too_brief() {
            return Err(refusal::session_too_brief());
        }
        if trunk.transfer.is_any()
            && let Some(replaces) = Replaces::of(request)?
        {
            return self.replace_leg(trunk, connection, request, &replaces, now);
        }
        let called = called_by(Some(trunk), request);
        let planned = self.plan_for(trunk, &caller, &called);
        let (callee, plan) = planned.inspect_err(|refusal| {
            let callee = Callee::Number {
                number: shown(&called).into(),
                trunk: trunk.name.clone(),
            };
            let caller = caller.clone();
            self.record_refused(trunk.account, caller, callee, request, refusal, now);
        })?;
        let kind = trunk.leg_kind();
        let placed = self.check_line(connection, request, now).and_then(|()| {
            let (account, caller, callee) = (trunk.account, caller.clone(), callee.clone());
            self.begin_run(
                account, connection, request, caller, callee, plan, kind, now,
            )
        });
        if let Err(refusal) = &placed {
            self.record_refused(trunk.account, caller, callee, request, refusal, now);
        }
        placed
    }

    /// Whom a trunk's call is for, and what happens to it: a number is a service's, anything else a client.
    pub(super) fn plan_for(
        &mut self,
        trunk: &Trunk,
        caller: &Caller,
        called: &str,
    ) -> Result<(Callee, Plan), Refusal> {
        let Ok(number) = Number::parse(called) else {
            let client = ClientId::parse(called).map_err(|_| refusal::no_number(called))?;
            let ring = self.snapshot.settings.no_answer;
            let rows = vec![vec![Destination::Client(client.clone())]];
            return Ok((Callee::Client(client), Plan::in_rows(rows, ring)));
        };
        let name = trunk.service_for(&number);
        let name = name.ok_or_else(|| refusal::no_number(called))?;
        let service = self.service(trunk.account, name.as_str());
        let service =
            service.ok_or_else(|| refusal::number_of_no_service(number.as_str(), name))?;
        let plan = match &service.target {
            ServiceTarget::Application(application) => Plan::Application(application.clone()),
            ServiceTarget::Clients(group) => {
                let rows = self.rows_of(trunk.account, caller, &service, group);
                Plan::in_rows(rows, group.ring())
            }
        };
        let callee = Callee::Service {
            name: service.name,
            client: None,
        };
        Ok((callee, plan))
    }

    /// The clients of a group in the order in which they ring: one by one, or as many at a time as a session has legs beside the caller's.
    fn rows_of(
        &mut self,
        account: AccountId,
        caller: &Caller,
        service: &Service,
        group: &ClientGroup,
    ) -> Vec<Vec<Destination>> {
        let mut clients = Vec::from(self.in_turn(account, service, group));
        let is_away = |client: &ClientId| self.may_ring_idle(account, caller, client).is_err();
        let at_once = match group.order() {
            RingOrder::All => {
                // Nobody who is away takes a place of those who are there.
                clients.sort_by_key(is_away);
                limits::LEGS_PER_SESSION - 1
            }
            RingOrder::InOrder => 1,
            RingOrder::RoundRobin => {
                let first = clients.iter().find(|client| !is_away(client)).cloned();
                if let Some(first) = first {
                    let key = (account, service.name.clone());
                    self.rung_first.insert(key, first);
                }
                1
            }
        };
        let clients: Vec<_> = clients.into_iter().map(Destination::Client).collect();
        clients.chunks(at_once).map(<[_]>::to_vec).collect()
    }

    fn check_line(
        &mut self,
        connection: ConnectionId,
        request: &Request<'_>,
        now: Now,
    ) -> Result<(), Refusal> {
        if !self.has_room_on_line(connection) {
            return Err(refusal::calls_full());
        }
        self.check_call(request, now)
    }
}

/// Whom it calls. A provider may send what it has for us to the user that we have registered; the number is in To then.
pub(crate) fn called_by<'a>(trunk: Option<&Trunk>, request: &Request<'a>) -> Cow<'a, str> {
    let target = request.target().user_decoded();
    let login = trunk.and_then(|trunk| trunk.login.as_ref());
    match login.is_some_and(|login: &TrunkLogin| login.user == target) {
        true => request.headers.to().uri.user_decoded(),
        false => target,
    }
}

/// Who calls: what a trusted trunk asserts (RFC 3325), else what stands in From.
pub(super) fn caller_of(trunk: &Trunk, request: &Request<'_>) -> String {
    let headers = &request.headers;
    let asserted = headers.get(Name::Other("P-Asserted-Identity"));
    let asserted = asserted.and_then(|identity| NameAddr::parse(identity).ok());
    let asserted = asserted.filter(|_| trunk.is_trusted);
    let uri = asserted.map_or(headers.from().uri, |identity| identity.uri);
    let user = match uri.scheme.eq_ignore_ascii_case("tel") {
        true => uri.user.unwrap_or_default().into(),
        false => uri.user_decoded(),
    };
    match shown(&user) {
        nobody if nobody.is_empty() => "anonymous".to_owned(),
        shown => shown,
    }
}

/// What a peer wrote of a user, as it may stand in a list.
pub(super) fn shown(user: &str) -> String {
    let shown = user.chars().filter(|character| !character.is_control());
    shown.take(limits::CALL_FROM_BYTES / 4).collect()
}

#[cfg(test)]
mod tests {
    use model::{PeerPlace, TrunkMedia, TrunkName, TrunkTransport};

    use super::*;
    use crate::input::{Settings, Snapshot};

    const ACCOUNT: AccountId = AccountId(5);

    fn trunk(name: &str, peer: &str, domain: &str) -> Arc<Trunk> {
        Arc::new(Trunk {
            account: ACCOUNT,
            name: TrunkName::parse(name).unwrap(),
            transport: TrunkTransport::Udp,
            media: TrunkMedia::Rtp,
            places: PeerPlace::addresses(&[peer.parse().unwrap()]),
            peers: vec![peer.parse().unwrap()],
            former: Vec::new(),
            networks: Vec::new(),
            domain: domain.to_owned(),
            login: None,
            registration: None,
            check: None,
            numbers: Vec::new(),
            caller: None,
            session: None,
            is_trusted: false,
            transfer: Default::default(),
        })
    }

    #[test]
    fn an_address_leads_to_the_peer_that_it_names() {
        let trunks = [
            trunk("one", "192.0.2.1:5060", "192.0.2.1"),
            trunk("two", "192.0.2.1:5070", "sip.example.com"),
        ];
        let lines = (1..).map(ConnectionId).zip(trunks);
        let settings = Settings {
            trunks: lines.collect(),
            ..Settings::default()
        };
        let snapshot = Snapshot {
            settings,
            ..Snapshot::default()
        };
        let shard = Shard::new(0, [0; 32], Arc::new(snapshot));
        let found = |account, to: &str| {
            let trunks = shard.trunks_for(account, &Destination::parse(to).unwrap());
            trunks.first().map(|(_, trunk)| trunk.name.to_string())
        };
        let leads = |to: &str| found(ACCOUNT, to).unwrap_or_default();
        assert_eq!(leads("tel:112"), "one");
        assert_eq!(leads("sip:7@192.0.2.1"), "one");
        assert_eq!(leads("sip:7@192.0.2.1:5070"), "two");
        assert_eq!(
            leads("sip:7@192.0.2.1:9"),
            "one",
            "a port that nobody has says nothing"
        );
        assert_eq!(leads("sip:7@SIP.example.com:9"), "two");
        assert_eq!(leads("sip:7@example.com"), "");
        assert_eq!(leads("webrtc:bob"), "");
        assert_eq!(found(AccountId(6), "tel:112"), None);
    }
}
