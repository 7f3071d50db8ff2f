//! Whom a caller is connected to by its application, or is to be: several may ring, one answers.
//!
//! Each of them is called by us, with an offer of the gateway's; nothing of the caller's passes but its sound.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use model::media::{LegKind, MediaCommand, MediaEvent};
use model::{CallRecord, ConnectionId, Instant, RelayUsage, UnixTime, limits};
use serde_json::{Value, json};
use sip::Message;

use super::action::{Connect, Destination, SecondaryCall};
use super::bridging::Bridge;
use super::dialog::{Dialog, Said};
use super::instance::{cause_of, seconds};
use super::run::Run;
use super::wanted::Wanted;
use crate::call::{Act, End};
use crate::effect::Counter;
use crate::refusal;

/// See the module.
#[derive(Debug)]
pub(crate) struct Connecting {
    /// Whom the shard is still to find.
    pub(super) wanted: Vec<Wanted>,
    /// What they are told who calls.
    pub(super) from: String,
    /// Who rings next, if nobody of those who ring takes the call.
    pub(super) later: VecDeque<Vec<Wanted>>,
    /// For how long they ring.
    pub(super) ring: Duration,
    /// When nobody rings any longer.
    pub(super) until: Instant,
    pub(super) called: Vec<Called>,
    /// Whether the caller may hear one of them before it answers, and whom it hears.
    pub(super) passes_early: bool,
    pub(super) early: Option<u8>,
    /// What whoever answers is asked first.
    pub(super) secondary: Option<SecondaryCall>,
    /// Of those who did not answer: the best that is to be said.
    pub(super) status: u16,
    /// The call whose party the caller hears, where a transfer has made one of two.
    pub(super) bridge: Option<Bridge>,
}

/// Somebody who rings, or talks.
#[derive(Debug)]
pub(crate) struct Called {
    pub(super) place: u8,
    pub(super) wanted: Wanted,
    pub(super) connection: ConnectionId,
    /// What it speaks.
    pub(super) kind: LegKind,
    /// Rows of its INVITE.
    pub(super) headers: Vec<(Cow<'static, str>, String)>,
    pub(super) record: CallRecord,
    /// Since when it and its caller hear each other.
    pub(super) joined: Option<UnixTime>,
    pub(super) dialog: Dialog,
    /// Its media have ended: its BYE is waited for no longer than this.
    pub(super) bye_due: Option<Instant>,
}

impl Connecting {
    pub(super) fn new(
        wanted: Vec<Wanted>,
        later: VecDeque<Vec<Wanted>>,
        from: String,
        ring: Duration,
        now: Instant,
    ) -> Self {
        Self {
            wanted,
            from,
            later,
            ring,
            until: now + ring,
            called: Vec::new(),
            passes_early: false,
            early: None,
            secondary: None,
            status: 404,
            bridge: None,
        }
    }

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

    pub(super) fn is_talking(&self) -> bool {
        let mut called = self.called.iter();
        self.bridge.is_some() || called.any(|called| called.record.answered.is_some())
    }

    pub(super) fn at(&mut self, place: u8) -> Option<&mut Called> {
        self.called.iter_mut().find(|called| called.place == place)
    }

    /// One did not answer: the caller's application is told of the one that came nearest.
    pub(super) fn note(&mut self, status: u16) {
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
        if self.is_over() {
            return;
        }
        let from = connect
            .from
            .unwrap_or_else(|| self.shown_caller().to_owned());
        let later = connect.later.into_iter().map(wanted).collect();
        let (row, now) = (wanted(connect.destinations), act.now.mono);
        let mut connecting = Connecting::new(row, later, from, connect.ring, now);
        connecting.passes_early = connect.passes_early;
        connecting.secondary = connect.secondary;
        self.connecting = Some(connecting);
    }

    /// Whom the shard is to find.
    pub(super) fn take_wanted(&mut self) -> Vec<Wanted> {
        let going = self.transfers.going.as_mut();
        let all = going.map(|going| &mut going.ringing);
        let all = all.into_iter().chain(&mut self.connecting);
        all.flat_map(|known| std::mem::take(&mut known.wanted))
            .collect()
    }

