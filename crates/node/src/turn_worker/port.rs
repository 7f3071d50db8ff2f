//! UDP sockets as the workers use them: how they are opened, and what the kernel can do for them.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::limits::{DOOR_BUFFER, RELAY_BUFFER};

/// An open UDP socket of one family.
#[derive(Debug)]
pub(super) struct Port {
    socket: UdpSocket,
    pub(super) is_v4: bool,
    /// Whether the kernel cuts one send into datagrams (UDP_SEGMENT).
    pub(super) cuts: bool,
    /// Whether packets go out with the request not to fragment them.
    is_whole: bool,
}

impl Port {
    /// The first one at a listening address: fails if anybody else has it. From now on [`Self::share`] may open more.
    pub(super) fn claim(address: SocketAddr) -> io::Result<Self> {
        let socket = open(address)?;
        socket.bind(&address.into())?;
        // Afterwards: until here, not even somebody who shares could have been there.
        socket.set_reuse_port(true)?;
        Self::door(socket, address)
    }

    /// One more at a listening address.
    pub(super) fn share(address: SocketAddr) -> io::Result<Self> {
        let socket = open(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        Self::door(socket, address)
    }

    /// One for a relayed address, that nobody else may have.
    pub(super) fn relay(address: SocketAddr) -> io::Result<Self> {
        let socket = open(address)?;
        socket.bind(&address.into())?;
        let _ = socket.set_recv_buffer_size(RELAY_BUFFER);
        let _ = socket.set_send_buffer_size(RELAY_BUFFER);
        let mut port = Self::new(socket, address);
        // RFC 8656 §14: not to fragment is for the client to ask.
        port.is_whole = true;
        port.keep_whole(false);
        Ok(port)
    }

    fn door(socket: Socket, address: SocketAddr) -> io::Result<Self> {
        // The system gives what it allows; less than asked for is no reason not to serve.
        let _ = socket.set_recv_buffer_size(DOOR_BUFFER);
        let _ = socket.set_send_buffer_size(DOOR_BUFFER);
        Ok(Self::new(socket, address))
    }

    fn new(socket: Socket, address: SocketAddr) -> Self {
        // An older kernel knows neither: datagrams then come and go one by one.
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        let cuts = setsockopt(&socket, sockopt::UdpGsoSegment, &0).is_ok();
        Self {
            socket: socket.into(),
            is_v4: address.is_ipv4(),
            cuts,
            is_whole: false,
        }
    }

    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Whether what is sent from now on may be fragmented by no router (RFC 8656 §18.9).
    pub(super) fn keep_whole(&mut self, is_whole: bool) {
        if self.is_whole == is_whole {
            return;
        }
        self.is_whole = is_whole;
        let set = match (self.is_v4, is_whole) {
            (true, true) => set_ip_mtu_discover(&self.socket, Ipv4PathMtuDiscovery::DO),
            (true, false) => set_ip_mtu_discover(&self.socket, Ipv4PathMtuDiscovery::DONT),
            (false, true) => set_ipv6_mtu_discover(&self.socket, Ipv6PathMtuDiscovery::DO),
            // Routers never fragment IPv6: the kernel itself does, to what it knows of the path.
            (false, false) => set_ipv6_mtu_discover(&self.socket, Ipv6PathMtuDiscovery::WANT),
        };
        if let Err(error) = set {
            tracing::debug!(%error, "fragmentation could not be chosen");
        }
    }
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
