//! The TURN server as the rest of the node knows it: what is configured and said about it, the ledger that decides, and the
//! workers once they run.
//!
//! Handles no packet: that is `turn_worker`'s. Decides nothing: that is `switch::turn_grant`'s.

mod config;
mod doors;
mod files;
mod finding;
mod machine;
mod month;
mod plan;
mod usage;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use model::{AccountId, Directory, UnixTime};
use switch::turn_grant::{Ledger, MonthSpent, TurnChange};
use turn::RelayAddress;

pub use config::{TurnConfig, TurnConfigFault};
pub(crate) use doors::RelayDoors;
pub use doors::RelayFault;
pub use finding::Finding;
use finding::findings;
pub(crate) use machine::{Machine, way_to};
pub(crate) use month::MonthKeeper;
use plan::Plan;
pub(crate) use plan::{Bound, LOOPBACK, each, is_public, literal, wanted};
pub(crate) use usage::UsageQueue;

use crate::config::{Config, ConfigFault};
use crate::turn_worker::Turn;

/// What `offhook config check` can say about TURN without binding anything.
pub fn outlook(config: &Config) -> Result<Vec<Finding>, ConfigFault> {
    config.check()?;
    // Without its interfaces a machine has no addresses, which is then what is said.
    let machine = Machine::read().unwrap_or_default();
    let plan = Plan::new(config, &machine)?;
    let bound = plan.as_ref().map(Bound::wished).unwrap_or_default();
    Ok(findings(config, plan.as_ref(), &bound, None))
}

/// Where TURN would listen and what it would relay from; nothing where it is switched off.
pub(crate) fn turn_plan(
    config: &Config,
    machine: &Machine,
) -> Result<Option<TurnPlaces>, ConfigFault> {
    let plan = Plan::new(config, machine)?;
    Ok(plan.map(|plan| TurnPlaces {
        relays: plan.relays,
        listen: plan.listen,
    }))
}

/// The addresses of TURN, for those who listen beside it.
pub(crate) struct TurnPlaces {
    pub(crate) relays: Vec<RelayAddress>,
    pub(crate) listen: Vec<SocketAddr>,
}

/// Who may relay, and who does it.
pub(crate) struct Relay {
    ledger: Arc<Mutex<Ledger>>,
    /// From their start to their end.
    workers: RwLock<Option<Turn>>,
}

impl Relay {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self {
            ledger: Arc::new(Mutex::new(ledger)),
            workers: RwLock::new(None),
        }
    }

    /// What the workers ask.
    pub(crate) fn ledger(&self) -> Arc<Mutex<Ledger>> {
        Arc::clone(&self.ledger)
    }

    /// The workers run.
    pub(crate) fn started(&self, workers: Turn) {
        *self.workers.write().unwrap_or_else(PoisonError::into_inner) = Some(workers);
    }

    /// Accounts have changed: what disabled ones hold ends.
    pub(crate) fn publish(&self, directory: &Directory) {
        let gone = self.lock().publish(directory);
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(workers) = &*workers {
            gone.into_iter().for_each(|holder| workers.recheck(holder));
        }
    }

    /// Takes a change in, and has permissions withdrawn that it took away.
    pub(crate) fn apply(&self, change: &TurnChange) {
        let Some(holder) = self.lock().apply(change) else {
            return;
        };
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(workers) = &*workers {
            workers.recheck(holder);
        }
    }

    /// Ends the workers, which tell first what they have not told yet. Waits for them.
    pub(crate) fn stop(&self) {
        let workers = self
            .workers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(workers) = workers {
            workers.stop();
        }
    }

    /// How many allocations there are.
    pub(crate) fn allocations(&self) -> usize {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.as_ref().map_or(0, Turn::allocations)
    }

    /// Bytes that were relayed this month.
    pub(crate) fn spent(&self, now: UnixTime) -> u64 {
        self.lock().spent_by_node(now)
    }

    /// What other servers have relayed in this month.
    pub(crate) fn hear(&self, month: (i32, u8), elsewhere: Vec<(AccountId, u64)>) {
        self.lock().hear(month, elsewhere);
    }

    fn take_spent(&self) -> Vec<MonthSpent> {
        self.lock().take_spent()
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
