//! Which call records to list.
//!
//! Words between the callers and every back end; never SQL.

use model::{AccountId, RecordId, UnixTime};

/// How many records a query lists that does not say.
const LIMIT_DEFAULT: u32 = 100;

/// Which call records to list, the call that began last first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordQuery {
    /// Of this account alone.
    pub account: Option<AccountId>,
    /// This one alone.
    pub id: Option<RecordId>,
    /// Only calls without an outcome.
    pub going_on: bool,
    /// Only records that come after this one in the list: start and number of the last record of the page before.
    pub after: Option<(UnixTime, RecordId)>,
    /// At most so many.
    pub limit: u32,
}

impl Default for RecordQuery {
    fn default() -> Self {
        Self {
            account: None,
            id: None,
            going_on: false,
            after: None,
            limit: LIMIT_DEFAULT,
        }
    }
}
