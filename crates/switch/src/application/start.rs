//! Runs in their shard: how one begins, how it finds whom it calls, and where messages, answers and events reach it.
//!
//! Decides who may; what happens in a run is the run's.

use std::sync::Arc;

use model::media::{LegKind, MediaEvent};
use model::{
    AccountId, CallRecord, Callee, Caller, ClientId, ConnectionId, Now, Page, ServiceName, Trunk,
};
use sip::{Message, Request, Response};

use super::action::Destination;
use super::beginning::{About, Beginning};
use super::calling::Outgoing;
use super::dialog::Dialog;
use super::instance::run_of;
use super::plan::Plan;
use super::run::{CALLER, Run};
use super::wanted::Wanted;
use crate::call::{Act, CallKey, Leg, mint_party_tag, read_branch, read_party_tag};
use crate::effect::Counter;
use crate::location::Binding;
use crate::refusal::{self, Refusal};
use crate::router::caller_target;
use crate::shard::Shard;
use crate::timer::Due;
use crate::trunk::called_by;

/// What becomes of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplicationState {
    /// There is none of this name.
    Unknown,
    /// Its call has ended.
    Completed,
    /// Its call goes on.
    Runs {
        /// What it does; nothing while it asks a page.
        action: Option<&'static str>,
    },
}

impl Shard {
    /// Somebody calls a service that an application answers for, or clients whom only the gateway can reach for it.
    #[expect(clippy::too_many_arguments, reason = "what a call is made of")]
    pub(crate) fn begin_run(
        &mut self,
        account: AccountId,
        connection: ConnectionId,
        request: &Request<'_>,
        caller: Caller,
        callee: Callee,
        plan: Plan,
        kind: LegKind,
        now: Now,
    ) -> Result<(), Refusal> {
        let target = caller_target(request)?;
        let trunk = self.trunk_of(connection).map(Arc::as_ref);
        let (called, session) = (called_by(trunk, request), trunk.and_then(|of| of.session));
        let transfers = trunk.map(|of| of.transfer);
        let is_strangers = kind == LegKind::WebRtc && !self.is_proven(connection);
        if let Err(many) = self.going.check(account, is_strangers) {
            self.act(now).count(Counter::ApplicationCallsFull);
            return Err(refusal::application_calls_full(many));
        }
        let offer = std::str::from_utf8(request.body).map_err(|_| refusal::not_sdp())?;
        let (key, shard) = (self.next_key(), self.number);
        let until = now.mono + plan.patience(self.snapshot.settings.no_answer);
        let mut act = self.act(now);
        let local_tag = mint_party_tag(key, CALLER, act.random);
        let leg = Leg::calling(connection, request, target, local_tag);
        let id = act.random.record_id();
        let (parties, call_id) = ((caller, callee), request.headers.call_id());
        let record = CallRecord::begun(id, account, parties, call_id, now.unix);
        let beginning = Beginning {
            key,
            shard,
            plan,
            dialog: Dialog::called(key, leg, request, &mut act)
                .timed(session, Some(request))
                .transfers(transfers),
            kind,
            about: About {
                service: record
                    .callee
                    .service()
                    .map_or("", ServiceName::as_str)
                    .into(),
                is_outgoing: false,
                from: record.caller.as_str().into(),
                to: called.into(),
                parameters: None,
            },
            offer: Some(offer.into()),
            headers: Vec::new(),
            token: None,
            record,
            until,
            is_strangers,
        };
        let run = Run::begin(beginning, &mut act);
        self.timers
            .shift(Due::Call(key), None, Some(run.deadline()));
        self.going.begin(account, is_strangers);
        self.runs.insert(key, run);
        // Some have to ring at once.
        self.drive_run(now, key, |_, _| {});
        Ok(())
    }

    /// What becomes of an application of this account.
    pub fn application(&self, account: AccountId, instance: &str) -> ApplicationState {
        let run = run_of(instance).and_then(|key| self.runs.get(&key));
        run.map_or(ApplicationState::Unknown, |run| {
            run.application(account, instance)
        })
    }

