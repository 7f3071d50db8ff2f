//! An allocation: one client's relayed addresses, whom it may exchange packets with, and what it has relayed.
//!
//! Plain state with its bounds; who may have what was decided before. RFC 8656 §3, §9, §12.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use smallvec::SmallVec;
use stun_types::message::TransactionId;

use crate::authority::{Authority, Holder, Tag, Traffic, Usage};
use crate::input::{Client, Now, RelayId};

/// RFC 8656 §9: fixed.
pub(crate) const PERMISSION_LIFE: Duration = Duration::from_secs(300);
/// RFC 8656 §12: fixed.
pub(crate) const CHANNEL_LIFE: Duration = Duration::from_secs(600);
/// Permissions, and channels, that stand in the allocation itself: a call has one or two, and each look elsewhere in
/// memory costs as much as all the rest.
const NEAR: usize = 2;
/// Whoever was lent too little asks again after this, not with the next packet: the authority is shared.
const LEASE_PAUSE: Duration = Duration::from_millis(5);

/// A relayed address of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Relay {
    pub(crate) id: RelayId,
    pub(crate) public: SocketAddr,
}

/// A permission: by address, whatever the port.
#[derive(Clone, Debug)]
pub(crate) struct Permission {
    pub(crate) peer: IpAddr,
    pub(crate) tag: Tag,
    /// Whether packets may leave the process for this address; not for one that is ours and was not listed.
    pub(crate) may_leave: bool,
    /// Whether a gateway at this address may be reached, though nothing else there may be.
    pub(crate) may_enter: bool,
    /// Whether it is one of those that we relay from.
    pub(crate) is_relay: bool,
    pub(crate) expires: Duration,
    pub(crate) usage: Usage,
}

/// A channel and its peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel {
    pub(crate) number: u16,
    pub(crate) peer: SocketAddr,
    pub(crate) expires: Duration,
}

/// What every packet needs comes first.
#[derive(Debug)]
pub(crate) struct Allocation {
    pub(crate) client: Client,
    pub(crate) expires: Duration,
    /// Bytes that it may relay before it asks again.
    lent: u32,
    /// Sorted by number.
    channels: SmallVec<[Channel; NEAR]>,
    /// Sorted by address.
    permissions: SmallVec<[Permission; NEAR]>,
    /// IPv4, then IPv6.
    pub(crate) relays: [Option<Relay>; 2],
    /// Before this it need not ask.
    asks_from: Duration,
    pub(crate) holder: Holder,
    /// Of the request that made it: the same again gets the same answer.
    pub(crate) transaction: TransactionId,
    /// The token of the port that was set aside with it.
    pub(crate) reservation: Option<u64>,
    /// Of two families that were asked for the one that could not be had, and why.
    pub(crate) missing: Option<Missing>,
}

/// An address that was asked for beside another and could not be had (RFC 8656 §7.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing {
    pub(crate) is_v6: bool,
    pub(crate) code: u16,
}

impl Allocation {
    pub(crate) fn new(
        client: Client,
        holder: Holder,
        transaction: TransactionId,
        expires: Duration,
    ) -> Self {
        Self {
            client,
            expires,
            lent: 0,
            channels: SmallVec::new(),
            permissions: SmallVec::new(),
            relays: [None; 2],
            asks_from: Duration::ZERO,
            holder,
            transaction,
            reservation: None,
            missing: None,
        }
    }

    /// Its relayed address of the family of a peer.
    pub(crate) fn relay_for(&self, peer: IpAddr) -> Option<Relay> {
        self.relays[usize::from(peer.is_ipv6())]
    }

    /// The place of the permission for a peer, unless it or the allocation is over.
    pub(crate) fn permitted(&self, now: Duration, peer: IpAddr) -> Option<usize> {
        let at = self.place_of(peer).ok()?;
        (self.permissions[at].expires > now && self.expires > now).then_some(at)
    }

    pub(crate) fn permission(&self, at: usize) -> &Permission {
        &self.permissions[at]
    }

    /// Takes the bytes of a packet out of what was lent and gives what to count it in; nothing if there are none.
    pub(crate) fn pass(
        &mut self,
        now: Now,
        at: usize,
        bytes: usize,
        lease: u32,
        authority: &mut dyn Authority,
    ) -> Option<&mut Usage> {
        self.pay(now, bytes as u32, lease, authority)
            .then(|| &mut self.permissions[at].usage)
    }

    fn place_of(&self, peer: IpAddr) -> Result<usize, usize> {
        self.permissions
            .binary_search_by(|known| known.peer.cmp(&peer))
    }

    /// Whether more permissions find room, after those that are over have gone.
    pub(crate) fn has_room_for(
        &mut self,
        now: Now,
        peers: &[IpAddr],
        bound: usize,
        authority: &mut dyn Authority,
    ) -> bool {
        let new = |own: &Self| {
            peers
                .iter()
                .filter(|peer| own.place_of(**peer).is_err())
                .count()
        };
        if self.permissions.len() + new(self) <= bound {
            return true;
        }
        self.retain(now, authority, |permission| permission.expires > now.mono);
        self.permissions.len() + new(self) <= bound
    }

