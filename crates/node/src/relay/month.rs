//! Keeps how many bytes were relayed for each account this month.
//!
//! The ledger counts, and the bound holds there exactly; the store gets the counts within a second and at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{AccountId, UnixTime};
use store::{Store, StoreError};
use switch::turn_grant::Ledger;
use tokio::sync::watch;

use super::Relay;
use crate::meter::StoreTask;
use crate::shutdown::raised;
use crate::telemetry::Counters;
use crate::telling::Telling;

/// How long counts may be in memory alone; with the time to write them, what a killed server forgets is a second of traffic.
const SAVE_EVERY: Duration = Duration::from_millis(500);

/// Counts that the store has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct MonthKeeper {
    unsaved: BTreeMap<(i32, u8), BTreeMap<AccountId, u64>>,
}

impl MonthKeeper {
    /// Gives the ledger what the store has of the month.
    pub(crate) async fn load(
        store: &Store,
        now: UnixTime,
        ledger: &mut Ledger,
    ) -> Result<(), StoreError> {
        ledger.restore(now, store.relay_bytes(now.month()).await?);
        Ok(())
    }

    /// Saves changed counts until `finish` turns true, and then what is left.
    pub(crate) async fn run(
        mut self,
        relay: Arc<Relay>,
        store: Store,
        counters: Arc<Counters>,
        mut finish: watch::Receiver<bool>,
    ) {
        let mut refusals = Telling::default();
        loop {
            let is_last = tokio::time::timeout(SAVE_EVERY, raised(&mut finish))
                .await
                .is_ok();
            for spent in relay.take_spent() {
                let month = self.unsaved.entry(spent.month).or_default();
                month.extend(spent.bytes);
            }
            match self.save(&store, &counters).await {
                Ok(()) => {
                    if refusals.worked() {
                        tracing::info!("counts of relayed bytes are saved again");
                    }
                }
                Err(error) => {
                    if refusals.failed() {
                        tracing::error!(%error, "counts of relayed bytes could not be saved; they count on in memory");
                    }
                }
            }
            if is_last {
                return;
            }
        }
    }

    async fn save(&mut self, store: &Store, counters: &Counters) -> Result<(), StoreError> {
        while let Some((month, counts)) = self.unsaved.first_key_value() {
            let counts: Vec<_> = counts.iter().map(|(id, bytes)| (*id, *bytes)).collect();
            let saving = store.save_relay_bytes(*month, &counts);
            let meter = &counters.meters.store;
            meter.watch(StoreTask::RelayBytes, saving).await?;
            self.unsaved.pop_first();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::{demo_account, open_store};

    #[tokio::test]
    async fn what_the_store_refuses_is_saved_later_for_its_month() {
        let dir = tempfile::tempdir().unwrap();
        let store = open_store(dir.path()).await.unwrap();
        let now = UnixTime::from_secs(1_900_000_000);
        let demo = demo_account(&store, now).await.unwrap().unwrap();
        let account = store.find_account(&demo.login).await.unwrap().unwrap();
        store.close().await;

        let (mut keeper, counters) = (MonthKeeper::default(), Counters::default());
        let earlier = UnixTime::from_secs(1_890_000_000).month();
        keeper.unsaved.insert(earlier, [(account, 5)].into());
        keeper.unsaved.insert(now.month(), [(account, 7)].into());
        let refused = keeper.save(&store, &counters).await;
        assert!(refused.is_err(), "the store is closed");
        assert_eq!(keeper.unsaved.len(), 2);

        let store = open_store(dir.path()).await.unwrap();
        keeper.save(&store, &counters).await.unwrap();
        assert!(keeper.unsaved.is_empty());
        assert_eq!(store.relay_bytes(earlier).await.unwrap(), [(account, 5)]);
        let secret = switch::turn_grant::TurnSecret::new([0; 32]);
        let mut ledger = Ledger::new(secret, Default::default());
        MonthKeeper::load(&store, now, &mut ledger).await.unwrap();
        assert_eq!(ledger.spent(now, account), 7);
        store.close().await;
    }
}
