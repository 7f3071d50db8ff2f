//! Refresh, CreatePermission and ChannelBind: requests about an allocation that stands. RFC 8656 §8, §10, §12.
//!
//! Whoever asks has proven a password; whether the allocation is theirs is seen here.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun_types::AddressFamily;
use stun_types::attribute::AttributeStaticType as _;
use stun_types::message::{Message, MessageWriteVec};
use turn_types::attribute::{ChannelNumber, Lifetime, RequestedAddressFamily, XorPeerAddress};

use crate::allocation::Permission;
use crate::authority::{Authority, Usage};
use crate::input::{Client, Now};
use crate::request::{Proven, Refused, add};
use crate::server::{Due, Server};

/// RFC 8656 §12 keeps those from 0x5000 on for later protocols; clients by RFC 5766 §11 use them.
const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7fff;

type Answer = Result<Option<Vec<u8>>, Refused>;

impl Server {
    /// The place of the client's allocation, if whoever asks holds it (RFC 8656 §5).
    fn own_allocation(&self, client: Client, proven: &Proven) -> Result<u32, Refused> {
        let at = self.place_of(client).ok_or(Refused::MISMATCH)?;
        let allocation = self.allocations[at as usize]
            .as_ref()
            .ok_or(Refused::MISMATCH)?;
        if self.openings.contains_key(&at) {
            return Err(Refused::MISMATCH);
        }
        if allocation.holder == proven.credential.holder {
            Ok(at)
        } else {
            Err(Refused::WRONG_CREDENTIALS)
        }
    }

    pub(crate) fn on_refresh(
        &mut self,
        now: Now,
        client: Client,
        request: &Message<'_>,
        proven: &Proven,
        authority: &mut dyn Authority,
    ) -> Answer {
        let at = self.own_allocation(client, proven)?;
        let family = match request.attribute::<RequestedAddressFamily>() {
            Ok(family) => Some(usize::from(family.family() == AddressFamily::IPV6)),
            Err(_) if request.has_attribute(RequestedAddressFamily::TYPE) => {
                return Err(Refused::FAMILY_NOT_SUPPORTED);
            }
            Err(_) => None,
        };
        let Some(allocation) = self.allocations[at as usize].as_mut() else {
            return Err(Refused::MISMATCH);
        };
        if family.is_some_and(|family| allocation.relays[family].is_none()) {
            return Err(Refused::FAMILY_MISMATCH);
        }
        let is_end = request
            .attribute::<Lifetime>()
            .is_ok_and(|life| life.seconds() == 0);
        let lifetime = if is_end {
            let others = |family: usize| allocation.relays[1 - family].is_some();
            match family.filter(|family| others(*family)) {
                Some(family) => {
                    let relay = allocation.relays[family].take();
                    allocation.retain(now, authority, |permission| {
                        usize::from(permission.peer.is_ipv6()) != family
                    });
                    if let Some(relay) = relay {
                        self.close(relay.id);
                    }
                }
                None => self.end(now, at, authority),
            }
            Duration::ZERO
        } else if authority.may_stay(now, proven.credential.holder) {
            let lifetime = self.lifetime(request);
            self.prolong(at, now.mono + lifetime);
            lifetime
        } else {
            self.end(now, at, authority);
            return Err(Refused::FORBIDDEN);
        };
        let mut answer = Message::builder_success(request, MessageWriteVec::with_capacity(96));
        add(&mut answer, &Lifetime::new(lifetime.as_secs() as u32));
        Ok(Some(self.house.finish(answer, &proven.seal)))
    }

    fn prolong(&mut self, at: u32, expires: Duration) {
        if let Some(allocation) = &mut self.allocations[at as usize] {
            self.timers
                .remove(&(allocation.expires, Due::Allocation(at)));
            allocation.expires = expires;
            self.timers.insert((expires, Due::Allocation(at)));
        }
    }

    pub(crate) fn on_create_permission(
        &mut self,
        now: Now,
        client: Client,
        request: &Message<'_>,
        proven: &Proven,
        authority: &mut dyn Authority,
    ) -> Answer {
        let at = self.own_allocation(client, proven)?;
        let mut permissions = Vec::new();
        for nth in 0.. {
            if request
                .nth_raw_attribute(XorPeerAddress::TYPE, nth)
                .is_none()
            {
                break;
            }
            // A request with more is no request of a browser, and none of them can be granted.
            if nth >= self.config.bounds.permissions {
                return Err(Refused::CAPACITY);
            }
            let peer = request
                .nth_attribute::<XorPeerAddress>(nth)
                .map_err(|_| Refused::BAD_REQUEST)?
                .addr(request.transaction_id());
            permissions.push(self.judge(now, at, peer.ip(), proven, authority)?);
        }
        if permissions.is_empty() {
            return Err(Refused::BAD_REQUEST);
        }
        self.permit(now, at, permissions, authority)?;
        let answer = Message::builder_success(request, MessageWriteVec::with_capacity(64));
        Ok(Some(self.house.finish(answer, &proven.seal)))
    }

