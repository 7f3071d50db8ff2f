//! What a telephone sends again until it is answered (RFC 3261 §17, with T1 of half a second and T2 of four).

use std::collections::BTreeMap;

use crate::clock::{MILLI, SECOND};

const T1: u64 = 500 * MILLI;
const T2: u64 = 4 * SECOND;
const TIME: u64 = 32 * SECOND;

#[derive(Debug)]
struct Repeat {
    message: Vec<u8>,
    /// Nothing: it is waited for an answer and no more.
    next: Option<u64>,
    pause: u64,
    longest: u64,
    ends: u64,
}

/// By branch and method.
#[derive(Debug, Default)]
pub(super) struct Repeats(BTreeMap<(String, String), Repeat>);

impl Repeats {
    /// It was sent for the first time.
    pub(super) fn begin(
        &mut self,
        now: u64,
        key: (String, String),
        message: Vec<u8>,
        is_invite: bool,
    ) {
        let repeat = Repeat {
            message,
            next: Some(now + T1),
            pause: T1,
            longest: if is_invite { TIME } else { T2 },
            ends: now + TIME,
        };
        self.0.insert(key, repeat);
    }

    /// It has arrived, and is answered in the end.
    pub(super) fn proceeds(&mut self, key: &(String, String), until: u64) {
        if let Some(repeat) = self.0.get_mut(key) {
            repeat.next = None;
            repeat.ends = until;
        }
    }

    /// It need not be sent again.
    pub(super) fn stop(&mut self, key: &(String, String)) -> bool {
        self.0.remove(key).is_some()
    }

    pub(super) fn first(&self) -> Option<u64> {
        let due = |repeat: &Repeat| {
            repeat
                .next
                .map_or(repeat.ends, |next| next.min(repeat.ends))
        };
        self.0.values().map(due).min()
    }

    /// What is to be sent again, and what was never answered.
    pub(super) fn due(&mut self, now: u64) -> (Vec<Vec<u8>>, Vec<(String, String)>) {
        let ended = self.0.extract_if(.., |_, repeat| repeat.ends <= now);
        let ended = ended.map(|(key, _)| key).collect();
        let mut again = Vec::new();
        for repeat in self.0.values_mut() {
            if repeat.next.is_some_and(|next| next <= now) {
                again.push(repeat.message.clone());
                repeat.pause = (repeat.pause * 2).min(repeat.longest);
                repeat.next = Some(now + repeat.pause);
            }
        }
        (again, ended)
    }
}
