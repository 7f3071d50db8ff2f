//! A codec whose user works at another rate: a leg keeps its rate for life, though its peer may change the codec.
//!
//! Never changes the length of what passes, but for the delay of its filters.

use super::{Codec, CodecError, Resampler};
use crate::audio::Rate;

#[derive(Debug)]
pub(super) struct Adapted {
    inner: Box<dyn Codec>,
    rate: Rate,
    /// From the user's rate to that of the codec.
    to_codec: Resampler,
    from_codec: Resampler,
    waiting: Vec<i16>,
}

impl Adapted {
    pub(super) fn new(inner: Box<dyn Codec>, rate: Rate) -> Result<Self, CodecError> {
        Ok(Self {
            to_codec: Resampler::new(rate.hz(), inner.rate())?,
            from_codec: Resampler::new(inner.rate().hz(), rate)?,
            inner,
            rate,
            waiting: Vec::new(),
        })
    }
}

impl Codec for Adapted {
    fn rate(&self) -> Rate {
        self.rate
    }

    fn encode(&mut self, frame: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        if frame.len() != self.rate.frame() {
            return Err(CodecError::Frame);
        }
        self.to_codec.push(frame, &mut self.waiting);
        let whole = self.inner.rate().frame();
        // What the filter still holds back at the beginning is silence.
        let missing = whole.saturating_sub(self.waiting.len());
        self.waiting.splice(0..0, std::iter::repeat_n(0, missing));
        let frame: Vec<i16> = self.waiting.drain(..whole).collect();
        self.inner.encode(&frame, payload)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), CodecError> {
        let mut own = Vec::new();
        self.inner.decode(payload, &mut own)?;
        self.from_codec.push(&own, samples);
        Ok(())
    }

    fn conceal(&mut self, samples: &mut Vec<i16>) {
        let mut own = Vec::new();
        self.inner.conceal(&mut own);
        self.from_codec.push(&own, samples);
    }
}
