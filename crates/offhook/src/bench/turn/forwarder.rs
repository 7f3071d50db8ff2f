//! A bare forwarder: what comes in at one UDP socket goes out of another to one target, and that is all.
//!
//! The yardstick of the benchmark: no relay on this machine can be much faster than the kernel alone. It never looks at
//! what it forwards, but for the word by which a target makes itself known.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use anyhow::Context as _;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, recvmsg, send, sendmmsg};

use super::plan::BURST_MAX;
use super::wire;

/// The datagram that makes its sender the target.
pub(super) const HELLO: &[u8] = b"offhook bench: to me";
/// The largest datagram that is forwarded unmerged: what an Ethernet frame carries.
const DATAGRAM_MAX: usize = 1_500;
/// Merged datagrams of one flow.
const MERGED_MAX: usize = 65_536;

/// A forwarder that waits to be run.
pub(super) struct Forwarder {
    inward: UdpSocket,
    outward: UdpSocket,
}

impl Forwarder {
    /// Opens its sockets; port 0 is any port.
    pub(super) fn bind(listen: SocketAddr) -> anyhow::Result<Self> {
        let inward =
            UdpSocket::bind(listen).with_context(|| format!("{listen} cannot be opened"))?;
        let outward = match listen {
            SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
        }
        .context("no second socket can be opened")?;
        wire::enlarge(&inward);
        Ok(Self { inward, outward })
    }

    /// Where it takes packets.
    pub(super) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.inward.local_addr()?)
    }

    /// Forwards until its target is gone: many datagrams in each system call, or many merged into one.
    pub(super) fn run(&self, is_segmented: bool) -> anyhow::Result<()> {
        let mut first = [0; DATAGRAM_MAX];
        loop {
            let (length, from) = self.inward.recv_from(&mut first)?;
            if &first[..length] == HELLO {
                self.aim(from)?;
                break;
            }
        }
        if is_segmented {
            wire::merge(&self.inward)?;
            self.forward_merged()
        } else {
            self.forward_many()
        }
    }

    fn aim(&self, target: SocketAddr) -> anyhow::Result<()> {
        self.outward
            .connect(target)
            .with_context(|| format!("{target} cannot be a target"))
    }

    fn forward_many(&self) -> anyhow::Result<()> {
        let mut buffers = vec![[0; DATAGRAM_MAX]; BURST_MAX];
        let mut incoming = MultiHeaders::<()>::preallocate(BURST_MAX, None);
        let mut outgoing = MultiHeaders::<()>::preallocate(BURST_MAX, None);
        let (inward, outward) = (self.inward.as_raw_fd(), self.outward.as_raw_fd());
        let mut lengths = [0; BURST_MAX];
        loop {
            let mut slices: Vec<_> = buffers
                .iter_mut()
                .map(|buffer| [IoSliceMut::new(buffer)])
                .collect();
            let flags = MsgFlags::MSG_WAITFORONE;
            let received = match recvmmsg(inward, &mut incoming, slices.iter_mut(), flags, None) {
                Ok(received) => received,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error).context("the forwarder cannot receive"),
            };
            let mut count = 0;
            for message in received {
                lengths[count] = message.bytes;
                count += 1;
            }
            let mut slices = [[IoSlice::new(&[])]; BURST_MAX];
            for at in 0..count {
                slices[at] = [IoSlice::new(&buffers[at][..lengths[at]])];
            }
            let (slices, targets) = (&slices[..count], &[const { None }; BURST_MAX][..count]);
            gone(sendmmsg(
                outward,
                &mut outgoing,
                slices,
                targets,
                [],
                MsgFlags::empty(),
            ))?;
        }
    }

    fn forward_merged(&self) -> anyhow::Result<()> {
        let mut buffer = vec![0; MERGED_MAX];
        let mut control = cmsg_space!(i32);
        let (inward, outward) = (self.inward.as_raw_fd(), self.outward.as_raw_fd());
        let mut cut_at = 0;
        loop {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::empty();
            let (length, segment) =
                match recvmsg::<()>(inward, &mut slices, Some(&mut control), flags) {
                    Ok(message) => (message.bytes, wire::segment_of(&message)?),
                    Err(Errno::EINTR) => continue,
                    Err(error) => return Err(error).context("the forwarder cannot receive"),
                };
            // What came unmerged is not longer than what is cut off.
            if let Some(segment) = segment
                && segment != cut_at
            {
                wire::segment(&self.outward, segment)?;
                cut_at = segment;
            }
            gone(send(outward, &buffer[..length], flags))?;
        }
    }
}

/// What cannot be sent is lost, unless there is nobody any more.
fn gone<T>(sent: nix::Result<T>) -> anyhow::Result<()> {
    match sent {
        Err(Errno::ECONNREFUSED) => Err(Errno::ECONNREFUSED).context("the target has gone away"),
        Ok(_) | Err(_) => Ok(()),
    }
}
