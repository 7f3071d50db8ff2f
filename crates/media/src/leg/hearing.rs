//! What is heard of a leg's peer: packets, keys, and frames of sound where somebody needs them.
//!
//! Never decodes for nobody: only a recording, a listener for tones or a joined leg of another codec makes it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use model::Instant;
use model::media::{Digit, LegEnd, MediaEvent, PlayEnd, RecordEnd};

use super::{Leg, Said, Spoken, Transport};
use crate::audio::{SILENCE_POWER, power};
use crate::dtmf::Heard;
use crate::rtp::{Next, Packet, RtpPort};
use crate::sdp::{Agreed, Events};
use crate::stream::ToBot;
use crate::webrtc::Came;
use crate::worker::{Counter, Effect};

impl Leg {
    pub(crate) fn on_came(&mut self, came: Vec<Came>, effects: &mut VecDeque<Effect>) {
        for came in came {
            match came {
                Came::Send { from, to, bytes } => {
                    effects.push_back(Effect::Send { from, to, bytes });
                }
                Came::Connected => self.on_connected(effects),
                Came::Silent => self.end = self.end.or(Some(LegEnd::Silent)),
                Came::Closed => self.end = self.end.or(Some(LegEnd::Peer)),
            }
        }
    }

    /// An ICE check of a browser's, which may nominate the way that it came; whether it has passed.
    pub(crate) fn on_check(
        &mut self,
        now: Instant,
        (local, from): (SocketAddr, SocketAddr),
        bytes: &[u8],
        is_nominating: bool,
        effects: &mut VecDeque<Effect>,
    ) -> bool {
        let Transport::WebRtc(leg) = &mut self.transport else {
            return false;
        };
        let mut came = Vec::new();
        leg.take(now, local, from, bytes, &mut came);
        // It is answered only if its MESSAGE-INTEGRITY is that of our password.
        let is_answer = |came: &Came| {
            matches!(came, Came::Send { to, bytes, .. }
                if *to == from && bytes.first() == Some(&1))
        };
        let has_passed = came.iter().any(is_answer);
        if has_passed && is_nominating {
            leg.nominate(local, from);
        }
        self.on_came(came, effects);
        has_passed
    }

    /// A datagram of its DTLS.
    pub(crate) fn on_handshake(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        bytes: &[u8],
        effects: &mut VecDeque<Effect>,
    ) {
        if let Transport::WebRtc(leg) = &mut self.transport {
            let mut came = Vec::new();
            leg.take(now, local, from, bytes, &mut came);
            self.on_came(came, effects);
        }
    }

