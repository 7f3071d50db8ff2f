//! The addresses of this machine, as its interfaces have them now.
//!
//! Reads the interfaces and asks the routing table; sends no packet.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Addresses for documentation (RFC 5737, RFC 3849): the way to them is the way to everywhere.
const ELSEWHERE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9),
    SocketAddr::new(
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        9,
    ),
];

/// What a machine is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Every address, in the order of the interfaces; without IPv6 link-local ones, which need a zone.
    pub(crate) addresses: Vec<IpAddr>,
    /// What its packets for the rest of the world come from: one of each family at most.
    pub(crate) outward: Vec<IpAddr>,
}

impl Machine {
    pub(crate) fn read() -> io::Result<Self> {
        let mut addresses = Vec::new();
        for interface in nix::ifaddrs::getifaddrs()? {
            let Some(address) = interface.address else {
                continue;
            };
            let v4 = address.as_sockaddr_in().map(|at| IpAddr::V4(at.ip()));
            let v6 = address.as_sockaddr_in6().map(|at| IpAddr::V6(at.ip()));
            if let Some(ip) = v4.or(v6)
                && !is_zoned(ip)
                && !addresses.contains(&ip)
            {
                addresses.push(ip);
            }
        }
        let outward = ELSEWHERE.into_iter().filter_map(way_to);
        Ok(Self {
            outward: outward.filter(|ip| addresses.contains(ip)).collect(),
            addresses,
        })
    }
}

/// RFC 4291 §2.5.6: of no use without the number of its interface.
fn is_zoned(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The address that a packet to there would come from: connecting a UDP socket asks the routing table alone.
pub(crate) fn way_to(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|at| at.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_its_loopback_and_nothing_twice() {
        let machine = Machine::read().unwrap();
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let found = machine.addresses.iter().filter(|ip| **ip == loopback);
        assert_eq!(found.count(), 1, "{machine:?}");
        assert!(
            machine
                .outward
                .iter()
                .all(|ip| machine.addresses.contains(ip))
        );
    }
}
