//! Datagrams go out: many with one system call (sendmmsg), and those of one flow as one (UDP_SEGMENT).
//!
//! Copies nothing: the kernel collects each datagram from where it lies. Never waits: what the system does not take
//! is lost, and counted.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, sendmmsg, sendmsg, sendto,
};

use super::limits::{BATCH, SEGMENTED_BYTES, SEGMENTS};
use super::port::Port;
use super::receive::Address;

/// A call for no more messages than this is prepared faster.
const FEW: usize = 8;

/// One datagram on its way out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parcel<'a> {
    pub(super) to: SocketAddr,
    pub(super) head: &'a [u8],
    pub(super) data: &'a [u8],
    /// Zero bytes at the end, at most three.
    pub(super) padding: u8,
}

/// What is reused from send to send.
pub(super) struct Sender {
    v4: Headers<SockaddrIn>,
    v6: Headers<SockaddrIn6>,
    slices: Vec<IoSlice<'static>>,
    messages: Vec<Message>,
}

/// nix writes every field of a header that it uses, each time; so these can be kept.
struct Headers<S> {
    plain: MultiHeaders<S>,
    /// With room to say how long segments are.
    cut: MultiHeaders<S>,
}

/// What the kernel gets as one: a datagram, or several to one address that are all as long as the first, the last
/// one perhaps shorter.
#[derive(Clone, Copy, Debug)]
struct Message {
    to: SocketAddr,
    first_slice: usize,
    slices: usize,
    packets: usize,
    bytes: usize,
    /// How long the first datagram is.
    segment: usize,
    is_complete: bool,
}

impl Sender {
    pub(super) fn new() -> Self {
        Self {
            v4: Headers::new(),
            v6: Headers::new(),
            slices: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// Sends all of them, in order as far as they go to one address. Says how many were lost.
    pub(super) fn send<'a>(
        &mut self,
        port: &mut Port,
        parcels: impl Iterator<Item = Parcel<'a>>,
    ) -> u64 {
        let mut slices: Vec<IoSlice<'a>> = std::mem::take(&mut self.slices);
        self.messages.clear();
        for parcel in parcels {
            pack(&mut self.messages, &mut slices, &parcel, port.cuts);
        }
        let load = Load {
            messages: &self.messages,
            slices: &slices,
        };
        let lost = if port.is_v4 {
            self.v4.send(port, load)
        } else {
            self.v6.send(port, load)
        };
        self.slices = emptied(slices);
        lost
    }
}

/// The allocation of a vector whose borrows have ended, for the next ones.
fn emptied(mut slices: Vec<IoSlice<'_>>) -> Vec<IoSlice<'static>> {
    slices.clear();
    slices.into_iter().map(|_| IoSlice::new(&[])).collect()
}

fn pack<'a>(
    messages: &mut Vec<Message>,
    slices: &mut Vec<IoSlice<'a>>,
    parcel: &Parcel<'a>,
    cuts: bool,
) {
    const ZEROS: [u8; 3] = [0; 3];
    let first_slice = slices.len();
    let padding = &ZEROS[..usize::from(parcel.padding).min(ZEROS.len())];
    for part in [parcel.head, parcel.data, padding] {
        if !part.is_empty() {
            slices.push(IoSlice::new(part));
        }
    }
    let bytes = parcel.head.len() + parcel.data.len() + padding.len();
    let added = slices.len() - first_slice;
    if let Some(last) = messages.last_mut()
        && cuts
        && last.takes(parcel.to, bytes)
    {
        last.slices += added;
        last.packets += 1;
        last.bytes += bytes;
        last.is_complete = bytes < last.segment || last.packets == SEGMENTS;
        return;
    }
    messages.push(Message {
        to: parcel.to,
        first_slice,
        slices: added,
        packets: 1,
        bytes,
        segment: bytes,
        is_complete: bytes == 0,
    });
}

impl Message {
    fn takes(&self, to: SocketAddr, bytes: usize) -> bool {
        !self.is_complete
            && bytes > 0
            && bytes <= self.segment
            && self.bytes + bytes <= SEGMENTED_BYTES
            && self.to == to
    }
}

/// Messages, and what their datagrams are made of.
#[derive(Clone, Copy)]
struct Load<'a> {
    messages: &'a [Message],
    slices: &'a [IoSlice<'a>],
}

impl<'a> Load<'a> {
    fn of(self, message: &Message) -> &'a [IoSlice<'a>] {
        &self.slices[message.first_slice..][..message.slices]
    }
}

struct Span<'a>(&'a [IoSlice<'a>]);

impl<'a> AsRef<[IoSlice<'a>]> for Span<'a> {
    fn as_ref(&self) -> &[IoSlice<'a>] {
        self.0
    }
}

impl<S: Address> Headers<S> {
    fn new() -> Self {
        Self {
            plain: MultiHeaders::preallocate(BATCH, None),
            cut: MultiHeaders::preallocate(BATCH, Some(cmsg_space!(u16))),
        }
    }

