//! The payload of one telephone-event packet (RFC 4733 §2.3).
//!
//! Never remembers the packet before.

/// Four bytes: what, whether it is over, how loud, since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// The code of the event; 0 to 15 are keys.
    pub event: u8,
    /// Whether this is its end.
    pub is_end: bool,
    /// Decibels below the loudest, 0 to 63.
    pub volume: u8,
    /// How long it has lasted, in units of the RTP clock.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Its first four bytes; what may follow (RFC 4733 §2.5.1.5 allows several events) is not looked at. The reserved bit is
    /// ignored, as it must be.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (&[event, flags, high, low], _) = payload.split_first_chunk::<4>()?;
        Some(Self {
            event,
            is_end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// As it is sent.
    pub fn write(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        let end = if self.is_end { 0x80 } else { 0 };
        [self.event, end | self.volume.min(0x3f), high, low]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let event = TelephoneEvent {
            event: 11,
            is_end: true,
            volume: 10,
            duration: 800,
        };
        assert_eq!(event.write(), [11, 0x8a, 0x03, 0x20]);
        assert_eq!(TelephoneEvent::read(&event.write()), Some(event));
        // The reserved bit, and a second event.
        assert_eq!(
            TelephoneEvent::read(&[11, 0xca, 0x03, 0x20, 1, 2, 3, 4]),
            Some(event)
        );
        assert_eq!(TelephoneEvent::read(&[11, 0x8a, 0x03]), None);
    }
}
