//! One TURN server with its sockets: an input goes in, and what the server wants done is done before the next one.
//!
//! Packets on their way through are given back, for [`Batch`](super::batch::Batch) to bring together.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mio::Registry;
use turn::{Client, Effect, Forward, Input, Link, Now, RelayId, Server};

use super::authority::WorkerAuthority;
use super::counter::WorkerCounter;
use super::port::Port;
use super::relay::Relays;
use super::send;
use super::sibling::{Bundle, Inbox};
use super::streams::Streams;
use crate::telemetry::Counters;

/// See the module.
pub(super) struct Core<'w> {
    pub(super) server: Server,
    /// Which worker this is.
    pub(super) index: u16,
    pub(super) authority: &'w mut dyn WorkerAuthority,
    pub(super) doors: &'w mut [Port],
    pub(super) relays: Relays,
    pub(super) streams: Streams,
    pub(super) registry: &'w Registry,
    pub(super) counters: Arc<Counters>,
    /// Every worker's, this one's among them.
    pub(super) inboxes: Arc<[Inbox]>,
    /// For each worker, what is to be sent to it.
    pub(super) outbound: Vec<Bundle>,
    pub(super) opened: VecDeque<(RelayId, bool)>,
    pub(super) allocations: Arc<AtomicUsize>,
}

impl Core<'_> {
    /// One input, then every effect.
    pub(super) fn handle<'a>(&mut self, now: Now, input: Input<'a>) -> Option<Forward<'a>> {
        let forward = self.server.handle(now, input, self.authority);
        self.perform_all(now);
        forward
    }

    fn perform_all(&mut self, now: Now) {
        loop {
            while let Some(effect) = self.server.poll_effect() {
                self.perform(effect);
            }
            let Some((relay, is_open)) = self.opened.pop_front() else {
                return;
            };
            let input = Input::Opened { relay, is_open };
            // Nothing is forwarded because of it.
            let _ = self.server.handle(now, input, self.authority);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send { client, message } => self.answer(client, &message),
            Effect::Open { relay, local } => {
                let opened = self.relays.open(relay, local, self.registry);
                if let Err(error) = &opened {
                    tracing::debug!(%error, "a relay socket could not be opened");
                    self.count(WorkerCounter::RelayFault, 1);
                }
                self.opened.push_back((relay, opened.is_ok()));
                self.tell_allocations();
            }
            Effect::Close { relay } => {
                self.relays.close(relay);
                self.tell_allocations();
            }
            Effect::Hang { client } => match client.link {
                Link::Stream(number) => {
                    self.count(WorkerCounter::StreamGarbage, 1);
                    self.streams.close(number);
                }
                Link::Datagram(_) => {}
            },
            Effect::Tell { server, note } => {
                if let Some(inbox) = self.inboxes.get(usize::from(server)) {
                    inbox.tell(self.index, note);
                }
            }
            Effect::Count(counter) => self.counters.add_turn(counter),
        }
    }

    fn answer(&mut self, client: Client, message: &[u8]) {
        match client.link {
            Link::Datagram(door) => {
                let port = self.doors.get(usize::from(door));
                let lost = port.map_or(1, |port| send::send(port, client.address, message));
                self.count(WorkerCounter::Unsent, lost);
            }
            Link::Stream(number) => self.streams.push_answer(number, message),
        }
    }

    /// Keeps a packet for another worker.
    pub(super) fn send_sibling(
        &mut self,
        server: u16,
        from: SocketAddr,
        to: SocketAddr,
        data: &[u8],
    ) {
        let bundle = self.outbound.get_mut(usize::from(server));
        let is_kept = bundle.is_some_and(|bundle| bundle.push(from, to, data));
        if !is_kept {
            self.count(WorkerCounter::SiblingFull, 1);
        }
    }

    /// Gives the other workers what is theirs.
    pub(super) fn post(&mut self) {
        for (bundle, inbox) in self.outbound.iter_mut().zip(self.inboxes.iter()) {
            if !bundle.is_empty() {
                let lost = inbox.put(bundle);
                self.counters.add_worker(WorkerCounter::SiblingFull, lost);
            }
        }
    }

    /// Tells the server about every stream that is gone.
    pub(super) fn bury_streams(&mut self, now: Now) {
        while let Some(client) = self.streams.pop_lost() {
            // Nothing is forwarded because of it.
            let _ = self.handle(now, Input::Gone { client });
        }
    }

    pub(super) fn tell_allocations(&self) {
        self.allocations
            .store(self.server.allocations(), Ordering::Relaxed);
    }

    pub(super) fn count(&self, counter: WorkerCounter, count: u64) {
        if count > 0 {
            self.counters.add_worker(counter, count);
        }
    }
}
