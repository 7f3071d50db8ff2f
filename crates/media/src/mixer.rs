//! A room: everybody hears everybody else and not himself, on one beat of 20 ms.
//!
//! Never mixes more than a handful, the loudest; never encodes the same mix twice in one codec, and never decodes whoever sends
//! nothing. Legs stay those of their sessions: a room knows their names alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::Instant;
use model::limits::{ROOM_PARTIES, ROOM_TALKERS};
use model::media::{Entry, LegId, Play, SessionId, Sound, Tone};

use crate::audio::{FRAME_TIME, Rate, SILENCE_POWER, power};
use crate::codec::{Codec, Encoding, Resampler};
use crate::leg::Others;
use crate::player::Player;
use crate::session::Session;
use crate::worker::Effect;
use crate::worker::Table;

/// Frames that are made up for after a late driver; what is later than this is left out.
const CATCH_UP: u64 = 5;
/// How slowly who falls silent gives up his place: an eighth less each frame, so that no end of a word is lost.
const DECAY: u64 = 8;

#[derive(Debug)]
pub(crate) struct Room {
    began: Instant,
    /// The frame that is next, counted from the beginning.
    frame: u64,
    parties: BTreeMap<LegId, Party>,
    /// For those who hear the whole mix.
    shared: BTreeMap<(Encoding, Rate), Shared>,
    /// That somebody comes, at both rates.
    beep: Option<[Player; 2]>,
}

/// Somebody in the room.
#[derive(Debug)]
struct Party {
    may_talk: bool,
    /// What it speaks, and at which rate; not known before the first frame.
    ear: Option<Ear>,
    /// How loud it is and was.
    level: u64,
    /// Whether it is one of the loudest.
    is_heard: bool,
    /// What it says in this frame, at its own rate; nothing for silence.
    said: Vec<i16>,
    /// The same at the other rate, where somebody hears at that.
    also_said: Vec<i16>,
    resampler: Option<Resampler>,
    resampled: Vec<i16>,
}

/// How a leg hears in one frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ear {
    pub(crate) encoding: Encoding,
    pub(crate) rate: Rate,
    /// It hears something of its own: a key, a beep, what is played to it.
    pub(crate) is_busy: bool,
    /// It is sent silence too.
    pub(crate) takes_silence: bool,
}

/// One encoding for many.
#[derive(Debug)]
struct Shared {
    codec: Box<dyn Codec>,
    payload: Vec<u8>,
}

/// The sum of whoever is heard, at both rates.
#[derive(Debug)]
struct Mix {
    narrow: Vec<i32>,
    wide: Vec<i32>,
    talkers: usize,
    has_beep: bool,
}

