//! Values of the model as columns, and back.
//!
//! Reading back checks everything: what is kept may have been edited by hand. What does not fit is said in words.

use model::{AccountId, AccountKind, TokenLimit, UnixTime, limits};

/// What a column was to hold and does not.
pub(crate) type Unfit = String;

/// Both back ends count to 2^63 - 1, far enough for every time and every number of tokens.
pub(crate) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn count(column: i64) -> Result<u64, Unfit> {
    u64::try_from(column).map_err(|_| format!("{column} is not a count"))
}

pub(crate) fn millis(time: UnixTime) -> i64 {
    whole(time.as_millis())
}

pub(crate) fn time(column: i64) -> Result<UnixTime, Unfit> {
    u64::try_from(column)
        .map(UnixTime::from_millis)
        .map_err(|_| format!("{column} is not a time"))
}

pub(crate) fn account_id(column: i64) -> Result<AccountId, Unfit> {
    u32::try_from(column)
        .map(AccountId)
        .map_err(|_| format!("{column} is not an account number"))
}

/// The column is -1 for no limit, and NULL for the limit of the account's kind.
pub(crate) fn limit_column(limit: Option<TokenLimit>) -> Option<i64> {
    limit.map(|limit| match limit {
        TokenLimit::Unlimited => -1,
        TokenLimit::Monthly(tokens) => whole(tokens),
    })
}

pub(crate) fn limit(column: Option<i64>, kind: AccountKind) -> TokenLimit {
    match (column.map(u64::try_from), kind) {
        (Some(Ok(tokens)), _) => TokenLimit::Monthly(tokens),
        (Some(Err(_)), _) | (None, AccountKind::Production) => TokenLimit::Unlimited,
        (None, AccountKind::Developer) => TokenLimit::Monthly(limits::DEVELOPER_TOKENS_MONTHLY),
    }
}

pub(crate) fn bytes<const N: usize>(column: &[u8]) -> Result<[u8; N], Unfit> {
    column
        .try_into()
        .map_err(|_| format!("{} bytes stand where {N} belong", column.len()))
}

/// Reads one of our own words back.
pub(crate) fn word<T>(column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Unfit> {
    parse(column).ok_or_else(|| format!("{column:?} is not one of the words that may stand there"))
}

/// Reads a name of the model back.
pub(crate) fn name<T, E: std::fmt::Display>(
    column: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, Unfit> {
    parse(column).map_err(|error| error.to_string())
}

/// As [`time`], where there may be none.
pub(crate) fn optional_time(column: Option<i64>) -> Result<Option<UnixTime>, Unfit> {
    column.map(time).transpose()
}

/// A number that is small where it is used.
pub(crate) fn small(column: i64) -> Result<u16, Unfit> {
    u16::try_from(column).map_err(|_| format!("{column} is too large a number"))
}
