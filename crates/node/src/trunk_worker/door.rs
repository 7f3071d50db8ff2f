//! The sockets of all trunks: taken before anything is served.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use model::{Trunk, TrunkTransport};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

use super::config::TrunkConfig;
use super::secure::acceptor;
use super::sources::canonical;
use super::tcp;
use crate::certificate::Certificate;
use crate::config::Config;
use crate::relay::{Finding, is_public, way_to};

/// What the socket may hold of unread datagrams: a few thousand. Charged only while used; the system may allow less.
const BUFFER: usize = 4 * 1024 * 1024;

/// Attempts to find a port that is free for UDP and TCP alike, where any will do.
const ATTEMPTS: usize = 16;

/// Why trunks cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TrunkFault {
    /// Somebody else has the address.
    #[error(
        "cannot listen for trunks on {address} ({transport}): another program does, perhaps another SIP server; stop it, or \
         name another address with {flag} ADDR:PORT",
        transport = transport.in_via(), flag = flag(*transport)
    )]
    InUse {
        /// The address.
        address: SocketAddr,
        /// For what.
        transport: TrunkTransport,
    },
    /// The address cannot be listened on.
    #[error(
        "cannot listen for trunks on {address} ({transport}): {source}; name an address of this machine with {flag} \
         ADDR:PORT",
        transport = transport.in_via(), flag = flag(*transport)
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// For what.
        transport: TrunkTransport,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody could be told where we are.
    #[error(
        "the trunk {name} has the peer {peer}, to which no way leads from this machine now; say what the peer calls \
         this machine with --trunk-address ADDR"
    )]
    NoWay {
        /// The trunk.
        name: String,
        /// Its first peer.
        peer: SocketAddr,
    },
    /// TLS cannot be set up.
    #[error("cannot set TLS of trunks up: {0}")]
    Tls(#[from] rustls::Error),
}

/// What says where trunks are listened for.
fn flag(transport: TrunkTransport) -> &'static str {
    match transport {
        TrunkTransport::Udp | TrunkTransport::Tcp => "--trunk-listen",
        TrunkTransport::Tls => "--trunk-tls-listen",
    }
}

/// Open sockets for what some trunk uses; peers wait in them until they are served.
#[derive(Default)]
pub(crate) struct Door {
    pub(super) udp: Option<UdpSocket>,
    pub(super) tcp: Option<Arc<TcpListener>>,
    pub(super) tls: Option<Arc<TcpListener>>,
    /// Who we are by TLS.
    pub(super) acceptor: Option<TlsAcceptor>,
    /// Where UDP and TCP are.
    pub(super) local: Option<SocketAddr>,
    /// Where TLS is, or would be: without a certificate nobody can connect there.
    pub(super) tls_local: Option<SocketAddr>,
}

impl Door {
    /// Takes the addresses, or says who has one; nothing where there is no trunk.
    pub(crate) fn bind(
        config: &TrunkConfig,
        certificate: Option<Arc<Certificate>>,
    ) -> Result<Option<Self>, TrunkFault> {
        if config.trunks.is_empty() {
            return Ok(None);
        }
        let mut attempts = 0;
        let mut door = loop {
            attempts += 1;
            match Self::plain(config) {
                // Somebody has the port for TCP that we were given for UDP.
                Err(TrunkFault::InUse { .. })
                    if config.listen.port() == 0 && attempts < ATTEMPTS => {}
                Err(fault) => return Err(fault),
                Ok(door) => break door,
            }
        };
        if config.uses(TrunkTransport::Tls) {
            let address = canonical(config.tls_listen);
            door.tls_local = Some(address);
            if let Some(certificate) = certificate {
                let (listener, local) = listen(TrunkTransport::Tls, address)?;
                door.acceptor = Some(acceptor(certificate)?);
                (door.tls, door.tls_local) = (Some(listener), Some(local));
            }
        }
        Ok(Some(door))
    }

    /// UDP and TCP, on the same port.
    fn plain(config: &TrunkConfig) -> Result<Self, TrunkFault> {
        let mut door = Self::default();
        let mut address = canonical(config.listen);
        if config.uses(TrunkTransport::Udp) {
            let transport = TrunkTransport::Udp;
            let bound = open(address).and_then(|socket| Ok((socket.local_addr()?, socket)));
            let (local, socket) = bound.map_err(|source| fault(transport, address, source))?;
            (door.udp, door.local) = (Some(socket), Some(local));
            address = local;
        }
        if config.uses(TrunkTransport::Tcp) {
            let (listener, local) = listen(TrunkTransport::Tcp, address)?;
            (door.tcp, door.local) = (Some(listener), Some(local));
        }
        Ok(door)
    }

