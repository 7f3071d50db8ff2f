//! Any bytes from a client or a peer: the TURN server neither panics nor answers more than once, and silence costs nothing.
//! The world is the one of the tests in `crates/turn`, which also replay this target's corpus.

#![no_main]

#[path = "../../crates/turn/tests/world/mod.rs"]
mod world;

use libfuzzer_sys::fuzz_target;
use world::World;

fuzz_target!(|bytes: &[u8]| World::take_message(bytes));
