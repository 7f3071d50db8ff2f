//! The line to a trunk: what is between a shard, which speaks as if to a connection that loses nothing, and a SIP peer behind
//! UDP, TCP or TLS (RFC 3261 §17 and §18, RFC 3581).
//!
//! Sends again what may be lost and absorbs what comes twice, acknowledges what a shard need not, answers challenges (RFC 8760),
//! registers, asks whether the peer is there (OPTIONS), and goes to the next peer when one is not. Turns our own Via and Contact,
//! which name no address, into those of the socket. Never decides who may call whom, and never opens a socket.

mod asking;
mod challenge;
mod deadlines;
mod dialog;
mod following;
mod health;
mod here;
mod incoming;
mod late;
mod line;
mod names;
mod outgoing;
mod registration;
mod reliable;
mod rewrite;
mod route;
mod serving;
mod stream;
#[cfg(test)]
mod tests;
mod transferring;
mod way;

pub(crate) use route::called_by;

pub use line::{Line, LineEffect, LineInput, LineState};
pub use names::{Answer, NameFault, Target, without_others, without_own};
