//! A recording on its way: samples in, the parts of a WAV file out.
//!
//! Never holds more than a part and the silence that may be its end, and never writes a file.

use std::time::Duration;

use model::limits::{RECORD_PART, RECORD_SILENCE, RECORD_TIME};
use model::media::{Record, RecordEnd};

use crate::audio::{Rate, SILENCE_POWER, power};
use crate::wav;

/// One recording.
#[derive(Debug)]
pub struct Recorder {
    rate: Rate,
    longest: usize,
    first_silence: Option<usize>,
    silence: Option<usize>,
    /// Samples that were written, and those that are not yet because they may be the last silence.
    written: usize,
    silent: Vec<i16>,
    part: Vec<u8>,
    /// Whether there was anything but silence.
    has_heard: bool,
    is_over: bool,
}

impl Recorder {
    /// As the rule says, within the bounds of `model::limits`.
    pub fn new(record: &Record, rate: Rate) -> Self {
        let samples = |time: Duration| rate.samples(time.min(RECORD_SILENCE)).max(rate.frame());
        Self {
            rate,
            longest: rate.samples(record.longest.min(RECORD_TIME)),
            first_silence: record.first_silence.map(samples),
            silence: record.silence.map(samples),
            written: 0,
            silent: Vec::new(),
            part: Vec::new(),
            has_heard: false,
            is_over: false,
        }
    }

    /// Takes a frame; why the recording is over, if it is now.
    pub fn take(&mut self, samples: &[i16]) -> Option<RecordEnd> {
        if self.is_over {
            return None;
        }
        let room = self.longest - self.written - self.silent.len();
        let taken = &samples[..samples.len().min(room)];
        let is_silent = power(samples) < SILENCE_POWER;
        self.has_heard |= !is_silent;
        let most = if self.has_heard {
            self.silence
        } else {
            self.first_silence
        };
        match most {
            Some(most) if is_silent => {
                self.silent.extend_from_slice(taken);
                if self.silent.len() >= most {
                    self.is_over = true;
                    self.silent.clear();
                    return Some(RecordEnd::Silence);
                }
            }
            Some(_) | None => {
                let silent = std::mem::take(&mut self.silent);
                self.write(&silent);
                self.write(taken);
            }
        }
        if self.written + self.silent.len() < self.longest {
            return None;
        }
        self.is_over = true;
        Some(RecordEnd::Full)
    }

    /// The next part, when it is full.
    pub fn poll_part(&mut self) -> Option<Vec<u8>> {
        let whole = self.rate.samples(RECORD_PART) * 2;
        (self.part.len() >= whole).then(|| std::mem::take(&mut self.part))
    }

    /// What is left, the head of the file, and how long it is.
    pub fn finish(mut self) -> (Vec<u8>, Vec<u8>, Duration) {
        let silent = std::mem::take(&mut self.silent);
        self.write(&silent);
        let head = wav::head(self.rate, self.written);
        (self.part, head, self.rate.time(self.written))
    }

    fn write(&mut self, samples: &[i16]) {
        self.part
            .extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        self.written += samples.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{sine, tone_share};
    use crate::wav::Wav;

    fn record(longest_ms: u64, silence_ms: Option<u64>) -> Record {
        Record {
            longest: Duration::from_millis(longest_ms),
            first_silence: silence_ms.map(Duration::from_millis),
            silence: silence_ms.map(Duration::from_millis),
            beep: false,
            until_digit: false,
            both: false,
            file: model::FileName::parse("recording.wav").unwrap(),
        }
    }

    #[test]
    fn silence_before_anything_was_heard_has_a_length_of_its_own() {
        let rule = |first_ms: Option<u64>, later_ms: Option<u64>| Record {
            first_silence: first_ms.map(Duration::from_millis),
            ..record(10_000, later_ms)
        };
        let mut sound = vec![0; 8_000];
        sound.extend(sine(Rate::Hz8000, 440.0, 8_000.0, 50));
        sound.extend(vec![0; 16_000]);
        let (kept, end) = run(&rule(Some(500), Some(1_000)), &sound);
        assert_eq!((kept.len(), end), (0, Some((25, RecordEnd::Silence))));
        let (kept, end) = run(&rule(Some(1_500), Some(200)), &sound);
        assert_eq!((kept.len(), end), (16_000, Some((110, RecordEnd::Silence))));
        let (_, end) = run(&rule(None, Some(200)), &vec![0; 16_000]);
        assert_eq!(end, None);
    }

    /// The file that comes of it, and after how many frames it ended by itself.
    fn run(record: &Record, sound: &[i16]) -> (Vec<i16>, Option<(usize, RecordEnd)>) {
        let rate = Rate::Hz8000;
        let mut recorder = Recorder::new(record, rate);
        let (mut body, mut ended) = (Vec::new(), None);
        for (at, frame) in sound.chunks(rate.frame()).enumerate() {
            if let Some(end) = recorder.take(frame) {
                assert_eq!(ended, None);
                ended = Some((at + 1, end));
            }
            if let Some(part) = recorder.poll_part() {
                assert!(part.len() < 3 * 8_000 * 2);
                body.extend(part);
            }
        }
        let (rest, head, length) = recorder.finish();
        let file = [head, body, rest].concat();
        let mut samples = Vec::new();
        if let Ok(wav) = Wav::read(file.into()) {
            wav.samples(0, usize::MAX, &mut samples);
        }
        assert_eq!(length, rate.time(samples.len()));
        (samples, ended)
    }

    #[test]
    fn what_was_said_is_what_is_written() {
        let sound = sine(Rate::Hz8000, 440.0, 8_000.0, 200);
        let (file, ended) = run(&record(60_000, None), &sound);
        assert_eq!(ended, None);
        assert_eq!(file, sound);
        assert!(tone_share(&file, Rate::Hz8000, 440.0) > 0.99);
    }

    #[test]
    fn it_is_as_long_as_it_may_be() {
        let sound = sine(Rate::Hz8000, 440.0, 8_000.0, 200);
        let (file, ended) = run(&record(1_010, Some(5_000)), &sound);
        assert_eq!(file.len(), 8_080);
        assert_eq!(ended, Some((51, RecordEnd::Full)));
        let (silence, ended) = run(&record(1_000, Some(5_000)), &[0; 16_000]);
        assert_eq!(silence.len(), 8_000);
        assert_eq!(ended, Some((50, RecordEnd::Full)));
    }

    #[test]
    fn silence_ends_it_and_is_not_kept_but_a_pause_is() {
        let rate = Rate::Hz8000;
        let mut sound = sine(rate, 440.0, 8_000.0, 50);
        sound.extend([0; 160 * 40]);
        sound.extend(sine(rate, 440.0, 8_000.0, 50));
        let said = sound.len();
        sound.extend([3; 160 * 200]);
        let (file, ended) = run(&record(60_000, Some(1_000)), &sound);
        assert_eq!(file, sound[..said]);
        assert_eq!(ended, Some((190, RecordEnd::Silence)));
    }
}
