//! What the relays of a world do: each is for the world to perform, delay, refuse or repeat.

use std::net::SocketAddr;

use switch::turn_grant::Relayed;
use turn::RelayId;

use crate::datagram::Datagram;

/// What relays do to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// A datagram to a client, from where TURN listens.
    ToClient(Datagram),
    /// A datagram to a peer, from a relayed address.
    ToPeer {
        /// Whose relayed address it is.
        holder: u64,
        /// The datagram.
        datagram: Datagram,
    },
    /// A message on a stream.
    Frame {
        /// Which.
        stream: u64,
        /// The message.
        payload: Vec<u8>,
    },
    /// A stream is closed.
    Hang {
        /// Which.
        stream: u64,
    },
    /// A worker wants a socket; `opened` is the answer.
    Opens {
        /// Which worker.
        worker: usize,
        /// Its name for the socket.
        relay: RelayId,
        /// Where.
        local: SocketAddr,
    },
    /// A holder may reach less; `recheck` tells the workers.
    Recheck(u64),
    /// A shard must be told.
    Relayed(Relayed),
}
