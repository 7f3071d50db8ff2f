//! How many tokens each account took in a month.

use model::AccountId;
use sqlx::QueryBuilder;

use super::{Sqlite, value};
use crate::StoreError;

const READ: &str = "read the counts of tokens";
const SAVE: &str = "save the counts of tokens";
/// Rows in one statement: SQLite takes 32,766 values.
const ROWS: usize = 1_000;

impl Sqlite {
    pub(crate) async fn token_counts(
        &self,
        (year, month): (i32, u8),
    ) -> Result<Vec<(AccountId, u64)>, StoreError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT account_id, tokens FROM token_counts WHERE year = ? AND month = ? ORDER BY account_id",
        )
        .bind(year)
        .bind(month)
        .fetch_all(&self.readers)
        .await
        .map_err(self.failed(READ))?;
        rows.into_iter()
            .map(|(account, tokens)| Ok((value::account_id(account)?, value::count(tokens)?)))
            .collect::<Result<_, _>>()
            .map_err(self.damaged(READ))
    }

    pub(crate) async fn save_token_counts(
        &self,
        (year, month): (i32, u8),
        counts: &[(AccountId, u64)],
    ) -> Result<(), StoreError> {
        if counts.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin(SAVE).await?;
        for rows in counts.chunks(ROWS) {
            let mut statement: QueryBuilder<sqlx::Sqlite> =
                QueryBuilder::new("INSERT INTO token_counts (year, month, account_id, tokens) ");
            statement.push_values(rows, |mut row, &(account, tokens)| {
                row.push_bind(year)
                    .push_bind(month)
                    .push_bind(account.0)
                    .push_bind(value::whole(tokens));
            });
            statement.push(
                " ON CONFLICT (year, month, account_id) DO UPDATE SET tokens = max(tokens, excluded.tokens)",
            );
            // Not to be remembered: its text differs with the number of rows.
            statement
                .build()
                .persistent(false)
                .execute(&mut *transaction)
                .await
                .map_err(self.failed(SAVE))?;
        }
        transaction.commit().await.map_err(self.failed(SAVE))
    }
}
