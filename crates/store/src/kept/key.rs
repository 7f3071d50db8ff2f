//! API access keys (their hashes) and signing keys: rotation, expiry.
//!
//! Of each sort an account has exactly one key without expiry, the current one; the schema holds to that.

use model::{AccountId, SigningKeyRow, UnixTime};

use super::has_account;
use crate::session::{Purpose, Session};
use crate::statement::Statement;
use crate::{ChangeError, Store, StoreError, value};

const ROTATE_API: &str = "rotate an API access key";
const ROTATE_SIGNING: &str = "rotate a signing key";
const NOTE: &str = "note how long a token lives";
const DELETE: &str = "delete expired keys";

impl Store {
    /// Makes `new_hash` the account's API access key. The present one works until `old_expires`; those that were
    /// rotated before keep their own expiry.
    pub async fn rotate_api_key(
        &self,
        id: AccountId,
        new_hash: [u8; 32],
        old_expires: UnixTime,
    ) -> Result<(), ChangeError> {
        let mut session = self.session(Purpose::Change, ROTATE_API).await?;
        require_account(&mut session, id).await?;
        let taken = Statement::new("SELECT id FROM api_keys WHERE account_id = $1 AND hash = $2");
        if session.finds(taken.bind(id.0).bind(&new_hash[..])).await? {
            return Err(ChangeError::KeyTaken(id));
        }
        let expire = Statement::new(
            "UPDATE api_keys SET expires_ms = $1 WHERE account_id = $2 AND expires_ms IS NULL",
        );
        session
            .execute(expire.bind(value::millis(old_expires)).bind(id.0))
            .await?;
        insert_api_key(&mut session, id, &new_hash).await?;
        Ok(session.commit().await?)
    }

    /// Makes `new` the key that signs the account's tokens (its `expires` is not looked at). The present one verifies
    /// until `old_expires`, or until the last token of [`Store::note_token`] has expired if that is later.
    pub async fn rotate_signing_key(
        &self,
        id: AccountId,
        new: SigningKeyRow,
        old_expires: UnixTime,
    ) -> Result<(), ChangeError> {
        let mut session = self.session(Purpose::Change, ROTATE_SIGNING).await?;
        require_account(&mut session, id).await?;
        let taken =
            Statement::new("SELECT id FROM signing_keys WHERE account_id = $1 AND kid = $2");
        if session.finds(taken.bind(id.0).bind(&*new.kid)).await? {
            return Err(ChangeError::KeyTaken(id));
        }
        let expire = Statement::new(
            "UPDATE signing_keys SET expires_ms = CASE WHEN last_token_ms > $1 THEN last_token_ms ELSE $1 END \
             WHERE account_id = $2 AND expires_ms IS NULL",
        );
        session
            .execute(expire.bind(value::millis(old_expires)).bind(id.0))
            .await?;
        insert_signing_key(&mut session, id, &new).await?;
        Ok(session.commit().await?)
    }

    /// Notes that the key `kid` has signed a token that lives until `expires`, so that the key will be kept so long.
    /// Needed only for tokens that live longer than the web service lets them. To be called before the token is
    /// handed out.
    pub async fn note_token(
        &self,
        id: AccountId,
        kid: &str,
        expires: UnixTime,
    ) -> Result<(), ChangeError> {
        let mut session = self.session(Purpose::Change, NOTE).await?;
        let note = Statement::new(
            "UPDATE signing_keys SET last_token_ms = CASE WHEN last_token_ms > $1 THEN last_token_ms ELSE $1 END \
             WHERE account_id = $2 AND kid = $3",
        );
        let noted = session
            .execute(note.bind(value::millis(expires)).bind(id.0).bind(kid))
            .await?;
        if noted == 0 {
            return Err(ChangeError::NoSuchKey {
                id,
                kid: kid.to_owned(),
            });
        }
        // It may have been rotated since the caller loaded it.
        let keep = Statement::new(
            "UPDATE signing_keys SET expires_ms = last_token_ms \
             WHERE account_id = $1 AND kid = $2 AND expires_ms < last_token_ms",
        );
        session.execute(keep.bind(id.0).bind(kid)).await?;
        Ok(session.commit().await?)
    }

    /// Deletes the keys that have expired, if there are any. A store that cannot be written now keeps them for a later
    /// time: they are left out of the directory all the same.
    pub(super) async fn delete_expired_keys(&self, now: UnixTime) -> Result<(), StoreError> {
        let mut session = self.session(Purpose::Read, DELETE).await?;
        let expired = Statement::new(
            "SELECT id FROM api_keys WHERE expires_ms <= $1 \
             UNION ALL SELECT id FROM signing_keys WHERE expires_ms <= $1 LIMIT 1",
        );
        if !session.finds(expired.bind(value::millis(now))).await? {
            return Ok(());
        }
        drop(session);
        match self.delete_keys_until(now).await {
            Ok(())
            | Err(
                StoreError::Busy { .. }
                | StoreError::Full { .. }
                | StoreError::ReadOnly { .. }
                | StoreError::Standby { .. }
                | StoreError::Slow { .. },
            ) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn delete_keys_until(&self, now: UnixTime) -> Result<(), StoreError> {
        let mut session = self.session(Purpose::Change, DELETE).await?;
        for statement in [
            "DELETE FROM api_keys WHERE expires_ms <= $1",
            "DELETE FROM signing_keys WHERE expires_ms <= $1",
        ] {
            let statement = Statement::new(statement).bind(value::millis(now));
            session.execute(statement).await?;
        }
        session.commit().await
    }
}

/// Adds the account's current API access key.
pub(super) async fn insert_api_key(
    session: &mut Session,
    id: AccountId,
    hash: &[u8; 32],
) -> Result<(), StoreError> {
    let statement = Statement::new("INSERT INTO api_keys (account_id, hash) VALUES ($1, $2)");
    session
        .execute(statement.bind(id.0).bind(&hash[..]))
        .await
        .map(|_| ())
}

/// Adds the account's current signing key.
pub(super) async fn insert_signing_key(
    session: &mut Session,
    id: AccountId,
    key: &SigningKeyRow,
) -> Result<(), StoreError> {
    let statement = Statement::new(
        "INSERT INTO signing_keys (account_id, kid, algorithm, pkcs8) VALUES ($1, $2, $3, $4)",
    )
    .bind(id.0)
    .bind(&*key.kid)
    .bind(key.algorithm.as_str())
    .bind(key.pkcs8.expose());
    session.execute(statement).await.map(|_| ())
}

async fn require_account(session: &mut Session, id: AccountId) -> Result<(), ChangeError> {
    if has_account(session, id).await? {
        Ok(())
    } else {
        Err(ChangeError::NoSuchAccount(id))
    }
}
