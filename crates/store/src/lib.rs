//! What is kept: accounts, their keys and services, what they used in a month, and call records.
//!
//! The only crate with SQL. It never decides anything, never reads a clock and never makes a key: times, keys and
//! random bytes come in as values. Nothing here belongs on the path of a message: the server works on a
//! [`Directory`] in memory, and polls [`Store::directory_version`] for changes by other processes.
//!
//! What a method has returned `Ok` for survives the death of the process; the loss of power may take the last moment.

mod account;
mod error;
mod record;
mod service;
mod sqlite;

use std::path::Path;

use model::{
    AccountId, CallRecord, Directory, Login, SecretBytes, Service, ServiceName, SigningKeyRow,
    UnixTime,
};

pub use account::{AccountChange, NewAccount};
pub use error::{ChangeError, CreateError, ServiceError, StoreError};
pub use record::RecordQuery;
pub use service::Put;

/// A place where things are kept. Cheap to clone; all clones are the same place.
#[derive(Clone, Debug)]
pub enum Store {
    /// A file beside the server.
    Sqlite(sqlite::Sqlite),
}

impl Store {
    /// Opens the store in the folder `dir`; makes both if they are missing, readable by their owner alone.
    /// `fresh_pepper` becomes the pepper of a new store; one that is there keeps its own.
    pub async fn open(dir: &Path, fresh_pepper: [u8; 32]) -> Result<Self, StoreError> {
        sqlite::Sqlite::open(dir, fresh_pepper)
            .await
            .map(Self::Sqlite)
    }

