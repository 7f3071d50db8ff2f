//! What each account used in a month: tokens that it took, bytes that were relayed for it.

use model::AccountId;
use sqlx::{AssertSqlSafe, QueryBuilder};

use super::{Sqlite, value};
use crate::StoreError;

/// Rows in one statement: SQLite takes 32,766 values.
const ROWS: usize = 1_000;

/// A table with one count for each account and month.
struct Tally {
    table: &'static str,
    column: &'static str,
    read: &'static str,
    save: &'static str,
}

const TOKENS: Tally = Tally {
    table: "token_counts",
    column: "tokens",
    read: "read the counts of tokens",
    save: "save the counts of tokens",
};
const RELAYED: Tally = Tally {
    table: "relay_bytes",
    column: "bytes",
    read: "read the counts of relayed bytes",
    save: "save the counts of relayed bytes",
};

impl Sqlite {
    pub(crate) async fn token_counts(
        &self,
        month: (i32, u8),
    ) -> Result<Vec<(AccountId, u64)>, StoreError> {
        self.counts(&TOKENS, month).await
    }

    pub(crate) async fn save_token_counts(
        &self,
        month: (i32, u8),
        counts: &[(AccountId, u64)],
    ) -> Result<(), StoreError> {
        self.save_counts(&TOKENS, month, counts).await
    }

    pub(crate) async fn relay_bytes(
        &self,
        month: (i32, u8),
    ) -> Result<Vec<(AccountId, u64)>, StoreError> {
        self.counts(&RELAYED, month).await
    }

    pub(crate) async fn save_relay_bytes(
        &self,
        month: (i32, u8),
        counts: &[(AccountId, u64)],
    ) -> Result<(), StoreError> {
        self.save_counts(&RELAYED, month, counts).await
    }

    async fn counts(
        &self,
        tally: &Tally,
        (year, month): (i32, u8),
    ) -> Result<Vec<(AccountId, u64)>, StoreError> {
        let Tally { table, column, .. } = tally;
        let query = AssertSqlSafe(format!(
            "SELECT account_id, {column} FROM {table} WHERE year = ? AND month = ? ORDER BY account_id"
        ));
        let rows: Vec<(i64, i64)> = sqlx::query_as(query)
            .bind(year)
            .bind(month)
            .fetch_all(&self.readers)
            .await
            .map_err(self.failed(tally.read))?;
        rows.into_iter()
            .map(|(account, count)| Ok((value::account_id(account)?, value::count(count)?)))
            .collect::<Result<_, _>>()
            .map_err(self.damaged(tally.read))
    }

    async fn save_counts(
        &self,
        tally: &Tally,
        (year, month): (i32, u8),
        counts: &[(AccountId, u64)],
    ) -> Result<(), StoreError> {
        if counts.is_empty() {
            return Ok(());
        }
        let Tally {
            table,
            column,
            save,
            ..
        } = tally;
        let mut transaction = self.begin(save).await?;
        for rows in counts.chunks(ROWS) {
            let mut statement: QueryBuilder<sqlx::Sqlite> = QueryBuilder::new(format!(
                "INSERT INTO {table} (year, month, account_id, {column}) "
            ));
            statement.push_values(rows, |mut row, &(account, count)| {
                row.push_bind(year)
                    .push_bind(month)
                    .push_bind(account.0)
                    .push_bind(value::whole(count));
            });
            statement.push(format!(
                " ON CONFLICT (year, month, account_id) DO UPDATE SET {column} = max({column}, excluded.{column})"
            ));
            // Not to be remembered: its text differs with the number of rows.
            statement
                .build()
                .persistent(false)
                .execute(&mut *transaction)
                .await
                .map_err(self.failed(save))?;
        }
        transaction.commit().await.map_err(self.failed(save))
    }
}
