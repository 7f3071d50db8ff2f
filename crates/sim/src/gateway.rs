//! A media gateway as the world plays it: it answers and offers, plays and records for as long as that lasts, and tells so.
//!
//! Carries no sound: the gateway's own tests and browsers do that. What goes wrong here is what a switch must live with: refusals, callers
//! that are never heard, legs that end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use model::media::{
    Digit, Entry, LegEnd, LegId, LegUsage, MediaCommand, MediaEvent, Play, PlayEnd, Record,
    RecordEnd, RoomId, SessionId, Sound, Stream, StreamEnd, StreamStop,
};

use crate::clock::{MILLI, SECOND};

mod bot;

pub use bot::Bot;

/// Where it is, as [`GATEWAY_SDP`] says. Nobody is there but strangers whom a scenario puts there.
pub const GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9)), 3_479);

/// What it answers and offers.
pub const GATEWAY_SDP: &str = "v=0\r\no=- 7 8 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=candidate:1 1 udp 2130706431 198.51.100.9 3479 typ host\r\n";

/// What goes wrong with it.
#[derive(Clone, Copy, Debug)]
pub struct Conduct {
    /// Whether it takes new legs.
    pub refuses: bool,
    /// Whether its peers are never heard.
    pub is_deaf: bool,
    /// How long a peer takes to be heard, in microseconds.
    pub connects_after: u64,
    /// Whether its rooms have no place left.
    pub is_full: bool,
    /// For how long whoever is recorded speaks, in microseconds.
    pub speech: u64,
    /// How bots behave.
    pub bot: Bot,
}

impl Default for Conduct {
    fn default() -> Self {
        Self {
            refuses: false,
            is_deaf: false,
            connects_after: 80 * MILLI,
            is_full: false,
            speech: 2 * SECOND,
            bot: Bot::Talks,
        }
    }
}

#[derive(Debug, Default)]
struct Leg {
    plays: Option<Playing>,
    records: Option<Recording>,
    /// The number of its stream.
    streams: Option<u64>,
    is_accepted: bool,
}

#[derive(Debug)]
struct Playing {
    play: Play,
    since: u64,
    ends: Option<u64>,
}

#[derive(Debug)]
struct Recording {
    since: u64,
    ends: u64,
    length: u64,
    end: RecordEnd,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Gateway {
    /// What goes wrong.
    pub conduct: Conduct,
    legs: BTreeMap<LegId, Leg>,
    joined: BTreeSet<(LegId, u8)>,
    rooms: BTreeMap<LegId, RoomId>,
    silenced: BTreeSet<LegId>,
    /// What is to be told, and when.
    told: BTreeMap<(u64, u64), MediaEvent>,
    number: u64,
    /// Everything that was played, for whoever wants to know.
    pub played: Vec<(LegId, Play)>,
    /// Every key that was sent, together with those that were wanted at once.
    pub sent: Vec<(LegId, String)>,
    /// Every stream that was to be opened.
    pub streamed: Vec<Stream>,
    /// Why streams were stopped.
    pub stopped: Vec<StreamStop>,
}

impl Gateway {
    /// The process is gone.
    pub fn vanish(&mut self) {
        let conduct = self.conduct;
        *self = Self {
            conduct,
            ..Self::default()
        };
    }

    /// The switch asks for something.
    pub fn command(&mut self, now: u64, command: MediaCommand) {
        match command {
            MediaCommand::Answer { leg, .. } => self.open(now, leg, |leg| MediaEvent::Answered {
                leg,
                answer: GATEWAY_SDP.into(),
            }),
            MediaCommand::Offer { leg, .. } => self.open(now, leg, |leg| MediaEvent::Offered {
                leg,
                offer: GATEWAY_SDP.into(),
            }),
            MediaCommand::Accept { leg, .. } | MediaCommand::Confirm { leg, .. } => {
                self.connect(now, leg)
            }
            MediaCommand::Reoffer { leg, .. } => {
                if self.legs.contains_key(&leg) {
                    let answer = GATEWAY_SDP.into();
                    self.tell(now, 5 * MILLI, MediaEvent::Answered { leg, answer });
                }
            }
            MediaCommand::Play { leg, play } => self.play(now, leg, play),
            MediaCommand::StopPlay { leg } => self.end_play(now, leg, PlayEnd::Stopped),
            MediaCommand::Record { leg, record } => self.record(now, leg, &record),
            MediaCommand::StopRecord { leg } => self.end_record(now, leg, RecordEnd::Stopped),
            MediaCommand::Join { leg, other } => {
                self.joined.insert((leg, other));
            }
            MediaCommand::Part { leg } => self
                .joined
                .retain(|(joined, _)| joined.session != leg.session),
            MediaCommand::CloseLeg { leg } => self.close(now, leg),
            MediaCommand::Close { session } => {
                for leg in self.legs_of(session) {
                    self.close(now, leg);
                }
            }
            MediaCommand::Enter { leg, room, entry } => self.enter(now, leg, room, entry),
            MediaCommand::Leave { leg } => _ = self.rooms.remove(&leg),
            MediaCommand::SendDigits { leg, digits } => {
                let keys = digits.iter().map(|digit| digit.key());
                self.sent.push((leg, keys.collect()));
            }
            MediaCommand::Stream { leg, stream } => self.stream(now, leg, *stream),
            MediaCommand::StopStream { leg, why } => {
                self.end_stream(now, leg, StreamEnd::Stopped(why));
            }
        }
    }

