//! What the tests of this crate hear with: sines, and how much of a sound one frequency is.
//!
//! Never part of the product.

use crate::audio::{Rate, clip, power};

/// So many frames of one frequency.
pub(crate) fn sine(rate: Rate, hz: f32, amplitude: f32, frames: usize) -> Vec<i16> {
    sine_hz(rate.hz(), hz, amplitude, rate.frame() * frames)
}

pub(crate) fn sine_hz(rate_hz: u32, hz: f32, amplitude: f32, samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|at| {
            let turns = f64::from(hz) * at as f64 / f64::from(rate_hz);
            let angle = (turns.fract() * std::f64::consts::TAU) as f32;
            clip(angle.sin() * amplitude)
        })
        .collect()
}

/// How much of the sound's power lies at one frequency, 0 to 1, by Goertzel's algorithm written out once more: the crate's own
/// is what is tested.
pub(crate) fn tone_share(samples: &[i16], rate: Rate, hz: f64) -> f64 {
    let step = std::f64::consts::TAU * hz / f64::from(rate.hz());
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let angle = step * at as f64;
        re += f64::from(*sample) * angle.cos();
        im += f64::from(*sample) * angle.sin();
    }
    let count = samples.len() as f64;
    2.0 * (re * re + im * im) / (count * count) / (power(samples).max(1) as f64)
}
