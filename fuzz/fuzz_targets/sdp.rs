//! Any bytes as an offer, to legs of each kind, and as the answer to an offer of ours: answered or refused once, and nothing leaves
//! before the peer has come.
//! The world is the one of the tests in `crates/media`, which also replay this target's corpus.

#![no_main]

#[path = "../../crates/media/tests/strangers/mod.rs"]
mod strangers;

use libfuzzer_sys::fuzz_target;
use strangers::Strangers;

fuzz_target!(|bytes: &[u8]| {
    Strangers::take_sdp(bytes);
    Strangers::take_answer(bytes);
});
