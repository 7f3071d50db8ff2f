//! What a leg's peer hears: keys, what is inserted, what is played, or what a bot, a joined leg or a room says.
//!
//! Never encodes what a joined leg of the same codec says: its payloads leave as they came.

use std::collections::VecDeque;

use model::Instant;
use model::media::PlayEnd;

use super::{Forward, Leg, Others, Said, Spoken, Transport};
use crate::audio::FRAMES_PER_SECOND;
use crate::dtmf::Heard;
use crate::rtp::RtpPort;
use crate::worker::Effect;

/// Numbers that are further apart are not of one run of a source.
const BEGUN_ANEW: u64 = 1_000;

impl Leg {
    /// Sends the frame that is next: a key, what is inserted, what is played, or what a joined leg says.
    pub(crate) fn speak(
        &mut self,
        now: Instant,
        frame: u64,
        others: Others<'_>,
        effects: &mut VecDeque<Effect>,
    ) {
        // A leg that goes from one beat to another sends no frame twice.
        let frame = frame.max(self.next_frame);
        self.next_frame = frame + 1;
        if !self.is_open() {
            return;
        }
        if let (Some(keys), Some(events)) = (&mut self.keys_out, self.agreed.events) {
            let timestamp = timestamp(self.first_timestamp, frame, events.clock);
            if let Some(packet) = keys.tick(timestamp) {
                self.was_sending = false;
                let head = (events.payload_type, packet.marker, packet.timestamp);
                self.send(now, head, &packet.payload, effects);
                return;
            }
        }
        // Only a leg that hears nothing of its own is given it.
        if let Others::Encoded(payload) = others {
            self.send_sound(now, frame, payload, effects);
            return;
        }
        let mut sound = std::mem::take(&mut self.frame);
        if self.fill(others, &mut sound, effects) {
            let mut payload = Vec::new();
            if self.codec.encode(&sound, &mut payload).is_ok() {
                self.send_sound(now, frame, &payload, effects);
            }
        } else {
            self.was_sending = false;
        }
        self.frame = sound;
    }

    fn send_sound(
        &mut self,
        now: Instant,
        frame: u64,
        payload: &[u8],
        effects: &mut VecDeque<Effect>,
    ) {
        let timestamp = timestamp(self.first_timestamp, frame, self.agreed.encoding.clock());
        // RFC 3551 §4.1: the first packet after a silence.
        let head = (self.agreed.payload_type, !self.was_sending, timestamp);
        self.was_sending = true;
        self.forward = None;
        self.send(now, head, payload, effects);
    }

    fn fill(
        &mut self,
        others: Others<'_>,
        sound: &mut Vec<i16>,
        effects: &mut VecDeque<Effect>,
    ) -> bool {
        if let Some(inserted) = &mut self.inserted {
            if inserted.frame(sound) {
                return true;
            }
            self.inserted = None;
        }
        let is_pressing = self.keys_out.as_ref().is_some_and(|keys| !keys.is_idle());
        if let Some((player, _)) = &mut self.playing {
            if is_pressing {
                // Between two keys: what is played goes on after the last.
                sound.clear();
                sound.resize(self.codec.rate().frame(), 0);
                return true;
            }
            if player.frame(sound) {
                let keys = player.take_keys();
                if !keys.is_empty() {
                    self.send_digits(&keys);
                }
                return true;
            }
            self.stop_play(PlayEnd::Finished, effects);
        }
        if self.hear_bot(sound, effects) {
            return true;
        }
        if let Others::Room(heard) = others {
            sound.clear();
            sound.extend_from_slice(heard);
            return true;
        }
        if let (Others::Joined(other, rate), Some(levelled)) = (others, &mut self.decoded_for) {
            levelled.push(other, rate, &mut self.resampled);
            let whole = self.codec.rate().frame();
            if self.resampled.len() >= whole {
                sound.clear();
                sound.extend(self.resampled.drain(..whole));
                return true;
            }
        }
        // A telephone that hears nothing for a while hangs up; one that was never heard may not be there.
        let is_silent = self.is_rtp() && self.is_connected && self.forward.is_none();
        if is_silent {
            sound.clear();
            sound.resize(self.codec.rate().frame(), 0);
        }
        is_silent
    }

