//! One connection of either back end, held for one operation: the only place where statements are run.
//!
//! Knows how each back end begins, and what an answer of it means; never what a statement is about.

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection, Transaction};

use crate::error::Place;
use crate::statement::{Row, Statement};
use crate::value::Unfit;
use crate::{Store, StoreError, postgres, sqlite};

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To read, each statement for itself.
    Read,
    /// To read what was there at one moment.
    Snapshot,
    /// To change what the directory shows: one session at a time, of all processes. What one has found is so until it ends.
    Change,
    /// To write usage and records, beside other writers.
    Write,
}

/// A connection, and the operation that it serves. What is not committed has not been.
pub(crate) struct Session {
    held: Held,
    operation: &'static str,
    place: Place,
}

/// A connection, within a transaction or without.
pub(crate) enum Held {
    Sqlite(PoolConnection<Sqlite>),
    SqliteTransaction(Transaction<'static, Sqlite>),
    Postgres(PoolConnection<Postgres>),
    PostgresTransaction(Transaction<'static, Postgres>),
}

enum Connection<'s> {
    Sqlite(&'s mut SqliteConnection),
    Postgres(&'s mut PgConnection),
}

impl Store {
    pub(crate) async fn session(
        &self,
        purpose: Purpose,
        operation: &'static str,
    ) -> Result<Session, StoreError> {
        let (held, place) = match self {
            Self::Sqlite(sqlite) => (sqlite.hold(purpose, operation).await?, sqlite.place()),
            Self::Postgres(postgres) => {
                (postgres.hold(purpose, operation).await?, postgres.place())
            }
        };
        Ok(Session {
            held,
            operation,
            place,
        })
    }
}

impl Session {
    /// Runs a statement and says how many rows it touched.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let done = match self.connection() {
            Connection::Sqlite(connection) => match statement.for_sqlite() {
                Ok(query) => query
                    .execute(connection)
                    .await
                    .map(|done| done.rows_affected()),
                Err(error) => Err(error),
            },
            Connection::Postgres(connection) => {
                postgres::in_time(async {
                    let done = statement.for_postgres()?.execute(connection).await?;
                    Ok(done.rows_affected())
                })
                .await
            }
        };
        done.map_err(|error| self.failed(error))
    }

    /// All rows of an answer.
    pub(crate) async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let rows = match self.connection() {
            Connection::Sqlite(connection) => match statement.for_sqlite() {
                Ok(query) => query
                    .fetch_all(connection)
                    .await
                    .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
                Err(error) => Err(error),
            },
            Connection::Postgres(connection) => {
                postgres::in_time(async {
                    let rows = statement.for_postgres()?.fetch_all(connection).await?;
                    Ok(rows.into_iter().map(Row::Postgres).collect())
                })
                .await
            }
        };
        rows.map_err(|error| self.failed(error))
    }

    /// The first row of an answer, if there is one.
    pub(crate) async fn row(&mut self, statement: Statement) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// The number in the column `found` of an answer that has one row.
    pub(crate) async fn number(&mut self, statement: Statement) -> Result<i64, StoreError> {
        let row = self.row(statement).await?;
        let row = row.ok_or_else(|| self.damaged("a row is missing".to_owned()))?;
        row.get("found").map_err(|what| self.damaged(what))
    }

    /// Whether an answer has a row.
    pub(crate) async fn finds(&mut self, statement: Statement) -> Result<bool, StoreError> {
        Ok(!self.rows(statement).await?.is_empty())
    }

    /// Makes last what was done.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let (operation, place) = (self.operation, self.place);
        match self.held {
            Held::Sqlite(_) | Held::Postgres(_) => Ok(()),
            Held::SqliteTransaction(transaction) => transaction
                .commit()
                .await
                .map_err(|error| sqlite::explain(operation, place, error)),
            Held::PostgresTransaction(transaction) => postgres::in_time(transaction.commit())
                .await
                .map_err(|error| postgres::explain(operation, place, error)),
        }
    }

    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    /// Says that something that is kept does not fit.
    pub(crate) fn damaged(&self, what: Unfit) -> StoreError {
        StoreError::Damaged {
            operation: self.operation,
            place: self.place.clone(),
            what,
        }
    }

    fn failed(&self, error: sqlx::Error) -> StoreError {
        let (operation, place) = (self.operation, self.place.clone());
        match &self.held {
            Held::Sqlite(_) | Held::SqliteTransaction(_) => {
                sqlite::explain(operation, place, error)
            }
            Held::Postgres(_) | Held::PostgresTransaction(_) => {
                postgres::explain(operation, place, error)
            }
        }
    }

    fn connection(&mut self) -> Connection<'_> {
        match &mut self.held {
            Held::Sqlite(connection) => Connection::Sqlite(connection),
            Held::SqliteTransaction(transaction) => Connection::Sqlite(transaction),
            Held::Postgres(connection) => Connection::Postgres(connection),
            Held::PostgresTransaction(transaction) => Connection::Postgres(transaction),
        }
    }
}
