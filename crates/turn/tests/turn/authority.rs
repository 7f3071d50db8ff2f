//! An authority for tests: users by name, whom they may reach, and what was said.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use turn::{Authority, Credential, Denied, Holder, Now, Tag, Usage};

/// Users are called `u<number>`, and their password is `p<number>`.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Whom a holder may reach; nobody has a row: anybody.
    pub(crate) reach: BTreeMap<Holder, BTreeSet<IpAddr>>,
    /// Who reaches anybody but gateways.
    pub(crate) outsiders: BTreeSet<Holder>,
    /// Users whose credentials are too old for new allocations.
    pub(crate) stale: BTreeSet<Holder>,
    /// Holders that may not stay.
    pub(crate) banned: BTreeSet<Holder>,
    /// Allocations admitted and not released.
    pub(crate) allocations: BTreeMap<Holder, u32>,
    /// Allocations that a holder may have; any number unless given.
    pub(crate) room: Option<u32>,
    /// Bytes that are left for each; any number unless given.
    pub(crate) bytes: BTreeMap<Holder, u32>,
    /// How often bytes were asked for.
    pub(crate) asked: u32,
    pub(crate) used: BTreeMap<(Holder, Tag), Usage>,
}

impl Authority for Book {
    fn credential(&mut self, _now: Now, username: &str) -> Option<Credential> {
        let number = username.strip_prefix('u')?.parse().ok()?;
        let holder = Holder(number);
        Some(Credential {
            holder,
            password: format!("p{number}"),
            is_fresh: !self.stale.contains(&holder),
        })
    }

    fn admit(&mut self, _now: Now, holder: Holder, _username: &str) -> Result<(), Denied> {
        let count = self.allocations.entry(holder).or_default();
        if self.room.is_some_and(|room| *count >= room) {
            return Err(Denied::Quota);
        }
        *count += 1;
        Ok(())
    }

    fn release(&mut self, _now: Now, holder: Holder) {
        let count = self.allocations.get_mut(&holder).unwrap();
        *count = count.checked_sub(1).unwrap();
    }

    fn may_stay(&mut self, _now: Now, holder: Holder) -> bool {
        !self.banned.contains(&holder)
    }

    fn reach(&mut self, _now: Now, holder: Holder, peer: IpAddr, is_relay: bool) -> Option<Tag> {
        let may = self
            .reach
            .get(&holder)
            .is_none_or(|reach| reach.contains(&peer));
        (is_relay || may).then_some(Tag(9))
    }

    fn enter(&mut self, now: Now, holder: Holder, gateway: IpAddr) -> Option<Tag> {
        let tag = self.reach(now, holder, gateway, false);
        tag.filter(|_| !self.outsiders.contains(&holder))
    }

    fn lease(&mut self, _now: Now, holder: Holder, wanted: u32) -> u32 {
        self.asked += 1;
        let Some(left) = self.bytes.get_mut(&holder) else {
            return wanted;
        };
        let given = wanted.min(*left);
        *left -= given;
        given
    }

    fn used(&mut self, _now: Now, holder: Holder, tag: Tag, usage: Usage) {
        let sum = self.used.entry((holder, tag)).or_default();
        for (sum, part) in [
            (&mut sum.sent, usage.sent),
            (&mut sum.received, usage.received),
        ] {
            sum.packets += part.packets;
            sum.bytes += part.bytes;
        }
    }
}
