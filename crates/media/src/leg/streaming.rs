//! A leg that hears and is heard by a bot: its frames go out as they are heard, and those of the bot come in by its queue.
//!
//! Never speaks to a bot itself: whoever drives the worker does.

use std::collections::VecDeque;

use model::media::{MediaEvent, Stream, StreamEnd, StreamStop};

use super::Leg;
use crate::rtp::JitterBuffer;
use crate::stream::{FromBot, Streaming};
use crate::worker::Effect;

impl Leg {
    pub(crate) fn stream(&mut self, stream: &Stream, effects: &mut VecDeque<Effect>) {
        self.stop_stream(StreamStop::Interrupted, effects);
        match Streaming::new(stream, self.codec.rate()) {
            Ok(streaming) => {
                // What came before is not heard now.
                if !self.is_hearing() {
                    self.jitter = JitterBuffer::default();
                }
                self.streaming = Some(Box::new(streaming));
            }
            Err(error) => {
                let end = StreamEnd::Failed(error.to_string());
                self.tell_streamed(stream.number, end, effects);
            }
        }
    }

    pub(crate) fn stop_stream(&mut self, why: StreamStop, effects: &mut VecDeque<Effect>) {
        self.end_stream(StreamEnd::Stopped(why), effects);
    }

    /// The bot says something.
    pub(crate) fn on_bot(&mut self, word: FromBot, effects: &mut VecDeque<Effect>) {
        let leg = self.id;
        let Some(streaming) = &mut self.streaming else {
            return;
        };
        let end = streaming.take(word, |word| effects.push_back(Effect::ToBot { leg, word }));
        if let Some(end) = end.or_else(|| streaming.over().cloned()) {
            self.end_stream(end, effects);
        }
    }

    /// The bot hears a frame of the peer's.
    pub(super) fn tell_bot(&mut self, frame: &[i16], effects: &mut VecDeque<Effect>) {
        let leg = self.id;
        if let Some(streaming) = &mut self.streaming {
            streaming.hear(frame, |word| effects.push_back(Effect::ToBot { leg, word }));
        }
    }

    /// The frame of the bot's that is next; false: there is none.
    pub(super) fn hear_bot(
        &mut self,
        sound: &mut Vec<i16>,
        effects: &mut VecDeque<Effect>,
    ) -> bool {
        let leg = self.id;
        let Some(streaming) = &mut self.streaming else {
            return false;
        };
        if streaming.frame(sound, |word| effects.push_back(Effect::ToBot { leg, word })) {
            return true;
        }
        if let Some(end) = streaming.over().cloned() {
            self.end_stream(end, effects);
        }
        false
    }

    fn end_stream(&mut self, end: StreamEnd, effects: &mut VecDeque<Effect>) {
        if let Some(streaming) = self.streaming.take() {
            self.tell_streamed(streaming.number(), end, effects);
        }
    }

    fn tell_streamed(&self, number: u64, end: StreamEnd, effects: &mut VecDeque<Effect>) {
        let leg = self.id;
        effects.push_back(Effect::Event(MediaEvent::StreamEnded { leg, number, end }));
    }
}
