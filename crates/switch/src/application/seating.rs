//! Somebody takes the place of a party that a transfer takes away: the first party's, or that of whom it is connected with.
//!
//! The old leg is told and let go, and who hears whom is said anew. Never decides who.

use model::media::MediaCommand;
use model::{CallRecord, ConnectionId, limits};

use super::beginning::About;
use super::connecting::Called;
use super::joining::ELSEWHERE;
use super::run::Run;
use super::secondary::word_of;
use crate::call::{Act, End};
use crate::effect::Counter;

impl Run {
    pub(super) fn take_over(&mut self, place: u8, act: &mut Act<'_>) {
        let now = act.now.unix;
        let Some(mut going) = self.transfers.going.take() else {
            return;
        };
        let Some(mut called) = going.ringing.take_out(place, 200) else {
            return;
        };
        for mut other in std::mem::take(&mut going.ringing.called) {
            let end = End::server(487, "answered by another");
            other.dialog.end(&end.refusal(), ELSEWHERE, act);
            let leg = self.leg(other.place);
            self.tell_gateway(MediaCommand::CloseLeg { leg }, act);
            self.part_with(other, end, act);
        }
        self.hush(&going, act);
        self.transfers.count += 1;
        called.record.answered = Some(now);
        act.record(&called.record);
        act.count(Counter::CallAnswered);
        if going.by == self.first {
            let word = other_end(&called);
            self.seat_first(called, &word, act);
            self.rejoin(act);
        } else {
            self.replace_callee(going.by, called, act);
        }
    }

    /// Somebody is the first party from now on.
    pub(super) fn seat_first(&mut self, called: Called, word: &str, act: &mut Act<'_>) {
        let end = self.their_end(200, format!("transferred to {word}"));
        let is_caller = called.dialog.has_called();
        self.about = About {
            service: self.about.service.clone(),
            is_outgoing: !is_caller,
            from: called.record.caller.as_str().into(),
            to: word_of(&called.record.callee),
            parameters: self.about.parameters.clone(),
        };
        let place = std::mem::replace(&mut self.first, called.place);
        let mut dialog = std::mem::replace(&mut self.caller, called.dialog);
        let mut record = std::mem::replace(&mut self.record, called.record);
        (self.kind, self.bye_due) = (called.kind, called.bye_due);
        dialog.conclude_refer(200, act);
        dialog.end(&end.refusal(), &end.reason_header(), act);
        record.outcome = Some(end.outcome(act.now.unix));
        act.record(&record);
        self.transfers.former = Some(place);
        let leg = self.leg(self.first);
        self.script.move_to(act.now.mono, leg);
        let leg = self.leg(place);
        self.tell_gateway(MediaCommand::CloseLeg { leg }, act);
        self.unreach(dialog.connection(), act);
        self.keep_past(dialog.connection(), record);
        self.see_off(place, dialog, act);
    }

    fn replace_callee(&mut self, place: u8, called: Called, act: &mut Act<'_>) {
        let (new, word) = (called.place, other_end(&called));
        let called_now = self.called(place);
        let Some(slot) = called_now else {
            // It has gone in the same moment.
            let mut called = called;
            let end = End::server(480, "the call has ended");
            called.dialog.end(&end.refusal(), &end.reason_header(), act);
            return self.part_with(called, end, act);
        };
        let mut old = std::mem::replace(slot, called);
        let end = match old.record.answered {
            Some(_) => End::callee(200, format!("transferred to {word}")),
            None => End::server(487, format!("answered by {word}")),
        };
        old.dialog.conclude_refer(200, act);
        old.dialog.end(&end.refusal(), &end.reason_header(), act);
        let is_answered = old.record.answered.is_some();
        let leg = self.leg(place);
        self.tell_gateway(MediaCommand::CloseLeg { leg }, act);
        self.part_with(old, end, act);
        if is_answered {
            if let Some(called) = self.called(new) {
                called.joined = Some(act.now.unix);
            }
            self.rejoin(act);
        } else {
            self.won(new, act);
        }
    }

    /// Who hears whom is said anew.
    pub(super) fn rejoin(&mut self, act: &mut Act<'_>) {
        if self.enter_bridge(act) {
            return;
        }
        if let Some(other) = self.joined() {
            let leg = self.leg(self.first);
            self.tell_gateway(MediaCommand::Join { leg, other }, act);
        }
    }

    /// Relays may still tell what they did for somebody who has gone.
    pub(super) fn keep_past(&mut self, connection: ConnectionId, record: CallRecord) {
        self.past.push_back((connection, record));
        if self.past.len() > limits::PAST_CALLEES {
            self.past.pop_front();
        }
    }
}

/// Who somebody is, in a word.
fn other_end(called: &Called) -> String {
    match called.dialog.has_called() {
        true => called.record.caller.as_str().to_owned(),
        false => word_of(&called.record.callee).into_string(),
    }
}
