//! Whom a client may reach through a relay, and how much of it: the side of TURN that knows calls.
//!
//! A credential is minted where a client asks for it, without shared state ([`TurnOffer`], [`rest_credential`]); the
//! [`Ledger`] recognises it and knows who may reach which addresses, learnt from the candidates that SDP names
//! ([`TurnChange`] of a shard), and what each client, account and the node have used.
//!
//! Never reads a clock, keeps no password, and changes no byte of SDP. RFC 8656 §9.2 for the long-term credential;
//! RFC 8839 §5.1 for candidates.

pub(crate) mod candidate;
mod credential;
mod holder;
mod ledger;
mod offer;
mod quota;
mod spending;

use std::net::IpAddr;

use model::{AccountId, ConnectionId, NodeNumber, RelayUsage};

pub use credential::{Known, TurnSecret};
pub use ledger::Ledger;
pub(crate) use offer::ConnectedHost;
pub use offer::{TurnOffer, rest_credential};
pub use quota::{Full, Quota, TurnBounds};
pub use spending::MonthSpent;

use crate::call::CallKey;

/// Something that decides about relays has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnChange {
    /// A connection has told its account: from now on a credential of its own is good.
    Opened {
        /// Which one.
        connection: ConnectionId,
        /// Whose.
        account: AccountId,
    },
    /// A valid token was shown on it: it may have more, and its credentials live longer.
    Proven {
        /// Which one.
        connection: ConnectionId,
        /// Whose.
        account: AccountId,
    },
    /// The other side of one of its calls named these addresses, beside those before. An empty list begins the call.
    Reach {
        /// Who may reach them.
        connection: ConnectionId,
        /// In this call.
        call: u64,
        /// Literal addresses in canonical form.
        addresses: Vec<IpAddr>,
    },
    /// A client is about to be told where our media gateway is: it may enter there, whatever other sides have named.
    Gateway {
        /// Who may.
        connection: ConnectionId,
        /// In this call.
        call: u64,
    },
    /// The call is over for long enough: what it allowed to reach may not be reached any more.
    Ended {
        /// Who might.
        connection: ConnectionId,
        /// In this call.
        call: u64,
    },
    /// The connection is gone: its credentials are worth nothing.
    Gone {
        /// Which one.
        connection: ConnectionId,
    },
}

/// What was relayed for a client in a call, for [`Input::Relayed`](crate::Input::Relayed) of its account's shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// Whose call it is.
    pub account: AccountId,
    /// For whom.
    pub connection: ConnectionId,
    /// In which call.
    pub call: u64,
    /// Since it was last told.
    pub usage: RelayUsage,
}

impl Relayed {
    /// The node whose call it is.
    pub fn node(&self) -> NodeNumber {
        CallKey(self.call).node()
    }
}
