//! Clients of one shard, drawn from the bytes: they register, call, answer, repeat what others have said, are lost and come back.
//! Every question has its answer, nobody is asked anything in a call of others, and nothing is left at the end.
//! The crowd is the one of the tests in `crates/switch`, which also replay this target's corpus.

#![no_main]

#[path = "../../crates/switch/tests/crowd/mod.rs"]
mod crowd;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| crowd::walk(bytes));
