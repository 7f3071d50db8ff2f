//! What shards have said to lines and nobody has given to them yet. Bounded, and never waits: it is filled under a shard's lock.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::limits::{TRUNK_BYTES_WAITING, TRUNK_MESSAGES_WAITING};
use tokio::sync::Notify;

/// Everything that waits for the worker.
#[derive(Debug, Default)]
pub(super) struct Mail {
    /// Whole messages, each with the place of its line.
    pub(super) messages: VecDeque<(usize, Vec<u8>)>,
    bytes: usize,
    pub(super) must_stop: bool,
}

/// Where the worker is told things.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    mail: Mutex<Mail>,
    wake: Notify,
}

impl Inbox {
    /// False if there is no room: the message is lost.
    pub(super) fn put(&self, line: usize, message: Vec<u8>) -> bool {
        let mut mail = self.lock();
        let bytes = mail.bytes + message.len();
        if bytes > TRUNK_BYTES_WAITING || mail.messages.len() >= TRUNK_MESSAGES_WAITING {
            return false;
        }
        mail.bytes = bytes;
        mail.messages.push_back((line, message));
        drop(mail);
        self.wake.notify_one();
        true
    }

    /// How many messages wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().messages.len()
    }

    /// Nothing but what waits will be said.
    pub(super) fn stop(&self) {
        self.lock().must_stop = true;
        self.wake.notify_one();
    }

    /// Takes everything out.
    pub(super) fn take(&self) -> Mail {
        std::mem::take(&mut *self.lock())
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().messages.is_empty()
    }

    /// Waits until there may be something; safe to drop at any time.
    pub(super) async fn filled(&self) {
        self.wake.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_lost_and_the_rest_comes_in_order() {
        let inbox = Inbox::default();
        assert!(inbox.put(1, vec![0; TRUNK_BYTES_WAITING]));
        assert!(!inbox.put(0, vec![0]));
        assert_eq!(inbox.take().messages.len(), 1);
        for at in 0..TRUNK_MESSAGES_WAITING {
            assert!(inbox.put(at, Vec::new()));
        }
        assert!(!inbox.put(0, Vec::new()));
        inbox.stop();
        let mail = inbox.take();
        assert!(mail.must_stop);
        assert!(
            mail.messages
                .iter()
                .map(|(at, _)| *at)
                .eq(0..TRUNK_MESSAGES_WAITING)
        );
        assert!(inbox.take().messages.is_empty());
    }
}
