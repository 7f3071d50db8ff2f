//! Linear samples of 16 bits in network byte order (RFC 3551 §4.5.11), one channel.
//!
//! Never compresses.

use super::{Codec, CodecError, Echo, LONGEST_PAYLOAD_FRAMES};
use crate::audio::Rate;

#[derive(Debug)]
pub(super) struct Linear {
    rate: Rate,
    echo: Echo,
}

impl Linear {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            echo: Echo::new(rate),
        }
    }
}

impl Codec for Linear {
    fn rate(&self) -> Rate {
        self.rate
    }

    fn encode(&mut self, frame: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        if frame.len() != self.rate.frame() {
            return Err(CodecError::Frame);
        }
        payload.extend(frame.iter().flat_map(|sample| sample.to_be_bytes()));
        Ok(())
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), CodecError> {
        let (pairs, rest) = payload.as_chunks::<2>();
        let longest = self.rate.frame() * LONGEST_PAYLOAD_FRAMES;
        if pairs.is_empty() || !rest.is_empty() || pairs.len() > longest {
            return Err(CodecError::Payload);
        }
        let before = samples.len();
        samples.extend(pairs.iter().map(|pair| i16::from_be_bytes(*pair)));
        self.echo.hear(&samples[before..]);
        Ok(())
    }

    fn conceal(&mut self, samples: &mut Vec<i16>) {
        self.echo.conceal(samples);
    }
}
