//! What is kept: accounts, their keys, services and revocations, what they used in a month, and call records.
//!
//! The only crate with SQL, and with Redis ([`bus`]: what passes between several nodes, and is not kept). It never decides anything, never reads a clock and never makes a key: times, keys and
//! random bytes come in as values. Nothing here belongs on the path of a message: the server works on a
//! [`Directory`](model::Directory) in memory, and learns of changes by other processes from [`Store::directory_version`] and
//! [`Store::changes`].
//!
//! What a method has returned `Ok` for survives the death of the process; the loss of power may take the last moment of a file, and
//! of a database what its server says.

mod account;
mod address;
pub mod bus;
mod error;
mod kept;
mod migration;
mod postgres;
mod record;
mod service;
mod session;
mod sqlite;
mod statement;
mod value;
mod writer;

use std::path::Path;

use model::SecretBytes;

pub use account::{AccountChange, NewAccount};
pub use address::{Address, DatabaseUrl};
pub use error::{
    ChangeError, CopyError, CreateError, Place, RevokeError, ServiceError, StoreError,
};
pub use kept::{Absent, Copied};
pub use migration::Migrate;
pub use record::RecordQuery;
pub use service::Put;

use session::Purpose;
use statement::Statement;
use writer::Writer;

/// How often what other writers were in the way of is tried.
const TRIES: u32 = 4;

/// A place where things are kept. Cheap to clone; all clones are the same place.
#[derive(Clone, Debug)]
pub enum Store {
    /// A file beside the server.
    Sqlite(sqlite::Sqlite),
    /// A database that several servers may share.
    Postgres(postgres::Postgres),
}

impl Store {
    /// Opens the store in the folder `dir`; makes both if they are missing, readable by their owner alone.
    /// `fresh_pepper` becomes the pepper of a new store; one that is there keeps its own.
    pub async fn open(dir: &Path, fresh_pepper: [u8; 32]) -> Result<Self, StoreError> {
        sqlite::Sqlite::open(dir, fresh_pepper)
            .await
            .map(Self::Sqlite)
    }

    /// Opens the store at this address, as [`Store::open`] does. A database must be there, and be ours or empty.
    pub async fn open_at(
        address: &Address,
        fresh_pepper: [u8; 32],
        migrate: Migrate,
    ) -> Result<Self, StoreError> {
        match address {
            Address::Folder(dir) => Self::open(dir, fresh_pepper).await,
            Address::Database(url) => postgres::Postgres::open(url, fresh_pepper, migrate)
                .await
                .map(Self::Postgres),
        }
    }

    /// Waits for what is under way and closes the store. Every later use answers [`StoreError::Closed`].
    pub async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(postgres) => postgres.close().await,
        }
    }

    /// Copies everything as it is at one moment into `file`, which must be empty or not there; others read and write on.
    /// A database has tools of its own for that.
    pub async fn back_up(&self, file: &Path) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.back_up(file).await,
            Self::Postgres(postgres) => Err(StoreError::NoFile {
                operation: "copy the store",
                place: postgres.place(),
            }),
        }
    }

    /// The secret with which API access keys are hashed: 32 bytes, the same for the life of the store.
    pub async fn pepper(&self) -> Result<SecretBytes, StoreError> {
        let mut session = self.session(Purpose::Read, "read the pepper").await?;
        let statement = Statement::new("SELECT value FROM secrets WHERE name = 'pepper'");
        let pepper = match session.row(statement).await? {
            Some(row) => row.get::<Vec<u8>>("value"),
            None => Err("it has no pepper".to_owned()),
        };
        pepper
            .map(SecretBytes::new)
            .map_err(|what| session.damaged(what))
    }

    /// Tells when the directory may have changed, and marks this process as a server that serves on the store, for as long as it is
    /// held; others see the mark when this returns. Needs tokio.
    pub async fn changes(&self) -> Result<Changes, StoreError> {
        Ok(Changes(match self {
            Self::Sqlite(_) => None,
            Self::Postgres(postgres) => Some(postgres.listen().await?),
        }))
    }

    /// A condition that holds for a record whose writer does not serve; `None` where there is one writer alone.
    fn is_abandoned(&self) -> Option<String> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(_) => Some(format!("writer NOT IN ({})", postgres::serving())),
        }
    }

    /// Has the database number the rows of this table on from those that are there; a file does so by itself.
    fn number_on(&self, table: &str) -> Option<Statement> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(_) => Some(postgres::number_on(table)),
        }
    }

    /// Which of several processes that count this is; `None` where one alone does.
    fn writer(&self) -> Option<&Writer> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(postgres) => Some(postgres.writer()),
        }
    }
}

/// What tells of changes of the directory; see [`Store::changes`].
#[derive(Debug)]
pub struct Changes(Option<postgres::Listening>);

impl Changes {
    /// Waits until the directory may have changed since this was last asked; may be given up and asked again. A file tells nothing: it
    /// is to be polled, and so is a database that may have gone away.
    pub async fn next(&self) {
        match &self.0 {
            Some(listening) => listening.next().await,
            None => std::future::pending().await,
        }
    }
}

/// Tries again what other writers were in the way of.
async fn again<T, F>(attempt: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for _ in 1..TRIES {
        match attempt().await {
            Err(StoreError::Conflict { .. }) => {}
            done => return done,
        }
    }
    attempt().await
}
