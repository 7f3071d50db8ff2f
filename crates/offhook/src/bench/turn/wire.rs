//! Sockets on both ends of the packets' path: many packets in one system call, each only as far as its stamp is long.
//!
//! Never waits when it receives. Sizes socket buffers as large as the system lets it.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use anyhow::{Context as _, anyhow};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBuf, UdpGroSegment, UdpGsoSegment};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg, recvmsg, send,
    sendmmsg, sendto, setsockopt,
};

use super::plan::{BURST_MAX, CHANNEL_HEADER_LEN};
use super::stamp::{STAMP_LEN, Stamp};

/// What a receiving socket may hold back, if the system allows so much.
const RECEIVE_BUFFER: usize = 4 << 20;
/// As much of a packet as is read: ChannelData's header and the stamp.
const FRONT_LEN: usize = CHANNEL_HEADER_LEN + STAMP_LEN;

/// Lets a socket hold back much of what it receives.
pub(super) fn enlarge(socket: &UdpSocket) {
    // Less will do: what is lost is counted.
    let _ = setsockopt(socket, RcvBuf, &RECEIVE_BUFFER);
}

/// Makes each sending of this socket leave as datagrams of `length` bytes.
pub(super) fn segment(socket: &UdpSocket, length: usize) -> anyhow::Result<()> {
    let length = i32::try_from(length)?;
    setsockopt(socket, UdpGsoSegment, &length)
        .context("this system cannot send segmented (UDP_SEGMENT): run without --segmented")
}

/// Lets datagrams of one flow come in as one.
pub(super) fn merge(socket: &UdpSocket) -> anyhow::Result<()> {
    setsockopt(socket, UdpGroSegment, &true)
        .context("this system cannot receive merged datagrams (UDP_GRO): run without --segmented")
}

/// Sends prepared datagrams.
pub(super) struct Sender {
    headers: MultiHeaders<SockaddrStorage>,
}

impl Sender {
    pub(super) fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(BURST_MAX, None),
        }
    }

    /// Sends `datagrams`, each `length` bytes, by a connected socket, or each to its own target. What the kernel does not
    /// take is lost, and counted as that at the other end.
    pub(super) fn send(
        &mut self,
        socket: RawFd,
        datagrams: &[u8],
        length: usize,
        targets: &[Option<SockaddrStorage>],
    ) -> anyhow::Result<()> {
        let sent = match targets {
            [None] => send(socket, datagrams, MsgFlags::empty()).map(drop),
            [Some(target)] => sendto(socket, datagrams, target, MsgFlags::empty()).map(drop),
            targets => {
                let mut slices = [[IoSlice::new(&[])]; BURST_MAX];
                for (slice, datagram) in slices.iter_mut().zip(datagrams.chunks(length)) {
                    *slice = [IoSlice::new(datagram)];
                }
                let slices = &slices[..targets.len()];
                sendmmsg(
                    socket,
                    &mut self.headers,
                    slices,
                    targets,
                    [],
                    MsgFlags::empty(),
                )
                .map(drop)
            }
        };
        match sent {
            Ok(()) | Err(Errno::EINTR | Errno::ENOBUFS | Errno::EAGAIN) => Ok(()),
            Err(Errno::ECONNREFUSED) => Err(anyhow!("the server has gone away")),
            Err(error) => Err(error).context("packets cannot be sent"),
        }
    }
}

/// Receives and reads only the front of what comes.
pub(super) struct Receiver {
    headers: MultiHeaders<()>,
    fronts: Box<[[u8; FRONT_LEN]; BURST_MAX]>,
    /// Where a payload begins: behind ChannelData's header, or at once.
    skip: usize,
    is_merged: bool,
}

/// Packets that came together: the first one's stamp, and how many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) stamp: Stamp,
    pub(super) packets: u64,
}

impl Receiver {
    /// For packets that come as ChannelData or bare, each by itself or merged.
    pub(super) fn new(is_channel_data: bool, is_merged: bool) -> Self {
        Self {
            headers: MultiHeaders::preallocate(BURST_MAX, None),
            fronts: Box::new([[0; FRONT_LEN]; BURST_MAX]),
            skip: if is_channel_data {
                CHANNEL_HEADER_LEN
            } else {
                0
            },
            is_merged,
        }
    }

    /// Takes what the socket holds, at most as much as one system call takes; whether there was anything.
    pub(super) fn take(
        &mut self,
        socket: RawFd,
        mut each: impl FnMut(Arrived),
    ) -> anyhow::Result<bool> {
        let received = if self.is_merged {
            self.take_merged(socket, &mut each)
        } else {
            self.take_many(socket, &mut each)
        };
        match received {
            Ok(()) => Ok(true),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(Errno::ECONNREFUSED) => Err(anyhow!("the server has gone away")),
            Err(error) => Err(error).context("packets cannot be received"),
        }
    }

    fn take_many(&mut self, socket: RawFd, each: &mut impl FnMut(Arrived)) -> nix::Result<()> {
        let mut slices = self.fronts.each_mut().map(|front| [IoSliceMut::new(front)]);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let received = recvmmsg(socket, &mut self.headers, slices.iter_mut(), flags, None)?;
        for message in received {
            let front = message.iovs().next().unwrap_or_default();
            if let Some(stamp) = stamp_of(front, self.skip) {
                each(Arrived { stamp, packets: 1 });
            }
        }
        Ok(())
    }

    /// One buffer that may be many datagrams, as long as each other but for the last.
    fn take_merged(&mut self, socket: RawFd, each: &mut impl FnMut(Arrived)) -> nix::Result<()> {
        let [front, ..] = &mut *self.fronts;
        let mut control = cmsg_space!(i32);
        let mut slices = [IoSliceMut::new(front)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let message = recvmsg::<()>(socket, &mut slices, Some(&mut control), flags)?;
        let length = message.bytes;
        let segment = segment_of(&message)?;
        let packets = match segment {
            Some(segment) if segment > 0 => length.div_ceil(segment) as u64,
            Some(_) | None => 1,
        };
        if let Some(stamp) = stamp_of(&front[..length.min(FRONT_LEN)], self.skip) {
            each(Arrived { stamp, packets });
        }
        Ok(())
    }
}

fn stamp_of(front: &[u8], skip: usize) -> Option<Stamp> {
    Stamp::read(front.get(skip..)?)
}

/// How long each of the datagrams is that came as this one, if it was merged.
pub(super) fn segment_of(message: &RecvMsg<'_, '_, ()>) -> nix::Result<Option<usize>> {
    for said in message.cmsgs()? {
        if let ControlMessageOwned::UdpGroSegments(segment) = said {
            return Ok(usize::try_from(segment).ok());
        }
    }
    Ok(None)
}

/// The number by which the kernel knows a socket.
pub(super) fn number_of(socket: &UdpSocket) -> RawFd {
    socket.as_raw_fd()
}

/// An address as the kernel wants it.
pub(super) fn target(address: SocketAddr) -> SockaddrStorage {
    SockaddrStorage::from(address)
}
