//! A run's first party: whoever called the application, or whom the application has called.
//!
//! What it says, and what the gateway tells of its leg; whom it is connected to is `connecting`'s.

use model::limits;
use model::media::{LegEnd, LegKind, MediaCommand, MediaEvent};

use super::connecting::declined;
use super::dialog::Said;
use super::run::Run;
use crate::call::{Act, End, Phase};
use crate::effect::Counter;
use crate::refusal;

impl Run {
    pub(super) fn on_caller_said(&mut self, said: Said, act: &mut Act<'_>) {
        match said {
            Said::Nothing => {}
            Said::Cancelled => self.finish(End::caller(487, "cancelled by the caller"), act),
            Said::Acknowledges => self.begin_at_once(act),
            Said::Refers(refer) => self.on_refers(self.first, *refer, act),
            Said::HungUp if self.leaves_in_transfer(self.first, act) => {}
            Said::HungUp => self.finish(self.their_end(200, "hung up"), act),
            Said::Lapses => {
                let why = "the session was not refreshed in time";
                self.finish(End::server(408, why), act);
            }
            Said::Rings | Said::RingsAloud(_) => {
                self.record.ringing.get_or_insert(act.now.unix);
            }
            Said::Accepts(answer) => {
                let leg = self.leg(self.first);
                self.tell_gateway(MediaCommand::Accept { leg, answer }, act);
                self.note_answered(act);
                self.script.begin(act.now.mono);
                self.begin_at_once(act);
            }
            Said::Declines { status } if self.goes_on(status) => {}
            Said::Declines { status } => {
                self.finish_declined(status, act);
            }
            Said::Reoffers(offer) => {
                let leg = self.leg(self.first);
                self.tell_gateway(MediaCommand::Reoffer { leg, offer }, act);
            }
        }
    }

    /// Whom the application calls does not take the call.
    pub(super) fn finish_declined(&mut self, status: u16, act: &mut Act<'_>) {
        let end = self.their_end(status, declined(Some(&self.kind), status));
        self.finish(end, act);
    }

    /// A telephone hears from when it is talked to, and may say nothing before it has heard something; a browser has to be connected.
    fn begin_at_once(&mut self, act: &mut Act<'_>) {
        match self.kind {
            LegKind::Rtp { .. } | LegKind::Srtp { .. } => self.script.on_talking(act.now.mono),
            LegKind::WebRtc => {}
        }
    }

    pub(super) fn on_caller_media(&mut self, event: MediaEvent, act: &mut Act<'_>) {
        match event {
            MediaEvent::Answered { answer, .. } => self.on_answer(&answer, act),
            MediaEvent::Offered { offer, .. } => self.invite_first(&offer, act),
            MediaEvent::Refused { sentence, .. } => self.on_no_answer(&sentence, act),
            MediaEvent::Connected { .. } if self.is_connected_early() => {}
            MediaEvent::Connected { .. } => self.script.on_talking(act.now.mono),
            MediaEvent::Ended { .. } if self.has_left(self.first) => {}
            MediaEvent::Ended { end, .. } => match end {
                LegEnd::Closed => {}
                LegEnd::Silent => {
                    let why = format!("nothing was heard from the {} any more", self.party());
                    self.finish(End::server(503, why), act);
                }
                LegEnd::Peer => self.bye_due = Some(act.now.mono + limits::MEDIA_END_GRACE),
            },
            MediaEvent::NotEntered { sentence, .. } => {
                self.script.on_not_conferring(&sentence);
                self.on_no_bridge(act);
            }
            MediaEvent::Digit { .. }
            | MediaEvent::Played { .. }
            | MediaEvent::Recorded { .. }
            | MediaEvent::StreamEnded { .. }
            | MediaEvent::Recording { .. } => self.script.on_media(act.now.mono, &event),
        }
    }

    /// The gateway has answered the caller's offer.
    fn on_answer(&mut self, answer: &str, act: &mut Act<'_>) {
        if self.is_over() {
            return;
        }
        if self.caller.is_talking() {
            return self.caller.reanswer(answer, act);
        }
        if self.kind == LegKind::WebRtc {
            self.reach(self.caller.connection(), act);
        }
        if self.is_to_be_early() {
            return self.tell_early(answer, act);
        }
        self.take_call(answer, act);
        self.join_whoever_answered(act);
    }

    /// The caller is told that it is answered, and the answer to its offer.
    pub(super) fn take_call(&mut self, answer: &str, act: &mut Act<'_>) {
        let headers = std::mem::take(&mut self.headers);
        self.caller.accept(answer, &headers, act);
        self.note_answered(act);
    }

    /// The gateway has made the offer for whom the application calls.
    fn invite_first(&mut self, offer: &str, act: &mut Act<'_>) {
        if self.is_over() || !self.caller.is_planned() {
            return;
        }
        if self.kind == LegKind::WebRtc {
            self.reach(self.caller.connection(), act);
        }
        let headers = std::mem::take(&mut self.headers);
        self.caller.invite(&headers, offer, act);
    }

    fn note_answered(&mut self, act: &mut Act<'_>) {
        self.phase = Phase::Live {
            until: act.now.mono + limits::CALL_TIME,
        };
        self.record.answered = Some(act.now.unix);
        act.count(Counter::CallAnswered);
        act.record(&self.record);
    }

    /// The gateway will not have the caller's offer.
    fn on_no_answer(&mut self, sentence: &str, act: &mut Act<'_>) {
        let refusal = refusal::no_media(sentence);
        if self.caller.is_talking() {
            return self.caller.keep_media(&refusal, act);
        }
        self.finish(End::server(488, refusal.text), act);
    }
}
