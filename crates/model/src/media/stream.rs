//! The words of a stream: live sound between a leg and an application, by a WebSocket of the shell's.
//!
//! What is on the WebSocket docs/applications.md tells. Never holds sound.

use std::sync::Arc;
use std::time::Duration;

use crate::directory::SecretBytes;
use crate::id::PageUrl;

/// A stream that is to be opened. The gateway leaves everything but its number and its rate to whoever drives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Tells it from the streams that the leg had before.
    pub number: u64,
    /// Where the application is: an address of `http:` or `https:`, which stand for `ws:` and `wss:`.
    pub url: PageUrl,
    /// In both directions.
    pub rate: StreamRate,
    /// The first message, in JSON.
    pub greeting: String,
    /// What the handshake is signed for: the name of the application's instance.
    pub instance: String,
    /// Signs the handshake.
    pub secret: SecretBytes,
}

/// Samples in a second of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamRate {
    /// 8 kHz, as telephones.
    #[default]
    Hz8000,
    /// 16 kHz, as browsers.
    Hz16000,
}

impl StreamRate {
    /// As a number.
    pub const fn hz(self) -> u32 {
        match self {
            Self::Hz8000 => 8_000,
            Self::Hz16000 => 16_000,
        }
    }

    /// Reads the number back.
    pub fn of_hz(hz: u32) -> Option<Self> {
        [Self::Hz8000, Self::Hz16000]
            .into_iter()
            .find(|rate| rate.hz() == hz)
    }

    /// Bytes of so much sound: 16 bits a sample.
    pub const fn bytes(self, time: Duration) -> usize {
        (time.as_millis() as usize) * (self.hz() as usize / 1_000) * 2
    }
}

/// Why a stream is broken off from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamStop {
    /// The account wants the application to do something else.
    Interrupted,
    /// It has lasted as long as it may.
    Duration,
    /// The call, or the sound of it, has ended.
    CallEnded,
}

impl StreamStop {
    /// What the application is told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Duration => "duration",
            Self::CallEnded => "call_ended",
        }
    }
}

/// Why a stream has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The application said so, with this result in JSON; what it had said before was heard.
    Result(Arc<str>),
    /// The application closed it in good order; what it had said before was heard.
    Closed,
    /// We did.
    Stopped(StreamStop),
    /// It was not to be had, was lost, or the application broke its rules, says this sentence.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_back_and_say_how_long_sound_is() {
        for rate in [StreamRate::Hz8000, StreamRate::Hz16000] {
            assert_eq!(StreamRate::of_hz(rate.hz()), Some(rate));
        }
        assert_eq!(StreamRate::of_hz(48_000), None);
        let frame = Duration::from_millis(20);
        assert_eq!(StreamRate::Hz8000.bytes(frame), 320);
        assert_eq!(StreamRate::Hz16000.bytes(frame), 640);
    }
}
