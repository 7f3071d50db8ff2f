//! Streams of the world's gateway: bots that talk until they are hung up on, end in their manners, are lost, or never there.
//!
//! Carries no sound, as the gateway does not.

use model::media::{LegId, MediaEvent, Stream, StreamEnd};

use super::Gateway;
use crate::clock::{MILLI, SECOND};

/// How bots behave.
#[derive(Clone, Copy, Debug)]
pub enum Bot {
    /// As long as it is let.
    Talks,
    /// Ends after so many microseconds, with a result.
    Ends(u64),
    /// Closes its stream after so many.
    Closes(u64),
    /// Is lost after so many.
    Lost(u64),
    /// Is not there.
    Gone,
}

impl Gateway {
    pub(super) fn stream(&mut self, now: u64, leg: LegId, stream: Stream) {
        let Some(open) = self.legs.get_mut(&leg) else {
            return;
        };
        let number = stream.number;
        if let Bot::Talks = self.conduct.bot {
            open.streams = Some(number);
        }
        self.streamed.push(stream);
        let failed = |why: &str| {
            let why = format!("the application at wss://bot.example/audio {why}");
            StreamEnd::Failed(why)
        };
        let (after, end) = match self.conduct.bot {
            Bot::Talks => return,
            Bot::Ends(after) => (after, StreamEnd::Result(r#"{"intent":"sales"}"#.into())),
            Bot::Closes(after) => (after, StreamEnd::Closed),
            Bot::Lost(after) => (after, failed("was lost: connection reset")),
            Bot::Gone => (5 * SECOND, failed("did not answer within 5 s")),
        };
        let event = MediaEvent::StreamEnded { leg, number, end };
        self.tell(now, after.max(MILLI), event);
    }

    /// One that ends by itself does so whatever happens: its end may come late.
    pub(super) fn end_stream(&mut self, now: u64, leg: LegId, end: StreamEnd) {
        let open = self.legs.get_mut(&leg);
        let Some(number) = open.and_then(|open| open.streams.take()) else {
            return;
        };
        if let StreamEnd::Stopped(why) = end {
            self.stopped.push(why);
        }
        self.tell(now, MILLI, MediaEvent::StreamEnded { leg, number, end });
    }
}
