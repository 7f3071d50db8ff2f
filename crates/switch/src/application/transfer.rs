//! A transfer that a trunk's peer has asked for: somebody else rings, or calls, to take the place of a party (RFC 5589, RFC 3891).
//!
//! Until one has answered the call goes on as it was, and goes on so if nobody does. Whom a peer may name its shard knows; how two calls
//! become one stands in `bridging`.

use model::media::{MediaCommand, MediaEvent, Play, Sound, Tone};
use model::{Callee, Caller, ConnectionId, Instant, limits};
use sip::{Message, Request};

use super::action::Connect;
use super::connecting::{Called, Connecting, declined};
use super::dialog::Said;
use super::refer::Refer;
use super::run::Run;
use crate::call::{Act, CallKey, End, Phase};
use crate::effect::Counter;
use crate::refusal::{self, Refusal};

/// What a run has to do with transfers.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    pub(super) going: Option<Transferring>,
    /// One that the shard is still to look at, and who asks.
    pub(super) asked: Option<(u8, Refer)>,
    /// Whose place the first party has taken: something may still be told of that leg.
    pub(super) former: Option<u8>,
    pub(super) count: u8,
    /// Calls that this one was bridged with, and is no longer.
    pub(super) parted: Vec<CallKey>,
}

/// One that goes on.
#[derive(Debug)]
pub(super) struct Transferring {
    /// Whose place is to be taken.
    pub(super) by: u8,
    /// Who is to take it.
    pub(super) ringing: Connecting,
    /// Whom their records name as the caller.
    caller: Caller,
    /// Rows that trusted trunks get as well.
    referred_by: Option<String>,
    /// The call at the peer that an INVITE is to replace.
    replaces: Option<String>,
    /// Whoever asked has hung up meanwhile.
    has_left: bool,
    ends: Instant,
}

/// Whom a peer has named.
pub(crate) struct Course {
    pub(crate) connect: Connect,
    /// The only line that they are called by, if there is one.
    pub(crate) line: Option<ConnectionId>,
    pub(crate) referred_by: Option<String>,
    pub(crate) replaces: Option<String>,
}

impl Run {
    // Who asks.

    /// A party wants somebody else to have its place.
    pub(super) fn on_refers(&mut self, place: u8, refer: Refer, act: &mut Act<'_>) {
        let is_party = place == self.first || self.joined() == Some(place);
        let is_free = self.transfers.going.is_none() && self.transfers.asked.is_none();
        if is_party && is_free && self.transfers.count < limits::TRANSFERS_PER_CALL {
            self.transfers.asked = Some((place, refer));
        } else {
            self.refuse_transfer(place, 603, act);
        }
    }

    pub(crate) fn take_refer(&mut self) -> Option<(u8, Refer)> {
        self.transfers.asked.take()
    }

    /// Nothing comes of it.
    pub(crate) fn refuse_transfer(&mut self, place: u8, status: u16, act: &mut Act<'_>) {
        if let Some(dialog) = self.dialog_mut(place) {
            dialog.conclude_refer(status, act);
        }
    }

    /// Whoever is called for a party that leaves is told that this one calls, and so are records.
    pub(crate) fn transferred_caller(&self, place: u8) -> Caller {
        let of_callee = |callee: &Callee| match callee {
            Callee::Client(client)
            | Callee::Service {
                client: Some(client),
                ..
            } => Caller::Client(client.clone()),
            Callee::Service { name, client: None } => Caller::Service(name.clone()),
            Callee::Number { number, trunk } => Caller::Number {
                number: number.clone(),
                trunk: trunk.clone(),
            },
        };
        if place != self.first {
            return match self.about.is_outgoing {
                true => of_callee(&self.record.callee),
                false => self.record.caller.clone(),
            };
        }
        let connected = self.connecting.iter().flat_map(|known| &known.called);
        let mut joined = connected.filter(|called| called.joined.is_some());
        match joined.next() {
            Some(called) => of_callee(&called.record.callee),
            None if self.about.is_outgoing => self.record.caller.clone(),
            None => of_callee(&self.record.callee),
        }
    }

    // How it goes on.

