//! Whom a caller is connected to by its application, or is to be: several may ring, one answers.
//!
//! Each of them is called by us, with an offer of the gateway's; nothing of the caller's passes but its sound.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use model::media::{LegKind, MediaCommand, MediaEvent};
use model::{CallRecord, Callee, ConnectionId, Instant, RelayUsage, limits};
use serde_json::{Value, json};
use sip::Message;

use super::action::{Connect, Destination};
use super::dialog::{Dialog, Said};
use super::instance::{cause_of, seconds};
use super::run::{CALLER, Run};
use crate::call::{Act, End};
use crate::effect::Counter;
use crate::refusal;

/// What others are told when one has answered.
const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// See the module.
#[derive(Debug)]
pub(crate) struct Connecting {
    /// Whom the shard is still to find.
    wanted: Vec<Destination>,
    /// What they are told who calls.
    pub(super) from: String,
    /// Who rings next, if nobody of those who ring takes the call.
    later: VecDeque<Vec<Destination>>,
    /// For how long they ring.
    ring: Duration,
    /// When nobody rings any longer.
    until: Instant,
    pub(super) called: Vec<Called>,
    /// Of those who did not answer: the best that is to be said.
    status: u16,
}

/// Somebody who rings, or talks.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) place: u8,
    pub(super) connection: ConnectionId,
    /// What it speaks.
    pub(super) kind: LegKind,
    /// Rows of its INVITE.
    pub(super) headers: Vec<(Cow<'static, str>, String)>,
    pub(super) record: CallRecord,
    pub(super) dialog: Dialog,
    /// Its media have ended: its BYE is waited for no longer than this.
    pub(super) bye_due: Option<Instant>,
}

/// Somebody who is to be told, or is to say, one thing more.
#[derive(Debug)]
pub(super) struct Leaving {
    place: u8,
    dialog: Dialog,
    until: Instant,
}

impl Connecting {
    pub(super) fn connections(&self) -> Vec<ConnectionId> {
        self.called.iter().map(|called| called.connection).collect()
    }

    pub(super) fn dialog(&self, place: u8) -> Option<&Dialog> {
        let mut all = self.called.iter();
        let called = all.find(|called| called.place == place)?;
        Some(&called.dialog)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let ring = (!self.is_talking()).then_some(self.until);
        let dialogs = self
            .called
            .iter()
            .filter_map(|called| called.dialog.deadline());
        let byes = self.called.iter().filter_map(|called| called.bye_due);
        dialogs.chain(byes).chain(ring).min()
    }

    pub(super) fn on_message(
        &mut self,
        place: u8,
        message: &Message<'_>,
        act: &mut Act<'_>,
    ) -> Said {
        match self.at(place) {
            Some(called) => called.dialog.on_message(message, act),
            None => Said::Nothing,
        }
    }

    /// How many of them ring on a connection.
    pub(super) fn ringing(&self, connection: ConnectionId) -> usize {
        let here = self
            .called
            .iter()
            .filter(|called| called.connection == connection);
        here.filter(|called| called.record.answered.is_none())
            .count()
    }

    fn is_talking(&self) -> bool {
        self.called
            .iter()
            .any(|called| called.record.answered.is_some())
    }

    fn at(&mut self, place: u8) -> Option<&mut Called> {
        self.called.iter_mut().find(|called| called.place == place)
    }

    /// One did not answer: the caller's application is told of the one that came nearest.
    fn note(&mut self, status: u16) {
        let rank = |status| match cause_of(status) {
            "busy" => 3,
            "no_answer" => 2,
            "failed" => 1,
            _ => 0,
        };
        if rank(status) >= rank(self.status) {
            self.status = status;
        }
    }
}

impl Run {
    /// Calls whom the script wants; the shard finds where they are.
    pub(super) fn connect(&mut self, connect: Connect, act: &mut Act<'_>) {
        let from = connect
            .from
            .unwrap_or_else(|| self.shown_caller().to_owned());
        self.connecting = Some(Connecting {
            wanted: connect.destinations,
            from,
            later: connect.later.into(),
            ring: connect.ring,
            until: act.now.mono + connect.ring,
            called: Vec::new(),
            status: 404,
        });
    }

    /// Whom the shard is to find.
    pub(crate) fn take_wanted(&mut self) -> Vec<Destination> {
        let connecting = self.connecting.as_mut();
        connecting.map_or_else(Vec::new, |connecting| {
            std::mem::take(&mut connecting.wanted)
        })
    }

    /// One of them is not here, or is not to be rung.
    pub(crate) fn miss(&mut self, status: u16) {
        if let Some(connecting) = &mut self.connecting {
            connecting.note(status);
        }
    }

