//! Bounds on relays: allocations and bytes a second, of a client, of an account, of the node.
//!
//! Counts and buckets alone; who they belong to is the ledger's.

use model::{Instant, limits};

/// What one may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Allocations at a time.
    pub allocations: u32,
    /// Bytes a second, both directions together; `None`: as many as pass.
    pub rate: Option<u64>,
}

/// Every bound of a [`Ledger`](super::Ledger).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnBounds {
    /// Of a client that has shown a valid token, and of a web service's credential.
    pub client: Quota,
    /// Of a connection that has not.
    pub unproven: Quota,
    /// Of an account.
    pub account: Quota,
    /// Of the node.
    pub node: Quota,
    /// Bytes that an account may have relayed in a calendar month (UTC), both directions together.
    pub account_monthly: Option<u64>,
    /// The same for the node.
    pub node_monthly: Option<u64>,
}

impl Default for TurnBounds {
    fn default() -> Self {
        let quota = |allocations, rate| Quota { allocations, rate };
        Self {
            client: quota(
                limits::TURN_CLIENT_ALLOCATIONS,
                Some(limits::TURN_CLIENT_RATE),
            ),
            unproven: quota(
                limits::TURN_UNPROVEN_ALLOCATIONS,
                Some(limits::TURN_UNPROVEN_RATE),
            ),
            account: quota(
                limits::TURN_ACCOUNT_ALLOCATIONS,
                Some(limits::TURN_ACCOUNT_RATE),
            ),
            node: quota(limits::TURN_ALLOCATIONS, None),
            account_monthly: None,
            node_monthly: None,
        }
    }
}

/// Who has all that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The client, or its account.
    Holder,
    /// The node.
    Node,
}

/// Bytes that may pass: as many as one second brings at once, then as they come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// In millionths of a byte: what a microsecond brings of a byte a second.
    left: u64,
    filled: Instant,
}

impl Bucket {
    pub(super) const FULL: Self = Self {
        left: u64::MAX,
        filled: Instant::from_micros(0),
    };

    /// With enough for a few packets.
    pub(super) fn low(now: Instant) -> Self {
        Self {
            left: u64::from(limits::TURN_LEASE_MIN) * 1_000_000,
            filled: now,
        }
    }

    /// How many bytes may pass now.
    pub(super) fn fill(&mut self, now: Instant, rate: u64) -> u64 {
        let elapsed = now.since(self.filled).as_micros();
        let earned = u64::try_from(elapsed)
            .unwrap_or(u64::MAX)
            .saturating_mul(rate);
        let burst = rate.max(limits::TURN_LEASE_MIN.into());
        self.left = self
            .left
            .saturating_add(earned)
            .min(burst.saturating_mul(1_000_000));
        self.filled = self.filled.max(now);
        self.left / 1_000_000
    }

    pub(super) fn take(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes.saturating_mul(1_000_000));
    }
}

/// What a group of clients shares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) allocations: u32,
    pub(super) bucket: Bucket,
}

impl Share {
    const EMPTY: Self = Self {
        allocations: 0,
        bucket: Bucket::FULL,
    };
}

/// What an account, or the node, has in use: all of it, and the part of connections that have shown no token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    pub(super) all: Share,
    pub(super) unproven: Share,
}

impl Pool {
    pub(super) const EMPTY: Self = Self {
        all: Share::EMPTY,
        unproven: Share::EMPTY,
    };

    /// Whether there is room for one more allocation.
    pub(super) fn has_room(&self, quota: &Quota, is_proven: bool) -> bool {
        let part = quota.allocations / limits::TURN_UNPROVEN_SHARE;
        self.all.allocations < quota.allocations && (is_proven || self.unproven.allocations < part)
    }

    pub(super) fn add(&mut self, is_proven: bool) {
        self.all.allocations += 1;
        self.unproven.allocations += u32::from(!is_proven);
    }

    pub(super) fn remove(&mut self, is_proven: bool) {
        self.all.allocations = self.all.allocations.saturating_sub(1);
        if !is_proven {
            self.unproven.allocations = self.unproven.allocations.saturating_sub(1);
        }
    }

    /// So many allocations belong to a client that has just shown its token.
    pub(super) fn prove(&mut self, allocations: u32) {
        self.unproven.allocations = self.unproven.allocations.saturating_sub(allocations);
    }

    /// How many bytes may pass now; `None`: no bound.
    pub(super) fn fill(&mut self, now: Instant, quota: &Quota, is_proven: bool) -> Option<u64> {
        let rate = quota.rate?;
        let all = self.all.bucket.fill(now, rate);
        if is_proven {
            return Some(all);
        }
        let part = rate / u64::from(limits::TURN_UNPROVEN_SHARE);
        Some(all.min(self.unproven.bucket.fill(now, part)))
    }

    pub(super) fn take(&mut self, bytes: u64, is_proven: bool) {
        self.all.bucket.take(bytes);
        if !is_proven {
            self.unproven.bucket.take(bytes);
        }
    }
}