    /// What a joined leg said.
    pub(crate) fn on_said(
        &mut self,
        now: Instant,
        frame: u64,
        said: &Said<'_>,
        effects: &mut VecDeque<Effect>,
    ) {
        if let Some(spoken) = &said.spoken {
            self.forward(now, frame, spoken, effects);
        }
        for heard in &said.keys {
            match (heard, &mut self.keys_out) {
                (Heard::Begin(digit), Some(keys)) => {
                    keys.begin(*digit);
                }
                (Heard::Begin(digit), None) => self.send_digits(&[*digit]),
                (Heard::End(_), Some(keys)) => keys.let_go(),
                (Heard::End(_), None) => {}
            }
        }
    }

    /// A payload of the same codec leaves as it came.
    fn forward(
        &mut self,
        now: Instant,
        frame: u64,
        spoken: &Spoken<'_>,
        effects: &mut VecDeque<Effect>,
    ) {
        let is_pressing = self.keys_out.as_ref().is_some_and(|keys| !keys.is_idle());
        let is_busy = self.playing.is_some() || self.inserted.is_some() || is_pressing;
        if self.decoded_for.is_some() || is_busy || !self.is_open() {
            return;
        }
        let Spoken { number, .. } = *spoken;
        let ours = timestamp(self.first_timestamp, frame, self.agreed.encoding.clock());
        let mut forward = self.forward.unwrap_or(Forward {
            offset: ours.wrapping_sub(spoken.timestamp),
            last: number.saturating_sub(1),
        });
        if forward.last.abs_diff(number) > BEGUN_ANEW {
            forward = Forward {
                offset: ours.wrapping_sub(spoken.timestamp),
                last: number.saturating_sub(1),
            };
        }
        // What was overtaken is lost: our numbers follow those of what has left.
        if number <= forward.last {
            return;
        }
        let lost = u16::try_from(number - forward.last - 1).unwrap_or(0);
        if lost > 0 {
            match &mut self.transport {
                Transport::WebRtc(leg) => leg.skip(lost),
                Transport::Rtp(leg, _) => leg.skip(lost),
            }
        }
        forward.last = number;
        self.forward = Some(forward);
        self.was_sending = false;
        let head = (
            self.agreed.payload_type,
            spoken.marker,
            spoken.timestamp.wrapping_add(forward.offset),
        );
        self.send(now, head, spoken.payload, effects);
    }

    fn send(
        &mut self,
        now: Instant,
        head: (u8, bool, u32),
        payload: &[u8],
        effects: &mut VecDeque<Effect>,
    ) {
        let effect = match &mut self.transport {
            Transport::WebRtc(leg) => {
                let sealed = leg.seal(now, head, payload);
                sealed.map(|(from, to, bytes)| Effect::Send { from, to, bytes })
            }
            Transport::Rtp(leg, _) => {
                let (payload_type, marker, timestamp) = head;
                let written = leg.send(now, payload_type, marker, timestamp, payload);
                let (leg, port) = (self.id, RtpPort::Rtp);
                written.map(|(to, bytes)| Effect::SendRtp {
                    leg,
                    port,
                    to,
                    bytes,
                })
            }
        };
        if let Some(effect) = effect {
            effects.push_back(effect);
            self.usage.packets_out += 1;
            self.usage.bytes_out += payload.len() as u64;
        }
    }
}

/// Frames of 20 ms on a clock.
fn timestamp(first: u32, frame: u64, clock: u32) -> u32 {
    first.wrapping_add((frame * u64::from(clock / FRAMES_PER_SECOND)) as u32)
}
