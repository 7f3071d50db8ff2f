//! Bytes relayed in a calendar month (UTC), for each account and the node.
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

    pub(super) fn of(&self, account: AccountId) -> u64 {
        self.accounts.get(&account).copied().unwrap_or(0)
    }

    pub(super) fn of_node(&self) -> u64 {
        self.node
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
