//! The jitter buffer, where sound is decoded: packets in the order of their numbers, as late as the network is uneven and no later.
//!
//! Never holds more than half a second, never decodes, and is asked for one packet at a time.

use std::collections::BTreeMap;

use model::limits::JITTER_PACKETS;

/// Packets that wait before the first is heard; at 20 ms each, 40 ms.
const DEPTH: usize = 2;
/// And at most, where the network is very uneven: 200 ms.
const DEPTH_MAX: usize = 10;
/// RFC 3550 A.1 has a packet that is so much behind come from a source that began anew.
const MAX_MISORDER: u64 = 100;
/// Packets without a late one until the depth is tried smaller: 10 s.
const CALM: u32 = 500;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This payload.
    Play(Vec<u8>),
    /// Its packet is lost: something is to be heard in its place.
    Lost,
    /// Nothing is to be heard of it: it was no sound.
    Skip,
    /// Nothing is there yet.
    Wait,
}

/// One source's packets.
#[derive(Debug)]
pub struct JitterBuffer {
    /// By number; nothing for packets that hold no sound.
    packets: BTreeMap<u64, Option<Vec<u8>>>,
    /// The number that is next; none before the first.
    next: Option<u64>,
    is_filling: bool,
    depth: usize,
    calm: u32,
}

impl Default for JitterBuffer {
    fn default() -> Self {
        Self {
            packets: BTreeMap::new(),
            next: None,
            is_filling: true,
            depth: DEPTH,
            calm: 0,
        }
    }
}

impl JitterBuffer {
    /// Takes a packet; without a payload, one that holds no sound. False: it came too late.
    pub fn put(&mut self, number: u64, payload: Option<&[u8]>) -> bool {
        let behind = self.next.map_or(0, |next| next.saturating_sub(number));
        if behind > MAX_MISORDER {
            self.packets.clear();
            (self.next, self.is_filling) = (None, true);
        } else if behind > 0 {
            self.calm = 0;
            self.depth = (self.depth + 1).min(DEPTH_MAX);
            return false;
        }
        self.calm += 1;
        if self.calm >= CALM {
            self.calm = 0;
            self.depth = (self.depth - 1).max(DEPTH);
        }
        self.packets.insert(number, payload.map(<[u8]>::to_vec));
        // A peer whose clock is faster than ours, or that sent a burst: go on from where the depth is right.
        if self.packets.len() > JITTER_PACKETS {
            while self.packets.len() > self.depth {
                self.packets.pop_first();
            }
            self.next = self.packets.keys().next().copied();
        }
        true
    }

    /// The next one.
    pub fn take(&mut self) -> Next {
        let Some((&first, _)) = self.packets.first_key_value() else {
            self.is_filling = true;
            return Next::Wait;
        };
        if self.is_filling {
            if self.packets.len() < self.depth {
                return Next::Wait;
            }
            self.is_filling = false;
        }
        let next = *self.next.get_or_insert(first);
        if next < first {
            let is_far = first - next > JITTER_PACKETS as u64;
            self.next = Some(if is_far { first } else { next + 1 });
            return Next::Lost;
        }
        self.next = Some(next + 1);
        match self.packets.remove(&next) {
            Some(Some(payload)) => Next::Play(payload),
            Some(None) => Next::Skip,
            None => Next::Lost,
        }
    }

    /// Whether nothing waits, so that [`Next::Wait`] would be next.
    pub fn is_idle(&mut self) -> bool {
        let is_idle = self.packets.is_empty();
        self.is_filling |= is_idle;
        is_idle
    }

    /// Whether more waits than is needed: a silent frame can be left out.
    pub fn is_long(&self) -> bool {
        self.packets.len() > self.depth + DEPTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(next: &Next) -> u8 {
        match next {
            Next::Play(payload) => payload[0],
            Next::Lost => b'-',
            Next::Skip => b'.',
            Next::Wait => b'_',
        }
    }

    fn take(buffer: &mut JitterBuffer, count: usize) -> String {
        (0..count)
            .map(|_| char::from(play(&buffer.take())))
            .collect()
    }

    #[test]
    fn packets_come_out_in_order_after_two_are_there() {
        let mut buffer = JitterBuffer::default();
        assert_eq!(take(&mut buffer, 1), "_");
        assert!(buffer.put(11, Some(b"b")));
        assert_eq!(take(&mut buffer, 1), "_");
        assert!(buffer.put(10, Some(b"a")));
        assert_eq!(take(&mut buffer, 3), "ab_");
        assert!(!buffer.put(10, Some(b"a")));
    }

    #[test]
    fn what_is_missing_is_lost_and_what_is_no_sound_is_skipped() {
        let mut buffer = JitterBuffer::default();
        for (number, payload) in [(1, "a"), (3, "c"), (5, "e")] {
            buffer.put(number, Some(payload.as_bytes()));
        }
        buffer.put(4, None);
        assert_eq!(take(&mut buffer, 6), "a-c.e_");
        // After a jump not all that lies between is made up.
        buffer.put(1_000, Some(b"x"));
        buffer.put(1_001, Some(b"y"));
        assert_eq!(take(&mut buffer, 4), "-xy_");
    }

    #[test]
    fn it_waits_longer_where_packets_come_late_and_shorter_again_when_they_do_not() {
        let mut buffer = JitterBuffer::default();
        buffer.put(10, Some(b"a"));
        buffer.put(11, Some(b"b"));
        take(&mut buffer, 2);
        for late in 0..100 {
            buffer.put(late % 10, Some(b"z"));
        }
        for number in 12..12 + DEPTH_MAX as u64 {
            assert_eq!(take(&mut buffer, 1), "_");
            buffer.put(number, Some(b"c"));
        }
        assert_eq!(take(&mut buffer, 1), "c");
        for number in 30..30 + u64::from(CALM) * 10 {
            buffer.put(number, Some(b"d"));
            buffer.take();
        }
        assert_eq!(buffer.depth, DEPTH);
    }

    #[test]
    fn a_source_that_begins_anew_is_heard() {
        let mut buffer = JitterBuffer::default();
        buffer.put(50_000, Some(b"a"));
        buffer.put(50_001, Some(b"b"));
        assert_eq!(take(&mut buffer, 3), "ab_");
        assert!(buffer.put(7, Some(b"c")));
        assert!(buffer.put(8, Some(b"d")));
        assert_eq!(take(&mut buffer, 3), "cd_");
    }

    #[test]
    fn a_flood_does_not_fill_it() {
        let mut buffer = JitterBuffer::default();
        for number in 0..10_000 {
            buffer.put(number, Some(b"f"));
            assert!(buffer.packets.len() <= JITTER_PACKETS);
        }
        assert!(buffer.is_long());
    }
}
