//! From worker to worker: what a worker is told by others, and packets between the relayed addresses of two of them.
//!
//! The lock is taken once for many packets, and held for a copy of them. Bounded: what does not fit is lost.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mio::Waker;
use turn::Note;

use super::limits::{SIBLING_BYTES, SIBLING_PACKETS};

/// Packets, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    packets: Vec<Packet>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    /// It begins where the one before ends.
    end: usize,
}

impl Bundle {
    /// Adds a packet; false if there is no room.
    pub(super) fn push(&mut self, from: SocketAddr, to: SocketAddr, data: &[u8]) -> bool {
        if self.packets.len() == SIBLING_PACKETS || self.bytes.len() + data.len() > SIBLING_BYTES {
            return false;
        }
        self.bytes.extend_from_slice(data);
        let end = self.bytes.len();
        self.packets.push(Packet { from, to, end });
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.bytes.clear();
    }

    /// From, to, and what.
    pub(super) fn packets(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr, &[u8])> {
        let mut begin = 0;
        self.packets.iter().map(move |packet| {
            let data = &self.bytes[begin..packet.end];
            begin = packet.end;
            (packet.from, packet.to, data)
        })
    }
}

/// Everything that waits for a worker.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) bundle: Bundle,
    /// Holders whose permissions must be looked at again; each once, so there are no more than holders.
    pub(super) rechecks: BTreeSet<u64>,
    /// What servers have to say, and who says it; no more than ports, because each is about one that was set aside.
    pub(super) notes: Vec<(u16, Note)>,
    pub(super) must_stop: bool,
}

/// Where a worker is told things.
#[derive(Debug)]
pub(super) struct Inbox {
    mail: Mutex<Mail>,
    waker: Waker,
}

impl Inbox {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            mail: Mutex::default(),
            waker,
        }
    }

    pub(super) fn recheck(&self, holder: u64) {
        self.lock().rechecks.insert(holder);
        self.wake();
    }

    pub(super) fn tell(&self, from: u16, note: Note) {
        self.lock().notes.push((from, note));
        self.wake();
    }

    pub(super) fn stop(&self) {
        self.lock().must_stop = true;
        self.wake();
    }

    /// Takes the packets of a bundle over; says how many were lost.
    pub(super) fn put(&self, bundle: &mut Bundle) -> u64 {
        let mut mail = self.lock();
        let was_empty = mail.bundle.is_empty();
        let mut lost = 0;
        if was_empty {
            std::mem::swap(&mut mail.bundle, bundle);
        } else {
            for (from, to, data) in bundle.packets() {
                lost += u64::from(!mail.bundle.push(from, to, data));
            }
        }
        drop(mail);
        bundle.clear();
        if was_empty {
            self.wake();
        }
        lost
    }

    /// Takes everything out; what `mail` held comes in its place and must be empty.
    pub(super) fn take(&self, mail: &mut Mail) {
        std::mem::swap(&mut *self.lock(), mail);
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a TURN worker could not be woken");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
