//! The simulated world of `crates/sim`, in which the bytes choose what its soak leaves to chance; the world's own checks are the
//! judge. What is found runs again, message by message, with `cargo run -p sim -- replay FILE --ladder`; tests in `crates/sim`
//! replay this target's corpus.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sim::soak;

fuzz_target!(|choices: &[u8]| {
    let outcome = soak::run_choices(choices, soak::FUZZED_STEPS, false);
    if let Some(fault) = outcome.fault {
        panic!("{fault}\ncargo run -p sim -- replay FILE --ladder draws it");
    }
});