    /// When it has something to tell.
    pub fn poll_timeout(&self) -> Option<u64> {
        let told = self.told.keys().next().map(|(at, _)| *at);
        let legs = self.legs.values().flat_map(|leg| {
            let play = leg.plays.as_ref().and_then(|playing| playing.ends);
            let record = leg.records.as_ref().map(|recording| recording.ends);
            [play, record]
        });
        legs.flatten().chain(told).min()
    }

    /// What it tells now.
    pub fn wake(&mut self, now: u64) -> Vec<MediaEvent> {
        let due: Vec<LegId> = self.legs.keys().copied().collect();
        for leg in due {
            let Leg { plays, records, .. } = &self.legs[&leg];
            let ends = plays.as_ref().and_then(|playing| playing.ends);
            let play = ends.is_some_and(|at| at <= now);
            let record = records.as_ref().filter(|recording| recording.ends <= now);
            let record = record.map(|recording| recording.end);
            if play {
                self.end_play(now, leg, PlayEnd::Finished);
            }
            if let Some(end) = record {
                self.end_record(now, leg, end);
            }
        }
        let mut events = Vec::new();
        while let Some(entry) = self.told.first_entry()
            && entry.key().0 <= now
        {
            events.push(entry.remove());
        }
        events
    }

    /// Whether two legs of a session hear each other.
    pub fn is_joined(&self, session: SessionId) -> bool {
        self.joined.iter().any(|(leg, _)| leg.session == session)
    }

    /// Who is in which room.
    pub fn rooms(&self) -> &BTreeMap<LegId, RoomId> {
        &self.rooms
    }

    /// Whether the others in its room hear a leg.
    pub fn may_talk(&self, leg: LegId) -> bool {
        self.rooms.contains_key(&leg) && !self.silenced.contains(&leg)
    }

    /// Its legs.
    pub fn legs(&self) -> Vec<LegId> {
        self.legs.keys().copied().collect()
    }

    /// What a leg hears, if something is played to it.
    pub fn hears(&self, leg: LegId) -> Option<&Play> {
        self.legs
            .get(&leg)?
            .plays
            .as_ref()
            .map(|playing| &playing.play)
    }

    /// The peer of a leg presses a key.
    pub fn press(&mut self, now: u64, leg: LegId, key: char) {
        let Some(digit) = Digit::from_key(key).filter(|_| self.legs.contains_key(&leg)) else {
            return;
        };
        self.tell(now, 0, MediaEvent::Digit { leg, digit });
        let plays = self.legs.get(&leg).and_then(|leg| leg.plays.as_ref());
        if plays.is_some_and(|playing| playing.play.until_digit) {
            self.end_play(now, leg, PlayEnd::Digit(digit));
        }
    }

    /// The peer of a leg is gone.
    pub fn lose(&mut self, now: u64, leg: LegId, end: LegEnd) {
        if self.legs.remove(&leg).is_some() {
            self.rooms.remove(&leg);
            let usage = LegUsage::default();
            self.tell(now, 0, MediaEvent::Ended { leg, end, usage });
        }
    }

    fn legs_of(&self, session: SessionId) -> Vec<LegId> {
        let of_it = self.legs.keys().filter(|leg| leg.session == session);
        of_it.copied().collect()
    }

