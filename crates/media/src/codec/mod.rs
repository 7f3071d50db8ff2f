//! Codecs behind one trait: a frame of samples to a payload, and back.
//!
//! Never knows of packets, sequence numbers or who listens. RFC 3551 §4.5 (G.711, L16), RFC 7587 (Opus).

mod adapted;
mod g711;
mod linear;
mod opus;
mod resample;

use std::fmt;

use crate::audio::Rate;

pub use resample::Resampler;
pub(crate) use resample::{HIGHEST_HZ, LOWEST_HZ, Levelled};

/// The longest payload that is decoded: 120 ms, the longest packet of Opus (RFC 6716 §2.1.4).
pub(crate) const LONGEST_PAYLOAD_FRAMES: usize = 6;

/// What a payload may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// G.711 µ-law (RFC 3551 §4.5.14).
    Pcmu,
    /// G.711 A-law (RFC 3551 §4.5.14).
    Pcma,
    /// Linear samples in network byte order (RFC 3551 §4.5.11) at 8, 16 or 48 kHz.
    Linear(Rate),
    /// Opus (RFC 6716), which is always said to have 48 kHz and two channels (RFC 7587 §4.1).
    Opus,
}

impl Encoding {
    /// The clock of its RTP timestamps.
    pub const fn clock(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::Linear(rate) => rate.hz(),
            Self::Opus => 48_000,
        }
    }

    /// The rate at which we make and take its samples. Opus works at the rate that it is asked for: speech needs no more
    /// than 16 kHz, and costs a third of 48.
    pub const fn rate(self) -> Rate {
        match self {
            Self::Pcmu | Self::Pcma => Rate::Hz8000,
            Self::Linear(rate) => rate,
            Self::Opus => Rate::Hz16000,
        }
    }

    /// A codec of one leg, at its usual rate.
    pub fn codec(self) -> Result<Box<dyn Codec>, CodecError> {
        self.codec_at(self.rate())
    }

    /// A codec whose samples come and go at `rate`. Only Opus has a choice.
    pub fn codec_at(self, rate: Rate) -> Result<Box<dyn Codec>, CodecError> {
        match self {
            Self::Opus => Ok(Box::new(opus::Opus::new(rate))),
            Self::Pcmu | Self::Pcma | Self::Linear(_) if rate != self.rate() => {
                Err(CodecError::Rate)
            }
            Self::Pcmu => Ok(Box::new(g711::G711::new(g711::Law::Mu))),
            Self::Pcma => Ok(Box::new(g711::G711::new(g711::Law::A))),
            Self::Linear(rate) => Ok(Box::new(linear::Linear::new(rate))),
        }
    }

    /// A codec whose samples come and go at `rate`, whatever its own is.
    pub fn codec_adapted(self, rate: Rate) -> Result<Box<dyn Codec>, CodecError> {
        match self.codec_at(rate) {
            Err(CodecError::Rate) => Ok(Box::new(adapted::Adapted::new(self.codec()?, rate)?)),
            other => other,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Linear(_) => "L16",
            Self::Opus => "opus",
        })
    }
}

/// Both directions of one leg. What it remembers is of this leg alone.
pub trait Codec: Send + fmt::Debug {
    /// The rate of its samples.
    fn rate(&self) -> Rate;

    /// One frame of [`Rate::frame`] samples, appended to `payload`.
    fn encode(&mut self, frame: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Appends what a payload holds. What a peer sends may be anything: it is an error, and `samples` stay as they were.
    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), CodecError>;

    /// Appends one frame in place of one that was lost.
    fn conceal(&mut self, samples: &mut Vec<i16>);
}

/// Why a frame or payload was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// *Malformed*: the peer's payload is empty, too long, or no such codec's.
    Payload,
    /// *Fault*: a frame of ours has not the length of a frame.
    Frame,
    /// *Fault*: this codec does not work at this rate.
    Rate,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Payload => "the payload is empty, longer than 120 ms, or not of the agreed codec",
            Self::Frame => "a frame has 20 ms of samples",
            Self::Rate => "the codec does not work at this rate",
        })
    }
}

impl std::error::Error for CodecError {}

/// For codecs that know no better: the last frame again, each time half as loud, and after 60 ms silence.
#[derive(Debug)]
struct Echo {
    last: Vec<i16>,
    lost: u32,
}

impl Echo {
    const REPEATS: u32 = 3;

    fn new(rate: Rate) -> Self {
        Self {
            last: vec![0; rate.frame()],
            lost: 0,
        }
    }

    /// What was heard; a short packet leaves the end of the frame before.
    fn hear(&mut self, samples: &[i16]) {
        self.lost = 0;
        let length = self.last.len();
        if samples.len() >= length {
            self.last
                .copy_from_slice(&samples[samples.len() - length..]);
        } else {
            self.last.rotate_left(samples.len());
            self.last[length - samples.len()..].copy_from_slice(samples);
        }
    }

