//! The ledger as the TURN servers ask it: translates values, and takes its lock.
//!
//! Asked for requests and once for many packets; what the ledger wants told is told without the lock.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Instant, RelayTraffic, RelayUsage, UnixTime};
use switch::turn_grant::{Full, Ledger, Relayed};
use turn::{Authority, Credential, Denied, Holder, Now, Tag, Traffic, Usage};

/// What a worker needs beside the answers.
pub(super) trait WorkerAuthority: Authority + Send {
    /// The server that asked is gone without a word: gives back all that it was admitted.
    fn abandon(&mut self, now: Now);
}

/// Tells a shard what was relayed.
pub(super) type Report = Arc<dyn Fn(Relayed) + Send + Sync>;

/// See the module. One for each worker.
pub(super) struct LedgerAuthority {
    ledger: Arc<Mutex<Ledger>>,
    report: Report,
    /// How many allocations of whom.
    admitted: BTreeMap<u64, u32>,
}

impl LedgerAuthority {
    pub(super) fn new(ledger: Arc<Mutex<Ledger>>, report: Report) -> Self {
        Self {
            ledger,
            report,
            admitted: BTreeMap::new(),
        }
    }

    /// A panic under the lock is a bug that was reported where it happened; the others go on.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authority for LedgerAuthority {
    fn credential(&mut self, now: Now, username: &str) -> Option<Credential> {
        let known = self.ledger().credential(both(now), username)?;
        Some(Credential {
            holder: Holder(known.holder),
            password: known.password,
            is_fresh: known.is_fresh,
        })
    }

    fn admit(&mut self, now: Now, holder: Holder, username: &str) -> Result<(), Denied> {
        let admitted = self.ledger().admit(both(now), holder.0, username);
        admitted.map_err(|full| match full {
            Full::Holder => Denied::Quota,
            Full::Node => Denied::Capacity,
        })?;
        *self.admitted.entry(holder.0).or_default() += 1;
        Ok(())
    }

    fn release(&mut self, now: Now, holder: Holder) {
        if let Some(count) = self.admitted.get_mut(&holder.0) {
            *count -= 1;
            if *count == 0 {
                self.admitted.remove(&holder.0);
            }
        }
        self.ledger().release(both(now), holder.0);
    }

    fn may_stay(&mut self, now: Now, holder: Holder) -> bool {
        self.ledger().may_stay(both(now), holder.0)
    }

    fn reach(&mut self, now: Now, holder: Holder, peer: IpAddr, is_relay: bool) -> Option<Tag> {
        let call = self.ledger().reach(both(now), holder.0, peer, is_relay)?;
        Some(Tag(call))
    }

    fn enter(&mut self, _now: Now, holder: Holder, _gateway: IpAddr) -> Option<Tag> {
        self.ledger().enter(holder.0).map(Tag)
    }

    fn lease(&mut self, now: Now, holder: Holder, wanted: u32) -> u32 {
        self.ledger().lease(both(now), holder.0, wanted)
    }

    fn used(&mut self, now: Now, holder: Holder, tag: Tag, usage: Usage) {
        let usage = RelayUsage {
            sent: told(usage.sent),
            received: told(usage.received),
        };
        let mut ledger = self.ledger();
        ledger.used(both(now), holder.0, tag.0, usage);
        let mut reports = Vec::new();
        while let Some(relayed) = ledger.poll_report() {
            reports.push(relayed);
        }
        drop(ledger);
        for relayed in reports {
            (self.report)(relayed);
        }
    }
}

impl WorkerAuthority for LedgerAuthority {
    fn abandon(&mut self, now: Now) {
        for (holder, count) in std::mem::take(&mut self.admitted) {
            let mut ledger = self.ledger();
            for _ in 0..count {
                ledger.release(both(now), holder);
            }
        }
    }
}

fn both(now: Now) -> model::Now {
    let micros = u64::try_from(now.mono.as_micros()).unwrap_or(u64::MAX);
    model::Now {
        mono: Instant::from_micros(micros),
        unix: UnixTime::from_secs(now.unix_s),
    }
}

fn told(traffic: Traffic) -> RelayTraffic {
    RelayTraffic {
        packets: traffic.packets,
        bytes: traffic.bytes,
    }
}