    fn send(&mut self, port: &mut Port, load: Load<'_>) -> u64 {
        let mut lost = 0;
        let mut rest = load.messages;
        while !rest.is_empty() {
            let (count, segment) = together(rest);
            let (now, later) = rest.split_at(count);
            rest = later;
            let load = Load {
                messages: now,
                ..load
            };
            lost += match now {
                [only] if only.packets == 1 => send_one::<S>(port.fd(), only.to, load.of(only)),
                _ => self.send_together(port, load, segment),
            };
        }
        lost
    }

    /// Sends messages whose segments, if any, are of one length.
    fn send_together(&mut self, port: &mut Port, load: Load<'_>, segment: u16) -> u64 {
        let fd = port.fd();
        let mut lost = 0;
        let mut rest = load.messages;
        while let Some(first) = rest.first() {
            let load = Load {
                messages: rest,
                ..load
            };
            let sent = if rest.len() <= FEW {
                self.call::<FEW>(fd, load, segment)
            } else {
                self.call::<BATCH>(fd, load, segment)
            };
            match sent {
                Err(Errno::EINTR) => {}
                Ok(0) | Err(Errno::EAGAIN | Errno::ENOBUFS) => return lost + packets(rest),
                Ok(sent) => rest = &rest[sent..],
                Err(fault) => {
                    rest = &rest[1..];
                    if first.packets == 1 {
                        lost += 1;
                        continue;
                    }
                    // EIO: the way out cannot cut, whatever is sent. Else these segments are too long for their path.
                    port.cuts &= fault != Errno::EIO;
                    lost += send_singly::<S>(fd, first, load.of(first));
                }
            }
        }
        lost
    }

    fn call<const N: usize>(
        &mut self,
        fd: RawFd,
        load: Load<'_>,
        segment: u16,
    ) -> Result<usize, Errno> {
        let spans: [Span<'_>; N] = std::array::from_fn(|at| {
            let message = load.messages.get(at);
            Span(message.map_or(&[], |message| load.of(message)))
        });
        let to: [Option<S>; N] = std::array::from_fn(|at| {
            let message = load.messages.get(at);
            message.and_then(|message| S::of(message.to))
        });
        let spans = spans[..load.messages.len()].iter();
        let flags = MsgFlags::MSG_DONTWAIT;
        let says = [ControlMessage::UdpGsoSegments(&segment)];
        let (headers, says) = if segment == 0 {
            (&mut self.plain, &says[..0])
        } else {
            (&mut self.cut, &says[..])
        };
        sendmmsg(fd, headers, spans, to, says, flags).map(Iterator::count)
    }
}

/// How many of the messages can go with one call, and how long the segments are of those that have several.
fn together(messages: &[Message]) -> (usize, u16) {
    let (mut segment, mut longest) = (0, 0);
    for (at, message) in messages.iter().take(BATCH).enumerate() {
        let fits = if message.packets == 1 {
            longest = longest.max(message.bytes);
            segment == 0 || message.bytes <= segment
        } else {
            longest <= message.segment && (segment == 0 || segment == message.segment)
        };
        if !fits {
            return (at, narrow(segment));
        }
        if message.packets > 1 {
            segment = message.segment;
        }
    }
    (messages.len().min(BATCH), narrow(segment))
}

/// Segments are shorter than [`SEGMENTED_BYTES`].
fn narrow(segment: usize) -> u16 {
    u16::try_from(segment).unwrap_or(u16::MAX)
}

fn packets(messages: &[Message]) -> u64 {
    messages.iter().map(|message| message.packets as u64).sum()
}

/// Sends the datagrams of a message one by one.
fn send_singly<S: Address>(fd: RawFd, message: &Message, mut slices: &[IoSlice<'_>]) -> u64 {
    let mut lost = 0;
    while !slices.is_empty() {
        let (mut count, mut bytes) = (0, 0);
        while count < slices.len() && bytes < message.segment {
            bytes += slices[count].len();
            count += 1;
        }
        let (now, later) = slices.split_at(count);
        slices = later;
        lost += send_one::<S>(fd, message.to, now);
    }
    lost
}

fn send_one<S: Address>(fd: RawFd, to: SocketAddr, parts: &[IoSlice<'_>]) -> u64 {
    let Some(to) = S::of(to) else {
        return 1;
    };
    let flags = MsgFlags::MSG_DONTWAIT;
    loop {
        let sent = match parts {
            // What is in one piece needs no header that the kernel would have to fetch.
            [whole] => sendto(fd, whole, &to, flags),
            _ => sendmsg(fd, parts, &[], flags, Some(&to)),
        };
        match sent {
            Ok(_) => return 0,
            Err(Errno::EINTR) => {}
            Err(_) => return 1,
        }
    }
}

/// Sends one datagram at once; says how many were lost.
pub(super) fn send(port: &Port, to: SocketAddr, message: &[u8]) -> u64 {
    let parts = [IoSlice::new(message)];
    if port.is_v4 {
        send_one::<SockaddrIn>(port.fd(), to, &parts)
    } else {
        send_one::<SockaddrIn6>(port.fd(), to, &parts)
    }
}