impl Room {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            frame: 1,
            parties: BTreeMap::new(),
            shared: BTreeMap::new(),
            beep: None,
        }
    }

    /// Whether one more can come.
    pub(crate) fn has_room(&self) -> bool {
        self.parties.len() < ROOM_PARTIES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parties.is_empty()
    }

    /// Who is there.
    pub(crate) fn legs(&self) -> impl Iterator<Item = LegId> {
        self.parties.keys().copied()
    }

    /// Somebody comes, or is there in another way from now on.
    pub(crate) fn enter(&mut self, leg: LegId, entry: Entry) {
        let party = self.parties.entry(leg).or_insert_with(Party::new);
        party.may_talk = entry.may_talk;
        if entry.beep {
            self.beep = beeps();
        }
    }

    pub(crate) fn leave(&mut self, leg: LegId) {
        self.parties.remove(&leg);
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.time_of(self.frame)
    }

    /// Every frame that is due.
    pub(crate) fn on_timeout(
        &mut self,
        now: Instant,
        sessions: &mut Table<SessionId, Session>,
        effects: &mut VecDeque<Effect>,
    ) {
        let due = self.frame_at(now);
        if self.frame + CATCH_UP < due {
            self.frame = due;
        }
        while self.time_of(self.frame) <= now {
            self.tick(now, sessions, effects);
        }
    }

    fn tick(
        &mut self,
        now: Instant,
        sessions: &mut Table<SessionId, Session>,
        effects: &mut VecDeque<Effect>,
    ) {
        let at = self.time_of(self.frame);
        self.frame += 1;
        for (leg, party) in &mut self.parties {
            let session = sessions.get_mut(&leg.session);
            if let Some(found) = session.and_then(|session| session.leg(leg.place)) {
                party.ear = Some(found.ear());
                let said = found.hear(effects);
                party.hear(said.filter(|_| party.may_talk));
            }
        }
        self.choose();
        let mix = self.mix();
        self.encode(&mix);
        for (leg, party) in &self.parties {
            let Some(session) = sessions.get_mut(&leg.session) else {
                continue;
            };
            let frame = session.frame_at(at);
            let (Some(found), Some(ear)) = (session.leg(leg.place), party.ear) else {
                continue;
            };
            if mix.is_silent_for(party) && !ear.takes_silence {
                found.speak(now, frame, Others::Nobody, effects);
                continue;
            }
            let shared = self.shared.get(&(ear.encoding, ear.rate));
            match shared.filter(|_| party.hears_all(&ear)) {
                Some(shared) => {
                    found.speak(now, frame, Others::Encoded(&shared.payload), effects);
                }
                None => {
                    let sound = mix.without(party, ear.rate);
                    found.speak(now, frame, Others::Room(&sound), effects);
                }
            }
        }
    }

    /// The loudest are heard; of two as loud, whoever has the lower name.
    fn choose(&mut self) {
        let mut loud: Vec<(u64, LegId)> = Vec::new();
        for (leg, party) in &mut self.parties {
            party.is_heard = false;
            if party.level >= SILENCE_POWER {
                loud.push((party.level, *leg));
            }
        }
        loud.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
        for (_, leg) in loud.iter().take(ROOM_TALKERS) {
            if let Some(party) = self.parties.get_mut(leg) {
                party.is_heard = true;
            }
        }
    }

    fn mix(&mut self) -> Mix {
        let hears_at = |rate: Rate| {
            self.parties
                .values()
                .any(|party| party.ear.is_some_and(|ear| ear.rate == rate))
        };
        let (is_narrow, is_wide) = (hears_at(Rate::Hz8000), hears_at(Rate::Hz16000));
        let mut mix = Mix {
            narrow: vec![0; Rate::Hz8000.frame()],
            wide: vec![0; Rate::Hz16000.frame()],
            talkers: 0,
            has_beep: false,
        };
        for party in self.parties.values_mut().filter(|party| party.is_heard) {
            party.resample(is_narrow && is_wide);
            mix.talkers += 1;
            for rate in [Rate::Hz8000, Rate::Hz16000] {
                add(mix.at(rate), party.said_at(rate));
            }
        }
        let mut frame = Vec::new();
        let mut has_beep = false;
        for (player, rate) in self
            .beep
            .iter_mut()
            .flatten()
            .zip([Rate::Hz8000, Rate::Hz16000])
        {
            has_beep |= player.frame(&mut frame);
            add(mix.at(rate), &frame);
        }
        if !has_beep {
            self.beep = None;
        }
        mix.has_beep = has_beep;
        mix
    }

    /// The whole mix, once in each codec that somebody hears it in.
    fn encode(&mut self, mix: &Mix) {
        let wanted = self.parties.values().filter_map(|party| {
            let ear = party.ear.filter(|ear| party.hears_all(ear))?;
            let is_sent = ear.takes_silence || !mix.is_silent_for(party);
            is_sent.then_some((ear.encoding, ear.rate))
        });
        let wanted: BTreeSet<(Encoding, Rate)> = wanted.collect();
        for (encoding, rate) in wanted {
            let shared = match self.shared.remove(&(encoding, rate)) {
                Some(shared) => Some(shared),
                None => encoding.codec_adapted(rate).ok().map(|codec| Shared {
                    codec,
                    payload: Vec::new(),
                }),
            };
            let Some(mut shared) = shared else {
                continue;
            };
            shared.payload.clear();
            let sound = clip(mix.of(rate), &[]);
            if shared.codec.encode(&sound, &mut shared.payload).is_ok() {
                self.shared.insert((encoding, rate), shared);
            }
        }
    }

    fn frame_at(&self, now: Instant) -> u64 {
        let passed = now.since(self.began).as_micros() / FRAME_TIME.as_micros();
        u64::try_from(passed).unwrap_or(u64::MAX)
    }

    fn time_of(&self, frame: u64) -> Instant {
        let micros = u64::try_from(FRAME_TIME.as_micros()).unwrap_or(u64::MAX);
        Instant::from_micros(self.began.as_micros() + frame.saturating_mul(micros))
    }
}

impl Party {
    fn new() -> Self {
        Self {
            may_talk: false,
            ear: None,
            level: 0,
            is_heard: false,
            said: Vec::new(),
            also_said: Vec::new(),
            resampler: None,
            resampled: Vec::new(),
        }
    }

    fn hear(&mut self, said: Option<Vec<i16>>) {
        self.said = said.unwrap_or_default();
        self.also_said.clear();
        let now = power(&self.said);
        self.level = now.max(self.level - self.level.div_ceil(DECAY));
    }

    /// Nobody's mix is without it, and it hears nothing of its own.
    fn hears_all(&self, ear: &Ear) -> bool {
        !self.is_heard && !ear.is_busy
    }

