//! Randomness as a value: one stream from one seed, so that a run can be repeated.
//!
//! Never asks the operating system; the shell gives each shard a seed of its own.

use model::RecordId;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

#[derive(Clone, Debug)]
pub(crate) struct Random(ChaCha12Rng);

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// 64 bits that nobody can guess.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub(crate) fn record_id(&mut self) -> RecordId {
        RecordId(u128::from(self.bits()) << 64 | u128::from(self.bits()))
    }
}
