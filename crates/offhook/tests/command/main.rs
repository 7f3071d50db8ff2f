//! The command `offhook` as its users run it: the real binary, in folders of its own.
//!
//! Nothing here sleeps: servers are waited for by the lines that they write.

mod accounts;
mod calls;
mod configuration;
mod harness;
mod keys;
mod serving;
