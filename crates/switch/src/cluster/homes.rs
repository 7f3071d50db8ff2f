//! Calls that have gone to another node: which node has one now, by the tag of ours that its client knows.
//!
//! A tag names the node that the call began on, for good. Learnt from the node that took the call in; bounded in number. Never says what a
//! call is.

use std::collections::{BTreeMap, VecDeque};

use model::{NodeNumber, limits};

use crate::call::CallKey;

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// Here.
    Here(CallKey),
    /// On another node.
    There(NodeNumber),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    by_tag: BTreeMap<Box<str>, Home>,
    /// Those of other nodes, the first one first; some may have come here since.
    there: VecDeque<Box<str>>,
}

impl Homes {
    pub(crate) fn get(&self, tag: &str) -> Option<Home> {
        self.by_tag.get(tag).copied()
    }

    /// A call's home, by one of its tags.
    pub(crate) fn note(&mut self, tag: &str, home: Home) {
        let before = self.by_tag.insert(tag.into(), home);
        let (Home::There(_), None | Some(Home::Here(_))) = (home, before) else {
            return;
        };
        self.there.push_back(tag.into());
        if self.there.len() > limits::HOMES_KEPT
            && let Some(first) = self.there.pop_front()
            && let Some(Home::There(_)) = self.get(&first)
        {
            self.by_tag.remove(&first);
        }
    }

    /// A call that was here is forgotten.
    pub(crate) fn forget(&mut self, tag: &str) {
        if let Some(Home::Here(_)) = self.get(tag) {
            self.by_tag.remove(tag);
        }
    }
}
