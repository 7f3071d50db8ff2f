//! What an operator chooses about trunks, and what cannot be.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use model::{InvalidTrunk, PeerPlace, TrunkTransport, limits};

use super::secure::Secure;
use crate::wanted_trunk::WantedTrunk;

/// The trunks of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkConfig {
    /// Where the peers of trunks reach us by UDP and TCP; bound for what some trunk uses.
    pub listen: SocketAddr,
    /// The same by TLS.
    pub tls_listen: SocketAddr,
    /// What peers call this machine; found out for each trunk unless given.
    pub address: Option<IpAddr>,
    /// The servers of DNS that are asked where peers are that have names; none: those of the system.
    pub dns: Vec<SocketAddr>,
    /// In the order of the operator's wishes.
    pub trunks: Vec<WantedTrunk>,
}

impl TrunkConfig {
    /// Whether any trunk is by it.
    pub(super) fn uses(&self, transport: TrunkTransport) -> bool {
        let mut trunks = self.trunks.iter();
        trunks.any(|wanted| wanted.trunk.transport == transport)
    }

    /// Where the peers of trunks by this transport reach us.
    pub(super) fn listens_at(&self, transport: TrunkTransport) -> SocketAddr {
        match transport {
            TrunkTransport::Udp | TrunkTransport::Tcp => self.listen,
            TrunkTransport::Tls => self.tls_listen,
        }
    }
}

impl Default for TrunkConfig {
    fn default() -> Self {
        let any =
            |transport: TrunkTransport| SocketAddr::from((Ipv4Addr::UNSPECIFIED, transport.port()));
        Self {
            listen: any(TrunkTransport::Udp),
            tls_listen: any(TrunkTransport::Tls),
            address: None,
            dns: Vec::new(),
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
    /// The same.
    #[error("trunks cannot listen on {0}, which is no address of a machine (--trunk-tls-listen)")]
    TlsListen(SocketAddr),
    /// Both want the same.
    #[error(
        "trunks cannot listen for TCP and TLS at the same address {0}: give another port (--trunk-tls-listen)"
    )]
    Same(SocketAddr),
    /// No certificate can be for it.
    #[error(
        "{place}: no certificate can be for {domain:?}: a trunk by TLS needs a domain that is a name or an address"
    )]
    Domain {
        /// Where the trunk stands.
        place: String,
        /// What it has.
        domain: String,
    },
    /// Nobody has such an address.
    #[error(
        "peers of trunks cannot call this machine {0}: give the address that leads here (--trunk-address)"
    )]
    Address(IpAddr),
    /// Nobody has such an address.
    #[error(
        "no server of DNS can be at {0}: give an address of one, such as 192.0.2.53:53 (--dns)"
    )]
    Dns(SocketAddr),
    /// More than may be.
    #[error("there may be {max} servers of DNS, not {0} (--dns)", max = limits::DNS_SERVERS)]
    DnsTooMany(usize),
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
        peer: PeerPlace,
        /// Where the first stands.
        other: String,
    },
    /// No datagram gets from one to the other.
    #[error(
        "{place}: nothing gets from {listen} to the peer {peer}: they are of different kinds, IPv4 and IPv6; \
         `{key} = \"[::]:{port}\"` reaches both"
    )]
    Family {
        /// Where the trunk stands.
        place: String,
        /// Where we are.
        listen: SocketAddr,
        /// Where it is.
        peer: SocketAddr,
        /// What says where we are.
        key: &'static str,
        /// The usual port.
        port: u16,
    },
}

impl TrunkConfig {
    /// Says what stands against it.
    pub(crate) fn check(&self) -> Result<(), TrunkConfigFault> {
        let is_of_many = |at: SocketAddr| at.ip().to_canonical().is_multicast();
        if is_of_many(self.listen) {
            return Err(TrunkConfigFault::Listen(self.listen));
        }
        if is_of_many(self.tls_listen) {
            return Err(TrunkConfigFault::TlsListen(self.tls_listen));
        }
        let is_same = self.listen == self.tls_listen && self.listen.port() != 0;
        if is_same && self.uses(TrunkTransport::Tcp) && self.uses(TrunkTransport::Tls) {
            return Err(TrunkConfigFault::Same(self.listen));
        }
        let nobodys = |ip: &IpAddr| ip.is_unspecified() || ip.to_canonical().is_multicast();
        if let Some(address) = self.address.filter(nobodys) {
            return Err(TrunkConfigFault::Address(address));
        }
        let nobody = self
            .dns
            .iter()
            .find(|at| nobodys(&at.ip()) || at.port() == 0);
        if let Some(at) = nobody {
            return Err(TrunkConfigFault::Dns(*at));
        }
        if self.dns.len() > limits::DNS_SERVERS {
            return Err(TrunkConfigFault::DnsTooMany(self.dns.len()));
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
            let transport = wanted.trunk.transport;
            if transport == TrunkTransport::Tls && Secure::name(&wanted.trunk.domain).is_none() {
                let (place, domain) = (place(), wanted.trunk.domain.clone());
                return Err(TrunkConfigFault::Domain { place, domain });
            }
            for peer in &wanted.trunk.places {
                if let Some(address) = peer.address() {
                    self.check_way(wanted, address)?;
                }
                let has_it = |other: &&WantedTrunk| {
                    other.trunk.transport == transport && other.trunk.places.contains(peer)
                };
                if let Some(other) = self.trunks[..at].iter().find(has_it) {
                    return Err(TrunkConfigFault::PeerTwice {
                        place: place(),
                        peer: peer.clone(),
                        other: other.place.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether our socket and the peer reach each other. One for all addresses of IPv6 is one for all of IPv4 as well.
    fn check_way(&self, wanted: &WantedTrunk, peer: SocketAddr) -> Result<(), TrunkConfigFault> {
        let transport = wanted.trunk.transport;
        let listen = self.listens_at(transport);
        let own = listen.ip();
        let is_both = own.is_ipv6() && own.is_unspecified();
        if is_both || own.to_canonical().is_ipv4() == peer.ip().to_canonical().is_ipv4() {
            return Ok(());
        }
        Err(TrunkConfigFault::Family {
            place: wanted.place.clone(),
            listen,
            peer,
            key: match transport {
                TrunkTransport::Udp | TrunkTransport::Tcp => "trunk_listen",
                TrunkTransport::Tls => "trunk_tls_listen",
            },
            port: transport.port(),
        })
    }
}
