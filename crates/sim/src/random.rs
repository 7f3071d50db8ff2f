//! The chance of a run: one stream from one seed (splitmix64, public domain by S. Vigna).
//!
//! Good enough to choose what happens next; never used where a secret is needed. Bytes may choose in its place, so that a fuzzer
//! can look for a run.

/// A stream of chance.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    /// Bytes that choose before chance does, the first one last.
    choices: Vec<u8>,
}

impl Random {
    /// The stream of this seed.
    pub const fn new(seed: u64) -> Self {
        Self {
            state: seed,
            choices: Vec::new(),
        }
    }

    /// The same, but these bytes choose until there are no more.
    pub fn choosing(choices: &[u8], seed: u64) -> Self {
        Self {
            state: seed,
            choices: choices.iter().rev().copied().collect(),
        }
    }

    /// The next 64 bits: chance alone.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 {
            return 0;
        }
        self.chosen(end).unwrap_or_else(|| self.bits()) % end
    }

    /// What the bytes choose, of as few as such a number needs: one choice stays where it is when another changes.
    fn chosen(&mut self, end: u64) -> Option<u64> {
        let mut chosen = u64::from(self.choices.pop()?);
        let mut rest = (end - 1) >> 8;
        while rest > 0 {
            chosen = chosen << 8 | u64::from(self.choices.pop()?);
            rest >>= 8;
        }
        Some(chosen)
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from).saturating_add(1))
    }

    /// Whether something happens that happens so often in a thousand times.
    pub fn happens(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    /// One of these; `None` if there are none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = usize::try_from(self.below(from.len() as u64)).unwrap_or(0);
        from.get(at)
    }

    /// A word of lower-case letters and digits, as existing clients make their identifiers.
    pub fn word(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
        (0..length)
            .map(|_| char::from(LETTERS[usize::try_from(self.below(32)).unwrap_or(0)]))
            .collect()
    }

    /// A stream of its own for one part of the world.
    pub fn fork(&mut self) -> Self {
        Self::new(self.bits())
    }

    /// A seed for a machine.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for part in seed.chunks_exact_mut(8) {
            part.copy_from_slice(&self.bits().to_le_bytes());
        }
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream() {
        let (mut one, mut same, mut other) = (Random::new(1), Random::new(1), Random::new(2));
        assert_eq!(one.seed(), same.seed());
        assert_ne!(one.bits(), other.bits());
        assert!((0..1000).all(|_| (3..=5).contains(&one.between(3, 5))));
    }

    #[test]
    fn bytes_choose_until_there_are_no_more() {
        let mut chosen = Random::choosing(&[7, 1, 2, 9], 1);
        assert_eq!(
            (chosen.below(256), chosen.below(257), chosen.between(5, 8)),
            (7, 258 % 257, 6)
        );
        let mut chance = Random::new(1);
        assert_eq!(chosen.below(1000), chance.below(1000));
    }
}
