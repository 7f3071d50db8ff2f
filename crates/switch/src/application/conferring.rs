//! A script whose caller is in a conference: it waits for the start, is heard or not, and leaves by a key, by its end or by the call's.

use model::Instant;
use model::media::{Digit, Entry, MediaCommand, RoomId, StreamStop};
use serde_json::json;

use super::action::Confer;
use super::conference::Wish;
use super::doing::{Conferring, Doing};
use super::script::{Script, Step};

impl Script {
    pub(super) fn confer(&mut self, now: Instant, confer: Confer) {
        let hold = confer.hold.as_ref().map(|prompt| self.bring(prompt, None));
        self.steps.push(Step::Confer(Wish::Enter {
            name: confer.name.clone(),
            participant: confer.participant,
        }));
        self.doing = Doing::Conferring(Conferring {
            confer,
            hold,
            room: None,
            is_muted: false,
        });
        self.play_on(now);
    }

    /// The conference has started, or has long.
    pub(crate) fn on_conferring(&mut self, now: Instant, room: RoomId) {
        let Doing::Conferring(conferring) = &mut self.doing else {
            return;
        };
        if conferring.hold.take().is_some() {
            let leg = self.leg;
            self.steps.push(Step::Media(MediaCommand::StopPlay { leg }));
        }
        if let Doing::Conferring(conferring) = &mut self.doing {
            conferring.room = Some((room, now));
            let beep = conferring.confer.participant.beep_on_entry;
            self.enter_room(beep);
        }
    }

    /// It is over for everybody, or the caller has left it.
    pub(crate) fn on_conference_over(&mut self, now: Instant) {
        if !matches!(self.doing, Doing::Conferring(_)) {
            return;
        }
        self.leave_conference();
        let Doing::Conferring(conferring) = std::mem::replace(&mut self.doing, Doing::Nothing)
        else {
            return;
        };
        let lasted = conferring
            .room
            .map_or(0.0, |(_, since)| now.since(since).as_secs_f64());
        let result = json!({ "seconds_connected_duration": (lasted * 10.0).round() / 10.0 });
        match conferring.confer.next {
            Some(next) => self.ask_with_result(next, "connect_to_conference", result),
            None => self.next(now),
        }
    }

    /// There is no room in it.
    pub(crate) fn on_not_conferring(&mut self, why: &str) {
        if matches!(self.doing, Doing::Conferring(_)) {
            self.fail(Some("connect_to_conference"), why);
        }
    }

    pub(super) fn on_conference_digit(&mut self, now: Instant, digit: Digit) {
        let Doing::Conferring(conferring) = &mut self.doing else {
            return;
        };
        let participant = conferring.confer.participant;
        let digit = Some(digit);
        if digit == participant.exit {
            return self.on_conference_over(now);
        }
        let mutes = digit == participant.mute && !conferring.is_muted;
        let unmutes = digit == participant.unmute && conferring.is_muted;
        if mutes || unmutes {
            conferring.is_muted = mutes;
            self.enter_room(false);
        }
    }

    /// Whatever the caller is connected to goes on without it.
    pub(super) fn break_off(&mut self) {
        self.leave_conference();
        self.stop_stream(StreamStop::Interrupted);
        if let Doing::Connecting { .. } = std::mem::replace(&mut self.doing, Doing::Nothing) {
            let leg = self.leg;
            self.steps.push(Step::Media(MediaCommand::StopPlay { leg }));
            self.steps.push(Step::Disconnect);
        }
    }

    /// The gateway and the shard are told; what comes of it for the script is the caller's.
    pub(super) fn leave_conference(&mut self) {
        let Doing::Conferring(conferring) = &self.doing else {
            return;
        };
        let leg = self.leg;
        if conferring.hold.is_some() {
            self.steps.push(Step::Media(MediaCommand::StopPlay { leg }));
        }
        if conferring.room.is_some() {
            self.steps.push(Step::Media(MediaCommand::Leave { leg }));
        }
        self.steps.push(Step::Confer(Wish::Leave {
            name: conferring.confer.name.clone(),
            destroys: conferring.confer.participant.destroy_on_exit,
        }));
    }

    /// In again, which changes whether the others hear it.
    pub(super) fn enter_room(&mut self, beep: bool) {
        if let Doing::Conferring(conferring) = &self.doing
            && let Some((room, _)) = conferring.room
        {
            let may_talk = conferring.confer.participant.talker && !conferring.is_muted;
            self.steps.push(Step::Media(MediaCommand::Enter {
                leg: self.leg,
                room,
                entry: Entry { may_talk, beep },
            }));
        }
    }
}
