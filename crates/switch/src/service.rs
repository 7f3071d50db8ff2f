//! Services: who may call one, and which clients ring for it.
//!
//! Existing clients show no token with such a call. Whether they must have shown one before is the account's policy; the
//! name that they give is believed no more than that.

use std::collections::VecDeque;

use model::media::LegKind;
use model::{
    AccountId, Callee, Caller, ClientGroup, ClientId, ConnectionId, Now, RingOrder, Service,
    ServiceCallers, ServiceTarget,
};
use sip::Request;

use crate::application::Plan;
use crate::call::{CallKey, Hunt, Placing};
use crate::effect::Counter;
use crate::location::Binding;
use crate::marks::Shows;
use crate::refusal::{self, Refusal};
use crate::router::caller_target;
use crate::shard::Shard;
use crate::token::RejectedToken;

/// What keeps a client of a group from ringing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hindrance {
    IsBusy,
    IsAway,
}

impl Shard {
    /// The service of this name.
    pub(crate) fn service(&self, account: AccountId, name: &str) -> Option<Service> {
        let account = self.snapshot.directory.account(account);
        let service = account.and_then(|account| account.services.get(name));
        service.cloned()
    }

    /// Who calls a service, if the account lets it. A token that is shown is to be a good one.
    pub(crate) fn admit_to_service(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        now: Now,
    ) -> Result<ClientId, Refusal> {
        let caller = if request.headers.bearer().is_some() {
            let grant = self.grant(account, connection, request, now)?;
            self.prove(now, connection, &grant, Shows::Call);
            grant.client.clone()
        } else {
            let name = request.headers.from().uri.user_decoded();
            let client = ClientId::parse(&name).map_err(|_| refusal::no_client())?;
            let callers = self.snapshot.directory.account(account);
            let callers = callers.map_or(ServiceCallers::Proven, |known| known.service_callers);
            if callers == ServiceCallers::Proven {
                if !self.speaks_for(connection, &client) {
                    return Err(refusal::unproven_caller(&client));
                }
                if self.is_revoked(connection, &client) {
                    let mut act = self.act(now);
                    act.count(Counter::TokenRefused);
                    act.count(Counter::TokenRevoked);
                    return Err(refusal::token(&RejectedToken::Revoked));
                }
            }
            client
        };
        self.check_room(connection, request, now)?;
        Ok(caller)
    }

