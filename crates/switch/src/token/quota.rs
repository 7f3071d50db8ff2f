//! How many tokens each account took this calendar month (UTC).
//!
//! Counts in memory and never lets more than the limit through; keeping the counts is the shell's.

use std::collections::BTreeMap;

use model::{Account, AccountId, TokenLimit, UnixTime};

/// The answer to one token too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The account's limit of {limit} tokens a month is used up; it resets on {} at 00:00 UTC", resets.day())]
pub struct QuotaExceeded {
    /// The limit.
    pub limit: u64,
    /// When counting begins anew.
    pub resets: UnixTime,
}

/// The counts of the current month.
#[derive(Clone, Debug, Default)]
pub struct MonthlyQuota {
    month: (i32, u8),
    taken: BTreeMap<AccountId, u64>,
    /// What other servers counted since this one began with the month.
    elsewhere: BTreeMap<AccountId, u64>,
    changed: BTreeMap<AccountId, u64>,
}

impl MonthlyQuota {
    /// Goes on from counts that were kept.
    pub fn resume(now: UnixTime, taken: impl IntoIterator<Item = (AccountId, u64)>) -> Self {
        Self {
            month: now.month(),
            taken: taken.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Takes one token from the account's month.
    pub fn take(&mut self, account: &Account, now: UnixTime) -> Result<(), QuotaExceeded> {
        if now.month() != self.month {
            *self = Self {
                month: now.month(),
                ..Self::default()
            };
        }
        let taken = self.taken.entry(account.id).or_default();
        let elsewhere = self.elsewhere.get(&account.id).copied().unwrap_or_default();
        match account.token_limit {
            TokenLimit::Monthly(limit) if taken.saturating_add(elsewhere) >= limit => {
                return Err(QuotaExceeded {
                    limit,
                    resets: now.next_month(),
                });
            }
            TokenLimit::Monthly(_) | TokenLimit::Unlimited => {}
        }
        *taken += 1;
        self.changed.insert(account.id, *taken);
        Ok(())
    }

    /// What other servers have counted in this month since this one began with it, in place of what was heard before. Of another month
    /// than that which is counted it is not taken.
    pub fn hear(
        &mut self,
        month: (i32, u8),
        elsewhere: impl IntoIterator<Item = (AccountId, u64)>,
    ) {
        if month == self.month {
            self.elsewhere = elsewhere.into_iter().collect();
        }
    }

    /// The month counted and the counts that changed since this was last asked.
    pub fn take_changed(&mut self) -> ((i32, u8), Vec<(AccountId, u64)>) {
        (
            self.month,
            std::mem::take(&mut self.changed).into_iter().collect(),
        )
    }
}
