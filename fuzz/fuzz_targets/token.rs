//! Any bytes as a token, edits of issued ones, and claims of every kind signed by an account's own key: nothing is accepted that
//! was not issued, and what is accepted keeps every promise. The forger is the one of the tests in `crates/switch`, which also
//! replay this target's corpus.

#![no_main]

#[path = "../../crates/switch/tests/forger/mod.rs"]
mod forger;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| forger::walk(bytes));
