//! The store in a PostgreSQL database, which several nodes may share.
//!
//! Whoever changes the directory first takes the row of its version: changes come one after another, of all nodes, and what one has
//! looked up is so until it ends. Usage and records need no such order: each node has rows of its own, or completes what is there.
//! What is committed is on the server's disk, as the server is set up.

mod fault;
mod listen;
mod migrations;

use std::io;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use crate::StoreError;
use crate::address::DatabaseUrl;
use crate::error::Place;
use crate::migration::{self, Migrate};
use crate::session::{Held, Purpose};
use crate::statement::Statement;
use crate::writer::Writer;
pub(crate) use fault::explain;
pub(crate) use listen::Listening;
use migrations::{MIGRATIONS, TABLE};

/// The operation that `open` is, in errors.
const OPEN: &str = "open the store";
/// How long a statement may take, and how long to wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// The server ends what takes too long; should there be no answer at all, we give up so much later.
const NO_ANSWER: Duration = Duration::from_secs(7);
/// How long a connection has to show that it leads to the server.
const PROOF: Duration = Duration::from_secs(1);
/// How long another process may take to change the tables.
const MIGRATION_TURN: Duration = Duration::from_secs(60);
/// Connections of a node: its keepers, a change by HTTP, listings. One more listens for changes.
const CONNECTIONS: u32 = 8;
/// What marks a server that serves: an advisory lock on the schema of its tables, of which a database may have several, and on the number
/// of its process.
const SCHEMA: &str = "CAST(CAST(current_schema() AS TEXT) AS REGNAMESPACE)";

/// A store in a PostgreSQL database.
#[derive(Clone, Debug)]
pub struct Postgres {
    pool: PgPool,
    place: Place,
    writer: Writer,
}

impl Postgres {
    pub(crate) async fn open(
        url: &DatabaseUrl,
        fresh_pepper: [u8; 32],
        migrate: Migrate,
    ) -> Result<Self, StoreError> {
        let (options, place) = (url.options()?, url.place());
        let options = options.application_name("offhook");
        let opening = |error| explain(OPEN, place.clone(), error);
        let slow = with_timeouts(options.clone(), Duration::ZERO, MIGRATION_TURN);
        let mut connection = in_time(slow.connect()).await.map_err(opening)?;
        let is_ours = claim(&mut connection, &place).await?;
        match migrate {
            Migrate::AtOnce => {
                let pool = PgPoolOptions::new()
                    .max_connections(1)
                    .acquire_timeout(PATIENCE)
                    .connect_lazy_with(slow);
                let migrated = MIGRATIONS.run(&pool).await;
                pool.close().await;
                migrated.map_err(|error| migration::explain(explain, OPEN, &place, error))?;
            }
            Migrate::Never => verify(&mut connection, &place, is_ours).await?,
        }
        let number = begin(&mut connection, fresh_pepper)
            .await
            .map_err(opening)?;
        // It need not end well: it is gone in any case.
        let _ = connection.close().await;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .before_acquire(|connection, _| Box::pin(proven(connection)))
            .after_release(|connection, _| Box::pin(proven(connection)))
            .connect_with(with_timeouts(options, PATIENCE, PATIENCE))
            .await
            .map_err(opening)?;
        Ok(Self {
            pool,
            place,
            writer: Writer::new(number),
        })
    }

    pub(crate) async fn close(&self) {
        // Whoever has no answer from the server waits for none.
        let _ = tokio::time::timeout(PATIENCE, self.pool.close()).await;
    }

    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// A connection for a session.
    pub(crate) async fn hold(
        &self,
        purpose: Purpose,
        operation: &'static str,
    ) -> Result<Held, StoreError> {
        let begin = match purpose {
            Purpose::Read => {
                let held = self.pool.acquire().await.map(Held::Postgres);
                return held.map_err(|error| explain(operation, self.place(), error));
            }
            Purpose::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Purpose::Change | Purpose::Write => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        let begun = async {
            let mut transaction = self.pool.begin_with(begin).await?;
            if purpose == Purpose::Change {
                sqlx::query("SELECT version FROM directory_version FOR UPDATE")
                    .execute(&mut *transaction)
                    .await?;
            }
            Ok(Held::PostgresTransaction(transaction))
        };
        in_time(begun)
            .await
            .map_err(|error| explain(operation, self.place(), error))
    }

    pub(crate) async fn listen(&self) -> Result<Listening, StoreError> {
        let options = self.pool.connect_options().as_ref().clone();
        let listening = Listening::begin(options, self.writer.number());
        let begun = async {
            listening.begun().await;
            Ok(())
        };
        match in_time(begun).await {
            Ok(()) => Ok(listening),
            Err(error) => Err(explain("listen for changes", self.place(), error)),
        }
    }
}

/// Whether a connection leads anywhere still. sqlx asks as well, but waits for ever for the answer of a server that is gone without a
/// word, and the connection is in nobody's hands meanwhile.
async fn proven(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(PROOF, connection.ping()).await {
        Ok(pinged) => pinged.map(|()| true),
        Err(_) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
    }
}

/// Gives up on a server that does not even say that it is too slow.
pub(crate) async fn in_time<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(NO_ANSWER, work).await {
        Ok(done) => done,
        Err(_) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
    }
}

