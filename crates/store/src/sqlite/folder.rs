//! The folder of a SQLite store: making it, its files, and the turns that processes take at opening it.
//!
//! Never opens a database file that exists: closing a second descriptor of it would drop the locks that SQLite holds
//! for this process (POSIX record locks belong to process and file, not to the descriptor).

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::StoreError;
use crate::error::Place;

/// The database.
const DATABASE: &str = "offhook.db";
/// Locked while a process opens the store: changing to WAL and applying migrations are for one at a time.
const LOCK: &str = "offhook.lock";
/// How often to look whether another process has opened the store.
const LOCK_POLL: Duration = Duration::from_millis(10);

/// Makes the folder if it is missing, for its owner alone.
pub(super) fn make(dir: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    match builder.create(dir) {
        Ok(()) => Ok(()),
        Err(_) if dir.exists() && !dir.is_dir() => Err(StoreError::NotAFolder {
            path: dir.to_owned(),
        }),
        Err(cause) => Err(StoreError::Folder {
            path: dir.to_owned(),
            cause: cause.to_string(),
        }),
    }
}

/// Waits for its turn at opening the store, for `patience` at most. The turn lasts as long as the file is held.
pub(super) async fn take_turn(dir: &Path, patience: Duration) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let unopened = |cause: io::Error| unopened(&path, &cause);
    let file = owner_only()
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(unopened)?;
    let waiting = async {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL).await,
                Err(TryLockError::Error(cause)) => return Err(unopened(cause)),
            }
        }
    };
    match tokio::time::timeout(patience, waiting).await {
        Ok(outcome) => outcome.map(|()| file),
        Err(_) => Err(StoreError::Busy {
            operation: super::OPEN,
            place: Place::File(path.into()),
        }),
    }
}

/// The database file; makes an empty one if it is missing, for its owner alone. SQLite gives the same permissions to
/// the files that it puts beside it.
pub(super) fn database(dir: &Path) -> Result<PathBuf, StoreError> {
    let path = dir.join(DATABASE);
    match owner_only().create_new(true).open(&path) {
        Ok(_) => Ok(path),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(path),
        Err(cause) => Err(unopened(&path, &cause)),
    }
}

fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    options.mode(0o600);
    options
}

fn unopened(path: &Path, cause: &io::Error) -> StoreError {
    StoreError::Unopened {
        operation: super::OPEN,
        file: path.to_owned(),
        cause: cause.to_string(),
    }
}