    /// One of them is not here, or is not to be rung.
    pub(super) fn miss(&mut self, wanted: &Wanted, status: u16) {
        if let Some(connecting) = self.ringing_for(wanted) {
            connecting.note(status);
        }
    }

    /// All that the shard could find was rung. If that was nobody, it is over.
    pub(crate) fn all_rung(&mut self, act: &mut Act<'_>) {
        self.end_transfer_if_alone(act);
        self.end_if_alone(act);
        self.perform(act);
    }

    /// Among whom somebody is called.
    pub(super) fn ringing_for(&mut self, wanted: &Wanted) -> Option<&mut Connecting> {
        match wanted.is_in_transfer() {
            true => self
                .transfers
                .going
                .as_mut()
                .map(|going| &mut going.ringing),
            false => self.connecting.as_mut(),
        }
    }

    pub(super) fn on_callee_said(&mut self, place: u8, said: Said, act: &mut Act<'_>) {
        match said {
            Said::Nothing | Said::Cancelled | Said::Acknowledges => {}
            Said::Rings => self.on_callee_rings(place, act),
            Said::RingsAloud(answer) => {
                self.on_callee_rings(place, act);
                self.on_early(place, answer, act);
            }
            Said::Accepts(answer) => self.on_won(place, answer, act),
            Said::Declines { status } => {
                let called = self.called(place);
                let why = declined(called.as_ref().map(|called| &called.kind), status);
                let again = called.map(|called| called.wanted.clone());
                self.drop_callee(place, End::callee(status, why), act);
                if let (Some(connecting), Some(again)) = (&mut self.connecting, again)
                    && again.may_go_on(status)
                    && !connecting.is_talking()
                {
                    connecting.wanted.push(again);
                }
                self.end_if_alone(act);
            }
            Said::Refers(refer) => self.on_refers(place, *refer, act),
            Said::HungUp if self.leaves_in_transfer(place, act) => {}
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

    fn on_callee_rings(&mut self, place: u8, act: &mut Act<'_>) {
        let now = act.now.unix;
        if let Some(called) = self.called(place) {
            called.record.ringing.get_or_insert(now);
        }
        if self.script.only_rings() {
            self.record.ringing.get_or_insert(now);
            self.caller.ring(act);
        }
    }

    pub(super) fn on_callee_media(&mut self, place: u8, event: MediaEvent, act: &mut Act<'_>) {
        self.on_secondary_media(&event, act);
        match event {
            MediaEvent::Offered { offer, .. } => self.invite(place, &offer, act),
            MediaEvent::Answered { answer, .. } => {
                if let Some(called) = self.called(place) {
                    called.dialog.reanswer(&answer, act);
                }
            }
            MediaEvent::Refused { sentence, .. } => self.on_callee_refused(place, &sentence, act),
            MediaEvent::Ended { .. } if self.has_left(place) => {}
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
            | MediaEvent::Recorded { .. }
            | MediaEvent::StreamEnded { .. } => {}
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
        self.abort_transfer(act);
        let Some(mut connecting) = self.connecting.take() else {
            return;
        };
        self.leave_bridge(&connecting, act);
        for mut called in connecting.called.drain(..) {
            let end = match called.record.answered {
                Some(_) => End::server(200, "the caller was taken elsewhere"),
                None => End::server(487, "the caller was taken elsewhere"),
            };
            called.dialog.end(&end.refusal(), &end.reason_header(), act);
            let leg = self.leg(called.place);
            self.tell_gateway(MediaCommand::CloseLeg { leg }, act);
            self.part_with(called, end, act);
        }
    }

    /// The caller has gone: so has everybody who was called for it.
    pub(super) fn end_connecting(&mut self, reason: &str, act: &mut Act<'_>) {
        let Some(mut connecting) = self.connecting.take() else {
            return;
        };
        self.leave_bridge(&connecting, act);
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

    pub(super) fn called(&mut self, place: u8) -> Option<&mut Called> {
        let going = self.transfers.going.as_mut();
        let target = going.and_then(|going| going.ringing.at(place));
        match target {
            Some(target) => Some(target),
            None => self.connecting.as_mut()?.at(place),
        }
    }

    pub(super) fn invite(&mut self, place: u8, offer: &str, act: &mut Act<'_>) {
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
    pub(super) fn end_callee(&mut self, place: u8, end: End, act: &mut Act<'_>) {
        if let Some(called) = self.called(place) {
            called.dialog.end(&end.refusal(), &end.reason_header(), act);
        }
        self.drop_callee(place, end, act);
    }

    /// One of them has gone.
    pub(super) fn drop_callee(&mut self, place: u8, end: End, act: &mut Act<'_>) {
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
        if called.joined.is_some() {
            self.abort_transfer(act);
        }
        let status = end.status();
        match called.record.answered {
            Some(_) => {
                let (lasted, status) = match called.joined {
                    Some(joined) => (seconds(joined, act.now.unix), status),
                    // Whoever hangs up before that has not taken the call.
                    None if status == 200 => (0.0, 480),
                    None => (0.0, status),
                };
                self.end_connection(lasted, status, act);
            }
            None => {
                if let Some(connecting) = &mut self.connecting {
                    connecting.note(status);
                }
            }
        }
        let leg = self.leg(place);
        self.tell_gateway(MediaCommand::CloseLeg { leg }, act);
        self.end_early(place, act);
        self.part_with(called, end, act);
    }

    pub(super) fn part_with(&mut self, mut called: Called, end: End, act: &mut Act<'_>) {
        called.record.outcome = Some(end.outcome(act.now.unix));
        act.record(&called.record);
        self.end_secondary(called.place, &called.record, act.now.mono);
        self.unreach(called.connection, act);
        self.keep_past(called.connection, called.record);
        self.see_off(called.place, called.dialog, act);
    }

    /// Nobody rings or talks any more: the script goes on.
    pub(super) fn end_if_alone(&mut self, act: &mut Act<'_>) {
        let Some(connecting) = &mut self.connecting else {
            return;
        };
        if connecting.bridge.is_some() {
            return;
        }
        if let Some(status) = connecting.is_alone(act.now.mono) {
            self.end_connection(0.0, status, act);
        }
    }

    pub(super) fn end_connection(&mut self, lasted: f64, status: u16, act: &mut Act<'_>) {
        if self.connecting.take().is_none() {
            return;
        }
        if !self.script.only_connects() {
            return self
                .script
                .on_connect_ended(act.now.mono, result(lasted, status));
        }
        let only_rings = self.script.only_rings();
        let why = match status {
            200 if only_rings => "hung up",
            200 => "whom it was connected with hung up",
            486 => "everybody who was called is busy",
            _ => "nobody who was called takes the call",
        };
        let end = match only_rings {
            true => self.own_end(status, why),
            // Neither the account nor the first party has ended it.
            false => End::server(status, why),
        };
        self.finish(end, act);
    }
}

pub(super) fn wanted(all: Vec<Destination>) -> Vec<Wanted> {
    all.into_iter().map(Wanted::new).collect()
}

/// Why a call was not taken, in words.
pub(super) fn declined(kind: Option<&LegKind>, status: u16) -> &'static str {
    match (kind, status) {
        (Some(LegKind::Rtp { .. } | LegKind::Srtp { .. }), 401 | 407) => {
            "the trunk's peer asks for a user and a password, and takes none of ours"
        }
        (Some(LegKind::Rtp { .. } | LegKind::Srtp { .. }), 408) => {
            "the trunk's peer did not answer"
        }
        (Some(LegKind::Rtp { .. } | LegKind::Srtp { .. }), 503) => {
            "no peer of the trunk takes the call"
        }
        (Some(LegKind::Rtp { .. } | LegKind::Srtp { .. } | LegKind::WebRtc) | None, _) => {
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
