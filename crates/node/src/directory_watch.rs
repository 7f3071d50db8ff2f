//! Watches the store for changes of accounts, keys, services and revocations, made by this process or another, and publishes them.

use std::sync::Arc;
use std::time::Duration;

use store::{Changes, Store, StoreError};
use switch::{Settings, Snapshot};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::clock::Clock;
use crate::meter::StoreTask;
use crate::signalling::{Published, Signalling};
use crate::telling::Telling;

/// A change is seen within a second, with the time to parse new keys; a database tells of it sooner, as long as it is there.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Whoever waits for a change has the directory read sooner, but not again at once: it is work for every account.
const REST: Duration = Duration::from_millis(20);
/// Nor for more than a fifth of the time: the rest is so many times as long as the look was, if that is less than the usual.
const REST_TIMES: u32 = 4;
/// How long whoever has made a change waits for it to be published.
const CATCH_UP_TIME: Duration = Duration::from_secs(2);

/// Loads the directory; keys that `previous` has parsed are not parsed again.
pub(crate) async fn load(
    store: &Store,
    settings: Settings,
    previous: Arc<Snapshot>,
) -> Result<(Published, u64), StoreError> {
    let (directory, version) = store.directory(Clock::unix()).await?;
    // Parsing RSA keys takes a while when they are many.
    let parsing = move || {
        let (snapshot, unusable) = Snapshot::new(directory, settings, &previous);
        (Published::new(snapshot), unusable)
    };
    let (published, unusable) = match tokio::task::spawn_blocking(parsing).await {
        Ok(parsed) => parsed,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Cancelled: the runtime is going down, and nobody waits for this.
        Err(_) => std::future::pending().await,
    };
    for fault in unusable {
        tracing::error!("{fault}");
    }
    Ok((published, version))
}

/// The store, and how much of what it holds is published.
pub(crate) struct DirectoryWatch {
    pub(crate) store: Store,
    changes: Changes,
    signalling: Arc<Signalling>,
    /// The version of the directory that everybody works with.
    version: watch::Sender<u64>,
    /// Somebody waits for a change.
    wanted: Notify,
}

impl DirectoryWatch {
    /// `version`: what was published already.
    pub(crate) fn new(
        store: Store,
        changes: Changes,
        signalling: Arc<Signalling>,
        version: u64,
    ) -> Self {
        Self {
            store,
            changes,
            signalling,
            version: watch::Sender::new(version),
            wanted: Notify::new(),
        }
    }

    /// Publishes each change; never ends.
    pub(crate) async fn run(&self) {
        let mut refusals = Telling::default();
        let mut rest = REST;
        loop {
            sleep(rest).await;
            let told = async {
                tokio::select! {
                    () = self.wanted.notified() => {}
                    () = self.changes.next() => {}
                }
            };
            // Over or not: it is time to look.
            let _ = timeout(LOOK_EVERY.saturating_sub(rest), told).await;
            let began = Instant::now();
            let meter = &self.signalling.counters.meters.store;
            match meter.watch(StoreTask::Directory, self.look()).await {
                Ok(()) => {
                    if refusals.worked() {
                        tracing::info!("the store can be read again");
                    }
                }
                Err(error) => {
                    if refusals.failed() {
                        tracing::error!(%error, "changes of accounts are not seen: the store cannot be read");
                    }
                }
            }
            rest = (began.elapsed() * REST_TIMES).clamp(REST, LOOK_EVERY);
        }
    }

    /// Waits until everybody works with what the store holds now. Not for ever: what is kept is seen some time, and is not to be
    /// said to have failed. Whether they do.
    pub(crate) async fn catch_up(&self) -> bool {
        let kept = match self.store.directory_version().await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::debug!(%error, "a change is not waited for");
                return false;
            }
        };
        let mut version = self.version.subscribe();
        self.wanted.notify_one();
        let caught_up = version.wait_for(|seen| *seen >= kept);
        timeout(CATCH_UP_TIME, caught_up).await.is_ok()
    }

    async fn look(&self) -> Result<(), StoreError> {
        if self.store.directory_version().await? == *self.version.borrow() {
            return Ok(());
        }
        let previous = Arc::clone(&self.signalling.published().snapshot);
        let (published, version) = load(&self.store, previous.settings.clone(), previous).await?;
        let accounts = published.snapshot.directory.accounts().count();
        self.signalling.publish(published);
        self.version.send_replace(version);
        tracing::info!(
            accounts,
            "accounts, keys, services or revocations have changed and were read again"
        );
        Ok(())
    }
}
