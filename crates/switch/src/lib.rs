//! The softswitch: registrations and calls of an account, as a pure machine.
//!
//! [`edge::Flow`] looks at what one connection sends, without shared state; [`Shard`] owns what
//! connections share: bindings and calls. [`resume`] lets a connection outlive its socket. Inputs and both clocks come in as values, [`Effect`]s go
//! out. [`token`] issues and checks what clients show.
//!
//! Never opens a socket, reads a clock, blocks or sees inside SDP. RFC 3261, 5626, 7118, 8898.

mod admission;
mod call;
mod connection;
mod domain;
pub mod edge;
mod effect;
mod input;
mod invariant;
mod location;
mod options;
mod orphan;
mod query;
mod random;
mod refusal;
mod registrar;
pub mod resume;
mod router;
mod shard;
mod table;
mod timer;
pub mod token;

pub use effect::{Closing, Counter, Effect};
pub use input::{Input, Settings, Snapshot};
pub use query::{Census, RegisteredClient};
pub use shard::Shard;
