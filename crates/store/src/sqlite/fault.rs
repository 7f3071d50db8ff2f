//! From what SQLite answers to what the store says: which operation, on which file, and what to do.
//!
//! Codes are those of <https://www.sqlite.org/rescode.html>, reduced to the primary ones.

use std::path::PathBuf;

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

use crate::StoreError;

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// Says what `error` means for `operation` on `file`.
pub(super) fn explain(operation: &'static str, file: PathBuf, error: sqlx::Error) -> StoreError {
    if let sqlx::Error::PoolTimedOut = error {
        return StoreError::Busy { operation, file };
    }
    if let sqlx::Error::PoolClosed = error {
        return StoreError::Closed { operation, file };
    }
    if let sqlx::Error::ColumnDecode { .. } | sqlx::Error::RowNotFound = error {
        return StoreError::Damaged {
            operation,
            file,
            what: error.to_string(),
        };
    }
    let Some(database) = error.as_database_error() else {
        return StoreError::Failed {
            operation,
            file,
            source: error.into(),
        };
    };
    match primary_code(database) {
        Some(BUSY | LOCKED) => StoreError::Busy { operation, file },
        Some(READONLY) => StoreError::ReadOnly { operation, file },
        Some(CORRUPT) => StoreError::Damaged {
            operation,
            file,
            what: database.message().to_owned(),
        },
        Some(FULL) => StoreError::Full { operation, file },
        Some(CANTOPEN) => StoreError::Unopened {
            operation,
            file,
            cause: database.message().to_owned(),
        },
        Some(NOTADB) => StoreError::NotADatabase { operation, file },
        Some(_) | None => StoreError::Failed {
            operation,
            file,
            source: error.into(),
        },
    }
}

/// Says what a migration's failure means.
pub(super) fn explain_migration(
    operation: &'static str,
    file: PathBuf,
    error: MigrateError,
) -> StoreError {
    if let MigrateError::VersionMissing(step) | MigrateError::VersionMismatch(step) = error {
        return StoreError::OtherVersion { file, step };
    }
    if let MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) = error {
        return explain(operation, file, cause);
    }
    StoreError::Failed {
        operation,
        file,
        source: error.into(),
    }
}

fn primary_code(error: &dyn DatabaseError) -> Option<i32> {
    let extended: i32 = error.code()?.parse().ok()?;
    Some(extended & 0xff)
}
