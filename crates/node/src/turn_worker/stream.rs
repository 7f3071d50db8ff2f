//! One TCP or TLS connection of a client: bytes in, bytes out.
//!
//! Never waits. What its reader leaves lying is bounded: packets are dropped first, and answers close it at last.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use mio::net::TcpStream;
use turn::Client;

use super::limits::{READ, StreamBounds};
use super::tls::{Opened, Tls};

/// A queue that was empty for a moment gives back what it took beyond this.
const QUEUE_KEPT: usize = 16 * 1024;

/// See the module.
pub(super) struct Stream {
    pub(super) client: Client,
    socket: TcpStream,
    tls: Option<Box<Tls>>,
    /// The beginning of a message.
    part: Box<[u8]>,
    /// What the socket is to take, from `taken` on.
    queue: Vec<u8>,
    taken: usize,
    /// Since when it has had no allocation, as far as was looked.
    idle_since: Duration,
    /// Since when its reader has taken nothing.
    stalled_since: Option<Duration>,
    /// Waits to be read.
    pub(super) is_ready: bool,
    /// Has something to write since it was last written.
    pub(super) is_dirty: bool,
    /// Nothing will come after what lies in the socket.
    pub(super) is_ending: bool,
}

/// How reading went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// There may be more at once.
    More,
    /// All was read.
    Drained,
    /// It has ended.
    Ended,
    /// It does not speak TLS.
    Garbage,
}

/// Whether it may live on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Until this instant at least.
    Keep(Duration),
    Close,
}

impl Stream {
    pub(super) fn new(
        client: Client,
        socket: TcpStream,
        tls: Option<Box<Tls>>,
        now: Duration,
    ) -> Self {
        Self {
            client,
            socket,
            tls,
            part: Box::default(),
            queue: Vec::new(),
            taken: 0,
            idle_since: now,
            stalled_since: None,
            is_ready: false,
            is_dirty: false,
            is_ending: false,
        }
    }

    /// Reads once. `bytes`, with room for the longest message and three reads, begins with what was left of an
    /// incomplete message; says how long that is with what came.
    pub(super) fn read(&mut self, bytes: &mut [u8], sealed: &mut [u8]) -> (usize, Flow) {
        let part = std::mem::take(&mut self.part);
        let (left, fresh) = bytes.split_at_mut(part.len());
        left.copy_from_slice(&part);
        let (read, flow) = match &self.tls {
            None => self.receive(&mut fresh[..READ]),
            Some(_) => self.receive(&mut sealed[..READ]),
        };
        let Some(tls) = &mut self.tls else {
            return (part.len() + read, flow);
        };
        let (opened, flow) = match tls.open(&sealed[..read], fresh) {
            Opened::Bytes(opened) => (opened, flow),
            Opened::Last(opened) => (opened, Flow::Ended),
            Opened::Fault => (0, Flow::Garbage),
        };
        // The handshake's next message, or the reason why there is none.
        tls.seal(&mut self.queue);
        (part.len() + opened, flow)
    }

    fn receive(&mut self, room: &mut [u8]) -> (usize, Flow) {
        match self.socket.read(room) {
            Ok(0) => (0, Flow::Ended),
            // A short read is the last one; but the end of a stream is told together with its last bytes.
            Ok(read) if read < room.len() && !self.is_ending => (read, Flow::Drained),
            Ok(read) => (read, Flow::More),
            Err(error) if error.kind() == ErrorKind::WouldBlock => (0, Flow::Drained),
            Err(error) if error.kind() == ErrorKind::Interrupted => (0, Flow::More),
            Err(_) => (0, Flow::Ended),
        }
    }

    /// Keeps the beginning of a message for the next read.
    pub(super) fn keep(&mut self, part: &[u8]) {
        self.part = part.into();
    }

    fn waiting(&self) -> usize {
        self.queue.len() - self.taken + self.tls.as_ref().map_or(0, |tls| tls.waiting())
    }

    /// Takes a packet for the client, whole or not at all; false if too much waits.
    pub(super) fn push_packet(&mut self, parts: [&[u8]; 3], bounds: &StreamBounds) -> bool {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let fits = self.waiting() + bytes <= bounds.queue;
        if fits {
            for part in parts {
                self.push(part);
            }
        }
        fits
    }

    /// Takes an answer for the client; false if it reads none of them.
    pub(super) fn push_answer(&mut self, answer: &[u8], bounds: &StreamBounds) -> bool {
        let fits = self.waiting() + answer.len() <= bounds.queue + bounds.answers;
        if fits {
            self.push(answer);
        }
        fits
    }

    fn push(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            None => self.queue.extend_from_slice(bytes),
            Some(tls) => tls.push(bytes),
        }
    }

    /// Gives the socket what it takes; false if it has ended.
    pub(super) fn write(&mut self, now: Duration) -> bool {
        if let Some(tls) = &mut self.tls {
            tls.seal(&mut self.queue);
        }
        let before = self.taken;
        while self.taken < self.queue.len() {
            match self.socket.write(&self.queue[self.taken..]) {
                Ok(0) => return false,
                Ok(written) => self.taken += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        if self.taken == self.queue.len() {
            self.taken = 0;
            self.queue.clear();
            self.queue.shrink_to(QUEUE_KEPT);
            self.stalled_since = None;
            return true;
        }
        if self.taken > before {
            self.stalled_since = Some(now);
        } else {
            self.stalled_since.get_or_insert(now);
        }
        if self.taken > self.queue.len() / 2 {
            self.queue.drain(..self.taken);
            self.taken = 0;
        }
        true
    }

    /// Looks whether its time is up.
    pub(super) fn judge(
        &mut self,
        now: Duration,
        has_allocation: bool,
        bounds: &StreamBounds,
    ) -> Verdict {
        if self
            .stalled_since
            .is_some_and(|since| now >= since + bounds.stalled)
        {
            return Verdict::Close;
        }
        if has_allocation {
            self.idle_since = now;
        }
        let is_handshaking = self.tls.as_ref().is_some_and(|tls| tls.is_handshaking());
        let patience = if is_handshaking {
            bounds.handshake
        } else {
            bounds.idle
        };
        let until = self.idle_since + patience;
        if now >= until {
            return Verdict::Close;
        }
        let stalled_until = self.stalled_since.map(|since| since + bounds.stalled);
        Verdict::Keep(stalled_until.map_or(until, |stalled| stalled.min(until)))
    }

    /// The last words of a connection that is closed by us, as far as the socket takes them.
    pub(super) fn end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.say_goodbye();
            tls.seal(&mut self.queue);
        }
        let _ = self.socket.write(&self.queue[self.taken..]);
    }
}
