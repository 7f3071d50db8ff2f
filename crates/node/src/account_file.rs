//! The files of accounts: sounds that are played, and recordings. `<data>/files/<number of the account>/<name>`.
//!
//! Knows where they are and how many there may be; names are checked before (`model::FileName`), so none leads elsewhere. A file
//! that is not whole has a name that begins with a dot, which no file of an account can have.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use model::{AccountId, FileName, limits};

const FOLDER: &str = "files";

/// Where the files are.
#[derive(Debug)]
pub(crate) struct AccountFiles {
    root: PathBuf,
    /// Names what is not whole; one process at a time has the folder.
    last: AtomicU64,
}

/// Why an account gets no further file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    #[error("the account has {max} files, as many as it may have", max = limits::FILES_PER_ACCOUNT)]
    Files,
    #[error("the files of the account have {max} bytes, as many as they may have", max = limits::FILE_BYTES_PER_ACCOUNT)]
    Bytes,
}

/// What room an account has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) files: usize,
    pub(crate) bytes: u64,
}

impl Room {
    /// Whether there is any.
    pub(crate) fn check(self) -> Result<(), NoRoom> {
        if self.files == 0 {
            Err(NoRoom::Files)
        } else if self.bytes == 0 {
            Err(NoRoom::Bytes)
        } else {
            Ok(())
        }
    }
}

impl AccountFiles {
    pub(crate) fn new(data: &Path) -> Self {
        Self {
            root: data.join(FOLDER),
            last: AtomicU64::new(0),
        }
    }

    /// Where this file is, or would be.
    pub(crate) fn path(&self, account: AccountId, name: &FileName) -> PathBuf {
        self.folder(account).join(name.as_str())
    }

    /// A name for a file of the account that is not whole yet, in the folder where it will be; the folder is made.
    pub(crate) fn unfinished(&self, account: AccountId) -> io::Result<PathBuf> {
        let folder = self.folder(account);
        // Readable by the owner alone, as everything of the data folder.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        Ok(folder.join(format!(".unfinished-{number}")))
    }

    /// Whether the account may have one more.
    pub(crate) fn has_room(&self, account: AccountId) -> io::Result<Result<(), NoRoom>> {
        Ok(self.room(account)?.check())
    }

    /// What room the account has left. Looks at every file of it.
    pub(crate) fn room(&self, account: AccountId) -> io::Result<Room> {
        let mut room = Room {
            files: limits::FILES_PER_ACCOUNT,
            bytes: limits::FILE_BYTES_PER_ACCOUNT,
        };
        let entries = match fs::read_dir(self.folder(account)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(room),
            entries => entries?,
        };
        for entry in entries {
            // One that has gone meanwhile takes no room.
            let bytes = entry?.metadata().map_or(0, |about| about.len());
            room.files = room.files.saturating_sub(1);
            room.bytes = room.bytes.saturating_sub(bytes);
        }
        Ok(room)
    }

    /// The files of the account by name, with their lengths. Waits for the disk.
    pub(crate) fn list(&self, account: AccountId) -> io::Result<Vec<(String, u64)>> {
        let entries = match fs::read_dir(self.folder(account)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut list = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().into_string().unwrap_or_default();
            // One that has gone meanwhile is none.
            if let Ok(about) = entry.metadata()
                && about.is_file()
                && FileName::is_valid(&name)
            {
                list.push((name, about.len()));
            }
        }
        list.sort();
        Ok(list)
    }

    /// Removes what a killed process did not finish; says how many there were.
    pub(crate) fn remove_unfinished(&self) -> io::Result<usize> {
        let accounts = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            accounts => accounts?,
        };
        let mut removed = 0;
        for account in accounts {
            let account = account?;
            if !account.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(account.path())? {
                let file = file?;
                if file.file_name().as_encoded_bytes().starts_with(b".") {
                    fs::remove_file(file.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    fn folder(&self, account: AccountId) -> PathBuf {
        self.root.join(account.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_is_removed_and_nothing_else() {
        let data = tempfile::tempdir().unwrap();
        let files = AccountFiles::new(data.path());
        assert_eq!(files.remove_unfinished().unwrap(), 0);
        let unfinished = files.unfinished(AccountId(7)).unwrap();
        assert_ne!(unfinished, files.unfinished(AccountId(7)).unwrap());
        let whole = files.path(AccountId(7), &FileName::parse("hello.wav").unwrap());
        assert_eq!(whole, data.path().join("files/7/hello.wav"));
        fs::write(&unfinished, "half").unwrap();
        fs::write(&whole, "all").unwrap();
        assert_eq!(files.remove_unfinished().unwrap(), 1);
        assert!(whole.exists() && !unfinished.exists());
        assert_eq!(files.has_room(AccountId(7)).unwrap(), Ok(()));
        assert_eq!(files.has_room(AccountId(8)).unwrap(), Ok(()));
    }
}
