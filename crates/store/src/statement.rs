//! One statement with its values, in the words that every back end understands, and the rows of its answer.
//!
//! Values are numbered (`$1`), as PostgreSQL wants it and SQLite allows; those that are pushed stand as `?` until they go to
//! PostgreSQL, because SQLite looks each numbered one up among all before it. Never holds a value in the text.

use std::fmt::Write;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Decode, Encode, Postgres, Row as _, Sqlite, Type};

use crate::value::Unfit;

/// A statement to be run.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    sql: String,
    values: Vec<Value>,
    is_remembered: bool,
}

/// What may be bound; `None` is NULL, of that type.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Every whole number: counts, times, places.
    Number(Option<i64>),
    /// Text.
    Text(Option<String>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
    /// True or false.
    Flag(Option<bool>),
}

impl Statement {
    pub(crate) fn new(sql: &str) -> Self {
        Self {
            sql: sql.to_owned(),
            values: Vec::new(),
            is_remembered: true,
        }
    }

    /// Its text differs from time to time: the database is not to remember how it is run.
    pub(crate) fn not_remembered(mut self) -> Self {
        self.is_remembered = false;
        self
    }

    /// The value of the next number.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// More of the text.
    pub(crate) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// A value that stands at the end of the text; whoever pushes one pushes all.
    pub(crate) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.push("?")
    }

    /// `VALUES (…), (…)`: the rows of an insertion.
    pub(crate) fn push_rows<T>(&mut self, rows: &[T], values: impl Fn(&T) -> Vec<Value>) {
        for (at, row) in rows.iter().enumerate() {
            self.push(if at == 0 { "VALUES (" } else { "), (" });
            for (at, value) in values(row).into_iter().enumerate() {
                if at > 0 {
                    self.push(", ");
                }
                self.push_bind(value);
            }
        }
        self.push(")");
    }

    pub(crate) fn for_sqlite(self) -> Result<Query<'static, Sqlite, SqliteArguments>, sqlx::Error> {
        let arguments = arguments(self.values)?;
        let query = sqlx::query_with(AssertSqlSafe(self.sql), arguments);
        Ok(query.persistent(self.is_remembered))
    }

    pub(crate) fn for_postgres(self) -> Result<Query<'static, Postgres, PgArguments>, sqlx::Error> {
        let sql = numbered(&self.sql);
        let values = self.values.into_iter().map(Value::without_nul).collect();
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments(values)?);
        Ok(query.persistent(self.is_remembered))
    }
}

impl Value {
    /// PostgreSQL keeps no text with a NUL in it, and one such text must not keep a batch of others from being written.
    fn without_nul(self) -> Self {
        match self {
            Self::Text(Some(text)) if text.contains('\0') => {
                Self::Text(Some(text.replace('\0', "\u{fffd}")))
            }
            Self::Number(_) | Self::Text(_) | Self::Bytes(_) | Self::Flag(_) => self,
        }
    }
}

/// The text with `$1`, `$2` … in place of each `?`.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (number, part) in (1..).zip(parts) {
        write!(text, "${number}{part}").expect("a text takes more text");
    }
    text
}

fn arguments<A>(values: Vec<Value>) -> Result<A, sqlx::Error>
where
    A: Arguments,
    for<'q> Option<i64>: Encode<'q, A::Database> + Type<A::Database>,
    for<'q> Option<String>: Encode<'q, A::Database> + Type<A::Database>,
    for<'q> Option<Vec<u8>>: Encode<'q, A::Database> + Type<A::Database>,
    for<'q> Option<bool>: Encode<'q, A::Database> + Type<A::Database>,
{
    let mut arguments = A::default();
    for value in values {
        match value {
            Value::Number(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text),
            Value::Bytes(bytes) => arguments.add(bytes),
            Value::Flag(flag) => arguments.add(flag),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

macro_rules! becomes {
    ($($from:ty => $variant:ident by $owned:expr;)*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(Some($owned(value)))
            }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$variant(value.map($owned))
            }
        }
    )*};
}

becomes! {
    i64 => Number by i64::from;
    i32 => Number by i64::from;
    u32 => Number by i64::from;
    u16 => Number by i64::from;
    u8 => Number by i64::from;
    &str => Text by str::to_owned;
    &[u8] => Bytes by <[u8]>::to_vec;
    Vec<u8> => Bytes by Vec::from;
    bool => Flag by bool::from;
}

/// A row of either back end.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// What stands in the column.
    pub(crate) fn get<'r, T>(&'r self, column: &str) -> Result<T, Unfit>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushed_values_are_numbered_for_postgres() {
        let mut statement = Statement::new("INSERT INTO t (a, b) ");
        statement.push_rows(&[1_i64, 2], |row| vec![(*row).into(), "x".into()]);
        assert_eq!(statement.sql, "INSERT INTO t (a, b) VALUES (?, ?), (?, ?)");
        let text = numbered(&statement.sql);
        assert_eq!(text, "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4)");
        assert_eq!(numbered("SELECT $1"), "SELECT $1");
    }
}
