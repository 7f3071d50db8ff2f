//! What shards want that takes its time: it waits here, and its answer goes back to the shard.
//!
//! Filled under a shard's lock, and emptied by a task of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use model::media::MediaEvent;
use switch::Input;
use tokio::sync::Notify;

use crate::signalling::Signalling;

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Errand {
    /// The shard is to hear this, though there is no gateway that would say it.
    Tell(MediaEvent),
}

/// Those that wait. A call has few of them at a time, and calls are bounded.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    waiting: Mutex<VecDeque<(usize, Errand)>>,
    wake: Notify,
}

impl Errands {
    /// Adds to what waits, for this shard; never waits itself.
    pub(crate) fn push(&self, shard: usize, errand: Errand) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push_back((shard, errand));
        drop(waiting);
        self.wake.notify_one();
    }

    /// Does what comes; never ends.
    pub(crate) async fn run(self: Arc<Self>, signalling: Arc<Signalling>) {
        loop {
            while let Some((shard, errand)) = self.pop() {
                match errand {
                    Errand::Tell(event) => signalling.answer(shard, Input::Media(event)),
                }
            }
            self.wake.notified().await;
        }
    }

    fn pop(&self) -> Option<(usize, Errand)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    }
}
