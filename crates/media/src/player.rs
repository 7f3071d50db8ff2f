//! What a leg hears: files, tones, silence and keys, one after the other, frame by frame.
//!
//! Keys are pressed by the leg, which asks for nothing more until they are.
//!
//! Never opens a file: its bytes come in. Never allocates for more than some frames ahead.

use std::time::Duration;

use model::limits::{DIGITS_PLAYED, PLAY_SOUNDS};
use model::media::{Digit, Play, Sound, Tone};

use crate::audio::Rate;
use crate::codec::Resampler;
use crate::tone::ToneMaker;
use crate::wav::Wav;

/// One thing that is played, from its beginning to its end.
#[derive(Debug)]
pub struct Player {
    rate: Rate,
    sounds: Vec<Ready>,
    /// Rounds after this one; nothing for without end.
    rounds: Option<u32>,
    /// The sound that is next.
    next: usize,
    now: Option<Source>,
    /// To be pressed now.
    keys: Vec<Digit>,
    /// Samples of this round, so that a round of nothing is not repeated for ever.
    round_made: usize,
    made: usize,
}

/// A sound that is known to be one.
#[derive(Clone, Debug)]
enum Ready {
    File(Wav),
    Tone(Tone),
    Silence(usize),
    Digits(Vec<Digit>),
}

#[derive(Debug)]
enum Source {
    File {
        wav: Wav,
        at: usize,
        resampler: Box<Resampler>,
        /// Resampled, and not yet heard.
        waiting: Vec<i16>,
    },
    Tone(ToneMaker),
    Silence(usize),
}

impl Player {
    /// Checks every sound before the first is heard; what is wrong is said in a sentence.
    pub fn new(play: &Play, rate: Rate) -> Result<Self, String> {
        if play.sounds.len() > PLAY_SOUNDS {
            return Err(format!("at most {PLAY_SOUNDS} sounds are played at once"));
        }
        let sounds: Result<Vec<Ready>, String> = play
            .sounds
            .iter()
            .map(|sound| Ready::new(sound, rate))
            .collect();
        Ok(Self {
            rate,
            sounds: sounds?,
            rounds: play.times.map(|times| times.saturating_sub(1)),
            next: 0,
            now: None,
            keys: Vec::new(),
            round_made: 0,
            made: 0,
        })
    }

    /// One frame into `frame`, which is cleared before. False: nothing was left, and the frame is empty.
    pub fn frame(&mut self, frame: &mut Vec<i16>) -> bool {
        frame.clear();
        let whole = self.rate.frame();
        while frame.len() < whole {
            if self.now.is_none() && !self.begin_next() {
                break;
            }
            let before = frame.len();
            if let Some(source) = &mut self.now
                && !source.fill(whole, frame)
            {
                self.now = None;
            }
            self.round_made += frame.len() - before;
            self.made += frame.len() - before;
        }
        let is_any = !frame.is_empty();
        if is_any {
            frame.resize(whole, 0);
        }
        is_any
    }

    /// Keys that are to be pressed before anything more is heard.
    pub fn take_keys(&mut self) -> Vec<Digit> {
        std::mem::take(&mut self.keys)
    }

    /// How much of it was made.
    pub fn heard(&self) -> Duration {
        self.rate.time(self.made)
    }

    fn begin_next(&mut self) -> bool {
        if self.next >= self.sounds.len() {
            let is_last = self.rounds == Some(0) || self.round_made == 0;
            if is_last {
                return false;
            }
            self.rounds = self.rounds.map(|rounds| rounds - 1);
            self.round_made = 0;
            self.next = 0;
        }
        let sound = self.sounds.get(self.next);
        if let Some(Ready::Digits(digits)) = sound {
            self.keys.extend_from_slice(digits);
        }
        let source = sound.and_then(|sound| sound.begin(self.rate));
        self.next += 1;
        self.now = source;
        true
    }
}

impl Ready {
    fn new(sound: &Sound, rate: Rate) -> Result<Self, String> {
        match sound {
            Sound::File(bytes) => Wav::read(bytes.clone())
                .map(Self::File)
                .map_err(|error| error.to_string()),
            Sound::Tone(tone) => match ToneMaker::new(tone, rate) {
                Ok(_) => Ok(Self::Tone(tone.clone())),
                Err(error) => Err(error.to_string()),
            },
            Sound::Silence(time) => Ok(Self::Silence(rate.samples(*time))),
            Sound::Digits(digits) if digits.len() > DIGITS_PLAYED => {
                Err(format!("at most {DIGITS_PLAYED} keys are pressed at once"))
            }
            Sound::Digits(digits) => Ok(Self::Digits(digits.clone())),
        }
    }

    fn begin(&self, rate: Rate) -> Option<Source> {
        match self {
            Self::File(wav) => Some(Source::File {
                resampler: Box::new(Resampler::new(wav.rate_hz(), rate).ok()?),
                wav: wav.clone(),
                at: 0,
                waiting: Vec::new(),
            }),
            Self::Tone(tone) => ToneMaker::new(tone, rate).ok().map(Source::Tone),
            Self::Silence(samples) => Some(Source::Silence(*samples)),
            // What follows is in no frame before the keys.
            Self::Digits(_) => Some(Source::Silence(rate.frame())),
        }
    }
}

