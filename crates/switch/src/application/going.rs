//! How many runs go on for each account, and how many of them strangers began.
//!
//! The gateway's sessions are shared by all accounts: none takes more than its part of them, and whoever knows but the public access
//! key takes no more than a part of that.

use std::collections::BTreeMap;

use model::{AccountId, limits};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Going(BTreeMap<AccountId, Count>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    all: usize,
    strangers: usize,
}

/// Why no further run may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// The account has as many as it may have.
    All,
    /// Its strangers do.
    Strangers,
}

impl Going {
    /// Whether one more may begin. `is_stranger`: no token was shown on the caller's connection.
    pub(super) fn check(&self, account: AccountId, is_stranger: bool) -> Result<(), TooMany> {
        let count = self.0.get(&account).copied().unwrap_or_default();
        if count.all >= limits::APPLICATION_CALLS_PER_ACCOUNT {
            return Err(TooMany::All);
        }
        if is_stranger && count.strangers >= limits::APPLICATION_CALLS_OF_STRANGERS {
            return Err(TooMany::Strangers);
        }
        Ok(())
    }

    /// How many more may begin.
    pub(super) fn room(&self, account: AccountId) -> usize {
        let count = self.0.get(&account).copied().unwrap_or_default();
        limits::APPLICATION_CALLS_PER_ACCOUNT.saturating_sub(count.all)
    }

    pub(super) fn begin(&mut self, account: AccountId, is_stranger: bool) {
        let count = self.0.entry(account).or_default();
        count.all += 1;
        count.strangers += usize::from(is_stranger);
    }

    pub(super) fn end(&mut self, account: AccountId, is_stranger: bool) {
        if let Some(count) = self.0.get_mut(&account) {
            count.all -= 1;
            count.strangers -= usize::from(is_stranger);
            if count.all == 0 {
                self.0.remove(&account);
            }
        }
    }

    /// Of all accounts.
    pub(crate) fn all(&self) -> usize {
        self.0.values().map(|count| count.all).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_leave_room_for_others_and_accounts_for_each_other() {
        let (one, other) = (AccountId(1), AccountId(2));
        let mut going = Going::default();
        for _ in 0..limits::APPLICATION_CALLS_OF_STRANGERS {
            going.check(one, true).unwrap();
            going.begin(one, true);
        }
        assert_eq!(going.check(one, true), Err(TooMany::Strangers));
        while going.check(one, false).is_ok() {
            going.begin(one, false);
        }
        assert_eq!(going.all(), limits::APPLICATION_CALLS_PER_ACCOUNT);
        for is_stranger in [true, false] {
            assert_eq!(going.check(one, is_stranger), Err(TooMany::All));
            assert_eq!(going.check(other, is_stranger), Ok(()));
        }
        going.end(one, false);
        assert_eq!(going.check(one, true), Err(TooMany::Strangers));
        going.end(one, true);
        assert_eq!(going.check(one, true), Ok(()));
        going.begin(other, true);
        going.end(other, true);
        assert_eq!(going.0.len(), 1, "what is empty goes");
    }
}
