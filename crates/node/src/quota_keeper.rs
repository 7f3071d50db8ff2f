//! Keeps how many tokens each account took this month.
//!
//! Counts in memory, where the limit of one server holds exactly; the store gets the counts within a second and at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Account, AccountId, UnixTime};
use store::{Store, StoreError};
use switch::token::{MonthlyQuota, QuotaExceeded};
use tokio::sync::{Notify, watch};

use crate::meter::StoreTask;
use crate::shutdown::raised;
use crate::telemetry::Counters;
use crate::telling::Telling;

/// How long a count may be kept in memory alone; with the time to write it, a second.
const UNSAVED_AT_MOST: Duration = Duration::from_millis(500);

/// The counts of the month.
#[derive(Debug)]
pub(crate) struct QuotaKeeper {
    quota: Mutex<MonthlyQuota>,
    changed: Notify,
}

impl QuotaKeeper {
    /// Goes on from what the store has.
    pub(crate) async fn load(store: &Store, now: UnixTime) -> Result<Self, StoreError> {
        let taken = store.token_counts(now.month()).await?;
        let quota = MonthlyQuota::resume(now, taken);
        Ok(Self {
            quota: Mutex::new(quota),
            changed: Notify::new(),
        })
    }

    /// Takes one token from the account's month.
    pub(crate) fn take(&self, account: &Account, now: UnixTime) -> Result<(), QuotaExceeded> {
        self.quota
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(account, now)?;
        self.changed.notify_one();
        Ok(())
    }

    /// What other servers have counted in this month.
    pub(crate) fn hear(&self, month: (i32, u8), elsewhere: Vec<(AccountId, u64)>) {
        let mut quota = self.quota.lock().unwrap_or_else(PoisonError::into_inner);
        quota.hear(month, elsewhere);
    }

    /// Saves changed counts until `finish` turns true, and then what is left.
    pub(crate) async fn run(
        self: Arc<Self>,
        store: Store,
        counters: Arc<Counters>,
        mut finish: watch::Receiver<bool>,
    ) {
        let mut unsaved = Unsaved::default();
        let mut refusals = Telling::default();
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                () = raised(&mut finish) => {}
            }
            // Gather the changes of a moment; the end does not wait for it.
            let is_last = tokio::time::timeout(UNSAVED_AT_MOST, raised(&mut finish))
                .await
                .is_ok();
            let (month, counts) = self
                .quota
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take_changed();
            unsaved.add(month, counts);
            match unsaved.save(&store, &counters).await {
                Ok(()) => {
                    if refusals.worked() {
                        tracing::info!("token counts are saved again");
                    }
                }
                Err(error) => {
                    if refusals.failed() {
                        tracing::error!(%error, "token counts could not be saved; they count on in memory");
                    }
                    self.changed.notify_one();
                }
            }
            if is_last {
                return;
            }
        }
    }
}

/// Counts that the store has not taken yet.
#[derive(Default)]
struct Unsaved(BTreeMap<(i32, u8), BTreeMap<AccountId, u64>>);

impl Unsaved {
    fn add(&mut self, month: (i32, u8), counts: Vec<(AccountId, u64)>) {
        if !counts.is_empty() {
            self.0.entry(month).or_default().extend(counts);
        }
    }

    async fn save(&mut self, store: &Store, counters: &Counters) -> Result<(), StoreError> {
        while let Some((month, counts)) = self.0.first_key_value() {
            let counts: Vec<_> = counts.iter().map(|(id, count)| (*id, *count)).collect();
            let saving = store.save_token_counts(*month, &counts);
            let meter = &counters.meters.store;
            meter.watch(StoreTask::TokenCounts, saving).await?;
            self.0.pop_first();
        }
        Ok(())
    }
}
