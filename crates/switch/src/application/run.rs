//! A run: one call to an application, from its INVITE to its final page.
//!
//! Performs what the script wants, by SIP towards the caller and by commands to the gateway, and tells the script what came of it. Never
//! looks up who is registered: whom it wants to call, its shard finds.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use model::media::{LegId, LegKind, MediaCommand, MediaEvent, RoomId, Sdp, SessionId};
use model::{
    AccountId, CallRecord, ConnectionId, Instant, Page, PageAnswer, PageRequest, QuestionId,
    SecretBytes, SoundAnswer, SoundRequest, SoundSource, UnixTime, limits,
};
use sip::{Message, Request, Response};

use super::beginning::About;
use super::conference::Wish;
use super::connecting::Connecting;
use super::dialog::Dialog;
use super::early::Early;
use super::instance::Told;
use super::leaving::Leaving;
use super::onward::Onward;
use super::script::{Asking, Script, Step};
use super::secondary::Secondary;
use super::transfer::Transfers;
use crate::call::{Act, CallKey, End, Phase};
use crate::effect::{Counter, Effect};
use crate::orphan::{Orphan, Question};
use crate::refusal;

/// The place of whoever is the first party from the beginning.
pub(super) const CALLER: u8 = 0;

/// See the module.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) key: CallKey,
    pub(super) instance: String,
    pub(super) session: SessionId,
    pub(super) account: AccountId,
    /// Whether its caller had shown no token.
    pub(super) is_strangers: bool,
    /// Signs what its application is asked.
    pub(super) secret: Option<SecretBytes>,
    pub(super) caller: Dialog,
    /// What the caller speaks.
    pub(super) kind: LegKind,
    pub(super) about: About,
    /// The caller's, until the gateway has it.
    pub(super) offer: Option<Sdp>,
    /// What the caller may hear though it has not been answered.
    pub(super) early: Option<Early>,
    /// By which lines whom its application calls is called.
    pub(super) onward: Option<Onward>,
    /// Rows of the answer, or of the INVITE, while the gateway makes its part.
    pub(super) headers: Vec<(Cow<'static, str>, String)>,
    pub(super) script: Script,
    pub(super) phase: Phase,
    pub(super) record: CallRecord,
    /// Whom the caller is connected to, or is to be.
    pub(super) connecting: Option<Connecting>,
    pub(super) leaving: Vec<Leaving>,
    /// Of them the one who was asked by pages of its own, or still is.
    pub(super) secondary: Option<Secondary>,
    /// Records of those who were called and have gone: relays may still tell what they did.
    pub(super) past: VecDeque<(ConnectionId, CallRecord)>,
    /// The first party's place.
    pub(super) first: u8,
    pub(super) last_place: u8,
    pub(super) transfers: Transfers,
    /// What the shard is to do about conferences.
    pub(super) wishes: VecDeque<Wish>,
    /// Connections that may reach the gateway through a relay.
    pub(super) reached: Vec<ConnectionId>,
    /// Connections that have nothing of it any more.
    pub(super) left: Vec<ConnectionId>,
    pub(super) reach_ends: Option<Instant>,
    /// The caller's media have ended: its BYE is waited for no longer than this.
    pub(super) bye_due: Option<Instant>,
}

impl Run {
    pub(crate) fn record(&self) -> &CallRecord {
        &self.record
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// Whether it has been answered, and goes on.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// Whether this connection has anything of it.
    pub(crate) fn concerns(&self, connection: ConnectionId) -> bool {
        let mut callees = self.connecting.iter().flat_map(Connecting::connections);
        let mut targets = self.targets();
        !self.is_over()
            && (self.caller.connection() == connection
                || callees.any(|callee| callee == connection)
                || targets.any(|target| target.connection == connection))
    }

    /// How many of those it calls ring on a connection.
    pub(crate) fn ringing(&self, connection: ConnectionId) -> usize {
        let rings = self.about.is_outgoing
            && self.caller.connection() == connection
            && matches!(self.phase, Phase::Setup { .. });
        let connecting = self.connecting.as_ref();
        let mut targets = self.targets();
        connecting.map_or(0, |connecting| connecting.ringing(connection))
            + usize::from(rings)
            + usize::from(targets.any(|target| target.connection == connection))
    }

    /// Whether there is no application: whoever answers has the caller.
    pub(crate) fn only_rings(&self) -> bool {
        self.script.only_rings()
    }

    /// Whom those who are called for it are told.
    pub(super) fn shown_caller(&self) -> &str {
        match self.about.is_outgoing {
            true => &self.about.to,
            false => &self.about.from,
        }
    }

    /// How it ends if its caller, or whom its application has called, ends it.
    pub(super) fn their_end(&self, status: u16, reason: impl Into<String>) -> End {
        match self.about.is_outgoing {
            true => End::callee(status, reason),
            false => End::caller(status, reason),
        }
    }

    /// How it ends if its application ends it.
    pub(super) fn own_end(&self, status: u16, reason: impl Into<String>) -> End {
        match self.about.is_outgoing {
            true => End::caller(status, reason),
            false => End::callee(status, reason),
        }
    }

    /// The word for its first party.
    pub(super) fn party(&self) -> &'static str {
        match self.about.is_outgoing {
            true => "callee",
            false => "caller",
        }
    }

