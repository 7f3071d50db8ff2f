//! Writes call records to the store, in batches, off the path of messages.
//!
//! A record waits until the store has taken it; a newer one of the same call replaces it. If the store refuses or takes its time (a full
//! disk, a database that is away), what waits is put into a file (`record_file`) within a quarter of a second, so that it outlives the
//! process, and the store is asked again. What is in the file is written first: records are written in the order in which they came.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{CallRecord, RecordId, SecretBytes, limits};
use store::{Store, StoreError};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::meter::StoreTask;
use crate::record_file::{Mark, RecordFile};
use crate::shutdown::raised;
use crate::telemetry::Counters;
use crate::telling::Telling;

/// How soon a store that refused is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long changes are gathered: a call that rings and is answered meanwhile is written once. As long may a record be in memory alone.
const GATHER_TIME: Duration = Duration::from_millis(250);
/// How often so long the store may take for what is left when the server stops; then it waits in the file for the next start.
const LAST_BEATS: u32 = 4;
/// Why records are lost.
const DAMAGED: &str = "they are damaged in the file where they waited";

/// The records that wait.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    /// In memory: those that came last.
    waiting: Mutex<BTreeMap<RecordId, CallRecord>>,
    wake: Notify,
    /// In memory as well: those that the store or the file is about to take.
    on_way: AtomicUsize,
    file: Arc<Mutex<RecordFile>>,
    in_file: AtomicUsize,
    lost: AtomicU64,
}

/// Records on their way to the store, all of them older than those that wait.
struct Batch {
    records: Vec<CallRecord>,
    /// Where they end in the file; `None`: they are in memory alone.
    mark: Option<Mark>,
    /// Lines among them in the file that were no records.
    damaged: usize,
}

/// Who takes records, and what is said of how that goes.
struct Taker {
    store: Store,
    counters: Arc<Counters>,
    refusals: Telling,
}

impl RecordWriter {
    /// With what waits in a file of this folder for the store with this secret.
    pub(crate) fn open(data: &Path, pepper: &SecretBytes) -> io::Result<Self> {
        let (file, torn) = RecordFile::open(data, pepper.expose())?;
        for other in file.others()? {
            tracing::warn!(file = %other.display(), "call records wait for another store; a server with this data folder on that store writes them");
        }
        if torn > 0 {
            tracing::warn!(
                bytes = torn,
                "the server was killed as it put call records into the file where they wait; half a record at its end is cut off"
            );
        }
        Ok(Self {
            waiting: Mutex::default(),
            wake: Notify::new(),
            on_way: AtomicUsize::new(0),
            in_file: AtomicUsize::new(file.waiting()),
            file: Arc::new(Mutex::new(file)),
            lost: AtomicU64::new(0),
        })
    }

    /// Keeps a record; never waits.
    pub(crate) fn keep(&self, record: CallRecord) {
        let mut waiting = self.lock();
        if waiting.len() >= limits::RECORDS_WAITING && !waiting.contains_key(&record.id) {
            drop(waiting);
            self.lose(
                1,
                "neither the store nor the disk takes any, and too many wait",
            );
            return;
        }
        waiting.insert(record.id, record);
        drop(waiting);
        self.wake.notify_one();
    }

