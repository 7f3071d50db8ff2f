//! Keys as pairs of tones in the sound itself (ITU-T Q.23, Q.24), for peers that agreed on no telephone-event.
//!
//! Works on samples of 8 kHz, and never on those of Opus: its encoder may change tones beyond what Q.24 bears.

use std::time::Duration;

use model::media::{Digit, Tone};

use crate::audio::{Rate, power};

/// The frequencies of the rows and of the columns.
const ROWS: [u16; 4] = [697, 770, 852, 941];
const COLUMNS: [u16; 4] = [1_209, 1_336, 1_477, 1_633];
const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

/// What is looked at together: 15 ms. A neighbouring row, 73 Hz away, is then next to a null of the filter, and a tone that is 1.5 %
/// out of tune, which Q.24 has understood, keeps most of its power.
const WINDOW: usize = 120;
/// How often: each 7.5 ms.
const HOP: usize = 60;
/// Windows that must agree: so many see most of a key that lasts 40 ms, the shortest that Q.24 has understood.
const AGREE: u8 = 4;
/// Windows without it until a key has ended.
const MISSES: u8 = 3;
/// The weakest pair that counts, as the mean of squares: about 40 dB below the loudest.
const WEAKEST: f64 = 50_000.0;
/// How much of all that is heard the pair must be; speech has more beside it.
const SHARE: f64 = 0.65;
/// How much stronger the best row and column must be than the next: 6 dB.
const AHEAD: f64 = 4.0;
/// How much stronger the column may be than the row: 4 dB; and the row than the column: 8 dB (Q.24).
const COLUMN_OVER_ROW: f64 = 2.5;
const ROW_OVER_COLUMN: f64 = 6.3;

/// A key as a tone.
pub fn digit_tone(digit: Digit, lasts: Duration) -> Tone {
    let key = digit.key();
    let place = KEYS.iter().enumerate().find_map(|(row, keys)| {
        let column = keys.iter().position(|known| *known == key)?;
        Some([ROWS[row], COLUMNS[column]])
    });
    Tone {
        frequencies_hz: place.map_or_else(Vec::new, Vec::from),
        level_db: 10,
        rhythm_ms: Vec::new(),
        lasts: Some(lasts),
    }
}

/// Listens to one peer.
#[derive(Debug, Default)]
pub struct Detector {
    /// The last of what was heard, shorter than a window.
    waiting: Vec<i16>,
    /// What the last windows held, and how many of them.
    candidate: Option<Digit>,
    agreed: u8,
    /// The key that is pressed, and for how many windows it was not heard.
    pressed: Option<Digit>,
    missed: u8,
}

impl Detector {
    /// Takes samples of 8 kHz; calls `heard` for each key, once, when it is pressed.
    pub fn listen(&mut self, samples: &[i16], mut heard: impl FnMut(Digit)) {
        self.waiting.extend_from_slice(samples);
        let mut at = 0;
        while let Some(window) = self.waiting.get(at..at + WINDOW) {
            let digit = digit_in(window);
            at += HOP;
            if let Some(digit) = self.weigh(digit) {
                heard(digit);
            }
        }
        self.waiting.drain(..at);
    }

    fn weigh(&mut self, digit: Option<Digit>) -> Option<Digit> {
        if digit.is_some() && digit == self.pressed {
            self.missed = 0;
            return None;
        }
        if self.pressed.is_some() {
            self.missed += 1;
            if self.missed >= MISSES {
                self.pressed = None;
            }
        }
        self.agreed = if digit == self.candidate {
            self.agreed.saturating_add(1)
        } else {
            1
        };
        self.candidate = digit;
        let is_new = digit.is_some() && self.agreed >= AGREE;
        if !is_new {
            return None;
        }
        self.pressed = digit;
        self.missed = 0;
        digit
    }
}

fn digit_in(window: &[i16]) -> Option<Digit> {
    let all = power(window) as f64;
    if all < WEAKEST {
        return None;
    }
    let (row, row_power) = strongest(window, &ROWS)?;
    let (column, column_power) = strongest(window, &COLUMNS)?;
    let is_pair = row_power + column_power >= all * SHARE
        && column_power <= row_power * COLUMN_OVER_ROW
        && row_power <= column_power * ROW_OVER_COLUMN;
    is_pair
        .then(|| Digit::from_key(KEYS[row][column]))
        .flatten()
}

/// Which of four frequencies is heard, if one is clearly.
fn strongest(window: &[i16], frequencies: &[u16; 4]) -> Option<(usize, f64)> {
    let powers = frequencies.map(|hz| power_at(window, hz));
    let (best, most) = powers
        .iter()
        .copied()
        .enumerate()
        .max_by(|one, other| one.1.total_cmp(&other.1))?;
    let is_ahead = powers
        .iter()
        .enumerate()
        .all(|(at, power)| at == best || power * AHEAD <= most);
    is_ahead.then_some((best, most))
}

