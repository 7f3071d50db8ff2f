//! The store in one SQLite file, `offhook.db`, in write-ahead-log mode.
//!
//! One connection writes and a few read: writers inside the process queue in order, readers never wait for them.
//! Every transaction that writes begins as IMMEDIATE: one that begins by reading could not be let wait for its turn.
//! What is committed survives the death of the process (synchronous NORMAL); a power cut may take the last commits.

mod background;
mod backup;
mod fault;
mod folder;
mod migrations;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlitePool, Transaction};

use crate::StoreError;
use crate::error::Place;
use crate::migration;
use crate::session::{Held, Purpose};
pub(crate) use fault::explain;
use migrations::MIGRATIONS;

/// The operation that `open` is, in errors.
const OPEN: &str = "open the store";
/// Marks the file as offhook's (`PRAGMA application_id`): "ofhk".
const APPLICATION_ID: i32 = 0x6f66_686b;
/// How long to wait for a lock that another process holds.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for a connection, behind others of this process.
const QUEUE_TIME: Duration = Duration::from_secs(15);
/// Connections that only read: one for the poll of the version, one for a listing meanwhile.
const READERS: u32 = 2;

/// A SQLite store.
#[derive(Clone, Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    place: Place,
}

impl Sqlite {
    pub(crate) async fn open(dir: &Path, fresh_pepper: [u8; 32]) -> Result<Self, StoreError> {
        Self::open_patiently(dir, fresh_pepper, PATIENCE).await
    }

    async fn open_patiently(
        dir: &Path,
        fresh_pepper: [u8; 32],
        patience: Duration,
    ) -> Result<Self, StoreError> {
        folder::make(dir)?;
        let turn = folder::take_turn(dir, patience).await?;
        let file = folder::database(dir)?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .busy_timeout(patience)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Normal)
            // Deleted keys are overwritten.
            .pragma("secure_delete", "ON");
        let place = Place::File(file.into());
        claim(&options, &place).await?;

        let opening = |error| explain(OPEN, place.clone(), error);
        let options = options.journal_mode(SqliteJournalMode::Wal);
        let writer = background::run(pool(1).connect_with(options.clone()))
            .await
            .map_err(opening)?;
        MIGRATIONS
            .run(&writer)
            .await
            .map_err(|error| migration::explain(explain, OPEN, &place, error))?;
        sqlx::query(
            "INSERT INTO secrets (name, value) VALUES ('pepper', ?) ON CONFLICT DO NOTHING",
        )
        .bind(fresh_pepper.as_slice())
        .execute(&writer)
        .await
        .map_err(opening)?;
        let readers = pool(READERS)
            .connect_with(options.pragma("query_only", "ON"))
            .await
            .map_err(opening)?;
        drop(turn);
        Ok(Self {
            writer,
            readers,
            place,
        })
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        // The last connection to close folds the log into the database file.
        self.writer.close().await;
    }

    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    /// A connection for a session.
    pub(crate) async fn hold(
        &self,
        purpose: Purpose,
        operation: &'static str,
    ) -> Result<Held, StoreError> {
        let failed = |error| explain(operation, self.place(), error);
        match purpose {
            Purpose::Read => Ok(Held::Sqlite(self.readers.acquire().await.map_err(failed)?)),
            Purpose::Snapshot => {
                let begun = self.readers.begin().await.map_err(failed)?;
                Ok(Held::SqliteTransaction(begun))
            }
            Purpose::Change | Purpose::Write => {
                let begun = self.begin().await.map_err(failed)?;
                Ok(Held::SqliteTransaction(begun))
            }
        }
    }

    async fn begin(&self) -> Result<Transaction<'static, sqlx::Sqlite>, sqlx::Error> {
        const BEGIN: &str = "BEGIN IMMEDIATE";
        match self.writer.begin_with(BEGIN).await {
            // Where the disk was full, SQLite has rolled back by itself, which sqlx does not notice: it counts a transaction
            // that is no more and begins no other on this connection, ever.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                let spoiled = self.writer.acquire().await?;
                // It need not end well: it is gone in any case.
                let _ = spoiled.close().await;
                self.writer.begin_with(BEGIN).await
            }
            begun => begun,
        }
    }
}

