//! The sounds in memory: those that are being heard, and of the others those that came last.
//!
//! Each is there once, however many calls hear it, and is brought once, however many want it at the same time. Bounded in bytes, for
//! each account and for the node: what has no room is refused before it is read. Reads nothing itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use model::{AccountId, limits};

/// What a sound is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A file: another time or length is another one.
    File {
        path: PathBuf,
        /// Its number on the disk: a file that replaces it has another, however quickly it came.
        inode: u64,
        modified: Option<SystemTime>,
        length: u64,
    },
    /// A text that was spoken.
    Speech { text: String, voice: Option<String> },
}

/// The bounds, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Of those that nobody hears and that are kept all the same.
    pub(super) kept: usize,
    /// Of one account.
    pub(super) account: usize,
    /// Of all.
    pub(super) node: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            kept: limits::SOUND_CACHE_BYTES,
            account: limits::SOUND_BYTES_PER_ACCOUNT,
            node: limits::SOUND_BYTES,
        }
    }
}

/// Why there is no room: a bound, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRoom {
    #[error(
        "the sounds of this account that are being heard fill the {0} bytes of memory that they may have; play shorter files, or \
         the same file in many calls"
    )]
    Account(usize),
    #[error(
        "the sounds that are being heard fill the {0} bytes of memory that this server has for them"
    )]
    Node(usize),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    bounds: Bounds,
    state: Mutex<State>,
    /// Something has been brought, or will not be.
    brought: Condvar,
}

type Named = (AccountId, Key);

#[derive(Debug, Default)]
struct State {
    sounds: HashMap<Named, Arc<[u8]>>,
    /// Oldest first.
    order: VecDeque<Named>,
    /// Those that are being read.
    coming: HashSet<Named>,
    /// Files that cannot be played, and why, the oldest first: whoever waits for one, or asks again, is told without work.
    refused: VecDeque<(Named, Arc<str>)>,
    /// With what is on its way.
    bytes: HashMap<AccountId, usize>,
    all: usize,
}

impl Shelf {
    #[cfg(test)]
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    pub(super) fn get(&self, account: AccountId, key: &Key) -> Option<Arc<[u8]>> {
        let state = self.lock();
        state.sounds.get(&(account, key.clone())).cloned()
    }

    /// The sound, or the right to bring it: who else wants it waits until that is done.
    pub(super) fn get_or_bring(
        &self,
        account: AccountId,
        key: Key,
        length: usize,
    ) -> Result<Got<'_>, NoRoom> {
        let name = (account, key);
        let mut state = self.lock();
        loop {
            if let Some(known) = state.sounds.get(&name) {
                return Ok(Got::Sound(Arc::clone(known)));
            }
            if let Some((_, why)) = state.refused.iter().find(|(known, _)| *known == name) {
                return Ok(Got::Refused(Arc::clone(why)));
            }
            if !state.coming.contains(&name) {
                break;
            }
            let woken = self.brought.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.reserve(account, length, self.bounds)?;
        state.coming.insert(name.clone());
        drop(state);
        Ok(Got::Turn(Turn {
            shelf: self,
            name,
            length,
        }))
    }

    /// Takes one in that was made already; what comes back is what is here, of two alike the first.
    pub(super) fn put(
        &self,
        account: AccountId,
        key: Key,
        sound: Arc<[u8]>,
    ) -> Result<Arc<[u8]>, NoRoom> {
        let name = (account, key);
        let mut state = self.lock();
        if let Some(known) = state.sounds.get(&name) {
            return Ok(Arc::clone(known));
        }
        state.reserve(account, sound.len(), self.bounds)?;
        state.keep(name, &sound);
        Ok(sound)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What there is of a sound.
pub(super) enum Got<'a> {
    Sound(Arc<[u8]>),
    /// It cannot be played.
    Refused(Arc<str>),
    Turn(Turn<'a>),
}

/// Room for a sound that is being brought; given back when it does not come.
pub(super) struct Turn<'a> {
    shelf: &'a Shelf,
    name: Named,
    length: usize,
}

impl Turn<'_> {
    /// It takes so many bytes more than was said.
    pub(super) fn grow(&mut self, more: usize) -> Result<(), NoRoom> {
        let mut state = self.shelf.lock();
        state.reserve(self.name.0, more, self.shelf.bounds)?;
        self.length += more;
        Ok(())
    }

    /// It takes less.
    pub(super) fn shrink(&mut self, less: usize) {
        self.length -= less;
        self.shelf.lock().give_back(self.name.0, less);
    }

    /// It cannot be played, however often it is brought.
    pub(super) fn refuse(self, why: &str) {
        let mut state = self.shelf.lock();
        if state.refused.len() >= limits::SOUNDS_REFUSED {
            state.refused.pop_front();
        }
        state.refused.push_back((self.name.clone(), why.into()));
    }

    /// It is there, as long as was said.
    pub(super) fn done(mut self, sound: &Arc<[u8]>) {
        debug_assert_eq!(sound.len(), self.length, "as long as there is room for");
        self.length = 0;
        self.shelf.lock().keep(self.name.clone(), sound);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.shelf.lock();
        state.coming.remove(&self.name);
        state.give_back(self.name.0, self.length);
        drop(state);
        self.shelf.brought.notify_all();
    }
}

impl State {
    fn reserve(&mut self, account: AccountId, length: usize, bounds: Bounds) -> Result<(), NoRoom> {
        self.clear_away(bounds.kept, length);
        let own = self.bytes.get(&account).copied().unwrap_or_default();
        if own + length > bounds.account {
            return Err(NoRoom::Account(bounds.account));
        }
        if self.all + length > bounds.node {
            return Err(NoRoom::Node(bounds.node));
        }
        self.all += length;
        *self.bytes.entry(account).or_default() += length;
        Ok(())
    }