    /// Where it is for this transport.
    pub(super) fn local(&self, transport: TrunkTransport) -> Option<SocketAddr> {
        match transport {
            TrunkTransport::Udp | TrunkTransport::Tcp => self.local,
            TrunkTransport::Tls => self.tls_local,
        }
    }

    /// Where the peers of a trunk reach us: as the operator said, or the address that our datagrams to its first peer come from,
    /// or what a NAT makes of that for peers outside, as far as `nat` knows (ours, theirs).
    pub(super) fn own(
        &self,
        config: &TrunkConfig,
        trunk: &Trunk,
        nat: &[(IpAddr, IpAddr)],
    ) -> Result<SocketAddr, TrunkFault> {
        let local = self.local(trunk.transport);
        let local = local.unwrap_or(config.listens_at(trunk.transport));
        // Where its names lead is not known yet: it is anywhere, and nothing is sent to it before it is found.
        let anywhere = match local.ip().to_canonical() {
            IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9)),
            IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9)),
        };
        let first = trunk.peers.first().copied();
        let peer = first.unwrap_or(anywhere);
        match own_for(local, config.address, peer, nat) {
            Some(own) => Ok(own),
            None if first.is_none() => {
                Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), local.port()))
            }
            None => Err(TrunkFault::NoWay {
                name: trunk.name.to_string(),
                peer,
            }),
        }
    }

    /// What is to be said of it at the start; `own` is what the peers of each trunk are told.
    pub(super) fn findings(&self, config: &Config, own: &[SocketAddr]) -> Vec<Finding> {
        let mut told: Vec<String> = own.iter().map(ToString::to_string).collect();
        told.dedup();
        let mut places = Vec::new();
        for transport in TrunkTransport::ALL
            .into_iter()
            .filter(|by| config.trunk.uses(*by))
        {
            if let Some(local) = self.local(transport) {
                places.push(format!("{} {local}", transport.in_via()));
            }
        }
        let mut findings = vec![Finding::Fact(format!(
            "trunks: SIP is at {}, which peers are told is {}; whoever is no peer gets no answer",
            places.join(", "),
            told.join(", ")
        ))];
        if self.tls.is_none() && config.trunk.uses(TrunkTransport::Tls) {
            findings.push(Finding::Doubt(
                "trunks: this server has no TLS certificate (tls_cert, tls_key), so that peers of trunks by TLS cannot \
                 connect to it; they have the connections that it makes to them alone"
                    .to_owned(),
            ));
        }
        if !config.media.is_on {
            findings.push(Finding::Doubt(
                "trunks: the media gateway is off (media = false), and without it no call of a trunk has sound"
                    .to_owned(),
            ));
        }
        findings
    }
}

/// Where a peer reaches a socket of ours at `local`; nothing where no way leads to it.
pub(super) fn own_for(
    local: SocketAddr,
    address: Option<IpAddr>,
    peer: SocketAddr,
    nat: &[(IpAddr, IpAddr)],
) -> Option<SocketAddr> {
    if let Some(told) = address {
        return Some(SocketAddr::new(told, local.port()));
    }
    let (peer, mut own) = (canonical(peer), local.ip().to_canonical());
    if own.is_unspecified() {
        own = way_to(peer)?;
    }
    let mut known = nat.iter();
    let told = known.find(|(local, _)| is_public(peer.ip()) && *local == own);
    let told = told.map_or(own, |(_, told)| *told);
    Some(SocketAddr::new(told, local.port()))
}

/// Whether whoever is there is this server itself, with its socket at `local`.
pub(super) fn is_own(
    local: SocketAddr,
    address: Option<IpAddr>,
    peer: SocketAddr,
    nat: &[(IpAddr, IpAddr)],
) -> bool {
    let (peer, own) = (canonical(peer), local.ip().to_canonical());
    let ip = peer.ip();
    let is_told = address == Some(ip) || nat.iter().any(|(_, told)| *told == ip);
    let is_here = match own.is_unspecified() {
        true => ip.is_loopback() || way_to(peer) == Some(ip),
        false => own == ip,
    };
    peer.port() == local.port() && (is_told || is_here)
}

fn listen(
    transport: TrunkTransport,
    address: SocketAddr,
) -> Result<(Arc<TcpListener>, SocketAddr), TrunkFault> {
    let bound = tcp::listen(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (local, listener) = bound.map_err(|source| fault(transport, address, source))?;
    Ok((Arc::new(listener), local))
}

fn fault(transport: TrunkTransport, address: SocketAddr, source: io::Error) -> TrunkFault {
    if source.kind() == io::ErrorKind::AddrInUse {
        TrunkFault::InUse { address, transport }
    } else {
        TrunkFault::Listen {
            address,
            transport,
            source,
        }
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        // All addresses are those of IPv4 as well.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // The system gives what it allows; less than asked for is no reason not to serve.
    let _ = socket.set_recv_buffer_size(BUFFER);
    UdpSocket::from_std(socket.into())
}
