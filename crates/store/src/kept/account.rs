//! Accounts, and the directory that they make.

use std::collections::BTreeMap;

use model::{
    Account, AccountId, AccountKind, Algorithm, ApiKeyHash, CloudId, Directory, Login, Revocations,
    SecretBytes, ServiceCallers, SigningKeyRow, UnixTime, Username, WebRtcAccessKey,
};

use super::{key, revocation, service};
use crate::session::{Purpose, Session};
use crate::statement::{Row, Statement};
use crate::value::{self, Unfit};
use crate::{AccountChange, ChangeError, CreateError, NewAccount, Store, StoreError};

const READ: &str = "read the directory";
const CREATE: &str = "create an account";
const CHANGE: &str = "change an account";
const FIND: &str = "look up an account";

/// Accounts by their numbers, while they are put together.
pub(super) type Accounts = BTreeMap<AccountId, Account>;

impl Store {
    /// All accounts with their services, and the keys that are good and the revocations that are kept at `now`, and the version of the directory that this is.
    /// Deletes keys that have expired.
    pub async fn directory(&self, now: UnixTime) -> Result<(Directory, u64), StoreError> {
        self.delete_expired_keys(now).await?;
        // One moment, so that version and rows belong together.
        let mut session = self.session(Purpose::Snapshot, READ).await?;
        let version = version(&mut session).await?;
        let mut accounts = accounts(&mut session).await?;
        add_api_keys(&mut session, now, &mut accounts).await?;
        add_signing_keys(&mut session, now, &mut accounts).await?;
        service::add_services(&mut session, &mut accounts).await?;
        revocation::add_revocations(&mut session, now, &mut accounts).await?;
        session.commit().await?;
        Ok((Directory::new(accounts.into_values()), version))
    }

    /// A number that grows with every change of the directory, whichever process makes it.
    pub async fn directory_version(&self) -> Result<u64, StoreError> {
        version(&mut self.session(Purpose::Read, READ).await?).await
    }

    /// The number of the account that logs in so, without loading the directory.
    pub async fn find_account(&self, login: &Login) -> Result<Option<AccountId>, StoreError> {
        let mut session = self.session(Purpose::Read, FIND).await?;
        let row = session
            .row(of_login(&login.cloud_id, &login.username))
            .await?;
        row.map(|row| value::account_id(row.get("id")?))
            .transpose()
            .map_err(|what| session.damaged(what))
    }

    /// Writes an account with its first keys: all of it or nothing.
    pub async fn create_account(&self, new: NewAccount) -> Result<AccountId, CreateError> {
        let mut session = self.session(Purpose::Change, CREATE).await?;
        if session
            .finds(of_login(&new.cloud_id, &new.username))
            .await?
        {
            return Err(CreateError::LoginTaken(Login {
                cloud_id: new.cloud_id,
                username: new.username,
            }));
        }
        let of_key = Statement::new("SELECT id FROM accounts WHERE access_key = $1");
        if session.finds(of_key.bind(new.access_key.as_str())).await? {
            return Err(CreateError::AccessKeyTaken(new.access_key));
        }
        let insert = Statement::new(
            "INSERT INTO accounts (cloud_id, username, kind, access_key, token_limit) \
             VALUES ($1, $2, $3, $4, $5) RETURNING id AS found",
        )
        .bind(new.cloud_id.as_str())
        .bind(new.username.as_str())
        .bind(new.kind.as_str())
        .bind(new.access_key.as_str())
        .bind(value::limit_column(new.token_limit));
        let id = session.number(insert).await?;
        let id = value::account_id(id).map_err(|what| session.damaged(what))?;
        key::insert_api_key(&mut session, id, &new.api_key_hash).await?;
        key::insert_signing_key(&mut session, id, &new.signing_key).await?;
        session.commit().await?;
        Ok(id)
    }

    /// Changes what `change` names and leaves the rest.
    pub async fn update_account(
        &self,
        id: AccountId,
        change: AccountChange,
    ) -> Result<(), ChangeError> {
        let mut session = self.session(Purpose::Change, CHANGE).await?;
        let update = Statement::new(
            "UPDATE accounts SET kind = coalesce($2, kind), disabled = coalesce($3, disabled), \
             token_limit = CASE WHEN $4 THEN $5 ELSE token_limit END, \
             service_callers = coalesce($6, service_callers) WHERE id = $1",
        )
        .bind(id.0)
        .bind(change.kind.map(AccountKind::as_str))
        .bind(change.disabled)
        .bind(change.token_limit.is_some())
        .bind(change.token_limit.and_then(value::limit_column))
        .bind(change.service_callers.map(ServiceCallers::as_str));
        if session.execute(update).await? == 0 {
            return Err(ChangeError::NoSuchAccount(id));
        }
        Ok(session.commit().await?)
    }
}