    /// An application is to leave off what it does, if it is this account's.
    pub(crate) fn interrupt(
        &mut self,
        now: Now,
        account: AccountId,
        instance: &str,
        redirect: Option<Page>,
    ) {
        if let (ApplicationState::Runs { .. }, Some(key)) =
            (self.application(account, instance), run_of(instance))
        {
            self.drive_run(now, key, |run, act| run.interrupt(instance, redirect, act));
        }
    }

    /// The run that a tag of ours names, if this request belongs to it.
    pub(crate) fn run_of(
        &self,
        connection: ConnectionId,
        tag: &str,
        request: &Request<'_>,
    ) -> Option<(CallKey, u8)> {
        let (key, place) = read_party_tag(tag)?;
        let dialog = self.runs.get(&key)?.dialog(place)?;
        dialog.owns(connection, request).then_some((key, place))
    }

    /// A message of a party's.
    pub(crate) fn on_run_message(
        &mut self,
        now: Now,
        (key, place): (CallKey, u8),
        message: &Message<'_>,
    ) {
        self.drive_run(now, key, |run, act| run.on_message(place, message, act));
    }

    /// The run whose request a response answers.
    pub(crate) fn run_answered(
        &self,
        connection: ConnectionId,
        response: &Response<'_>,
    ) -> Option<(CallKey, u8)> {
        let (key, place) = read_party_tag(response.headers.from().tag()?)?;
        if read_branch(response.headers.via().branch()?)? != key {
            return None;
        }
        let run = self.runs.get(&key)?;
        let is_its = run.dialog(place)?.connection() == connection && run.answered(place, response);
        is_its.then_some((key, place))
    }

    /// The gateway tells something.
    pub(crate) fn on_media(&mut self, now: Now, event: MediaEvent) {
        let key = CallKey(event.leg().session.call());
        self.drive_run(now, key, |run, act| run.on_media(event, act));
    }

    /// Runs that a connection has anything of.
    pub(crate) fn runs_of(&self, connection: ConnectionId) -> impl Iterator<Item = &Run> {
        let keys = self
            .connections
            .get(&connection)
            .map_or(&[][..], |known| &known.calls);
        keys.iter().filter_map(|key| self.runs.get(key))
    }

