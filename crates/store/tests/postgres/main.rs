//! The store in a real PostgreSQL, which these tests start themselves: everything that is asked of the one on files, and what
//! several nodes on one database need.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../kept/account.rs"]
mod account;
mod copy;
mod home;
#[path = "../kept/key.rs"]
mod key;
mod open;
#[path = "../kept/process.rs"]
mod process;
#[path = "../kept/record.rs"]
mod record;
#[path = "../kept/reopen.rs"]
mod reopen;
#[path = "../kept/revocation.rs"]
mod revocation;
#[path = "../kept/sample.rs"]
mod sample;
mod server;
#[path = "../kept/service.rs"]
mod service;
mod several;
#[path = "../kept/usage.rs"]
mod usage;
mod way;
