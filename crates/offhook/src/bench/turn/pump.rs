//! The loop that offers packets, takes them at the other end, and counts.
//!
//! One thread does both, so that a core is enough and both ends have one clock. It never sleeps: it has a core of its own.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::SockaddrStorage;

use super::allocation::CHANNEL;
use super::plan::{BURST_MAX, CHANNEL_HEADER_LEN, Load, Pace};
use super::stamp::{Stamp, nanoseconds_since};
use super::wire::{Arrived, Receiver, Sender, enlarge, merge, number_of, segment, target};
use crate::bench::latency::Latencies;

/// Packets of which nothing has been seen for so long are lost.
const GIVE_UP: Duration = Duration::from_millis(250);
/// How many flows in a row may have nothing to read before the others are left for later.
const MISSES: usize = 4;
/// Packets after which arrivals are looked for, though more could be sent.
const SENDS_MAX: u64 = 32;

/// Where packets go in.
pub(super) enum Source<'a> {
    /// Each flow by a connected socket of its own, as ChannelData or bare.
    Clients {
        sockets: Vec<&'a UdpSocket>,
        is_channel_data: bool,
    },
    /// All flows by one socket, each to a target of its own.
    Peer {
        socket: &'a UdpSocket,
        targets: Vec<SocketAddr>,
    },
}

