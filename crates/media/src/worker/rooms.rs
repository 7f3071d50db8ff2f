//! Rooms of a worker: who comes, who goes, and their beat.
//!
//! Never keeps a room that nobody is in, and never has a leg in two.

use std::collections::BTreeSet;

use model::Now;
use model::limits::{MEDIA_ROOMS, ROOM_PARTIES};
use model::media::{Entry, LegId, MediaEvent, RoomId, SessionId};

use super::{Beat, Counter, Effect, Worker};
use crate::mixer::Room;

impl Worker {
    pub(super) fn enter(&mut self, now: Now, leg: LegId, room: RoomId, entry: Entry) {
        let session = self.sessions.get_mut(&leg.session);
        if session.and_then(|session| session.leg(leg.place)).is_none() {
            return;
        }
        let before = self.seats.get(&leg).copied();
        if before != Some(room) {
            if let Err(sentence) = self.check_seat(room) {
                self.effects.push_back(Effect::Count(Counter::Refused));
                let event = MediaEvent::NotEntered {
                    leg,
                    room,
                    sentence,
                };
                self.effects.push_back(Effect::Event(event));
                return;
            }
            self.vacate(leg);
        }
        if let Some(session) = self.sessions.get_mut(&leg.session) {
            session.sit(now.mono, leg.place, Some(entry.may_talk));
        }
        self.seats.insert(leg, room);
        let found = self
            .rooms
            .entry(room)
            .or_insert_with(|| Room::new(now.mono));
        found.enter(leg, entry);
        let due = found.poll_timeout();
        self.set_timer(Beat::Room(room), Some(due));
        self.settle(leg.session);
    }

    pub(super) fn leave(&mut self, now: Now, leg: LegId) {
        if !self.vacate(leg) {
            return;
        }
        if let Some(session) = self.sessions.get_mut(&leg.session) {
            session.sit(now.mono, leg.place, None);
        }
        self.settle(leg.session);
    }

    /// Its place is free, and the room gone if it was the last. False: it was in none.
    pub(super) fn vacate(&mut self, leg: LegId) -> bool {
        let Some(room) = self.seats.remove(&leg) else {
            return false;
        };
        if let Some(found) = self.rooms.get_mut(&room) {
            found.leave(leg);
            if found.is_empty() {
                self.rooms.remove(&room);
                self.set_timer(Beat::Room(room), None);
            }
        }
        true
    }

    pub(super) fn on_room_timeout(&mut self, now: Now, room: RoomId) {
        let Some(found) = self.rooms.get_mut(&room) else {
            return;
        };
        found.on_timeout(now.mono, &mut self.sessions, &mut self.effects);
        let due = found.poll_timeout();
        let legs: Vec<LegId> = found.legs().collect();
        self.set_timer(Beat::Room(room), Some(due));
        // What was sent may have ended a leg, and moves the timers of all.
        let touched: BTreeSet<SessionId> = legs.iter().map(|leg| leg.session).collect();
        for session in touched {
            if let Some(found) = self.sessions.get_mut(&session) {
                found.end_legs(now.mono, &mut self.effects);
            }
            self.settle(session);
        }
    }

    fn check_seat(&self, room: RoomId) -> Result<(), String> {
        match self.rooms.get(&room) {
            Some(found) if !found.has_room() => {
                Err(format!("the room has its {ROOM_PARTIES} parties"))
            }
            None if self.rooms.len() >= MEDIA_ROOMS => {
                Err(format!("the gateway has its {MEDIA_ROOMS} rooms"))
            }
            Some(_) | None => Ok(()),
        }
    }
}
