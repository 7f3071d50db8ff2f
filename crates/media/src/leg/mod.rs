//! One leg of a session: what is asked of it, and its time. What is heard of its peer stands in `hearing`, what its peer hears in
//! `speaking`.
//!
//! Never knows of other legs: what they say comes in as frames or payloads, and what it hears goes out as such.

mod hearing;
mod keeping;
mod reoffer;
mod speaking;
mod streaming;

use std::collections::VecDeque;
use std::time::Duration;

use model::limits::{DIGIT_PAUSE, DIGIT_TIME, LEG_CONNECT_TIME, PLAY_SOUNDS};
use model::media::{
    Digit, LegEnd, LegId, LegUsage, MediaEvent, Play, PlayEnd, RecordEnd, Sound, StreamStop,
};
use model::{Instant, Now};

use keeping::Recording;
pub(crate) use reoffer::{Reanswer, Reoffer};

use crate::audio::Rate;
use crate::codec::{Codec, Encoding, Levelled};
use crate::dtmf::{Detector, EventReader, EventWriter, Heard, digit_tone};
use crate::mixer::Ear;
use crate::player::Player;
use crate::rtp::{JitterBuffer, RtpLeg};
use crate::sdp::{Agreed, Own};
use crate::stream::Streaming;
use crate::webrtc::{Came, WebRtcLeg};
use crate::worker::Effect;

/// How it reaches its peer.
#[derive(Debug)]
pub(crate) enum Transport {
    WebRtc(Box<WebRtcLeg>),
    Rtp(Box<RtpLeg>, Own),
}

/// What the peer said at once, for whoever is joined with it.
#[derive(Debug, Default)]
pub(crate) struct Said<'a> {
    pub(crate) spoken: Option<Spoken<'a>>,
    pub(crate) keys: Vec<Heard>,
    /// It was no more than sound on a leg that is connected, as of most datagrams: nothing is due sooner than before.
    pub(crate) is_but_sound: bool,
}

/// A payload of the agreed codec.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spoken<'a> {
    pub(crate) number: u64,
    pub(crate) marker: bool,
    pub(crate) timestamp: u32,
    pub(crate) payload: &'a [u8],
}

