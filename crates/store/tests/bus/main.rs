//! The bus in a real Redis, which these tests start themselves: alone, secured, behind Sentinel, as a cluster; killed, hung, started
//! again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bindings;
mod cluster;
mod faults;
mod node;
mod numbers;
mod posts;
mod secured;
mod sentinel;
mod server;