    fn permit(
        &mut self,
        now: Now,
        at: u32,
        permissions: Vec<Permission>,
        authority: &mut dyn Authority,
    ) -> Result<(), Refused> {
        let bound = self.config.bounds.permissions;
        let mut peers: Vec<IpAddr> = permissions
            .iter()
            .map(|permission| permission.peer)
            .collect();
        peers.sort_unstable();
        peers.dedup();
        let Some(allocation) = self.allocations[at as usize].as_mut() else {
            return Err(Refused::MISMATCH);
        };
        if !allocation.has_room_for(now, &peers, bound, authority) {
            return Err(Refused::CAPACITY);
        }
        for permission in permissions {
            allocation.permit(now, permission, authority);
        }
        Ok(())
    }

    /// Whether an allocation may exchange packets with an address at all.
    fn judge(
        &self,
        now: Now,
        at: u32,
        peer: IpAddr,
        proven: &Proven,
        authority: &mut dyn Authority,
    ) -> Result<Permission, Refused> {
        let allocation = self.allocations[at as usize]
            .as_ref()
            .ok_or(Refused::MISMATCH)?;
        allocation.relay_for(peer).ok_or(Refused::FAMILY_MISMATCH)?;
        let holder = proven.credential.holder;
        let is_relay = self.relays.is_address(peer);
        let is_ours = self.is_ours(peer);
        // What is ours may be reached from outside the process only where the operator listed it.
        let is_open = self.config.peers.check(peer).is_ok()
            && (!is_ours || self.config.peers.is_allowed(peer));
        let beyond = is_open
            .then(|| authority.reach(now, holder, peer, false))
            .flatten();
        let within = is_relay
            .then(|| authority.reach(now, holder, peer, true))
            .flatten();
        let entered = self
            .has_gateway(peer)
            .then(|| authority.enter(now, holder, peer))
            .flatten();
        let tag = within.or(beyond).or(entered).ok_or(Refused::FORBIDDEN)?;
        Ok(Permission {
            peer,
            tag,
            may_leave: beyond.is_some(),
            may_enter: entered.is_some(),
            is_relay,
            expires: Duration::ZERO,
            usage: Usage::default(),
        })
    }

    pub(crate) fn on_channel_bind(
        &mut self,
        now: Now,
        client: Client,
        request: &Message<'_>,
        proven: &Proven,
        authority: &mut dyn Authority,
    ) -> Answer {
        let at = self.own_allocation(client, proven)?;
        let number = request
            .attribute::<ChannelNumber>()
            .map_err(|_| Refused::BAD_REQUEST)?
            .channel();
        let peer = request
            .attribute::<XorPeerAddress>()
            .map_err(|_| Refused::BAD_REQUEST)?
            .addr(request.transaction_id());
        if !CHANNELS.contains(&number) {
            return Err(Refused::BAD_REQUEST);
        }
        let permission = self.judge(now, at, peer.ip(), proven, authority)?;
        if !self.may_go_to(peer, &permission) {
            return Err(Refused::FORBIDDEN);
        }
        let bound = self.config.bounds.channels;
        let Some(allocation) = self.allocations[at as usize].as_mut() else {
            return Err(Refused::MISMATCH);
        };
        if !allocation.may_bind(now.mono, number, peer) {
            return Err(Refused::BAD_REQUEST);
        }
        if allocation.channels_with(number) > bound {
            return Err(Refused::CAPACITY);
        }
        self.permit(now, at, vec![permission], authority)?;
        if let Some(allocation) = &mut self.allocations[at as usize] {
            allocation.bind(now.mono, number, peer);
        }
        let answer = Message::builder_success(request, MessageWriteVec::with_capacity(64));
        Ok(Some(self.house.finish(answer, &proven.seal)))
    }

    /// Whether a port may be a peer's: a gateway's own, on an address that we relay from a relayed one, or any but those that
    /// we listen on.
    fn may_go_to(&self, peer: SocketAddr, permission: &Permission) -> bool {
        let is_gateway = permission.may_enter && self.gateway_at(peer).is_some();
        let is_relayed = permission.is_relay && self.relays.has_port(peer.port());
        let is_open = permission.may_leave || is_relayed;
        peer.port() != 0 && (is_gateway || is_open && !self.is_listening(peer))
    }

    /// Whether clients may call a gateway by this address, whatever the port.
    fn has_gateway(&self, ip: IpAddr) -> bool {
        let mut gateways = self.config.gateways.iter();
        gateways.any(|gateway| gateway.public.ip() == ip)
    }

    /// The gateway that clients call so. Away from the way of all other packets, which is shorter without it.
    #[cold]
    pub(crate) fn gateway_at(&self, public: SocketAddr) -> Option<usize> {
        let mut gateways = self.config.gateways.iter();
        gateways.position(|gateway| gateway.public == public)
    }

    /// Whether this machine listens there. What leads to it from outside is not told apart from where it listens.
    pub(crate) fn is_listening(&self, peer: SocketAddr) -> bool {
        self.config.listening.iter().any(|own| {
            own.port() == peer.port() && (own.ip() == peer.ip() || self.is_ours(peer.ip()))
        })
    }
}
