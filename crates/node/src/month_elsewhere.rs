//! What other servers on the same store count towards monthly limits: tokens, and bytes that are relayed.
//!
//! Each server writes what it counts within a second (`quota_keeper`, `relay::month`), and reads what the others wrote each second:
//! a limit is passed by what they hand out in that time at most. Never writes.

use std::sync::Arc;
use std::time::Duration;

use store::{Store, StoreError};

use crate::clock::Clock;
use crate::meter::StoreTask;
use crate::quota_keeper::QuotaKeeper;
use crate::relay::Relay;
use crate::telemetry::Counters;

/// A few rows of an index are read each time.
const EVERY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Clone)]
pub(crate) struct MonthElsewhere {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) quota: Arc<QuotaKeeper>,
    pub(crate) relay: Option<Arc<Relay>>,
    pub(crate) counters: Arc<Counters>,
}

impl MonthElsewhere {
    /// Looks again and again; never ends.
    pub(crate) async fn run(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let meter = &self.counters.meters.store;
            // A store that is away is told by whoever writes to it; until it is back, what was heard last holds.
            let _ = meter.watch(StoreTask::MonthElsewhere, self.look()).await;
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let month = self.clock.now().unix.month();
        let tokens = self.store.token_counts_elsewhere(month).await?;
        self.quota.hear(month, tokens);
        if let Some(relay) = &self.relay {
            let bytes = self.store.relay_bytes_elsewhere(month).await?;
            relay.hear(month, bytes);
        }
        Ok(())
    }
}
