//! One of several processes that count into the same months: what it counted itself, as against what it read.
//!
//! Each has rows of its own, which it alone writes: a count that may have been written is written again, and stays exact.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::AccountId;

/// Months that are counted at a time, of both tables: this one and those that are still to be written.
const MONTHS: usize = 8;

/// A table and a month.
type Sheet = (&'static str, (i32, u8));

/// A process that counts.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    number: i64,
    /// What had been counted before this process began, by itself in an earlier life or by others.
    before: Arc<Mutex<BTreeMap<Sheet, BTreeMap<AccountId, u64>>>>,
}

impl Writer {
    /// `number`: no other process has it, ever.
    pub(crate) fn new(number: i64) -> Self {
        Self {
            number,
            before: Arc::default(),
        }
    }

    pub(crate) fn number(&self) -> i64 {
        self.number
    }

    /// Counts were read; the first time, the process goes on from them.
    pub(crate) fn has_read(
        &self,
        table: &'static str,
        month: (i32, u8),
        counts: &[(AccountId, u64)],
    ) {
        drop(self.begin((table, month), || counts.iter().copied().collect()));
    }

    /// What the process has counted itself, of these counts.
    pub(crate) fn own(
        &self,
        table: &'static str,
        month: (i32, u8),
        counts: BTreeMap<AccountId, u64>,
    ) -> Vec<(AccountId, u64)> {
        let before = self.begin((table, month), BTreeMap::new);
        let before = before.get(&(table, month));
        counts
            .into_iter()
            .filter_map(|(account, count)| {
                let earlier = before.and_then(|counts| counts.get(&account));
                let own = count.saturating_sub(earlier.copied().unwrap_or_default());
                (own > 0).then_some((account, own))
            })
            .collect()
    }

    /// What others have counted since the process began the month, of the sums of all others' rows.
    pub(crate) fn elsewhere(
        &self,
        table: &'static str,
        month: (i32, u8),
        sums: Vec<(AccountId, u64)>,
    ) -> Vec<(AccountId, u64)> {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let before = before.get(&(table, month));
        let since = |(account, sum): (AccountId, u64)| {
            let earlier = before.and_then(|counts| counts.get(&account));
            (
                account,
                sum.saturating_sub(earlier.copied().unwrap_or_default()),
            )
        };
        let all = sums.into_iter().map(since);
        all.filter(|(_, count)| *count > 0).collect()
    }

    fn begin(
        &self,
        sheet: Sheet,
        counts: impl FnOnce() -> BTreeMap<AccountId, u64>,
    ) -> MutexGuard<'_, BTreeMap<Sheet, BTreeMap<AccountId, u64>>> {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.entry(sheet).or_insert_with(counts);
        while before.len() > MONTHS {
            let oldest = before.keys().min_by_key(|(_, month)| *month).copied();
            if let Some(oldest) = oldest.filter(|oldest| *oldest != sheet) {
                before.remove(&oldest);
            } else {
                break;
            }
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONTH: (i32, u8) = (2025, 6);

    fn own(writer: &Writer, count: u64) -> Vec<(AccountId, u64)> {
        writer.own("t", MONTH, [(AccountId(1), count)].into())
    }

    #[test]
    fn what_was_read_first_is_not_its_own() {
        let writer = Writer::new(1);
        writer.has_read("t", MONTH, &[(AccountId(1), 5)]);
        assert_eq!(own(&writer, 5), []);
        assert_eq!(own(&writer, 7), [(AccountId(1), 2)]);
        writer.has_read("t", MONTH, &[(AccountId(1), 100)]);
        assert_eq!(
            own(&writer, 8),
            [(AccountId(1), 3)],
            "only the first reading counts"
        );
    }

    #[test]
    fn a_month_that_was_not_read_begins_with_nothing() {
        let writer = Writer::new(1);
        assert_eq!(own(&writer, 2), [(AccountId(1), 2)]);
        writer.has_read("t", MONTH, &[(AccountId(1), 50)]);
        assert_eq!(own(&writer, 3), [(AccountId(1), 3)]);
    }

    #[test]
    fn others_counts_are_those_beyond_what_it_began_with() {
        let writer = Writer::new(1);
        let (ann, ben) = (AccountId(1), AccountId(2));
        let sums = || vec![(ann, 9), (ben, 5)];
        assert_eq!(writer.elsewhere("t", MONTH, sums()), [(ann, 9), (ben, 5)]);
        writer.has_read("t", MONTH, &[(ben, 5)]);
        assert_eq!(writer.elsewhere("t", MONTH, sums()), [(ann, 9)]);
        assert_eq!(own(&writer, 3), [(ann, 3)], "looking begins no month");
    }

    #[test]
    fn months_that_it_remembers_are_bounded() {
        let writer = Writer::new(1);
        for year in 2000..2100 {
            writer.own("t", (year, 1), BTreeMap::new());
        }
        let left = writer.before.lock().unwrap().len();
        assert_eq!(left, MONTHS);
    }
}
