//! Conferences: callers of one account, in one room by its name.
//!
//! A room is there while somebody is in it or waits for it. Who hears whom is the gateway's.

use std::collections::BTreeMap;

use model::media::RoomId;
use model::{AccountId, Now, limits};

use super::action::Participant;
use crate::call::CallKey;
use crate::shard::Shard;

/// The conferences of a shard.
#[derive(Debug, Default)]
pub(crate) struct Conferences {
    rooms: BTreeMap<(AccountId, String), Room>,
    last: u64,
}

#[derive(Debug)]
struct Room {
    id: RoomId,
    parties: Vec<CallKey>,
    /// Until somebody comes who starts it, everybody waits.
    has_started: bool,
}

/// What a run wants of a conference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To be in it.
    Enter {
        /// Its name.
        name: String,
        /// In which way.
        participant: Participant,
    },
    /// To be in it no longer.
    Leave {
        /// Its name.
        name: String,
        /// Whether it ends for everybody.
        destroys: bool,
    },
}

impl Conferences {
    /// A room of the gateway that has no name.
    pub(crate) fn nameless(&mut self, shard: u16) -> RoomId {
        self.last += 1;
        RoomId::of_shard(shard, self.last)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Whether it would be a new one of an account that has as many as it may have.
    fn is_one_too_many(&self, of: &(AccountId, String)) -> bool {
        let first = (of.0, String::new());
        let own = self.rooms.range(first..);
        let own = own.take_while(|((account, _), _)| *account == of.0);
        !self.rooms.contains_key(of) && own.count() >= limits::CONFERENCES_PER_ACCOUNT
    }

    /// What must hold: everybody in a room is there, once, and no room is empty.
    pub(crate) fn check(&self, is_there: impl Fn(CallKey) -> bool) -> Result<(), String> {
        for ((_, name), room) in &self.rooms {
            let mut parties = room.parties.clone();
            parties.sort_unstable();
            parties.dedup();
            if parties.is_empty() || parties.len() != room.parties.len() {
                return Err(format!(
                    "the conference {name:?} is empty, or somebody is in it twice"
                ));
            }
            if let Some(gone) = parties.into_iter().find(|key| !is_there(*key)) {
                return Err(format!(
                    "{gone:?} is in the conference {name:?} and is over"
                ));
            }
        }
        Ok(())
    }
}

impl Shard {
    /// What a run wants of conferences, until it wants nothing more.
    pub(crate) fn grant_wishes(&mut self, now: Now, key: CallKey) {
        while let Some(run) = self.runs.get_mut(&key)
            && let Some(wish) = run.take_wish()
        {
            let account = run.record().account;
            match wish {
                Wish::Enter { name, participant } => {
                    self.enter(now, key, (account, name), participant);
                }
                Wish::Leave { name, destroys } => self.leave(now, key, &(account, name), destroys),
            }
        }
    }

    fn enter(&mut self, now: Now, key: CallKey, of: (AccountId, String), participant: Participant) {
        let conferences = &mut self.conferences;
        let number = self.number;
        if conferences.is_one_too_many(&of) {
            let most = limits::CONFERENCES_PER_ACCOUNT;
            let why = format!("the account has {most} conferences, as many as it may have");
            return self.drive_run(now, key, |run, act| run.on_not_conferring(&why, act));
        }
        let room = conferences.rooms.entry(of).or_insert_with(|| {
            conferences.last += 1;
            Room {
                id: RoomId::of_shard(number, conferences.last),
                parties: Vec::new(),
                has_started: false,
            }
        });
        if room.parties.len() >= limits::ROOM_PARTIES {
            let most = limits::ROOM_PARTIES;
            let why = format!("the conference has its {most} parties");
            return self.drive_run(now, key, |run, act| run.on_not_conferring(&why, act));
        }
        room.parties.push(key);
        let id = room.id;
        let begin = if room.has_started {
            vec![key]
        } else if participant.start_on_entry {
            room.has_started = true;
            room.parties.clone()
        } else {
            Vec::new()
        };
        for party in begin {
            self.drive_run(now, party, |run, act| run.on_conferring(id, act));
        }
    }

    fn leave(&mut self, now: Now, key: CallKey, of: &(AccountId, String), destroys: bool) {
        let Some(room) = self.conferences.rooms.get_mut(of) else {
            return;
        };
        let Some(at) = room.parties.iter().position(|party| *party == key) else {
            // It has ended for everybody, and this may be another of the same name.
            return;
        };
        room.parties.remove(at);
        let others = if destroys {
            std::mem::take(&mut room.parties)
        } else {
            Vec::new()
        };
        if room.parties.is_empty() {
            self.conferences.rooms.remove(of);
        }
        for other in others {
            self.drive_run(now, other, |run, act| run.on_conference_over(act));
        }
    }
}