    /// A packet or a report of a browser's; `clear` is room for what is in it.
    pub(crate) fn on_protected<'a>(
        &mut self,
        now: Instant,
        bytes: &[u8],
        clear: &'a mut Vec<u8>,
        effects: &mut VecDeque<Effect>,
    ) -> Said<'a> {
        let Transport::WebRtc(leg) = &mut self.transport else {
            return Said::default();
        };
        let opened = leg.open(now, bytes, clear);
        count_forged(leg.take_forged(), effects);
        match opened {
            Some((number, packet)) => self.on_packet(now, number, &packet, effects),
            None => Said::default(),
        }
    }

    pub(crate) fn on_rtp<'a>(
        &mut self,
        now: Instant,
        (port, from): (RtpPort, SocketAddr),
        bytes: &'a [u8],
        clear: &'a mut Vec<u8>,
        effects: &mut VecDeque<Effect>,
    ) -> Said<'a> {
        let Transport::Rtp(leg, _) = &mut self.transport else {
            return Said::default();
        };
        let taken = leg.take(now, port, from, bytes, clear);
        count_forged(leg.take_forged(), effects);
        let Some((number, packet)) = taken else {
            return Said::default();
        };
        let was_connected = self.is_connected;
        self.on_connected(effects);
        let mut said = self.on_packet(now, number, &packet, effects);
        said.is_but_sound &= was_connected;
        said
    }

    fn on_connected(&mut self, effects: &mut VecDeque<Effect>) {
        if !self.is_connected {
            self.is_connected = true;
            effects.push_back(Effect::Event(MediaEvent::Connected { leg: self.id }));
        }
    }

    fn on_packet<'a>(
        &mut self,
        now: Instant,
        number: u64,
        packet: &Packet<'a>,
        effects: &mut VecDeque<Effect>,
    ) -> Said<'a> {
        let mut said = Said::default();
        self.usage.packets_in += 1;
        self.usage.bytes_in += packet.payload.len() as u64;
        if packet.payload_type == self.agreed.payload_type {
            if self.is_hearing() {
                self.jitter.put(number, Some(packet.payload));
            }
            said.spoken = self.is_joined.then_some(Spoken {
                number,
                marker: packet.marker,
                timestamp: packet.timestamp,
                payload: packet.payload,
            });
            said.is_but_sound = true;
            return said;
        }
        if self.is_hearing() {
            self.jitter.put(number, None);
        }
        let is_event = |events: &Events| events.payload_type == packet.payload_type;
        let Agreed {
            events,
            other_events,
            ..
        } = &self.agreed;
        if events.iter().chain(other_events).any(is_event) {
            let heard = self.keys_in.take(now, packet.timestamp, packet.payload);
            for heard in heard.into_iter().flatten() {
                self.on_heard(heard, &mut said, effects);
            }
        }
        said
    }

    pub(super) fn on_heard(
        &mut self,
        heard: Heard,
        said: &mut Said<'_>,
        effects: &mut VecDeque<Effect>,
    ) {
        if self.is_joined {
            said.keys.push(heard);
        }
        if let Heard::Begin(digit) = heard {
            self.on_key(digit, effects);
        }
    }

    fn on_key(&mut self, digit: Digit, effects: &mut VecDeque<Effect>) {
        let leg = self.id;
        effects.push_back(Effect::Event(MediaEvent::Digit { leg, digit }));
        if self.streaming.is_some() {
            let word = ToBot::Digit(digit);
            effects.push_back(Effect::ToBot { leg, word });
        }
        if self
            .playing
            .as_ref()
            .is_some_and(|(_, until_digit)| *until_digit)
        {
            self.stop_play(PlayEnd::Digit(digit), effects);
        }
        if self
            .recording
            .as_ref()
            .is_some_and(|recording| recording.until_digit)
        {
            self.stop_record(RecordEnd::Digit(digit), effects);
        }
    }

    /// The frame that is next of what the peer says, if it is decoded.
    pub(crate) fn hear(&mut self, effects: &mut VecDeque<Effect>) -> Option<Vec<i16>> {
        self.settle();
        if !self.is_open() && self.streaming.is_some() {
            // A bot hears something all the time.
            let silence = vec![0; self.codec.rate().frame()];
            self.tell_bot(&silence, effects);
        }
        if !self.is_hearing() || !self.is_open() {
            return None;
        }
        // Most in a room say nothing, and cost nothing.
        let is_for_room = self.seat == Some(true)
            && self.recording.is_none()
            && self.streaming.is_none()
            && self.detector.is_none();
        if is_for_room && self.decoded.is_empty() && self.jitter.is_idle() {
            return None;
        }
        let mut frame = self.next_frame();
        // A peer whose clock is faster than ours: a silent frame less is not missed.
        if self.jitter.is_long() && power(&frame) < SILENCE_POWER {
            frame = self.next_frame();
        }
        let mut keys = Vec::new();
        if let Some(detector) = &mut self.detector {
            detector.listen(&frame, |digit| keys.push(digit));
        }
        for digit in keys {
            self.on_key(digit, effects);
        }
        self.tell_bot(&frame, effects);
        // Otherwise when the other side is known.
        if !self.records_both() {
            self.keep(&frame, effects);
        }
        Some(frame)
    }

    fn next_frame(&mut self) -> Vec<i16> {
        let whole = self.codec.rate().frame();
        while self.decoded.len() < whole {
            match self.jitter.take() {
                Next::Play(payload) => {
                    if self.codec.decode(&payload, &mut self.decoded).is_err() {
                        self.codec.conceal(&mut self.decoded);
                    }
                }
                Next::Lost => self.codec.conceal(&mut self.decoded),
                Next::Skip => {}
                Next::Wait => self.decoded.resize(whole, 0),
            }
        }
        self.decoded.drain(..whole).collect()
    }
}

/// Each is counted, whoever's it is not.
fn count_forged(forged: u32, effects: &mut VecDeque<Effect>) {
    for _ in 0..forged {
        effects.push_back(Effect::Count(Counter::Forged));
    }
}
