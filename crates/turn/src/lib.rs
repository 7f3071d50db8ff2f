//! A STUN and TURN server by the RFCs, as a pure machine.
//!
//! [`Server`] takes datagrams, framed messages and both clocks as values; what a packet is forwarded as comes straight
//! back as [`Forward`], everything else as [`Effect`]. Whom it serves, and whom they may reach, [`Authority`] says.
//!
//! Never opens a socket, reads a clock or draws randomness of its own, and knows nothing of calls or accounts.
//! RFC 8489 (STUN), RFC 8656 (TURN), RFC 6156 (IPv6).

mod allocate;
mod allocation;
mod authority;
mod brake;
mod config;
mod control;
mod effect;
mod forwarding;
mod indication;
mod input;
mod nonce;
mod peer_policy;
mod relays;
mod request;
mod reservation;
mod server;
mod table;

pub use authority::{Authority, Credential, Denied, Holder, Tag, Traffic, Usage};
pub use config::{Bounds, Config, Gateway, RelayAddress, Share};
pub use effect::{Counter, Effect};
pub use input::{Client, Forward, Head, Input, Link, Note, Now, RelayId};
pub use peer_policy::{Forbidden, Network, NoNetwork, PeerPolicy};
pub use server::Server;