fn of_login(cloud_id: &CloudId, username: &Username) -> Statement {
    Statement::new("SELECT id FROM accounts WHERE cloud_id = $1 AND username = $2")
        .bind(cloud_id.as_str())
        .bind(username.as_str())
}

async fn version(session: &mut Session) -> Result<u64, StoreError> {
    let statement = Statement::new("SELECT version AS found FROM directory_version");
    let version = session.number(statement).await?;
    value::count(version).map_err(|what| session.damaged(what))
}

async fn accounts(session: &mut Session) -> Result<Accounts, StoreError> {
    let statement = Statement::new(
        "SELECT id, cloud_id, username, kind, disabled, access_key, token_limit, service_callers \
         FROM accounts ORDER BY id",
    );
    let rows = session.rows(statement).await?;
    let read = |row| account(row).map(|account| (account.id, account));
    let accounts = rows.iter().map(read).collect::<Result<_, _>>();
    accounts.map_err(|what| session.damaged(what))
}

fn account(row: &Row) -> Result<Account, Unfit> {
    let kind = value::word(row.get("kind")?, AccountKind::parse)?;
    Ok(Account {
        id: value::account_id(row.get("id")?)?,
        cloud_id: value::name(row.get("cloud_id")?, CloudId::parse)?,
        username: value::name(row.get("username")?, Username::parse)?,
        kind,
        disabled: row.get("disabled")?,
        access_key: value::name(row.get("access_key")?, WebRtcAccessKey::parse)?,
        token_limit: value::limit(row.get("token_limit")?, kind),
        api_keys: Vec::new(),
        signing_keys: Vec::new(),
        services: BTreeMap::new(),
        service_callers: value::word(row.get("service_callers")?, ServiceCallers::parse)?,
        revocations: Revocations::default(),
    })
}

async fn add_api_keys(
    session: &mut Session,
    now: UnixTime,
    accounts: &mut Accounts,
) -> Result<(), StoreError> {
    let statement = Statement::new(
        "SELECT account_id, hash, expires_ms FROM api_keys \
         WHERE expires_ms IS NULL OR expires_ms > $1 ORDER BY id",
    );
    let rows = session.rows(statement.bind(value::millis(now))).await?;
    let key = |row: &Row| {
        let hash = value::bytes(row.get("hash")?)?;
        let expires = value::optional_time(row.get("expires_ms")?)?;
        Ok((
            value::account_id(row.get("account_id")?)?,
            ApiKeyHash { hash, expires },
        ))
    };
    for row in &rows {
        let (account, key) = key(row).map_err(|what| session.damaged(what))?;
        if let Some(account) = accounts.get_mut(&account) {
            account.api_keys.push(key);
        }
    }
    Ok(())
}

async fn add_signing_keys(
    session: &mut Session,
    now: UnixTime,
    accounts: &mut Accounts,
) -> Result<(), StoreError> {
    let statement = Statement::new(
        "SELECT account_id, kid, algorithm, pkcs8, expires_ms FROM signing_keys \
         WHERE expires_ms IS NULL OR expires_ms > $1 ORDER BY id",
    );
    let rows = session.rows(statement.bind(value::millis(now))).await?;
    let key = |row: &Row| {
        let key = SigningKeyRow {
            kid: row.get("kid")?,
            algorithm: value::word(row.get("algorithm")?, Algorithm::parse)?,
            pkcs8: SecretBytes::new(row.get::<Vec<u8>>("pkcs8")?),
            expires: value::optional_time(row.get("expires_ms")?)?,
        };
        Ok((value::account_id(row.get("account_id")?)?, key))
    };
    for row in &rows {
        let (account, key) = key(row).map_err(|what| session.damaged(what))?;
        if let Some(account) = accounts.get_mut(&account) {
            account.signing_keys.push(key);
        }
    }
    Ok(())
}
