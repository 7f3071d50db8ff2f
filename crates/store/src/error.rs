//! What can go wrong with the store, each said with the file and with what to do about it.
//!
//! Never names a secret, nor a type of the database library.

use std::path::PathBuf;

use model::{AccountId, Login, ServiceName, WebRtcAccessKey, limits};

/// The store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder is missing and cannot be made, or cannot be used.
    #[error(
        "cannot open the store: the folder {} cannot be made or used ({cause}); name a folder that this user may \
         write to",
        path.display()
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// Something else has the name of the folder.
    #[error("cannot open the store: {} is not a folder; name a folder, or move that file away", path.display())]
    NotAFolder {
        /// What was to be the folder.
        path: PathBuf,
    },
    /// A file of the store cannot be made or opened.
    #[error(
        "cannot {operation}: the file {} cannot be opened ({cause}); give this user the right to read and write it, \
         and its folder",
        file.display()
    )]
    Unopened {
        /// What was to be done.
        operation: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The file holds something that is no database.
    #[error(
        "cannot {operation}: {} is not a database; move it away for a new store to be made, or put a backup in its \
         place",
        file.display()
    )]
    NotADatabase {
        /// What was to be done.
        operation: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// The file is a database of some other program.
    #[error("cannot open the store: {} is the database of another program; name another folder", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// A later offhook has changed the tables.
    #[error(
        "cannot open the store: {} was written by another version of offhook (it has step {step} of the schema, \
         which this one does not know); run that version, or a later one",
        file.display()
    )]
    OtherVersion {
        /// The file.
        file: PathBuf,
        /// The first step that is not known here, or known otherwise.
        step: i64,
    },
    /// Somebody else keeps the file locked.
    #[error(
        "cannot {operation}: {} stayed locked by another process; end that process, or try again when it is done",
        file.display()
    )]
    Busy {
        /// What was to be done.
        operation: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// There is no space left.
    #[error("cannot {operation}: no space is left for {}; make space on its disk", file.display())]
    Full {
        /// What was to be done.
        operation: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// The file can be read, but not written.
    #[error(
        "cannot {operation}: {} is read-only; give this user the right to write it and its folder, and see that its \
         file system is not mounted read-only",
        file.display()
    )]
    ReadOnly {
        /// What was to be done.
        operation: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// The file holds something that cannot have been written by offhook.
    #[error("cannot {operation}: {} is damaged ({what}); put a backup in its place", file.display())]
    Damaged {
        /// What was to be done.
        operation: &'static str,
        /// The file.
        file: PathBuf,
        /// What was found.
        what: String,
    },
    /// The store was closed before.
    #[error("cannot {operation}: the store in {} was closed already", file.display())]
    Closed {
        /// What was to be done.
        operation: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// Anything else.
    #[error("cannot {operation} in {}: {source}", file.display())]
    Failed {
        /// What was to be done.
        operation: &'static str,
        /// The file.
        file: PathBuf,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An account could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Another account logs in so.
    #[error("the account {0} exists already; choose another cloud id or user name")]
    LoginTaken(Login),
    /// Another account has this WebRTC access key.
    #[error("the WebRTC access key {0} belongs to another account; choose another")]
    AccessKeyTaken(WebRtcAccessKey),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An account could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// No account has this number.
    #[error("there is no account with the number {}; the list of accounts has those there are", .0.0)]
    NoSuchAccount(AccountId),
    /// The account has no signing key of this name.
    #[error("account {} has no signing key {kid}; it may have expired: sign with the current key", .id.0)]
    NoSuchKey {
        /// The account.
        id: AccountId,
        /// The key that was named.
        kid: String,
    },
    /// The new key is one that the account has or had.
    #[error("account {} has this key already; rotate to a freshly made one", .0.0)]
    KeyTaken(AccountId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A service could not be kept, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// No account has this number.
    #[error("there is no account with the number {}; the list of accounts has those there are", .0.0)]
    NoSuchAccount(AccountId),
    /// The account has no service of this name.
    #[error("account {} has no service {name}; the list of services has those there are", account.0)]
    NoSuchService {
        /// The account.
        account: AccountId,
        /// The service that was named.
        name: ServiceName,
    },
    /// The account has no service of this name that an application answers for.
    #[error(
        "account {} has no service {name} that an application answers for: nothing is signed for it",
        account.0
    )]
    NoSuchApplication {
        /// The account.
        account: AccountId,
        /// The service that was named.
        name: ServiceName,
    },
    /// The account has as many as it may have.
    #[error("account {} has {max} services already, as many as it may have; remove one first", .0.0, max = limits::SERVICES_PER_ACCOUNT)]
    TooMany(AccountId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
