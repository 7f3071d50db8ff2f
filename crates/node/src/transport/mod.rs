//! Sockets: accepting them, TLS on them, SIP over WebSocket in them, sessions that outlive them, and how many there may be.

mod capacity;
mod crew;
mod handover;
mod listener;
pub(crate) mod resumable;
mod socket;
mod stream;
pub(crate) mod tls;
pub(crate) mod ws;

pub(crate) use capacity::{Capacity, Full, Place};
pub(crate) use crew::Crew;
pub(crate) use handover::{Answer, Arrived, Handovers};
pub(crate) use listener::{Listener, accept};
pub(crate) use socket::Socket;
pub(crate) use stream::Stream;
