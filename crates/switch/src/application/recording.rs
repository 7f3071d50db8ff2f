//! A script that records its caller: what was said goes to a file of the account, and its name to a page.
//!
//! A caller who hangs up while it is recorded has said something all the same: the final page is told. Never holds a sample.

use model::FileName;
use model::media::{MediaCommand, Record, RecordEnd};
use serde_json::json;

use super::action::Recording;
use super::doing::Doing;
use super::script::{Script, Step};

impl Script {
    pub(super) fn name_of_recording(&self, number: u32) -> FileName {
        let name = format!("{}-{number}.wav", self.call);
        FileName::parse(&name).expect("digits and letters make a name")
    }

    pub(super) fn record(&mut self, recording: Recording) {
        self.recordings += 1;
        let file = self.name_of_recording(self.recordings);
        self.note_own_recording();
        self.steps.push(Step::Media(MediaCommand::Record {
            leg: self.leg,
            record: Record {
                longest: recording.longest,
                first_silence: recording.first_silence,
                silence: recording.silence,
                beep: recording.beep,
                until_digit: false,
                both: false,
                file: file.clone(),
            },
        }));
        self.doing = Doing::Recording { recording, file };
    }

    pub(super) fn on_recorded(&mut self, seconds: f64, end: RecordEnd) {
        let Some(file) = self.doing.file().cloned() else {
            return;
        };
        if end == RecordEnd::Unkept && !self.is_ended {
            return self.fail(Some("record"), "the recording could not be kept");
        }
        let seconds = if end == RecordEnd::Unkept {
            0.0
        } else {
            seconds
        };
        self.tell_recorded(&file, seconds);
    }

    /// The recording of a call that has ended is not waited for any longer.
    pub(super) fn give_up_keeping(&mut self) {
        if let Doing::Keeping { file, .. } = &self.doing {
            let file = file.clone();
            self.tell_recorded(&file, 0.0);
        }
    }

    pub(super) fn tell_recorded(&mut self, file: &FileName, seconds: f64) {
        let contains_sound = seconds > 0.0;
        let result = json!({
            "filename": contains_sound.then(|| file.as_str()),
            "contains_sound": contains_sound,
            "seconds_duration": (seconds * 10.0).round() / 10.0,
        });
        let told = json!({ "action": "record", "result": result });
        let told = vec![("action_result", told)];
        let was = std::mem::replace(&mut self.doing, Doing::Nothing);
        let (mut next, mut available) = (None, None);
        if let Doing::Recording { recording, .. } = was {
            (next, available) = (Some(recording.next), recording.available);
        } else if let Doing::Keeping {
            available: page, ..
        } = was
        {
            available = page;
        }
        if let Some(page) = available.filter(|_| contains_sound) {
            self.notify(page, told.clone());
        }
        match next {
            Some(next) => self.ask(next, told),
            None => self.ask_final(told),
        }
    }
}
