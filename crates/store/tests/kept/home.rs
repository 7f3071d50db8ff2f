//! Where the stores of these tests are: a folder that goes away, with SQLite in it.

use std::path::{Path, PathBuf};

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
pub(crate) use sqlx::sqlite::SqliteConnection as Connection;
use store::Store;
use tempfile::TempDir;

use crate::sample::PEPPER;

/// A secret that is too short, as another program might write it.
pub(crate) const SHORT_SECRET: &str = "UPDATE services SET secret = zeroblob(31)";
/// A secret that is no text.
pub(crate) const NO_TEXT_SECRET: &str = "UPDATE services SET secret = zeroblob(32)";
/// A right secret, and a wrong page.
pub(crate) const WRONG_PAGE: &str =
    "UPDATE services SET secret = CAST(hex(zeroblob(16)) AS BLOB), first_url = 'ftp://a'";
/// What the types of this back end refuse.
pub(crate) const WRONG_TYPE: &str =
    "UPDATE services SET secret = 'a text and no bytes, of a right length'";

/// A place for a store.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) async fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) async fn open(&self) -> Store {
        self.open_with(PEPPER).await
    }

    pub(crate) async fn open_with(&self, fresh_pepper: [u8; 32]) -> Store {
        Store::open(self.path(), fresh_pepper).await.unwrap()
    }

    /// By which another process finds it.
    pub(crate) fn name(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    /// The store as another program sees it, with cascades as the store has them.
    pub(crate) async fn raw(&self) -> Connection {
        SqliteConnectOptions::new()
            .filename(self.path().join("offhook.db"))
            .foreign_keys(true)
            .create_if_missing(true)
            .connect()
            .await
            .unwrap()
    }
}

pub(crate) async fn open_named(name: &str) -> Store {
    Store::open(&PathBuf::from(name), PEPPER).await.unwrap()
}
