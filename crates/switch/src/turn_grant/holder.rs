//! One holder of credentials: a client's connection, or a credential of the web service.
//!
//! Knows what it may reach and what it has; never looks at what others have.

use std::net::IpAddr;

use model::{AccountId, Instant, Now, UnixTime, limits};

use super::quota::{Bucket, Quota, TurnBounds};

/// What a holder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A connection that has shown no token.
    Unproven,
    /// A connection that has.
    Proven,
    /// It is not open any more; allocations of it may be.
    Gone,
    /// A web service's credential, that may keep allocations until then.
    Rest { until: UnixTime },
}

/// What a call has opened.
#[derive(Debug)]
struct Reached {
    call: u64,
    /// That its other side has named.
    addresses: Vec<IpAddr>,
    /// Whether our media gateway is its other side.
    has_gateway: bool,
}

#[derive(Debug)]
pub(super) struct Holder {
    pub(super) account: AccountId,
    pub(super) standing: Standing,
    /// Whether it counts among those that have shown a token: what its account's strangers share is not for it.
    pub(super) is_proven: bool,
    pub(super) allocations: u32,
    pub(super) bucket: Bucket,
    /// Bytes that it was lent and has not accounted for.
    pub(super) lent: u64,
    /// When the latest of its credentials that opened an allocation expires.
    pub(super) fresh_until: UnixTime,
    /// Oldest first.
    calls: Vec<Reached>,
}

impl Holder {
    /// A connection that has told its account.
    pub(super) fn connection(account: AccountId) -> Self {
        Self::new(account, Standing::Unproven, Bucket::FULL)
    }

    /// A web service's credential. It is forgotten with its last allocation, so it does not begin with a full bucket.
    pub(super) fn rest(account: AccountId, given: UnixTime, now: Instant) -> Self {
        let until = given + limits::TURN_REST_TIME;
        Self::new(account, Standing::Rest { until }, Bucket::low(now))
    }

    fn new(account: AccountId, standing: Standing, bucket: Bucket) -> Self {
        Self {
            account,
            standing,
            is_proven: standing != Standing::Unproven,
            allocations: 0,
            bucket,
            lent: 0,
            fresh_until: UnixTime::default(),
            calls: Vec::new(),
        }
    }

    pub(super) fn quota<'a>(&self, bounds: &'a TurnBounds) -> &'a Quota {
        if self.is_proven {
            &bounds.client
        } else {
            &bounds.unproven
        }
    }

    /// Whether nothing has to be known about it.
    pub(super) fn is_empty(&self) -> bool {
        let is_open = matches!(self.standing, Standing::Unproven | Standing::Proven);
        !is_open && self.allocations == 0
    }

    pub(super) fn is_open_connection(&self) -> bool {
        match self.standing {
            Standing::Unproven | Standing::Proven => true,
            Standing::Gone | Standing::Rest { .. } => false,
        }
    }

    /// Whether its allocations may live on.
    pub(super) fn may_stay(&self, now: Now) -> bool {
        match self.standing {
            Standing::Unproven | Standing::Proven => {
                !self.calls.is_empty() || now.unix < self.fresh_until + limits::TURN_IDLE_TIME
            }
            Standing::Gone => false,
            Standing::Rest { until } => now.unix < until,
        }
    }

    /// What traffic with this peer is accounted to; 0 is no call, which only the web service's credentials have.
    pub(super) fn reach(&self, peer: IpAddr, is_relay: bool) -> Option<u64> {
        match self.standing {
            Standing::Unproven | Standing::Proven => {}
            Standing::Gone => return None,
            Standing::Rest { .. } => return Some(0),
        }
        let peer = peer.to_canonical();
        let named = self
            .calls
            .iter()
            .rev()
            .find(|reached| reached.addresses.contains(&peer))
            .map(|reached| reached.call);
        // Whoever is in no call reaches nothing at all, our own relays included.
        let newest = || self.calls.last().map(|reached| reached.call);
        named.or_else(|| newest().filter(|_| is_relay))
    }

    /// What traffic with our media gateway is accounted to.
    pub(super) fn enter(&self) -> Option<u64> {
        let mut newest = self.calls.iter().rev();
        newest
            .find(|reached| reached.has_gateway)
            .map(|reached| reached.call)
    }

    pub(super) fn add_reach(&mut self, call: u64, addresses: &[IpAddr]) {
        let known = &mut self.call(call).addresses;
        for address in addresses.iter().map(IpAddr::to_canonical) {
            if !known.contains(&address) {
                known.push(address);
            }
        }
    }

    pub(super) fn add_gateway(&mut self, call: u64) {
        self.call(call).has_gateway = true;
    }

    fn call(&mut self, call: u64) -> &mut Reached {
        let known = self.calls.iter().position(|reached| reached.call == call);
        let at = known.unwrap_or_else(|| {
            self.calls.push(Reached {
                call,
                addresses: Vec::new(),
                has_gateway: false,
            });
            self.calls.len() - 1
        });
        &mut self.calls[at]
    }

    /// Says whether there was such a call.
    pub(super) fn end_call(&mut self, call: u64) -> bool {
        let before = self.calls.len();
        self.calls.retain(|reached| reached.call != call);
        if self.calls.is_empty() {
            self.calls = Vec::new();
        }
        self.calls.len() < before
    }

    pub(super) fn leave(&mut self) {
        self.standing = Standing::Gone;
        self.calls = Vec::new();
    }
}
