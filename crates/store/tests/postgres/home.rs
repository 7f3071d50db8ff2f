//! Where the stores of these tests are: in a database for each test, on one server.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

pub(crate) use sqlx::postgres::PgConnection as Connection;
use sqlx::{AssertSqlSafe, Connection as _};
use store::{Address, Migrate, Store, StoreError};

use crate::sample::PEPPER;
use crate::server::Server;

/// A secret that is too short, as another program might write it.
pub(crate) const SHORT_SECRET: &str =
    "UPDATE services SET secret = decode(repeat('00', 31), 'hex')";
/// A secret that is no text.
pub(crate) const NO_TEXT_SECRET: &str =
    "UPDATE services SET secret = decode(repeat('00', 32), 'hex')";
/// A right secret, and a wrong page.
pub(crate) const WRONG_PAGE: &str =
    "UPDATE services SET secret = decode(repeat('30', 32), 'hex'), first_url = 'ftp://a'";
/// What the types of this back end refuse.
pub(crate) const WRONG_TYPE: &str = "UPDATE services SET secret = 17";

/// A place for a store.
pub(crate) struct Home(String);

impl Home {
    pub(crate) async fn new() -> Self {
        static SERVER: OnceLock<Mutex<Server>> = OnceLock::new();
        let url = |name: &str| {
            let server = SERVER.get_or_init(|| Mutex::new(Server::start()));
            server.lock().unwrap().url(name)
        };
        Self::on(url).await
    }

    /// A fresh database on the server to which this leads.
    pub(crate) async fn on(url: impl Fn(&str) -> String) -> Self {
        static DATABASES: AtomicU32 = AtomicU32::new(0);
        let name = format!("kept{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let mut connection = Connection::connect(&url("postgres")).await.unwrap();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&mut connection).await.unwrap();
        Self(url(&name))
    }

    pub(crate) fn address(&self) -> Address {
        Address::parse(&self.0).unwrap()
    }

    pub(crate) async fn open(&self) -> Store {
        self.open_with(PEPPER).await
    }

    pub(crate) async fn open_with(&self, fresh_pepper: [u8; 32]) -> Store {
        Store::open_at(&self.address(), fresh_pepper, Migrate::AtOnce)
            .await
            .unwrap()
    }

    pub(crate) async fn refusal(&self, migrate: Migrate) -> StoreError {
        Store::open_at(&self.address(), PEPPER, migrate)
            .await
            .expect_err("this is not to be opened")
    }

    /// By which another process finds it.
    pub(crate) fn name(&self) -> String {
        self.0.clone()
    }

    /// The store as another program sees it.
    pub(crate) async fn raw(&self) -> Connection {
        Connection::connect(&self.0).await.unwrap()
    }
}

pub(crate) async fn open_named(name: &str) -> Store {
    Home(name.to_owned()).open().await
}
