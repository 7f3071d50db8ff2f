//! What is another where messages come by connections and not as datagrams (RFC 3261 §18, §17.1.4): which connection one goes by,
//! and what becomes of what was sent by one that is lost.
//!
//! Nothing is sent again for fear that it was lost, except the 2xx to an INVITE and its ACK, which may have hops by UDP behind the peer
//! (§13.3.1.4). Never opens a connection.

use std::net::SocketAddr;

use model::{Now, limits};
use sip::transaction::Transport;

use super::line::{Line, LineEffect};

impl Line {
    /// Whether what is sent may be lost on the way.
    pub(super) fn reliability(&self) -> Transport {
        match self.trunk().transport.is_stream() {
            true => Transport::Reliable,
            false => Transport::Unreliable,
        }
    }

    /// How long a message may be that is to be sent.
    pub(super) fn room(&self) -> usize {
        match self.trunk().transport.is_stream() {
            true => limits::TRUNK_STREAM_MESSAGE_BYTES,
            false => limits::TRUNK_DATAGRAM_BYTES,
        }
    }

    /// To a peer; `by`: the connection of its call, where it has made one.
    pub(super) fn send(&mut self, by: Option<SocketAddr>, to: SocketAddr, bytes: Vec<u8>) {
        self.effect(match self.trunk().transport.is_stream() {
            true => LineEffect::Stream { by, to, bytes },
            false => LineEffect::Datagram { to, bytes },
        });
    }

    /// Where a request came from, or where answers from there go instead (§18.2.2).
    pub(super) fn reply(&mut self, from: SocketAddr, bytes: Vec<u8>) {
        match self.trunk().transport.is_stream() {
            true => self.send(Some(from), self.standing(from), bytes),
            false => self.send(None, from, bytes),
        }
    }

    /// Where whoever connects from there listens: a peer on that machine, or what is usual.
    pub(super) fn standing(&self, source: SocketAddr) -> SocketAddr {
        let trunk = self.trunk();
        if !trunk.transport.is_stream() || trunk.peers.contains(&source) {
            return source;
        }
        let ip = source.ip().to_canonical();
        let mut peers = trunk.peers.iter();
        let peer = peers.find(|peer| peer.ip().to_canonical() == ip);
        let usual = || SocketAddr::new(ip, trunk.transport.port());
        peer.copied().unwrap_or_else(usual)
    }

    /// What was under way by a connection of ours. Where it was open, the same goes by a new one: the peer knows by the branch whether
    /// it has had it (§17.2.3). Where there is none to be had, another peer is asked.
    pub(super) fn on_lost(&mut self, now: Now, to: SocketAddr, was_open: bool) {
        for id in self.asking.unheard(to) {
            let Some(asked) = self.asking.get_mut(id) else {
                continue;
            };
            if was_open {
                let bytes = asked.sent.clone();
                self.send(None, to, bytes);
                continue;
            }
            asked.client.on_transport_lost();
            self.on_unanswered(now, id, 503);
            self.asking.requeue(id);
        }
        // A registrar behind a connection calls by it, and by no other (RFC 5626 §4.2).
        let of_registrar =
            |known: &super::registration::Registration| known.is_registered && known.to == Some(to);
        if was_open && !self.is_stopping && self.registration.as_ref().is_some_and(of_registrar) {
            self.register(now);
        }
    }
}
