//! The loop that offers packets at both ends of all calls, takes them at the other, and counts.
//!
//! One thread does both. It never sleeps: it has a core of its own.

use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use super::browser::is_rtp;
use super::calls::Calls;
use super::plan::{Load, Pace, Sound};
use super::sound::is_whole;
use super::telephone::BATCH;

/// When nothing has come for so long, what is under way is lost.
const GIVE_UP: Duration = Duration::from_millis(250);
/// Sockets that are told of at once.
const EVENTS: usize = 256;
/// The browser whose packets are decrypted and looked at.
const LOOKED_AT: usize = 0;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) sent: u64,
    /// From browsers, at the telephones.
    pub(super) to_telephones: u64,
    /// From telephones, at the browsers.
    pub(super) to_browsers: u64,
    /// Packets that came out with another payload, of those that were looked at.
    pub(super) altered: u64,
    pub(super) looked_at: u64,
    /// Nanoseconds in which there was neither anything to send nor to take.
    pub(super) idle_ns: u64,
}

impl Counts {
    pub(super) fn received(&self) -> u64 {
        self.to_telephones + self.to_browsers
    }
}

/// See the module.
pub(super) struct Pump {
    poll: Poll,
    events: Events,
    sockets: Vec<RawFd>,
    pace: Pace,
    sound: Sound,
    /// The call whose turn it is.
    next: usize,
    /// The browser whose time is kept next.
    kept: usize,
    under_way: u64,
    came_at: Instant,
    counts: Counts,
}

impl Pump {
    pub(super) fn new(load: &Load, calls: &Calls) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let browsers = calls.browsers.iter();
        let sockets: Vec<RawFd> = browsers.map(|browser| browser.socket.as_raw_fd()).collect();
        for (call, socket) in sockets.iter().enumerate() {
            let mut source = SourceFd(socket);
            poll.registry()
                .register(&mut source, Token(call), Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            sockets,
            pace: load.pace,
            sound: load.sound,
            next: 0,
            kept: 0,
            under_way: 0,
            came_at: Instant::now(),
            counts: Counts::default(),
        })
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Counts from nothing again.
    pub(super) fn forget(&mut self) {
        self.counts = Counts::default();
        self.under_way = 0;
    }

    /// Offers and takes packets for so long, or until none is ready any more; how long that was.
    pub(super) fn run_for(
        &mut self,
        calls: &mut Calls,
        length: Duration,
    ) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut offered = 0;
        self.came_at = began;
        loop {
            let now = Instant::now();
            let passed = now - began;
            if passed >= length {
                return Ok(passed);
            }
            let room = match self.pace {
                Pace::Window(window) => window.saturating_sub(self.under_way),
                Pace::Rate(rate) => ((passed.as_secs_f64() * rate) as u64).saturating_sub(offered),
            };
            let Some(sent) = self.send(calls, room)? else {
                return Ok(passed);
            };
            offered += sent;
            let is_busy = self.take(calls, now)? || sent > 0;
            self.keep_time(calls, now)?;
            if !is_busy {
                self.counts.idle_ns += now.elapsed().as_nanos() as u64;
                if now - self.came_at > GIVE_UP {
                    self.under_way = 0;
                }
            }
        }
    }

    /// Takes what is still under way, until nothing has come for a while; who transcodes goes on saying silence.
    pub(super) fn drain(&mut self, calls: &mut Calls) -> anyhow::Result<()> {
        let began = Instant::now();
        self.came_at = began;
        while self.came_at.elapsed() < GIVE_UP && began.elapsed() < 2 * GIVE_UP {
            let now = Instant::now();
            self.take(calls, now)?;
            self.keep_time(calls, now)?;
        }
        Ok(())
    }

    /// Sends for the next calls, a packet each way; how many packets, or nothing if none is ready.
    fn send(&mut self, calls: &mut Calls, room: u64) -> anyhow::Result<Option<u64>> {
        let count = (room as usize / 2).min(BATCH);
        if count == 0 {
            return Ok(Some(0));
        }
        let mut turn = [0; BATCH];
        for call in &mut turn[..count] {
            *call = self.next;
            self.next = (self.next + 1) % self.sockets.len();
        }
        let turn = &turn[..count];
        calls.telephones.send(turn)?;
        for call in turn {
            let Some(datagram) = calls.browsers[*call].next_ready() else {
                return Ok(None);
            };
            match send(self.sockets[*call], datagram, MsgFlags::empty()) {
                Ok(_)
                | Err(Errno::EINTR | Errno::ENOBUFS | Errno::EAGAIN | Errno::ECONNREFUSED) => {}
                Err(error) => return Err(error).context("packets cannot be sent"),
            }
        }
        let sent = 2 * count as u64;
        self.under_way += sent;
        self.counts.sent += sent;
        Ok(Some(sent))
    }

    /// Takes what has arrived; whether there was anything.
    fn take(&mut self, calls: &mut Calls, now: Instant) -> anyhow::Result<bool> {
        let before = self.counts.received();
        let of_all = self.sockets.len();
        let (sound, counts) = (self.sound, &mut self.counts);
        calls.telephones.take(|payload| {
            counts.to_telephones += 1;
            if sound == Sound::Pcmu {
                counts.looked_at += 1;
                counts.altered += u64::from(!is_whole(payload, of_all));
            }
        })?;
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            self.take_of(calls, event.token().0, now)?;
        }
        self.events = events;
        let came = self.counts.received() - before;
        self.under_way = self.under_way.saturating_sub(came);
        if came > 0 {
            self.came_at = now;
        }
        Ok(came > 0)
    }

    /// Takes what a browser has got.
    fn take_of(&mut self, calls: &mut Calls, call: usize, now: Instant) -> anyhow::Result<()> {
        let mut bytes = [0; 2_048];
        let browser = &mut calls.browsers[call];
        loop {
            let length = match recv(self.sockets[call], &mut bytes, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => length,
                Err(Errno::EAGAIN) => return Ok(()),
                // Interrupted, or the fate of an earlier packet (ICMP).
                Err(_) => continue,
            };
            let is_sound = is_rtp(&bytes[..length]);
            self.counts.to_browsers += u64::from(is_sound);
            if !is_sound || call == LOOKED_AT {
                browser.take_of_gateway(now, &bytes[..length])?;
            }
            for payload in browser.heard.drain(..) {
                if self.sound == Sound::Pcmu {
                    self.counts.looked_at += 1;
                    let is_as_it_was = is_whole(&payload, self.sockets.len());
                    self.counts.altered += u64::from(!is_as_it_was);
                }
            }
        }
    }

    /// One browser after the other.
    fn keep_time(&mut self, calls: &mut Calls, now: Instant) -> anyhow::Result<()> {
        self.kept = (self.kept + 1) % self.sockets.len();
        calls.browsers[self.kept].keep_time(now)
    }
}