/// What a leg hears of others in one frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Others<'a> {
    /// Nothing.
    Nobody,
    /// A joined leg, at the rate that it has in this frame.
    Joined(&'a [i16], Rate),
    /// A room, at the rate of the leg itself.
    Room(&'a [i16]),
    /// A room that many hear in the same way, in the codec of the leg.
    Encoded(&'a [u8]),
}

#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) id: LegId,
    pub(crate) transport: Transport,
    pub(crate) agreed: Agreed,
    pub(crate) end: Option<LegEnd>,
    codec: Box<dyn Codec>,
    /// The rate that suits it best as it is joined now.
    suits: Rate,
    is_connected: bool,
    began: Instant,
    /// Of the first frame; later ones follow from the time.
    first_timestamp: u32,
    was_sending: bool,
    playing: Option<(Player, bool)>,
    /// A beep, or keys as tones: heard in place of what is played.
    inserted: Option<Player>,
    keys_out: Option<EventWriter>,
    keys_in: EventReader,
    jitter: JitterBuffer,
    /// Decoded, and not yet a frame.
    decoded: Vec<i16>,
    frame: Vec<i16>,
    detector: Option<Detector>,
    recording: Option<Recording>,
    /// Whether what its peer says is in the recording of a joined leg.
    is_overheard: bool,
    streaming: Option<Box<Streaming>>,
    pub(crate) is_joined: bool,
    /// In a room, and whether it may talk there.
    seat: Option<bool>,
    /// No frame is sent twice, whatever beat it goes by.
    next_frame: u64,
    forward: Option<Forward>,
    /// What a joined leg of another codec says, which is decoded for this one.
    decoded_for: Option<Levelled>,
    resampled: Vec<i16>,
    usage: LegUsage,
}

/// How timestamps and numbers of a joined leg become ours.
#[derive(Clone, Copy, Debug)]
struct Forward {
    offset: u32,
    last: u64,
}

impl Leg {
    pub(crate) fn new(
        now: Instant,
        id: LegId,
        transport: Transport,
        agreed: Agreed,
        random: u32,
    ) -> Option<Self> {
        let mut leg = Self {
            id,
            transport,
            agreed,
            end: None,
            codec: agreed.encoding.codec().ok()?,
            suits: agreed.encoding.rate(),
            is_connected: false,
            began: now,
            first_timestamp: random,
            was_sending: false,
            playing: None,
            inserted: None,
            keys_out: agreed.events.map(|events| EventWriter::new(events.clock)),
            keys_in: EventReader::default(),
            jitter: JitterBuffer::default(),
            decoded: Vec::new(),
            frame: Vec::new(),
            detector: None,
            recording: None,
            is_overheard: false,
            streaming: None,
            is_joined: false,
            seat: None,
            next_frame: 0,
            forward: None,
            decoded_for: None,
            resampled: Vec::new(),
            usage: LegUsage::default(),
        };
        leg.listen_for_tones();
        Some(leg)
    }

    // What is asked of it.

    pub(crate) fn play(&mut self, play: &Play, effects: &mut VecDeque<Effect>) {
        self.stop_play(PlayEnd::Stopped, effects);
        match Player::new(play, self.codec.rate()) {
            Ok(player) => self.playing = Some((player, play.until_digit)),
            Err(sentence) => {
                self.tell_played(PlayEnd::Unplayable(sentence), Duration::ZERO, effects);
            }
        }
    }

    pub(crate) fn stop_play(&mut self, end: PlayEnd, effects: &mut VecDeque<Effect>) {
        if let Some((player, _)) = self.playing.take() {
            self.tell_played(end, player.heard(), effects);
        }
    }

    /// Keys as events, or as tones where no events were agreed.
    pub(crate) fn send_digits(&mut self, digits: &[Digit]) {
        match &mut self.keys_out {
            Some(keys) => {
                for digit in digits {
                    keys.press(*digit);
                }
            }
            None => {
                let sounds = digits.iter().take(PLAY_SOUNDS / 2).flat_map(|digit| {
                    [
                        Sound::Tone(digit_tone(*digit, DIGIT_TIME)),
                        Sound::Silence(DIGIT_PAUSE),
                    ]
                });
                self.insert(sounds.collect());
            }
        }
    }

    pub(crate) fn close(&mut self, now: Instant, end: LegEnd, effects: &mut VecDeque<Effect>) {
        self.stop_play(PlayEnd::Stopped, effects);
        self.stop_record(RecordEnd::Lost, effects);
        self.stop_stream(StreamStop::CallEnded, effects);
        match &mut self.transport {
            Transport::WebRtc(leg) => {
                let mut came = Vec::new();
                leg.close(now, &mut came);
                self.usage.lost = leg.lost();
                send_all(came, effects);
            }
            Transport::Rtp(leg, _) => {
                self.usage.lost = leg.counts().0.2;
                effects.push_back(Effect::CloseRtp { leg: self.id });
            }
        }
        effects.push_back(Effect::Event(MediaEvent::Ended {
            leg: self.id,
            end,
            usage: self.usage,
        }));
    }

    fn insert(&mut self, sounds: Vec<Sound>) {
        let play = Play {
            sounds,
            times: Some(1),
            until_digit: false,
        };
        self.inserted = Player::new(&play, self.codec.rate()).ok();
    }

    fn tell_played(&self, end: PlayEnd, heard: Duration, effects: &mut VecDeque<Effect>) {
        effects.push_back(Effect::Event(MediaEvent::Played {
            leg: self.id,
            end,
            heard,
        }));
    }

    // Time.

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let transport = match &self.transport {
            Transport::WebRtc(leg) => leg.poll_timeout(),
            Transport::Rtp(leg, _) => Some(leg.poll_timeout()),
        };
        let connect = (!self.is_connected && matches!(self.transport, Transport::WebRtc(_)))
            .then(|| self.began + LEG_CONNECT_TIME);
        [transport, connect, self.keys_in.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn on_timeout(&mut self, now: Now, effects: &mut VecDeque<Effect>) -> Said<'static> {
        match &mut self.transport {
            Transport::WebRtc(leg) => {
                let mut came = Vec::new();
                leg.on_timeout(now, &mut came);
                self.on_came(came, effects);
                if !self.is_connected && now.mono >= self.began + LEG_CONNECT_TIME {
                    self.end = self.end.or(Some(LegEnd::Silent));
                }
            }
            Transport::Rtp(leg, _) => {
                if let Some((port, to, bytes)) = leg.on_timeout(now) {
                    let leg = self.id;
                    effects.push_back(Effect::SendRtp {
                        leg,
                        port,
                        to,
                        bytes,
                    });
                }
            }
        }
        let mut said = Said::default();
        if let Some(heard) = self.keys_in.on_timeout(now.mono) {
            self.on_heard(heard, &mut said, effects);
        }
        said
    }

    /// Whether it has something to say or hear in each frame of its session.
    pub(crate) fn is_ticking(&self) -> bool {
        if self.seat.is_some() {
            return false;
        }
        let is_pressing = self.keys_out.as_ref().is_some_and(|keys| !keys.is_idle());
        let is_saying = self.playing.is_some()
            || self.inserted.is_some()
            || self.streaming.is_some()
            || is_pressing
            || self.decoded_for.is_some();
        // What a joined leg of the same codec says leaves when it comes, and needs no beat.
        let hears_nothing = self.is_rtp() && self.forward.is_none();
        let is_filled = self.is_connected && hears_nothing;
        self.is_open() && (is_saying || self.is_hearing()) || is_filled
    }

    /// Whether its peer can hear: a browser when it is connected; a telephone at once, since it may wait for us as we for it.
    fn is_open(&self) -> bool {
        self.is_connected || self.is_rtp()
    }

    fn is_rtp(&self) -> bool {
        matches!(self.transport, Transport::Rtp(..))
    }

    /// Whether its sound is decoded.
    fn is_hearing(&self) -> bool {
        let is_needed = self.recording.is_some()
            || self.streaming.is_some()
            || self.detector.is_some()
            || self.decoded_for.is_some();
        is_needed || self.is_overheard || self.seat == Some(true)
    }

    /// A joined leg records what its peer says, or no longer.
    pub(crate) fn overhear(&mut self, is_overheard: bool) {
        // What came before is not heard now.
        if is_overheard && !self.is_hearing() {
            self.jitter = JitterBuffer::default();
        }
        self.is_overheard = is_overheard;
    }

    /// In a room, where it may talk or not; or no longer.
    pub(crate) fn sit(&mut self, seat: Option<bool>) {
        if self.seat.is_none() || seat.is_none() {
            self.forward = None;
        }
        // What came before is not heard now.
        if seat == Some(true) && !self.is_hearing() {
            self.jitter = JitterBuffer::default();
        }
        self.seat = seat;
    }

    /// Whether the beat of a room is its own.
    pub(crate) fn is_seated(&self) -> bool {
        self.seat.is_some()
    }

    /// How it hears in the frame that is next.
    pub(crate) fn ear(&self) -> Ear {
        let is_pressing = self.keys_out.as_ref().is_some_and(|keys| !keys.is_idle());
        Ear {
            encoding: self.agreed.encoding,
            rate: self.codec.rate(),
            is_busy: self.playing.is_some()
                || self.inserted.is_some()
                || self.streaming.is_some()
                || is_pressing,
            takes_silence: self.is_rtp() && self.is_connected,
        }
    }

    /// From now on it is decoded for a leg of another codec, or no longer.
    pub(crate) fn join(&mut self, other: Option<Encoding>) {
        self.is_joined = other.is_some();
        self.forward = None;
        self.decoded_for = None;
        // Of what a telephone says nothing is above 4 kHz, and it hears nothing there.
        self.suits = self.agreed.encoding.rate();
        self.suits = other.map_or(self.suits, |other| other.rate().min(self.suits));
        self.settle();
        if other.is_some_and(|other| other != self.agreed.encoding) {
            self.decoded_for = Some(Levelled::new(self.codec.rate()));
        }
    }

    /// Works at the rate that suits it, once nothing that has begun counts on another.
    pub(crate) fn settle(&mut self) {
        let is_bound = self.playing.is_some()
            || self.inserted.is_some()
            || self.recording.is_some()
            || self.streaming.is_some()
            || self.seat.is_some();
        if self.codec.rate() == self.suits || is_bound {
            return;
        }
        if let Ok(codec) = self.agreed.encoding.codec_at(self.suits) {
            self.codec = codec;
            self.decoded.clear();
            self.resampled.clear();
            self.decoded_for = self.decoded_for.as_ref().map(|_| Levelled::new(self.suits));
            self.listen_for_tones();
        }
    }

    /// Keys are listened for where no events were agreed, and the sound is that of a telephone.
    fn listen_for_tones(&mut self) {
        let is_audible = self.agreed.events.is_none()
            && self.agreed.encoding.rate() == Rate::Hz8000
            && self.codec.rate() == Rate::Hz8000;
        if !is_audible {
            self.detector = None;
        } else if self.detector.is_none() {
            self.detector = Some(Detector::default());
        }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.codec.rate()
    }
}

fn send_all(came: Vec<Came>, effects: &mut VecDeque<Effect>) {
    for came in came {
        if let Came::Send { from, to, bytes } = came {
            effects.push_back(Effect::Send { from, to, bytes });
        }
    }
}