/// Goertzel's algorithm: the power of one frequency, as the mean of its squares.
fn power_at(window: &[i16], hz: u16) -> f64 {
    let step = std::f64::consts::TAU * f64::from(hz) / f64::from(Rate::Hz8000.hz());
    let twice_cos = 2.0 * step.cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in window {
        let next = f64::from(*sample) + twice_cos * last - before;
        (before, last) = (last, next);
    }
    let count = window.len() as f64;
    2.0 * (last * last + before * before - twice_cos * last * before) / (count * count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::clip;
    use crate::codec::Encoding;
    use crate::tests::sine_hz;

    /// Pairs of tones with pauses.
    fn press(keys: &str, on_ms: usize, off_ms: usize, level: f32, detune: f32) -> Vec<i16> {
        let mut sound = Vec::new();
        for key in keys.chars() {
            let tone = digit_tone(Digit::from_key(key).unwrap(), Duration::ZERO);
            let parts = tone.frequencies_hz.iter();
            let parts: Vec<Vec<i16>> = parts
                .map(|hz| sine_hz(8_000, f32::from(*hz) * detune, level, on_ms * 8))
                .collect();
            sound.extend((0..on_ms * 8).map(|at| parts[0][at] + parts[1][at]));
            sound.extend(std::iter::repeat_n(0, off_ms * 8));
        }
        sound
    }

    fn hear(sound: &[i16]) -> String {
        let mut detector = Detector::default();
        let mut keys = String::new();
        for frame in sound.chunks(160) {
            detector.listen(frame, |digit| keys.push(digit.key()));
        }
        keys
    }

    const ALL: &str = "0123456789*#ABCD";

    #[test]
    fn every_key_is_heard_once_at_the_shortest_that_q_24_asks_for() {
        assert_eq!(hear(&press(ALL, 40, 40, 8_000.0, 1.0)), ALL);
        assert_eq!(hear(&press("11223311", 65, 65, 8_000.0, 1.0)), "11223311");
        assert_eq!(hear(&press("5", 3_000, 0, 8_000.0, 1.0)), "5");
    }

    #[test]
    fn loud_and_soft_and_a_little_out_of_tune() {
        for level in [400.0, 2_000.0, 16_000.0] {
            for detune in [0.985, 1.0, 1.015] {
                assert_eq!(
                    hear(&press(ALL, 80, 60, level, detune)),
                    ALL,
                    "{level} {detune}"
                );
            }
        }
        assert_eq!(hear(&press(ALL, 80, 60, 50.0, 1.0)), "");
        assert_eq!(hear(&press(ALL, 80, 60, 8_000.0, 1.06)), "");
    }

    #[test]
    fn through_g711_and_beside_noise() {
        let mut random = 1_u32;
        for encoding in [Encoding::Pcmu, Encoding::Pcma] {
            let mut codec = encoding.codec().unwrap();
            let mut heard = Vec::new();
            let mut sound = press(ALL, 60, 60, 6_000.0, 1.0);
            for sample in &mut sound {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *sample += (random >> 16) as i16 / 32;
            }
            for frame in sound.as_chunks::<160>().0 {
                let mut payload = Vec::new();
                codec.encode(frame, &mut payload).unwrap();
                codec.decode(&payload, &mut heard).unwrap();
            }
            assert_eq!(hear(&heard), ALL);
        }
    }

    #[test]
    fn neither_single_tones_nor_noise_nor_vowels_are_keys() {
        for hz in (300..3_400).step_by(7) {
            assert_eq!(hear(&sine_hz(8_000, hz as f32, 8_000.0, 1_600)), "", "{hz}");
        }
        let mut random = 7_u32;
        let noise: Vec<i16> = (0..80_000)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 16) as i16 / 4
            })
            .collect();
        assert_eq!(hear(&noise), "");
        // A voice: all harmonics of a gliding fundamental, resonating at two formants, 100 Hz wide, that glide through the rows and columns.
        let (mut phase, mut voice) = (0.0_f64, Vec::new());
        for at in 0..160_000 {
            let time = f64::from(at) / 8_000.0;
            let pitch = 150.0 + 60.0 * (time * 1.7).sin();
            phase += std::f64::consts::TAU * pitch / 8_000.0;
            let first = 600.0 + 250.0 * (time * 2.3).sin();
            let second = 1_400.0 + 300.0 * (time * 3.1).sin();
            let sample: f64 = (1..20)
                .map(|harmonic| {
                    let hz = pitch * f64::from(harmonic);
                    let gain = |formant: f64| 1.0 / (1.0 + ((hz - formant) / 50.0).powi(2)).sqrt();
                    (phase * f64::from(harmonic)).sin() * (0.05 + gain(first) + gain(second))
                })
                .sum();
            voice.push(clip((sample * 4_000.0) as f32));
        }
        let false_keys = hear(&voice).len();
        assert!(false_keys <= 1, "{false_keys} keys in 20 s of a voice");
    }
}
