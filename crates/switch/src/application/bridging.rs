//! Two calls of one trunk that are to be one (RFC 5589 §7): whom each of them was with hear each other from then on, in a room of the
//! gateway, and the peer's own two legs end.
//!
//! Each of the two goes on as a call of its own, without a second party; when one ends, so does what the other was connected to.

use model::media::{Entry, LegId, MediaCommand, RoomId};
use model::{Callee, UnixTime};

use super::connecting::Connecting;
use super::instance::seconds;
use super::plan::Plan;
use super::run::Run;
use super::script::Script;
use crate::call::{Act, CallKey, End, Phase};

/// The other call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bridge {
    other: CallKey,
    room: RoomId,
    since: UnixTime,
}

impl Run {
    /// Whether the party at this place can leave to its far end what it has.
    pub(crate) fn can_part_with(&self, place: u8) -> bool {
        matches!(self.phase, Phase::Live { .. })
            && self.may_transfer()
            && self.transfers.asked.is_none()
            && self.far_of(place).is_some()
    }

    /// The party at this place leaves; whom it was with is the first party, and hears whom the other call was with.
    pub(crate) fn bridge(
        &mut self,
        place: u8,
        (other, room, word): (CallKey, RoomId, &str),
        act: &mut Act<'_>,
    ) {
        if !self.can_part_with(place) {
            return;
        }
        self.let_go(place, word, act);
        if let Some(connecting) = &mut self.connecting {
            connecting.bridge = Some(Bridge {
                other,
                room,
                since: act.now.unix,
            });
        }
        self.enter_bridge(act);
        self.perform(act);
    }

    /// The party at this place leaves to its far end what it has.
    fn let_go(&mut self, place: u8, word: &str, act: &mut Act<'_>) {
        let far = match self.joined() {
            Some(far) => far,
            None => return,
        };
        let Some(connecting) = &mut self.connecting else {
            return;
        };
        let Some(mut called) = connecting.take_out(far, 200) else {
            return;
        };
        if place == self.first {
            return self.seat_first(called, word, act);
        }
        let end = End::callee(200, format!("transferred to {word}"));
        called.dialog.conclude_refer(200, act);
        called.dialog.end(&end.refusal(), &end.reason_header(), act);
        let leg = self.leg(place);
        self.tell_gateway(MediaCommand::CloseLeg { leg }, act);
        self.part_with(called, end, act);
    }

    /// The first party is in the room of two calls, if there is one. Says whether.
    pub(super) fn enter_bridge(&mut self, act: &mut Act<'_>) -> bool {
        let connecting = self.connecting.as_ref();
        let Some(bridge) = connecting.and_then(|known| known.bridge) else {
            return false;
        };
        let entry = Entry {
            may_talk: true,
            beep: false,
        };
        let (leg, room) = (self.leg(self.first), bridge.room);
        self.tell_gateway(MediaCommand::Enter { leg, room, entry }, act);
        true
    }

    /// What was connected is no longer, and the other call is to be told.
    pub(super) fn leave_bridge(&mut self, connecting: &Connecting, act: &mut Act<'_>) {
        if let Some(bridge) = connecting.bridge {
            let leg = self.leg(self.first);
            self.tell_gateway(MediaCommand::Leave { leg }, act);
            self.transfers.parted.push(bridge.other);
        }
    }

    /// Calls that this one was bridged with.
    pub(crate) fn take_parted(&mut self) -> Vec<CallKey> {
        std::mem::take(&mut self.transfers.parted)
    }

    /// The other call has let go.
    pub(crate) fn on_bridge_over(&mut self, act: &mut Act<'_>) {
        let connecting = self.connecting.as_mut();
        let Some(bridge) = connecting.and_then(|known| known.bridge.take()) else {
            return;
        };
        self.abort_transfer(act);
        let leg = self.leg(self.first);
        self.tell_gateway(MediaCommand::Leave { leg }, act);
        self.end_connection(seconds(bridge.since, act.now.unix), 200, act);
        self.perform(act);
    }

    /// There is no room for both: neither hears the other.
    pub(super) fn on_no_bridge(&mut self, act: &mut Act<'_>) {
        let connecting = self.connecting.as_mut();
        if let Some(bridge) = connecting.and_then(|known| known.bridge.take()) {
            self.transfers.parted.push(bridge.other);
            self.end_connection(0.0, 503, act);
        }
    }

    /// The party at this place leaves, and whom it was with has an application from then on.
    pub(crate) fn serve(&mut self, place: u8, callee: &Callee, plan: Plan, act: &mut Act<'_>) {
        let Plan::Application(application) = &plan else {
            return self.refuse_transfer(place, 603, act);
        };
        if !self.can_part_with(place) {
            return self.refuse_transfer(place, 603, act);
        }
        let was_first = place == self.first;
        self.let_go(place, &callee.to_string(), act);
        self.connecting = None;
        let now = act.now.mono;
        // Its application has no more to say: for it this call ends here.
        let why = format!("transferred to {callee}");
        let end = match was_first {
            true => self.their_end(200, why),
            false => self.own_end(200, why),
        };
        self.record.outcome = Some(end.outcome(act.now.unix));
        self.script.on_ended(now);
        self.perform(act);
        self.record.outcome = None;
        self.secret = Some(application.secret.clone());
        if let Callee::Service { name, .. } = callee {
            self.about.service = name.as_str().into();
        }
        let leg: LegId = self.leg(self.first);
        let (call, questions) = (self.record.id.to_string(), self.script.questions);
        let recordings = self.script.recordings;
        self.script = Script::new(leg, plan, call, questions, None);
        self.script.recordings = recordings;
        self.script.is_talking = true;
        self.script.begin(now);
        self.perform(act);
    }
}
