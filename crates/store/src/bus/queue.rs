//! What has been heard and waits to be read: in order, and bounded.
//!
//! Each connection has a turn of its own to speak; what one says after its turn is over is nothing.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::limits;
use tokio::sync::Notify;

/// What is heard from the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// From now on everything is heard that is sent.
    Up,
    /// From now on nothing is, and this is why. Said again when the reason has become another.
    Down(String),
    /// A message.
    Post(Vec<u8>),
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    /// There is something to read.
    filled: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Heard>,
    /// Of posts, with what each costs us.
    bytes: usize,
    turn: u64,
    /// Why nothing is heard, as it was said last.
    why: Option<String>,
}

/// What a post costs, but for its bytes.
const POST: usize = 64;

impl Queue {
    /// Waits for what was heard next; may be given up and asked again.
    pub(super) async fn next(&self) -> Heard {
        loop {
            if let Some(heard) = self.inner().take() {
                return heard;
            }
            self.filled.notified().await;
        }
    }

    /// The next connection begins to speak.
    pub(super) fn begin(&self) -> u64 {
        let mut inner = self.inner();
        inner.turn += 1;
        inner.turn
    }

    /// Everything is heard.
    pub(super) fn up(&self, turn: u64) {
        let mut inner = self.inner();
        if inner.turn == turn {
            inner.why = None;
            inner.waiting.push_back(Heard::Up);
            self.filled.notify_one();
        }
    }

    /// A message. `false`: too many wait.
    pub(super) fn post(&self, turn: u64, post: Vec<u8>) -> bool {
        let mut inner = self.inner();
        if inner.turn != turn {
            return true;
        }
        let bytes = inner.bytes + post.len() + POST;
        if bytes > limits::BUS_HEARD_BYTES {
            return false;
        }
        inner.bytes = bytes;
        inner.waiting.push_back(Heard::Post(post));
        self.filled.notify_one();
        true
    }

    /// Nothing is heard, and the connection has said its last.
    pub(super) fn down(&self, why: String) {
        let mut inner = self.inner();
        inner.turn += 1;
        if inner.why.as_ref() == Some(&why) {
            return;
        }
        inner.why = Some(why.clone());
        // What nobody has read of how it came and went before need not be read at all.
        if let [.., Heard::Down(_), Heard::Up] = inner.waiting.make_contiguous() {
            inner.waiting.pop_back();
        }
        match inner.waiting.back_mut() {
            Some(Heard::Down(said)) => *said = why,
            Some(Heard::Up | Heard::Post(_)) | None => inner.waiting.push_back(Heard::Down(why)),
        }
        self.filled.notify_one();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take(&mut self) -> Option<Heard> {
        let heard = self.waiting.pop_front()?;
        if let Heard::Post(post) = &heard {
            self.bytes -= post.len() + POST;
        }
        Some(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(queue: &Queue) -> Vec<Heard> {
        std::iter::from_fn(|| queue.inner().take()).collect()
    }

    fn down(why: &str) -> Heard {
        Heard::Down(why.to_owned())
    }

    #[test]
    fn what_one_says_after_its_turn_is_nothing() {
        let queue = Queue::default();
        let turn = queue.begin();
        queue.up(turn);
        assert!(queue.post(turn, vec![1]));
        queue.down("lost".to_owned());
        assert!(queue.post(turn, vec![2]));
        queue.up(turn);
        assert_eq!(all(&queue), [Heard::Up, Heard::Post(vec![1]), down("lost")]);
    }

    #[test]
    fn what_is_not_read_stays_small() {
        let queue = Queue::default();
        for why in ["refused", "refused", "slow", "refused"] {
            queue.down(why.to_owned());
        }
        for _ in 0..100 {
            let turn = queue.begin();
            queue.up(turn);
            queue.down("lost".to_owned());
        }
        let turn = queue.begin();
        queue.up(turn);
        assert_eq!(all(&queue), [down("lost"), Heard::Up]);
        queue.down("refused".to_owned());
        queue.down("refused".to_owned());
        assert_eq!(all(&queue), [down("refused")]);
        queue.down("refused".to_owned());
        assert_eq!(all(&queue), []);
        queue.down("slow".to_owned());
        assert_eq!(all(&queue), [down("slow")]);
    }

    #[test]
    fn posts_are_bounded_until_they_are_read() {
        let queue = Queue::default();
        let turn = queue.begin();
        let post = vec![0; limits::BUS_POST_BYTES];
        let taken = (0..).take_while(|_| queue.post(turn, post.clone())).count();
        assert_eq!(
            taken,
            limits::BUS_HEARD_BYTES / (limits::BUS_POST_BYTES + POST)
        );
        assert_eq!(all(&queue).len(), taken);
        assert!(queue.post(turn, post));
    }
}
