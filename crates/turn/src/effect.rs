//! What the server wants done beside forwarding packets, and what it wants counted.
//!
//! The shell performs effects and the simulator breaks them; both match exhaustively.

use std::net::SocketAddr;

use crate::input::{Client, Note, RelayId};

/// One thing for the shell to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this message, a response, to a client.
    Send {
        /// To this one.
        client: Client,
        /// All of it; a multiple of four bytes, as streams need.
        message: Vec<u8>,
    },
    /// Open a UDP socket at this address, of the shell's own, and say so by [`Input::Opened`](crate::Input::Opened).
    Open {
        /// Its name from now on.
        relay: RelayId,
        /// The local address, not the public one.
        local: SocketAddr,
    },
    /// Close that socket.
    Close {
        /// Which.
        relay: RelayId,
    },
    /// End a stream whose client has broken the protocol.
    Hang {
        /// Whose.
        client: Client,
    },
    /// Tell another server with which this one shares its addresses, by [`Input::Told`](crate::Input::Told). In order, and
    /// after every effect before it.
    Tell {
        /// Which server, by its [`Share::index`](crate::Share::index).
        server: u16,
        /// What.
        note: Note,
    },
    /// Add one to this counter.
    Count(Counter),
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident => $text:literal,)*) => {
        /// What is counted: each kind of refusal, and the main events.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Counter {
            $($(#[doc = $doc])* $name,)*
        }

        impl Counter {
            /// Every counter, in the order of listings.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in listings.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// What it counts, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*),)*
                }
            }
        }
    };
}

counters! {
    /// An allocation was made.
    Allocated => "turn_allocations",
    /// An allocation was refused: its holder, or the server, has all it may have.
    AllocationQuota => "turn_allocations_refused_full",
    /// A peer address was refused.
    PeerForbidden => "turn_peers_refused",
    /// A credential was refused: unknown, expired or not proven.
    CredentialRefused => "turn_credentials_refused",
    /// A nonce was too old, or of another address.
    StaleNonce => "turn_stale_nonces",
    /// An unauthenticated request got no answer: its source has had all it may have.
    Slowed => "turn_unauthenticated_dropped",
    /// Bytes that are no STUN, or data without permission: dropped in silence.
    Dropped => "turn_packets_dropped",
    /// A packet was dropped: its holder's bandwidth, or its month, is used up.
    BandwidthQuota => "turn_packets_dropped_quota",
}
