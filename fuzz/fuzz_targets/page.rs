//! Any bytes as the answer of an application's page: it is done whole, or what is wrong with it is said in a sentence of bounded
//! length. The tests in `crates/switch` replay this target's corpus.

#![no_main]

#[path = "../../crates/switch/tests/pages/mod.rs"]
mod pages;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pages::walk(bytes));