    /// Makes or refreshes a permission.
    pub(crate) fn permit(
        &mut self,
        now: Now,
        mut permission: Permission,
        authority: &mut dyn Authority,
    ) {
        permission.expires = now.mono + PERMISSION_LIFE;
        match self.place_of(permission.peer) {
            Ok(at) => {
                let known = &mut self.permissions[at];
                if known.tag != permission.tag {
                    known.report(now, self.holder, authority);
                }
                permission.usage = known.usage;
                *known = permission;
            }
            Err(at) => self.permissions.insert(at, permission),
        }
    }

    /// Drops permissions; what they relayed is told.
    pub(crate) fn retain(
        &mut self,
        now: Now,
        authority: &mut dyn Authority,
        mut is_kept: impl FnMut(&Permission) -> bool,
    ) {
        let holder = self.holder;
        self.permissions.retain(|permission| {
            if is_kept(permission) {
                return true;
            }
            permission.report(now, holder, authority);
            false
        });
    }

    /// Asks the authority anew for each permission, and withdraws those that are not granted any more.
    pub(crate) fn recheck(&mut self, now: Now, authority: &mut dyn Authority) {
        let holder = self.holder;
        self.permissions.retain(|permission| {
            let (peer, is_relay) = (permission.peer, permission.is_relay);
            let mut ask = |may_ask: bool, is_relay| {
                may_ask
                    .then(|| authority.reach(now, holder, peer, is_relay))
                    .flatten()
            };
            let beyond = ask(permission.may_leave, false);
            let within = ask(is_relay, true);
            let entered = permission
                .may_enter
                .then(|| authority.enter(now, holder, peer))
                .flatten();
            permission.may_leave = beyond.is_some();
            permission.may_enter = entered.is_some();
            let tag = within.or(beyond).or(entered);
            if tag != Some(permission.tag) {
                permission.report(now, holder, authority);
            }
            if let Some(tag) = tag {
                permission.tag = tag;
            }
            tag.is_some()
        });
    }

    /// Tells all that was relayed and not told yet.
    pub(crate) fn report(&mut self, now: Now, authority: &mut dyn Authority) {
        for permission in &mut self.permissions {
            permission.report(now, self.holder, authority);
        }
    }

    pub(crate) fn channel(&self, now: Duration, number: u16) -> Option<SocketAddr> {
        let at = self
            .channels
            .binary_search_by(|known| known.number.cmp(&number))
            .ok()?;
        let channel = &self.channels[at];
        (channel.expires > now).then_some(channel.peer)
    }

    pub(crate) fn channel_to(&self, now: Duration, peer: SocketAddr) -> Option<u16> {
        self.channels
            .iter()
            .find(|channel| channel.peer == peer && channel.expires > now)
            .map(|channel| channel.number)
    }

    /// RFC 8656 §12.2: neither the number nor the peer may be bound elsewhere.
    pub(crate) fn may_bind(&mut self, now: Duration, number: u16, peer: SocketAddr) -> bool {
        self.channels.retain(|channel| channel.expires > now);
        self.channels
            .iter()
            .all(|channel| (channel.number == number) == (channel.peer == peer))
    }

    /// How many channels there would be with this one.
    pub(crate) fn channels_with(&self, number: u16) -> usize {
        let is_known = self.channels.iter().any(|channel| channel.number == number);
        self.channels.len() + usize::from(!is_known)
    }

    pub(crate) fn bind(&mut self, now: Duration, number: u16, peer: SocketAddr) {
        let channel = Channel {
            number,
            peer,
            expires: now + CHANNEL_LIFE,
        };
        match self
            .channels
            .binary_search_by(|known| known.number.cmp(&number))
        {
            Ok(at) => self.channels[at] = channel,
            Err(at) => self.channels.insert(at, channel),
        }
    }

    /// What it has elsewhere in memory.
    pub(crate) fn far_bytes(&self) -> usize {
        let spilled = |is_spilled, capacity, size| if is_spilled { capacity * size } else { 0 };
        let (permissions, channels) = (&self.permissions, &self.channels);
        spilled(
            permissions.spilled(),
            permissions.capacity(),
            size_of::<Permission>(),
        ) + spilled(
            channels.spilled(),
            channels.capacity(),
            size_of::<Channel>(),
        )
    }

    /// Takes bytes out of what was lent, and asks for more when that is used up.
    fn pay(&mut self, now: Now, bytes: u32, lease: u32, authority: &mut dyn Authority) -> bool {
        if self.lent < bytes {
            if now.mono < self.asks_from {
                return false;
            }
            // So that no more than this is ever untold, however long the allocation lives.
            self.report(now, authority);
            let lent = authority.lease(now, self.holder, lease.max(bytes));
            self.lent = self.lent.saturating_add(lent);
            if self.lent < bytes {
                self.asks_from = now.mono + LEASE_PAUSE;
                return false;
            }
        }
        self.lent -= bytes;
        true
    }
}

impl Permission {
    fn report(&mut self, now: Now, holder: Holder, authority: &mut dyn Authority) {
        let usage = std::mem::take(&mut self.usage);
        if usage != Usage::default() {
            authority.used(now, holder, self.tag, usage);
        }
    }
}

impl Traffic {
    pub(crate) fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}
