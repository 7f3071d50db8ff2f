//! How the store takes what it is given: how long that takes, when it last did, and how often it did not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use model::UnixTime;

use super::Histogram;
use crate::clock::Clock;

/// What the server has to do with the store while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreTask {
    /// Call records are written.
    Records,
    /// How many tokens each account took is written.
    TokenCounts,
    /// How many bytes were relayed for each account is written.
    RelayBytes,
    /// It is looked what other servers have counted in this month.
    MonthElsewhere,
    /// It is looked whether accounts have changed.
    Directory,
}

impl StoreTask {
    pub(crate) const ALL: [Self; 5] = [
        Self::Records,
        Self::TokenCounts,
        Self::RelayBytes,
        Self::MonthElsewhere,
        Self::Directory,
    ];

    /// Its name in the figures.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Records => "call_records",
            Self::TokenCounts => "token_counts",
            Self::RelayBytes => "relay_bytes",
            Self::MonthElsewhere => "month_elsewhere",
            Self::Directory => "directory",
        }
    }

    pub(crate) const fn is_write(self) -> bool {
        match self {
            Self::Records | Self::TokenCounts | Self::RelayBytes => true,
            Self::MonthElsewhere | Self::Directory => false,
        }
    }

    /// Said where it does not succeed.
    const fn trouble(self) -> &'static str {
        match self {
            Self::Records => "the store takes no call records; they wait in a file",
            Self::TokenCounts => "the store takes no counts of tokens; they count on in memory",
            Self::RelayBytes => {
                "the store takes no counts of relayed bytes; they count on in memory"
            }
            Self::MonthElsewhere => {
                "the store cannot be read; what other servers count towards monthly limits is not seen"
            }
            Self::Directory => "the store cannot be read; changes of accounts are not seen",
        }
    }
}

/// How it stands with one of them.
#[derive(Debug, Default)]
pub(crate) struct Health {
    pub(crate) took: Histogram,
    faults: AtomicU64,
    /// Milliseconds since 1970; 0: never yet.
    last_success: AtomicU64,
    is_failing: AtomicBool,
}

impl Health {
    pub(crate) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// None before the first.
    pub(crate) fn last_success(&self) -> Option<UnixTime> {
        let millis = self.last_success.load(Ordering::Relaxed);
        (millis > 0).then(|| UnixTime::from_millis(millis))
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct StoreMeter([Health; StoreTask::ALL.len()]);

impl StoreMeter {
    /// Does the work, and takes down what became of it.
    pub(crate) async fn watch<T, E>(
        &self,
        task: StoreTask,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let done = work.await;
        let health = self.of(task);
        health.took.add(began.elapsed());
        health.is_failing.store(done.is_err(), Ordering::Relaxed);
        if done.is_ok() {
            let now = Clock::unix().as_millis();
            health.last_success.store(now, Ordering::Relaxed);
        } else {
            health.faults.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    pub(crate) fn of(&self, task: StoreTask) -> &Health {
        &self.0[task as usize]
    }

    /// Whether this did not succeed when it was tried last.
    pub(crate) fn is_failing(&self, task: StoreTask) -> bool {
        self.of(task).is_failing.load(Ordering::Relaxed)
    }

    /// What the store refused when it was asked last.
    pub(crate) fn trouble(&self) -> Option<&'static str> {
        let mut tasks = StoreTask::ALL.into_iter();
        let failing = tasks.find(|task| self.is_failing(*task));
        failing.map(StoreTask::trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_is_in_trouble_until_it_takes_again_what_it_refused() {
        let meter = StoreMeter::default();
        assert_eq!(meter.trouble(), None);
        let works = || async { Ok::<_, ()>(()) };
        let fails = || async { Err::<(), _>(()) };
        let _ = meter.watch(StoreTask::Records, fails()).await;
        meter.watch(StoreTask::TokenCounts, works()).await.unwrap();
        let records = meter.of(StoreTask::Records);
        assert_eq!((records.faults(), records.last_success()), (1, None));
        assert_eq!(meter.trouble(), Some(StoreTask::Records.trouble()));
        meter.watch(StoreTask::Records, works()).await.unwrap();
        assert!(meter.trouble().is_none() && records.last_success().is_some());
        assert_eq!((records.faults(), records.took.picture().count), (1, 2));
    }
}