impl Source {
    /// Fills up to the length of a frame; false if it has ended.
    fn fill(&mut self, whole: usize, frame: &mut Vec<i16>) -> bool {
        let wanted = whole - frame.len();
        match self {
            Self::File {
                wav,
                at,
                resampler,
                waiting,
            } => {
                // As many as 20 ms of the file at a time.
                let piece = (wav.rate_hz() / 50) as usize;
                let mut given = Vec::with_capacity(piece);
                while waiting.len() < wanted && *at < wav.length() {
                    given.clear();
                    wav.samples(*at, piece, &mut given);
                    *at += given.len();
                    resampler.push(&given, waiting);
                    if *at >= wav.length() {
                        resampler.finish(waiting);
                    }
                }
                let taken = wanted.min(waiting.len());
                frame.extend(waiting.drain(..taken));
                !waiting.is_empty() || *at < wav.length()
            }
            Self::Tone(tone) => {
                tone.make(wanted, frame);
                frame.len() == whole
            }
            Self::Silence(left) => {
                let taken = wanted.min(*left);
                frame.resize(frame.len() + taken, 0);
                *left -= taken;
                *left > 0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::audio::power;
    use crate::tests::{sine_hz, tone_share};
    use crate::wav;

    fn play(sounds: Vec<Sound>, times: Option<u32>) -> Play {
        Play {
            sounds,
            times,
            until_digit: false,
        }
    }

    fn hear(play: &Play, rate: Rate, most_frames: usize) -> Vec<i16> {
        let mut player = Player::new(play, rate).unwrap();
        let (mut frame, mut heard) = (Vec::new(), Vec::new());
        for _ in 0..most_frames {
            if !player.frame(&mut frame) {
                assert!(player.heard() <= rate.time(heard.len()));
                return heard;
            }
            assert_eq!(frame.len(), rate.frame());
            heard.extend_from_slice(&frame);
        }
        heard
    }

    fn file(rate_hz: u32, hz: f32, ms: u32) -> Sound {
        let samples = sine_hz(rate_hz, hz, 9_000.0, (rate_hz * ms / 1_000) as usize);
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        Sound::File(wav::tests::file(1, 16, 1, rate_hz, &bytes))
    }

    #[test]
    fn a_file_is_heard_at_its_pitch_by_every_leg() {
        for rate_hz in [8_000, 16_000, 22_050, 44_100, 48_000] {
            for rate in [Rate::Hz8000, Rate::Hz16000, Rate::Hz48000] {
                let heard = hear(
                    &play(vec![file(rate_hz, 1_000.0, 1_000)], Some(1)),
                    rate,
                    100,
                );
                // The filter's delay is at most two frames.
                let frames = heard.len() / rate.frame();
                assert!((50..=53).contains(&frames), "{rate_hz} {rate:?} {frames}");
                let middle = &heard[rate.frame() * 10..rate.frame() * 40];
                assert!(
                    tone_share(middle, rate, 1_000.0) > 0.98,
                    "{rate_hz} {rate:?}"
                );
            }
        }
    }

    #[test]
    fn sounds_follow_each_other_and_are_repeated() {
        let sounds = vec![
            file(8_000, 500.0, 100),
            Sound::Silence(Duration::from_millis(100)),
            Sound::Tone(Tone::beep()),
        ];
        let heard = hear(&play(sounds, Some(2)), Rate::Hz8000, 1_000);
        assert_eq!(heard.len(), 2 * 400 * 8);
        for round in [0, 3_200] {
            let part =
                |from_ms: usize, to_ms: usize| &heard[round + from_ms * 8..round + to_ms * 8];
            assert!(tone_share(part(0, 100), Rate::Hz8000, 500.0) > 0.99);
            assert_eq!(power(part(100, 200)), 0);
            assert!(tone_share(part(200, 400), Rate::Hz8000, 1_000.0) > 0.99);
        }
    }

    #[test]
    fn without_end_is_without_end_but_nothing_is_nothing() {
        let endless = play(vec![Sound::Tone(Tone::beep())], None);
        assert_eq!(hear(&endless, Rate::Hz8000, 1_000).len(), 160_000);
        for nothing in [vec![], vec![Sound::Silence(Duration::ZERO)]] {
            assert_eq!(hear(&play(nothing, None), Rate::Hz8000, 10), [0; 0]);
        }
    }

    #[test]
    fn keys_are_given_out_once_each_round_and_before_what_follows() {
        let digits: Vec<Digit> = "12#".chars().filter_map(Digit::from_key).collect();
        let sounds = vec![
            Sound::Silence(Duration::from_millis(30)),
            Sound::Digits(digits.clone()),
            Sound::Tone(Tone::beep()),
        ];
        let mut player = Player::new(&play(sounds, Some(2)), Rate::Hz8000).unwrap();
        let (mut frame, mut pressed) = (Vec::new(), Vec::new());
        while player.frame(&mut frame) {
            let keys = player.take_keys();
            if !keys.is_empty() {
                assert_eq!(power(&frame), 0, "nothing is heard with them");
                pressed.extend(keys);
            }
        }
        assert_eq!(pressed, [digits.clone(), digits].concat());
        let many = vec![Digit::from_event(1).unwrap(); DIGITS_PLAYED + 1];
        assert!(Player::new(&play(vec![Sound::Digits(many)], None), Rate::Hz8000).is_err());
    }

    #[test]
    fn what_cannot_be_played_is_said_before_anything_is_heard() {
        let broken = Sound::File(Arc::from(&b"MZ"[..]));
        let refused = Player::new(
            &play(vec![Sound::Tone(Tone::beep()), broken], None),
            Rate::Hz8000,
        );
        assert!(refused.unwrap_err().contains("no WAV file"));
        let many = vec![Sound::Silence(Duration::ZERO); PLAY_SOUNDS + 1];
        assert!(Player::new(&play(many, None), Rate::Hz8000).is_err());
    }
}
