//! Keys towards one peer as telephone-events, on the clock of its leg (RFC 4733 §2.5.1).
//!
//! Never takes times from elsewhere: a key that came with one clock leaves anew with another.

use std::collections::VecDeque;
use std::time::Duration;

use model::limits::{DIGIT_PAUSE, DIGIT_TIME, DIGIT_TIME_MAX, DIGITS_WAITING};
use model::media::Digit;

use super::TelephoneEvent;
use crate::audio::FRAME_TIME;

/// RFC 4733 §2.5.1.4: the end is sent three times.
const ENDS: u8 = 3;
/// Decibels below the loudest (RFC 4733 §2.3.3): what telephones say.
const VOLUME: u8 = 10;

/// One packet, in place of a frame of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    /// Set on the first of a key.
    pub marker: bool,
    /// When the key began.
    pub timestamp: u32,
    /// The payload.
    pub payload: [u8; 4],
}

/// One leg's keys.
#[derive(Debug)]
pub struct EventWriter {
    clock: u32,
    waiting: VecDeque<Key>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    digit: Digit,
    /// How long it is held; nothing while the one who presses it has not let go.
    held: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    Pressed {
        key: Key,
        began: u32,
        /// So far, and since the beginning of this segment.
        lasted: Duration,
        segment: Duration,
        is_first: bool,
    },
    Ending {
        digit: Digit,
        began: u32,
        duration: u16,
        left: u8,
    },
    Pause {
        left: Duration,
    },
}

impl EventWriter {
    /// For a leg whose events have this clock.
    pub fn new(clock: u32) -> Self {
        Self {
            clock,
            waiting: VecDeque::new(),
            state: State::Idle,
        }
    }

    /// Presses a key for the usual time. False: too many wait.
    pub fn press(&mut self, digit: Digit) -> bool {
        self.enqueue(digit, Some(DIGIT_TIME))
    }

    /// Presses a key until [`Self::let_go`].
    pub fn begin(&mut self, digit: Digit) -> bool {
        self.let_go();
        self.enqueue(digit, None)
    }

    /// The key that is held, or waits to be, is let go.
    pub fn let_go(&mut self) {
        if let State::Pressed { key, lasted, .. } = &mut self.state {
            key.held.get_or_insert((*lasted).max(FRAME_TIME * 2));
        }
        for key in &mut self.waiting {
            key.held.get_or_insert(DIGIT_TIME);
        }
    }

    /// Whether nothing is pressed and nothing waits.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.waiting.is_empty()
    }

    /// What leaves in this frame, whose sound would have this timestamp; if nothing, sound may.
    pub fn tick(&mut self, timestamp: u32) -> Option<EventPacket> {
        if let State::Idle = self.state {
            let key = self.waiting.pop_front()?;
            self.state = State::Pressed {
                key,
                began: timestamp,
                lasted: Duration::ZERO,
                segment: Duration::ZERO,
                is_first: true,
            };
        }
        match self.state {
            State::Idle => None,
            State::Pressed { .. } => Some(self.tick_pressed()),
            State::Ending {
                digit,
                began,
                duration,
                left,
            } => {
                self.state = if left > 1 {
                    State::Ending {
                        digit,
                        began,
                        duration,
                        left: left - 1,
                    }
                } else {
                    State::Pause { left: DIGIT_PAUSE }
                };
                Some(packet(digit, began, duration, true, false))
            }
            State::Pause { left } => {
                self.state = match left.checked_sub(FRAME_TIME) {
                    Some(left) if !left.is_zero() => State::Pause { left },
                    Some(_) | None => State::Idle,
                };
                None
            }
        }
    }

    fn tick_pressed(&mut self) -> EventPacket {
        let State::Pressed {
            key,
            mut began,
            lasted,
            mut segment,
            is_first,
        } = self.state
        else {
            unreachable!("asked only while a key is pressed");
        };
        // RFC 4733 §2.5.1.3: what no longer fits into the field goes on as a new segment.
        if u16::try_from(self.units(segment + FRAME_TIME)).is_err() {
            began = began.wrapping_add(self.units(segment));
            segment = Duration::ZERO;
        }
        let (lasted, segment) = (lasted + FRAME_TIME, segment + FRAME_TIME);
        let duration = u16::try_from(self.units(segment)).unwrap_or(u16::MAX);
        let is_over = lasted >= key.held.unwrap_or(DIGIT_TIME_MAX);
        self.state = if is_over {
            State::Ending {
                digit: key.digit,
                began,
                duration,
                left: ENDS - 1,
            }
        } else {
            State::Pressed {
                key,
                began,
                lasted,
                segment,
                is_first: false,
            }
        };
        packet(key.digit, began, duration, is_over, is_first)
    }

    fn enqueue(&mut self, digit: Digit, held: Option<Duration>) -> bool {
        let has_room = self.waiting.len() < DIGITS_WAITING;
        if has_room {
            self.waiting.push_back(Key { digit, held });
        }
        has_room
    }

    fn units(&self, time: Duration) -> u32 {
        (time.as_millis() as u64 * u64::from(self.clock) / 1_000) as u32
    }
}

