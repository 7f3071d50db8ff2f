//! A session: the legs of one call, on one beat of 20 ms, and which of them hear each other.
//!
//! Never decodes between two legs of one codec, and never reaches into another session. A leg that is in a room goes by the beat of
//! that.

use std::collections::{BTreeMap, VecDeque};

use model::limits::LEGS_PER_SESSION;
use model::media::{LegEnd, LegId, MediaCommand, PlayEnd, RecordEnd};
use model::{Instant, Now};

use crate::audio::{FRAME_TIME, Rate};
use crate::codec::Encoding;
use crate::leg::{Leg, Others, Reanswer, Reoffer, Said};
use crate::worker::Effect;

/// Frames that are made up for after a late driver; what is later than this is left out.
const CATCH_UP: u64 = 5;

/// What each leg's peer says in a frame, and at which rate.
type Heard = BTreeMap<u8, (Vec<i16>, Rate)>;

#[derive(Debug)]
pub(crate) struct Session {
    began: Instant,
    /// The frame that is next, counted from the beginning.
    frame: u64,
    /// Each in a box: a node of the tree has eleven places.
    legs: BTreeMap<u8, Box<Leg>>,
    /// Who hears whom; each pair stands there both ways.
    joined: BTreeMap<u8, u8>,
    /// Since it was last asked.
    has_lost_legs: bool,
}

