//! The bus of a cluster, as an engine like Redis would be: it keeps what nodes have published, and carries posts.
//!
//! It can be slow, lose and repeat posts, be cut off from a node, be away, and forget. It never makes anything up.

use std::collections::{BTreeMap, BTreeSet};

use model::{NodeNumber, limits};
use switch::cluster::Content;

use crate::clock::MILLI;
use crate::random::Random;

/// What goes wrong with the bus.
#[derive(Clone, Debug)]
pub struct BusFaults {
    /// How long a post or an answer takes, in microseconds, and how much longer it may.
    pub lag: (u64, u64),
    /// Posts that are lost, of a thousand.
    pub loss: u64,
    /// Posts that come twice, of a thousand.
    pub repetition: u64,
    /// Writes that are done and said not to be, of a thousand.
    pub unsure: u64,
    /// Posts from the first to the second of a pair are lost.
    pub deaf: BTreeSet<(usize, usize)>,
}

impl Default for BusFaults {
    fn default() -> Self {
        Self {
            lag: (MILLI, 0),
            loss: 0,
            repetition: 0,
            unsure: 0,
            deaf: BTreeSet::new(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Bus {
    /// What goes wrong.
    pub faults: BusFaults,
    /// Whether it is there.
    pub is_up: bool,
    kept: BTreeMap<NodeNumber, Kept>,
    random: Random,
    started: u64,
}

/// What a node has there.
#[derive(Debug, Default)]
struct Kept {
    content: BTreeMap<String, Vec<u8>>,
    version: u64,
    /// Whether that is all: it was written as a whole, and nothing of it was forgotten since.
    is_whole: bool,
    until: u64,
}

impl Bus {
    /// An empty one.
    pub fn new(random: Random) -> Self {
        Self {
            faults: BusFaults::default(),
            is_up: true,
            kept: BTreeMap::new(),
            random,
            started: 0,
        }
    }

    /// The number of whoever starts next.
    pub fn claim(&mut self) -> NodeNumber {
        self.started += 1;
        NodeNumber::of_start(self.started)
    }

    /// How long something takes.
    pub fn lag(&mut self) -> u64 {
        let (least, more) = self.faults.lag;
        least + self.random.below(more + 1)
    }

    /// How often a post arrives, and after how long each time.
    pub fn carries(&mut self, from: usize, to: usize) -> Vec<u64> {
        if !self.is_up || self.faults.deaf.contains(&(from, to)) {
            return Vec::new();
        }
        if self.random.below(1000) < self.faults.loss {
            return Vec::new();
        }
        let mut arrives = vec![self.lag()];
        if self.random.below(1000) < self.faults.repetition {
            arrives.push(self.lag());
        }
        arrives
    }

    /// Whether a write that was done is said not to be.
    pub fn is_unsure(&mut self) -> bool {
        self.random.below(1000) < self.faults.unsure
    }

    /// Keeps changes. Says whether that is all there is to keep of the node.
    pub fn write(
        &mut self,
        now: u64,
        node: NodeNumber,
        version: u64,
        changes: Vec<(String, Option<Vec<u8>>)>,
    ) -> bool {
        self.expire(now);
        let kept = self.kept.entry(node).or_default();
        for (field, value) in changes {
            match value {
                Some(value) => kept.content.insert(field, value),
                None => kept.content.remove(&field),
            };
        }
        let is_next = kept.version + 1 == version;
        kept.version = version;
        kept.until = now + lasts();
        kept.is_whole && is_next
    }

    /// Keeps this in place of all.
    pub fn rewrite(
        &mut self,
        now: u64,
        node: NodeNumber,
        version: u64,
        entries: Vec<(String, Vec<u8>)>,
    ) {
        let kept = Kept {
            content: entries.into_iter().collect(),
            version,
            is_whole: true,
            until: now + lasts(),
        };
        self.kept.insert(node, kept);
    }

    /// A node is alive; whether anything of it is kept.
    pub fn alive(&mut self, now: u64, node: NodeNumber) -> bool {
        self.expire(now);
        let Some(kept) = self.kept.get_mut(&node) else {
            return false;
        };
        kept.until = now + lasts();
        kept.is_whole
    }

    /// What a node has published.
    pub fn load(&mut self, now: u64, node: NodeNumber) -> Option<Content> {
        self.expire(now);
        let kept = self.kept.get(&node).filter(|kept| kept.is_whole)?;
        Some(Content {
            version: kept.version,
            entries: kept.content.clone().into_iter().collect(),
        })
    }

    /// What a node has published under one name.
    pub fn look(&mut self, now: u64, node: NodeNumber, field: &str) -> Option<Vec<u8>> {
        self.expire(now);
        self.kept.get(&node)?.content.get(field).cloned()
    }

    /// Nodes that it keeps something of.
    pub fn nodes(&mut self, now: u64) -> Vec<NodeNumber> {
        self.expire(now);
        self.kept.keys().copied().collect()
    }

    /// It has started again with empty hands.
    pub fn forget(&mut self) {
        self.kept.clear();
    }

    fn expire(&mut self, now: u64) {
        self.kept.retain(|_, kept| now < kept.until);
    }
}

fn lasts() -> u64 {
    u64::try_from(limits::ALIVE_LASTS.as_micros()).unwrap_or(u64::MAX)
}
