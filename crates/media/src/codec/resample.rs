//! From one rate to another, in blocks of about 20 ms, with the filters of the crate `rubato`.
//!
//! Never changes pitch or length beyond the delay of its filter, which is half a block.

use std::fmt;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use super::CodecError;
use crate::audio::{FRAMES_PER_SECOND, Rate, clip};

/// The lowest rate of a file that is played.
pub(crate) const LOWEST_HZ: u32 = 4_000;
/// The highest.
pub(crate) const HIGHEST_HZ: u32 = 192_000;

/// One stream of samples on its way to another rate.
pub struct Resampler {
    /// Nothing where both rates are one.
    filter: Option<Filter>,
}

struct Filter {
    fft: Fft<f32>,
    /// What waits for a full block.
    waiting: Vec<f32>,
    out: Vec<f32>,
}

impl Resampler {
    /// From any rate of a file to one of ours.
    pub fn new(from_hz: u32, to: Rate) -> Result<Self, CodecError> {
        if !(LOWEST_HZ..=HIGHEST_HZ).contains(&from_hz) {
            return Err(CodecError::Rate);
        }
        if from_hz == to.hz() {
            return Ok(Self { filter: None });
        }
        let block = (from_hz / FRAMES_PER_SECOND) as usize;
        let fft = Fft::new(
            from_hz as usize,
            to.hz() as usize,
            block,
            1,
            FixedSync::Both,
        )
        .map_err(|_| CodecError::Rate)?;
        let out = vec![0.0; fft.output_frames_max()];
        Ok(Self {
            filter: Some(Filter {
                fft,
                waiting: Vec::new(),
                out,
            }),
        })
    }

    /// Takes samples, and appends what can be told so far.
    pub fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        match &mut self.filter {
            None => out.extend_from_slice(samples),
            Some(filter) => filter.push(samples, out),
        }
    }

    /// Appends what the filter still holds of the past.
    pub fn finish(&mut self, out: &mut Vec<i16>) {
        if let Some(filter) = &mut self.filter {
            let rest = filter.waiting.len() + filter.fft.output_delay();
            let silence = vec![0; rest.next_multiple_of(filter.fft.input_frames_next())];
            filter.push(&silence, out);
            filter.waiting.clear();
        }
    }
}

/// A stream that comes at a rate which may change, on its way to one that stays.
#[derive(Debug)]
pub(crate) struct Levelled {
    to: Rate,
    from: Rate,
    /// Nothing while both rates are one.
    resampler: Option<Resampler>,
}

impl Levelled {
    pub(crate) const fn new(to: Rate) -> Self {
        Self {
            to,
            from: to,
            resampler: None,
        }
    }

    /// Takes samples of that rate, and appends what can be told so far.
    pub(crate) fn push(&mut self, samples: &[i16], from: Rate, out: &mut Vec<i16>) {
        if from != self.from {
            self.from = from;
            self.resampler = Resampler::new(from.hz(), self.to).ok();
        }
        match &mut self.resampler {
            None => out.extend_from_slice(samples),
            Some(resampler) => resampler.push(samples, out),
        }
    }
}

impl Filter {
    fn push(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        self.waiting
            .extend(samples.iter().map(|sample| f32::from(*sample)));
        let block = self.fft.input_frames_next();
        let mut taken = 0;
        while self.waiting.len() - taken >= block {
            let given = &self.waiting[taken..taken + block];
            taken += block;
            let room = self.out.len();
            let written = InterleavedSlice::new(given, 1, block)
                .ok()
                .zip(InterleavedSlice::new_mut(&mut self.out, 1, room).ok())
                .and_then(|(given, mut room)| {
                    self.fft.process_into_buffer(&given, &mut room, None).ok()
                })
                .map_or(0, |(_, written)| written);
            out.extend(self.out[..written].iter().copied().map(clip));
        }
        self.waiting.drain(..taken);
    }
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampler").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{sine_hz, tone_share};

    #[test]
    fn a_tone_keeps_its_pitch_from_every_rate_to_every_rate() {
        for from in [
            8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000,
        ] {
            for to in [Rate::Hz8000, Rate::Hz16000, Rate::Hz48000] {
                let mut resampler = Resampler::new(from, to).unwrap();
                let sound = sine_hz(from, 1_000.0, 10_000.0, from as usize);
                let mut heard = Vec::new();
                for piece in sound.chunks(333) {
                    resampler.push(piece, &mut heard);
                }
                resampler.finish(&mut heard);
                let second = to.hz() as usize;
                assert!(
                    (second..second + second / 10).contains(&heard.len()),
                    "{from} to {to:?}: {}",
                    heard.len()
                );
                let share = tone_share(&heard[second / 4..second / 4 * 3], to, 1_000.0);
                assert!(share > 0.98, "{from} to {to:?}: {share}");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_filtered_and_not_folded_down() {
        let mut resampler = Resampler::new(48_000, Rate::Hz8000).unwrap();
        let mut heard = Vec::new();
        // 7 kHz would be heard as 1 kHz.
        resampler.push(&sine_hz(48_000, 7_000.0, 10_000.0, 48_000), &mut heard);
        assert!(crate::audio::power(&heard[800..]) < 1_000);
    }

    /// ITU-T G.712: a telephone hears up to 3.4 kHz.
    #[test]
    fn all_that_a_telephone_hears_is_heard() {
        for (from, to) in [(8_000, Rate::Hz16000), (16_000, Rate::Hz8000)] {
            for hz in [300.0, 1_000.0, 2_000.0, 3_000.0, 3_400.0] {
                let sound = sine_hz(from, hz, 10_000.0, from as usize);
                let (mut resampler, mut heard) = (Resampler::new(from, to).unwrap(), Vec::new());
                resampler.push(&sound, &mut heard);
                let second = to.hz() as usize;
                let power = |samples: &[i16]| crate::audio::power(samples) as f64;
                let kept = power(&heard[second / 4..second / 2]) / power(&sound);
                assert!(kept > 0.8 && kept < 1.1, "{from} Hz, {hz}: {kept}");
            }
        }
    }

    #[test]
    fn rates_of_nothing_are_refused() {
        for hz in [0, 1, 3_999, 192_001, u32::MAX] {
            assert!(Resampler::new(hz, Rate::Hz8000).is_err());
        }
    }
}
