//! Says yes to everybody who knows his password, and writes down what was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use turn::{Authority, Credential, Denied, Holder, Now, Tag, Usage};

use crate::turn_worker::authority::WorkerAuthority;

/// Whoever asks for a credential by this name makes the worker panic.
pub(super) const BUG: &str = "bug";

/// Shared by the test and by every worker.
#[derive(Clone, Default)]
pub(super) struct Book(Arc<Mutex<Page>>);

#[derive(Default)]
pub(super) struct Page {
    pub(super) admitted: BTreeMap<Holder, i32>,
    pub(super) used: BTreeMap<Holder, Usage>,
    /// Who may reach nobody any more.
    pub(super) confined: BTreeSet<Holder>,
}

impl Book {
    pub(super) fn open(&self) -> MutexGuard<'_, Page> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Authority for Book {
    fn credential(&mut self, _: Now, username: &str) -> Option<Credential> {
        assert_ne!(username, BUG, "the bug of this test");
        Some(Credential {
            holder: Holder(username.strip_prefix('u')?.parse().ok()?),
            password: format!("p-{username}"),
            is_fresh: true,
        })
    }

    fn admit(&mut self, _: Now, holder: Holder, _: &str) -> Result<(), Denied> {
        *self.open().admitted.entry(holder).or_default() += 1;
        Ok(())
    }

    fn release(&mut self, _: Now, holder: Holder) {
        *self.open().admitted.entry(holder).or_default() -= 1;
    }

    fn may_stay(&mut self, _: Now, _: Holder) -> bool {
        true
    }

    fn reach(&mut self, _: Now, holder: Holder, _: IpAddr, _: bool) -> Option<Tag> {
        (!self.open().confined.contains(&holder)).then_some(Tag(1))
    }

    fn enter(&mut self, now: Now, holder: Holder, gateway: IpAddr) -> Option<Tag> {
        self.reach(now, holder, gateway, false)
    }

    fn lease(&mut self, _: Now, _: Holder, wanted: u32) -> u32 {
        wanted
    }

    fn used(&mut self, _: Now, holder: Holder, _: Tag, usage: Usage) {
        let mut page = self.open();
        let sum = page.used.entry(holder).or_default();
        for (sum, more) in [
            (&mut sum.sent, usage.sent),
            (&mut sum.received, usage.received),
        ] {
            sum.packets += more.packets;
            sum.bytes += more.bytes;
        }
    }
}

impl WorkerAuthority for Book {
    fn abandon(&mut self, _: Now) {
        self.open().admitted.clear();
    }
}
