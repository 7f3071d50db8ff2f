//! The softswitch: registrations and calls of an account, as a pure machine.
//!
//! [`edge::Flow`] looks at what one connection sends, without shared state; [`Shard`] owns what
//! connections share: bindings and calls; [`cluster`] lets several nodes share them. [`resume`] lets a connection outlive its socket, [`trunk`] makes one of a peer behind UDP. Inputs and both clocks come in as values, [`Effect`]s go
//! out. [`token`] issues and checks what clients show; [`turn_grant`] says whom a client may reach through a relay.
//!
//! Never opens a socket, reads a clock or blocks. Of SDP it reads the addresses of candidates and nothing else, and
//! changes not a byte. RFC 3261, 5626, 7118, 8898; RFC 8839 §5.1.

mod admission;
mod application;
pub mod bot;
mod call;
mod capabilities;
mod closing;
pub mod cluster;
mod connection;
mod control;
mod domain;
pub mod edge;
mod effect;
mod input;
mod invariant;
mod location;
mod marks;
mod options;
mod orphan;
mod query;
mod random;
mod refusal;
mod registrar;
pub mod resume;
mod router;
mod service;
mod shard;
mod table;
mod timer;
pub mod token;
pub mod trunk;
pub mod turn_grant;

pub use application::{
    ApplicationState, Control, StartFault, check_page, key_of_instance, record_of_instance,
    shard_of_instance,
};
pub use control::{ControlFault, GoingCall, GoingCalls, GoingRun};
pub use effect::{Closing, Counter, Effect};
pub use input::{Input, Settings, Snapshot};
pub use query::{Census, RegisteredClient};
pub use shard::Shard;
