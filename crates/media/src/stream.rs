//! Live sound between a leg and a bot, which is an application at the other end of a WebSocket: frames of what the leg says for the
//! one, and the sound of the other in a queue, until its beat.
//!
//! Never holds more than [`STREAM_SOUND`] of it and [`STREAM_MARKS`] marks, and knows nothing of messages and sockets.

use std::collections::VecDeque;
use std::time::Duration;

use model::limits::{STREAM_LEAD, STREAM_MARKS, STREAM_SOUND};
use model::media::{Digit, Stream, StreamEnd, StreamRate};

use crate::audio::{FRAME_TIME, Rate};
use crate::codec::{CodecError, Resampler};

/// Beats that sound waits for more of it.
const LEAD: u128 = STREAM_LEAD.as_micros() / FRAME_TIME.as_micros();

/// What a bot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromBot {
    /// Samples at the rate of the stream.
    Sound(Vec<i16>),
    /// What waits is not to be heard.
    Clear,
    /// It wants to know when everything before was heard.
    Mark(String),
    /// Nothing more comes.
    End(StreamEnd),
}

/// What a bot is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToBot {
    /// A frame of 20 ms, 16 bits a sample, the low byte first.
    Sound(Vec<u8>),
    /// The peer pressed a key.
    Digit(Digit),
    /// Its mark is reached.
    Mark {
        /// Which.
        name: String,
        /// Whether what stood before it was heard; it was cleared otherwise.
        was_heard: bool,
    },
    /// So much of its sound had no room.
    Dropped(Duration),
}

/// One stream of one leg.
#[derive(Debug)]
pub struct Streaming {
    number: u64,
    rate: Rate,
    /// From the rate of the leg.
    down: Resampler,
    /// For the bot, and not yet a frame.
    heard: Vec<i16>,
    /// To the rate of the leg.
    up: Resampler,
    leg_rate: Rate,
    /// For the leg, and not yet a frame.
    resampled: Vec<i16>,
    /// Of the bot, and not yet heard.
    queue: VecDeque<i16>,
    /// Samples that came into the queue, and that have left it, since the beginning.
    put: u64,
    taken: u64,
    /// Each with what must have left the queue.
    marks: VecDeque<(u64, String)>,
    dropped: usize,
    /// Beats for which sound has waited for more of it.
    waited: u128,
    is_flowing: bool,
    end: Option<StreamEnd>,
}

impl Streaming {
    /// For a leg of this rate.
    pub fn new(stream: &Stream, leg: Rate) -> Result<Self, CodecError> {
        let rate = match stream.rate {
            StreamRate::Hz8000 => Rate::Hz8000,
            StreamRate::Hz16000 => Rate::Hz16000,
        };
        Ok(Self {
            number: stream.number,
            rate,
            down: Resampler::new(leg.hz(), rate)?,
            heard: Vec::new(),
            up: Resampler::new(rate.hz(), leg)?,
            leg_rate: leg,
            resampled: Vec::new(),
            queue: VecDeque::new(),
            put: 0,
            taken: 0,
            marks: VecDeque::new(),
            dropped: 0,
            waited: 0,
            is_flowing: false,
            end: None,
        })
    }

    /// Which of the leg's it is.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Why it has ended, if nothing more is to be heard of it.
    pub fn over(&self) -> Option<&StreamEnd> {
        let is_quiet = self.queue.is_empty() && !self.is_flowing;
        self.end.as_ref().filter(|_| is_quiet)
    }

    /// The leg says this; whole frames of it are for the bot.
    pub fn hear(&mut self, frame: &[i16], mut tell: impl FnMut(ToBot)) {
        self.down.push(frame, &mut self.heard);
        let whole = self.rate.frame();
        while self.heard.len() >= whole {
            let samples = self.heard.drain(..whole);
            tell(ToBot::Sound(samples.flat_map(i16::to_le_bytes).collect()));
        }
    }

    /// The bot says this. What ends the stream at once is returned.
    pub fn take(&mut self, word: FromBot, tell: impl FnMut(ToBot)) -> Option<StreamEnd> {
        if self.end.is_some() {
            return None;
        }
        match word {
            FromBot::Sound(samples) => self.put(&samples),
            FromBot::Clear => {
                self.taken = self.put;
                self.queue.clear();
                self.tell_marks(false, tell);
            }
            FromBot::Mark(name) => {
                if self.marks.len() == STREAM_MARKS {
                    let why = format!("more than {STREAM_MARKS} marks of the application wait");
                    return Some(StreamEnd::Failed(why));
                }
                self.marks.push_back((self.put, name));
                self.tell_marks(true, tell);
            }
            FromBot::End(end) => match end {
                StreamEnd::Result(_) | StreamEnd::Closed => self.end = Some(end),
                StreamEnd::Stopped(_) | StreamEnd::Failed(_) => return Some(end),
            },
        }
        None
    }

    /// The frame that is next for the leg, into `frame`; false: there is none.
    pub fn frame(&mut self, frame: &mut Vec<i16>, mut tell: impl FnMut(ToBot)) -> bool {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            tell(ToBot::Dropped(self.rate.time(dropped)));
        }
        if !self.begins() {
            return false;
        }
        let mut samples: Vec<i16> = Vec::with_capacity(self.rate.frame());
        let taken = self.rate.frame().min(self.queue.len());
        samples.extend(self.queue.drain(..taken));
        self.taken += taken as u64;
        if taken == 0 {
            self.is_flowing = false;
            self.waited = 0;
            if self.rate == self.leg_rate {
                return false;
            }
        }
        // After the last sample the filter has still something of it.
        samples.resize(self.rate.frame(), 0);
        self.up.push(&samples, &mut self.resampled);
        let whole = self.leg_rate.frame().min(self.resampled.len());
        frame.clear();
        frame.extend(self.resampled.drain(..whole));
        frame.resize(self.leg_rate.frame(), 0);
        self.tell_marks(true, tell);
        true
    }

    /// Whether sound flows, or begins to now.
    fn begins(&mut self) -> bool {
        if self.is_flowing || self.queue.is_empty() {
            return self.is_flowing;
        }
        // After a mark, or the end, no more of it is to be expected.
        let is_whole = self.end.is_some() || !self.marks.is_empty();
        if !is_whole && self.queue.len() < self.rate.samples(STREAM_LEAD) && self.waited < LEAD {
            self.waited += 1;
            return false;
        }
        self.is_flowing = true;
        true
    }

    fn put(&mut self, samples: &[i16]) {
        let room = self.rate.samples(STREAM_SOUND) - self.queue.len();
        let taken = samples.len().min(room);
        self.queue.extend(&samples[..taken]);
        self.put += taken as u64;
        self.dropped += samples.len() - taken;
    }

    fn tell_marks(&mut self, was_heard: bool, mut tell: impl FnMut(ToBot)) {
        while let Some((at, _)) = self.marks.front()
            && *at <= self.taken
            && let Some((_, name)) = self.marks.pop_front()
        {
            tell(ToBot::Mark { name, was_heard });
        }
    }
}

#[cfg(test)]
mod tests;
