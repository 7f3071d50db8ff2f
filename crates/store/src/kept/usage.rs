//! What each account used in a month: tokens that it took, bytes that were relayed for it.

use std::collections::BTreeMap;

use model::AccountId;

use crate::session::Purpose;
use crate::statement::{Row, Statement, Value};
use crate::value::{self, Unfit};
use crate::writer::Writer;
use crate::{Store, StoreError, again};

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

impl Store {
    /// How many tokens each account took in `month` (year, month of 1 to 12), in the order of account numbers;
    /// those that took none are left out. Where several processes write, it is what they took together; whoever counts a month
    /// reads it first, or begins with nothing.
    pub async fn token_counts(
        &self,
        month: (i32, u8),
    ) -> Result<Vec<(AccountId, u64)>, StoreError> {
        self.counts(&TOKENS, month).await
    }

    /// Writes the counts of `month`, all or none. A count never gets smaller: the larger number stays. Where several processes write, each
    /// adds what it took itself: what is beyond that which it read of this month before it first wrote.
    pub async fn save_token_counts(
        &self,
        month: (i32, u8),
        counts: &[(AccountId, u64)],
    ) -> Result<(), StoreError> {
        self.save_counts(&TOKENS, month, counts).await
    }

    /// How many bytes were relayed for each account in `month`, in the order of account numbers; those without any are
    /// left out.
    pub async fn relay_bytes(&self, month: (i32, u8)) -> Result<Vec<(AccountId, u64)>, StoreError> {
        self.counts(&RELAYED, month).await
    }

    /// Writes the bytes relayed in `month`, all or none; as [`Store::save_token_counts`] does.
    pub async fn save_relay_bytes(
        &self,
        month: (i32, u8),
        counts: &[(AccountId, u64)],
    ) -> Result<(), StoreError> {
        self.save_counts(&RELAYED, month, counts).await
    }

    /// How many tokens other processes have counted for each account in `month` since this one began with it
    /// ([`Store::token_counts`]). None of them, where no other process counts.
    pub async fn token_counts_elsewhere(
        &self,
        month: (i32, u8),
    ) -> Result<Vec<(AccountId, u64)>, StoreError> {
        self.elsewhere(&TOKENS, month).await
    }

    /// The same for relayed bytes.
    pub async fn relay_bytes_elsewhere(
        &self,
        month: (i32, u8),
    ) -> Result<Vec<(AccountId, u64)>, StoreError> {
        self.elsewhere(&RELAYED, month).await
    }

    /// Whether other processes may count into the same months.
    pub fn is_shared(&self) -> bool {
        self.writer().is_some()
    }

    async fn elsewhere(
        &self,
        tally: &Tally,
        (year, month): (i32, u8),
    ) -> Result<Vec<(AccountId, u64)>, StoreError> {
        let Some(writer) = self.writer() else {
            return Ok(Vec::new());
        };
        let Tally { table, column, .. } = tally;
        let mut session = self.session(Purpose::Read, tally.read).await?;
        let statement = Statement::new(&format!(
            "SELECT account_id, CAST(sum({column}) AS BIGINT) AS count FROM {table} \
             WHERE year = $1 AND month = $2 AND writer <> $3 GROUP BY account_id"
        ));
        let statement = statement.bind(year).bind(month).bind(writer.number());
        let rows = session.rows(statement).await?;
        let sums = rows.iter().map(of_account).collect::<Result<Vec<_>, _>>();
        let sums = sums.map_err(|what| session.damaged(what))?;
        Ok(writer.elsewhere(table, (year, month), sums))
    }

    async fn counts(
        &self,
        tally: &Tally,
        (year, month): (i32, u8),
    ) -> Result<Vec<(AccountId, u64)>, StoreError> {
        let Tally { table, column, .. } = tally;
        let mut session = self.session(Purpose::Read, tally.read).await?;
        let statement = Statement::new(&format!(
            "SELECT account_id, CAST(sum({column}) AS BIGINT) AS count FROM {table} WHERE year = $1 AND month = $2 \
             GROUP BY account_id ORDER BY account_id"
        ));
        let rows = session.rows(statement.bind(year).bind(month)).await?;
        let read = rows.iter().map(of_account).collect::<Result<Vec<_>, _>>();
        let read = read.map_err(|what| session.damaged(what))?;
        if let Some(writer) = self.writer() {
            writer.has_read(table, (year, month), &read);
        }
        Ok(read)
    }

    async fn save_counts(
        &self,
        tally: &Tally,
        month: (i32, u8),
        counts: &[(AccountId, u64)],
    ) -> Result<(), StoreError> {
        // In the order of accounts, so that two who write at once never wait for each other in a circle; each once, for PostgreSQL.
        let mut largest = BTreeMap::new();
        for &(account, count) in counts {
            let kept = largest.entry(account).or_insert(count);
            *kept = count.max(*kept);
        }
        let largest: Vec<_> = match self.writer() {
            Some(writer) => writer.own(tally.table, month, largest),
            None => largest.into_iter().collect(),
        };
        if largest.is_empty() {
            return Ok(());
        }
        let largest = &largest[..];
        again(move || self.try_save_counts(tally, month, largest)).await
    }

    async fn try_save_counts(
        &self,
        tally: &Tally,
        (year, month): (i32, u8),
        counts: &[(AccountId, u64)],
    ) -> Result<(), StoreError> {
        let Tally { table, column, .. } = tally;
        let writer = self.writer().map(Writer::number);
        let key = if writer.is_some() {
            "year, month, account_id, writer"
        } else {
            "year, month, account_id"
        };
        let mut session = self.session(Purpose::Write, tally.save).await?;
        for rows in counts.chunks(ROWS) {
            let mut statement =
                Statement::new(&format!("INSERT INTO {table} ({key}, {column}) ")).not_remembered();
            statement.push_rows(rows, |&(account, count)| {
                let mut values: Vec<Value> = vec![year.into(), month.into(), account.0.into()];
                values.extend(writer.map(Value::from));
                values.push(value::whole(count).into());
                values
            });
            statement.push(&format!(
                " ON CONFLICT ({key}) DO UPDATE SET {column} = excluded.{column} \
                 WHERE excluded.{column} > {table}.{column}"
            ));
            session.execute(statement).await?;
        }
        session.commit().await
    }
}

/// An account and the count beside it.
pub(super) fn of_account(row: &Row) -> Result<(AccountId, u64), Unfit> {
    let account = value::account_id(row.get("account_id")?)?;
    Ok((account, value::count(row.get("count")?)?))
}