    /// These ring for the place of whoever has asked.
    pub(crate) fn begin_transfer(&mut self, place: u8, course: Course, act: &mut Act<'_>) {
        if self.is_over() {
            return;
        }
        let Course {
            connect,
            line,
            referred_by,
            replaces,
        } = course;
        let caller = self.transferred_caller(place);
        let ringing = Connecting::in_transfer(connect, caller.as_str(), line, act.now.mono);
        self.transfers.going = Some(Transferring {
            by: place,
            ringing,
            caller,
            referred_by,
            replaces,
            has_left: false,
            ends: act.now.mono + limits::TRANSFER_TIME,
        });
    }

    /// Somebody calls to take the place of a party.
    pub(crate) fn begin_replacement(
        &mut self,
        by: u8,
        called: Called,
        offer: &str,
        act: &mut Act<'_>,
    ) {
        act.record(&called.record);
        act.count(Counter::CallRouted);
        let (leg, kind) = (self.leg(called.place), called.kind.clone());
        let until = act.now.mono + limits::TRANSACTION_TIME;
        self.transfers.going = Some(Transferring {
            by,
            caller: called.record.caller.clone(),
            ringing: Connecting::called_by(called, until),
            referred_by: None,
            replaces: None,
            has_left: false,
            ends: until,
        });
        let offer = offer.into();
        self.tell_gateway(MediaCommand::Answer { leg, kind, offer }, act);
    }

    /// Whether an INVITE may take the place of this party (RFC 3891 §3).
    pub(crate) fn check_replaced(&self, place: u8, is_early_only: bool) -> Result<(), Refusal> {
        let dialog = self.dialog(place).filter(|_| !self.is_over());
        let dialog = dialog.ok_or_else(refusal::nothing_to_replace)?;
        if dialog.is_over() {
            return Err(refusal::replaced_has_ended());
        }
        if !self.may_transfer() || self.is_target(place) {
            return Err(refusal::transfer_pending());
        }
        match dialog.is_talking() {
            true if is_early_only => Err(refusal::replaced_is_answered()),
            true => Ok(()),
            // Nobody can take the place of a caller who waits for our answer, or of whom a call was begun with.
            false if place == self.first => Err(refusal::nothing_to_replace()),
            false => Ok(()),
        }
    }

    /// Whom it has called then, as records say it.
    pub(crate) fn replaced_callee(&self, place: u8) -> Option<Callee> {
        let is_callers = place == self.first && !self.about.is_outgoing;
        is_callers.then(|| self.record.callee.clone())
    }

    /// Whether one more may be asked for.
    pub(crate) fn may_transfer(&self) -> bool {
        matches!(self.phase, Phase::Live { .. } | Phase::Setup { .. })
            && self.transfers.going.is_none()
            && self.transfers.count < limits::TRANSFERS_PER_CALL
    }

