//! A script that connects its caller: what that one hears meanwhile, and how it goes on afterwards.
//!
//! Who is called, and who answers, is the run's.

use model::Instant;
use model::media::{MediaCommand, Play, Sound, Tone};
use serde_json::Value;

use super::action::Connect;
use super::doing::Doing;
use super::hearing::Hearing;
use super::script::{Script, Step};

impl Script {
    pub(super) fn connect(&mut self, now: Instant, connect: Connect) {
        let hold = self.hold(&connect);
        self.steps.push(Step::Connect(connect.clone()));
        self.doing = Doing::Connecting { connect, hold };
        self.play_on(now);
    }

    /// Nobody is heard any more who was heard early: what the caller heard before is heard anew.
    pub(super) fn hold_again(&mut self, now: Instant) {
        let Doing::Connecting { connect, .. } = &self.doing else {
            return;
        };
        let connect = connect.clone();
        let again = self.hold(&connect);
        if let Doing::Connecting { hold, .. } = &mut self.doing {
            *hold = again;
        }
        self.play_on(now);
    }

    fn hold(&mut self, connect: &Connect) -> Option<Hearing> {
        let hold = connect.hold.as_ref().map(|prompt| self.bring(prompt, None));
        if hold.is_none() {
            self.play(Play {
                sounds: vec![Sound::Tone(Tone::ringing())],
                times: Some(1),
                until_digit: false,
            });
        }
        hold
    }

    /// Somebody was connected: what the caller hears meanwhile ends.
    pub(crate) fn on_connected(&mut self) {
        if let Doing::Connecting { hold, .. } = &mut self.doing {
            *hold = None;
            self.steps
                .push(Step::Media(MediaCommand::StopPlay { leg: self.leg }));
        }
    }

    /// Nobody is connected any more, or nobody was to be.
    pub(crate) fn on_connect_ended(&mut self, now: Instant, result: Value) {
        let Doing::Connecting { connect, .. } = &self.doing else {
            return;
        };
        let (next, leg) = (connect.next.clone(), self.leg);
        self.steps.push(Step::Media(MediaCommand::StopPlay { leg }));
        match next {
            Some(next) => self.ask_with_result(next, "connect", result),
            None => self.next(now),
        }
    }
}
