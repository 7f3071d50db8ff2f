//! WebSocket frames: however a stream is cut into pieces, the same frames are read, and nothing longer than the limit.
//! The walk is the one of the tests in `crates/sip`, which also replay this target's corpus.

#![no_main]

#[path = "../../crates/sip/tests/stream/mod.rs"]
mod stream;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| stream::walk(bytes));
