//! SIP on TCP: however a stream is cut into pieces, the same messages are found, and nothing longer than the bounds.
//! The walk is the one of the tests in `crates/sip`, which also replay this target's corpus.

#![no_main]

#[path = "../../crates/sip/tests/tcp/mod.rs"]
mod tcp;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tcp::walk(bytes));
