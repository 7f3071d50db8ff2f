//! Any query and any body with any Content-Type as the parameters of a web service: bounded pairs or a refusal in words, and what a
//! correct client encodes is read back. The walk is the one of the tests in `crates/node`, which also replay this target's corpus.

#![no_main]

#[path = "../../crates/node/tests/node/parameters.rs"]
mod parameters;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| parameters::walk(bytes));