/// Where packets come out.
pub(super) enum Sink<'a> {
    /// All flows at one socket, bare.
    Peer(&'a UdpSocket),
    /// Each flow at a socket of its own, as ChannelData.
    Clients(Vec<&'a UdpSocket>),
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Nanoseconds in which there was neither anything to send nor to take.
    pub(super) idle_ns: u64,
}

/// Offers packets and takes them.
pub(super) struct Pump {
    run: u32,
    start: Instant,
    pace: Pace,
    /// Packets of one flow in a row.
    burst: usize,
    is_segmented: bool,
    entry: Entry,
    exit: Exit,
    flows: Vec<Flow>,
    /// The flow whose turn it is to send.
    next: usize,
    under_way: u64,
    arrived_at_ns: u64,
    counts: Counts,
    latencies: Latencies,
}

/// The side that sends, ready for the kernel.
struct Entry {
    sender: Sender,
    sockets: Vec<RawFd>,
    /// As many as flows, or none where sockets are connected.
    targets: Vec<SockaddrStorage>,
    /// The target of each datagram that the next call sends.
    batch: Vec<Option<SockaddrStorage>>,
    /// Datagrams side by side.
    datagrams: Vec<u8>,
    datagram_len: usize,
    /// Where the payload begins in each.
    skip: usize,
}

/// The side that receives.
struct Exit {
    receiver: Receiver,
    /// One, or as many as flows.
    sockets: Vec<RawFd>,
    /// Flows with packets under way, oldest first, where each has a socket.
    expected: VecDeque<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    sent: u64,
    /// The highest number that has come out, or was given up.
    seen: u64,
    sent_at_ns: u64,
    is_expected: bool,
}

impl Pump {
    /// Prepares the sockets of both sides for this load.
    pub(super) fn new(
        run: u32,
        load: &Load,
        source: &Source<'_>,
        sink: &Sink<'_>,
    ) -> anyhow::Result<Self> {
        let entry = Entry::new(load, source)?;
        let exit = Exit::new(load, sink)?;
        Ok(Self {
            run,
            start: Instant::now(),
            pace: load.pace,
            burst: load.burst,
            is_segmented: load.is_segmented,
            entry,
            exit,
            flows: vec![Flow::default(); load.flows()],
            next: 0,
            under_way: 0,
            arrived_at_ns: 0,
            counts: Counts::default(),
            latencies: Latencies::new(),
        })
    }

    /// What was counted since the last [`Self::forget`].
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// Counts from nothing again. Nothing may be under way, or it would be received without being sent.
    pub(super) fn forget(&mut self) {
        debug_assert_eq!(self.under_way, 0, "drain before you forget");
        self.counts = Counts::default();
        self.latencies.clear();
    }

    /// Offers and takes packets for so long.
    pub(super) fn run_for(&mut self, length: Duration) -> anyhow::Result<()> {
        let began = nanoseconds_since(self.start);
        let end = began + length.as_nanos() as u64;
        let (mut now, mut offered) = (began, 0);
        self.arrived_at_ns = began;
        while now < end {
            let room = match self.pace {
                Pace::Window(window) => (window as u64).saturating_sub(self.under_way),
                Pace::Rate(rate) => ((now - began) as f64 * rate / 1e9) as u64 - offered,
            };
            let sent = self.fill(room)?;
            offered += sent;
            let is_busy = self.take(now)? || sent > 0;
            let before = now;
            now = nanoseconds_since(self.start);
            if !is_busy {
                self.counts.idle_ns += now - before;
                self.give_up_the_lost(now);
            }
        }
        Ok(())
    }

    /// Takes what is still under way, until nothing has come for a while.
    pub(super) fn drain(&mut self) -> anyhow::Result<()> {
        self.arrived_at_ns = nanoseconds_since(self.start);
        while self.under_way > 0 {
            let now = nanoseconds_since(self.start);
            if !self.take(now)? {
                self.give_up_the_lost(now);
            }
        }
        Ok(())
    }

    /// Sends as long as there is room, but not without looking for arrivals in between; how many.
    fn fill(&mut self, room: u64) -> anyhow::Result<u64> {
        let mut sent = 0;
        // A row is not torn apart.
        while sent < SENDS_MAX && room - sent >= self.burst as u64 {
            sent += self.send((room - sent) as usize)?;
        }
        Ok(sent)
    }

    /// Sends at most so many packets by one system call; how many.
    fn send(&mut self, room: usize) -> anyhow::Result<u64> {
        let now = nanoseconds_since(self.start);
        let packets = if self.entry.targets.is_empty() || self.is_segmented {
            self.burst
        } else {
            // One socket sends to everyone, so a call carries the rows of many flows.
            room.min(BURST_MAX) / self.burst * self.burst
        };
        let first = self.next;
        self.entry.batch.clear();
        for at in 0..packets {
            if at > 0 && at % self.burst == 0 {
                self.next = (self.next + 1) % self.flows.len();
            }
            let target = self.entry.targets.get(self.next).copied();
            self.entry.batch.push(target);
            self.stamp(at, now);
        }
        self.next = (self.next + 1) % self.flows.len();
        if self.is_segmented {
            self.entry.batch.truncate(1);
        }
        self.entry.send(first, packets)?;
        self.under_way += packets as u64;
        self.counts.sent += packets as u64;
        Ok(packets as u64)
    }

    /// Writes the datagram at this place, as the next packet of the flow whose turn it is.
    fn stamp(&mut self, at: usize, now: u64) {
        let flow = &mut self.flows[self.next];
        flow.sent += 1;
        flow.sent_at_ns = now;
        let stamp = Stamp {
            run: self.run,
            flow: self.next as u32,
            number: flow.sent,
            sent_ns: now,
        };
        if self.exit.sockets.len() > 1 && !flow.is_expected {
            flow.is_expected = true;
            self.exit.expected.push_back(stamp.flow);
        }
        stamp.write(self.entry.payload(at));
    }

    /// Takes what has arrived; whether there was anything.
    fn take(&mut self, now: u64) -> anyhow::Result<bool> {
        if let [socket] = self.exit.sockets[..] {
            return self.take_from(socket);
        }
        let (mut at, mut misses, mut is_busy) = (0, 0, false);
        let mut looks = self.exit.expected.len().min(BURST_MAX);
        while looks > 0 && misses < MISSES && at < self.exit.expected.len() {
            looks -= 1;
            let number = self.exit.expected[at] as usize;
            let is_there = self.take_from(self.exit.sockets[number])?;
            is_busy |= is_there;
            let flow = &mut self.flows[number];
            let left = flow.sent - flow.seen;
            if left > 0 && now.saturating_sub(flow.sent_at_ns) > GIVE_UP.as_nanos() as u64 {
                flow.seen = flow.sent;
                self.under_way -= left;
            }
            if flow.sent == flow.seen {
                flow.is_expected = false;
                self.exit.expected.remove(at);
            } else if is_there {
                // It had its turn; what comes next of it is younger than what others wait for.
                self.exit.expected.remove(at);
                self.exit.expected.push_back(number as u32);
            } else {
                (at, misses) = (at + 1, misses + 1);
            }
        }
        Ok(is_busy)
    }

    fn take_from(&mut self, socket: RawFd) -> anyhow::Result<bool> {
        let now = nanoseconds_since(self.start);
        let Self {
            run,
            flows,
            under_way,
            counts,
            latencies,
            exit,
            ..
        } = self;
        let is_there = exit.receiver.take(socket, |Arrived { stamp, packets }| {
            let Some(flow) = flows.get_mut(stamp.flow as usize) else {
                return;
            };
            let last = stamp.number + packets - 1;
            if stamp.run != *run || last > flow.sent {
                return;
            }
            counts.received += packets;
            latencies.count(now.saturating_sub(stamp.sent_ns), packets);
            if last > flow.seen {
                // Packets of a flow come in their order: what was jumped over is lost.
                *under_way -= last - flow.seen;
                flow.seen = last;
            }
        })?;
        if is_there {
            self.arrived_at_ns = now;
        }
        Ok(is_there)
    }

    /// Nothing arrives any more: nothing is under way.
    fn give_up_the_lost(&mut self, now: u64) {
        let quiet_ns = now.saturating_sub(self.arrived_at_ns);
        if self.under_way == 0 || quiet_ns <= GIVE_UP.as_nanos() as u64 {
            return;
        }
        for flow in &mut self.flows {
            flow.seen = flow.sent;
            flow.is_expected = false;
        }
        self.exit.expected.clear();
        self.under_way = 0;
    }
}

impl Entry {
    fn new(load: &Load, source: &Source<'_>) -> anyhow::Result<Self> {
        let (sockets, targets, is_channel_data) = match source {
            Source::Clients {
                sockets,
                is_channel_data,
            } => (sockets.clone(), Vec::new(), *is_channel_data),
            Source::Peer { socket, targets } => (vec![*socket], targets.clone(), false),
        };
        let skip = if is_channel_data {
            CHANNEL_HEADER_LEN
        } else {
            0
        };
        let datagram_len = skip + load.size;
        if load.is_segmented {
            for socket in &sockets {
                segment(socket, datagram_len)?;
            }
        }
        let mut datagrams = vec![0; datagram_len * BURST_MAX];
        if is_channel_data {
            for datagram in datagrams.chunks_mut(datagram_len) {
                datagram[..2].copy_from_slice(&CHANNEL.to_be_bytes());
                datagram[2..4].copy_from_slice(&(load.size as u16).to_be_bytes());
            }
        }
        Ok(Self {
            sender: Sender::new(),
            sockets: sockets.into_iter().map(number_of).collect(),
            targets: targets.into_iter().map(target).collect(),
            batch: Vec::with_capacity(BURST_MAX),
            datagrams,
            datagram_len,
            skip,
        })
    }

    fn payload(&mut self, at: usize) -> &mut [u8] {
        let begin = at * self.datagram_len;
        &mut self.datagrams[begin + self.skip..begin + self.datagram_len]
    }

    /// Sends the first so many datagrams, by the socket of this flow if each has its own.
    fn send(&mut self, flow: usize, packets: usize) -> anyhow::Result<()> {
        let socket = self.sockets[if self.sockets.len() == 1 { 0 } else { flow }];
        let datagrams = &self.datagrams[..packets * self.datagram_len];
        self.sender
            .send(socket, datagrams, self.datagram_len, &self.batch)
    }
}

impl Exit {
    fn new(load: &Load, sink: &Sink<'_>) -> anyhow::Result<Self> {
        let (sockets, is_channel_data) = match sink {
            Sink::Peer(socket) => (vec![*socket], false),
            Sink::Clients(sockets) => (sockets.clone(), true),
        };
        for socket in &sockets {
            enlarge(socket);
            if load.is_segmented {
                merge(socket)?;
            }
        }
        Ok(Self {
            receiver: Receiver::new(is_channel_data, load.is_segmented),
            sockets: sockets.into_iter().map(number_of).collect(),
            expected: VecDeque::new(),
        })
    }
}
