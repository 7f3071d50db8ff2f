//! A hash table for names that strangers choose: SipHash under a key of the shard's own.
//!
//! Never iterated where order could decide anything.

use std::collections::HashMap;
use std::hash::BuildHasher;

use siphasher::sip::SipHasher13;

use crate::random::Random;

pub(crate) type Table<K, V> = HashMap<K, V, Keyed>;

/// Hashes under a secret, so that nobody can choose names that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed {
    key: (u64, u64),
}

impl Keyed {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self {
            key: (random.bits(), random.bits()),
        }
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key.0, self.key.1)
    }
}
