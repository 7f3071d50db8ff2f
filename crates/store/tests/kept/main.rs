//! The store on real files: what is kept, what is refused, and what another process sees.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod account;
mod home;
mod key;
mod open;
mod process;
mod record;
mod reopen;
mod sample;
mod service;
mod usage;