    /// All that the shard could find was rung. If that was nobody, it is over.
    pub(crate) fn all_rung(&mut self, act: &mut Act<'_>) {
        self.end_if_alone(act);
        self.perform(act);
    }

    pub(super) fn on_callee_said(&mut self, place: u8, said: Said, act: &mut Act<'_>) {
        match said {
            Said::Nothing | Said::Cancelled | Said::Acknowledges => {}
            Said::Rings => {
                let now = act.now.unix;
                if let Some(called) = self.called(place) {
                    called.record.ringing.get_or_insert(now);
                }
                if self.script.only_rings() {
                    self.record.ringing.get_or_insert(now);
                    self.caller.ring(act);
                }
            }
            Said::Accepts(answer) => self.on_won(place, answer, act),
            Said::Declines { status } => {
                let kind = self.called(place).map(|called| &called.kind);
                let why = declined(kind, status);
                self.drop_callee(place, End::callee(status, why), act);
                self.end_if_alone(act);
            }
            Said::HungUp => {
                self.drop_callee(place, End::callee(200, "hung up"), act);
                self.end_if_alone(act);
            }
            Said::Lapses => {
                let why = "the session was not refreshed in time";
                self.end_callee(place, End::server(408, why), act);
                self.end_if_alone(act);
            }
            Said::Reoffers(offer) => {
                let leg = self.leg(place);
                self.tell_gateway(MediaCommand::Reoffer { leg, offer }, act);
            }
        }
    }

    pub(super) fn on_callee_media(&mut self, place: u8, event: MediaEvent, act: &mut Act<'_>) {
        match event {
            MediaEvent::Offered { offer, .. } => self.invite(place, &offer, act),
            MediaEvent::Answered { answer, .. } => {
                if let Some(called) = self.called(place) {
                    called.dialog.reanswer(&answer, act);
                }
            }
            MediaEvent::Refused { sentence, .. } => self.on_callee_refused(place, &sentence, act),
            MediaEvent::Ended { .. } => {
                let due = act.now.mono + limits::MEDIA_END_GRACE;
                if let Some(called) = self.called(place) {
                    called.bye_due = Some(due);
                }
            }
            MediaEvent::Connected { .. }
            | MediaEvent::NotEntered { .. }
            | MediaEvent::Digit { .. }
            | MediaEvent::Played { .. }
            | MediaEvent::Recording { .. }
            | MediaEvent::Recorded { .. } => {}
        }
    }

    pub(super) fn on_callee_lost(
        &mut self,
        connection: ConnectionId,
        waited: Option<Duration>,
        act: &mut Act<'_>,
    ) {
        let lost = self
            .connecting
            .as_ref()
            .map_or_else(Vec::new, |connecting| {
                let of_it = connecting.called.iter();
                let of_it = of_it.filter(|called| called.connection == connection);
                of_it.map(|called| called.place).collect()
            });
        for place in lost {
            if let Some(called) = self.called(place) {
                called.dialog.lose();
            }
            act.count(Counter::CallLost);
            self.drop_callee(place, End::lost("callee", waited), act);
        }
        self.end_if_alone(act);
    }

    pub(super) fn on_callees_due(&mut self, act: &mut Act<'_>) {
        let now = act.now.mono;
        let Some(connecting) = &self.connecting else {
            return;
        };
        let is_late = !connecting.is_talking() && connecting.until <= now;
        let due = connecting.called.iter().filter(|called| {
            let dialog = called.dialog.overdue();
            is_late || dialog.is_some_and(|at| at <= now)
        });
        let due: Vec<u8> = due.map(|called| called.place).collect();
        for place in due {
            self.end_callee(
                place,
                End::server(480, "the callee did not answer in time"),
                act,
            );
        }
        self.refresh_callees(act);
        self.end_those_without_media(act);
        if is_late {
            self.end_if_alone(act);
        }
    }

    fn end_those_without_media(&mut self, act: &mut Act<'_>) {
        let called = self
            .connecting
            .iter()
            .flat_map(|connecting| &connecting.called);
        let overdue = called.filter(|called| called.bye_due.is_some_and(|at| at <= act.now.mono));
        let overdue: Vec<u8> = overdue.map(|called| called.place).collect();
        for place in &overdue {
            self.end_callee(*place, End::server(503, "the callee's media ended"), act);
        }
        if !overdue.is_empty() {
            self.end_if_alone(act);
        }
    }

    /// The application has failed or was interrupted: nobody is connected any more.
    pub(super) fn disconnect(&mut self, act: &mut Act<'_>) {
        let called = self
            .connecting
            .as_ref()
            .map_or(&[][..], |connecting| &connecting.called);
        let places = called
            .iter()
            .map(|called| (called.place, called.record.answered.is_some()));
        let places: Vec<(u8, bool)> = places.collect();
        for (place, was_answered) in places {
            let end = match was_answered {
                true => End::server(200, "the application left off"),
                false => End::server(487, "the application left off"),
            };
            self.end_callee(place, end, act);
        }
        self.connecting = None;
    }