    /// Lets a run act, then moves its timer to where it now belongs.
    pub(crate) fn drive_run(
        &mut self,
        now: Now,
        key: CallKey,
        step: impl FnOnce(&mut Run, &mut Act<'_>),
    ) {
        let Some(mut run) = self.runs.remove(&key) else {
            return;
        };
        let (before, was_over) = (run.deadline(), run.is_over());
        step(&mut run, &mut self.act(now));
        self.after_run_step(now, key, run, Some(before), was_over);
    }

    /// A run's time has come.
    pub(crate) fn on_run_due(&mut self, now: Now, key: CallKey) {
        let Some(mut run) = self.runs.remove(&key) else {
            return;
        };
        let was_over = run.is_over();
        if run.on_deadline(&mut self.act(now)) {
            for connection in run.connections() {
                self.part(connection, key);
            }
            return;
        }
        self.after_run_step(now, key, run, None, was_over);
    }

    /// Of a run that has ended nothing more is absorbed.
    pub(crate) fn forget_run(&mut self, now: Now, key: CallKey) {
        if let Some(mut run) = self.runs.remove(&key) {
            self.timers
                .shift(Due::Call(key), Some(run.deadline()), None);
            if !run.is_over() {
                self.going.end(run.account, run.is_strangers);
            }
            run.say_farewells(&mut self.act(now));
            run.withdraw_reach(&mut self.act(now));
            for connection in run.connections() {
                self.part(connection, key);
            }
        }
    }

    fn after_run_step(
        &mut self,
        now: Now,
        key: CallKey,
        mut run: Run,
        before: Option<model::Instant>,
        was_over: bool,
    ) {
        self.go_onward(now, &mut run);
        self.find_wanted(now, &mut run);
        for left in run.take_left() {
            if !run.connections().contains(&left) {
                self.part(left, key);
            }
        }
        for connection in run.connections() {
            if let Some(known) = self.connections.get_mut(&connection) {
                known.note_call(key);
            }
        }
        if !was_over && run.is_over() {
            self.going.end(run.account, run.is_strangers);
            self.note_ended(key);
        }
        self.timers
            .shift(Due::Call(key), before, Some(run.deadline()));
        let parted = run.take_parted();
        self.runs.insert(key, run);
        self.grant_wishes(now, key);
        self.carry_transfers(now, key);
        for other in parted {
            self.drive_run(now, other, Run::on_bridge_over);
        }
    }

    /// Finds whom a run wants to call.
    fn find_wanted(&mut self, now: Now, run: &mut Run) {
        loop {
            let wanted = run.take_wanted();
            if wanted.is_empty() {
                return;
            }
            for wanted in wanted {
                let caller = run.caller_for(&wanted);
                match wanted.to.clone() {
                    Destination::Client(client) => {
                        self.ring_client(now, run, &caller, &client, wanted);
                    }
                    Destination::Number(number) => {
                        self.ring_number(now, run, number.as_str(), wanted);
                    }
                    Destination::Address { user, .. } => self.ring_number(now, run, &user, wanted),
                }
            }
            run.all_rung(&mut self.act(now));
        }
    }

    fn ring_client(
        &mut self,
        now: Now,
        run: &mut Run,
        caller: &Caller,
        client: &ClientId,
        wanted: Wanted,
    ) {
        let account = run.record().account;
        let found = match run.only_rings() && !wanted.is_in_transfer() {
            true => self.may_ring_idle(account, caller, client),
            false => self.may_ring(account, caller, client),
        };
        match found {
            Err(status) => run.miss(&wanted, status),
            Ok(binding) => {
                self.know_remote(binding.connection, account);
                run.ring(
                    wanted,
                    |party, from, act| Outgoing::to_client(party, from, client, &binding, act),
                    &mut self.act(now),
                );
            }
        }
    }

    /// Where a client is, if it may be rung; a status that says why not.
    pub(super) fn may_ring(
        &self,
        account: AccountId,
        caller: &Caller,
        client: &ClientId,
    ) -> Result<Binding, u16> {
        let binding = self.newest(account, client).ok_or(404_u16)?;
        match self.check_may_ring(binding, caller, client) {
            Ok(()) => Ok(binding.clone()),
            Err(refusal) => Err(refusal.status),
        }
    }

    /// Somebody behind a trunk: by the first line with room that was not tried yet.
    fn ring_number(&mut self, now: Now, run: &mut Run, number: &str, wanted: Wanted) {
        let (line, trunk) = match self.next_line(run.record().account, &wanted) {
            Ok(next) => next,
            Err(status) => return run.miss(&wanted, status),
        };
        let rows = match wanted.is_in_transfer() {
            true => run.rows_of_transfer(trunk.is_trusted),
            false => Vec::new(),
        };
        run.ring(
            wanted.by(line),
            |party, from, act| {
                let to = Outgoing::to_number(party, from, number, line, &trunk, act);
                to.with(rows)
            },
            &mut self.act(now),
        );
    }

    /// The first line with room that leads there and was not tried yet; a status that says why there is none.
    pub(super) fn next_line(
        &mut self,
        account: AccountId,
        wanted: &Wanted,
    ) -> Result<(ConnectionId, Arc<Trunk>), u16> {
        let mut lines = self.trunks_for(account, &wanted.to);
        let status: u16 = if lines.is_empty() { 404 } else { 503 };
        lines.retain(|(line, _)| wanted.is_new(*line) && self.has_room_on_line(*line));
        let (line, trunk) = lines.into_iter().next().ok_or(status)?;
        self.know_line(line, account);
        Ok((line, trunk))
    }
}