impl Session {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            frame: 0,
            legs: BTreeMap::new(),
            joined: BTreeMap::new(),
            has_lost_legs: false,
        }
    }

    /// Whether a leg has ended since this was last asked.
    pub(crate) fn has_lost_legs(&mut self) -> bool {
        std::mem::take(&mut self.has_lost_legs)
    }

    /// Whether a leg can be added, while `taken` others wait for their ports.
    pub(crate) fn has_room(&self, place: u8, taken: usize) -> bool {
        self.legs.len() + taken < LEGS_PER_SESSION && !self.legs.contains_key(&place)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    pub(crate) fn add(&mut self, leg: Leg) {
        self.legs.insert(leg.id.place, Box::new(leg));
    }

    pub(crate) fn leg(&mut self, place: u8) -> Option<&mut Leg> {
        self.legs.get_mut(&place).map(Box::as_mut)
    }

    /// A command for one of its legs; false: there is no such leg.
    pub(crate) fn on_command(
        &mut self,
        now: Instant,
        leg: LegId,
        command: &MediaCommand,
        effects: &mut VecDeque<Effect>,
    ) -> bool {
        self.catch_up(now);
        if let MediaCommand::Join { other, .. } = command {
            return self.join(leg.place, *other);
        }
        if let MediaCommand::Part { .. } = command {
            self.part(leg.place);
            return true;
        }
        if let MediaCommand::CloseLeg { .. } = command {
            return self.close_leg(now, leg.place, effects);
        }
        let Some(leg) = self.legs.get_mut(&leg.place) else {
            return false;
        };
        let place = leg.id.place;
        leg.settle();
        match command {
            MediaCommand::Play { play, .. } => leg.play(play, effects),
            MediaCommand::StopPlay { .. } => leg.stop_play(PlayEnd::Stopped, effects),
            MediaCommand::Record { record, .. } => leg.record(record, effects),
            MediaCommand::StopRecord { .. } => leg.stop_record(RecordEnd::Stopped, effects),
            MediaCommand::Stream { stream, .. } => leg.stream(stream, effects),
            MediaCommand::StopStream { why, .. } => leg.stop_stream(*why, effects),
            MediaCommand::SendDigits { digits, .. } => leg.send_digits(digits),
            MediaCommand::Answer { .. }
            | MediaCommand::Join { .. }
            | MediaCommand::Part { .. }
            | MediaCommand::Offer { .. }
            | MediaCommand::Accept { .. }
            | MediaCommand::Confirm { .. }
            | MediaCommand::Reoffer { .. }
            | MediaCommand::CloseLeg { .. }
            | MediaCommand::Enter { .. }
            | MediaCommand::Leave { .. }
            | MediaCommand::Close { .. } => {}
        }
        self.overhear(place);
        true
    }

    /// Whoever is joined with this one is decoded for its recording, or no longer.
    fn overhear(&mut self, place: u8) {
        let records_both = self.legs.get(&place).is_some_and(|leg| leg.records_both());
        if let Some(other) = self.joined.get(&place)
            && let Some(other) = self.legs.get_mut(other)
        {
            other.overhear(records_both);
        }
    }

    /// A datagram, or another word, for one of its legs. False: nothing is due sooner than before, and no leg has ended.
    pub(crate) fn hear<'a>(
        &mut self,
        now: Instant,
        place: u8,
        hear: impl FnOnce(&mut Leg, &mut VecDeque<Effect>) -> Said<'a>,
        effects: &mut VecDeque<Effect>,
    ) -> bool {
        let Some(leg) = self.legs.get_mut(&place) else {
            return false;
        };
        let said = hear(leg, effects);
        self.pass_on(now, place, &said, effects);
        if !said.is_but_sound {
            self.end_legs(now, effects);
        }
        !said.is_but_sound
    }

    /// What one leg's peer said goes to the leg that is joined with it.
    fn pass_on(
        &mut self,
        now: Instant,
        place: u8,
        said: &Said<'_>,
        effects: &mut VecDeque<Effect>,
    ) {
        if said.spoken.is_none() && said.keys.is_empty() {
            return;
        }
        let frame = self.frame_at(now);
        if let Some(other) = self.joined.get(&place)
            && let Some(other) = self.legs.get_mut(other)
        {
            other.on_said(now, frame, said, effects);
        }
    }

    /// A further offer of one leg's peer; nothing: there is no such leg.
    pub(crate) fn reoffer(
        &mut self,
        now: Instant,
        place: u8,
        reoffer: &Reoffer<'_>,
        effects: &mut VecDeque<Effect>,
    ) -> Option<Result<Reanswer, String>> {
        self.catch_up(now);
        let answered = self.legs.get_mut(&place)?.reoffer(now, reoffer, effects);
        let is_codec_new = answered
            .as_ref()
            .is_ok_and(|answered| answered.is_codec_new);
        if is_codec_new && let Some(other) = self.joined.get(&place).copied() {
            self.join(place, other);
        }
        Some(answered)
    }

    /// What one leg's peer says after it was heard early; nothing: there is no such leg.
    pub(crate) fn confirm(
        &mut self,
        now: Instant,
        place: u8,
        answer: &str,
        spoken: &[Encoding],
        random: u64,
    ) -> Option<Result<(), String>> {
        self.catch_up(now);
        let leg = self.legs.get_mut(&place)?;
        let is_codec_new = match leg.confirm(now, answer, spoken, random) {
            Ok(is_codec_new) => is_codec_new,
            Err(sentence) => return Some(Err(sentence)),
        };
        if is_codec_new && let Some(other) = self.joined.get(&place).copied() {
            self.join(place, other);
        }
        Some(Ok(()))
    }

    /// One of its legs goes into a room, where it may talk or not; or comes out. False: there is no such leg.
    pub(crate) fn sit(&mut self, now: Instant, place: u8, seat: Option<bool>) -> bool {
        self.catch_up(now);
        if seat.is_some() {
            self.part(place);
        }
        let leg = self.legs.get_mut(&place);
        leg.map(|leg| leg.sit(seat)).is_some()
    }

    /// Closes one leg; false: there is no such leg.
    fn close_leg(&mut self, now: Instant, place: u8, effects: &mut VecDeque<Effect>) -> bool {
        let Some(leg) = self.legs.get_mut(&place) else {
            return false;
        };
        leg.end = leg.end.or(Some(LegEnd::Closed));
        self.end_legs(now, effects);
        true
    }

    /// Closes every leg.
    pub(crate) fn close(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        while let Some((_, mut leg)) = self.legs.pop_first() {
            self.has_lost_legs = true;
            leg.close(now, LegEnd::Closed, effects);
        }
        self.joined.clear();
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let is_ticking = self.legs.values().any(|leg| leg.is_ticking());
        let tick = is_ticking.then(|| self.time_of(self.frame));
        let legs = self
            .legs
            .values()
            .filter_map(|leg| leg.poll_timeout())
            .min();
        [tick, legs].into_iter().flatten().min()
    }

    pub(crate) fn on_timeout(&mut self, now: Now, effects: &mut VecDeque<Effect>) {
        let places: Vec<u8> = self.legs.keys().copied().collect();
        for place in places {
            self.hear(
                now.mono,
                place,
                |leg, effects| leg.on_timeout(now, effects),
                effects,
            );
        }
        self.catch_up(now.mono);
        while self.legs.values().any(|leg| leg.is_ticking()) && self.time_of(self.frame) <= now.mono
        {
            self.tick(now.mono, effects);
        }
        self.end_legs(now.mono, effects);
    }

    fn tick(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        let mut heard: Heard = BTreeMap::new();
        // Whoever is in a room goes by its beat.
        let legs = self.legs.iter_mut();
        for (place, leg) in legs.filter(|(_, leg)| !leg.is_seated()) {
            if let Some(frame) = leg.hear(effects) {
                heard.insert(*place, (frame, leg.rate()));
            }
        }
        self.keep_both(&heard, effects);
        let legs = self.legs.iter_mut();
        for (place, leg) in legs.filter(|(_, leg)| !leg.is_seated()) {
            let other = self.joined.get(place).and_then(|other| heard.get(other));
            let others = other.map_or(Others::Nobody, |(other, rate)| Others::Joined(other, *rate));
            leg.speak(now, self.frame, others, effects);
        }
        self.frame += 1;
    }

    /// Recordings of two legs that are joined.
    fn keep_both(&mut self, heard: &Heard, effects: &mut VecDeque<Effect>) {
        let records = self.legs.iter().filter(|(_, leg)| leg.records_both());
        let records: Vec<u8> = records.map(|(place, _)| *place).collect();
        for place in records {
            let other = self.joined.get(&place);
            let other = other.and_then(|other| heard.get(other));
            let other = other.map(|(other, rate)| (other.as_slice(), *rate));
            if let Some(leg) = self.legs.get_mut(&place) {
                let own = heard.get(&place).map(|(own, _)| own.as_slice());
                leg.keep_both(own, other, effects);
            }
            self.overhear(place);
        }
    }

    /// Whoever they were joined with hears nothing of them any more.
    fn join(&mut self, one: u8, other: u8) -> bool {
        let encoding = |place| Some(self.legs.get(place)?.agreed.encoding);
        let (Some(of_one), Some(of_other)) = (encoding(&one), encoding(&other)) else {
            return false;
        };
        if one == other {
            return false;
        }
        self.part(one);
        self.part(other);
        for (place, heard, of) in [(one, other, of_other), (other, one, of_one)] {
            if let Some(leg) = self.legs.get_mut(&place) {
                leg.join(Some(of));
            }
            self.joined.insert(place, heard);
        }
        self.overhear(one);
        self.overhear(other);
        true
    }

    fn part(&mut self, place: u8) {
        if let Some(other) = self.joined.get(&place).copied() {
            for place in [place, other] {
                self.joined.remove(&place);
                if let Some(leg) = self.legs.get_mut(&place) {
                    leg.join(None);
                    leg.overhear(false);
                }
            }
        }
    }

    /// Those that are over.
    pub(crate) fn end_legs(&mut self, now: Instant, effects: &mut VecDeque<Effect>) {
        let over: Vec<(u8, LegEnd)> = self
            .legs
            .iter()
            .filter_map(|(place, leg)| Some((*place, leg.end?)))
            .collect();
        if !over.is_empty() {
            self.catch_up(now);
        }
        for (place, end) in over {
            self.part(place);
            if let Some(mut leg) = self.legs.remove(&place) {
                self.has_lost_legs = true;
                leg.close(now, end, effects);
            }
        }
    }

    /// After a time without a beat, or a driver that was late, the beat goes on from now.
    fn catch_up(&mut self, now: Instant) {
        let due = self.frame_at(now);
        let is_ticking = self.legs.values().any(|leg| leg.is_ticking());
        if !is_ticking && self.frame < due || self.frame + CATCH_UP < due {
            self.frame = due;
        }
    }

    /// The frame of a moment.
    pub(crate) fn frame_at(&self, now: Instant) -> u64 {
        let passed = now.as_micros().saturating_sub(self.began.as_micros());
        passed / FRAME_TIME.as_micros() as u64
    }

    fn time_of(&self, frame: u64) -> Instant {
        let micros = u64::try_from(FRAME_TIME.as_micros()).unwrap_or(u64::MAX);
        Instant::from_micros(self.began.as_micros() + frame.saturating_mul(micros))
    }
}
