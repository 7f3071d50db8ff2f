//! Values of the model as SQLite columns, and back.
//!
//! Reading back checks everything: the file may have been edited by hand. What does not fit is said in words.

use model::{AccountId, AccountKind, TokenLimit, UnixTime, limits};

/// What a column was to hold and does not.
pub(super) type Unfit = String;

/// SQLite counts to 2^63 - 1, far enough for every time and every number of tokens.
pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn count(column: i64) -> Result<u64, Unfit> {
    u64::try_from(column).map_err(|_| format!("{column} is not a count"))
}

pub(super) fn millis(time: UnixTime) -> i64 {
    whole(time.as_millis())
}

pub(super) fn time(column: i64) -> Result<UnixTime, Unfit> {
    u64::try_from(column)
        .map(UnixTime::from_millis)
        .map_err(|_| format!("{column} is not a time"))
}

pub(super) fn account_id(column: i64) -> Result<AccountId, Unfit> {
    u32::try_from(column)
        .map(AccountId)
        .map_err(|_| format!("{column} is not an account number"))
}

/// The column is -1 for no limit, and NULL for the limit of the account's kind.
pub(super) fn limit_column(limit: Option<TokenLimit>) -> Option<i64> {
    limit.map(|limit| match limit {
        TokenLimit::Unlimited => -1,
        TokenLimit::Monthly(tokens) => whole(tokens),
    })
}

pub(super) fn limit(column: Option<i64>, kind: AccountKind) -> TokenLimit {
    match (column.map(u64::try_from), kind) {
        (Some(Ok(tokens)), _) => TokenLimit::Monthly(tokens),
        (Some(Err(_)), _) | (None, AccountKind::Production) => TokenLimit::Unlimited,
        (None, AccountKind::Developer) => TokenLimit::Monthly(limits::DEVELOPER_TOKENS_MONTHLY),
    }
}

pub(super) fn bytes<const N: usize>(column: &[u8]) -> Result<[u8; N], Unfit> {
    column
        .try_into()
        .map_err(|_| format!("{} bytes stand where {N} belong", column.len()))
}

/// Reads one of our own words back.
pub(super) fn word<T>(column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Unfit> {
    parse(column).ok_or_else(|| format!("{column:?} is not one of the words that may stand there"))
}
