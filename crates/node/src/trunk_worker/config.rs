//! What an operator chooses about trunks, and what cannot be.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use model::{InvalidTrunk, limits};

use crate::wanted_trunk::WantedTrunk;

/// The trunks of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkConfig {
    /// Where the peers of all trunks reach us, by UDP; bound if there is a trunk.
    pub listen: SocketAddr,
    /// What peers call this machine; found out for each trunk unless given.
    pub address: Option<IpAddr>,
    /// In the order of the operator's wishes.
    pub trunks: Vec<WantedTrunk>,
}

impl TrunkConfig {
    /// RFC 3261 §18.1.1: of SIP over UDP.
    pub const PORT: u16 = 5060;
}

impl Default for TrunkConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, Self::PORT)),
            address: None,
            trunks: Vec::new(),
        }
    }
}

/// Trunks that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrunkConfigFault {
    /// Nobody has such an address.
    #[error("trunks cannot listen on {0}, which is no address of a machine (--trunk-listen)")]
    Listen(SocketAddr),
    /// Nobody has such an address.
    #[error(
        "peers of trunks cannot call this machine {0}: give the address that leads here (--trunk-address)"
    )]
    Address(IpAddr),
    /// More than may be.
    #[error("{place}: there are {max} trunks already, as many as there may be", max = limits::TRUNKS)]
    TooMany {
        /// Where the first that is too many stands.
        place: String,
    },
    /// It cannot be.
    #[error("{place}: {fault}")]
    Trunk {
        /// Where it stands.
        place: String,
        /// Why.
        fault: InvalidTrunk,
    },
    /// Whoever answers from there could be either's.
    #[error(
        "{place}: {peer} is a peer of the trunk at {other} as well, and what comes from there could be for either: \
         give one trunk all numbers of that peer"
    )]
    PeerTwice {
        /// Where the second stands.
        place: String,
        /// Whom both have.
        peer: SocketAddr,
        /// Where the first stands.
        other: String,
    },
    /// No datagram gets from one to the other.
    #[error(
        "{place}: no datagram gets from {listen} to the peer {peer}: they are of different kinds, IPv4 and IPv6; \
         `trunk_listen = \"[::]:5060\"` reaches both"
    )]
    Family {
        /// Where the trunk stands.
        place: String,
        /// Where we are.
        listen: SocketAddr,
        /// Where it is.
        peer: SocketAddr,
    },
}

impl TrunkConfig {
    /// Says what stands against it.
    pub(crate) fn check(&self) -> Result<(), TrunkConfigFault> {
        if self.listen.ip().to_canonical().is_multicast() {
            return Err(TrunkConfigFault::Listen(self.listen));
        }
        let nobodys = |ip: &IpAddr| ip.is_unspecified() || ip.to_canonical().is_multicast();
        if let Some(address) = self.address.filter(nobodys) {
            return Err(TrunkConfigFault::Address(address));
        }
        if let Some(WantedTrunk { place, .. }) = self.trunks.get(limits::TRUNKS) {
            let place = place.clone();
            return Err(TrunkConfigFault::TooMany { place });
        }
        for (at, wanted) in self.trunks.iter().enumerate() {
            let place = || wanted.place.clone();
            wanted.trunk.check().map_err(|fault| {
                let place = place();
                TrunkConfigFault::Trunk { place, fault }
            })?;
            for peer in &wanted.trunk.peers {
                if !self.reaches(*peer) {
                    return Err(TrunkConfigFault::Family {
                        place: place(),
                        listen: self.listen,
                        peer: *peer,
                    });
                }
                let has_it = |other: &&WantedTrunk| other.trunk.peers.contains(peer);
                if let Some(other) = self.trunks[..at].iter().find(has_it) {
                    return Err(TrunkConfigFault::PeerTwice {
                        place: place(),
                        peer: *peer,
                        other: other.place.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether a datagram of our socket gets there. One for all addresses of IPv6 is one for all of IPv4 as well.
    fn reaches(&self, peer: SocketAddr) -> bool {
        let own = self.listen.ip();
        let is_both = own.is_ipv6() && own.is_unspecified();
        is_both || own.to_canonical().is_ipv4() == peer.ip().to_canonical().is_ipv4()
    }
}
