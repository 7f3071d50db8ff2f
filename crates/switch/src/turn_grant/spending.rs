//! Bytes relayed in a calendar month (UTC), for each account and all together: here, and on other servers as far as they were heard of.
//!
//! Counts in memory; keeping the counts is the shell's.

use std::collections::BTreeMap;

use model::{AccountId, UnixTime};

/// Counts of one month that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthSpent {
    /// Year, and month of 1 to 12.
    pub month: (i32, u8),
    /// All bytes of the month so far, of each account whose count changed.
    pub bytes: Vec<(AccountId, u64)>,
}

/// The counts of the current month, and of earlier ones what was not taken over yet.
#[derive(Debug, Default)]
pub(super) struct Spending {
    month: (i32, u8),
    ends: UnixTime,
    accounts: BTreeMap<AccountId, u64>,
    node: u64,
    /// What other servers counted since this one began with the month, and all of it together.
    elsewhere: BTreeMap<AccountId, u64>,
    elsewhere_sum: u64,
    changed: BTreeMap<(i32, u8), BTreeMap<AccountId, u64>>,
}

impl Spending {
    /// Begins anew with a new month. A clock that is put back begins none.
    pub(super) fn turn_page(&mut self, now: UnixTime) {
        if now < self.ends {
            return;
        }
        self.month = now.month();
        self.ends = now.next_month();
        self.accounts.clear();
        self.node = 0;
        self.elsewhere.clear();
        self.elsewhere_sum = 0;
    }

    /// Adds what was kept of the month of `now`.
    pub(super) fn restore(&mut self, now: UnixTime, account: AccountId, bytes: u64) {
        self.turn_page(now);
        *self.accounts.entry(account).or_default() += bytes;
        self.node = self.node.saturating_add(bytes);
    }

    pub(super) fn add(&mut self, account: AccountId, bytes: u64) {
        let count = self.accounts.entry(account).or_default();
        *count = count.saturating_add(bytes);
        self.node = self.node.saturating_add(bytes);
        self.changed
            .entry(self.month)
            .or_default()
            .insert(account, *count);
    }

    /// What other servers have counted in this month, in place of what was heard before. Of another month it is not taken.
    pub(super) fn hear(
        &mut self,
        month: (i32, u8),
        elsewhere: impl IntoIterator<Item = (AccountId, u64)>,
    ) {
        if month == self.month {
            self.elsewhere = elsewhere.into_iter().collect();
            let sums = self.elsewhere.values();
            self.elsewhere_sum = sums.fold(0, |sum, bytes| sum.saturating_add(*bytes));
        }
    }

    pub(super) fn of(&self, account: AccountId) -> u64 {
        let count = |counts: &BTreeMap<_, _>| counts.get(&account).copied().unwrap_or(0);
        count(&self.accounts).saturating_add(count(&self.elsewhere))
    }

    pub(super) fn of_all(&self) -> u64 {
        self.node.saturating_add(self.elsewhere_sum)
    }

    pub(super) fn take_changed(&mut self) -> Vec<MonthSpent> {
        std::mem::take(&mut self.changed)
            .into_iter()
            .map(|(month, counts)| MonthSpent {
                month,
                bytes: counts.into_iter().collect(),
            })
            .collect()
    }
}
