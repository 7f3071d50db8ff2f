//! The addresses that TURN listens on: taken before anything is served, by sockets of every worker.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpListener;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};

use super::Setup;
use super::limits::{BACKLOG, StreamBounds};
use super::port::Port;
use super::tls;
use super::worker::Listener;

/// How often another free port is tried, where UDP has one that TCP has not.
const ATTEMPTS: usize = 64;

/// Why TURN does not serve.
#[derive(Debug, thiserror::Error)]
pub enum TurnFault {
    /// Somebody else has the address.
    #[error(
        "cannot listen for TURN on {address} ({transport}): another program does, perhaps another TURN server; \
         stop it, name another address with --turn-listen ADDR:PORT, or switch TURN off with --turn=false"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
        /// UDP, TCP or TLS.
        transport: &'static str,
    },
    /// The address cannot be listened on.
    #[error(
        "cannot listen for TURN on {address} ({transport}): {source}; name an address of this machine with \
         --turn-listen ADDR:PORT, or switch TURN off with --turn=false"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// UDP, TCP or TLS.
        transport: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set TLS up for TURN: {0}")]
    Tls(#[from] rustls::Error),
    /// The threads, or what they wait with, cannot be made.
    #[error("cannot start the threads of TURN: {0}")]
    Threads(#[from] io::Error),
}

/// Open sockets of every worker; clients wait in them until they are served.
pub(crate) struct Doors {
    pub(super) setup: Setup,
    pub(super) workers: Vec<WorkerDoors>,
    pub(super) tls_config: Option<Arc<ServerConfig>>,
    pub(super) bounds: StreamBounds,
    bound: [Vec<SocketAddr>; 3],
}

/// The sockets of one worker.
#[derive(Default)]
pub(super) struct WorkerDoors {
    pub(super) ports: Vec<Port>,
    pub(super) listeners: Vec<Listener>,
}

impl Doors {
    /// Takes every address, or says who has it.
    pub(crate) fn bind(setup: Setup) -> Result<Self, TurnFault> {
        let tls_config = setup
            .certificate
            .clone()
            .map(tls::server_config)
            .transpose()?;
        let tls = if tls_config.is_some() {
            setup.tls.as_slice()
        } else {
            &[]
        };
        let plain = claim_all(&setup.udp, &setup.tcp, "TCP")?;
        let sealed = claim_all(&[], tls, "TLS")?;
        let bound = [
            plain.udp_addresses()?,
            plain.tcp_addresses()?,
            sealed.tcp_addresses()?,
        ];
        let mut workers = vec![WorkerDoors::default()];
        workers[0].ports = plain.udp;
        for (sockets, is_tls) in [(plain.tcp, false), (sealed.tcp, true)] {
            for socket in sockets {
                workers[0].listeners.push(listen(socket, is_tls)?);
            }
        }
        for _ in 1..setup.workers.max(1) {
            workers.push(WorkerDoors::share(&bound)?);
        }
        // The system deals connections out evenly, more or less.
        let mut bounds = StreamBounds::default();
        bounds.connections = (setup.streams / workers.len()).clamp(1, bounds.connections);
        Ok(Self {
            setup,
            workers,
            tls_config,
            bounds,
            bound,
        })
    }

    /// Lets clients reach the media gateway, where their calls lead there.
    pub(crate) fn let_reach(&mut self, gateways: Vec<turn::Gateway>) {
        self.setup.gateways = gateways;
    }

    /// The UDP addresses, with the ports that were chosen.
    pub(crate) fn udp(&self) -> Vec<SocketAddr> {
        self.bound[0].clone()
    }

    /// The TCP addresses.
    pub(crate) fn tcp(&self) -> Vec<SocketAddr> {
        self.bound[1].clone()
    }

    /// The TCP addresses where TLS is spoken.
    pub(crate) fn tls(&self) -> Vec<SocketAddr> {
        self.bound[2].clone()
    }
}

impl WorkerDoors {
    /// One more worker's.
    fn share(bound: &[Vec<SocketAddr>; 3]) -> Result<Self, TurnFault> {
        let [udp, tcp, tls] = bound;
        let mut doors = Self::default();
        for address in udp {
            doors
                .ports
                .push(Port::share(*address).map_err(refused(*address, "UDP"))?);
        }
        for (addresses, is_tls, transport) in [(tcp, false, "TCP"), (tls, true, "TLS")] {
            for address in addresses {
                let socket = tcp_socket(*address, true).map_err(refused(*address, transport))?;
                doors.listeners.push(listen(socket, is_tls)?);
            }
        }
        Ok(doors)
    }
}

/// The first sockets on their addresses.
#[derive(Default)]
struct Claimed {
    udp: Vec<Port>,
    tcp: Vec<Socket>,
}

impl Claimed {
    fn udp_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.udp.iter().map(Port::local).collect()
    }

    fn tcp_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let local = |socket: &Socket| {
            let address = socket.local_addr()?.as_socket();
            address.ok_or_else(|| io::Error::other("a TCP socket has an address"))
        };
        self.tcp.iter().map(local).collect()
    }
}

/// Takes the addresses, each as the only one there. Port 0 becomes the same free one everywhere.
fn claim_all(
    udp: &[SocketAddr],
    tcp: &[SocketAddr],
    stream: &'static str,
) -> Result<Claimed, TurnFault> {
    let has_choice = udp.iter().chain(tcp).any(|address| address.port() == 0);
    let mut attempts = if has_choice { ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match claim(udp, tcp, stream) {
            Err(TurnFault::InUse { .. }) if attempts > 0 => {}
            outcome => return outcome,
        }
    }
}

fn claim(
    udp: &[SocketAddr],
    tcp: &[SocketAddr],
    stream: &'static str,
) -> Result<Claimed, TurnFault> {
    let mut claimed = Claimed::default();
    // What port 0 stands for, once a socket has got one.
    let mut chosen = 0;
    let with = |address: SocketAddr, chosen: u16| match address.port() {
        0 => SocketAddr::new(address.ip(), chosen),
        _ => address,
    };
    for wanted in udp {
        let address = with(*wanted, chosen);
        let port = Port::claim(address).map_err(refused(address, "UDP"))?;
        if wanted.port() == 0 {
            chosen = port.local()?.port();
        }
        claimed.udp.push(port);
    }
    for wanted in tcp {
        let address = with(*wanted, chosen);
        let socket = tcp_socket(address, false).map_err(refused(address, stream))?;
        if wanted.port() == 0 {
            chosen = socket
                .local_addr()?
                .as_socket()
                .map_or(0, |local| local.port());
        }
        claimed.tcp.push(socket);
    }
    Ok(claimed)
}

fn refused(address: SocketAddr, transport: &'static str) -> impl Fn(io::Error) -> TurnFault {
    move |source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            return TurnFault::InUse { address, transport };
        }
        TurnFault::Listen {
            address,
            transport,
            source,
        }
    }
}

/// A bound socket: `is_shared` if others of ours are there, else it is the only one.
fn tcp_socket(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the last connections of before.
    socket.set_reuse_address(true)?;
    if is_shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    // Afterwards: until here, not even somebody who shares could have been there.
    socket.set_reuse_port(true)?;
    Ok(socket)
}

fn listen(socket: Socket, is_tls: bool) -> io::Result<Listener> {
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let socket = TcpListener::from_std(socket.into());
    Ok(Listener::new(socket, is_tls))
}
