//! A table from addresses that strangers choose to places in a list: SipHash under a key of the server's own.
//!
//! Holds hashes and places alone, eight bytes each, so that the table of 100,000 clients stays near the processor; whoever
//! owns the list says whose a place is. Never walked in an order that could decide anything.

use std::hash::{BuildHasher, Hash};

use siphasher::sip::SipHasher13;

/// Slots at first; doubled when half of them are taken.
const FIRST: usize = 16;

/// Hashes under a secret, so that nobody can choose addresses that collide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed {
    key: (u64, u64),
}

impl Keyed {
    pub(crate) fn new(one: u64, two: u64) -> Self {
        Self { key: (one, two) }
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key.0, self.key.1)
    }
}

/// Open addressing, each thing as near as possible to where its hash says.
#[derive(Debug)]
pub(crate) struct Table {
    slots: Vec<Slot>,
    taken: usize,
    keyed: Keyed,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Part of the hash: whose low bits say where it belongs.
    print: u32,
    place: u32,
}

impl Slot {
    const EMPTY: Self = Self {
        print: 0,
        place: u32::MAX,
    };

    fn is_empty(self) -> bool {
        self.place == Self::EMPTY.place
    }
}

impl Table {
    pub(crate) fn new(keyed: Keyed) -> Self {
        Self {
            slots: vec![Slot::EMPTY; FIRST],
            taken: 0,
            keyed,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    /// The place of whatever has this key; `is_it` knows the keys of places.
    pub(crate) fn find(&self, key: &impl Hash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let print = self.print(key);
        let mut at = self.home(print);
        loop {
            let slot = self.slots[at];
            if slot.is_empty() {
                return None;
            }
            if slot.print == print && is_it(slot.place) {
                return Some(slot.place);
            }
            at = self.after(at);
        }
    }

    /// Adds a key that is not there.
    pub(crate) fn insert(&mut self, key: &impl Hash, place: u32) {
        if (self.taken + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let print = self.print(key);
        self.settle(Slot { print, place });
        self.taken += 1;
    }

    /// Removes a key with its place.
    pub(crate) fn remove(&mut self, key: &impl Hash, place: u32) {
        let print = self.print(key);
        let mut gap = self.home(print);
        loop {
            let slot = self.slots[gap];
            if slot.is_empty() {
                return;
            }
            if slot.print == print && slot.place == place {
                break;
            }
            gap = self.after(gap);
        }
        self.taken -= 1;
        // Whatever stands behind the gap and belongs there, or before it, moves up.
        let mut at = self.after(gap);
        while !self.slots[at].is_empty() {
            let home = self.home(self.slots[at].print);
            if self.distance(home, at) >= self.distance(gap, at) {
                self.slots[gap] = self.slots[at];
                gap = at;
            }
            at = self.after(at);
        }
        self.slots[gap] = Slot::EMPTY;
    }

    fn grow(&mut self) {
        let larger = vec![Slot::EMPTY; self.slots.len() * 2];
        for slot in std::mem::replace(&mut self.slots, larger) {
            if !slot.is_empty() {
                self.settle(slot);
            }
        }
    }

    fn settle(&mut self, slot: Slot) {
        let mut at = self.home(slot.print);
        while !self.slots[at].is_empty() {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    fn print(&self, key: &impl Hash) -> u32 {
        self.keyed.hash_one(key) as u32
    }

    fn home(&self, print: u32) -> usize {
        print as usize & (self.slots.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.slots.len() - 1)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Keys are few, so that they come and go again and again.
        #[test]
        fn it_knows_what_a_map_knows(steps in proptest::collection::vec((0..200_u32, any::<bool>()), 1..800)) {
            let mut table = Table::new(Keyed::new(1, 2));
            let mut known = BTreeMap::new();
            for (at, (key, is_there)) in steps.into_iter().enumerate() {
                let place = at as u32;
                match (is_there, known.get(&key).copied()) {
                    (true, None) => {
                        known.insert(key, place);
                        table.insert(&key, place);
                    }
                    (false, Some(place)) => {
                        known.remove(&key);
                        table.remove(&key, place);
                    }
                    (true, Some(_)) | (false, None) => {}
                }
                prop_assert_eq!(table.len(), known.len());
                for key in 0..200_u32 {
                    let found = table.find(&key, |place| known.get(&key) == Some(&place));
                    prop_assert_eq!(found, known.get(&key).copied());
                }
            }
        }
    }
}