    fn give_back(&mut self, account: AccountId, length: usize) {
        self.all -= length;
        if let Some(bytes) = self.bytes.get_mut(&account) {
            *bytes -= length;
            if *bytes == 0 {
                self.bytes.remove(&account);
            }
        }
    }

    fn keep(&mut self, name: Named, sound: &Arc<[u8]>) {
        self.order.push_back(name.clone());
        self.sounds.insert(name, Arc::clone(sound));
    }

    /// Sounds that nobody hears go until what is here and comes is no more than is kept: those first that take most of the room
    /// alone, then the oldest.
    fn clear_away(&mut self, kept: usize, coming: usize) {
        for longest in [kept / 4, 0] {
            if self.all + coming <= kept {
                return;
            }
            for name in std::mem::take(&mut self.order) {
                let Some(sound) = self.sounds.get(&name) else {
                    continue;
                };
                let length = sound.len();
                let is_heard = Arc::strong_count(sound) > 1;
                if is_heard || length < longest || self.all + coming <= kept {
                    self.order.push_back(name);
                } else {
                    self.sounds.remove(&name);
                    self.give_back(name.0, length);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: AccountId = AccountId(1);
    const OTHER: AccountId = AccountId(2);

    fn key(text: &str) -> Key {
        Key::Speech {
            text: text.to_owned(),
            voice: None,
        }
    }

    fn shelf() -> Shelf {
        Shelf::new(Bounds {
            kept: 100,
            account: 200,
            node: 300,
        })
    }

    fn brings(
        shelf: &Shelf,
        account: AccountId,
        text: &str,
        length: usize,
    ) -> Result<Arc<[u8]>, NoRoom> {
        Ok(match shelf.get_or_bring(account, key(text), length)? {
            Got::Sound(sound) => sound,
            Got::Refused(why) => panic!("{why}"),
            Got::Turn(turn) => {
                let sound: Arc<[u8]> = vec![1; length].into();
                turn.done(&sound);
                sound
            }
        })
    }

    #[test]
    fn what_is_heard_is_there_once_and_bounded_for_its_account_and_for_all() {
        let shelf = shelf();
        let heard = brings(&shelf, ONE, "a", 150).unwrap();
        for _ in 0..1_000 {
            let again = brings(&shelf, ONE, "a", 150).unwrap();
            assert!(Arc::ptr_eq(&heard, &again));
        }
        assert_eq!(brings(&shelf, ONE, "b", 51), Err(NoRoom::Account(200)));
        let _small = brings(&shelf, ONE, "b", 50).unwrap();
        assert_eq!(brings(&shelf, OTHER, "c", 101), Err(NoRoom::Node(300)));
        let _others = brings(&shelf, OTHER, "c", 100).unwrap();
        drop(heard);
        brings(&shelf, OTHER, "d", 100).unwrap();
        assert!(shelf.get(ONE, &key("a")).is_none(), "nobody heard it");
        assert!(shelf.get(ONE, &key("b")).is_some());
    }

    #[test]
    fn what_cannot_be_played_is_known_as_that_and_brought_no_more() {
        let shelf = shelf();
        for number in 0..=limits::SOUNDS_REFUSED {
            let text = number.to_string();
            let Ok(Got::Turn(turn)) = shelf.get_or_bring(ONE, key(&text), 150) else {
                panic!("nobody has it");
            };
            turn.refuse("no sound");
        }
        let again = |text| shelf.get_or_bring(ONE, key(text), 150);
        assert!(matches!(again("1"), Ok(Got::Refused(why)) if &*why == "no sound"));
        assert!(matches!(again("0"), Ok(Got::Turn(_))), "it was forgotten");
        assert!(matches!(
            shelf.get_or_bring(OTHER, key("1"), 150),
            Ok(Got::Turn(_))
        ));
    }

    #[test]
    fn of_what_nobody_hears_the_last_is_kept_and_the_long_goes_first() {
        let shelf = shelf();
        for text in ["a", "b", "c", "d", "e"] {
            brings(&shelf, ONE, text, 24).unwrap();
        }
        let has = |text| shelf.get(ONE, &key(text)).is_some();
        assert!(!has("a") && has("b") && has("e"), "the first went");
        brings(&shelf, OTHER, "long", 60).unwrap();
        assert!(!has("d") && has("e"));
        brings(&shelf, ONE, "f", 24).unwrap();
        assert!(shelf.get(OTHER, &key("long")).is_none());
        assert!(has("e") && has("f"));
        let state = shelf.lock();
        assert_eq!((state.all, state.bytes.len()), (48, 1));
        assert_eq!(state.order.len(), state.sounds.len());
    }

    #[test]
    fn what_does_not_come_gives_its_room_back_and_the_next_in_turn_brings_it() {
        let shelf = shelf();
        let Ok(Got::Turn(turn)) = shelf.get_or_bring(ONE, key("a"), 150) else {
            panic!("nobody has it");
        };
        assert_eq!(brings(&shelf, ONE, "b", 100), Err(NoRoom::Account(200)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| brings(&shelf, ONE, "a", 150));
            drop(turn);
            assert_eq!(waiting.join().unwrap().unwrap().len(), 150);
        });
        assert_eq!(shelf.lock().all, 150);
        let spoken: Arc<[u8]> = vec![1; 20].into();
        shelf.put(ONE, key("s"), Arc::clone(&spoken)).unwrap();
        let again = shelf.put(ONE, key("s"), vec![1; 20].into()).unwrap();
        assert!(Arc::ptr_eq(&again, &spoken));
        assert_eq!(shelf.lock().all, 20, "no text twice");
    }
}
