//! What is recorded of a leg: what its peer says, and what a joined leg says where both are wanted.
//!
//! Never plays what it records, and never has a beep in it.

use std::collections::VecDeque;

use model::media::{MediaEvent, Record, RecordEnd, Sound, Tone};

use super::Leg;
use crate::audio::Rate;
use crate::codec::Levelled;
use crate::recorder::Recorder;
use crate::worker::Effect;

#[derive(Debug)]
pub(super) struct Recording {
    recorder: Recorder,
    pub(super) until_digit: bool,
    both: bool,
    levelled: Levelled,
    /// What a joined leg has said, at our rate, and is not in the recording yet.
    other: Vec<i16>,
}

impl Leg {
    pub(crate) fn record(&mut self, record: &Record, effects: &mut VecDeque<Effect>) {
        self.stop_record(RecordEnd::Stopped, effects);
        if record.beep {
            self.insert(vec![Sound::Tone(Tone::beep())]);
        }
        self.recording = Some(Recording {
            recorder: Recorder::new(record, self.codec.rate()),
            until_digit: record.until_digit,
            both: record.both,
            levelled: Levelled::new(self.codec.rate()),
            other: Vec::new(),
        });
    }

    pub(crate) fn stop_record(&mut self, end: RecordEnd, effects: &mut VecDeque<Effect>) {
        if let Some(recording) = self.recording.take() {
            let (rest, head, length) = recording.recorder.finish();
            let leg = self.id;
            if !rest.is_empty() {
                effects.push_back(Effect::Event(MediaEvent::Recording { leg, part: rest }));
            }
            effects.push_back(Effect::Event(MediaEvent::Recorded {
                leg,
                head,
                length,
                end,
            }));
        }
    }

    /// Whether what a joined leg says is to be in its recording.
    pub(crate) fn records_both(&self) -> bool {
        self.is_joined
            && self
                .recording
                .as_ref()
                .is_some_and(|recording| recording.both)
    }

    /// A frame of what its peer says goes into the recording.
    pub(crate) fn keep(&mut self, frame: &[i16], effects: &mut VecDeque<Effect>) {
        if self.inserted.is_some() {
            return;
        }
        let Some(recording) = &mut self.recording else {
            return;
        };
        let end = recording.recorder.take(frame);
        if let Some(part) = recording.recorder.poll_part() {
            let leg = self.id;
            effects.push_back(Effect::Event(MediaEvent::Recording { leg, part }));
        }
        if let Some(end) = end {
            self.stop_record(end, effects);
        }
    }

    /// The same, with what the joined leg says at that rate in the same frame.
    pub(crate) fn keep_both(
        &mut self,
        own: Option<&[i16]>,
        other: Option<(&[i16], Rate)>,
        effects: &mut VecDeque<Effect>,
    ) {
        let rate = self.codec.rate();
        let mut frame = match own {
            Some(own) => own.to_vec(),
            None => vec![0; rate.frame()],
        };
        if let (Some((other, of)), Some(recording)) = (other, &mut self.recording) {
            recording.mix(other, of, rate, &mut frame);
        }
        self.keep(&frame, effects);
    }
}

impl Recording {
    fn mix(&mut self, other: &[i16], of: Rate, rate: Rate, frame: &mut [i16]) {
        self.levelled.push(other, of, &mut self.other);
        // A resampler that is ahead of the beat is not waited for.
        let extra = self.other.len().saturating_sub(2 * rate.frame());
        self.other.drain(..extra);
        let there = self.other.len().min(frame.len());
        for (sample, other) in frame.iter_mut().zip(self.other.drain(..there)) {
            *sample = sample.saturating_add(other);
        }
    }
}
