//! Another node as this one sees it: when it was heard last, and how much of what it has published is known.
//!
//! Never asks the bus by itself: it says when that is wanted.

use std::collections::BTreeSet;

use model::{Instant, limits};

use super::member::{Changed, Content};
use super::published::Bindings;

/// What was seen of a node's version.
#[derive(Debug)]
pub(super) enum Seen {
    /// What it has published has this version.
    Version(u64),
    /// It has published this, as one step.
    Change(Changed),
    /// It has published everything anew.
    Rewritten,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Peer {
    heard: Instant,
    version: u64,
    /// Of which something is published.
    fields: BTreeSet<String>,
    /// What came while the bus is being asked for everything; `None` while it is not.
    waiting: Option<Vec<Changed>>,
    /// More came than may wait, or it was rewritten meanwhile: ask again.
    is_overtaken: bool,
    /// It was said already that its version is another.
    is_behind: bool,
    published: Vec<(String, Bindings)>,
}

impl Peer {
    /// It was heard of for the first time: the bus is to be asked for everything.
    pub(super) fn met(now: Instant) -> Self {
        Self {
            heard: now,
            version: 0,
            fields: BTreeSet::new(),
            waiting: Some(Vec::new()),
            is_overtaken: false,
            is_behind: false,
            published: Vec::new(),
        }
    }

    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    /// When it counts as gone, if nothing is heard of it.
    pub(super) fn gone_at(&self) -> Instant {
        self.heard + limits::NODE_SILENCE
    }

    /// Says whether the bus is to be asked for everything.
    pub(super) fn see(&mut self, seen: Seen) -> bool {
        match seen {
            Seen::Version(version) if version <= self.version => {
                self.is_behind = false;
                false
            }
            // The change that it speaks of may be on its way.
            Seen::Version(_) => {
                let was_behind = std::mem::replace(&mut self.is_behind, true);
                was_behind && self.ask()
            }
            Seen::Rewritten if self.waiting.is_some() => {
                self.is_overtaken = true;
                false
            }
            Seen::Rewritten => self.ask(),
            Seen::Change(changed) => match &mut self.waiting {
                Some(waiting) if waiting.len() < limits::CHANGES_KEPT => {
                    waiting.push(changed);
                    false
                }
                Some(waiting) => {
                    waiting.clear();
                    self.is_overtaken = true;
                    false
                }
                None if changed.version <= self.version => false,
                None if changed.version == self.version + 1 => {
                    self.apply(changed);
                    false
                }
                None => {
                    self.ask();
                    self.waiting = Some(vec![changed]);
                    true
                }
            },
        }
    }

    /// The bus has answered. Says whether it is to be asked again.
    pub(super) fn loaded(&mut self, content: Option<Content>) -> bool {
        let Some(waiting) = self.waiting.take() else {
            return false;
        };
        self.is_behind = false;
        if let Some(content) = content.filter(|content| content.version >= self.version) {
            self.replace(content);
        }
        if std::mem::take(&mut self.is_overtaken) {
            return self.ask();
        }
        for changed in waiting {
            if changed.version == self.version + 1 {
                self.apply(changed);
            } else if changed.version > self.version {
                // The next that it says tells that something is missing.
                self.is_behind = true;
            }
        }
        false
    }

    /// What has become known since this was asked last, in order.
    pub(super) fn take_published(&mut self) -> Vec<(String, Bindings)> {
        std::mem::take(&mut self.published)
    }

    /// Everything of which something is published.
    pub(super) fn into_fields(self) -> BTreeSet<String> {
        self.fields
    }

    fn ask(&mut self) -> bool {
        self.waiting.get_or_insert_default();
        true
    }

    fn apply(&mut self, changed: Changed) {
        self.version = changed.version;
        for (field, bindings) in changed.changes {
            self.note(field, bindings);
        }
    }

    fn replace(&mut self, content: Content) {
        self.version = content.version;
        let mut missing = std::mem::take(&mut self.fields);
        for (field, value) in content.entries {
            missing.remove(&field);
            self.note(field, Content::read(&value));
        }
        for field in missing {
            self.note(field, Bindings::new());
        }
    }

    fn note(&mut self, field: String, bindings: Bindings) {
        if bindings.is_empty() {
            self.fields.remove(&field);
        } else {
            self.fields.insert(field.clone());
        }
        self.published.push((field, bindings));
    }
}
