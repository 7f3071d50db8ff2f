//! Any frames to a resumable session, sockets lost and found between them: messages come in once and in order, what is kept is
//! bounded and in order, and nothing panics. The walk is the one of the tests in `crates/switch`, which also replay this target's
//! corpus.

#![no_main]

#[path = "../../crates/switch/tests/resuming/mod.rs"]
mod resuming;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| resuming::walk(bytes));
