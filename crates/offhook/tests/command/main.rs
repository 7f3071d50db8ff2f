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
mod harness;
mod keys;
mod services;
mod serving;
mod siege;
mod trunks;
