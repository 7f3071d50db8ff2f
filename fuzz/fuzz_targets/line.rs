//! The line of a trunk between a shard and peers that are drawn from the bytes: everything is delivered once, every question of the
//! shard has its answer, and nothing is left at the end. The bench is the one of the tests in `crates/switch`, which also replay
//! this target's corpus.

#![no_main]

#[path = "../../crates/switch/tests/line/mod.rs"]
mod line;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| line::walk(bytes));
