//! Choices that a seed repeats (SplitMix64). Never for secrets.

/// See the module.
pub(super) struct Dice(u64);

impl Dice {
    /// Those of one round: the rounds before it, and how long they took, change nothing.
    pub(super) fn of(seed: u64, round: u64) -> Self {
        Self(seed ^ round.wrapping_mul(0xd605_1b38_2d1b_9f2d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// From `least` to `most`, both included.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    pub(super) fn one_in(&mut self, number: u64) -> bool {
        self.between(1, number) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_and_every_number_falls() {
        let throws = |seed, round| {
            let mut dice = Dice::of(seed, round);
            (0..100).map(|_| dice.between(1, 6)).collect::<Vec<_>>()
        };
        assert_eq!(throws(1, 1), throws(1, 1));
        assert_ne!(throws(1, 1), throws(1, 2));
        assert_ne!(throws(1, 1), throws(2, 1));
        assert!((1..=6).all(|number| throws(1, 1).contains(&number)));
    }
}
