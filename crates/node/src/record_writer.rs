//! Writes call records to the store, in batches, off the path of messages.
//!
//! A record waits until the store has taken it; a newer one of the same call replaces it. If the store refuses
//! (a full disk), it is asked again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{CallRecord, RecordId, limits};
use store::Store;
use tokio::sync::{Notify, watch};

use crate::meter::StoreTask;
use crate::shutdown::raised;
use crate::telemetry::Counters;

/// How soon a store that refused is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long changes are gathered: a call that rings and is answered meanwhile is written once.
const GATHER_TIME: Duration = Duration::from_millis(250);

/// The records that wait.
#[derive(Debug, Default)]
pub(crate) struct RecordWriter {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    records: BTreeMap<RecordId, CallRecord>,
    dropped: u64,
}

impl RecordWriter {
    /// Keeps a record; never waits.
    pub(crate) fn keep(&self, record: CallRecord) {
        let mut waiting = self.lock();
        if waiting.records.len() >= limits::RECORDS_WAITING
            && !waiting.records.contains_key(&record.id)
        {
            waiting.dropped += 1;
            let dropped = waiting.dropped;
            drop(waiting);
            // Powers of two: the log must not fill the disk that is full already.
            if dropped.is_power_of_two() {
                tracing::error!(
                    dropped,
                    "call records are lost: the store takes none and {} wait",
                    limits::RECORDS_WAITING
                );
            }
            return;
        }
        waiting.records.insert(record.id, record);
        drop(waiting);
        self.wake.notify_one();
    }

    /// Records that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().records.len()
    }

    /// Records that were lost because too many waited.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Writes what comes until `finish` turns true, and then what is left.
    pub(crate) async fn run(
        self: Arc<Self>,
        store: Store,
        counters: Arc<Counters>,
        mut finish: watch::Receiver<bool>,
    ) {
        loop {
            let is_last = tokio::select! {
                () = self.wake.notified() => {
                    tokio::time::timeout(GATHER_TIME, raised(&mut finish)).await.is_ok()
                }
                () = raised(&mut finish) => true,
            };
            let is_written = self.write(&store, &counters).await;
            if is_last {
                return;
            }
            if !is_written {
                let _ = tokio::time::timeout(RETRY_AFTER, raised(&mut finish)).await;
                self.wake.notify_one();
            }
        }
    }

    async fn write(&self, store: &Store, counters: &Counters) -> bool {
        let batch: Vec<_> = std::mem::take(&mut self.lock().records)
            .into_values()
            .collect();
        if batch.is_empty() {
            return true;
        }
        let saving = store.save_records(&batch);
        let Err(error) = counters
            .meters
            .store
            .watch(StoreTask::Records, saving)
            .await
        else {
            return true;
        };
        tracing::error!(%error, records = batch.len(), "call records could not be written and wait");
        let mut waiting = self.lock();
        for record in batch {
            // What came meanwhile is newer.
            waiting.records.entry(record.id).or_insert(record);
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use model::{AccountId, ClientId, UnixTime};
    use store::RecordQuery;

    use super::*;
    use crate::provision::{demo_account, open_store};

    fn record(id: u128, account: AccountId) -> CallRecord {
        let client = |name| ClientId::parse(name).unwrap();
        CallRecord {
            id: RecordId(id),
            account,
            caller: model::Caller::Client(client("ann")),
            callee: model::Callee::Client(client("bob")),
            call_id: "call".to_owned(),
            started: UnixTime::from_secs(1),
            ringing: None,
            answered: None,
            outcome: None,
            relay: Default::default(),
        }
    }

    #[tokio::test]
    async fn what_the_store_refuses_waits_and_the_newest_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let store = open_store(dir.path()).await.unwrap();
        let demo = demo_account(&store, UnixTime::from_secs(1))
            .await
            .unwrap()
            .unwrap();
        let account = store.find_account(&demo.login).await.unwrap().unwrap();
        store.close().await;

        let (writer, counters) = (RecordWriter::default(), Counters::default());
        writer.keep(record(1, account));
        assert!(
            !writer.write(&store, &counters).await,
            "the store is closed"
        );
        let trouble = counters.meters.store.trouble();
        assert!(trouble.is_some_and(|why| why.contains("call records")));
        assert_eq!(writer.waiting(), 1);
        let ringing = CallRecord {
            ringing: Some(UnixTime::from_secs(2)),
            ..record(1, account)
        };
        writer.keep(ringing.clone());
        writer.keep(record(2, account));

        let store = open_store(dir.path()).await.unwrap();
        assert!(writer.write(&store, &counters).await);
        assert_eq!(
            (counters.meters.store.trouble(), writer.waiting()),
            (None, 0)
        );
        let mut kept = store.records(RecordQuery::default()).await.unwrap();
        kept.sort_by_key(|record| record.id);
        assert_eq!(kept, [ringing, record(2, account)]);
        store.close().await;
    }

    #[test]
    fn what_waits_is_bounded() {
        let writer = RecordWriter::default();
        for id in 0..limits::RECORDS_WAITING as u128 + 2 {
            writer.keep(record(id, AccountId(1)));
        }
        assert_eq!(writer.dropped(), 2);
        // A call whose record waits already goes on being recorded.
        writer.keep(record(0, AccountId(1)));
        assert_eq!(writer.dropped(), 2);
    }
}
