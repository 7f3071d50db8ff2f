//! Opus (RFC 6716, RFC 7587) at the rate of whoever listens.
//!
//! Never asks for stereo: what a peer sends in two channels is heard as one. Discontinuous transmission is left off, because
//! telephones on the other side of a bridge expect a packet each 20 ms. Either direction takes memory from its first frame on: of
//! what passes as it came, neither is encoded or decoded here.

use std::fmt;

use ropus::{Application, Bitrate, Channels, DecodeMode, Decoder, Encoder};

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
    encoder: Option<Box<Encoder>>,
    decoder: Option<Box<Decoder>>,
}

impl Opus {
    /// Works at every rate of ours.
    pub(super) const fn new(rate: Rate) -> Self {
        Self {
            rate,
            encoder: None,
            decoder: None,
        }
    }

    fn encoder(&mut self) -> Result<&mut Encoder, CodecError> {
        if self.encoder.is_none() {
            let bitrate = Bitrate::try_bits(BITRATE).map_err(|_| CodecError::Rate)?;
            let encoder = Encoder::builder(self.rate.hz(), Channels::Mono, Application::Voip)
                .complexity(COMPLEXITY)
                .bitrate(bitrate)
                .build()
                .map_err(|_| CodecError::Rate)?;
            self.encoder = Some(Box::new(encoder));
        }
        self.encoder.as_deref_mut().ok_or(CodecError::Rate)
    }

    fn decoder(&mut self) -> Result<&mut Decoder, CodecError> {
        if self.decoder.is_none() {
            let decoder = Decoder::new(self.rate.hz(), Channels::Mono);
            self.decoder = Some(Box::new(decoder.map_err(|_| CodecError::Rate)?));
        }
        self.decoder.as_deref_mut().ok_or(CodecError::Rate)
    }

    /// An empty packet makes the decoder go on from what it has heard (RFC 6716 §4.4).
    fn decode_into(&mut self, packet: &[u8], frames: usize, samples: &mut Vec<i16>) -> bool {
        let before = samples.len();
        let room = self.rate.frame() * frames;
        let Ok(decoder) = self.decoder() else {
            return false;
        };
        samples.resize(before + room, 0);
        let decoded = decoder.decode(packet, &mut samples[before..], DecodeMode::Normal);
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
            .encoder()?
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
}

impl fmt::Debug for Opus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opus")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}
