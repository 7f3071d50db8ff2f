//! Early media (RFC 3960): what a number lets its caller hear before it answers, such as why it does not.
//!
//! Of several who ring the first one that is heard has the caller's ear, until it answers, another one does, or it has gone. Only
//! telephones are heard early: a browser is not before it answers.

use std::sync::Arc;

use model::media::{LegKind, MediaCommand};

use super::run::Run;
use crate::call::Act;

impl Run {
    /// One of those who ring can be heard.
    pub(super) fn on_early(&mut self, place: u8, answer: Arc<str>, act: &mut Act<'_>) {
        let Some(connecting) = &mut self.connecting else {
            return;
        };
        let is_telephone = connecting
            .called
            .iter()
            .any(|called| called.place == place && matches!(called.kind, LegKind::Rtp { .. }));
        let is_wanted = connecting.passes_early && !connecting.is_talking();
        if !is_telephone || !is_wanted || connecting.early.is_some() {
            return;
        }
        connecting.early = Some(place);
        self.script.on_connected();
        let (leg, other) = (self.leg(place), place);
        self.tell_gateway(MediaCommand::Accept { leg, answer }, act);
        let leg = self.leg(self.first);
        self.tell_gateway(MediaCommand::Join { leg, other }, act);
    }

    /// Whoever was heard early is not any more: the caller hears what it heard before.
    pub(super) fn end_early(&mut self, place: u8, act: &mut Act<'_>) {
        let Some(connecting) = &mut self.connecting else {
            return;
        };
        if connecting.early == Some(place) {
            connecting.early = None;
            self.script.hold_again(act.now.mono);
        }
    }

    /// One has answered: what the gateway is told of it, which may know it already.
    pub(super) fn accept_callee(&mut self, place: u8, answer: Arc<str>, act: &mut Act<'_>) {
        let leg = self.leg(place);
        let early = self.connecting.as_ref().and_then(|known| known.early);
        self.tell_gateway(
            match early == Some(place) {
                true => MediaCommand::Confirm { leg, answer },
                false => MediaCommand::Accept { leg, answer },
            },
            act,
        );
    }

    /// Whoever has answered is asked something first: the caller does not hear it meanwhile.
    pub(super) fn part_early(&mut self, place: u8, act: &mut Act<'_>) {
        let early = self.connecting.as_ref().and_then(|known| known.early);
        if early == Some(place) {
            let leg = self.leg(self.first);
            self.tell_gateway(MediaCommand::Part { leg }, act);
            self.end_early(place, act);
        }
    }
}
