//! What the server is told, and what it gives straight back: the packet's way through.
//!
//! Owns nothing: data is borrowed from whoever read it.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Both clocks of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since any fixed point; never goes back.
    pub mono: Duration,
    /// Seconds since 1970, for the lifetime of credentials.
    pub unix_s: u64,
}

/// The way to a client: one of the shell's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// A listening UDP socket; many clients share it.
    Datagram(u16),
    /// A TCP or TLS connection: the shell frames messages (RFC 8656 §12.5) and never uses a number again.
    Stream(u64),
}

/// A client's end of the 5-tuple (RFC 8656 §2): its transport address, and our socket with its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    /// Our end.
    pub link: Link,
    /// Its end, as we see it.
    pub address: SocketAddr,
}

/// All at once: each packet is looked up by it, and hashers are slow with many small parts.
impl Hash for Client {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut bytes = [0; 27];
        let (kind, number) = match self.link {
            Link::Datagram(socket) => (0, u64::from(socket)),
            Link::Stream(number) => (1, number),
        };
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8] = kind;
        bytes[9..11].copy_from_slice(&self.address.port().to_le_bytes());
        let end = match self.address.ip() {
            IpAddr::V4(ip) => {
                bytes[11..15].copy_from_slice(&ip.octets());
                15
            }
            IpAddr::V6(ip) => {
                bytes[11..27].copy_from_slice(&ip.octets());
                27
            }
        };
        state.write(&bytes[..end]);
    }
}

/// One relayed transport address: an open UDP socket of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId {
    /// Its place; used again after it was closed.
    pub index: u32,
    /// How often the place was used before.
    pub generation: u32,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A datagram of a client, or one message of its stream without what pads it.
    FromClient {
        /// Whose.
        client: Client,
        /// All of it.
        message: &'a [u8],
    },
    /// A datagram came in on a relayed address.
    FromPeer {
        /// On which.
        relay: RelayId,
        /// From whom.
        peer: SocketAddr,
        /// What.
        data: &'a [u8],
    },
    /// A [`Forward::ToSibling`] of another server with which this one shares its addresses.
    FromSibling {
        /// The relayed address that it came from, as clients know it.
        from: SocketAddr,
        /// The relayed address of this server that it goes to, as clients know it.
        to: SocketAddr,
        /// What.
        data: &'a [u8],
    },
    /// The answer to [`Effect::Open`](crate::Effect::Open).
    Opened {
        /// Which.
        relay: RelayId,
        /// Whether the socket is there.
        is_open: bool,
    },
    /// An [`Effect::Tell`](crate::Effect::Tell) of another server.
    Told {
        /// Which server, by its [`Share::index`](crate::Share::index).
        from: u16,
        /// What.
        note: Note,
    },
    /// A stream has ended; its allocation with it.
    Gone {
        /// Which.
        client: Client,
    },
    /// What this holder may reach, or whether it may stay, has become less: look at what it has again.
    Recheck {
        /// Whose.
        holder: crate::Holder,
    },
    /// Tell the authority all that was relayed and not told yet.
    Report,
    /// The instant of `poll_timeout` has come.
    Timeout,
}

/// What servers that share their addresses tell each other: of ports that one has set aside and another's client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A client has shown this RESERVATION-TOKEN of yours.
    Claim {
        /// The token.
        token: u64,
    },
    /// The answer to a claim.
    Lend {
        /// The token.
        token: u64,
        /// The address that it stands for, free to be opened; nothing if the token is not good.
        local: Option<SocketAddr>,
    },
    /// An address that was lent is not used any more.
    Return {
        /// The address.
        local: SocketAddr,
    },
    /// The one who says this has lost everything that it knew: no effect of a server, its shell says it.
    Restarted,
}

/// Where a packet goes on to: at most one for each packet that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward<'a> {
    /// From a relayed address to a peer.
    ToPeer {
        /// From this one.
        relay: RelayId,
        /// To this one; never one of our own addresses, unless it is that of a gateway or was listed.
        peer: SocketAddr,
        /// What.
        data: &'a [u8],
        /// The client asked that no router fragments it (RFC 8656 §18.9).
        dont_fragment: bool,
    },
    /// To a client: the head, then the data, then `padding` zero bytes.
    ToClient {
        /// To this one.
        client: Client,
        /// ChannelData's four bytes, or a Data indication up to its data.
        head: Head,
        /// What.
        data: &'a [u8],
        /// How many zero bytes follow: streams and attributes are padded to four.
        padding: u8,
    },
    /// To a relayed address of another server with which this one shares its addresses.
    ToSibling {
        /// Which server, by its [`Share::index`](crate::Share::index).
        server: u16,
        /// Our client's relayed address.
        from: SocketAddr,
        /// The relayed address that it goes to.
        to: SocketAddr,
        /// What.
        data: &'a [u8],
    },
}

/// What stands before the data on its way to a client; on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl Head {
    /// A Data indication with an IPv6 peer: header 20, XOR-PEER-ADDRESS 24, the DATA attribute's own head 4.
    pub const MAX: usize = 48;

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Takes up to [`Self::MAX`] bytes.
    pub(crate) fn new(head: &[u8]) -> Self {
        let mut bytes = [0; Self::MAX];
        bytes[..head.len()].copy_from_slice(head);
        Self {
            bytes,
            len: head.len() as u8,
        }
    }
}