    pub(crate) fn call_service(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        caller: Caller,
        service: &Service,
        now: Now,
    ) -> Result<(), Refusal> {
        match &service.target {
            ServiceTarget::Clients(group) => {
                self.call_group(account, connection, request, caller, service, group, now)
            }
            ServiceTarget::Application(application) => {
                let callee = Callee::Service {
                    name: service.name.clone(),
                    client: None,
                };
                let plan = Plan::Application(application.clone());
                self.begin_run(
                    account,
                    connection,
                    request,
                    caller,
                    callee,
                    plan,
                    LegKind::WebRtc,
                    now,
                )
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a call is made of")]
    fn call_group(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        caller: Caller,
        service: &Service,
        group: &ClientGroup,
        now: Now,
    ) -> Result<(), Refusal> {
        let caller_target = caller_target(request)?;
        let callee = Callee::Service {
            name: service.name.clone(),
            client: None,
        };
        let mut waiting = self.in_turn(account, service, group);
        let mut is_busy = false;
        let first = loop {
            let Some(client) = waiting.pop_front() else {
                let refusal = refusal::nobody_for(&service.name, is_busy);
                self.record_refused(account, caller, callee, request, &refusal, now);
                return Err(refusal);
            };
            match self.ready(account, &caller, &client) {
                Ok(binding) => break (client, binding),
                Err(hindrance) => is_busy |= hindrance == Hindrance::IsBusy,
            }
        };
        let (client, binding) = first;
        if group.order() == RingOrder::RoundRobin {
            let key = (account, service.name.clone());
            self.rung_first.insert(key, client.clone());
        }
        let all_at_once = group.order() == RingOrder::All;
        let rest = if all_at_once {
            std::mem::take(&mut waiting)
        } else {
            VecDeque::new()
        };
        let rings = if all_at_once { 1 } else { 1 + waiting.len() };
        let each = (!all_at_once).then(|| group.ring());
        let key = self.next_key();
        let placing = Placing {
            key,
            account,
            connection,
            request,
            caller: caller.clone(),
            caller_target,
            callee,
            client: &client,
            binding: &binding,
            no_answer: group.ring() * u32::try_from(rings).unwrap_or(u32::MAX),
            hunt: Some(Box::new(Hunt::new(request, client.clone(), waiting, each))),
        };
        self.begin(placing, now);
        for client in rest {
            match self.ready(account, &caller, &client) {
                Ok(binding) => self.ring(now, key, &client, &binding),
                Err(hindrance) => is_busy |= hindrance == Hindrance::IsBusy,
            }
        }
        if is_busy {
            self.drive(now, key, |call, _| call.note_busy());
        }
        Ok(())
    }

    /// Finds somebody for the vacant place of a call's callee, or tells its caller that there is nobody.
    pub(crate) fn fill(&mut self, now: Now, key: CallKey) {
        while let Some(call) = self.calls.get_mut(&key)
            && call.is_vacant()
        {
            let (account, caller) = (call.record().account, call.record().caller.clone());
            let Some(client) = call.next_client() else {
                return self.drive(now, key, |call, act| call.exhaust(act));
            };
            match self.ready(account, &caller, &client) {
                Ok(binding) => self.ring(now, key, &client, &binding),
                Err(Hindrance::IsBusy) => self.drive(now, key, |call, _| call.note_busy()),
                Err(Hindrance::IsAway) => {}
            }
        }
    }

    fn ring(&mut self, now: Now, key: CallKey, client: &ClientId, binding: &Binding) {
        if let Some(call) = self.calls.get(&key) {
            self.know_remote(binding.connection, call.record().account);
        }
        if let Some(known) = self.connections.get_mut(&binding.connection) {
            known.note_call(key);
        }
        self.drive(now, key, |call, act| call.ring(client, binding, act));
    }

    /// Where a client of a group is to be rung. Not the caller's own, and nobody who has a call.
    fn ready(
        &self,
        account: AccountId,
        caller: &Caller,
        client: &ClientId,
    ) -> Result<Binding, Hindrance> {
        let newest = self.newest(account, client);
        let Some(binding) = newest.filter(|_| caller.client() != Some(client)) else {
            return Err(Hindrance::IsAway);
        };
        let mut calls = self.calls_of(binding.connection);
        if calls.any(|call| !call.is_over())
            || self
                .runs_of(binding.connection)
                .any(|run| run.concerns(binding.connection))
            || self.check_may_ring(binding, caller, client).is_err()
        {
            return Err(Hindrance::IsBusy);
        }
        Ok(binding.clone())
    }

    /// Where a client is that has no call, for one of a group; a status that says why it is not to be rung.
    pub(crate) fn may_ring_idle(
        &self,
        account: AccountId,
        caller: &Caller,
        client: &ClientId,
    ) -> Result<Binding, u16> {
        let found = self.ready(account, caller, client);
        found.map_err(|hindrance| match hindrance {
            Hindrance::IsBusy => 486,
            Hindrance::IsAway => 480,
        })
    }

    /// The clients of a group in the order in which they are to be tried.
    pub(crate) fn in_turn(
        &self,
        account: AccountId,
        service: &Service,
        group: &ClientGroup,
    ) -> VecDeque<ClientId> {
        let mut clients: VecDeque<_> = group.clients().iter().cloned().collect();
        if group.order() == RingOrder::RoundRobin
            && let Some(before) = self.rung_first.get(&(account, service.name.clone()))
            && let Some(at) = clients.iter().position(|client| client == before)
        {
            let next = (at + 1) % clients.len();
            clients.rotate_left(next);
        }
        clients
    }

    /// Of services that are gone nothing is kept.
    pub(crate) fn forget_turns(&mut self) {
        let directory = &self.snapshot.directory;
        self.rung_first.retain(|(account, name), _| {
            let account = directory.account(*account);
            account.is_some_and(|account| account.services.contains_key(name))
        });
    }
}