    /// The caller has gone: so has everybody who was called for it.
    pub(super) fn end_connecting(&mut self, reason: &str, act: &mut Act<'_>) {
        let Some(mut connecting) = self.connecting.take() else {
            return;
        };
        for mut called in connecting.called.drain(..) {
            let end = match called.record.answered {
                Some(_) => End::caller(200, "hung up"),
                None => End::caller(487, "cancelled by the caller"),
            };
            called.dialog.end(&end.refusal(), reason, act);
            self.part_with(called, end, act);
        }
    }

    /// A relay tells what it did for somebody who was called.
    pub(super) fn on_callee_usage(
        &mut self,
        connection: ConnectionId,
        usage: RelayUsage,
        act: &mut Act<'_>,
    ) {
        let called = self
            .connecting
            .iter_mut()
            .flat_map(|connecting| &mut connecting.called);
        let mut called = called.filter(|called| called.connection == connection);
        if let Some(called) = called.next() {
            called.record.relay[1] = called.record.relay[1].plus(usage);
            return;
        }
        let mut past = self.past.iter_mut().rev();
        match past.find(|(gone, _)| *gone == connection) {
            Some((_, record)) => {
                record.relay[1] = record.relay[1].plus(usage);
                act.record(record);
            }
            None => act.count(Counter::RelayUsageLate),
        }
    }

    /// Those who have gone are told, or say, what is left to be said.
    pub(super) fn on_leaving_message(
        &mut self,
        place: u8,
        message: &Message<'_>,
        act: &mut Act<'_>,
    ) {
        let mut all = self.leaving.iter_mut();
        if let Some(leaving) = all.find(|leaving| leaving.place == place) {
            leaving.dialog.on_message(message, act);
        }
        self.forget_those_who_left(act);
    }

    pub(super) fn forget_those_who_left(&mut self, act: &mut Act<'_>) {
        let now = act.now.mono;
        for mut leaving in std::mem::take(&mut self.leaving) {
            if leaving.until <= now {
                leaving.dialog.withdraw(act);
            }
            if leaving.dialog.is_over() {
                self.leave(leaving.dialog.connection());
            } else {
                self.leaving.push(leaving);
            }
        }
    }

    /// When the first of them is waited for no longer.
    pub(super) fn leaving_until(&self) -> Option<Instant> {
        self.leaving.iter().map(|leaving| leaving.until).min()
    }

    pub(super) fn leaving_dialog(&self, place: u8) -> Option<&Dialog> {
        let mut all = self.leaving.iter();
        all.find(|leaving| leaving.place == place)
            .map(|leaving| &leaving.dialog)
    }

