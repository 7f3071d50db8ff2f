//! Watches the store for changes of accounts and keys, made by this process or another, and publishes them.

use std::sync::Arc;
use std::time::Duration;

use store::{Store, StoreError};
use switch::{Settings, Snapshot};

use crate::clock::Clock;
use crate::signalling::{Published, Signalling};

/// A change is seen within a second, with the time to parse new keys.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A store that cannot be read is reported once in so many looks: each minute.
const REPORT_EVERY: u32 = 240;

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

/// Publishes each change; never ends.
pub(crate) async fn run(signalling: Arc<Signalling>, store: Store, mut seen: u64) {
    let mut failures = 0;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match look(&signalling, &store, seen).await {
            Ok(version) => {
                failures = 0;
                seen = version;
            }
            Err(error) => {
                if failures % REPORT_EVERY == 0 {
                    tracing::error!(%error, "changes of accounts are not seen: the store cannot be read");
                }
                failures += 1;
            }
        }
    }
}

async fn look(signalling: &Signalling, store: &Store, seen: u64) -> Result<u64, StoreError> {
    if store.directory_version().await? == seen {
        return Ok(seen);
    }
    let previous = Arc::clone(&signalling.published().snapshot);
    let (published, version) = load(store, previous.settings.clone(), previous).await?;
    let accounts = published.snapshot.directory.accounts().count();
    signalling.publish(published);
    tracing::info!(
        accounts,
        "accounts or keys have changed and were read again"
    );
    Ok(version)
}