fn packet(digit: Digit, began: u32, duration: u16, is_end: bool, marker: bool) -> EventPacket {
    EventPacket {
        marker,
        timestamp: began,
        payload: TelephoneEvent {
            event: digit.event(),
            is_end,
            volume: VOLUME,
            duration,
        }
        .write(),
    }
}

#[cfg(test)]
mod tests {
    use model::Instant;

    use super::*;
    use crate::dtmf::{EventReader, Heard};

    fn digit(key: char) -> Digit {
        Digit::from_key(key).unwrap()
    }

    /// All packets of so many frames.
    fn run(writer: &mut EventWriter, from: u32, frames: u32) -> Vec<(u32, EventPacket)> {
        let step = writer.clock / 50;
        (0..frames)
            .filter_map(|frame| Some((frame, writer.tick(from.wrapping_add(frame * step))?)))
            .collect()
    }

    #[test]
    fn a_key_lasts_a_tenth_of_a_second_on_either_clock_and_ends_three_times() {
        for (clock, durations) in [
            (8_000, [160, 320, 480, 640, 800, 800, 800]),
            (48_000, [960, 1_920, 2_880, 3_840, 4_800, 4_800, 4_800]),
        ] {
            let mut writer = EventWriter::new(clock);
            assert!(writer.press(digit('7')));
            let sent = run(&mut writer, 1_000, 20);
            let events: Vec<_> = sent
                .iter()
                .map(|(_, packet)| TelephoneEvent::read(&packet.payload).unwrap())
                .collect();
            assert_eq!(
                events
                    .iter()
                    .map(|event| event.duration)
                    .collect::<Vec<_>>(),
                durations
            );
            let ends = events.iter().map(|event| event.is_end);
            assert_eq!(
                ends.collect::<Vec<_>>(),
                [false, false, false, false, true, true, true]
            );
            assert!(sent.iter().all(|(_, packet)| packet.timestamp == 1_000));
            let markers = sent.iter().map(|(_, packet)| packet.marker);
            assert_eq!(markers.filter(|marker| *marker).count(), 1);
            assert!(writer.is_idle());
        }
    }

    #[test]
    fn keys_come_one_after_the_other_with_a_pause() {
        let mut writer = EventWriter::new(8_000);
        for key in "12".chars() {
            assert!(writer.press(digit(key)));
        }
        let sent = run(&mut writer, 0, 40);
        let frames: Vec<u32> = sent.iter().map(|(frame, _)| *frame).collect();
        assert_eq!(frames, (0..7).chain(11..18).collect::<Vec<_>>());
        assert_eq!(sent[7].1.timestamp, 11 * 160);
    }

    #[test]
    fn a_key_is_held_until_it_is_let_go_but_not_for_ever() {
        let mut writer = EventWriter::new(48_000);
        assert!(writer.begin(digit('5')));
        assert_eq!(run(&mut writer, 0, 20).len(), 20);
        writer.let_go();
        assert_eq!(run(&mut writer, 20 * 960, 20).len(), 3);
        assert!(writer.begin(digit('5')));
        let frames = DIGIT_TIME_MAX.as_millis() / 20 + 2;
        assert_eq!(run(&mut writer, 0, 1_000).len() as u128, frames);
    }

    #[test]
    fn what_is_written_is_read_also_when_it_is_longer_than_the_field() {
        let mut writer = EventWriter::new(48_000);
        let mut reader = EventReader::default();
        writer.begin(digit('9'));
        let sent = run(&mut writer, 4_000_000_000, 1_000);
        let began: std::collections::BTreeSet<u32> =
            sent.iter().map(|(_, packet)| packet.timestamp).collect();
        assert!(began.len() > 1);
        let heard: Vec<Heard> = sent
            .iter()
            .flat_map(|(frame, packet)| {
                let now = Instant::from_micros(u64::from(*frame) * 20_000);
                reader.take(now, packet.timestamp, &packet.payload)
            })
            .flatten()
            .collect();
        assert_eq!(heard, [Heard::Begin(digit('9')), Heard::End(digit('9'))]);
    }

    #[test]
    fn the_queue_has_a_bound() {
        let mut writer = EventWriter::new(8_000);
        let taken = (0..1_000).filter(|_| writer.press(digit('1'))).count();
        assert_eq!(taken, DIGITS_WAITING);
    }
}
