//! Any bytes as a compressed file: decoded or refused, and never more than a WAV file may have.
//! `crates/media` replays this target's corpus.

#![no_main]

#[path = "../../crates/media/tests/strangers/mod.rs"]
mod strangers;

use libfuzzer_sys::fuzz_target;
use strangers::Strangers;

fuzz_target!(|bytes: &[u8]| Strangers::take_compressed(bytes));
