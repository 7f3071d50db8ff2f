//! The bounds of the workers' sockets, each with its reason.

use std::time::Duration;

/// Datagrams that are read, handled and sent together: with more of them a system call costs no less for each, and
/// what came first waits longer.
pub(super) const BATCH: usize = 64;
/// Datagrams of a batch, about, where the kernel has joined them: they cost less.
pub(super) const JOINED_BATCH: usize = 4 * BATCH;
/// Attempts to read a socket that tells errors instead: each is the fate of an earlier packet, and told once.
pub(super) const READ_ATTEMPTS: usize = 8;
/// Datagrams of one listening socket before the others have their turn, a batch more or less.
pub(super) const DOOR_DATAGRAMS: usize = 4 * BATCH;
/// Datagrams of one relay socket in a batch: other relays want their turn in it.
pub(super) const RELAY_BATCH: usize = 8;
/// Batches of datagrams from relay sockets before the others have their turn.
pub(super) const RELAY_BATCHES: usize = 4;
/// Streams that are read before the others have their turn, [`READ`] bytes each.
pub(super) const STREAMS_A_TURN: usize = 64;
/// How long streams are read before the others have their turn: a TLS handshake alone takes half of it.
pub(super) const STREAM_TIME: Duration = Duration::from_micros(1_000);
/// Bytes that are read from a stream at once: one full message of TLS.
pub(super) const READ: usize = 16 * 1024;
/// Connections that are accepted before the others have their turn.
pub(super) const ACCEPTS_A_TURN: usize = 32;
/// Connections that wait to be accepted: all clients of a restarted server come back within a second.
pub(super) const BACKLOG: i32 = 4_096;
/// How long no connection is accepted after the system had no file for one: it has none a microsecond later either.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Segments of one send: what all kernels with UDP_SEGMENT take.
pub(super) const SEGMENTS: usize = 64;
/// Bytes of one send, with room for every header in the 64 KiB of IP.
pub(super) const SEGMENTED_BYTES: usize = 65_000;

/// What a listening socket may hold of unread packets, and of unsent ones: a burst of all clients of a worker. Charged
/// only while used; the system may allow less.
pub(super) const DOOR_BUFFER: usize = 4 * 1024 * 1024;
/// The same for a relay socket: a burst of one client.
pub(super) const RELAY_BUFFER: usize = 512 * 1024;

/// Packets that may wait for another worker: what it handles in about 10 ms.
pub(super) const SIBLING_PACKETS: usize = 2_048;
/// Bytes of them.
pub(super) const SIBLING_BYTES: usize = 2 * 1024 * 1024;

/// What bounds the TCP and TLS connections of one worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamBounds {
    /// Connections, unless the process may have too few files: TLS takes 30 KiB for each.
    pub(super) connections: usize,
    /// Connections of one source (IPv4 address, IPv6 /64): an office behind one address.
    pub(super) connections_per_source: usize,
    /// How long a TLS handshake may take.
    pub(super) handshake: Duration,
    /// How long a connection may be without an allocation: a few round trips on the worst of networks.
    pub(super) idle: Duration,
    /// How long a client may take nothing of what waits for it.
    pub(super) stalled: Duration,
    /// Bytes that may wait for a slow reader before packets to it are dropped: a second of good video.
    pub(super) queue: usize,
    /// Bytes that may wait beyond these, for answers alone; a client that does not read them is closed.
    pub(super) answers: usize,
}

impl Default for StreamBounds {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_source: 512,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            stalled: Duration::from_secs(30),
            queue: 256 * 1024,
            answers: 64 * 1024,
        }
    }
}