/// Zero: no bound.
fn with_timeouts(
    options: PgConnectOptions,
    statement: Duration,
    lock: Duration,
) -> PgConnectOptions {
    options.options([
        // What is said of tables that are there already is for nobody's log.
        ("client_min_messages", "warning".to_owned()),
        ("statement_timeout", statement.as_millis().to_string()),
        ("lock_timeout", lock.as_millis().to_string()),
        (
            "idle_in_transaction_session_timeout",
            (PATIENCE * 2).as_millis().to_string(),
        ),
    ])
}

/// Makes sure that the database is ours or empty, before anything is changed in it, and says whether it is ours.
async fn claim(connection: &mut PgConnection, place: &Place) -> Result<bool, StoreError> {
    let (is_ours, tables): (bool, i64) = sqlx::query_as(
        "SELECT to_regclass($1) IS NOT NULL, (SELECT count(*) FROM pg_tables WHERE schemaname = current_schema())",
    )
    .bind(TABLE)
    .fetch_one(connection)
    .await
    .map_err(|error| explain(OPEN, place.clone(), error))?;
    if !is_ours && tables > 0 {
        let place = place.clone();
        return Err(StoreError::Foreign { place });
    }
    Ok(is_ours)
}

/// Gives a new database its pepper, and this process a number of its own.
async fn begin(connection: &mut PgConnection, fresh_pepper: [u8; 32]) -> Result<i64, sqlx::Error> {
    sqlx::query("INSERT INTO secrets (name, value) VALUES ('pepper', $1) ON CONFLICT DO NOTHING")
        .bind(fresh_pepper.as_slice())
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar("SELECT nextval('usage_writers')")
        .fetch_one(connection)
        .await
}

/// Refuses tables that are older or newer than ours.
async fn verify(
    connection: &mut PgConnection,
    place: &Place,
    is_ours: bool,
) -> Result<(), StoreError> {
    let done: Vec<i64> = if is_ours {
        let statement = format!("SELECT version FROM {TABLE} ORDER BY version");
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_all(connection)
            .await
            .map_err(|error| explain(OPEN, place.clone(), error))?
    } else {
        Vec::new()
    };
    let place = place.clone();
    if let Some(step) = MIGRATIONS
        .iter()
        .map(|step| step.version)
        .find(|step| !done.contains(step))
    {
        return Err(StoreError::Unmigrated { place, step });
    }
    match done
        .into_iter()
        .find(|step| !MIGRATIONS.version_exists(*step))
    {
        Some(step) => Err(StoreError::OtherVersion { place, step }),
        None => Ok(()),
    }
}

/// Takes the mark of a server that serves, for as long as the connection lasts. A mark that its connection of before has left behind is
/// not in the way.
async fn mark_serving(connection: &mut PgConnection, writer: i64) -> Result<(), sqlx::Error> {
    let lock = format!(
        "SELECT pg_advisory_lock_shared(CAST(CAST({SCHEMA} AS OID) AS INTEGER), CAST($1 AS INTEGER))"
    );
    sqlx::query(sqlx::AssertSqlSafe(lock))
        .bind(writer)
        .execute(connection)
        .await
        .map(|_| ())
}

/// A query for the numbers of the processes that serve on these tables.
pub(crate) fn serving() -> String {
    format!(
        "SELECT CAST(objid AS BIGINT) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 \
         AND classid = CAST({SCHEMA} AS OID) \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
}

/// Has the rows of this table numbered on from those that are there.
pub(crate) fn number_on(table: &str) -> Statement {
    Statement::new(&format!(
        "SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM {table}), false) AS found"
    ))
}
