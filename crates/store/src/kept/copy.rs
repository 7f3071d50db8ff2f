//! A copy of everything that is kept, from one store to another that is empty.
//!
//! Rows go over as they are, under their numbers: what names an account goes on naming it. What an account used in a month goes over
//! as a sum. Never changes what it copies from.

use crate::session::{Purpose, Session};
use crate::statement::{Row, Statement, Value};
use crate::value::Unfit;
use crate::writer::Writer;
use crate::{CopyError, Store, StoreError};

const READ: &str = "read what is to be copied";
const WRITE: &str = "write the copy";
/// Rows that are written in one statement, and records that are in memory at a time: SQLite takes 32,766 values, a record has 26 at most.
const ROWS: usize = 1_000;

/// How much was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Accounts.
    pub accounts: u64,
    /// API access keys and signing keys.
    pub keys: u64,
    /// Services.
    pub services: u64,
    /// Revocations of tokens.
    pub revocations: u64,
    /// What an account used in a month: of tokens, and of relayed bytes.
    pub counts: u64,
    /// Call records.
    pub records: u64,
}

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    Number,
    Text,
    Bytes,
    Flag,
}

use Kind::{Bytes, Flag, Number, Text};

/// A table, with its columns in the order in which they go over.
struct Table {
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
}

const ACCOUNTS: Table = Table {
    name: "accounts",
    columns: &[
        ("id", Number),
        ("cloud_id", Text),
        ("username", Text),
        ("kind", Text),
        ("disabled", Flag),
        ("access_key", Text),
        ("token_limit", Number),
        ("service_callers", Text),
    ],
};
const API_KEYS: Table = Table {
    name: "api_keys",
    columns: &[
        ("id", Number),
        ("account_id", Number),
        ("hash", Bytes),
        ("expires_ms", Number),
    ],
};
const SIGNING_KEYS: Table = Table {
    name: "signing_keys",
    columns: &[
        ("id", Number),
        ("account_id", Number),
        ("kid", Text),
        ("algorithm", Text),
        ("pkcs8", Bytes),
        ("expires_ms", Number),
        ("last_token_ms", Number),
    ],
};
const SERVICES: Table = Table {
    name: "services",
    columns: &[
        ("id", Number),
        ("account_id", Number),
        ("name", Text),
        ("kind", Text),
        ("ring_order", Text),
        ("ring_s", Number),
        ("first_url", Text),
        ("first_method", Text),
        ("final_url", Text),
        ("final_method", Text),
        ("error_url", Text),
        ("error_method", Text),
        ("secret", Bytes),
    ],
};
const SERVICE_CLIENTS: Table = Table {
    name: "service_clients",
    columns: &[
        ("service_id", Number),
        ("position", Number),
        ("client", Text),
    ],
};
const REVOCATIONS: Table = Table {
    name: "revocations",
    columns: &[
        ("account_id", Number),
        ("kind", Text),
        ("name", Text),
        ("issued_before_ms", Number),
        ("ends_before_ms", Number),
        ("kept_until_ms", Number),
    ],
};
const RECORDS: Table = Table {
    name: "records",
    columns: &[
        ("id", Bytes),
        ("account_id", Number),
        ("caller", Text),
        ("callee", Text),
        ("service", Text),
        ("call_id", Text),
        ("started_ms", Number),
        ("ringing_ms", Number),
        ("answered_ms", Number),
        ("ended_ms", Number),
        ("ended_by", Text),
        ("status", Number),
        ("reason", Text),
        ("caller_sent_packets", Number),
        ("caller_sent_bytes", Number),
        ("caller_received_packets", Number),
        ("caller_received_bytes", Number),
        ("callee_sent_packets", Number),
        ("callee_sent_bytes", Number),
        ("callee_received_packets", Number),
        ("callee_received_bytes", Number),
        ("caller_trunk", Text),
        ("callee_trunk", Text),
        ("caller_is_service", Flag),
        ("caller_is_account", Flag),
    ],
};
/// Tables of counts, each with its column.
const COUNTS: [(&str, &str); 2] = [("token_counts", "tokens"), ("relay_bytes", "bytes")];
/// Tables whose rows the database numbers by itself.
const NUMBERED: [&str; 4] = ["accounts", "api_keys", "signing_keys", "services"];

impl Store {
    /// Writes everything that is kept here into `target`, which has no account yet: all of it or nothing. No server is to run on either
    /// meanwhile: what it has in memory alone would be missing.
    pub async fn copy_to(&self, target: &Self) -> Result<Copied, CopyError> {
        let mut from = self.session(Purpose::Snapshot, READ).await?;
        let mut to = target.session(Purpose::Change, WRITE).await?;
        if to
            .finds(Statement::new("SELECT id FROM accounts LIMIT 1"))
            .await?
        {
            return Err(CopyError::NotEmpty(to.place()));
        }
        copy_pepper(&mut from, &mut to).await?;
        let copied = Copied {
            accounts: ACCOUNTS.copy(&mut from, &mut to).await?,
            keys: API_KEYS.copy(&mut from, &mut to).await?
                + SIGNING_KEYS.copy(&mut from, &mut to).await?,
            services: SERVICES.copy(&mut from, &mut to).await?,
            revocations: REVOCATIONS.copy(&mut from, &mut to).await?,
            counts: copy_counts(&mut from, &mut to, target.writer()).await?,
            records: copy_records(&mut from, &mut to, target.writer()).await?,
        };
        SERVICE_CLIENTS.copy(&mut from, &mut to).await?;
        for table in NUMBERED {
            if let Some(statement) = target.number_on(table) {
                to.number(statement).await?;
            }
        }
        to.commit().await?;
        Ok(copied)
    }
}