    /// Waits for what is under way and closes the file. Every later use answers [`StoreError::Closed`].
    pub async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
        }
    }

    /// Copies everything as it is at one moment into `file`, which must be empty or not there; others read and write on.
    pub async fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.copy_to(file).await,
        }
    }

    /// The secret with which API access keys are hashed: 32 bytes, the same for the life of the store.
    pub async fn pepper(&self) -> Result<SecretBytes, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.pepper().await,
        }
    }

    /// All accounts with their services and the keys that are good at `now`, and the version of the directory that this is.
    /// Deletes keys that have expired.
    pub async fn directory(&self, now: UnixTime) -> Result<(Directory, u64), StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.directory(now).await,
        }
    }

    /// A number that grows with every change of the directory, whichever process makes it.
    pub async fn directory_version(&self) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.directory_version().await,
        }
    }

    /// The number of the account that logs in so, without loading the directory.
    pub async fn find_account(&self, login: &Login) -> Result<Option<AccountId>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.find_account(login).await,
        }
    }

    /// Writes an account with its first keys: all of it or nothing.
    pub async fn create_account(&self, account: NewAccount) -> Result<AccountId, CreateError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.create_account(account).await,
        }
    }

    /// Changes what `change` names and leaves the rest.
    pub async fn update_account(
        &self,
        id: AccountId,
        change: AccountChange,
    ) -> Result<(), ChangeError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.update_account(id, change).await,
        }
    }

    /// Makes `new_hash` the account's API access key. The present one works until `old_expires`; those that were
    /// rotated before keep their own expiry.
    pub async fn rotate_api_key(
        &self,
        id: AccountId,
        new_hash: [u8; 32],
        old_expires: UnixTime,
    ) -> Result<(), ChangeError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.rotate_api_key(id, new_hash, old_expires).await,
        }
    }

    /// Makes `new` the key that signs the account's tokens (its `expires` is not looked at). The present one verifies
    /// until `old_expires`, or until the last token of [`Store::note_token`] has expired if that is later.
    pub async fn rotate_signing_key(
        &self,
        id: AccountId,
        new: SigningKeyRow,
        old_expires: UnixTime,
    ) -> Result<(), ChangeError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.rotate_signing_key(id, new, old_expires).await,
        }
    }

    /// Notes that the key `kid` has signed a token that lives until `expires`, so that the key will be kept so long.
    /// Needed only for tokens that live longer than the web service lets them. To be called before the token is
    /// handed out.
    pub async fn note_token(
        &self,
        id: AccountId,
        kid: &str,
        expires: UnixTime,
    ) -> Result<(), ChangeError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.note_token(id, kid, expires).await,
        }
    }

    /// Keeps a service of the account, in place of the one of that name if there is one. An account has at most
    /// [`limits::SERVICES_PER_ACCOUNT`](model::limits::SERVICES_PER_ACCOUNT). A service keeps its signing secret as long as it is there,
    /// even where clients answer for it meanwhile: the one that comes with `service` counts only if it has none.
    pub async fn put_service(&self, id: AccountId, service: &Service) -> Result<Put, ServiceError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.put_service(id, service).await,
        }
    }

    /// Makes of the account's service of this name what `change` makes of it, under the same name; nobody else changes it
    /// meanwhile. What `change` refuses stays as it is, and its refusal is the inner error. Of the signing secret counts what counts for
    /// [`Store::put_service`]; what is returned has the one that is kept.
    pub async fn change_service<E>(
        &self,
        id: AccountId,
        name: &ServiceName,
        change: impl FnOnce(&Service) -> Result<Service, E>,
    ) -> Result<Result<Service, E>, ServiceError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.change_service(id, name, change).await,
        }
    }

    /// Has requests to the application that answers for the account's service of this name signed with `secret`.
    pub async fn renew_service_secret(
        &self,
        id: AccountId,
        name: &ServiceName,
        secret: &SecretBytes,
    ) -> Result<(), ServiceError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.renew_service_secret(id, name, secret).await,
        }
    }

    /// Removes the account's service of this name.
    pub async fn remove_service(
        &self,
        id: AccountId,
        name: &ServiceName,
    ) -> Result<(), ServiceError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.remove_service(id, name).await,
        }
    }

    /// How many tokens each account took in `month` (year, month of 1 to 12), in the order of account numbers;
    /// those that took none are left out.
    pub async fn token_counts(
        &self,
        month: (i32, u8),
    ) -> Result<Vec<(AccountId, u64)>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.token_counts(month).await,
        }
    }

    /// Writes the counts of `month`, all or none. A count never gets smaller: the larger number stays.
    pub async fn save_token_counts(
        &self,
        month: (i32, u8),
        counts: &[(AccountId, u64)],
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.save_token_counts(month, counts).await,
        }
    }

    /// How many bytes were relayed for each account in `month`, in the order of account numbers; those without any are
    /// left out.
    pub async fn relay_bytes(&self, month: (i32, u8)) -> Result<Vec<(AccountId, u64)>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.relay_bytes(month).await,
        }
    }

    /// Writes the bytes relayed in `month`, all or none. A count never gets smaller: the larger number stays.
    pub async fn save_relay_bytes(
        &self,
        month: (i32, u8),
        counts: &[(AccountId, u64)],
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.save_relay_bytes(month, counts).await,
        }
    }

    /// Writes call records, all or none. A record that is there is completed: what is known of a call is never lost
    /// to an older version of its record.
    pub async fn save_records(&self, records: &[CallRecord]) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.save_records(records).await,
        }
    }

    /// Call records, the call that began last first.
    pub async fn records(&self, query: RecordQuery) -> Result<Vec<CallRecord>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.records(query).await,
        }
    }

    /// Ends the records that a killed process left without outcome, and says how many there were: ended by the
    /// server at `now`, with status 500 and `reason`. Only for a server that starts, alone on its store: it would
    /// end another's calls, until these write their own outcome.
    pub async fn end_dangling_records(
        &self,
        now: UnixTime,
        reason: &str,
    ) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.end_dangling_records(now, reason).await,
        }
    }

    /// Deletes the records of ended calls that began before `before`. If more than `keep` are left, the account with the
    /// most loses its oldest, until they fit; calls that go on keep theirs. Says how many were deleted. Other writers have
    /// a turn after each [`limits::RECORDS_FORGOTTEN_AT_ONCE`](model::limits::RECORDS_FORGOTTEN_AT_ONCE).
    pub async fn forget_records(&self, before: UnixTime, keep: u64) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.forget_records(before, keep).await,
        }
    }
}
