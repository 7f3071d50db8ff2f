//! Datagrams come in: many with one system call (recvmmsg), and segments of one flow together (UDP_GRO).
//!
//! Never looks into a datagram.

use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6, SockaddrLike,
    recvmmsg,
};

use super::limits::{BATCH, JOINED_BATCH, READ_ATTEMPTS, RELAY_BATCH};

/// The largest datagram, and as much as the kernel joins.
const DATAGRAM: usize = 64 * 1024;
/// Slots begin at different lines of the processor's caches: at multiples of 64 KiB they would push each other out.
const SLOT: usize = DATAGRAM + 320;
/// A batch takes no fewer arrivals, however many datagrams they are.
const ROOM_MIN: usize = 8;

/// An address as the system's calls take it, of one family.
pub(crate) trait Address: SockaddrLike + Copy + 'static {
    /// `None` if it is of the other family.
    fn of(address: SocketAddr) -> Option<Self>;
    fn address(self) -> SocketAddr;
}

impl Address for SockaddrIn {
    fn of(address: SocketAddr) -> Option<Self> {
        match address {
            SocketAddr::V4(address) => Some(address.into()),
            SocketAddr::V6(_) => None,
        }
    }

    fn address(self) -> SocketAddr {
        SocketAddr::V4(self.into())
    }
}

impl Address for SockaddrIn6 {
    fn of(address: SocketAddr) -> Option<Self> {
        match address {
            SocketAddr::V6(address) => Some(address.into()),
            SocketAddr::V4(_) => None,
        }
    }

    fn address(self) -> SocketAddr {
        SocketAddr::V6(self.into())
    }
}

/// What was read at once from one socket: one datagram, or several of the same length that came one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<T> {
    /// Which socket, as the caller names it.
    pub(super) socket: T,
    pub(super) from: SocketAddr,
    slot: usize,
    len: usize,
    /// The length of each datagram but the last.
    segment: usize,
}

impl<T> Arrival<T> {
    fn datagrams(&self) -> usize {
        self.len.div_ceil(self.segment.max(1))
    }
}

/// Room for a batch of arrivals.
pub(super) struct Slots<T> {
    bytes: Box<[u8]>,
    arrivals: Vec<Arrival<T>>,
    /// How many arrivals a batch takes: fewer where each of them is many datagrams.
    room: usize,
}

/// How reading a socket went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// There may be more.
    More,
    /// All was read.
    Drained,
}

impl<T: Copy> Slots<T> {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; BATCH * SLOT].into_boxed_slice(),
            arrivals: Vec::with_capacity(BATCH),
            room: BATCH,
        }
    }

    /// Reads as many as there is room for.
    pub(super) fn fill(&mut self, socket: T, fd: RawFd, is_v4: bool) -> Reading {
        self.read::<BATCH>(socket, fd, is_v4)
    }

    /// Reads some, so that there is room for those of others.
    pub(super) fn add(&mut self, socket: T, fd: RawFd, is_v4: bool) -> Reading {
        self.read::<RELAY_BATCH>(socket, fd, is_v4)
    }

    pub(super) fn is_full(&self) -> bool {
        self.arrivals.len() >= self.room
    }

    pub(super) fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    /// Makes room. Says how many datagrams there were.
    pub(super) fn clear(&mut self) -> usize {
        let datagrams = self.arrivals.iter().map(Arrival::datagrams).sum::<usize>();
        if datagrams > 0 {
            let joined = datagrams.div_ceil(self.arrivals.len());
            self.room = (JOINED_BATCH / joined).clamp(ROOM_MIN, BATCH);
        }
        self.arrivals.clear();
        datagrams
    }

    /// Everything that came, datagram by datagram.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (T, SocketAddr, &[u8])> {
        self.arrivals.iter().flat_map(|arrival| {
            let begin = arrival.slot * SLOT;
            let all = &self.bytes[begin..begin + arrival.len];
            // An empty datagram is no segment of anything, and tells nothing.
            all.chunks(arrival.segment.max(1))
                .map(|datagram| (arrival.socket, arrival.from, datagram))
        })
    }

    fn read<const N: usize>(&mut self, socket: T, fd: RawFd, is_v4: bool) -> Reading {
        for _ in 0..READ_ATTEMPTS {
            let read = if is_v4 {
                self.receive::<SockaddrIn, N>(socket, fd)
            } else {
                self.receive::<SockaddrIn6, N>(socket, fd)
            };
            match read {
                Ok(reading) => return reading,
                Err(Errno::EAGAIN) => return Reading::Drained,
                // Interrupted, or the fate of an earlier packet (ICMP).
                Err(_) => {}
            }
        }
        Reading::Drained
    }

    fn receive<S: Address, const N: usize>(
        &mut self,
        socket: T,
        fd: RawFd,
    ) -> Result<Reading, Errno> {
        let first = self.arrivals.len();
        let wanted = N.min(self.room - first);
        // Made anew each time: the kernel writes the length of what it said into the headers, nix does not set it
        // back, and a header that once said nothing of segments never would again.
        let mut headers = MultiHeaders::<S>::preallocate(wanted, Some(cmsg_space!(i32)));
        let mut slots = self.bytes[first * SLOT..].chunks_mut(SLOT);
        let mut parts: [[IoSliceMut<'_>; 1]; N] = std::array::from_fn(|_| {
            let slot = slots.next().unwrap_or_default();
            let end = slot.len().min(DATAGRAM);
            [IoSliceMut::new(&mut slot[..end])]
        });
        let parts = parts[..wanted].iter_mut();
        let received = recvmmsg(fd, &mut headers, parts, MsgFlags::MSG_DONTWAIT, None)?;
        let mut count = 0;
        for message in received {
            if let Some(from) = message.address {
                self.arrivals.push(Arrival {
                    socket,
                    from: from.address(),
                    slot: first + count,
                    len: message.bytes,
                    segment: segment(&message),
                });
            }
            count += 1;
        }
        Ok(if count < wanted {
            Reading::Drained
        } else {
            Reading::More
        })
    }
}

/// The length of each of the datagrams that were joined; all of it if it is one.
fn segment<S>(message: &RecvMsg<'_, '_, S>) -> usize {
    let said = message.cmsgs().ok().and_then(|mut said| {
        said.find_map(|said| {
            let ControlMessageOwned::UdpGroSegments(length) = said else {
                return None;
            };
            usize::try_from(length).ok()
        })
    });
    said.filter(|length| *length > 0).unwrap_or(message.bytes)
}
