//! What workers have told of calls and no shard has heard yet.
//!
//! Filled by threads that must not wait for a shard; emptied by a task of its own. One entry for each client's call, so it is
//! no longer than there are calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::{AccountId, ConnectionId, RelayUsage};
use switch::turn_grant::Relayed;
use tokio::sync::Notify;

use crate::signalling::Signalling;

#[derive(Debug, Default)]
pub(crate) struct UsageQueue {
    waiting: Mutex<BTreeMap<(ConnectionId, u64), (AccountId, RelayUsage)>>,
    wake: Notify,
}

impl UsageQueue {
    /// Adds to what waits; never waits itself.
    pub(crate) fn push(&self, relayed: Relayed) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, usage) = waiting
            .entry((relayed.connection, relayed.call))
            .or_insert((relayed.account, RelayUsage::default()));
        *usage = usage.plus(relayed.usage);
        drop(waiting);
        self.wake.notify_one();
    }

    /// How many entries wait.
    pub(crate) fn waiting(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Tells the shards, now and whenever there is something; never ends.
    pub(crate) async fn run(self: Arc<Self>, signalling: Arc<Signalling>) {
        loop {
            self.wake.notified().await;
            self.deliver(&signalling);
        }
    }

    /// Tells the shards everything that waits.
    pub(crate) fn deliver(&self, signalling: &Signalling) {
        for relayed in self.take() {
            signalling.relayed(&relayed);
        }
    }

    fn take(&self) -> Vec<Relayed> {
        let waiting =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let relayed = |((connection, call), (account, usage))| Relayed {
            account,
            connection,
            call,
            usage,
        };
        waiting.into_iter().map(relayed).collect()
    }
}

#[cfg(test)]
mod tests {
    use model::RelayTraffic;

    use super::*;

    #[test]
    fn what_is_told_of_one_call_is_added_up() {
        let told = |connection, call, packets| Relayed {
            account: AccountId(1),
            connection: ConnectionId(connection),
            call,
            usage: RelayUsage {
                sent: RelayTraffic {
                    packets,
                    bytes: 100 * packets,
                },
                ..RelayUsage::default()
            },
        };
        let queue = UsageQueue::default();
        for relayed in [told(1, 7, 2), told(2, 7, 5), told(1, 7, 3), told(1, 8, 1)] {
            queue.push(relayed);
        }
        assert_eq!(queue.take(), [told(1, 7, 5), told(1, 8, 1), told(2, 7, 5)]);
        assert_eq!(queue.take(), []);
    }
}
