//! A script and the keys of its party: which action takes them, and what comes of that.
//!
//! What an entry or a menu makes of a key is `entering`'s and `choosing`'s.

use model::media::{Digit, MediaCommand};
use model::{Instant, limits};
use serde_json::json;

use super::doing::Doing;
use super::entering::Entered;
use super::script::{Script, Step};

impl Script {
    pub(super) fn on_digit(&mut self, now: Instant, digit: Digit) {
        if self.is_ended {
            return;
        }
        match &self.doing {
            Doing::Recording { recording, .. } if recording.stop.contains(digit) => {
                self.steps
                    .push(Step::Media(MediaCommand::StopRecord { leg: self.leg }));
            }
            Doing::Playing(hearing) if !hearing.can_be_ended() => {}
            Doing::Entering(_)
            | Doing::Choosing(_)
            | Doing::Playing(_)
            | Doing::Nothing
            | Doing::Asking { .. }
            | Doing::Answering(_)
            | Doing::Sleeping { .. } => {
                if self.typed.len() < usize::from(limits::DIGITS_ENTERED) {
                    self.typed.push_back(digit);
                }
                self.take_typed(now);
            }
            Doing::Conferring(_) => self.on_conference_digit(now, digit),
            // A bot is told of keys by the gateway.
            Doing::Streaming(_) => {}
            Doing::Recording { .. } | Doing::Connecting { .. } | Doing::Keeping { .. } => {}
        }
    }

    /// Gives keys to the action that takes them.
    pub(super) fn take_typed(&mut self, now: Instant) {
        while let Some(digit) = self.typed.pop_front() {
            if !self.doing.takes_digits() {
                return self.typed.push_front(digit);
            }
            let hearing = self.doing.hearing();
            let stops = hearing.map(|hearing| (hearing.can_be_ended(), hearing.is_playing()));
            match stops {
                Some((false, _)) => continue,
                Some((true, true)) => {
                    self.steps
                        .push(Step::Media(MediaCommand::StopPlay { leg: self.leg }));
                }
                Some((true, false)) | None => {}
            }
            self.take(now, digit);
        }
    }

    fn take(&mut self, now: Instant, digit: Digit) {
        if let Doing::Entering(entering) = &mut self.doing {
            match entering.take(now, digit) {
                Some(entered) => self.on_entered(now, entered),
                None => self.play_on(now),
            }
        } else if let Doing::Choosing(choosing) = &mut self.doing {
            match choosing.take(digit) {
                Some(option) => {
                    let result = json!({ "selected_digit": option.digit.to_string() });
                    self.ask_with_result(option.next, "run_menu", result);
                }
                None => self.go_on_choosing(now),
            }
        }
    }

    pub(super) fn on_entered(&mut self, now: Instant, entered: Entered) {
        let name = entered.kind.name();
        match entered.result() {
            Some(result) => self.ask_with_result(entered.next, name, result),
            None => self.next(now),
        }
    }

    /// The menu wants to say something, or waits, or is over.
    pub(super) fn go_on_choosing(&mut self, now: Instant) {
        let Doing::Choosing(choosing) = &mut self.doing else {
            return;
        };
        if choosing.is_used_up() {
            return self.next(now);
        }
        if let Some(prompt) = choosing.take_message() {
            let hearing = self.bring(&prompt, Some(1));
            if let Doing::Choosing(choosing) = &mut self.doing {
                choosing.hear(hearing);
            }
        }
        self.play_on(now);
    }
}
