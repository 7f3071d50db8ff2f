//! Who may use the server and whom they may reach: what the server asks, and never decides itself.
//!
//! Asked for requests and once for many packets, never for each packet.

use std::net::IpAddr;

use crate::input::Now;

/// Whoever a credential was given to, as the authority numbers them. Credentials may share a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder(pub u64);

/// What traffic with a peer is accounted to, as the authority numbers it (a call).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u64);

/// A username that the authority knows.
#[derive(Clone)]
pub struct Credential {
    /// Whose it is.
    pub holder: Holder,
    /// The password that proves it; `Debug` does not show it.
    pub password: String,
    /// Whether it may open new allocations; an expired one only keeps those that it has.
    pub is_fresh: bool,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("holder", &self.holder)
            .field("is_fresh", &self.is_fresh)
            .finish_non_exhaustive()
    }
}

/// Why something is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// This holder (or whoever it belongs to) has all it may have: 486 (RFC 8656 §18.13).
    Quota,
    /// The server has: 508.
    Capacity,
}

/// Packets and their bytes, without any header of TURN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many packets.
    pub packets: u64,
    /// How many bytes of data in them.
    pub bytes: u64,
}

/// What was relayed for a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// From the client to its peer.
    pub sent: Traffic,
    /// From the peer to the client.
    pub received: Traffic,
}

/// Says who may do what.
pub trait Authority {
    /// Who shows this username, and the password to check; `None` if nobody can.
    fn credential(&mut self, now: Now, username: &str) -> Option<Credential>;

    /// One more allocation of this holder, or a port that is set aside for it (EVEN-PORT); the username is the one that was proven.
    fn admit(&mut self, now: Now, holder: Holder, username: &str) -> Result<(), Denied>;

    /// What was admitted has ended.
    fn release(&mut self, now: Now, holder: Holder);

    /// Whether an allocation may live on: asked at each Refresh.
    fn may_stay(&mut self, now: Now, holder: Holder) -> bool;

    /// Whether this holder may exchange packets with this peer, and what they are accounted to.
    /// Asked after [`PeerPolicy`](crate::PeerPolicy) has let the address pass; `is_relay`: it is one of our own relayed ones.
    fn reach(&mut self, now: Now, holder: Holder, peer: IpAddr, is_relay: bool) -> Option<Tag>;

    /// Whether this holder may exchange packets with the [`Gateway`](crate::Gateway)s at this address, and what they are
    /// accounted to. No policy is asked about them, and whoever may reach the address does not by that.
    fn enter(&mut self, now: Now, holder: Holder, gateway: IpAddr) -> Option<Tag>;

    /// Bytes that this holder may relay next: at most `wanted`, 0 if it has to wait. Unused ones are not given back.
    fn lease(&mut self, now: Now, holder: Holder, wanted: u32) -> u32;

    /// What was relayed since it was last told.
    fn used(&mut self, now: Now, holder: Holder, tag: Tag, usage: Usage);
}
