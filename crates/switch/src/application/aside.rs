//! What an account has its call's parties hear, or has recorded of them, beside what the script does.
//!
//! A script that is playing something goes on when that has been heard, as if its own had been. Never asks a page.

use std::collections::VecDeque;
use std::time::Duration;

use model::media::{LegId, MediaCommand, Play, Record, RecordEnd};
use model::{FileName, QuestionId, SoundAnswer, limits};

use super::action::Prompt;
use super::doing::Doing;
use super::hearing::Hearing;
use super::script::{Script, Step};
use crate::call::printable;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// What is to be heard once all of it is there, and by whom.
    bringing: Option<(Hearing, Vec<u8>)>,
    /// Why what was to be heard last was not.
    pub(super) fault: Option<String>,
    /// Whether what was played last to the first party was this.
    pub(super) is_last: bool,
    /// What is being recorded, until it is to stop.
    recording: Option<FileName>,
    /// Of recordings whose end has not been told, in the order in which they began and end: which were this.
    recordings: VecDeque<bool>,
}

impl Script {
    /// Has these parties hear something. What they were still to hear before is not heard.
    pub(super) fn play_aside(&mut self, prompt: &Prompt, places: Vec<u8>) {
        let hearing = self.bring(prompt, Some(1));
        self.aside.fault = None;
        self.aside.bringing = Some((hearing, places));
        self.go_on_aside();
    }

    /// A sound has come, or not; says whether it was one of these.
    pub(super) fn on_sound_aside(&mut self, id: QuestionId, answer: &SoundAnswer) -> bool {
        let Some((hearing, _)) = &mut self.aside.bringing else {
            return false;
        };
        if !hearing.waits_for(id) {
            return false;
        }
        match hearing.on_sound(id, answer.clone()) {
            Ok(()) => self.go_on_aside(),
            Err(why) => {
                self.aside.bringing = None;
                self.aside.fault = Some(printable(&why, limits::PAGE_FAULT_CHARS));
            }
        }
        true
    }

    fn go_on_aside(&mut self) {
        let Some((hearing, places)) = &mut self.aside.bringing else {
            return;
        };
        let Some(play) = hearing.play() else {
            return;
        };
        let places = std::mem::take(places);
        self.aside.bringing = None;
        for place in places {
            self.play_to(place, play.clone());
        }
    }

    fn play_to(&mut self, place: u8, play: Play) {
        if place == self.leg.place {
            self.play(play);
            self.aside.is_last = true;
            return;
        }
        let leg = LegId {
            session: self.leg.session,
            place,
        };
        self.steps
            .push(Step::Media(MediaCommand::Play { leg, play }));
    }

    /// What was played last cannot be; says whether that was this.
    pub(super) fn on_unplayable_aside(&mut self, why: &str) -> bool {
        if self.aside.is_last {
            self.aside.fault = Some(printable(why, limits::PAGE_FAULT_CHARS));
        }
        self.aside.is_last
    }

    /// Somebody has heard what was played beside, while he waits: what he heard before goes on.
    pub(super) fn hear_on(&mut self) {
        let hearing = match &mut self.doing {
            Doing::Connecting { hold, .. } => hold.as_mut(),
            Doing::Conferring(conferring) => conferring.hold.as_mut(),
            Doing::Nothing
            | Doing::Asking { .. }
            | Doing::Answering(_)
            | Doing::Playing(_)
            | Doing::Recording { .. }
            | Doing::Entering(_)
            | Doing::Choosing(_)
            | Doing::Sleeping { .. }
            | Doing::Streaming(_)
            | Doing::Keeping { .. } => None,
        };
        if let Some(hearing) = hearing.filter(|hearing| hearing.is_playing()) {
            hearing.again();
        }
    }

    /// The file that a recording would be kept in; nothing where one is on its way.
    pub(super) fn recording_aside(&self) -> Option<FileName> {
        let is_free = self.aside.recording.is_none() && self.doing.file().is_none();
        is_free.then(|| self.name_of_recording(self.recordings + 1))
    }

    pub(super) fn record_aside(&mut self, longest: Duration, beep: bool) {
        let Some(file) = self.recording_aside() else {
            return;
        };
        self.recordings += 1;
        self.aside.recording = Some(file.clone());
        self.aside.recordings.push_back(true);
        self.steps.push(Step::Media(MediaCommand::Record {
            leg: self.leg,
            record: Record {
                longest,
                first_silence: None,
                silence: None,
                beep,
                until_digit: false,
                both: true,
                file,
            },
        }));
    }

    /// Whether there is one to be stopped.
    pub(super) fn is_recorded_aside(&self) -> bool {
        self.aside.recording.is_some()
    }

    pub(super) fn stop_recording_aside(&mut self) {
        if self.aside.recording.take().is_some() {
            let leg = self.leg;
            self.steps
                .push(Step::Media(MediaCommand::StopRecord { leg }));
        }
    }

    /// The script records something itself: what was recorded beside ends.
    pub(super) fn note_own_recording(&mut self) {
        self.aside.recording = None;
        self.aside.recordings.push_back(false);
    }

    /// A recording has ended; says whether it was this.
    pub(super) fn on_recorded_aside(&mut self, end: RecordEnd) -> bool {
        let is_aside = self.aside.recordings.pop_front().unwrap_or(false);
        if is_aside && !self.aside.recordings.contains(&true) {
            self.aside.recording = None;
        }
        if is_aside && end == RecordEnd::Unkept {
            self.aside.fault = Some("the recording could not be kept".to_owned());
        }
        is_aside
    }
}
