//! Any datagrams from the peer of a plain RTP leg whose sound is decoded: no panic, and what leaves goes to the peer.
//! The world is the one of the tests in `crates/media`, which also replay this target's corpus.

#![no_main]

#[path = "../../crates/media/tests/strangers/mod.rs"]
mod strangers;

use libfuzzer_sys::fuzz_target;
use strangers::Strangers;

fuzz_target!(|bytes: &[u8]| Strangers::take_rtp(bytes));
