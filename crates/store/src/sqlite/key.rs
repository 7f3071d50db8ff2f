//! API access keys (their hashes) and signing keys: rotation, expiry.
//!
//! Of each sort an account has exactly one key without expiry, the current one; the schema holds to that.

use model::{AccountId, SigningKeyRow, UnixTime};
use sqlx::SqliteConnection;

use super::{Sqlite, value};
use crate::{ChangeError, StoreError};

const ROTATE_API: &str = "rotate an API access key";
const ROTATE_SIGNING: &str = "rotate a signing key";
const NOTE: &str = "note how long a token lives";
const DELETE: &str = "delete expired keys";

impl Sqlite {
    pub(crate) async fn rotate_api_key(
        &self,
        id: AccountId,
        new_hash: [u8; 32],
        old_expires: UnixTime,
    ) -> Result<(), ChangeError> {
        let failed = self.failed(ROTATE_API);
        let mut transaction = self.begin(ROTATE_API).await?;
        require_account(&mut transaction, id, &failed).await?;
        let taken: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM api_keys WHERE account_id = ? AND hash = ?)",
        )
        .bind(id.0)
        .bind(new_hash.as_slice())
        .fetch_one(&mut *transaction)
        .await
        .map_err(&failed)?;
        if taken {
            return Err(ChangeError::KeyTaken(id));
        }
        sqlx::query(
            "UPDATE api_keys SET expires_ms = ? WHERE account_id = ? AND expires_ms IS NULL",
        )
        .bind(value::millis(old_expires))
        .bind(id.0)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        insert_api_key(&mut transaction, id, &new_hash)
            .await
            .map_err(&failed)?;
        Ok(transaction.commit().await.map_err(&failed)?)
    }

    pub(crate) async fn rotate_signing_key(
        &self,
        id: AccountId,
        new: SigningKeyRow,
        old_expires: UnixTime,
    ) -> Result<(), ChangeError> {
        let failed = self.failed(ROTATE_SIGNING);
        let mut transaction = self.begin(ROTATE_SIGNING).await?;
        require_account(&mut transaction, id, &failed).await?;
        let taken: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM signing_keys WHERE account_id = ? AND kid = ?)",
        )
        .bind(id.0)
        .bind(&new.kid)
        .fetch_one(&mut *transaction)
        .await
        .map_err(&failed)?;
        if taken {
            return Err(ChangeError::KeyTaken(id));
        }
        sqlx::query(
            "UPDATE signing_keys SET expires_ms = max(?, last_token_ms) \
             WHERE account_id = ? AND expires_ms IS NULL",
        )
        .bind(value::millis(old_expires))
        .bind(id.0)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        insert_signing_key(&mut transaction, id, &new)
            .await
            .map_err(&failed)?;
        Ok(transaction.commit().await.map_err(&failed)?)
    }

    pub(crate) async fn note_token(
        &self,
        id: AccountId,
        kid: &str,
        expires: UnixTime,
    ) -> Result<(), ChangeError> {
        let failed = self.failed(NOTE);
        let mut transaction = self.begin(NOTE).await?;
        let noted = sqlx::query(
            "UPDATE signing_keys SET last_token_ms = max(?, last_token_ms) WHERE account_id = ? AND kid = ?",
        )
        .bind(value::millis(expires))
        .bind(id.0)
        .bind(kid)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        if noted.rows_affected() == 0 {
            return Err(ChangeError::NoSuchKey {
                id,
                kid: kid.to_owned(),
            });
        }
        // It may have been rotated since the caller loaded it.
        sqlx::query(
            "UPDATE signing_keys SET expires_ms = last_token_ms \
             WHERE account_id = ? AND kid = ? AND expires_ms < last_token_ms",
        )
        .bind(id.0)
        .bind(kid)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        Ok(transaction.commit().await.map_err(&failed)?)
    }

    /// Deletes the keys that have expired, if there are any. A file that cannot be written now keeps them for a later
    /// time: they are left out of the directory all the same.
    pub(super) async fn delete_expired_keys(&self, now: UnixTime) -> Result<(), StoreError> {
        let failed = self.failed(DELETE);
        let expired: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM api_keys WHERE expires_ms <= ?1) \
             OR EXISTS (SELECT 1 FROM signing_keys WHERE expires_ms <= ?1)",
        )
        .bind(value::millis(now))
        .fetch_one(&self.readers)
        .await
        .map_err(&failed)?;
        if !expired {
            return Ok(());
        }
        match self.delete_keys_until(now).await {
            Ok(())
            | Err(
                StoreError::Busy { .. } | StoreError::Full { .. } | StoreError::ReadOnly { .. },
            ) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn delete_keys_until(&self, now: UnixTime) -> Result<(), StoreError> {
        let failed = self.failed(DELETE);
        let mut transaction = self.begin(DELETE).await?;
        for statement in [
            "DELETE FROM api_keys WHERE expires_ms <= ?",
            "DELETE FROM signing_keys WHERE expires_ms <= ?",
        ] {
            sqlx::query(statement)
                .bind(value::millis(now))
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)
    }
}

/// Adds the account's current API access key.
pub(super) async fn insert_api_key(
    connection: &mut SqliteConnection,
    id: AccountId,
    hash: &[u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO api_keys (account_id, hash) VALUES (?, ?)")
        .bind(id.0)
        .bind(hash.as_slice())
        .execute(connection)
        .await
        .map(|_| ())
}

/// Adds the account's current signing key.
pub(super) async fn insert_signing_key(
    connection: &mut SqliteConnection,
    id: AccountId,
    key: &SigningKeyRow,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO signing_keys (account_id, kid, algorithm, pkcs8) VALUES (?, ?, ?, ?)")
        .bind(id.0)
        .bind(&key.kid)
        .bind(key.algorithm.as_str())
        .bind(key.pkcs8.expose())
        .execute(connection)
        .await
        .map(|_| ())
}

async fn require_account(
    connection: &mut SqliteConnection,
    id: AccountId,
    failed: &impl Fn(sqlx::Error) -> StoreError,
) -> Result<(), ChangeError> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM accounts WHERE id = ?)")
        .bind(id.0)
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    if exists {
        Ok(())
    } else {
        Err(ChangeError::NoSuchAccount(id))
    }
}
