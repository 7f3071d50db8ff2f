//! G.711, A-law and µ-law: a byte for a sample (RFC 3551 §4.5.14).
//!
//! Never allocates beyond what it is given to append to. The tables are those of the crate `audio-codec`.

use audio_codec::pcma::{PcmaDecoder, PcmaEncoder};
use audio_codec::pcmu::{PcmuDecoder, PcmuEncoder};
use audio_codec::{Decoder as _, Encoder as _};

use super::{Codec, CodecError, Echo, LONGEST_PAYLOAD_FRAMES};
use crate::audio::Rate;

const FRAME: usize = Rate::Hz8000.frame();

/// Which of the two.
#[derive(Clone, Copy, Debug)]
pub(super) enum Law {
    Mu,
    A,
}

#[derive(Debug)]
pub(super) struct G711 {
    law: Law,
    echo: Echo,
}

impl G711 {
    pub(super) fn new(law: Law) -> Self {
        Self {
            law,
            echo: Echo::new(Rate::Hz8000),
        }
    }
}

impl Codec for G711 {
    fn rate(&self) -> Rate {
        Rate::Hz8000
    }

    fn encode(&mut self, frame: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        if frame.len() != FRAME {
            return Err(CodecError::Frame);
        }
        let before = payload.len();
        payload.resize(before + FRAME, 0);
        let room = &mut payload[before..];
        let written = match self.law {
            Law::Mu => PcmuEncoder::new().encode_into(frame, room),
            Law::A => PcmaEncoder::new().encode_into(frame, room),
        };
        debug_assert_eq!(written.ok(), Some(FRAME));
        Ok(())
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), CodecError> {
        if payload.is_empty() || payload.len() > FRAME * LONGEST_PAYLOAD_FRAMES {
            return Err(CodecError::Payload);
        }
        let before = samples.len();
        samples.resize(before + payload.len(), 0);
        let room = &mut samples[before..];
        let read = match self.law {
            Law::Mu => PcmuDecoder::new().decode_into(payload, room),
            Law::A => PcmaDecoder::new().decode_into(payload, room),
        };
        debug_assert_eq!(read.ok(), Some(payload.len()));
        self.echo.hear(&samples[before..]);
        Ok(())
    }

    fn conceal(&mut self, samples: &mut Vec<i16>) {
        self.echo.conceal(samples);
    }
}
