//! The command `offhook` as its users run it: the real binary, in folders of its own.
//!
//! Nothing here sleeps: servers are waited for by the lines that they write.
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test is to end it")]

mod abuse;
mod accounts;
mod backup;
mod bench;
mod calls;
mod clients;
mod configuration;
mod database;
mod database_away;
mod harness;
mod keys;
#[path = "../../../store/tests/postgres/server.rs"]
#[allow(dead_code, reason = "these tests do less to a server")]
mod postgres;
mod revocations;
mod services;
mod serving;
mod siege;
mod trunks;
