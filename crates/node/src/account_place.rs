//! Places for what is done at once: so many in all, and so many of one account, so that none takes those of others. Where one
//! has to wait instead, these are turns.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use model::AccountId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of one kind of work.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    most_of_account: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    accounts: HashMap<AccountId, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All are taken, so many.
    All(usize),
    /// Those of the account are, so many.
    Account(usize),
}

impl Places {
    pub(crate) fn new(most: usize, most_of_account: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_of_account,
            taken: Mutex::default(),
        })
    }

    /// Takes a place, until what is returned is dropped.
    pub(crate) fn enter(self: &Arc<Self>, account: AccountId) -> Result<Place, NoPlace> {
        let mut taken = self.lock();
        if taken.all >= self.most {
            return Err(NoPlace::All(taken.all));
        }
        let of_account = taken.accounts.entry(account).or_insert(0);
        if *of_account >= self.most_of_account {
            return Err(NoPlace::Account(*of_account));
        }
        *of_account += 1;
        taken.all += 1;
        Ok(Place {
            places: Arc::clone(self),
            account,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    account: AccountId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(count) = taken.accounts.get_mut(&self.account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.accounts.remove(&self.account);
            }
        }
    }
}

/// The turns of one kind of work. Who waits does so among those of its account first.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    most_of_account: usize,
    accounts: Mutex<HashMap<AccountId, Weak<Semaphore>>>,
}

/// One turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _of_account: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub(crate) fn new(most: usize, most_of_account: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(most)),
            most_of_account,
            accounts: Mutex::default(),
        }
    }

    /// Waits for a turn.
    pub(crate) async fn take(&self, account: AccountId) -> Turn {
        // Neither is ever closed.
        Turn {
            _of_account: self.of(account).acquire_owned().await.ok(),
            _of_all: Arc::clone(&self.all).acquire_owned().await.ok(),
        }
    }

    fn of(&self, account: AccountId) -> Arc<Semaphore> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = accounts.get(&account).and_then(Weak::upgrade) {
            return known;
        }
        // Those of whom nobody waits or works.
        accounts.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(self.most_of_account));
        accounts.insert(account, Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_account_that_waits_for_its_turns_keeps_no_other_waiting() {
        use futures_util::FutureExt;
        let turns = Turns::new(3, 2);
        let take = |account| turns.take(AccountId(account)).now_or_never();
        let (first, second) = (take(1).unwrap(), take(1).unwrap());
        assert!(take(1).is_none(), "its own are taken");
        let mut waiting = Box::pin(turns.take(AccountId(1)));
        assert!(waiting.as_mut().now_or_never().is_none());
        let other = take(2).unwrap();
        assert!(take(3).is_none(), "all are");
        drop(first);
        assert!(waiting.as_mut().now_or_never().is_some());
        drop((second, other));
        assert!(take(3).is_some() && turns.accounts.lock().unwrap().len() <= 2);
    }

    #[test]
    fn one_account_leaves_room_for_others() {
        let places = Places::new(3, 2);
        let enter = |account| places.enter(AccountId(account));
        let (first, _second) = (enter(1).unwrap(), enter(1).unwrap());
        assert_eq!(enter(1).unwrap_err(), NoPlace::Account(2));
        let third = enter(2).unwrap();
        assert_eq!(enter(3).unwrap_err(), NoPlace::All(3));
        drop((first, third));
        assert!(enter(1).is_ok() && enter(3).is_ok());
        assert_eq!(places.lock().accounts.len(), 1, "what is empty goes");
    }
}
