//! Tones: one or more sines in a rhythm.
//!
//! Never reads a table of countries: what a tone is like, its asker says.

use std::fmt;
use std::time::Duration;

use model::limits::{TONE_BEATS, TONE_FREQUENCIES};
use model::media::Tone;

use crate::audio::{Rate, clip};

/// Why a tone cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToneError {
    /// None, or too many frequencies.
    Frequencies,
    /// One that the leg's sound cannot hold.
    TooHigh,
    /// Too many beats, or all of them are empty.
    Rhythm,
}

impl fmt::Display for ToneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frequencies => write!(f, "a tone has 1 to {TONE_FREQUENCIES} frequencies"),
            Self::TooHigh => f.write_str("a tone has frequencies from 1 to 3999 Hz"),
            Self::Rhythm => write!(
                f,
                "a rhythm has at most {TONE_BEATS} beats, and some of them last"
            ),
        }
    }
}

impl std::error::Error for ToneError {}

/// A tone on its way.
#[derive(Debug)]
pub struct ToneMaker {
    rate: Rate,
    sines: Vec<Sine>,
    /// Samples that are heard and then not, in turn; empty for no pause.
    beats: Vec<(usize, usize)>,
    beat: usize,
    /// Samples into the beat.
    at: usize,
    /// Samples until the end.
    left: Option<usize>,
}

/// An oscillator of one multiplication a sample.
#[derive(Debug)]
struct Sine {
    twice_cos: f64,
    last: f64,
    before: f64,
}

impl ToneMaker {
    /// Checks a tone, and begins it.
    pub fn new(tone: &Tone, rate: Rate) -> Result<Self, ToneError> {
        if !(1..=TONE_FREQUENCIES).contains(&tone.frequencies_hz.len()) {
            return Err(ToneError::Frequencies);
        }
        // Half of 8 kHz, so that a tone does not depend on who hears it.
        if tone
            .frequencies_hz
            .iter()
            .any(|hz| !(1..4_000).contains(hz))
        {
            return Err(ToneError::TooHigh);
        }
        let samples = |ms: u16| rate.samples(Duration::from_millis(u64::from(ms)));
        let beats: Vec<(usize, usize)> = tone
            .rhythm_ms
            .iter()
            .map(|(on, off)| (samples(*on), samples(*off)))
            .collect();
        let is_empty = |(on, off): &(usize, usize)| on + off == 0;
        if beats.len() > TONE_BEATS || beats.iter().any(is_empty) {
            return Err(ToneError::Rhythm);
        }
        let amplitude = f64::from(i16::MAX) * 10_f64.powf(-f64::from(tone.level_db) / 20.0);
        Ok(Self {
            rate,
            sines: tone
                .frequencies_hz
                .iter()
                .map(|hz| Sine::new(f64::from(*hz), rate, amplitude))
                .collect(),
            beats,
            beat: 0,
            at: 0,
            left: tone.lasts.map(|time| rate.samples(time)),
        })
    }

    /// Appends at most so many samples; fewer only at its end.
    pub fn make(&mut self, most: usize, samples: &mut Vec<i16>) {
        let count = self.left.map_or(most, |left| left.min(most));
        self.left = self.left.map(|left| left - count);
        for _ in 0..count {
            // The sines go on through the pauses, so that their phase does not depend on the rhythm.
            let sum: f64 = self.sines.iter_mut().map(Sine::next).sum();
            let is_heard = self.step();
            samples.push(if is_heard { clip(sum as f32) } else { 0 });
        }
    }

    /// The rate of its samples.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether this sample is heard.
    fn step(&mut self) -> bool {
        let Some((on, off)) = self.beats.get(self.beat).copied() else {
            return true;
        };
        let is_heard = self.at < on;
        self.at += 1;
        if self.at >= on + off {
            self.at = 0;
            self.beat = (self.beat + 1) % self.beats.len();
        }
        is_heard
    }
}

impl Sine {
    fn new(hz: f64, rate: Rate, amplitude: f64) -> Self {
        let step = std::f64::consts::TAU * hz / f64::from(rate.hz());
        Self {
            twice_cos: 2.0 * step.cos(),
            last: 0.0,
            before: -step.sin() * amplitude,
        }
    }

    fn next(&mut self) -> f64 {
        let next = self.twice_cos * self.last - self.before;
        (self.before, self.last) = (self.last, next);
        self.before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::power;
    use crate::tests::tone_share;

    fn make(tone: &Tone, rate: Rate, seconds: usize) -> Vec<i16> {
        let mut maker = ToneMaker::new(tone, rate).unwrap();
        let mut samples = Vec::new();
        for _ in 0..seconds * 50 {
            maker.make(rate.frame(), &mut samples);
        }
        samples
    }

    #[test]
    fn a_beep_is_one_frequency_for_as_long_as_it_lasts() {
        for rate in [Rate::Hz8000, Rate::Hz16000, Rate::Hz48000] {
            let beep = make(&Tone::beep(), rate, 1);
            assert_eq!(rate.time(beep.len()), Duration::from_millis(200));
            assert!(tone_share(&beep, rate, 1_000.0) > 0.999);
            // 15 dB below the loudest sine.
            let level = 10.0 * (power(&beep) as f64 * 2.0 / 32_767_f64.powi(2)).log10();
            assert!((-15.1..-14.9).contains(&level), "{level}");
        }
    }

    #[test]
    fn ringing_has_two_frequencies_and_a_rhythm() {
        let ringing = make(&Tone::ringing(), Rate::Hz8000, 6);
        let part = |from_ms: usize, to_ms: usize| &ringing[from_ms * 8..to_ms * 8];
        assert!((0.45..0.55).contains(&tone_share(part(0, 400), Rate::Hz8000, 400.0)));
        assert!((0.45..0.55).contains(&tone_share(part(0, 400), Rate::Hz8000, 450.0)));
        assert_eq!(power(part(400, 600)), 0);
        assert!(power(part(600, 1_000)) > 1_000_000);
        assert_eq!(power(part(1_000, 3_000)), 0);
        assert!(power(part(3_000, 3_400)) > 1_000_000);
    }

    #[test]
    fn a_long_tone_keeps_its_level() {
        let mut endless = Tone::busy();
        endless.rhythm_ms.clear();
        let samples = make(&endless, Rate::Hz48000, 600);
        let level = |at: usize| power(&samples[at..at + 48_000]) as f64;
        let last = samples.len() - 48_000;
        assert!((level(0) / level(last) - 1.0).abs() < 0.001);
    }

    #[test]
    fn tones_of_nothing_are_refused() {
        let tone = |frequencies_hz: Vec<u16>, rhythm_ms: Vec<(u16, u16)>| Tone {
            frequencies_hz,
            level_db: 10,
            rhythm_ms,
            lasts: None,
        };
        let refused = |tone| ToneMaker::new(&tone, Rate::Hz8000).err();
        assert_eq!(refused(tone(vec![], vec![])), Some(ToneError::Frequencies));
        assert_eq!(
            refused(tone(vec![400; 5], vec![])),
            Some(ToneError::Frequencies)
        );
        assert_eq!(refused(tone(vec![4_000], vec![])), Some(ToneError::TooHigh));
        assert_eq!(refused(tone(vec![0], vec![])), Some(ToneError::TooHigh));
        assert_eq!(
            refused(tone(vec![400], vec![(0, 0)])),
            Some(ToneError::Rhythm)
        );
        assert_eq!(
            refused(tone(vec![400], vec![(1, 1); 17])),
            Some(ToneError::Rhythm)
        );
    }
}
