//! Any bytes as one SIP message: parse, ask every accessor, answer. The walk is the one of the tests in `crates/sip`, which
//! also replay this target's corpus.

#![no_main]

#[path = "../../crates/sip/tests/walk/mod.rs"]
mod walk;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| walk::walk(bytes));
