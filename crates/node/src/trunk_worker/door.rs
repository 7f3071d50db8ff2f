//! The socket of all trunks: taken before anything is served.

use std::io;
use std::net::{IpAddr, SocketAddr};

use model::Trunk;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::config::TrunkConfig;
use super::sources::canonical;
use crate::config::Config;
use crate::relay::{Finding, is_public, way_to};

/// What the socket may hold of unread datagrams: a few thousand. Charged only while used; the system may allow less.
const BUFFER: usize = 4 * 1024 * 1024;

/// Why trunks cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TrunkFault {
    /// Somebody else has the address.
    #[error(
        "cannot listen for trunks on {0} (UDP): another program does, perhaps another SIP server; stop it, or name \
         another address with --trunk-listen ADDR:PORT"
    )]
    InUse(SocketAddr),
    /// The address cannot be listened on.
    #[error(
        "cannot listen for trunks on {address} (UDP): {source}; name an address of this machine with --trunk-listen \
         ADDR:PORT"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
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
}

/// An open socket; peers wait in it until they are served.
pub(crate) struct Door {
    pub(super) socket: UdpSocket,
    /// Where it is.
    pub(super) local: SocketAddr,
}

impl Door {
    /// Takes the address, or says who has it; nothing where there is no trunk.
    pub(crate) fn bind(config: &TrunkConfig) -> Result<Option<Self>, TrunkFault> {
        if config.trunks.is_empty() {
            return Ok(None);
        }
        let address = canonical(config.listen);
        let open = || {
            let socket = open(address)?;
            let local = socket.local_addr()?;
            Ok(Self { socket, local })
        };
        open().map(Some).map_err(|source: io::Error| {
            if source.kind() == io::ErrorKind::AddrInUse {
                TrunkFault::InUse(address)
            } else {
                TrunkFault::Listen { address, source }
            }
        })
    }

    /// Where it is.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Where the peers of a trunk reach us: as the operator said, or the address that our datagrams to its first peer come from,
    /// or what a NAT makes of that for peers outside, as far as `nat` knows (ours, theirs).
    pub(super) fn own(
        &self,
        config: &TrunkConfig,
        trunk: &Trunk,
        nat: &[(IpAddr, IpAddr)],
    ) -> Result<SocketAddr, TrunkFault> {
        let port = self.local.port();
        if let Some(told) = config.address {
            return Ok(SocketAddr::new(told, port));
        }
        let peer = trunk.peers.first().copied().map(canonical);
        let own = self.local.ip().to_canonical();
        let own = match peer {
            Some(peer) if own.is_unspecified() => {
                way_to(peer).ok_or_else(|| TrunkFault::NoWay {
                    name: trunk.name.to_string(),
                    peer,
                })?
            }
            Some(_) | None => own,
        };
        let is_outside = peer.is_some_and(|peer| is_public(peer.ip()));
        let mut known = nat.iter();
        let told = known.find(|(local, _)| is_outside && *local == own);
        Ok(SocketAddr::new(told.map_or(own, |(_, told)| *told), port))
    }

    /// What is to be said of it at the start; `own` is what the peers of each trunk are told.
    pub(super) fn findings(&self, config: &Config, own: &[SocketAddr]) -> Vec<Finding> {
        let mut told: Vec<String> = own.iter().map(ToString::to_string).collect();
        told.dedup();
        let mut findings = vec![Finding::Fact(format!(
            "trunks: SIP is at UDP {}, which peers are told is {}; whoever is no peer gets no answer",
            self.local,
            told.join(", ")
        ))];
        if !config.media.is_on {
            findings.push(Finding::Doubt(
                "trunks: the media gateway is off (media = false), and without it no call of a trunk has sound"
                    .to_owned(),
            ));
        }
        findings
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
