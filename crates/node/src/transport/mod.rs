//! Sockets: accepting them, TLS on them, SIP over WebSocket in them, and how many there may be.

mod capacity;
mod listener;
pub(crate) mod tls;
pub(crate) mod ws;

pub(crate) use capacity::{Capacity, Full, Place};
pub(crate) use listener::{Listener, accept};
