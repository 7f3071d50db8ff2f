//! Telephone-events of one peer, each told once however often it was sent, and whatever of it got lost (RFC 4733 §2.5.2).
//!
//! Never trusts that an end comes, nor that packets come in order.

use model::Instant;
use model::limits::DIGIT_LOST_TIME;
use model::media::Digit;

use super::TelephoneEvent;

/// An event that began so little before the last one is an old one: ten seconds of 48 kHz. One that began longer before is of a source
/// that has begun anew, with a clock of its own.
const OVERTAKEN: u32 = 480_000;

/// What was heard of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was pressed.
    Begin(Digit),
    /// It was let go.
    End(Digit),
}

/// One peer's events.
#[derive(Debug, Default)]
pub struct EventReader {
    now: Option<Event>,
}

#[derive(Debug)]
struct Event {
    digit: Digit,
    /// The RTP timestamp of its beginning: what names it.
    began: u32,
    duration: u16,
    last_heard: Instant,
    is_over: bool,
}

impl EventReader {
    /// Takes a packet; what came of it, in order. Events that are no keys are not heard.
    pub fn take(&mut self, now: Instant, timestamp: u32, payload: &[u8]) -> [Option<Heard>; 3] {
        let Some((event, digit)) = TelephoneEvent::read(payload)
            .and_then(|event| Some((event, Digit::from_event(event.event)?)))
        else {
            return [None; 3];
        };
        let end = event.is_end.then_some(Heard::End(digit));
        if let Some(known) = &mut self.now {
            let ahead = timestamp.wrapping_sub(known.began);
            if ahead == 0 {
                return [known.go_on(now, &event), None, None];
            }
            if ahead.wrapping_neg() < OVERTAKEN {
                // An event before this one: a packet that was overtaken.
                return [None; 3];
            }
            if known.is_continued(ahead, digit) {
                known.began = timestamp;
                known.duration = 0;
                return [known.go_on(now, &event), None, None];
            }
        }
        // A new one; the end of the one before may have been lost.
        let lost_end = self.end();
        self.now = Some(Event {
            digit,
            began: timestamp,
            duration: event.duration,
            last_heard: now,
            is_over: event.is_end,
        });
        [lost_end, Some(Heard::Begin(digit)), end]
    }

    /// When a key counts as let go that was heard of no more.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let event = self.now.as_ref().filter(|event| !event.is_over)?;
        Some(event.last_heard + DIGIT_LOST_TIME)
    }

    /// The end that never came, if it is time.
    pub fn on_timeout(&mut self, now: Instant) -> Option<Heard> {
        let due = self.poll_timeout()?;
        if now < due { None } else { self.end() }
    }

    fn end(&mut self) -> Option<Heard> {
        let event = self.now.as_mut().filter(|event| !event.is_over)?;
        event.is_over = true;
        Some(Heard::End(event.digit))
    }
}

impl Event {
    fn go_on(&mut self, now: Instant, event: &TelephoneEvent) -> Option<Heard> {
        self.duration = self.duration.max(event.duration);
        self.last_heard = now;
        if !event.is_end || self.is_over {
            return None;
        }
        self.is_over = true;
        Some(Heard::End(self.digit))
    }

    /// A key that is held for longer than the field can say goes on as a new segment (RFC 4733 §2.5.1.3), which begins where the last
    /// one, nearly full, ended.
    fn is_continued(&self, ahead: u32, digit: Digit) -> bool {
        const NEARLY_FULL: u16 = 0xf000;
        !self.is_over
            && self.digit == digit
            && self.duration >= NEARLY_FULL
            && ahead <= u32::from(u16::MAX) + 1
            && ahead >= u32::from(NEARLY_FULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Instant = Instant::from_micros(1_000_000);

    fn digit(key: char) -> Digit {
        Digit::from_key(key).unwrap()
    }

    fn take(
        reader: &mut EventReader,
        timestamp: u32,
        event: u8,
        duration: u16,
        is_end: bool,
    ) -> String {
        let payload = TelephoneEvent {
            event,
            is_end,
            volume: 10,
            duration,
        };
        words(reader.take(AT, timestamp, &payload.write()))
    }

    fn words(heard: impl IntoIterator<Item = Option<Heard>>) -> String {
        let word = |heard| match heard {
            Heard::Begin(digit) => format!("+{digit}"),
            Heard::End(digit) => format!("-{digit}"),
        };
        heard.into_iter().flatten().map(word).collect()
    }

    #[test]
    fn a_key_is_told_once_however_often_it_is_sent() {
        let mut reader = EventReader::default();
        assert_eq!(take(&mut reader, 800, 5, 160, false), "+5");
        assert_eq!(take(&mut reader, 800, 5, 320, false), "");
        assert_eq!(take(&mut reader, 800, 5, 480, true), "-5");
        assert_eq!(take(&mut reader, 800, 5, 480, true), "");
        assert_eq!(take(&mut reader, 800, 5, 480, true), "");
        // A late one of its packets.
        assert_eq!(take(&mut reader, 800, 5, 320, false), "");
        // The same key again is another timestamp.
        assert_eq!(take(&mut reader, 2_400, 5, 160, false), "+5");
        assert_eq!(take(&mut reader, 800, 5, 480, true), "");
    }

    #[test]
    fn one_packet_that_came_through_is_enough() {
        let mut reader = EventReader::default();
        assert_eq!(take(&mut reader, 800, 5, 480, true), "+5-5");
        assert_eq!(take(&mut reader, 800, 5, 480, true), "");
    }

    #[test]
    fn a_lost_end_comes_with_the_next_key_or_with_time() {
        let mut reader = EventReader::default();
        assert_eq!(take(&mut reader, 800, 5, 160, false), "+5");
        assert_eq!(take(&mut reader, 2_400, 6, 160, false), "-5+6");
        let due = reader.poll_timeout().unwrap();
        assert_eq!(due, AT + DIGIT_LOST_TIME);
        assert_eq!(reader.on_timeout(AT), None);
        assert_eq!(reader.on_timeout(due), Some(Heard::End(digit('6'))));
        assert_eq!(reader.on_timeout(due), None);
        assert_eq!(reader.poll_timeout(), None);
        // Its end may still come, and is not told twice.
        assert_eq!(take(&mut reader, 2_400, 6, 480, true), "");
    }

    #[test]
    fn timestamps_wrap_and_a_long_key_goes_on() {
        let mut reader = EventReader::default();
        assert_eq!(take(&mut reader, u32::MAX - 10, 1, 160, true), "+1-1");
        assert_eq!(take(&mut reader, 300, 2, 0xfff0, false), "+2");
        assert_eq!(take(&mut reader, 300 + 0xffff, 2, 960, false), "");
        assert_eq!(take(&mut reader, 300 + 0xffff, 2, 1_920, true), "-2");
    }

    #[test]
    fn a_source_that_begins_anew_is_heard() {
        let mut reader = EventReader::default();
        assert_eq!(take(&mut reader, 3_000_000_000, 1, 160, true), "+1-1");
        assert_eq!(take(&mut reader, 1_000_000_000, 2, 160, true), "+2-2");
    }

    #[test]
    fn what_is_no_key_is_not_heard() {
        let mut reader = EventReader::default();
        assert_eq!(take(&mut reader, 800, 16, 160, true), "");
        assert_eq!(words(reader.take(AT, 800, &[5, 0, 0])), "");
    }
}
