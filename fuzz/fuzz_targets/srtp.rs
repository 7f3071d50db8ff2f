//! Any datagrams, sealed by the peer of a protected RTP leg or not: no panic, and nothing that it has not sealed is taken for its own.
//! The world is the one of the tests in `crates/media`, which also replay this target's corpus.

#![no_main]

#[path = "../../crates/media/tests/strangers/mod.rs"]
mod strangers;

use libfuzzer_sys::fuzz_target;
use strangers::Strangers;

fuzz_target!(|bytes: &[u8]| Strangers::take_srtp(bytes));
