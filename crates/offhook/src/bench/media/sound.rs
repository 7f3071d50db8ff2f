//! What is said in the calls, and what its codec costs by itself.

use std::time::Duration;

use anyhow::anyhow;
use node::media::codec::{Codec, Encoding};

use super::plan::Sound;
use crate::bench::processor;

/// A frame of G.711.
pub(super) const G711_LEN: usize = 160;
/// Where the stamp of a packet ends: its call and its number.
pub(super) const STAMP_LEN: usize = 8;
/// Frames of Opus that go round, and that are taken for the codec's own cost.
const FRAMES: usize = 100;
/// Processor time that is given to the codec alone.
const COST_TIME: Duration = Duration::from_millis(300);

/// Payloads of browsers.
pub(super) struct Voice {
    frames: Vec<Vec<u8>>,
    sound: Sound,
}

impl Voice {
    pub(super) fn new(sound: Sound) -> anyhow::Result<Self> {
        let frames = match sound {
            Sound::Pcmu => vec![filler().to_vec()],
            Sound::Opus => encoded(&mut *codec()?)?,
        };
        Ok(Self { frames, sound })
    }

    /// The payload of a packet by its number, with a stamp where nobody minds.
    pub(super) fn payload(&self, call: usize, number: u32) -> Vec<u8> {
        let mut payload = self.frames[number as usize % self.frames.len()].clone();
        if self.sound == Sound::Pcmu {
            stamp(&mut payload, call, number);
        }
        payload
    }

    /// From one packet to the next.
    pub(super) fn step(&self) -> u32 {
        match self.sound {
            Sound::Pcmu => 160,
            Sound::Opus => 960,
        }
    }
}

/// Bytes that no two of are alike for long.
pub(super) const fn filler() -> [u8; G711_LEN] {
    let (mut bytes, mut at) = ([0; G711_LEN], 0);
    while at < bytes.len() {
        bytes[at] = (at * 37) as u8;
        at += 1;
    }
    bytes
}

/// Writes which packet it is into a payload of G.711.
pub(super) fn stamp(payload: &mut [u8], call: usize, number: u32) {
    payload[..4].copy_from_slice(&(call as u32).to_be_bytes());
    payload[4..STAMP_LEN].copy_from_slice(&number.to_be_bytes());
}

/// Whether a payload is one that was said, byte by byte; the first bytes say which.
pub(super) fn is_whole(payload: &[u8], calls: usize) -> bool {
    let Some((stamp, rest)) = payload.split_at_checked(STAMP_LEN) else {
        return false;
    };
    let call = u32::from_be_bytes([stamp[0], stamp[1], stamp[2], stamp[3]]);
    (call as usize) < calls && *rest == filler()[STAMP_LEN..]
}

/// Processor time of one frame that is encoded and one that is decoded: what a transcoded call takes each 20 ms at least.
pub(super) fn cost_of_a_frame() -> anyhow::Result<Duration> {
    let (mut encoder, mut decoder) = (codec()?, codec()?);
    let frames = samples(&*encoder);
    let own = || processor::used_by(std::process::id());
    let (began, mut spent, mut done) = (own()?, Duration::ZERO, 0);
    let (mut payload, mut heard) = (Vec::new(), Vec::new());
    for frame in frames.iter().cycle() {
        if spent > COST_TIME {
            break;
        }
        payload.clear();
        heard.clear();
        encoder.encode(frame, &mut payload).map_err(fault)?;
        decoder.decode(&payload, &mut heard).map_err(fault)?;
        (done, spent) = (done + 1, own()? - began);
    }
    Ok(spent / done)
}

fn codec() -> anyhow::Result<Box<dyn Codec>> {
    Encoding::Opus.codec().map_err(fault)
}

fn fault(error: node::media::codec::CodecError) -> anyhow::Error {
    anyhow!("Opus cannot be encoded: {error}")
}

fn encoded(codec: &mut dyn Codec) -> anyhow::Result<Vec<Vec<u8>>> {
    let frames = samples(&*codec);
    let encode = |frame: Vec<i16>| {
        let mut payload = Vec::new();
        codec.encode(&frame, &mut payload).map_err(fault)?;
        Ok(payload)
    };
    frames.into_iter().map(encode).collect()
}

/// Something like a voice: a low note with overtones that comes and goes, and some breath.
fn samples(codec: &dyn Codec) -> Vec<Vec<i16>> {
    let (whole, hz) = (codec.rate().frame(), codec.rate().hz() as f32);
    let mut breath = 1_u32;
    let mut sample = |at: usize| {
        let time = at as f32 / hz;
        let tone = |times: f32| (time * 140.0 * times).fract() * std::f32::consts::TAU;
        let loud = 0.5 + 0.5 * (time * 3.0 * std::f32::consts::TAU).sin();
        let voice: f32 = (1..12)
            .map(|times| tone(times as f32).sin() / times as f32)
            .sum();
        breath = breath.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (breath >> 16) as f32 / 65_536.0 - 0.5;
        (4_000.0 * loud * voice + 600.0 * noise) as i16
    };
    let frame = |number: usize| (0..whole).map(|at| sample(number * whole + at)).collect();
    (0..FRAMES).map(frame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_was_touched_is_seen() {
        let voice = Voice::new(Sound::Pcmu).unwrap();
        let mut payload = voice.payload(3, 70_000);
        assert!(is_whole(&payload, 4));
        assert!(!is_whole(&payload, 3));
        assert!(!is_whole(&payload[..100], 4));
        payload[100] ^= 1;
        assert!(!is_whole(&payload, 4));
        assert!(!is_whole(&[], 4));
    }

    #[test]
    fn opus_goes_round() {
        let voice = Voice::new(Sound::Opus).unwrap();
        assert_eq!(voice.payload(1, 0), voice.payload(2, FRAMES as u32));
        assert!(voice.payload(1, 50).len() > 30);
    }
}
