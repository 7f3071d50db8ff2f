//! Which line a datagram or a connection is for, by where it comes from.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::{Trunk, TrunkTransport};

/// The lines by the addresses of their trunks. Where several fit, that has it whose operator has written the address down, else the
/// one that was there first: nobody takes by DNS what comes from another's machine.
#[derive(Debug, Default)]
pub(super) struct Sources {
    peers: BTreeMap<(TrunkTransport, SocketAddr), usize>,
    hosts: BTreeMap<(TrunkTransport, IpAddr), usize>,
    /// Those with networks of their own.
    others: Vec<(usize, Arc<Trunk>)>,
}

impl Sources {
    pub(super) fn new(trunks: &[Arc<Trunk>]) -> Self {
        Self::default().led(trunks)
    }

    /// The same where the names of some lead elsewhere now.
    pub(super) fn led(&self, trunks: &[Arc<Trunk>]) -> Self {
        let mut sources = Self::default();
        for (at, trunk) in trunks.iter().enumerate() {
            for peer in trunk.literals() {
                sources.add(at, trunk.transport, peer);
            }
        }
        for ((by, ip), at) in &self.hosts {
            let is_there = |trunk: &Arc<Trunk>| {
                let mut all = trunk.known();
                trunk.transport == *by && all.any(|peer| canonical(*peer).ip() == *ip)
            };
            if trunks.get(*at).is_some_and(is_there) {
                sources.hosts.entry((*by, *ip)).or_insert(*at);
            }
        }
        for (at, trunk) in trunks.iter().enumerate() {
            for peer in trunk.known() {
                sources.add(at, trunk.transport, *peer);
            }
            if !trunk.networks.is_empty() {
                sources.others.push((at, Arc::clone(trunk)));
            }
        }
        sources
    }

    fn add(&mut self, at: usize, by: TrunkTransport, peer: SocketAddr) {
        let peer = canonical(peer);
        self.peers.entry((by, peer)).or_insert(at);
        self.hosts.entry((by, peer.ip())).or_insert(at);
    }

    /// Whose it is: the trunk with this peer, or with a peer on the same machine, or with a network that it is in.
    pub(super) fn line(&self, by: TrunkTransport, source: SocketAddr) -> Option<usize> {
        let peer = self.peers.get(&(by, source));
        let host = || self.hosts.get(&(by, source.ip()));
        let network = || {
            let mut others = self.others.iter();
            let (at, _) =
                others.find(|(_, trunk)| trunk.transport == by && trunk.admits(source.ip()))?;
            Some(*at)
        };
        peer.or_else(host).copied().or_else(network)
    }
}

/// IPv4 in IPv6 is IPv4.
pub(super) fn canonical(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip().to_canonical(), at.port())
}

#[cfg(test)]
mod tests {
    use model::media::Network;

    use super::*;

    #[test]
    fn a_peer_comes_before_its_machine_and_that_before_a_network() {
        let trunk = |name: &str, peer: &str, network: Option<(&str, u8)>| {
            let trunk = crate::trunk_worker::tests::trunk(name, &[peer]);
            let network =
                network.map(|(ip, bits)| Network::new(ip.parse().unwrap(), bits).unwrap());
            Arc::new(Trunk {
                transport: match name {
                    "tls" => TrunkTransport::Tls,
                    _ => TrunkTransport::Udp,
                },
                networks: network.into_iter().collect(),
                ..trunk
            })
        };
        let all = [
            trunk("wide", "198.51.100.1:5060", Some(("192.0.2.0", 24))),
            trunk("first", "192.0.2.7:5060", None),
            trunk("second", "192.0.2.7:5070", None),
            trunk("tls", "192.0.2.7:5070", Some(("203.0.113.0", 24))),
        ];
        let sources = Sources::new(&all);
        let by = |by, source: &str| sources.line(by, canonical(source.parse().unwrap()));
        let line = |source| by(TrunkTransport::Udp, source);
        assert_eq!(line("192.0.2.7:5060"), Some(1));
        assert_eq!(line("192.0.2.7:5070"), Some(2));
        assert_eq!(line("[::ffff:192.0.2.7]:5070"), Some(2));
        assert_eq!(line("192.0.2.7:40000"), Some(1));
        assert_eq!(line("192.0.2.8:5060"), Some(0));
        assert_eq!(line("203.0.113.1:5060"), None);
        for (source, found) in [
            ("192.0.2.7:5070", Some(3)),
            ("192.0.2.7:5060", Some(3)),
            ("192.0.2.8:5060", None),
            ("203.0.113.1:40000", Some(3)),
        ] {
            assert_eq!(by(TrunkTransport::Tls, source), found, "{source}");
            assert_eq!(by(TrunkTransport::Tcp, source), None, "{source}");
        }
    }

    #[test]
    fn whose_machine_it_was_first_has_what_comes_from_it() {
        let named = |name: &str, peer: Option<&str>| {
            let trunk = crate::trunk_worker::tests::trunk(name, &[]);
            let peers = peer.iter().map(|peer| peer.parse().unwrap()).collect();
            Arc::new(Trunk { peers, ..trunk })
        };
        let line = |sources: &Sources, source: &str| {
            sources.line(TrunkTransport::Udp, canonical(source.parse().unwrap()))
        };
        let there = named("there", Some("192.0.2.7:5060"));
        let sources = Sources::new(&[named("hostile", None), Arc::clone(&there)]);
        let hostile = named("hostile", Some("192.0.2.7:5099"));
        let sources = sources.led(&[Arc::clone(&hostile), there]);
        assert_eq!(line(&sources, "192.0.2.7:40000"), Some(1));
        assert_eq!(line(&sources, "192.0.2.7:5099"), Some(0));
        let sources = sources.led(&[hostile, named("there", Some("192.0.2.8:5060"))]);
        assert_eq!(line(&sources, "192.0.2.7:40000"), Some(0));
    }
}
