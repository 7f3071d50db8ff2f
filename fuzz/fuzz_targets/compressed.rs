//! Any bytes as a compressed file: decoded or refused, and never more than a WAV file may have.
//! `crates/media` replays this target's corpus.

#![no_main]

#[path = "../../crates/media/tests/strangers/mod.rs"]
mod strangers;

use libfuzzer_sys::fuzz_target;
use strangers::Strangers;

fuzz_target!(|bytes: &[u8]| {
    // The decoders may panic, as long as it ends in `media`; this fuzzer's own hook would take that for a finding.
    std::panic::set_hook(Box::new(|_| {}));
    Strangers::take_compressed(bytes);
});