    fn conceal(&mut self, samples: &mut Vec<i16>) {
        self.lost = self.lost.saturating_add(1);
        if self.lost > Self::REPEATS {
            samples.extend(self.last.iter().map(|_| 0));
        } else {
            samples.extend(self.last.iter().map(|sample| sample >> self.lost));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{sine, tone_share};

    const ALL: [Encoding; 6] = [
        Encoding::Pcmu,
        Encoding::Pcma,
        Encoding::Linear(Rate::Hz8000),
        Encoding::Linear(Rate::Hz16000),
        Encoding::Linear(Rate::Hz48000),
        Encoding::Opus,
    ];

    /// Half a second through the codec.
    fn through(encoding: Encoding, rate: Rate, hz: f32) -> Vec<i16> {
        let mut codec = encoding.codec_at(rate).unwrap();
        let mut heard = Vec::new();
        let sound = sine(rate, hz, 10_000.0, 25);
        for frame in sound.chunks_exact(rate.frame()) {
            let mut payload = Vec::new();
            codec.encode(frame, &mut payload).unwrap();
            codec.decode(&payload, &mut heard).unwrap();
        }
        assert_eq!(heard.len(), sound.len());
        heard
    }

    #[test]
    fn a_tone_survives_every_codec() {
        for encoding in ALL {
            let heard = through(encoding, encoding.rate(), 1_000.0);
            let rate = encoding.rate();
            let share = tone_share(&heard[rate.frame() * 10..], rate, 1_000.0);
            assert!(share > 0.95, "{encoding:?}: {share}");
        }
    }

    #[test]
    fn opus_works_at_every_rate_and_the_others_at_their_own() {
        for rate in [Rate::Hz8000, Rate::Hz16000, Rate::Hz48000] {
            let heard = through(Encoding::Opus, rate, 700.0);
            assert!(tone_share(&heard[rate.frame() * 10..], rate, 700.0) > 0.95);
        }
        let refused = Encoding::Pcma.codec_at(Rate::Hz16000);
        assert_eq!(refused.err(), Some(CodecError::Rate));
    }

    #[test]
    fn a_codec_can_be_had_at_any_rate() {
        for rate in [Rate::Hz8000, Rate::Hz16000, Rate::Hz48000] {
            let mut codec = Encoding::Pcma.codec_adapted(rate).unwrap();
            assert_eq!(codec.rate(), rate);
            let mut heard = Vec::new();
            for frame in sine(rate, 700.0, 10_000.0, 25).chunks_exact(rate.frame()) {
                let mut payload = Vec::new();
                codec.encode(frame, &mut payload).unwrap();
                assert_eq!(payload.len(), 160);
                codec.decode(&payload, &mut heard).unwrap();
            }
            assert_eq!(heard.len(), rate.frame() * 25);
            let share = tone_share(&heard[rate.frame() * 10..], rate, 700.0);
            assert!(share > 0.95, "{rate:?}: {share}");
        }
    }

    #[test]
    fn g711_has_the_values_of_the_standard() {
        // G.711 tables 1a and 2a: silence, and the largest values of both signs.
        let cases = [
            (Encoding::Pcmu, 0, 0xff),
            (Encoding::Pcmu, i16::MAX, 0x80),
            (Encoding::Pcmu, i16::MIN, 0x00),
            (Encoding::Pcma, 0, 0xd5),
            (Encoding::Pcma, i16::MAX, 0xaa),
            (Encoding::Pcma, i16::MIN, 0x2a),
        ];
        for (encoding, sample, byte) in cases {
            let mut codec = encoding.codec().unwrap();
            let mut payload = Vec::new();
            codec.encode(&[sample; 160], &mut payload).unwrap();
            assert_eq!(payload, [byte; 160], "{encoding} {sample}");
        }
    }

    #[test]
    fn frames_of_another_length_are_our_fault_and_wrong_payloads_the_peers() {
        for encoding in ALL {
            let mut codec = encoding.codec().unwrap();
            let mut payload = vec![7];
            let short = vec![0; encoding.rate().frame() - 1];
            assert_eq!(codec.encode(&short, &mut payload), Err(CodecError::Frame));
            assert_eq!(payload, [7]);
            let mut samples = vec![7];
            assert_eq!(codec.decode(&[], &mut samples), Err(CodecError::Payload));
            // Code 3 of Opus with no frame count.
            let long = vec![0xff; encoding.rate().frame() * 2 * LONGEST_PAYLOAD_FRAMES + 2];
            assert_eq!(codec.decode(&long, &mut samples), Err(CodecError::Payload));
            assert_eq!(samples, [7]);
        }
    }

    #[test]
    fn what_is_lost_is_concealed_and_fades() {
        for encoding in ALL {
            let rate = encoding.rate();
            let mut codec = encoding.codec().unwrap();
            let mut heard = Vec::new();
            for frame in sine(rate, 400.0, 10_000.0, 10).chunks_exact(rate.frame()) {
                let mut payload = Vec::new();
                codec.encode(frame, &mut payload).unwrap();
                codec.decode(&payload, &mut heard).unwrap();
            }
            let loud = crate::audio::power(&heard[rate.frame() * 8..]);
            let mut lost = Vec::new();
            for _ in 0..50 {
                codec.conceal(&mut lost);
            }
            assert_eq!(lost.len(), rate.frame() * 50);
            assert!(
                crate::audio::power(&lost[..rate.frame()]) > loud / 20,
                "{encoding:?}"
            );
            assert!(
                crate::audio::power(&lost[rate.frame() * 49..]) < loud / 1_000,
                "{encoding:?}"
            );
        }
    }

    proptest::proptest! {
        /// Peers can never make us panic, nor give us more than 120 ms at once.
        #[test]
        fn any_payload_is_decoded_or_refused(payloads in proptest::collection::vec(
            proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400), 1..8,
        )) {
            for encoding in ALL {
                let mut codec = encoding.codec().unwrap();
                for payload in &payloads {
                    let mut samples = Vec::new();
                    let taken = codec.decode(payload, &mut samples);
                    assert!(samples.len() <= encoding.rate().frame() * LONGEST_PAYLOAD_FRAMES);
                    assert_eq!(taken.is_ok(), !samples.is_empty());
                }
            }
        }
    }
}
