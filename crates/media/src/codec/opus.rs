//! Opus (RFC 6716, RFC 7587) at the rate of whoever listens.
//!
//! Never asks for stereo: what a peer sends in two channels is heard as one. Discontinuous transmission is left off, because
//! telephones on the other side of a bridge expect a packet each 20 ms.

use std::fmt;

use ropus::{Application, Bandwidth, Bitrate, Channels, DecodeMode, Decoder, Encoder};

use super::{Codec, CodecError, LONGEST_PAYLOAD_FRAMES};
use crate::audio::Rate;

/// Speech of good quality, and where the encoder costs half of what the highest does.
const COMPLEXITY: u8 = 5;
/// Bits a second of mono speech (RFC 7587 §3.1.1 recommends 16 to 40 kbit/s for it).
const BITRATE: u32 = 32_000;
/// The largest packet that RFC 6716 §3.2.1 lets one frame have, with its first byte.
const LONGEST_FRAME: usize = 1_276;
/// The largest packet that is decoded; 120 ms at the highest bit rate are below.
const LONGEST_PACKET: usize = LONGEST_FRAME * LONGEST_PAYLOAD_FRAMES;

pub(super) struct Opus {
    rate: Rate,
    encoder: Encoder,
    decoder: Decoder,
}

impl Opus {
    pub(super) fn new(rate: Rate) -> Result<Self, CodecError> {
        let encoder = Encoder::builder(rate.hz(), Channels::Mono, Application::Voip)
            .complexity(COMPLEXITY)
            .bitrate(Bitrate::try_bits(BITRATE).map_err(|_| CodecError::Rate)?)
            .build()
            .map_err(|_| CodecError::Rate)?;
        let decoder = Decoder::new(rate.hz(), Channels::Mono).map_err(|_| CodecError::Rate)?;
        Ok(Self {
            rate,
            encoder,
            decoder,
        })
    }

    /// An empty packet makes the decoder go on from what it has heard (RFC 6716 §4.4).
    fn decode_into(&mut self, packet: &[u8], frames: usize, samples: &mut Vec<i16>) -> bool {
        let before = samples.len();
        samples.resize(before + self.rate.frame() * frames, 0);
        let decoded = self
            .decoder
            .decode(packet, &mut samples[before..], DecodeMode::Normal);
        samples.truncate(before + decoded.as_ref().map_or(0, |count| *count));
        decoded.is_ok()
    }
}

impl Codec for Opus {
    fn rate(&self) -> Rate {
        self.rate
    }

    fn encode(&mut self, frame: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        if frame.len() != self.rate.frame() {
            return Err(CodecError::Frame);
        }
        let mut packet = [0; LONGEST_FRAME];
        let length = self
            .encoder
            .encode(frame, &mut packet)
            .map_err(|_| CodecError::Frame)?;
        payload.extend_from_slice(&packet[..length]);
        Ok(())
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), CodecError> {
        if payload.is_empty() || payload.len() > LONGEST_PACKET {
            return Err(CodecError::Payload);
        }
        if self.decode_into(payload, LONGEST_PAYLOAD_FRAMES, samples) {
            Ok(())
        } else {
            Err(CodecError::Payload)
        }
    }

    fn conceal(&mut self, samples: &mut Vec<i16>) {
        if !self.decode_into(&[], 1, samples) {
            samples.extend(std::iter::repeat_n(0, self.rate.frame()));
        }
    }

    /// A telephone's sound takes half of the time then.
    fn expect(&mut self, source: Rate) {
        let band = match source {
            Rate::Hz8000 => Bandwidth::Narrowband,
            Rate::Hz16000 => Bandwidth::Wideband,
            Rate::Hz48000 => Bandwidth::Fullband,
        };
        // What cannot be set stays as it was, which costs more and is right as well.
        let _ = self.encoder.set_max_bandwidth(band);
    }
}

impl fmt::Debug for Opus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opus")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}
