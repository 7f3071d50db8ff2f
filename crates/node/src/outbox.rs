//! The outbox of one connection: what waits to be written to it.
//!
//! Filled under a shard's lock, so it never waits; emptied by the connection's own task. Bounded: a client that does
//! not read is closed, not buffered for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use futures_util::task::AtomicWaker;
use model::limits;
use switch::Closing;

/// One thing to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// A whole SIP message.
    Message(Vec<u8>),
    /// The end: nothing is written after it.
    Close(Closing),
}

/// More waits than may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    wake: AtomicWaker,
    is_proven: AtomicBool,
    /// The shard that its connection was bound to, and one more; 0 before that.
    shard: AtomicU16,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    closing: Option<Closing>,
    overflowed: bool,
}

/// A queue that grew keeps this many places; the rest goes back to the allocator.
const PLACES_KEPT: usize = 8;

impl Outbox {
    /// Adds a message. Past the bound everything that waits is dropped, and the connection's task closes it.
    pub(crate) fn push(&self, message: Vec<u8>) -> Result<(), Full> {
        let mut queue = self.lock();
        if queue.closing.is_some() {
            return Ok(());
        }
        let bytes = queue.bytes + message.len();
        if bytes > limits::OUTBOX_BYTES || queue.messages.len() == limits::OUTBOX_MESSAGES {
            *queue = Queue {
                closing: Some(Closing::SLOW_READER),
                overflowed: true,
                ..Queue::default()
            };
            drop(queue);
            self.wake.wake();
            return Err(Full);
        }
        queue.bytes = bytes;
        queue.messages.push_back(message);
        drop(queue);
        self.wake.wake();
        Ok(())
    }

    /// Its connection is bound to this shard.
    pub(crate) fn bind(&self, shard: usize) {
        let shard = u16::try_from(shard + 1).unwrap_or(0);
        self.shard.store(shard, Ordering::Relaxed);
    }

    /// The shard that its connection is bound to.
    pub(crate) fn shard(&self) -> Option<usize> {
        usize::from(self.shard.load(Ordering::Relaxed)).checked_sub(1)
    }

    /// Closes the connection after what waits; the first reason stands.
    pub(crate) fn close(&self, why: Closing) {
        self.lock().closing.get_or_insert(why);
        self.wake.wake();
    }

    /// What is to be written next, if anything waits.
    pub(crate) fn pop(&self) -> Option<Outgoing> {
        let mut queue = self.lock();
        let Some(message) = queue.messages.pop_front() else {
            return queue.closing.map(Outgoing::Close);
        };
        queue.bytes -= message.len();
        if queue.messages.is_empty() {
            queue.messages.shrink_to(PLACES_KEPT);
        }
        Some(Outgoing::Message(message))
    }

    /// Waits for what is to be written next; safe to drop at any time.
    pub(crate) async fn next(&self) -> Outgoing {
        std::future::poll_fn(|context| {
            if let Some(outgoing) = self.pop() {
                return Poll::Ready(outgoing);
            }
            self.wake.register(context.waker());
            self.pop().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Whoever works on this connection looks by itself from now on.
    pub(crate) fn forget_waker(&self) {
        self.wake.take();
    }

    /// Has this woken when more is pushed, and says whether something waits already: for a socket that takes nothing
    /// (`is_stalled`) only that too much does.
    pub(crate) fn waits(&self, waker: &Waker, is_stalled: bool) -> bool {
        self.wake.register(waker);
        let queue = self.lock();
        if is_stalled {
            queue.overflowed
        } else {
            !queue.messages.is_empty() || queue.closing.is_some()
        }
    }

    /// The shard has seen a valid token on the connection.
    pub(crate) fn prove(&self) {
        self.is_proven.store(true, Ordering::Relaxed);
    }

    /// Whether it has. Asked by the connection's own task, which is the one that delivered the token.
    pub(crate) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }

    /// Whether more was pushed than may wait.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.lock().overflowed
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pushed_comes_before_the_close_and_nothing_after_it() {
        let outbox = Outbox::default();
        outbox.push(b"one".to_vec()).unwrap();
        outbox.close(Closing::STOPPING);
        outbox.push(b"two".to_vec()).unwrap();
        outbox.close(Closing::NO_PONG);
        assert_eq!(outbox.pop(), Some(Outgoing::Message(b"one".to_vec())));
        assert_eq!(outbox.pop(), Some(Outgoing::Close(Closing::STOPPING)));
    }

    #[test]
    fn a_slow_reader_is_closed_at_either_bound() {
        let many = Outbox::default();
        for _ in 0..limits::OUTBOX_MESSAGES {
            many.push(Vec::new()).unwrap();
        }
        assert_eq!(many.push(Vec::new()), Err(Full));
        assert_eq!(many.pop(), Some(Outgoing::Close(Closing::SLOW_READER)));

        let large = Outbox::default();
        large.push(vec![0; limits::OUTBOX_BYTES]).unwrap();
        assert_eq!(large.push(vec![0]), Err(Full));
        assert_eq!(large.push(vec![0]), Ok(()), "it is reported once");
        assert_eq!(large.pop(), Some(Outgoing::Close(Closing::SLOW_READER)));
    }
}