/// Makes sure that the file is ours or empty, before anything is changed in it; an empty one becomes ours.
async fn claim(options: &SqliteConnectOptions, place: &Place) -> Result<(), StoreError> {
    let opening = |error| explain(OPEN, place.clone(), error);
    let mut connection = options.connect().await.map_err(opening)?;
    let owner: i32 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut connection)
        .await
        .map_err(opening)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut connection)
        .await
        .map_err(opening)?;
    match (owner, tables) {
        (APPLICATION_ID, _) => {}
        (0, 0) => {
            let mark = sqlx::AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"));
            sqlx::query(mark)
                .execute(&mut connection)
                .await
                .map_err(opening)?;
        }
        (_, _) => {
            return Err(StoreError::Foreign {
                place: place.clone(),
            });
        }
    }
    connection.close().await.map_err(opening)
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .acquire_timeout(QUEUE_TIME)
        .idle_timeout(None)
        .max_lifetime(None)
        // A file does not go away like a server does.
        .test_before_acquire(false)
}

#[cfg(test)]
mod tests {
    use sqlx::migrate::Migrator;

    use super::*;
    use crate::Store;

    const PEPPER: [u8; 32] = [7; 32];
    const MUCH: &str = "INSERT INTO secrets (name, value) SELECT value, randomblob(32) FROM \
        (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 10000) SELECT * FROM n)";

    async fn impatient(dir: &Path) -> Result<Sqlite, StoreError> {
        Sqlite::open_patiently(dir, PEPPER, Duration::from_millis(1)).await
    }

    fn failed(sqlite: &Sqlite, operation: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
        move |error| explain(operation, sqlite.place(), error)
    }

    #[tokio::test]
    async fn a_lock_that_is_not_given_back_is_reported() {
        let dir = tempfile::TempDir::new().unwrap();
        let one = impatient(dir.path()).await.unwrap();
        let other = Store::Sqlite(impatient(dir.path()).await.unwrap());
        let held = one.begin().await.unwrap();
        let error = other
            .save_token_counts((2025, 6), &[(model::AccountId(1), 1)])
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Busy { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.starts_with("cannot save the counts of tokens: /"),
            "{text}"
        );
        assert!(
            text.contains("offhook.db stayed locked by another process"),
            "{text}"
        );
        other
            .directory_version()
            .await
            .expect("readers do not wait for a writer");
        held.rollback().await.unwrap();
        let Store::Sqlite(other) = other else {
            panic!("it is in a file");
        };
        other.begin().await.expect("the lock is free again");
    }

