//! Early media (RFC 3960): what a number lets its caller hear before it answers, such as why it does not.
//!
//! Of several who ring the first one that is heard has the caller's ear, until it answers, another one does, or it has gone. Only
//! telephones are heard early: a browser is not before it answers. A caller whose own call was not taken hears by a 183, whose SDP
//! takes the call in the end (RFC 3261 §13.3.1.1).

use model::media::{LegKind, MediaCommand, Sdp};

use super::run::Run;
use crate::call::Act;

/// How far a caller may hear whose call was not taken.
#[derive(Debug)]
pub(super) enum Early {
    /// The gateway is to answer its offer.
    Asked,
    /// It was told that answer.
    Told {
        answer: Box<str>,
        /// Whether it has been heard.
        is_connected: bool,
    },
}

impl Run {
    /// The caller is to hear before its call is taken.
    pub(super) fn let_hear(&mut self, act: &mut Act<'_>) {
        if self.caller.is_talking() {
            // It hears as soon as it is heard.
            return;
        }
        match self.early {
            Some(Early::Told { .. }) => self.script.on_let_hear(act.now.mono),
            Some(Early::Asked) => {}
            None => {
                self.early = Some(Early::Asked);
                self.ask_for_answer(act);
            }
        }
    }

    /// Whether the answer that the gateway makes does not take the call.
    pub(super) fn is_to_be_early(&self) -> bool {
        matches!(self.early, Some(Early::Asked))
    }

    /// The gateway has answered the caller's offer, which hears from now on.
    pub(super) fn tell_early(&mut self, answer: &str, act: &mut Act<'_>) {
        self.caller.progress(answer, act);
        self.early = Some(Early::Told {
            answer: answer.into(),
            is_connected: false,
        });
        self.script.on_let_hear(act.now.mono);
    }

    /// The gateway hears the caller: whether its call was not taken yet.
    pub(super) fn is_connected_early(&mut self) -> bool {
        match &mut self.early {
            Some(Early::Told { is_connected, .. }) => {
                *is_connected = true;
                true
            }
            Some(Early::Asked) => true,
            None => false,
        }
    }

    /// The caller's call is to be taken: with the answer that it knows, or else the gateway is asked for one.
    pub(super) fn answer_caller(&mut self, act: &mut Act<'_>) {
        match self.early {
            Some(Early::Told { .. }) => self.answer_early(act),
            Some(Early::Asked) | None => {
                self.early = None;
                self.ask_for_answer(act);
            }
        }
    }

    /// The caller's call is taken if it knows the answer already.
    pub(super) fn answer_early(&mut self, act: &mut Act<'_>) {
        if let Some(Early::Told {
            answer,
            is_connected,
        }) = &self.early
        {
            let (answer, is_connected) = (answer.clone(), *is_connected);
            self.early = None;
            self.take_call(&answer, act);
            // A telephone hears from its ACK on, as ever.
            if is_connected && self.kind == LegKind::WebRtc {
                self.script.on_talking(act.now.mono);
            }
        }
    }

    fn ask_for_answer(&mut self, act: &mut Act<'_>) {
        if let Some(offer) = self.offer.take() {
            let (leg, kind) = (self.leg(self.first), self.kind.clone());
            self.tell_gateway(MediaCommand::Answer { leg, kind, offer }, act);
        }
    }

    /// One of those who ring can be heard.
    pub(super) fn on_early(&mut self, place: u8, answer: Sdp, act: &mut Act<'_>) {
        let Some(connecting) = &mut self.connecting else {
            return;
        };
        let is_telephone = connecting
            .called
            .iter()
            .any(|called| called.place == place && called.kind != LegKind::WebRtc);
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
    pub(super) fn accept_callee(&mut self, place: u8, answer: Sdp, act: &mut Act<'_>) {
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
