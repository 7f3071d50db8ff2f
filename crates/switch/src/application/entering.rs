//! Digits that are entered: `get_number` and `get_input`.
//!
//! Counts keys and time; never plays anything itself.

use model::Instant;
use model::Page;
use model::media::Digit;
use serde_json::{Value, json};

use super::action::{Entry, EntryKind};
use super::hearing::Hearing;

#[derive(Debug)]
pub(super) struct Entering {
    entry: Entry,
    digits: String,
    /// What is heard, or was.
    prompt: Option<Hearing>,
    /// While digits are waited for.
    waits: Option<Waits>,
}

#[derive(Debug)]
struct Waits {
    whole: Instant,
    next: Option<Instant>,
}

/// What was entered.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) kind: EntryKind,
    pub(super) next: Page,
    digits: String,
}

impl Entered {
    /// What the next page is told; nothing if it is not to be asked.
    pub(super) fn result(&self) -> Option<Value> {
        match self.kind {
            EntryKind::Number => Some(json!({ "entered_number": self.digits })),
            EntryKind::Input if self.digits.is_empty() => None,
            EntryKind::Input => Some(json!({ "digit_input": self.digits })),
        }
    }
}

impl Entering {
    pub(super) fn new(now: Instant, entry: Entry, prompt: Option<Hearing>) -> Self {
        let mut entering = Self {
            entry,
            digits: String::new(),
            prompt,
            waits: None,
        };
        if entering.prompt.is_none() {
            entering.wait(now);
        }
        entering
    }

    pub(super) fn name(&self) -> &'static str {
        self.entry.kind.name()
    }

    /// What is being heard, or is about to be.
    pub(super) fn hearing(&mut self) -> Option<&mut Hearing> {
        self.prompt.as_mut().filter(|hearing| !hearing.is_heard())
    }

    /// The prompt was heard.
    pub(super) fn on_heard(&mut self, now: Instant) {
        if let Some(hearing) = self.hearing().filter(|hearing| hearing.is_playing()) {
            hearing.on_heard();
            self.wait(now);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let waits = self.waits.as_ref()?;
        Some(waits.next.map_or(waits.whole, |next| next.min(waits.whole)))
    }

    /// A key. What was entered, if that was the last one.
    pub(super) fn take(&mut self, now: Instant, digit: Digit) -> Option<Entered> {
        if let Some(hearing) = self.hearing() {
            hearing.on_heard();
        }
        if self.waits.is_none() {
            self.wait(now);
        }
        if Some(digit) == self.entry.end {
            return Some(self.finish());
        }
        if Some(digit) == self.entry.help {
            if let Some(prompt) = &mut self.prompt {
                prompt.again();
                self.digits.clear();
                self.waits = None;
            }
            return None;
        }
        if !self.entry.valid.contains(digit) {
            return None;
        }
        self.digits.push(digit.key());
        if let Some(waits) = &mut self.waits {
            waits.next = self.entry.between.map(|between| now + between);
        }
        let is_full = self.digits.len() >= usize::from(self.entry.count);
        is_full.then(|| self.finish())
    }

    /// What was entered so far is all.
    pub(super) fn finish(&mut self) -> Entered {
        Entered {
            kind: self.entry.kind,
            next: self.entry.next.clone(),
            digits: std::mem::take(&mut self.digits),
        }
    }

    fn wait(&mut self, now: Instant) {
        self.waits = Some(Waits {
            whole: now + self.entry.whole,
            next: self.entry.first.map(|first| now + first),
        });
    }
}
