//! The world around the softswitch, simulated: clock, network, browsers, faults, and a judge.
//!
//! One seed gives one run, byte for byte: nothing here reads a clock, asks for randomness or waits. Runs the pure
//! crates alone, never the shell or the store.

pub mod authority;
pub mod browser;
pub mod check;
pub mod clock;
pub mod cluster;
pub mod datagram;
pub mod faults;
pub mod gateway;
pub mod hostile;
pub mod ladder;
pub mod media;
pub mod nat;
pub mod net;
pub mod phone;
pub mod random;
pub mod raw;
pub mod reference;
pub mod relay;
pub mod resuming;
pub mod scenarios;
pub mod server;
pub mod shown;
pub mod soak;
mod stranger;
pub mod trunks;
pub mod turn_client;
pub mod webhook;
pub mod world;