    /// What it says, at the other rate too.
    fn resample(&mut self, is_wanted: bool) {
        let Some(ear) = self.ear.filter(|_| is_wanted && !self.said.is_empty()) else {
            return;
        };
        let other = other_rate(ear.rate);
        if self.resampler.is_none() {
            self.resampler = Resampler::new(ear.rate.hz(), other).ok();
        }
        if let Some(resampler) = &mut self.resampler {
            resampler.push(&self.said, &mut self.resampled);
            let whole = other.frame().min(self.resampled.len());
            self.also_said.extend(self.resampled.drain(..whole));
        }
    }

    fn said_at(&self, rate: Rate) -> &[i16] {
        if self.ear.is_some_and(|ear| ear.rate == rate) {
            &self.said
        } else {
            &self.also_said
        }
    }
}

impl Mix {
    fn at(&mut self, rate: Rate) -> &mut [i32] {
        match rate {
            Rate::Hz8000 => &mut self.narrow,
            Rate::Hz16000 | Rate::Hz48000 => &mut self.wide,
        }
    }

    fn of(&self, rate: Rate) -> &[i32] {
        match rate {
            Rate::Hz8000 => &self.narrow,
            Rate::Hz16000 | Rate::Hz48000 => &self.wide,
        }
    }

    /// Nobody else talks.
    fn is_silent_for(&self, party: &Party) -> bool {
        self.talkers == usize::from(party.is_heard) && !self.has_beep
    }

    /// What a party hears: all but itself.
    fn without(&self, party: &Party, rate: Rate) -> Vec<i16> {
        let own: &[i16] = if party.is_heard {
            party.said_at(rate)
        } else {
            &[]
        };
        clip(self.of(rate), own)
    }
}

/// No leg has 48 kHz: Opus is spoken at 16.
fn other_rate(rate: Rate) -> Rate {
    match rate {
        Rate::Hz8000 => Rate::Hz16000,
        Rate::Hz16000 | Rate::Hz48000 => Rate::Hz8000,
    }
}

fn add(total: &mut [i32], said: &[i16]) {
    for (total, said) in total.iter_mut().zip(said) {
        *total += i32::from(*said);
    }
}

fn clip(total: &[i32], own: &[i16]) -> Vec<i16> {
    let own = own.iter().copied().chain(std::iter::repeat(0));
    let rest = total
        .iter()
        .zip(own)
        .map(|(total, own)| total - i32::from(own));
    rest.map(|sample| sample.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16)
        .collect()
}

fn beeps() -> Option<[Player; 2]> {
    let play = Play {
        sounds: vec![Sound::Tone(Tone::beep())],
        times: Some(1),
        until_digit: false,
    };
    let player = |rate| Player::new(&play, rate).ok();
    Some([player(Rate::Hz8000)?, player(Rate::Hz16000)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(levels: &[u64]) -> Room {
        let mut room = Room::new(Instant::default());
        for (place, level) in levels.iter().enumerate() {
            let leg = LegId {
                session: SessionId(place as u64),
                place: 0,
            };
            room.enter(
                leg,
                Entry {
                    may_talk: true,
                    beep: false,
                },
            );
            room.parties.get_mut(&leg).unwrap().level = *level;
        }
        room
    }

    #[test]
    fn the_loudest_are_heard_and_silence_is_not() {
        let heard = |levels: &[u64]| {
            let mut room = room(levels);
            room.choose();
            let heard = room.parties.values().map(|party| party.is_heard);
            heard.collect::<Vec<bool>>()
        };
        assert_eq!(heard(&[SILENCE_POWER - 1, SILENCE_POWER]), [false, true]);
        let loud = SILENCE_POWER * 100;
        let many = heard(&[loud, loud, loud + 1, loud, loud - 1, loud, loud + 2]);
        assert_eq!(many, [true, true, true, true, false, false, true]);
    }

    #[test]
    fn who_falls_silent_is_heard_for_a_second_more_and_then_is_not() {
        let mut party = Party::new();
        party.hear(Some(vec![8_000; 160]));
        let frames = (0..).take_while(|_| {
            party.hear(None);
            party.level >= SILENCE_POWER
        });
        let frames = frames.count();
        assert!((40..100).contains(&frames), "{frames}");
        (0..200).for_each(|_| party.hear(None));
        assert_eq!(party.level, 0);
    }

    #[test]
    fn a_mix_is_the_sum_of_the_others_and_never_wraps() {
        assert_eq!(
            clip(&[70_000, -70_000, 5], &[10, 0]),
            [i16::MAX, i16::MIN, 5]
        );
        assert_eq!(clip(&[100, 50], &[100, 20]), [0, 30]);
    }
}
