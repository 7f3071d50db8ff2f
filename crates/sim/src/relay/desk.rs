//! What TURN servers ask, put to the ledger: `turn` and `switch` do not know each other, the shell joins them.
//!
//! Decides nothing; keeps count of what was admitted and told, for the judge.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{RelayTraffic, RelayUsage, UnixTime};
use switch::turn_grant::{Full, Ledger};
use turn::{Authority, Credential, Denied, Holder, Tag, Usage};

/// What the servers ask: the ledger, as they know it.
pub(super) struct Desk<'a> {
    pub(super) ledger: &'a mut Ledger,
    /// Allocations that were admitted and not released, by holder.
    pub(super) admitted: &'a mut BTreeMap<u64, u32>,
    /// What the ledger was told, by holder.
    pub(super) told: &'a mut BTreeMap<u64, RelayUsage>,
    /// Whom it has admitted since it was made.
    pub(super) newest: Option<u64>,
}

impl Authority for Desk<'_> {
    fn credential(&mut self, now: turn::Now, username: &str) -> Option<Credential> {
        let known = self.ledger.credential(model_now(now), username)?;
        Some(Credential {
            holder: Holder(known.holder),
            password: known.password,
            is_fresh: known.is_fresh,
        })
    }

    fn admit(&mut self, now: turn::Now, holder: Holder, username: &str) -> Result<(), Denied> {
        match self.ledger.admit(model_now(now), holder.0, username) {
            Ok(()) => {
                *self.admitted.entry(holder.0).or_default() += 1;
                self.newest = Some(holder.0);
                Ok(())
            }
            Err(Full::Holder) => Err(Denied::Quota),
            Err(Full::Node) => Err(Denied::Capacity),
        }
    }

    fn release(&mut self, now: turn::Now, holder: Holder) {
        if let Some(count) = self.admitted.get_mut(&holder.0) {
            *count -= 1;
            if *count == 0 {
                self.admitted.remove(&holder.0);
            }
        }
        self.ledger.release(model_now(now), holder.0);
    }

    fn may_stay(&mut self, now: turn::Now, holder: Holder) -> bool {
        self.ledger.may_stay(model_now(now), holder.0)
    }

    fn reach(
        &mut self,
        now: turn::Now,
        holder: Holder,
        peer: IpAddr,
        is_relay: bool,
    ) -> Option<Tag> {
        self.ledger
            .reach(model_now(now), holder.0, peer, is_relay)
            .map(Tag)
    }

    fn enter(&mut self, _now: turn::Now, holder: Holder, _gateway: IpAddr) -> Option<Tag> {
        self.ledger.enter(holder.0).map(Tag)
    }

    fn lease(&mut self, now: turn::Now, holder: Holder, wanted: u32) -> u32 {
        self.ledger.lease(model_now(now), holder.0, wanted)
    }

    fn used(&mut self, now: turn::Now, holder: Holder, tag: Tag, usage: Usage) {
        let traffic = |traffic: turn::Traffic| RelayTraffic {
            packets: traffic.packets,
            bytes: traffic.bytes,
        };
        let usage = RelayUsage {
            sent: traffic(usage.sent),
            received: traffic(usage.received),
        };
        let told = self.told.entry(holder.0).or_default();
        *told = told.plus(usage);
        self.ledger.used(model_now(now), holder.0, tag.0, usage);
    }
}

pub(super) fn turn_now(now: model::Now) -> turn::Now {
    turn::Now {
        mono: std::time::Duration::from_micros(now.mono.as_micros()),
        unix_s: now.unix.as_secs(),
    }
}

fn model_now(now: turn::Now) -> model::Now {
    let micros = u64::try_from(now.mono.as_micros()).unwrap_or(u64::MAX);
    model::Now {
        mono: model::Instant::from_micros(micros),
        unix: UnixTime::from_secs(now.unix_s),
    }
}
