//! Somebody has answered whom the caller is to be connected to: the others stop, and both hear each other.

use model::Callee;
use model::media::{MediaCommand, Sdp};

use super::run::Run;
use crate::call::{Act, End};
use crate::effect::Counter;

/// What others are told when one has answered.
pub(super) const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

impl Run {
    /// One has answered: the others stop.
    pub(super) fn on_won(&mut self, place: u8, answer: Sdp, act: &mut Act<'_>) {
        let now = act.now.unix;
        let Some(called) = self.called(place) else {
            return;
        };
        called.record.answered = Some(now);
        act.record(&called.record);
        act.count(Counter::CallAnswered);
        self.accept_callee(place, answer, act);
        self.won(place, act);
    }

    /// It is one of those who were called, and the gateway has it.
    pub(super) fn won(&mut self, place: u8, act: &mut Act<'_>) {
        let now = act.now.unix;
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
        if self.script.only_rings() {
            self.script.on_connected();
            let called = self.called(place);
            let client = called.and_then(|called| {
                called.joined = Some(now);
                called.record.callee.client().cloned()
            });
            if let Callee::Service { client: one, .. } = &mut self.record.callee {
                *one = client;
            }
            return self.answer_caller(act);
        }
        let pages = self.connecting.as_mut();
        match pages.and_then(|connecting| connecting.secondary.take()) {
            Some(pages) => {
                self.part_early(place, act);
                self.begin_secondary(place, pages, act);
            }
            None => self.join_callee(place, act),
        }
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
            let leg = self.leg(self.first);
            self.tell_gateway(MediaCommand::Join { leg, other }, act);
        }
    }
}
