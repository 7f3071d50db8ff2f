//! Revocations of tokens: kept until the last of these tokens has ended by itself, and read with the directory.

use model::{AccountId, ClientId, Revocation, Revoked, TokenId, UnixTime, limits};

use super::account::Accounts;
use super::has_account;
use crate::session::{Purpose, Session};
use crate::statement::{Row, Statement};
use crate::value::{self, Unfit};
use crate::{RevokeError, Store, StoreError};

const REVOKE: &str = "keep a revocation";
const REMOVE: &str = "remove a revocation";

/// `revocations.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Token,
    Client,
    Account,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Client => "client",
            Self::Account => "account",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Token, Self::Client, Self::Account]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

impl Store {
    /// Keeps a revocation of the account's, and gives it as it is kept. Of two of the same each instant is the later of both. It is kept
    /// longer where the account has tokens that live longer ([`Store::note_token`]). What need not be kept at `now` any more is removed. An
    /// account has at most [`limits::REVOCATIONS_PER_ACCOUNT`](model::limits::REVOCATIONS_PER_ACCOUNT).
    pub async fn revoke(
        &self,
        id: AccountId,
        revocation: &Revocation,
        now: UnixTime,
    ) -> Result<Revocation, RevokeError> {
        let mut session = self.session(Purpose::Change, REVOKE).await?;
        if !has_account(&mut session, id).await? {
            return Err(RevokeError::NoSuchAccount(id));
        }
        let forget = Statement::new("DELETE FROM revocations WHERE kept_until_ms <= $1");
        session.execute(forget.bind(value::millis(now))).await?;
        let (kind, name) = columns(&revocation.what);
        let keep = Statement::new(
            "INSERT INTO revocations AS kept (account_id, kind, name, issued_before_ms, ends_before_ms, kept_until_ms) \
             SELECT $1, $2, $3, $4, $5, \
             CASE WHEN max(last_token_ms) > $6 THEN max(last_token_ms) ELSE $6 END FROM signing_keys WHERE account_id = $1 \
             ON CONFLICT (account_id, kind, name) DO UPDATE SET \
             issued_before_ms = CASE WHEN excluded.issued_before_ms > kept.issued_before_ms \
             THEN excluded.issued_before_ms ELSE kept.issued_before_ms END, \
             ends_before_ms = CASE WHEN kept.ends_before_ms > excluded.ends_before_ms OR excluded.ends_before_ms IS NULL \
             THEN kept.ends_before_ms ELSE excluded.ends_before_ms END, \
             kept_until_ms = CASE WHEN excluded.kept_until_ms > kept.kept_until_ms \
             THEN excluded.kept_until_ms ELSE kept.kept_until_ms END \
             RETURNING kind, name, issued_before_ms, ends_before_ms, kept_until_ms",
        )
        .bind(id.0)
        .bind(kind.as_str())
        .bind(name)
        .bind(value::millis(revocation.issued_before))
        .bind(revocation.ends_before.map(value::millis))
        .bind(value::millis(revocation.kept_until));
        let kept = match session.row(keep).await? {
            Some(row) => read(&row),
            None => Err("a revocation that was kept is not there".to_owned()),
        };
        let kept = kept.map_err(|what| session.damaged(what))?;
        let count =
            Statement::new("SELECT count(*) AS found FROM revocations WHERE account_id = $1");
        let count = session.number(count.bind(id.0)).await?;
        let count = value::count(count).map_err(|what| session.damaged(what))?;
        if count > limits::REVOCATIONS_PER_ACCOUNT as u64 {
            return Err(RevokeError::TooMany(id));
        }
        session.commit().await?;
        Ok(kept)
    }

    /// Takes a revocation back: its tokens are good again, as far as they are.
    pub async fn remove_revocation(
        &self,
        id: AccountId,
        what: &Revoked,
    ) -> Result<(), RevokeError> {
        let (kind, name) = columns(what);
        let remove = Statement::new(
            "DELETE FROM revocations WHERE account_id = $1 AND kind = $2 AND name = $3",
        );
        let mut session = self.session(Purpose::Change, REMOVE).await?;
        let remove = remove.bind(id.0).bind(kind.as_str()).bind(name);
        if session.execute(remove).await? == 0 {
            return Err(RevokeError::NoSuchRevocation {
                account: id,
                what: what.clone(),
            });
        }
        Ok(session.commit().await?)
    }
}

/// Gives each account the revocations that are to be kept at `now`.
pub(super) async fn add_revocations(
    session: &mut Session,
    now: UnixTime,
    accounts: &mut Accounts,
) -> Result<(), StoreError> {
    let statement = Statement::new(
        "SELECT account_id, kind, name, issued_before_ms, ends_before_ms, kept_until_ms FROM revocations \
         WHERE kept_until_ms > $1",
    );
    let rows = session.rows(statement.bind(value::millis(now))).await?;
    for row in &rows {
        let account = row.get("account_id").and_then(value::account_id);
        let (account, revocation) = account
            .and_then(|account| Ok((account, read(row)?)))
            .map_err(|what| session.damaged(what))?;
        if let Some(account) = accounts.get_mut(&account) {
            account.revocations.insert(revocation);
        }
    }
    Ok(())
}

fn columns(what: &Revoked) -> (Kind, &str) {
    match what {
        Revoked::Token(id) => (Kind::Token, id.as_str()),
        Revoked::Client(client) => (Kind::Client, client.as_str()),
        Revoked::Account => (Kind::Account, ""),
    }
}

fn read(row: &Row) -> Result<Revocation, Unfit> {
    let what = match value::word(row.get("kind")?, Kind::parse)? {
        Kind::Token => Revoked::Token(value::name(row.get("name")?, TokenId::parse)?),
        Kind::Client => Revoked::Client(value::name(row.get("name")?, ClientId::parse)?),
        Kind::Account => Revoked::Account,
    };
    Ok(Revocation {
        what,
        issued_before: value::time(row.get("issued_before_ms")?)?,
        ends_before: value::optional_time(row.get("ends_before_ms")?)?,
        kept_until: value::time(row.get("kept_until_ms")?)?,
    })
}
