//! Sequences of requests, data and time, drawn from the bytes: whatever their order, nothing leaves for an address that is
//! forbidden or was not permitted, and every allocation that was admitted is released once.
//! The world is the one of the tests in `crates/turn`, which also replay this target's corpus.

#![no_main]

#[path = "../../crates/turn/tests/world/mod.rs"]
mod world;

use libfuzzer_sys::fuzz_target;
use world::World;

fuzz_target!(|bytes: &[u8]| World::take_sequence(bytes));