    /// Rows of an INVITE that goes out by a trunk for it.
    pub(crate) fn rows_of_transfer(&self, is_trusted: bool) -> Vec<(&'static str, String)> {
        let Some(going) = &self.transfers.going else {
            return Vec::new();
        };
        let referred_by = going.referred_by.clone().filter(|_| is_trusted);
        let rows = [
            ("Referred-By", referred_by),
            ("Replaces", going.replaces.clone()),
        ];
        let rows = rows.into_iter();
        rows.filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    pub(super) fn caller_in_transfer(&self) -> Option<&Caller> {
        self.transfers.going.as_ref().map(|going| &going.caller)
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = &Called> {
        let going = self.transfers.going.iter();
        going.flat_map(|going| &going.ringing.called)
    }

    pub(super) fn is_target(&self, place: u8) -> bool {
        self.targets().any(|called| called.place == place)
    }

    /// The one whose INVITE this is, or that this CANCEL means.
    pub(super) fn target_seen(
        &self,
        connection: ConnectionId,
        request: &Request<'_>,
    ) -> Option<u8> {
        let mut seen = self.targets();
        let seen = seen.find(|called| called.dialog.has_seen(connection, request));
        seen.map(|called| called.place)
    }

    pub(super) fn on_target_message(
        &mut self,
        place: u8,
        message: &Message<'_>,
        act: &mut Act<'_>,
    ) {
        if let Some(called) = self.called(place) {
            let said = called.dialog.on_message(message, act);
            self.on_target_said(place, said, act);
        }
    }

    pub(super) fn on_target_cancel(&mut self, place: u8, request: &Request<'_>, act: &mut Act<'_>) {
        if let Some(called) = self.called(place) {
            let said = called.dialog.on_cancel(request, act);
            self.on_target_said(place, said, act);
        }
    }

    pub(super) fn on_target_said(&mut self, place: u8, said: Said, act: &mut Act<'_>) {
        match said {
            Said::Nothing | Said::Acknowledges | Said::Reoffers(_) | Said::Refers(_) => {}
            Said::Rings | Said::RingsAloud(_) => {
                let now = act.now.unix;
                if let Some(called) = self.called(place) {
                    called.record.ringing.get_or_insert(now);
                }
            }
            Said::Accepts(answer) => {
                let leg = self.leg(place);
                self.tell_gateway(MediaCommand::Accept { leg, answer }, act);
                self.take_over(place, act);
            }
            Said::Declines { status } => self.on_target_declines(place, status, act),
            Said::Cancelled | Said::HungUp | Said::Lapses => {
                self.drop_target(place, End::caller(487, "cancelled by the caller"), act);
                self.end_transfer_if_alone(act);
            }
        }
    }

    fn on_target_declines(&mut self, place: u8, status: u16, act: &mut Act<'_>) {
        let called = self.called(place);
        let why = declined(called.as_ref().map(|called| &called.kind), status);
        let again = called.map(|called| called.wanted.clone());
        self.drop_target(place, End::callee(status, why), act);
        if let (Some(going), Some(again)) = (&mut self.transfers.going, again)
            && again.may_go_on(status)
        {
            going.ringing.want(again);
        }
        self.end_transfer_if_alone(act);
    }

    pub(super) fn on_target_media(&mut self, place: u8, event: MediaEvent, act: &mut Act<'_>) {
        match event {
            MediaEvent::Offered { offer, .. } => self.invite(place, &offer, act),
            MediaEvent::Answered { answer, .. } => {
                if let Some(called) = self.called(place) {
                    called.dialog.accept(&answer, &[], act);
                    self.take_over(place, act);
                }
            }
            MediaEvent::Refused { sentence, .. } => {
                let refusal = refusal::no_media(&sentence);
                self.end_target(place, End::server(488, refusal.text), act);
            }
            MediaEvent::Ended { .. } => {
                self.end_target(place, End::server(503, "the callee's media ended"), act);
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

    /// Something of the leg whose place the first party has taken: what it heard or said last.
    pub(super) fn on_former_media(&mut self, event: &MediaEvent, act: &mut Act<'_>) {
        if self.transfers.former != Some(event.leg().place) {
            return;
        }
        match event {
            MediaEvent::Played { .. } | MediaEvent::Recorded { .. } => {
                self.script.on_media(act.now.mono, event);
            }
            MediaEvent::Ended { .. } => self.transfers.former = None,
            MediaEvent::Offered { .. }
            | MediaEvent::Answered { .. }
            | MediaEvent::Refused { .. }
            | MediaEvent::Connected { .. }
            | MediaEvent::NotEntered { .. }
            | MediaEvent::Digit { .. }
            | MediaEvent::Recording { .. }
            | MediaEvent::StreamEnded { .. } => {}
        }
    }

    pub(super) fn lose_targets(&mut self, connection: ConnectionId, act: &mut Act<'_>) {
        let lost = self.targets();
        let lost = lost.filter(|called| called.connection == connection);
        let lost: Vec<u8> = lost.map(|called| called.place).collect();
        for place in lost {
            if let Some(called) = self.called(place) {
                called.dialog.lose();
            }
            act.count(Counter::CallLost);
            self.drop_target(place, End::lost("callee", None), act);
            self.end_transfer_if_alone(act);
        }
    }

    pub(super) fn transfer_deadline(&self) -> Option<Instant> {
        let going = self.transfers.going.as_ref()?;
        let ringing = going.ringing.deadline();
        Some(ringing.map_or(going.ends, |at| at.min(going.ends)))
    }

    pub(super) fn on_transfer_due(&mut self, act: &mut Act<'_>) {
        let now = act.now.mono;
        let Some(going) = &mut self.transfers.going else {
            return;
        };
        if going.ends <= now {
            going.ringing.want_nobody_later();
        }
        let is_late = going.ends <= now || going.ringing.is_late(now);
        let due = going.ringing.called.iter().filter(|called| {
            let dialog = called.dialog.overdue();
            is_late || dialog.is_some_and(|at| at <= now)
        });
        let due: Vec<u8> = due.map(|called| called.place).collect();
        for place in due {
            let end = End::server(480, "the callee did not answer in time");
            self.close_target(place, end, act);
        }
        if is_late {
            self.end_transfer_if_alone(act);
        }
    }

    /// All that the shard could find was rung.
    pub(super) fn end_transfer_if_alone(&mut self, act: &mut Act<'_>) {
        let now = act.now.mono;
        let going = self.transfers.going.as_mut();
        if let Some(status) = going.and_then(|going| going.ringing.is_alone(now)) {
            self.fail_transfer(status, act);
        }
    }

    /// Nobody takes the place: the call goes on as before, or ends with whoever has left it already.
    fn fail_transfer(&mut self, status: u16, act: &mut Act<'_>) {
        let Some(going) = self.stop_transfer(status, act) else {
            return;
        };
        if !going.has_left {
            return;
        }
        if going.by == self.first {
            return self.finish(self.their_end(200, "hung up"), act);
        }
        self.drop_callee(going.by, End::callee(200, "hung up"), act);
        self.end_if_alone(act);
    }

    /// The call has no use for it any more.
    pub(super) fn abort_transfer(&mut self, act: &mut Act<'_>) {
        if let Some(going) = self.stop_transfer(487, act)
            && going.has_left
            && going.by == self.first
        {
            self.finish(self.their_end(200, "hung up"), act);
        }
    }

    fn stop_transfer(&mut self, status: u16, act: &mut Act<'_>) -> Option<Transferring> {
        let end = End::server(487, "the transfer was taken back");
        let places: Vec<u8> = self.targets().map(|called| called.place).collect();
        for place in places {
            self.close_target(place, end.clone(), act);
        }
        let going = self.transfers.going.take()?;
        self.refuse_transfer(going.by, status, act);
        self.hush(&going, act);
        Some(going)
    }

    fn end_target(&mut self, place: u8, end: End, act: &mut Act<'_>) {
        self.close_target(place, end, act);
        self.end_transfer_if_alone(act);
    }

    fn close_target(&mut self, place: u8, end: End, act: &mut Act<'_>) {
        if let Some(called) = self.called(place) {
            called.dialog.end(&end.refusal(), &end.reason_header(), act);
        }
        self.drop_target(place, end, act);
    }

    fn drop_target(&mut self, place: u8, end: End, act: &mut Act<'_>) {
        let going = self.transfers.going.as_mut();
        let Some(called) = going.and_then(|going| going.ringing.take_out(place, end.status()))
        else {
            return;
        };
        let leg = self.leg(place);
        self.tell_gateway(MediaCommand::CloseLeg { leg }, act);
        self.part_with(called, end, act);
    }

    // Whoever asked leaves.

    /// A party that has asked for a transfer need not wait for its end. Says whether it is one.
    pub(super) fn leaves_in_transfer(&mut self, place: u8, act: &mut Act<'_>) -> bool {
        let far = self.far_of(place);
        let going = self.transfers.going.as_mut();
        let Some(going) = going.filter(|going| going.by == place) else {
            return false;
        };
        going.has_left = true;
        if let Some(far) = far {
            let leg = self.leg(far);
            self.tell_gateway(MediaCommand::Part { leg }, act);
            let play = Play {
                sounds: vec![Sound::Tone(Tone::ringing())],
                times: Some(1),
                until_digit: false,
            };
            self.tell_gateway(MediaCommand::Play { leg, play }, act);
        }
        true
    }

    /// Whether this party has hung up, and is kept until its transfer has come to its end.
    pub(super) fn has_left(&self, place: u8) -> bool {
        let going = self.transfers.going.as_ref();
        going.is_some_and(|going| going.has_left && going.by == place)
    }

    pub(super) fn hush(&mut self, going: &Transferring, act: &mut Act<'_>) {
        if going.has_left
            && let Some(far) = self.far_of(going.by)
        {
            let leg = self.leg(far);
            self.tell_gateway(MediaCommand::StopPlay { leg }, act);
        }
    }

    /// Whoever hears a party; nobody where only an application does.
    pub(super) fn far_of(&self, place: u8) -> Option<u8> {
        let joined = self.joined()?;
        Some(if place == self.first {
            joined
        } else {
            self.first
        })
    }

    /// Whoever the first party hears.
    pub(super) fn joined(&self) -> Option<u8> {
        let called = self.connecting.iter().flat_map(|known| &known.called);
        let mut joined = called.filter(|called| called.joined.is_some());
        joined.next().map(|called| called.place)
    }
}