    #[tokio::test]
    async fn whoever_is_stuck_while_opening_is_reported() {
        let dir = tempfile::TempDir::new().unwrap();
        let turn = folder::take_turn(dir.path(), PATIENCE).await.unwrap();
        let error = impatient(dir.path()).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Busy { place, .. } if place.to_string().ends_with("offhook.lock")),
            "{error:?}"
        );
        drop(turn);
        impatient(dir.path()).await.expect("its turn has come");
    }

    #[tokio::test]
    async fn a_full_disk_is_reported_and_breaks_nothing() {
        let dir = tempfile::TempDir::new().unwrap();
        let sqlite = impatient(dir.path()).await.unwrap();
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
            .fetch_one(&sqlite.writer)
            .await
            .unwrap();
        let cap = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::query(cap).execute(&sqlite.writer).await.unwrap();
        let error = sqlx::query(MUCH)
            .execute(&sqlite.writer)
            .await
            .map_err(failed(&sqlite, "write a lot"))
            .unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert!(
            error.to_string().contains("no space is left for /"),
            "{error}"
        );
        let store = Store::Sqlite(sqlite);
        assert_eq!(store.pepper().await.unwrap().expose(), PEPPER);
    }

    #[tokio::test]
    async fn after_a_full_disk_it_goes_on_as_soon_as_there_is_room() {
        let dir = tempfile::TempDir::new().unwrap();
        let sqlite = impatient(dir.path()).await.unwrap();
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
            .fetch_one(&sqlite.writer)
            .await
            .unwrap();
        let cap = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::query(cap).execute(&sqlite.writer).await.unwrap();
        let mut transaction = sqlite.begin().await.unwrap();
        sqlx::query(MUCH)
            .execute(&mut *transaction)
            .await
            .unwrap_err();
        // As SQLite does by itself where a disk has no room for the log.
        sqlx::query("ROLLBACK")
            .execute(&mut *transaction)
            .await
            .unwrap();
        drop(transaction);
        let mut transaction = sqlite.begin().await.unwrap();
        sqlx::query("INSERT INTO secrets (name, value) VALUES ('again', zeroblob(32))")
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }

    #[tokio::test]
    async fn what_is_from_before_there_were_relays_and_services_is_kept() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = folder::database(dir.path()).unwrap();
        let options = SqliteConnectOptions::new().filename(&file);
        claim(&options, &Place::File(file.into())).await.unwrap();
        let first = MIGRATIONS.iter().next().unwrap().clone();
        let old = pool(1).connect_with(options).await.unwrap();
        Migrator::with_migrations(vec![first])
            .run(&old)
            .await
            .unwrap();
        for insert in [
            "INSERT INTO accounts (cloud_id, username, kind, access_key) VALUES ('1-2-0', 'a@b.c', 'production', 'k')",
            "INSERT INTO records (id, account_id, caller, callee, call_id, started_ms) \
             VALUES (zeroblob(16), 1, 'ann', 'bob', 'x', 7)",
        ] {
            sqlx::query(insert).execute(&old).await.unwrap();
        }
        old.close().await;
        let store = Store::Sqlite(impatient(dir.path()).await.unwrap());
        let records = store.records(crate::RecordQuery::default()).await.unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].relay, [model::RelayUsage::default(); 2]);
        assert_eq!(records[0].callee.to_string(), "bob");
        let (directory, _) = store
            .directory(model::UnixTime::from_secs(1))
            .await
            .unwrap();
        let account = directory.by_access_key("k").unwrap();
        assert!(account.services.is_empty());
        assert_eq!(account.service_callers, model::ServiceCallers::Anyone);
    }

    #[tokio::test]
    async fn services_from_before_there_were_applications_are_kept_and_watched() {
        let dir = tempfile::TempDir::new().unwrap();
        let file = folder::database(dir.path()).unwrap();
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .foreign_keys(false);
        claim(&options, &Place::File(file.into())).await.unwrap();
        let before = MIGRATIONS.iter().take(3).cloned().collect();
        let old = pool(1).connect_with(options).await.unwrap();
        Migrator::with_migrations(before).run(&old).await.unwrap();
        for insert in [
            "INSERT INTO accounts (cloud_id, username, kind, access_key) VALUES ('1-2-0', 'a@b.c', 'production', 'k')",
            "INSERT INTO services (id, account_id, name, kind, ring_order, ring_s) \
             VALUES (7, 1, 'support', 'clients', 'in_order', 15), (8, 99, 'orphan', 'clients', 'all', 20)",
            "INSERT INTO service_clients VALUES (7, 0, 'bob'), (7, 1, 'ann'), (8, 0, 'eve'), (9, 0, 'eve')",
        ] {
            sqlx::query(insert).execute(&old).await.unwrap();
        }
        let version: i64 = sqlx::query_scalar("SELECT version FROM directory_version")
            .fetch_one(&old)
            .await
            .unwrap();
        old.close().await;
        let sqlite = impatient(dir.path()).await.unwrap();
        let store = Store::Sqlite(sqlite.clone());
        let read = store.directory(model::UnixTime::from_secs(1)).await;
        let (directory, kept) = read.unwrap();
        assert_eq!(i64::try_from(kept), Ok(version));
        let account = directory.by_access_key("k").unwrap();
        let model::ServiceTarget::Clients(group) = &account.services["support"].target else {
            panic!("its clients answer: {account:?}");
        };
        let clients = group.clients().iter().map(model::ClientId::as_str);
        assert!(clients.eq(["bob", "ann"]), "{group:?}");
        assert_eq!(
            (group.order(), group.ring_s()),
            (model::RingOrder::InOrder, 15)
        );
        let left: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM services), (SELECT count(*) FROM service_clients)",
        )
        .fetch_one(&sqlite.readers)
        .await
        .unwrap();
        assert_eq!(left, (1, 2), "what belonged to nobody is gone");
        sqlx::query("DELETE FROM accounts")
            .execute(&sqlite.writer)
            .await
            .unwrap();
        assert!(store.directory_version().await.unwrap() > kept);
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM service_clients")
            .fetch_one(&sqlite.readers)
            .await
            .unwrap();
        assert_eq!(left, 0, "cascades go through both tables");
    }

    #[tokio::test]
    async fn readers_cannot_write() {
        let dir = tempfile::TempDir::new().unwrap();
        let sqlite = impatient(dir.path()).await.unwrap();
        let error = sqlx::query("DELETE FROM secrets")
            .execute(&sqlite.readers)
            .await
            .map_err(failed(&sqlite, "delete the pepper"))
            .unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn pages_and_polls_use_an_index() {
        let dir = tempfile::TempDir::new().unwrap();
        let sqlite = impatient(dir.path()).await.unwrap();
        for (query, index) in [
            (
                "SELECT id FROM records ORDER BY started_ms DESC, id DESC LIMIT 9",
                "records_newest",
            ),
            (
                "SELECT id FROM records WHERE (started_ms, id) < (9, x'00') ORDER BY started_ms DESC, id DESC",
                "records_newest",
            ),
            (
                "SELECT id FROM records WHERE account_id = 1 ORDER BY started_ms DESC, id DESC",
                "records_of_account",
            ),
            (
                "DELETE FROM records WHERE (started_ms, id) > (8, x'00') AND (started_ms, id) <= (9, x'00')",
                "records_newest ((started_ms,id)>(?,?) AND (started_ms,id)<(?,?))",
            ),
            (
                "DELETE FROM records WHERE account_id = 1 AND (started_ms, id) > (8, x'00') AND (started_ms, id) <= (9, x'00')",
                "records_of_account (account_id=? AND (started_ms,id)>(?,?) AND (started_ms,id)<(?,?))",
            ),
            (
                "SELECT account_id, count(*) FROM records GROUP BY account_id",
                "COVERING INDEX records_of_account",
            ),
            (
                "UPDATE records SET ended_ms = 1 WHERE ended_ms IS NULL",
                "records_going_on",
            ),
            (
                "SELECT 1 FROM api_keys WHERE expires_ms <= 9",
                "api_keys_expiry",
            ),
            (
                "SELECT 1 FROM signing_keys WHERE expires_ms <= 9",
                "signing_keys_expiry",
            ),
            (
                "SELECT 1 FROM services LEFT JOIN service_clients ON service_id = services.id ORDER BY services.id, position",
                "SEARCH service_clients USING PRIMARY KEY (service_id=?)",
            ),
            (
                "SELECT count(*) FROM services WHERE account_id = 1",
                "(account_id=?)",
            ),
        ] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
            let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
                .fetch_all(&sqlite.writer)
                .await
                .unwrap();
            let plan: String = steps
                .into_iter()
                .map(|(_, _, _, step)| step + "\n")
                .collect();
            assert!(plan.contains(index), "{query}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{query}: {plan}");
        }
    }
}
