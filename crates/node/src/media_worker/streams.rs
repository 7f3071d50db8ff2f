//! Streams on their way between the gateway and the tasks that carry them: what is said goes straight from the one to the other.
//!
//! The gateway's thread never waits: a bot that does not take what is sent to it is given up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use media::stream::{FromBot, ToBot};
use model::AccountId;
use model::limits::{STREAM_WORDS_COMING, STREAM_WORDS_WAITING};
use model::media::{LegId, Stream, StreamEnd};
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::inbox::Inbox;

/// Has a stream carried; never waits.
pub(crate) type Dial = Arc<dyn Fn(AccountId, Box<Stream>, Line) + Send + Sync>;

/// What a bot is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Word(ToBot),
    /// Nothing more comes.
    End(StreamEnd),
}

/// The end of a stream that is its task's.
pub(crate) struct Line {
    pub(crate) told: Receiver<Told>,
    /// There until it is dropped.
    said: Option<Sender<FromBot>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Line {
    #[cfg(test)]
    pub(crate) fn new() -> (Self, Sender<Told>, Receiver<FromBot>) {
        let (told, telling) = channel(STREAM_WORDS_WAITING);
        let (saying, said) = channel(STREAM_WORDS_COMING);
        let line = Self {
            told: telling,
            said: Some(saying),
            wake: Box::new(|| {}),
        };
        (line, told, said)
    }

    /// The bot says something. False: nobody listens any more.
    pub(crate) async fn say(&self, word: FromBot) -> bool {
        let Some(said) = &self.said else {
            return false;
        };
        let is_said = said.send(word).await.is_ok();
        (self.wake)();
        is_said
    }

    /// It is not to be had, says this sentence.
    pub(crate) async fn fail(&self, sentence: String) {
        self.say(FromBot::End(StreamEnd::Failed(sentence))).await;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A task that ended by a bug is to be noticed.
        self.said = None;
        (self.wake)();
    }
}

/// The gateway's ends of all of them.
pub(super) struct Streams {
    dial: Dial,
    inbox: Arc<Inbox>,
    open: BTreeMap<LegId, Open>,
    /// Legs whose bots have said something, or are given up.
    ready: BTreeSet<LegId>,
}

struct Open {
    number: u64,
    told: Sender<Told>,
    said: Receiver<FromBot>,
    is_slow: bool,
}

impl Streams {
    pub(super) fn new(dial: Dial, inbox: Arc<Inbox>) -> Self {
        Self {
            dial,
            inbox,
            open: BTreeMap::new(),
            ready: BTreeSet::new(),
        }
    }

    /// The gateway has the leg of this stream.
    pub(super) fn open(&mut self, account: AccountId, leg: LegId, stream: Box<Stream>) {
        let (told, telling) = channel(STREAM_WORDS_WAITING);
        let (saying, said) = channel(STREAM_WORDS_COMING);
        let inbox = Arc::clone(&self.inbox);
        let open = Open {
            number: stream.number,
            told,
            said,
            is_slow: false,
        };
        self.open.insert(leg, open);
        let line = Line {
            told: telling,
            said: Some(saying),
            wake: Box::new(move || inbox.spoke(leg)),
        };
        (self.dial)(account, stream, line);
    }

    /// A bot is to be told something.
    pub(super) fn tell(&mut self, leg: LegId, word: ToBot) {
        let Some(open) = self.open.get_mut(&leg) else {
            return;
        };
        match open.told.try_send(Told::Word(word)) {
            // Whoever has ended says so.
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                open.is_slow = true;
                self.ready.insert(leg);
            }
        }
    }

    /// The gateway has ended a stream.
    pub(super) fn end(&mut self, leg: LegId, number: u64, end: &StreamEnd) {
        if self
            .open
            .get(&leg)
            .is_some_and(|open| open.number == number)
            && let Some(open) = self.open.remove(&leg)
        {
            // Where there is no room for it, the end of the channel says the same.
            let _ = open.told.try_send(Told::End(end.clone()));
        }
    }

    /// These bots have said something.
    pub(super) fn note(&mut self, legs: BTreeSet<LegId>) {
        self.ready.extend(legs);
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// What bots have said, as far as their turn goes.
    pub(super) fn take(&mut self) -> Vec<(LegId, FromBot)> {
        let mut words = Vec::new();
        for leg in std::mem::take(&mut self.ready) {
            let Some(open) = self.open.get_mut(&leg) else {
                continue;
            };
            if open.is_slow {
                let why = "the application does not take what is sent to it".to_owned();
                words.push((leg, FromBot::End(StreamEnd::Failed(why))));
                continue;
            }
            for turn in 0..=STREAM_WORDS_COMING {
                if turn == STREAM_WORDS_COMING {
                    self.ready.insert(leg);
                    break;
                }
                match open.said.try_recv() {
                    Ok(word) => words.push((leg, word)),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        let why = "the stream ended: the server met a bug".to_owned();
                        words.push((leg, FromBot::End(StreamEnd::Failed(why))));
                        break;
                    }
                }
            }
        }
        words
    }

    /// The gateway met a bug, and has none of them any more.
    pub(super) fn lose_all(&mut self) {
        self.open.clear();
        self.ready.clear();
    }
}
