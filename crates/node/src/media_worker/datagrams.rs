//! Datagrams come in and go out: many with one system call (recvmmsg, sendmmsg).
//!
//! Never waits, and never looks into a datagram: what the system does not take is lost, and counted.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use mio::net::UdpSocket;
use nix::errno::Errno;
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmmsg, sendmmsg,
};

use crate::turn_worker::Address;

/// A datagram: more than any that is sent without being fragmented.
const DATAGRAM: usize = 2_048;
/// Datagrams of one system call.
pub(super) const BATCH: usize = 32;
/// Of a port of one leg hardly more than one waits; room for a second says that all was read.
pub(super) const FEW: usize = 4;
/// Attempts to read a socket that tells errors instead: each is the fate of an earlier datagram, and told once.
const READ_ATTEMPTS: usize = 8;

/// Room for what is read at once from one socket.
pub(super) struct Incoming {
    v4: MultiHeaders<SockaddrIn>,
    v6: MultiHeaders<SockaddrIn6>,
    bytes: Box<[[u8; DATAGRAM]]>,
    /// How long each is, and whence.
    came: Vec<(usize, SocketAddr)>,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self {
            v4: MultiHeaders::preallocate(BATCH, None),
            v6: MultiHeaders::preallocate(BATCH, None),
            bytes: vec![[0; DATAGRAM]; BATCH].into_boxed_slice(),
            came: Vec::with_capacity(BATCH),
        }
    }

    /// Reads at most `N`, which is no more than [`BATCH`]; whether there may be more.
    pub(super) fn read<const N: usize>(&mut self, socket: &UdpSocket, is_v4: bool) -> bool {
        let fd = socket.as_raw_fd();
        let Self {
            v4,
            v6,
            bytes,
            came,
        } = self;
        for _ in 0..READ_ATTEMPTS {
            let read = if is_v4 {
                receive::<SockaddrIn, N>(fd, v4, bytes, came)
            } else {
                receive::<SockaddrIn6, N>(fd, v6, bytes, came)
            };
            match read {
                Ok(()) => return self.came.len() == N,
                Err(Errno::EAGAIN) => return false,
                // Interrupted, or the fate of an earlier datagram (ICMP).
                Err(_) => {}
            }
        }
        false
    }

    /// What was read last.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let read = self.came.iter().zip(&self.bytes);
        read.map(|((length, from), bytes)| (*from, &bytes[..*length]))
    }
}

fn receive<S: Address, const N: usize>(
    fd: RawFd,
    headers: &mut MultiHeaders<S>,
    bytes: &mut [[u8; DATAGRAM]],
    came: &mut Vec<(usize, SocketAddr)>,
) -> Result<(), Errno> {
    came.clear();
    let mut rooms = bytes.iter_mut();
    let mut parts: [[IoSliceMut<'_>; 1]; N] = std::array::from_fn(|_| {
        let room = rooms.next().map(<[u8; DATAGRAM]>::as_mut_slice);
        [IoSliceMut::new(room.unwrap_or_default())]
    });
    let received = recvmmsg(fd, headers, parts.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
    for message in received {
        let from = message.address.map(Address::address);
        // A datagram has always a sender.
        let from = from.unwrap_or(SocketAddr::from(([0; 4], 0)));
        came.push((message.bytes, from));
    }
    Ok(())
}

/// What waits to leave from one socket.
pub(super) struct Outgoing {
    headers: MultiHeaders<SockaddrStorage>,
    targets: Vec<Option<SockaddrStorage>>,
    datagrams: Vec<Vec<u8>>,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(BATCH, None),
            targets: Vec::with_capacity(BATCH),
            datagrams: Vec::with_capacity(BATCH),
        }
    }

    /// Takes one; whether there is no room for another.
    pub(super) fn put(&mut self, to: SocketAddr, bytes: Vec<u8>) -> bool {
        self.targets.push(Some(to.into()));
        self.datagrams.push(bytes);
        self.datagrams.len() == BATCH
    }

    pub(super) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Sends all of it, in order; how many were lost.
    pub(super) fn send(&mut self, socket: &UdpSocket) -> u64 {
        let (mut lost, mut done) = (0, 0);
        while done < self.datagrams.len() {
            let left = &self.datagrams[done..];
            let parts: Vec<[IoSlice<'_>; 1]> =
                left.iter().map(|bytes| [IoSlice::new(bytes)]).collect();
            let sent = sendmmsg(
                socket.as_raw_fd(),
                &mut self.headers,
                &parts,
                &self.targets[done..],
                [],
                MsgFlags::MSG_DONTWAIT,
            );
            match sent {
                Ok(sent) => done += sent.count().max(1),
                Err(Errno::EINTR) => {}
                // The first of them: the others are tried.
                Err(_) => {
                    lost += 1;
                    done += 1;
                }
            }
        }
        self.targets.clear();
        self.datagrams.clear();
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(address: &str) -> UdpSocket {
        UdpSocket::bind(address.parse().unwrap()).unwrap()
    }

    #[test]
    fn many_leave_and_come_in_their_order_by_both_families() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (one, other) = (socket(address), socket(address));
            let to = other.local_addr().unwrap();
            let mut outgoing = Outgoing::new();
            for number in 0..BATCH {
                let is_full = outgoing.put(to, vec![number as u8; number + 1]);
                assert_eq!(is_full, number + 1 == BATCH);
            }
            assert_eq!(outgoing.send(&one), 0);
            assert!(outgoing.is_empty());
            let mut incoming = Incoming::new();
            let mut lengths = Vec::new();
            while incoming.read::<FEW>(&other, to.is_ipv4()) {
                for (from, bytes) in incoming.datagrams() {
                    assert_eq!(from, one.local_addr().unwrap());
                    lengths.push(bytes.len());
                }
            }
            assert!(lengths.into_iter().eq(1..=BATCH));
        }
    }

    #[test]
    fn one_that_cannot_leave_is_lost_and_the_others_are_not() {
        let (one, other) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let to = other.local_addr().unwrap();
        let mut outgoing = Outgoing::new();
        outgoing.put(to, vec![1]);
        outgoing.put("[::1]:9".parse().unwrap(), vec![2]);
        outgoing.put(to, vec![3]);
        assert_eq!(outgoing.send(&one), 1);
        let mut incoming = Incoming::new();
        assert!(!incoming.read::<BATCH>(&other, true));
        let came: Vec<u8> = incoming.datagrams().map(|(_, bytes)| bytes[0]).collect();
        assert_eq!(came, [1, 3]);
    }
}