    /// Records that are in memory alone.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().len() + self.on_way.load(Ordering::Relaxed)
    }

    /// Records that wait in the file.
    pub(crate) fn waiting_in_file(&self) -> usize {
        self.in_file.load(Ordering::Relaxed)
    }

    /// Records that were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Has the store take what an earlier run has left in the file.
    pub(crate) async fn recover(&self, store: &Store) -> Result<(), RecoverFault> {
        let waiting = self.waiting_in_file();
        if waiting == 0 {
            return Ok(());
        }
        tracing::info!(
            records = waiting,
            "call records of an earlier run wait, and are written first"
        );
        while let Some(batch) = self.first_in_file().await? {
            self.save(store, &batch.records).await?;
            self.with_file(move |file| batch.mark.map_or(Ok(()), |mark| file.taken(mark)))
                .await?;
            self.lose(batch.damaged, DAMAGED);
        }
        tracing::info!("they are written");
        Ok(())
    }

    /// Writes what comes until `finish` turns true, and then what is left.
    pub(crate) async fn run(
        self: Arc<Self>,
        store: Store,
        counters: Arc<Counters>,
        mut finish: watch::Receiver<bool>,
    ) {
        let mut taker = Taker {
            store,
            counters,
            refusals: Telling::default(),
        };
        while let Some(batch) = self.next(&mut finish).await {
            let is_taken = self.write(&mut taker, batch, &finish).await;
            if !is_taken && !*finish.borrow() {
                self.rest(&mut finish).await;
            } else if !is_taken {
                self.leave().await;
                return;
            }
        }
    }

    /// What is to be written next; `None`: nothing more, ever.
    async fn next(&self, finish: &mut watch::Receiver<bool>) -> Option<Batch> {
        loop {
            if self.waiting_in_file() > 0 {
                match self.first_in_file().await {
                    Ok(Some(batch)) => return Some(batch),
                    Ok(None) => {}
                    Err(error) => self.set_aside(&error).await,
                }
            }
            let is_last = tokio::select! {
                () = self.wake.notified() => timeout(GATHER_TIME, raised(finish)).await.is_ok(),
                () = raised(finish) => true,
            };
            let records = self.take();
            if !records.is_empty() {
                return Some(Batch {
                    records,
                    mark: None,
                    damaged: 0,
                });
            }
            if is_last {
                return None;
            }
        }
    }

    /// Has the store take a batch. If it does not, the batch is in the file, or waits in memory again.
    async fn write(&self, taker: &mut Taker, batch: Batch, finish: &watch::Receiver<bool>) -> bool {
        let Batch {
            records,
            mut mark,
            damaged,
        } = batch;
        let saved = self.offer(taker, &records, &mut mark, finish).await;
        if let Some(Ok(())) = saved {
            self.taken(records.len(), mark).await;
            self.lose(damaged, DAMAGED);
            if taker.refusals.worked() {
                let waiting = self.waiting_in_file();
                tracing::info!(waiting, "the store takes call records again");
            }
            return true;
        }
        mark = self.put_into_file(&records, mark).await;
        if let Some(Err(error)) = saved
            && taker.refusals.failed()
        {
            let (in_file, in_memory) = (self.waiting_in_file(), records.len());
            match mark {
                Some(_) => {
                    tracing::error!(%error, in_file, "the store takes no call records; they wait in a file")
                }
                None => {
                    tracing::error!(%error, in_memory, "the store takes no call records; they wait in memory")
                }
            }
        }
        if mark.is_none() {
            self.put_back(records);
        }
        false
    }

    /// The store has taken records.
    async fn taken(&self, records: usize, mark: Option<Mark>) {
        match mark {
            None => self.leaves_memory(records),
            Some(mark) => {
                if let Err(error) = self.with_file(move |file| file.taken(mark)).await {
                    tracing::error!(%error, "call records were written, and will be again: the file where they waited cannot be emptied");
                }
            }
        }
    }

    /// Asks the store to take records, and waits for its answer with nothing in memory alone; `None`: there is no time to wait.
    async fn offer(
        &self,
        taker: &Taker,
        records: &[CallRecord],
        mark: &mut Option<Mark>,
        finish: &watch::Receiver<bool>,
    ) -> Option<Result<(), StoreError>> {
        let meter = &taker.counters.meters.store;
        let saving = meter.watch(StoreTask::Records, self.save(&taker.store, records));
        let mut saving = pin!(saving);
        let mut last_beats = 0;
        loop {
            if let Ok(saved) = timeout(GATHER_TIME, saving.as_mut()).await {
                return Some(saved);
            }
            *mark = self.put_into_file(records, *mark).await;
            last_beats += u32::from(*finish.borrow());
            if last_beats >= LAST_BEATS {
                return None;
            }
        }
    }

    /// Puts older records into the file, unless they are there, and behind them those that wait.
    async fn put_into_file(&self, older: &[CallRecord], mut mark: Option<Mark>) -> Option<Mark> {
        if mark.is_none() {
            mark = self.append(older.to_vec()).await;
            if mark.is_some() {
                self.leaves_memory(older.len());
            }
        }
        if mark.is_some() {
            self.spill().await;
        }
        mark
    }

    /// Until the store is asked again.
    async fn rest(&self, finish: &mut watch::Receiver<bool>) {
        let end = Instant::now() + RETRY_AFTER;
        while Instant::now() < end && !*finish.borrow() {
            let _ = timeout_at(end, timeout(GATHER_TIME, raised(finish))).await;
            // Behind older ones, which a disk that is full has not taken either.
            if self.waiting_in_file() > 0 {
                self.spill().await;
            }
        }
        self.wake.notify_one();
    }

    /// The server stops, and the store has not taken everything.
    async fn leave(&self) {
        self.spill().await;
        let (in_file, in_memory) = (self.waiting_in_file(), self.waiting());
        if in_memory > 0 {
            self.lose(
                in_memory,
                "the server stops, and neither the store nor the disk takes any",
            );
        }
        tracing::warn!(in_file, "call records wait in a file for the next start");
    }

    async fn spill(&self) {
        let records = self.take();
        if records.is_empty() {
            return;
        }
        match self.append(records.clone()).await {
            Some(_) => self.leaves_memory(records.len()),
            None => self.put_back(records),
        }
    }

    async fn append(&self, records: Vec<CallRecord>) -> Option<Mark> {
        match self.with_file(move |file| file.append(&records)).await {
            Ok(mark) => mark,
            Err(error) => {
                tracing::debug!(%error, "call records cannot be put into the file where they are to wait");
                None
            }
        }
    }

    async fn first_in_file(&self) -> io::Result<Option<Batch>> {
        let Some(chunk) = self.with_file(RecordFile::first).await? else {
            return Ok(None);
        };
        Ok(Some(Batch {
            records: chunk.records,
            mark: Some(chunk.mark),
            damaged: chunk.damaged,
        }))
    }

    /// The file cannot be read.
    async fn set_aside(&self, error: &io::Error) {
        match self.with_file(RecordFile::set_aside).await {
            Ok(aside) => {
                let file = aside.display();
                tracing::error!(%error, %file, "the file of call records that wait cannot be read, and is set aside");
            }
            Err(fault) => {
                tracing::error!(%error, %fault, "the file of call records that wait can neither be read nor set aside");
                self.in_file.store(0, Ordering::Relaxed);
            }
        }
    }

    /// Works on the file, on a thread that may wait for the disk.
    async fn with_file<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut RecordFile) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = Arc::clone(&self.file);
        let working = move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let done = work(&mut file);
            (done, file.waiting())
        };
        let (done, in_file) = tokio::task::spawn_blocking(working)
            .await
            .map_err(io::Error::other)?;
        self.in_file.store(in_file, Ordering::Relaxed);
        done
    }

    /// Records whose account is gone keep no others from being written.
    async fn save(&self, store: &Store, records: &[CallRecord]) -> Result<(), StoreError> {
        match store.save_records(records).await {
            Err(StoreError::NoAccount { .. }) => {}
            saved => return saved,
        }
        let mut gone = 0;
        for record in records {
            match store.save_records(std::slice::from_ref(record)).await {
                Err(StoreError::NoAccount { .. }) => gone += 1,
                saved => saved?,
            }
        }
        self.lose(gone, "their accounts are gone");
        Ok(())
    }

    /// Counts what is lost, and says so: powers of two, because the log must not fill the disk that is full already.
    fn lose(&self, records: usize, why: &'static str) {
        let before = self.lost.fetch_add(records as u64, Ordering::Relaxed);
        let lost = before + records as u64;
        if lost.checked_ilog2() != before.checked_ilog2() {
            tracing::error!(lost, "call records are lost: {why}");
        }
    }

    fn take(&self) -> Vec<CallRecord> {
        let mut waiting = self.lock();
        let records = std::mem::take(&mut *waiting);
        self.on_way.fetch_add(records.len(), Ordering::Relaxed);
        records.into_values().collect()
    }

    /// Of those that are on their way.
    fn leaves_memory(&self, records: usize) {
        self.on_way.fetch_sub(records, Ordering::Relaxed);
    }

    fn put_back(&self, records: Vec<CallRecord>) {
        let mut waiting = self.lock();
        self.leaves_memory(records.len());
        for record in records {
            // What came meanwhile is newer.
            waiting.entry(record.id).or_insert(record);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RecordId, CallRecord>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an earlier run has left cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoverFault {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One whose file has no place.
#[cfg(test)]
impl Default for RecordWriter {
    fn default() -> Self {
        let folder = std::env::temp_dir();
        Self::open(&folder, &SecretBytes::new(Vec::new())).expect("nothing waits there")
    }
}

#[cfg(test)]
mod tests;
