//! Accounts, and the directory that they make.

use std::collections::BTreeMap;

use model::{
    Account, AccountId, AccountKind, Algorithm, ApiKeyHash, CloudId, Directory, Login, SecretBytes,
    ServiceCallers, SigningKeyRow, UnixTime, Username, WebRtcAccessKey,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Sqlite, key, value};
use crate::{AccountChange, ChangeError, CreateError, NewAccount, StoreError};

const READ: &str = "read the directory";
const CREATE: &str = "create an account";
const CHANGE: &str = "change an account";

/// Account, kid, algorithm, PKCS#8, expiry.
type SigningKeyColumns = (i64, String, String, Vec<u8>, Option<i64>);

impl Sqlite {
    pub(crate) async fn directory(&self, now: UnixTime) -> Result<(Directory, u64), StoreError> {
        self.delete_expired_keys(now).await?;
        // One transaction, so that version and rows belong together.
        let mut snapshot = self.readers.begin().await.map_err(self.failed(READ))?;
        let version = self.version(&mut snapshot).await?;
        let mut accounts = self.accounts(&mut snapshot).await?;
        self.add_api_keys(&mut snapshot, now, &mut accounts).await?;
        self.add_signing_keys(&mut snapshot, now, &mut accounts)
            .await?;
        self.add_services(&mut snapshot, &mut accounts).await?;
        snapshot.commit().await.map_err(self.failed(READ))?;
        Ok((Directory::new(accounts.into_values()), version))
    }

    pub(crate) async fn directory_version(&self) -> Result<u64, StoreError> {
        let mut connection = self.readers.acquire().await.map_err(self.failed(READ))?;
        self.version(&mut connection).await
    }