    pub(super) fn leaving_connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.leaving
            .iter()
            .map(|leaving| leaving.dialog.connection())
    }

    pub(super) fn lose_leaving(&mut self, connection: ConnectionId) {
        self.leaving
            .retain(|leaving| leaving.dialog.connection() != connection);
    }

    fn called(&mut self, place: u8) -> Option<&mut Called> {
        self.connecting.as_mut()?.at(place)
    }

    fn invite(&mut self, place: u8, offer: &str, act: &mut Act<'_>) {
        let Some(called) = self
            .called(place)
            .filter(|called| called.dialog.is_planned())
        else {
            return;
        };
        if called.kind == LegKind::WebRtc {
            let connection = called.connection;
            self.reach(connection, act);
        }
        if let Some(called) = self.called(place) {
            called.dialog.invite(&called.headers, offer, act);
        }
    }

    fn on_won(&mut self, place: u8, answer: std::sync::Arc<str>, act: &mut Act<'_>) {
        let now = act.now.unix;
        let Some(called) = self.called(place) else {
            return;
        };
        called.record.answered = Some(now);
        act.record(&called.record);
        act.count(Counter::CallAnswered);
        let (leg, caller) = (self.leg(place), self.leg(CALLER));
        self.tell_gateway(MediaCommand::Accept { leg, answer }, act);
        let others = self
            .connecting
            .as_ref()
            .map_or_else(Vec::new, |connecting| {
                let others = connecting.called.iter().map(|called| called.place);
                others.filter(|other| *other != place).collect()
            });
        for other in others {
            if let Some(called) = self.called(other) {
                let end = End::server(487, "Call completed elsewhere");
                called.dialog.end(&end.refusal(), ELSEWHERE, act);
            }
            self.drop_callee(other, End::server(487, "answered by another"), act);
        }
        self.script.on_connected();
        if self.script.only_rings() {
            let client = self
                .called(place)
                .and_then(|called| called.record.callee.client().cloned());
            if let Callee::Service { client: one, .. } = &mut self.record.callee {
                *one = client;
            }
            return self.answer_caller(act);
        }
        let other = place;
        self.tell_gateway(MediaCommand::Join { leg: caller, other }, act);
    }

    /// The caller has its answer because somebody else has answered: they hear each other.
    pub(super) fn join_whoever_answered(&mut self, act: &mut Act<'_>) {
        let connecting = self
            .connecting
            .as_ref()
            .filter(|_| self.script.only_rings());
        let mut called = connecting
            .into_iter()
            .flat_map(|connecting| &connecting.called);
        let place = called.find(|called| called.record.answered.is_some());
        if let Some(other) = place.map(|called| called.place) {
            let leg = self.leg(CALLER);
            self.tell_gateway(MediaCommand::Join { leg, other }, act);
        }
    }

    fn on_callee_refused(&mut self, place: u8, sentence: &str, act: &mut Act<'_>) {
        let refusal = refusal::no_media(sentence);
        if let Some(called) = self.called(place)
            && called.dialog.has_reoffered()
        {
            return called.dialog.keep_media(&refusal, act);
        }
        self.end_callee(place, End::server(488, refusal.text), act);
        self.end_if_alone(act);
    }

    /// Ends one of them from our side.
    fn end_callee(&mut self, place: u8, end: End, act: &mut Act<'_>) {
        if let Some(called) = self.called(place) {
            called.dialog.end(&end.refusal(), &end.reason_header(), act);
        }
        self.drop_callee(place, end, act);
    }

    /// One of them has gone.
    fn drop_callee(&mut self, place: u8, end: End, act: &mut Act<'_>) {
        let Some(connecting) = &mut self.connecting else {
            return;
        };
        let Some(at) = connecting
            .called
            .iter()
            .position(|called| called.place == place)
        else {
            return;
        };
        let called = connecting.called.swap_remove(at);
        let status = end.status();
        match called.record.answered {
            Some(answered) => {
                let lasted = seconds(answered, act.now.unix);
                self.end_connection(lasted, status, act);
            }
            None => connecting.note(status),
        }
        let leg = self.leg(place);
        self.tell_gateway(MediaCommand::CloseLeg { leg }, act);
        self.part_with(called, end, act);
    }

    fn part_with(&mut self, mut called: Called, end: End, act: &mut Act<'_>) {
        called.record.outcome = Some(end.outcome(act.now.unix));
        act.record(&called.record);
        self.unreach(called.connection, act);
        self.past.push_back((called.connection, called.record));
        if self.past.len() > limits::PAST_CALLEES {
            self.past.pop_front();
        }
        if called.dialog.is_over() {
            return self.leave(called.connection);
        }
        self.leaving.push(Leaving {
            place: called.place,
            dialog: called.dialog,
            until: act.now.mono + limits::TRANSACTION_TIME,
        });
    }

    /// Nobody rings or talks any more: the script goes on.
    fn end_if_alone(&mut self, act: &mut Act<'_>) {
        let Some(connecting) = &mut self.connecting else {
            return;
        };
        if !connecting.called.is_empty() || !connecting.wanted.is_empty() {
            return;
        }
        if let Some(next) = connecting.later.pop_front() {
            connecting.wanted = next;
            connecting.until = act.now.mono + connecting.ring;
            return;
        }
        let status = connecting.status;
        self.end_connection(0.0, status, act);
    }

    fn end_connection(&mut self, lasted: f64, status: u16, act: &mut Act<'_>) {
        if self.connecting.take().is_none() {
            return;
        }
        if !self.script.only_rings() {
            return self
                .script
                .on_connect_ended(act.now.mono, result(lasted, status));
        }
        let why = match status {
            200 => "hung up",
            486 => "everybody who was called is busy",
            _ => "nobody who was called takes the call",
        };
        self.finish(End::callee(status, why), act);
    }
}

/// Why a call was not taken, in words.
pub(super) fn declined(kind: Option<&LegKind>, status: u16) -> &'static str {
    match (kind, status) {
        (Some(LegKind::Rtp { .. }), 401 | 407) => {
            "the trunk's peer asks for a user and a password, and takes none of ours"
        }
        (Some(LegKind::Rtp { .. }), 408) => "the trunk's peer did not answer",
        (Some(LegKind::Rtp { .. }), 503) => "no peer of the trunk takes the call",
        (Some(LegKind::Rtp { .. } | LegKind::WebRtc) | None, _) => {
            "the callee did not take the call"
        }
    }
}

/// What the application is told.
fn result(lasted: f64, status: u16) -> Value {
    json!({
        "seconds_connected_duration": lasted,
        "call_cause": cause_of(status),
        "call_raw_cause": status.to_string(),
    })
}