impl Table {
    /// All rows at once: they are in memory whenever a server runs.
    async fn copy(&self, from: &mut Session, to: &mut Session) -> Result<u64, StoreError> {
        let rows = from.rows(Statement::new(&self.selection())).await?;
        self.write(&rows, from, to, None).await
    }

    fn selection(&self) -> String {
        format!("SELECT {} FROM {}", self.names(), self.name)
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// `writer`: whose the rows are from now on, where that is kept.
    async fn write(
        &self,
        rows: &[Row],
        from: &Session,
        to: &mut Session,
        writer: Option<&Writer>,
    ) -> Result<u64, StoreError> {
        let writer = writer.map(Writer::number);
        let last = if writer.is_some() { ", writer" } else { "" };
        let values = |row| {
            let columns = self.columns.iter();
            let values = columns.map(move |column| value(row, *column));
            values.chain(writer.map(|writer| Ok(Value::from(writer))))
        };
        let rows: Vec<Vec<Value>> = rows
            .iter()
            .map(|row| values(row).collect())
            .collect::<Result<_, _>>()
            .map_err(|what| from.damaged(what))?;
        for rows in rows.chunks(ROWS) {
            let head = format!("INSERT INTO {} ({}{last}) ", self.name, self.names());
            to.execute(insertion(&head, rows)).await?;
        }
        Ok(rows.len() as u64)
    }
}

fn value(row: &Row, (name, kind): (&str, Kind)) -> Result<Value, Unfit> {
    Ok(match kind {
        Number => Value::Number(row.get(name)?),
        Text => Value::Text(row.get(name)?),
        Bytes => Value::Bytes(row.get(name)?),
        Flag => Value::Flag(row.get(name)?),
    })
}

fn insertion(head: &str, rows: &[Vec<Value>]) -> Statement {
    let mut statement = Statement::new(head).not_remembered();
    statement.push_rows(rows, Vec::clone);
    statement
}

/// Without it no API access key would be known again.
async fn copy_pepper(from: &mut Session, to: &mut Session) -> Result<(), StoreError> {
    let select = Statement::new("SELECT value FROM secrets WHERE name = 'pepper'");
    let pepper: Vec<u8> = match from.row(select).await? {
        Some(row) => row.get("value").map_err(|what| from.damaged(what))?,
        None => return Err(from.damaged("it has no pepper".to_owned())),
    };
    let update = Statement::new("UPDATE secrets SET value = $1 WHERE name = 'pepper'");
    to.execute(update.bind(pepper)).await.map(|_| ())
}

async fn copy_counts(
    from: &mut Session,
    to: &mut Session,
    writer: Option<&Writer>,
) -> Result<u64, StoreError> {
    let writer = writer.map(Writer::number);
    let mut copied = 0;
    for (table, column) in COUNTS {
        let select = format!(
            "SELECT year, month, account_id, CAST(sum({column}) AS BIGINT) AS count FROM {table} \
             GROUP BY year, month, account_id"
        );
        let rows = from.rows(Statement::new(&select)).await?;
        let names = ["year", "month", "account_id", "count"];
        let values = |row| {
            let numbers = names.iter().map(move |name| value(row, (*name, Number)));
            numbers.chain(writer.map(|writer| Ok(Value::from(writer))))
        };
        let rows: Vec<Vec<Value>> = rows
            .iter()
            .map(|row| values(row).collect())
            .collect::<Result<_, _>>()
            .map_err(|what: Unfit| from.damaged(what))?;
        let last = if writer.is_some() { ", writer" } else { "" };
        for rows in rows.chunks(ROWS) {
            let head = format!("INSERT INTO {table} (year, month, account_id, {column}{last}) ");
            to.execute(insertion(&head, rows)).await?;
        }
        copied += rows.len() as u64;
    }
    Ok(copied)
}

/// Page by page: they may be millions.
async fn copy_records(
    from: &mut Session,
    to: &mut Session,
    writer: Option<&Writer>,
) -> Result<u64, StoreError> {
    let (mut copied, mut last) = (0, Vec::new());
    loop {
        let page = format!(
            "{} WHERE id > $1 ORDER BY id LIMIT {ROWS}",
            RECORDS.selection()
        );
        let rows = from.rows(Statement::new(&page).bind(last)).await?;
        let Some(end) = rows.last() else {
            return Ok(copied);
        };
        last = end.get("id").map_err(|what| from.damaged(what))?;
        copied += RECORDS.write(&rows, from, to, writer).await?;
    }
}