    pub(crate) async fn find_account(
        &self,
        login: &Login,
    ) -> Result<Option<AccountId>, StoreError> {
        let operation = "look up an account";
        sqlx::query_scalar("SELECT id FROM accounts WHERE cloud_id = ? AND username = ?")
            .bind(login.cloud_id.as_str())
            .bind(login.username.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(self.failed(operation))?
            .map(value::account_id)
            .transpose()
            .map_err(self.damaged(operation))
    }

    pub(crate) async fn create_account(&self, new: NewAccount) -> Result<AccountId, CreateError> {
        let mut transaction = self.begin(CREATE).await?;
        let login_taken: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM accounts WHERE cloud_id = ? AND username = ?)",
        )
        .bind(new.cloud_id.as_str())
        .bind(new.username.as_str())
        .fetch_one(&mut *transaction)
        .await
        .map_err(self.failed(CREATE))?;
        if login_taken {
            return Err(CreateError::LoginTaken(Login {
                cloud_id: new.cloud_id,
                username: new.username,
            }));
        }
        let access_key_taken: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM accounts WHERE access_key = ?)")
                .bind(new.access_key.as_str())
                .fetch_one(&mut *transaction)
                .await
                .map_err(self.failed(CREATE))?;
        if access_key_taken {
            return Err(CreateError::AccessKeyTaken(new.access_key));
        }
        let id = sqlx::query_scalar(
            "INSERT INTO accounts (cloud_id, username, kind, access_key, token_limit) \
             VALUES (?, ?, ?, ?, ?) RETURNING id",
        )
        .bind(new.cloud_id.as_str())
        .bind(new.username.as_str())
        .bind(new.kind.as_str())
        .bind(new.access_key.as_str())
        .bind(value::limit_column(new.token_limit))
        .fetch_one(&mut *transaction)
        .await
        .map_err(self.failed(CREATE))?;
        let id = value::account_id(id).map_err(self.damaged(CREATE))?;
        key::insert_api_key(&mut transaction, id, &new.api_key_hash)
            .await
            .map_err(self.failed(CREATE))?;
        key::insert_signing_key(&mut transaction, id, &new.signing_key)
            .await
            .map_err(self.failed(CREATE))?;
        transaction.commit().await.map_err(self.failed(CREATE))?;
        Ok(id)
    }

    pub(crate) async fn update_account(
        &self,
        id: AccountId,
        change: AccountChange,
    ) -> Result<(), ChangeError> {
        let changed = sqlx::query(
            "UPDATE accounts SET kind = coalesce(?2, kind), disabled = coalesce(?3, disabled), \
             token_limit = CASE WHEN ?4 THEN ?5 ELSE token_limit END, \
             service_callers = coalesce(?6, service_callers) WHERE id = ?1",
        )
        .bind(id.0)
        .bind(change.kind.map(AccountKind::as_str))
        .bind(change.disabled)
        .bind(change.token_limit.is_some())
        .bind(change.token_limit.and_then(value::limit_column))
        .bind(change.service_callers.map(ServiceCallers::as_str))
        .execute(&self.writer)
        .await
        .map_err(self.failed(CHANGE))?;
        if changed.rows_affected() == 0 {
            return Err(ChangeError::NoSuchAccount(id));
        }
        Ok(())
    }

    async fn version(&self, connection: &mut SqliteConnection) -> Result<u64, StoreError> {
        let version = sqlx::query_scalar("SELECT version FROM directory_version")
            .fetch_one(connection)
            .await
            .map_err(self.failed(READ))?;
        value::count(version).map_err(self.damaged(READ))
    }

    async fn accounts(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<BTreeMap<AccountId, Account>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, cloud_id, username, kind, disabled, access_key, token_limit, service_callers \
             FROM accounts ORDER BY id",
        )
        .fetch_all(connection)
        .await
        .map_err(self.failed(READ))?;
        rows.iter()
            .map(|row| self.account(row).map(|account| (account.id, account)))
            .collect()
    }

    fn account(&self, row: &SqliteRow) -> Result<Account, StoreError> {
        let (failed, damaged) = (self.failed(READ), self.damaged(READ));
        let text = |column| row.try_get::<&str, _>(column).map_err(&failed);
        let kind = value::word(text("kind")?, AccountKind::parse).map_err(&damaged)?;
        Ok(Account {
            id: value::account_id(row.try_get("id").map_err(&failed)?).map_err(&damaged)?,
            cloud_id: CloudId::parse(text("cloud_id")?)
                .map_err(|error| damaged(error.to_string()))?,
            username: Username::parse(text("username")?)
                .map_err(|error| damaged(error.to_string()))?,
            kind,
            disabled: row.try_get("disabled").map_err(&failed)?,
            access_key: WebRtcAccessKey::parse(text("access_key")?)
                .map_err(|error| damaged(error.to_string()))?,
            token_limit: value::limit(row.try_get("token_limit").map_err(&failed)?, kind),
            api_keys: Vec::new(),
            signing_keys: Vec::new(),
            services: BTreeMap::new(),
            service_callers: value::word(text("service_callers")?, ServiceCallers::parse)
                .map_err(&damaged)?,
        })
    }

    async fn add_api_keys(
        &self,
        connection: &mut SqliteConnection,
        now: UnixTime,
        accounts: &mut BTreeMap<AccountId, Account>,
    ) -> Result<(), StoreError> {
        let rows: Vec<(i64, Vec<u8>, Option<i64>)> = sqlx::query_as(
            "SELECT account_id, hash, expires_ms FROM api_keys \
             WHERE expires_ms IS NULL OR expires_ms > ? ORDER BY id",
        )
        .bind(value::millis(now))
        .fetch_all(connection)
        .await
        .map_err(self.failed(READ))?;
        for (account, hash, expires) in rows {
            let account = value::account_id(account).map_err(self.damaged(READ))?;
            let hash = value::bytes(&hash).map_err(self.damaged(READ))?;
            let expires = expires
                .map(value::time)
                .transpose()
                .map_err(self.damaged(READ))?;
            if let Some(account) = accounts.get_mut(&account) {
                account.api_keys.push(ApiKeyHash { hash, expires });
            }
        }
        Ok(())
    }

    async fn add_signing_keys(
        &self,
        connection: &mut SqliteConnection,
        now: UnixTime,
        accounts: &mut BTreeMap<AccountId, Account>,
    ) -> Result<(), StoreError> {
        let rows: Vec<SigningKeyColumns> = sqlx::query_as(
            "SELECT account_id, kid, algorithm, pkcs8, expires_ms FROM signing_keys \
             WHERE expires_ms IS NULL OR expires_ms > ? ORDER BY id",
        )
        .bind(value::millis(now))
        .fetch_all(connection)
        .await
        .map_err(self.failed(READ))?;
        for (account, kid, algorithm, pkcs8, expires) in rows {
            let account = value::account_id(account).map_err(self.damaged(READ))?;
            let algorithm =
                value::word(&algorithm, Algorithm::parse).map_err(self.damaged(READ))?;
            let expires = expires
                .map(value::time)
                .transpose()
                .map_err(self.damaged(READ))?;
            let key = SigningKeyRow {
                kid,
                algorithm,
                pkcs8: SecretBytes::new(pkcs8),
                expires,
            };
            if let Some(account) = accounts.get_mut(&account) {
                account.signing_keys.push(key);
            }
        }
        Ok(())
    }
}
