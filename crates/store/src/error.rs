//! What can go wrong with the store, each said with its place and with what to do about it.
//!
//! Never names a secret, nor a type of the database library.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use model::{AccountId, Login, Revoked, ServiceName, WebRtcAccessKey, limits};

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(Arc<std::path::Path>),
    /// A database, as host, port and name; never with user or password.
    Database(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Database(name) => f.write_str(name),
        }
    }
}

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
    /// The store is no file that could be copied.
    #[error(
        "cannot {operation}: it is {place}; back it up with the tools of PostgreSQL, such as pg_dump"
    )]
    NoFile {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
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
    #[error(
        "cannot open the store: {place} is the database of another program; name another place"
    )]
    Foreign {
        /// Where the store is.
        place: Place,
    },
    /// A later offhook has changed the tables.
    #[error(
        "cannot open the store: {place} was written by another version of offhook (it has step {step} of the schema, \
         which this one does not know); run that version, or a later one"
    )]
    OtherVersion {
        /// Where the store is.
        place: Place,
        /// The first step that is not known here, or known otherwise.
        step: i64,
    },
    /// Somebody else keeps the file locked.
    #[error(
        "cannot {operation}: {place} stayed locked by another process; end that process, or try again when it is done"
    )]
    Busy {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
    },
    /// There is no space left.
    #[error("cannot {operation}: no space is left for {place}; make space on its disk")]
    Full {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
    },
    /// The file can be read, but not written.
    #[error(
        "cannot {operation}: {place} is read-only; give this user the right to write it and its folder, and see that its \
         file system is not mounted read-only"
    )]
    ReadOnly {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
    },
    /// The file holds something that cannot have been written by offhook.
    #[error("cannot {operation}: {place} is damaged ({what}); put a backup in its place")]
    Damaged {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
        /// What was found.
        what: String,
    },
    /// The store was closed before.
    #[error("cannot {operation}: the store in {place} was closed already")]
    Closed {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
    },
    /// The address of a database is not one.
    #[error(
        "cannot open the store: its address is not right ({cause}); it has the form \
         postgres://user:password@host:5432/database"
    )]
    Address {
        /// What is wrong with it; never the address itself.
        cause: String,
    },
    /// There is no connection to the server of the database.
    #[error(
        "cannot {operation}: {place} cannot be reached ({cause}); see that PostgreSQL runs there and that nothing between \
         stands in the way"
    )]
    Unreachable {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
        /// What the system said.
        cause: String,
    },
    /// The server of the database lets us not in, or not do it.
    #[error(
        "cannot {operation}: {place} refuses it ({cause}); see that user, password and database of the store's address \
         are right, and that the user owns the database"
    )]
    Refused {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
        /// What the server said.
        cause: String,
    },
    /// The database did not answer in time.
    #[error(
        "cannot {operation}: {place} did not answer in time; see what it is busy with, or try again when it is done"
    )]
    Slow {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
    },
    /// The database can be read, but not written.
    #[error(
        "cannot {operation}: {place} is a standby, or closed to writers; name the primary server"
    )]
    Standby {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
    },
    /// Other writers were in the way; the same may be tried again at once.
    #[error("cannot {operation}: other writers were in the way in {place}; try again")]
    Conflict {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
    },
    /// The tables are those of an older offhook, and were not to be changed.
    #[error(
        "cannot open the store: {place} lacks step {step} of the schema; run `offhook migrate`, which changes the tables, \
         or allow it at each start (migrate = true)"
    )]
    Unmigrated {
        /// Where the store is.
        place: Place,
        /// The first step that it lacks.
        step: i64,
    },
    /// What is to be written belongs to an account that is not kept.
    #[error("cannot {operation}: an account that it belongs to is not in {place}")]
    NoAccount {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
    },
    /// Anything else.
    #[error("cannot {operation} in {place}: {source}")]
    Failed {
        /// What was to be done.
        operation: &'static str,
        /// Where the store is.
        place: Place,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether the same may succeed later without a change of what is asked: the store is away, full, locked or closed to writers.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Busy { .. }
            | Self::Full { .. }
            | Self::ReadOnly { .. }
            | Self::Unopened { .. }
            | Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Slow { .. }
            | Self::Standby { .. }
            | Self::Conflict { .. }
            | Self::Closed { .. } => true,
            Self::Folder { .. }
            | Self::NotAFolder { .. }
            | Self::NoFile { .. }
            | Self::NotADatabase { .. }
            | Self::Foreign { .. }
            | Self::OtherVersion { .. }
            | Self::Damaged { .. }
            | Self::Address { .. }
            | Self::Unmigrated { .. }
            | Self::NoAccount { .. }
            | Self::Failed { .. } => false,
        }
    }
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

/// A revocation could not be kept or removed.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// No account has this number.
    #[error("there is no account with the number {}; the list of accounts has those there are", .0.0)]
    NoSuchAccount(AccountId),
    /// The account has not revoked this, or it need not be kept any more.
    #[error("account {} has not revoked {what}; the list of revocations has what it has revoked", account.0)]
    NoSuchRevocation {
        /// The account.
        account: AccountId,
        /// What was named.
        what: Revoked,
    },
    /// The account has as many as it may have.
    #[error("account {} has {max} revocations already, as many as it may have; revoke clients, or all tokens, in place of single ones", .0.0, max = limits::REVOCATIONS_PER_ACCOUNT)]
    TooMany(AccountId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is kept could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The target has accounts.
    #[error(
        "{0} has accounts already, and a copy is not mixed with them; name a store that has none"
    )]
    NotEmpty(Place),
    /// One of the stores failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
