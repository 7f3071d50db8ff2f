//! From what PostgreSQL answers to what the store says: which operation, in which database, and what to do.
//!
//! Codes are those of <https://www.postgresql.org/docs/current/errcodes-appendix.html>.

use std::io;

use sqlx::error::DatabaseError;

use super::PATIENCE;
use crate::StoreError;
use crate::error::Place;

/// Says what `error` means for `operation` in `place`.
pub(crate) fn explain(operation: &'static str, place: Place, error: sqlx::Error) -> StoreError {
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
    if let Some(cause) = unreachable(&error) {
        return StoreError::Unreachable {
            operation,
            place,
            cause,
        };
    }
    if let sqlx::Error::Io(_) = error {
        return StoreError::Slow { operation, place };
    }
    let explained = match error.as_database_error() {
        Some(database) => explain_code(operation, place, database),
        None => Err(place),
    };
    explained.unwrap_or_else(|place| StoreError::Failed {
        operation,
        place,
        source: error.into(),
    })
}

/// Why there is no connection, where it is that.
fn unreachable(error: &sqlx::Error) -> Option<String> {
    if let sqlx::Error::PoolTimedOut = error {
        return Some(format!(
            "no connection was free, or could be made, within {} s",
            PATIENCE.as_secs()
        ));
    }
    if let sqlx::Error::Tls(cause) = error {
        return Some(format!("TLS: {cause}"));
    }
    let sqlx::Error::Io(cause) = error else {
        return None;
    };
    (cause.kind() != io::ErrorKind::TimedOut).then(|| cause.to_string())
}

/// `Err` gives back the place: the code says nothing of its own.
fn explain_code(
    operation: &'static str,
    place: Place,
    database: &dyn DatabaseError,
) -> Result<StoreError, Place> {
    let code = database.code().unwrap_or_default();
    let cause = database.message().to_owned();
    Ok(match &*code {
        "40001" | "40P01" => StoreError::Conflict { operation, place },
        "55P03" => StoreError::Busy { operation, place },
        // A statement, or a session within a transaction, that took too long.
        "57014" | "25P03" => StoreError::Slow { operation, place },
        "23503" => StoreError::NoAccount { operation, place },
        "25006" => StoreError::Standby { operation, place },
        "53100" => StoreError::Full { operation, place },
        // Shut down, crashed, starting; too many connections.
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" => StoreError::Unreachable {
            operation,
            place,
            cause,
        },
        "3D000" | "42501" => StoreError::Refused {
            operation,
            place,
            cause,
        },
        _ if code.starts_with("28") => StoreError::Refused {
            operation,
            place,
            cause,
        },
        _ if code.starts_with("08") => StoreError::Unreachable {
            operation,
            place,
            cause,
        },
        _ if code.starts_with("XX") => StoreError::Damaged {
            operation,
            place,
            what: cause,
        },
        _ => return Err(place),
    })
}
