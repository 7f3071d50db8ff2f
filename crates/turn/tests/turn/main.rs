//! The server as its clients and peers see it: requests in, answers and packets out.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod allocate;
mod attack;
mod authority;
mod client;
mod gateway;
mod model;
mod relay;
mod requests;
mod siblings;
mod vectors;
