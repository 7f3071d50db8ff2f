//! Where a new INVITE goes: to the newest instance of a client of the same account, if its caller's
//! token permits, or to a service.
//!
//! Decides once, before a call exists; what happens afterwards is the call's.

use model::{
    AccountId, CallOutcome, CallRecord, Callee, Caller, ClientId, ConnectionId, EndedBy, Now,
    Service, limits,
};
use sip::{Contact, Method, Name, Request};

use crate::call::{Call, CallKey, Placing};
use crate::domain::Domain;
use crate::effect::Counter;
use crate::location::Binding;
use crate::marks::Shows;
use crate::refusal::{self, Refusal};
use crate::shard::Shard;
use crate::timer::Due;

/// Whom an INVITE calls.
enum Destination {
    Client(ClientId),
    Service(Service),
}

impl Shard {
    /// An INVITE that opens a dialog.
    pub(crate) fn on_invite(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        now: Now,
    ) {
        if self.looks.has(connection, request) {
            return;
        }
        if self.has_seen_invite(connection, request) {
            // A line gives each request once: this is another, by a branch that was used before.
            if self.trunk_of(connection).is_some() {
                self.refuse(now, connection, request, &refusal::merged());
            }
            return;
        }
        if let Err(refusal) = self.place(account, connection, request, now) {
            let tag = self.plain_tag();
            let mut act = self.act(now);
            act.count(Counter::CallRefused);
            act.send(connection, refusal.answer(request, &tag));
        }
    }

    fn has_seen_invite(&self, connection: ConnectionId, request: &Request<'_>) -> bool {
        self.calls_of(connection)
            .any(|call| call.has_seen(connection, request))
            || self
                .runs_of(connection)
                .any(|run| run.has_seen(connection, request))
    }

    fn place(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        now: Now,
    ) -> Result<(), Refusal> {
        self.check_order(connection, request)?;
        if let Some(trunk) = self.trunk_of(connection).cloned() {
            return self.place_from_trunk(&trunk, connection, request, now);
        }
        match self.destination(account, request)? {
            Destination::Client(callee) => {
                let caller = self.admit(account, connection, request, &callee, now)?;
                self.call_client(
                    account,
                    connection,
                    request,
                    Caller::Client(caller),
                    callee,
                    now,
                )
            }
            Destination::Service(service) => {
                let caller = self.admit_to_service(account, connection, request, now)?;
                self.call_service(
                    account,
                    connection,
                    request,
                    Caller::Client(caller),
                    &service,
                    now,
                )
            }
        }
    }

    fn call_client(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        caller: Caller,
        callee: ClientId,
        now: Now,
    ) -> Result<(), Refusal> {
        let contact = caller_target(request)?;
        let Some(binding) = self.newest(account, &callee).cloned() else {
            let is_registered = self.is_registered(account, &callee);
            if !is_registered && self.look(now, account, connection, request, &callee) {
                return Ok(());
            }
            let refusal = match is_registered {
                true => refusal::out_of_reach(&callee),
                false => refusal::not_registered(&callee),
            };
            self.record_refused(
                account,
                caller,
                Callee::Client(callee),
                request,
                &refusal,
                now,
            );
            return Err(refusal);
        };
        if let Err(refusal) = self.check_may_ring(&binding, &caller, &callee) {
            self.act(now).count(Counter::CallsFull);
            self.record_refused(
                account,
                caller,
                Callee::Client(callee),
                request,
                &refusal,
                now,
            );
            return Err(refusal);
        }
        let client = callee.clone();
        let placing = Placing {
            key: self.next_key(),
            account,
            connection,
            request,
            caller,
            caller_target: contact,
            callee: Callee::Client(callee),
            client: &client,
            binding: &binding,
            no_answer: self.snapshot.settings.no_answer,
            hunt: None,
        };
        self.begin(placing, now);
        Ok(())
    }

    /// Where calls for a client go: to its newest instance among those that can be reached now.
    pub(crate) fn newest(&self, account: AccountId, client: &ClientId) -> Option<&Binding> {
        let instances = self.location.instances(account, client.as_str());
        instances
            .and_then(|known| known.newest_of(|binding| self.is_in_reach(binding.connection)))
            .or_else(|| self.looks.found(client))
    }

    /// Whether it is registered at all.
    pub(crate) fn is_registered(&self, account: AccountId, client: &ClientId) -> bool {
        let instances = self.location.instances(account, client.as_str());
        instances.is_some_and(|instances| instances.newest().is_some())
    }

    pub(crate) fn next_key(&mut self) -> CallKey {
        loop {
            let key = CallKey::of_node(self.node, self.next_call);
            self.next_call += 1;
            if !self.calls.contains_key(&key) && !self.runs.contains_key(&key) {
                return key;
            }
        }
    }

    /// A call comes into being.
    pub(crate) fn begin(&mut self, placing: Placing<'_>, now: Now) {
        let key = placing.key;
        self.know_remote(placing.binding.connection, placing.account);
        let call = Call::place(placing, &mut self.act(now));
        for connection in call.connections() {
            if let Some(connection) = self.connections.get_mut(&connection) {
                connection.note_call(key);
            }
        }
        self.timers
            .shift(Due::Call(key), None, Some(call.deadline()));
        self.calls.insert(key, call);
    }

