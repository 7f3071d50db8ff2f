//! From what SQLite answers to what the store says: which operation, on which file, and what to do.
//!
//! Codes are those of <https://www.sqlite.org/rescode.html>, reduced to the primary ones.

use std::path::PathBuf;

use sqlx::error::DatabaseError;

use crate::StoreError;
use crate::error::Place;

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// Says what `error` means for `operation` on `file`.
pub(crate) fn explain(operation: &'static str, place: Place, error: sqlx::Error) -> StoreError {
    if let sqlx::Error::PoolTimedOut = error {
        return StoreError::Busy { operation, place };
    }
    if let sqlx::Error::PoolClosed = error {
        return StoreError::Closed { operation, place };
    }
    if let sqlx::Error::ColumnDecode { .. } | sqlx::Error::RowNotFound = error {
        return StoreError::Damaged {
            operation,
            place,
            what: error.to_string(),
        };
    }
    let Some(database) = error.as_database_error() else {
        return StoreError::Failed {
            operation,
            place,
            source: error.into(),
        };
    };
    if database.is_foreign_key_violation() {
        return StoreError::NoAccount { operation, place };
    }
    match primary_code(database) {
        Some(BUSY | LOCKED) => StoreError::Busy { operation, place },
        Some(READONLY) => StoreError::ReadOnly { operation, place },
        Some(CORRUPT) => StoreError::Damaged {
            operation,
            place,
            what: database.message().to_owned(),
        },
        Some(FULL) => StoreError::Full { operation, place },
        Some(CANTOPEN) => StoreError::Unopened {
            operation,
            file: path(&place),
            cause: database.message().to_owned(),
        },
        Some(NOTADB) => StoreError::NotADatabase {
            operation,
            file: path(&place),
        },
        Some(_) | None => StoreError::Failed {
            operation,
            place,
            source: error.into(),
        },
    }
}

fn path(place: &Place) -> PathBuf {
    match place {
        Place::File(path) => path.to_path_buf(),
        Place::Database(name) => PathBuf::from(&**name),
    }
}

fn primary_code(error: &dyn DatabaseError) -> Option<i32> {
    let extended: i32 = error.code()?.parse().ok()?;
    Some(extended & 0xff)
}
