//! The addresses that the gateway listens on: taken before anything is served.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use media::webrtc::House;
use mio::net::UdpSocket;
use mio::{Interest, Poll, Waker};
use socket2::{Domain, Protocol, Socket, Type};

use super::Gateway;
use super::config::MediaConfigFault;
use super::inbox::Inbox;
use super::plan::{Place, Plan};
use super::token::Token;
use crate::config::Config;
use crate::relay::{Finding, Machine, RelayDoors};

/// What the socket of all browsers may hold of unread packets, and of unsent ones: 20 ms of thousands of legs. Charged only
/// while used; the system may allow less.
const DOOR_BUFFER: usize = 4 * 1024 * 1024;
/// The same for a leg's own ports: a burst of one peer.
const RTP_BUFFER: usize = 256 * 1024;

/// Why the gateway does not serve.
#[derive(Debug, thiserror::Error)]
pub enum MediaFault {
    /// What is configured does not fit this machine.
    #[error(transparent)]
    Config(#[from] MediaConfigFault),
    /// Somebody else has the address.
    #[error(
        "cannot listen for media on {0} (UDP): another program does, perhaps another offhook; stop it, name another \
         address with --media-listen ADDR:PORT, or switch the media gateway off with --media=false"
    )]
    InUse(SocketAddr),
    /// The address cannot be listened on.
    #[error(
        "cannot listen for media on {address} (UDP): {source}; name an address of this machine with --media-listen \
         ADDR:PORT, or switch the media gateway off with --media=false"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The machine does not say what it is called.
    #[error(
        "cannot read the addresses of this machine, which the media gateway needs: {0}; --media=false does without"
    )]
    Machine(io::Error),
    /// The thread, or what it waits with, cannot be made.
    #[error("cannot start the thread of the media gateway: {0}")]
    Threads(#[from] io::Error),
    /// No key, no DTLS.
    #[error("the cryptographic library makes no certificate for the media gateway")]
    Certificate,
}

/// Open sockets; peers wait in them until they are served.
pub(crate) struct Doors {
    pub(super) poll: Poll,
    pub(super) inbox: Arc<Inbox>,
    pub(super) sockets: Vec<Door>,
    pub(super) plan: Plan,
    pub(super) legs: Arc<AtomicUsize>,
}

/// One address of the gateway.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) socket: UdpSocket,
    /// What peers call it.
    pub(super) told: SocketAddr,
}

impl Doors {
    /// Takes every address, or says who has it; nothing where the gateway is switched off.
    pub(crate) fn bind(config: &Config, turn: &RelayDoors) -> Result<Option<Self>, MediaFault> {
        if !config.media.is_on {
            return Ok(None);
        }
        let machine = Machine::read().map_err(MediaFault::Machine)?;
        let Some(plan) = Plan::new(config, &machine, turn.relays(), turn.udp())? else {
            return Ok(None);
        };
        Self::open(plan).map(Some)
    }

    pub(super) fn open(mut plan: Plan) -> Result<Self, MediaFault> {
        let poll = Poll::new()?;
        let inbox = Inbox::new(Waker::new(poll.registry(), Token::Mail.into())?);
        let mut sockets = Vec::new();
        for (index, place) in plan.doors.iter_mut().enumerate() {
            let door = door(place)?;
            sockets.push(door);
            let socket = &mut sockets[index].socket;
            let token = Token::Door(index as u16).into();
            poll.registry()
                .register(socket, token, Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            inbox: Arc::new(inbox),
            sockets,
            plan,
            legs: Arc::default(),
        })
    }

    /// Where commands go, from before it serves.
    pub(crate) fn gateway(&self) -> Gateway {
        Gateway {
            inbox: Arc::clone(&self.inbox),
            legs: Arc::clone(&self.legs),
        }
    }

    /// Where it listens, and what browsers are told of that.
    pub(crate) fn gateways(&self) -> Vec<turn::Gateway> {
        let places = self.plan.doors.iter();
        let gateway = |place: &Place| turn::Gateway {
            public: place.told(),
            local: place.local,
        };
        places.map(gateway).collect()
    }

    /// What is to be said of it.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.plan.findings()
    }

    /// What all legs share, `epoch` being the zero of our clock.
    pub(super) fn house(&self, epoch: std::time::Instant) -> Result<House, MediaFault> {
        let told = self.sockets.iter().map(|door| door.told).collect();
        House::new(epoch, told).ok_or(MediaFault::Certificate)
    }
}

/// Opens one, and says which port it got.
fn door(place: &mut Place) -> Result<Door, MediaFault> {
    let address = place.local;
    let fault = |source: io::Error| {
        if source.kind() == io::ErrorKind::AddrInUse {
            MediaFault::InUse(address)
        } else {
            MediaFault::Listen { address, source }
        }
    };
    let socket = open(address, DOOR_BUFFER).map_err(fault)?;
    place.local = socket.local_addr().map_err(fault)?;
    Ok(Door {
        socket,
        told: place.told(),
    })
}

/// A pair for a leg: an even port and the next one (RFC 3550 §11), which nobody else may have.
pub(super) fn open_pair(even: SocketAddr) -> io::Result<[UdpSocket; 2]> {
    let odd = SocketAddr::new(even.ip(), even.port() | 1);
    Ok([open(even, RTP_BUFFER)?, open(odd, RTP_BUFFER)?])
}

fn open(address: SocketAddr, buffer: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // The system gives what it allows; less than asked for is no reason not to serve.
    let _ = socket.set_recv_buffer_size(buffer);
    let _ = socket.set_send_buffer_size(buffer);
    Ok(UdpSocket::from_std(socket.into()))
}