    fn open(&mut self, now: u64, leg: LegId, told: impl FnOnce(LegId) -> MediaEvent) {
        if self.conduct.refuses {
            let sentence = "the gateway has no room".to_owned();
            return self.tell(now, MILLI, MediaEvent::Refused { leg, sentence });
        }
        self.legs.insert(leg, Leg::default());
        let told = told(leg);
        let answers = matches!(told, MediaEvent::Answered { .. });
        self.tell(now, 2 * MILLI, told);
        if answers {
            self.connect(now, leg);
        }
    }

    fn enter(&mut self, now: u64, leg: LegId, room: RoomId, entry: Entry) {
        if !self.legs.contains_key(&leg) {
            return;
        }
        if self.conduct.is_full {
            let sentence = "the room has no place left".to_owned();
            let event = MediaEvent::NotEntered {
                leg,
                room,
                sentence,
            };
            return self.tell(now, MILLI, event);
        }
        self.rooms.insert(leg, room);
        if entry.may_talk {
            self.silenced.remove(&leg);
        } else {
            self.silenced.insert(leg);
        }
    }

    fn connect(&mut self, now: u64, leg: LegId) {
        let Some(open) = self.legs.get_mut(&leg) else {
            return;
        };
        if std::mem::replace(&mut open.is_accepted, true) {
            return;
        }
        if self.conduct.is_deaf {
            let (end, usage) = (LegEnd::Silent, LegUsage::default());
            self.tell(now, 30 * SECOND, MediaEvent::Ended { leg, end, usage });
        } else {
            let after = self.conduct.connects_after;
            self.tell(now, 3 * MILLI + after, MediaEvent::Connected { leg });
        }
    }

    fn play(&mut self, now: u64, leg: LegId, play: Play) {
        self.end_play(now, leg, PlayEnd::Stopped);
        let Some(open) = self.legs.get_mut(&leg) else {
            return;
        };
        self.played.push((leg, play.clone()));
        let once: Option<u64> = play.sounds.iter().map(length).sum();
        let ends = once
            .zip(play.times)
            .map(|(once, times)| now + once * u64::from(times));
        let since = now;
        open.plays = Some(Playing { play, since, ends });
    }

    fn end_play(&mut self, now: u64, leg: LegId, end: PlayEnd) {
        let Some(playing) = self.legs.get_mut(&leg).and_then(|leg| leg.plays.take()) else {
            return;
        };
        let heard = Duration::from_micros(now - playing.since);
        self.tell(now, 0, MediaEvent::Played { leg, end, heard });
    }

    fn record(&mut self, now: u64, leg: LegId, record: &Record) {
        let longest = micros(record.longest);
        let quiet = record.silence.map(micros);
        let speech = self.conduct.speech;
        let (lasts, length, end) = match quiet {
            Some(quiet) if speech + quiet < longest => (speech + quiet, speech, RecordEnd::Silence),
            Some(_) | None => (longest, longest, RecordEnd::Full),
        };
        if let Some(open) = self.legs.get_mut(&leg) {
            open.records = Some(Recording {
                since: now,
                ends: now + lasts,
                length,
                end,
            });
        }
    }

    fn end_record(&mut self, now: u64, leg: LegId, end: RecordEnd) {
        let Some(recording) = self.legs.get_mut(&leg).and_then(|leg| leg.records.take()) else {
            return;
        };
        let length = Duration::from_micros(recording.length.min(now - recording.since));
        let head = Vec::new();
        self.tell(
            now,
            MILLI,
            MediaEvent::Recorded {
                leg,
                head,
                length,
                end,
            },
        );
    }

    fn close(&mut self, now: u64, leg: LegId) {
        self.end_play(now, leg, PlayEnd::Stopped);
        self.end_record(now, leg, RecordEnd::Lost);
        self.end_stream(now, leg, StreamEnd::Stopped(StreamStop::CallEnded));
        if self.legs.remove(&leg).is_some() {
            self.joined.retain(|(joined, _)| *joined != leg);
            self.rooms.remove(&leg);
            let (end, usage) = (LegEnd::Closed, LegUsage::default());
            self.tell(now, 0, MediaEvent::Ended { leg, end, usage });
        }
    }

    fn tell(&mut self, now: u64, after: u64, event: MediaEvent) {
        self.number += 1;
        self.told.insert((now + after, self.number), event);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How long a sound is heard; nothing: for ever. A file is a second long.
fn length(sound: &Sound) -> Option<u64> {
    match sound {
        Sound::File(_) => Some(SECOND),
        Sound::Tone(tone) => tone.lasts.map(micros),
        Sound::Silence(time) => Some(micros(*time)),
        Sound::Digits(digits) => Some(180 * MILLI * digits.len() as u64),
    }
}
