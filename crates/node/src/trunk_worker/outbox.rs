//! What waits to be written to one connection of a trunk. Bounded, and never waits: a peer that does not read loses its connection.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::limits::TRUNK_STREAM_OUTBOX_BYTES;
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    is_closed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    wake: Notify,
}

impl Outbox {
    /// Adds a message, or gives it back if there is no room or nobody who writes any more: then nothing more is written.
    pub(super) fn push(&self, message: Vec<u8>) -> Result<(), Vec<u8>> {
        let mut queue = self.lock();
        let bytes = queue.bytes + message.len();
        if bytes > TRUNK_STREAM_OUTBOX_BYTES {
            queue.is_closed = true;
        }
        let taken = match queue.is_closed {
            true => Err(message),
            false => {
                queue.bytes = bytes;
                queue.messages.push_back(message);
                Ok(())
            }
        };
        drop(queue);
        self.wake.notify_one();
        taken
    }

    /// What is to be written next; nothing if the connection is to be closed. Safe to drop at any time.
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut queue = self.lock();
                if queue.is_closed {
                    return None;
                }
                if let Some(message) = queue.messages.pop_front() {
                    queue.bytes -= message.len();
                    return Some(message);
                }
            }
            self.wake.notified().await;
        }
    }

    /// Nothing more is written.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_has_no_room_closes_the_connection() {
        let outbox = Outbox::default();
        assert_eq!(outbox.push(vec![1]), Ok(()));
        assert_eq!(outbox.next().await, Some(vec![1]));
        assert_eq!(outbox.push(vec![0; TRUNK_STREAM_OUTBOX_BYTES]), Ok(()));
        assert_eq!(outbox.push(vec![7]), Err(vec![7]));
        assert_eq!(outbox.push(vec![8]), Err(vec![8]), "it stays so");
        assert_eq!(outbox.next().await, None);
    }
}
