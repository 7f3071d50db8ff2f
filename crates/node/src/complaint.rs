//! What goes wrong with the applications of accounts, in the log: some lines for each account and minute, in plain words.
//!
//! An account whose application fails at each call fills no log, and hides nobody else's trouble. Never says who called.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use model::{AccountId, Instant, limits};

/// Who has complained lately.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<BTreeMap<AccountId, Lately>>);

#[derive(Debug)]
struct Lately {
    /// When the first of these lines was said.
    at: Instant,
    said: usize,
    /// Those that were left out since.
    more: u64,
}

impl Complaints {
    /// Something of this account's went wrong.
    pub(crate) fn add(&self, now: Instant, account: AccountId, why: &str) {
        match self.is_said(now, account) {
            None => {}
            Some(0) => tracing::warn!(account = account.0, "{why}"),
            Some(more) => tracing::warn!(
                account = account.0,
                "{why} ({more} more of this account since the last such line)"
            ),
        }
    }

    /// Whether it is to be said, and how many were not since the last.
    fn is_said(&self, now: Instant, account: AccountId) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |lately: &Lately| now.since(lately.at) >= limits::COMPLAINT_PAUSE;
        if let Some(lately) = all.get_mut(&account).filter(|lately| !is_over(lately)) {
            if lately.said < limits::COMPLAINT_LINES {
                lately.said += 1;
                return Some(0);
            }
            lately.more += 1;
            return None;
        }
        if all.len() >= limits::COMPLAINING_ACCOUNTS {
            all.retain(|_, lately| !is_over(lately));
            if all.len() >= limits::COMPLAINING_ACCOUNTS {
                return None;
            }
        }
        let more = all.remove(&account).map_or(0, |lately| lately.more);
        all.insert(
            account,
            Lately {
                at: now,
                said: 1,
                more: 0,
            },
        );
        Some(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_heard_so_often_a_minute_and_others_beside_it() {
        let complaints = Complaints::default();
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        let (one, other) = (AccountId(1), AccountId(2));
        for _ in 0..limits::COMPLAINT_LINES {
            assert_eq!(complaints.is_said(at(1), one), Some(0));
        }
        assert_eq!(complaints.is_said(at(2), one), None);
        assert_eq!(complaints.is_said(at(3), one), None);
        assert_eq!(complaints.is_said(at(3), other), Some(0));
        let pause = limits::COMPLAINT_PAUSE.as_secs();
        assert_eq!(complaints.is_said(at(1 + pause), one), Some(2));
        for account in 3..=limits::COMPLAINING_ACCOUNTS as u32 + 10 {
            complaints.is_said(at(1 + pause), AccountId(account));
        }
        let kept = complaints.0.lock().unwrap().len();
        assert_eq!(kept, limits::COMPLAINING_ACCOUNTS);
        assert_eq!(complaints.is_said(at(2 + 2 * pause), one), Some(0));
    }
}