    /// Whether one more call may ring there: no caller takes every place of a callee.
    pub(crate) fn check_may_ring(
        &self,
        binding: &Binding,
        caller: &Caller,
        callee: &ClientId,
    ) -> Result<(), Refusal> {
        let (mut all, mut own) = (0, 0);
        for call in self.calls_of(binding.connection) {
            if call.rings_at(binding) {
                all += 1;
                own += usize::from(call.record().caller == *caller);
            }
        }
        for run in self.runs_of(binding.connection) {
            let ringing = run.ringing(binding.connection);
            all += ringing;
            own += ringing * usize::from(run.record().caller == *caller);
        }
        if all >= limits::CALLS_RINGING_PER_CONNECTION {
            Err(refusal::callee_busy(callee))
        } else if own >= limits::CALLS_RINGING_PER_CALLER {
            Err(refusal::rings_enough(caller, callee))
        } else {
            Ok(())
        }
    }

    /// Whether the request is in order, whomever it calls.
    fn check_order(&self, connection: ConnectionId, request: &Request<'_>) -> Result<(), Refusal> {
        if self.stopping {
            return Err(refusal::stopping());
        }
        let is_merged = self
            .calls_of(connection)
            .any(|call| call.is_merged(connection, request))
            || self
                .runs_of(connection)
                .any(|run| run.is_merged(connection, request));
        if is_merged {
            return Err(refusal::merged());
        }
        if request.headers.from().tag().is_none() {
            return Err(refusal::malformed_header(
                "the From address of an INVITE must have a tag",
            ));
        }
        Ok(())
    }

    /// Who calls, if its token permits.
    fn admit(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        callee: &ClientId,
        now: Now,
    ) -> Result<ClientId, Refusal> {
        let grant = self.grant(account, connection, request, now)?;
        self.prove(now, connection, &grant, Shows::Call);
        self.check_room(connection, request, now)?;
        let caller = grant.client.clone();
        if !grant.may_call(callee) {
            let refusal = refusal::not_permitted(callee);
            let callee = Callee::Client(callee.clone());
            self.record_refused(
                account,
                Caller::Client(caller),
                callee,
                request,
                &refusal,
                now,
            );
            return Err(refusal);
        }
        Ok(caller)
    }

    /// Whether the call can be carried.
    pub(crate) fn check_room(
        &mut self,
        connection: ConnectionId,
        request: &Request<'_>,
        now: Now,
    ) -> Result<(), Refusal> {
        let open = self
            .calls_of(connection)
            .filter(|call| !call.is_over())
            .count();
        let open = open
            + self
                .runs_of(connection)
                .filter(|run| run.concerns(connection))
                .count();
        if open >= limits::CALLS_PER_CONNECTION {
            self.act(now).count(Counter::CallsFull);
            return Err(refusal::calls_full());
        }
        self.check_call(request, now)
    }

    /// Whether there is an offer, and room for one more call at all.
    pub(crate) fn check_call(&mut self, request: &Request<'_>, now: Now) -> Result<(), Refusal> {
        check_offer(request)?;
        if request.headers.max_forwards() == Some(0) {
            return Err(refusal::too_many_hops());
        }
        if !self.has_room(now) {
            self.act(now).count(Counter::CallsFull);
            return Err(refusal::calls_full());
        }
        Ok(())
    }

    /// Whom the Request-URI names.
    fn destination(
        &self,
        account: AccountId,
        request: &Request<'_>,
    ) -> Result<Destination, Refusal> {
        let target = request.target();
        match Domain::parse(target.host, &self.snapshot.settings) {
            Domain::Account { key } => {
                let named = self
                    .snapshot
                    .directory
                    .by_access_key(key)
                    .map(|named| named.id);
                match named {
                    Some(named) if named == account => ClientId::parse(&target.user_decoded())
                        .map(Destination::Client)
                        .map_err(|_| refusal::no_destination()),
                    Some(_) => Err(refusal::other_account()),
                    None => Err(refusal::no_destination()),
                }
            }
            Domain::Service => {
                let name = target.user_decoded();
                let service = self.service(account, &name);
                let service = service.ok_or_else(|| refusal::no_service(&name))?;
                Ok(Destination::Service(service))
            }
            Domain::Other => Err(refusal::no_destination()),
        }
    }

    /// A call that was refused although we know who called whom is in the list of calls as well.
    pub(crate) fn record_refused(
        &mut self,
        account: AccountId,
        caller: Caller,
        callee: Callee,
        request: &Request<'_>,
        refusal: &Refusal,
        now: Now,
    ) {
        let outcome = CallOutcome {
            at: now.unix,
            by: EndedBy::Server,
            status: refusal.status,
            reason: refusal.text.to_string(),
        };
        let (id, call_id) = (self.random.record_id(), request.headers.call_id());
        let mut record = CallRecord::begun(id, account, (caller, callee), call_id, now.unix);
        record.outcome = Some(outcome);
        self.act(now).record(&record);
    }
}

/// Where the caller is to be reached inside the call.
pub(crate) fn caller_target<'a>(request: &Request<'a>) -> Result<&'a str, Refusal> {
    match request.headers.sole_contact() {
        Some(Contact::Address(contact)) => Ok(contact.uri_text),
        Some(Contact::Star) | None => Err(refusal::malformed_header(
            "an INVITE must name exactly one Contact",
        )),
    }
}

/// Existing clients cannot take an INVITE without an SDP offer.
pub(crate) fn check_offer(request: &Request<'_>) -> Result<(), Refusal> {
    debug_assert!(request.method == Method::Invite);
    if request.body.is_empty() {
        return Err(refusal::no_offer());
    }
    let kind = request.headers.get(Name::ContentType).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/sdp") {
        Ok(())
    } else {
        Err(refusal::not_sdp())
    }
}
