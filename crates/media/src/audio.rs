//! Sound as numbers: 16-bit samples of one channel, in frames of 20 ms.
//!
//! Never encodes or mixes; it only says how many samples there are, and how loud they are.

use std::time::Duration;

/// What every player, codec and recorder works in: 20 ms, the packet time that browsers and telephones use.
pub const FRAME_TIME: Duration = Duration::from_millis(20);
/// Frames in a second.
pub const FRAMES_PER_SECOND: u32 = 50;

/// Samples in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rate {
    /// 8 kHz: telephones, G.711.
    Hz8000,
    /// 16 kHz: speech in Opus.
    Hz16000,
    /// 48 kHz: all that Opus can hold.
    Hz48000,
}

impl Rate {
    /// As a number.
    pub const fn hz(self) -> u32 {
        match self {
            Self::Hz8000 => 8_000,
            Self::Hz16000 => 16_000,
            Self::Hz48000 => 48_000,
        }
    }

    /// Samples in one frame.
    pub const fn frame(self) -> usize {
        (self.hz() / FRAMES_PER_SECOND) as usize
    }

    /// Samples in so long.
    pub fn samples(self, time: Duration) -> usize {
        let samples = time.as_micros() * u128::from(self.hz()) / 1_000_000;
        usize::try_from(samples).unwrap_or(usize::MAX)
    }

    /// How long so many samples last.
    pub fn time(self, samples: usize) -> Duration {
        Duration::from_micros(samples as u64 * 1_000_000 / u64::from(self.hz()))
    }
}

/// The mean of squares below which a frame is silence: 44 dB below the loudest sine, above the noise of most lines.
pub const SILENCE_POWER: u64 = 20_000;

/// The mean of the squares: 0 for silence, 2³⁰ for the loudest square wave.
pub fn power(samples: &[i16]) -> u64 {
    let sum: u64 = samples
        .iter()
        .map(|sample| u64::from(sample.unsigned_abs()).pow(2))
        .sum();
    sum / samples.len().max(1) as u64
}

/// From a number that may be too large to the nearest sample.
pub(crate) fn clip(value: f32) -> i16 {
    // The conversion saturates by itself, and turns what is no number into silence.
    value.round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_lasts_twenty_milliseconds_at_every_rate() {
        for rate in [Rate::Hz8000, Rate::Hz16000, Rate::Hz48000] {
            assert_eq!(rate.samples(FRAME_TIME), rate.frame());
            assert_eq!(rate.time(rate.frame()), FRAME_TIME);
        }
    }

    #[test]
    fn power_is_bounded_and_silence_has_none() {
        assert_eq!(power(&[]), 0);
        assert_eq!(power(&[0; 160]), 0);
        assert_eq!(power(&[i16::MIN; 160]), 1 << 30);
    }
}