    /// Connections that have nothing of it any more.
    pub(crate) fn take_left(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.left)
    }

    pub(super) fn leave(&mut self, connection: ConnectionId) {
        self.left.push(connection);
    }

    /// Every connection that has anything of it.
    pub(crate) fn connections(&self) -> Vec<ConnectionId> {
        let mut all = vec![self.caller.connection()];
        all.extend(self.connecting.iter().flat_map(Connecting::connections));
        all.extend(self.targets().map(|target| target.connection));
        all.extend(self.leaving_connections());
        all
    }

    /// When it wants to be told that its time has come.
    pub(crate) fn deadline(&self) -> Instant {
        let (Phase::Setup { until } | Phase::Live { until } | Phase::Over { until }) = self.phase;
        let connecting = self.connecting.as_ref().and_then(Connecting::deadline);
        [
            self.script.deadline(),
            self.secondary.as_ref().and_then(Secondary::deadline),
            self.caller.deadline(),
            connecting,
            self.leaving_until(),
            self.transfer_deadline(),
            self.bye_due,
            self.reach_ends,
        ]
        .into_iter()
        .flatten()
        .fold(until, Instant::min)
    }

    /// The dialog of one of its parties.
    pub(crate) fn dialog(&self, place: u8) -> Option<&Dialog> {
        if place == self.first {
            return Some(&self.caller);
        }
        let connecting = self.connecting.as_ref();
        let mut targets = self.targets();
        connecting
            .and_then(|connecting| connecting.dialog(place))
            .or_else(|| {
                targets
                    .find(|target| target.place == place)
                    .map(|target| &target.dialog)
            })
            .or_else(|| self.leaving_dialog(place))
    }

    /// The same of somebody who takes part.
    pub(super) fn dialog_mut(&mut self, place: u8) -> Option<&mut Dialog> {
        match place == self.first {
            true => Some(&mut self.caller),
            false => self.called(place).map(|called| &mut called.dialog),
        }
    }

    pub(crate) fn has_seen(&self, connection: ConnectionId, request: &Request<'_>) -> bool {
        self.caller.has_seen(connection, request) || self.target_seen(connection, request).is_some()
    }

    pub(crate) fn is_merged(&self, connection: ConnectionId, request: &Request<'_>) -> bool {
        let mut targets = self.targets();
        self.caller.is_merged(connection, request)
            || targets.any(|target| target.dialog.is_merged(connection, request))
    }

    /// The party that was asked what this answers.
    pub(crate) fn answered(&self, place: u8, response: &Response<'_>) -> bool {
        self.dialog(place)
            .is_some_and(|dialog| dialog.is_asked(response))
    }

    /// A message of one party's. Requests have been found to belong to its dialog.
    pub(crate) fn on_message(&mut self, place: u8, message: &Message<'_>, act: &mut Act<'_>) {
        if place == self.first {
            let said = self.caller.on_message(message, act);
            self.on_caller_said(said, act);
        } else if self.leaving_dialog(place).is_some() {
            self.on_leaving_message(place, message, act);
        } else if self.is_target(place) {
            self.on_target_message(place, message, act);
        } else if let Some(connecting) = &mut self.connecting {
            let said = connecting.on_message(place, message, act);
            self.on_callee_said(place, said, act);
        }
        self.perform(act);
    }

    /// The caller's CANCEL.
    pub(crate) fn on_cancel(&mut self, request: &Request<'_>, act: &mut Act<'_>) {
        match self.target_seen(self.caller.connection(), request) {
            Some(place) => self.on_target_cancel(place, request, act),
            None => {
                let said = self.caller.on_cancel(request, act);
                self.on_caller_said(said, act);
            }
        }
        self.perform(act);
    }

    /// A page has answered, or not.
    pub(crate) fn on_page(&mut self, id: QuestionId, answer: PageAnswer, act: &mut Act<'_>) {
        self.script_of(id).on_page(act.now.mono, id, answer);
        self.perform(act);
    }

    /// A sound has come, or not.
    pub(crate) fn on_sound(&mut self, id: QuestionId, answer: SoundAnswer, act: &mut Act<'_>) {
        self.script_of(id).on_sound(act.now.mono, id, answer);
        self.perform(act);
    }

    /// The gateway tells something of this run's session.
    pub(crate) fn on_media(&mut self, event: MediaEvent, act: &mut Act<'_>) {
        let place = event.leg().place;
        if place == self.first {
            self.on_caller_media(event, act);
        } else if self.is_target(place) {
            self.on_target_media(place, event, act);
        } else {
            self.on_former_media(&event, act);
            self.on_callee_media(place, event, act);
        }
        self.perform(act);
    }

    /// A connection is gone: a caller's ends the run, a callee's what it is connected to.
    pub(crate) fn on_lost(
        &mut self,
        connection: ConnectionId,
        waited: Option<Duration>,
        act: &mut Act<'_>,
    ) {
        self.lose_leaving(connection);
        if self.is_over() {
            return;
        }
        if self.caller.connection() == connection {
            act.count(Counter::CallLost);
            self.caller.lose();
            self.finish(End::lost(self.party(), waited), act);
        } else {
            self.lose_targets(connection, act);
            self.on_callee_lost(connection, waited, act);
        }
        self.perform(act);
    }

    /// Ends it from our side.
    pub(crate) fn hang_up(&mut self, end: End, act: &mut Act<'_>) {
        self.finish(end, act);
        self.perform(act);
    }

    /// Whether its application has this name.
    pub(super) fn is_named(&self, instance: &str) -> bool {
        self.instance == instance
    }

    /// What is wanted of conferences.
    pub(crate) fn take_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// The conference that the caller waits for has started.
    pub(crate) fn on_conferring(&mut self, room: RoomId, act: &mut Act<'_>) {
        self.script.on_conferring(act.now.mono, room);
        self.perform(act);
    }

    /// The conference that the caller is in is over.
    pub(crate) fn on_conference_over(&mut self, act: &mut Act<'_>) {
        self.script.on_conference_over(act.now.mono);
        self.perform(act);
    }

    /// The caller cannot be in the conference.
    pub(crate) fn on_not_conferring(&mut self, why: &str, act: &mut Act<'_>) {
        self.script.on_not_conferring(why);
        self.perform(act);
    }

    /// The instant of [`deadline`](Self::deadline) has come. Says whether it may be forgotten.
    pub(crate) fn on_deadline(&mut self, act: &mut Act<'_>) -> bool {
        let now = act.now.mono;
        if self.reach_ends.is_some_and(|at| at <= now) {
            self.withdraw_reach(act);
        }
        match self.phase {
            Phase::Over { until } if until <= now => {
                self.withdraw_reach(act);
                self.say_farewells(act);
                return true;
            }
            Phase::Setup { until } if until <= now => {
                let why = match self.about.is_outgoing {
                    true => "the callee did not answer in time",
                    false if self.script.only_rings() || self.early.is_some() => {
                        "nobody answered in time"
                    }
                    false => "the application did not answer in time",
                };
                self.finish(End::server(480, why), act);
            }
            Phase::Live { until } if until <= now => {
                let why = "the call lasted longer than any may";
                self.finish(End::server(408, why), act);
            }
            Phase::Over { .. } | Phase::Setup { .. } | Phase::Live { .. } => {}
        }
        let said = self.caller.on_session_due(act);
        self.on_caller_said(said, act);
        if self.caller.overdue().is_some_and(|at| at <= now) {
            self.finish(
                match self.about.is_outgoing {
                    true => End::server(408, "the callee's client did not say anything"),
                    false => End::server(408, "the answer was never acknowledged"),
                },
                act,
            );
            self.caller.withdraw(act);
        }
        if self.bye_due.is_some_and(|at| at <= now) {
            self.bye_due = None;
            let why = format!("the {}'s media ended", self.party());
            self.finish(End::server(503, why), act);
        }
        self.on_transfer_due(act);
        self.on_callees_due(act);
        self.forget_those_who_left(act);
        self.on_secondary_time(now);
        self.script.on_time(now);
        self.perform(act);
        false
    }

    /// The final answer that the caller may never have heard because its connection was lost, and the Via sent-by of its
    /// INVITE.
    pub(crate) fn unheard(
        &self,
        connection: ConnectionId,
        now: Instant,
    ) -> Option<(Box<str>, Orphan)> {
        let (sent_by, branch, answer) = self.caller.unheard(connection)?;
        let orphan = Orphan {
            question: Question::Invite,
            branch,
            answer,
            until: now + limits::ORPHANED_INVITE_TIME,
        };
        Some((sent_by, orphan))
    }

    pub(super) fn tell_gateway(&self, command: MediaCommand, act: &mut Act<'_>) {
        act.effects.push_back(Effect::Media {
            account: self.account,
            command,
        });
    }

    pub(super) fn leg(&self, place: u8) -> LegId {
        LegId {
            session: self.session,
            place,
        }
    }

    /// What the script wants, until it wants nothing more.
    pub(super) fn perform(&mut self, act: &mut Act<'_>) {
        loop {
            let steps = self.script.take_steps();
            if steps.is_empty() && !self.perform_secondary(act) {
                return;
            }
            for step in steps {
                self.step(step, act);
            }
        }
    }

    fn step(&mut self, step: Step, act: &mut Act<'_>) {
        match step {
            Step::Ask(asking) => self.ask(asking, act),
            Step::Bring { id, source } => self.bring(id, source, act),
            Step::Media(command) => self.tell_gateway(command, act),
            Step::Answer { headers } => {
                let rows = headers.into_iter();
                self.headers = rows.map(|(name, value)| (name.into(), value)).collect();
                self.answer_caller(act);
            }
            Step::LetHear => self.let_hear(act),
            Step::Reject { status } => {
                let end = self.own_end(status, "rejected by the application");
                self.finish(end, act);
            }
            Step::HangUp(why) => {
                let end = why.end(|status, reason| self.own_end(status, reason));
                self.finish(end, act);
            }
            Step::Complain(why) => self.complain(why, act),
            Step::Connect(connect) => self.connect(connect, act),
            Step::Disconnect => self.disconnect(act),
            Step::Confer(wish) => self.wishes.push_back(wish),
            // It was called for nobody.
            Step::Join => {}
            Step::Stream(opening) => self.stream(opening, act),
        }
    }

    pub(super) fn complain(&self, why: String, act: &mut Act<'_>) {
        let account = self.account;
        act.effects.push_back(Effect::Complain { account, why });
    }

    pub(super) fn bring(&self, id: QuestionId, source: SoundSource, act: &mut Act<'_>) {
        act.effects.push_back(Effect::Bring(SoundRequest {
            id,
            account: self.account,
            source,
        }));
    }

    fn ask(&self, asking: Asking, act: &mut Act<'_>) {
        let (id, page, told) = asking.tells(self.told(act.now.unix));
        self.push_ask(id, page, told, act);
    }

    /// Its call, and nothing that a page has given.
    pub(super) fn told(&self, now: UnixTime) -> Told<'_> {
        Told::of(&self.instance, &self.record, &self.about, now)
    }

    pub(super) fn push_ask(&self, id: QuestionId, page: Page, instance: String, act: &mut Act<'_>) {
        let Some(secret) = self.secret.clone() else {
            return;
        };
        act.effects.push_back(Effect::Ask(Box::new(PageRequest {
            id,
            account: self.account,
            page,
            instance,
            secret,
        })));
    }

    /// Ends the call, whatever its state; the script goes on with its final page.
    pub(super) fn finish(&mut self, end: End, act: &mut Act<'_>) {
        if self.is_over() {
            return;
        }
        let was_answered = self.caller.is_talking();
        let refusal = if end.status() < 300 {
            refusal::nobody_answers()
        } else {
            end.refusal()
        };
        self.phase = Phase::Over {
            until: act.now.mono + limits::LINGER_TIME,
        };
        self.abort_transfer(act);
        self.caller.end(&refusal, &end.reason_header(), act);
        self.end_connecting(&end.reason_header(), act);
        if !self.reached.is_empty() {
            self.reach_ends = Some(act.now.mono + limits::TURN_GRACE);
        }
        if was_answered || self.offer.is_none() {
            let session = self.session;
            self.tell_gateway(MediaCommand::Close { session }, act);
        }
        self.bye_due = None;
        self.record.outcome = Some(end.outcome(act.now.unix));
        act.record(&self.record);
        self.script.on_ended(act.now.mono);
    }
}
