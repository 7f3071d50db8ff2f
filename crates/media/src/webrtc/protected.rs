//! Packets and reports of one browser, sealed and opened by the keys of its DTLS handshake (RFC 5764 §5.1).
//!
//! Never passes one on to str0m, which has no key, and never knows an address: whose a datagram is was found out before.

use model::{Instant, Now};

use super::keying::Keys;
use crate::rtp::{Packet, RtpSession, is_rtcp};
use crate::srtp::Context;

/// See the module.
#[derive(Debug)]
pub(super) struct Protected {
    context: Context,
    session: RtpSession,
}

impl Protected {
    /// Nothing if the cipher cannot be set up.
    pub(super) fn new(keys: &Keys, session: RtpSession) -> Option<Self> {
        Some(Self {
            context: Context::new(&keys.ours, &keys.theirs)?,
            session,
        })
    }

    /// The peer's packet, opened in `clear`, with its number; nothing if it is a report, or not the peer's.
    pub(super) fn open<'a>(
        &mut self,
        now: Instant,
        bytes: &[u8],
        clear: &'a mut Vec<u8>,
    ) -> Option<(u64, Packet<'a>)> {
        if is_rtcp(bytes) {
            self.context.open_report(bytes, clear)?;
            self.session.take_report(now, clear);
            return None;
        }
        self.context.open(bytes, clear)?;
        let packet = Packet::read(clear)?;
        Some((self.session.take(now, &packet)?, packet))
    }

    /// The next packet as it leaves.
    pub(super) fn seal(
        &mut self,
        now: Instant,
        (payload_type, marker, timestamp): (u8, bool, u32),
        payload: &[u8],
    ) -> Option<Vec<u8>> {
        let mut packet = Vec::with_capacity(12 + payload.len() + self.context.tag_bytes());
        self.session
            .write(now, payload_type, marker, timestamp, payload, &mut packet);
        self.context.seal(&mut packet)?;
        Some(packet)
    }

    /// Leaves out numbers of packets that were lost before they came to us.
    pub(super) fn skip(&mut self, packets: u16) {
        self.session.skip(packets);
    }

    /// When the next report is due.
    pub(super) fn poll_timeout(&self) -> Instant {
        self.session.poll_timeout()
    }

    /// The report that is due, as it leaves.
    pub(super) fn on_timeout(&mut self, now: Now) -> Option<Vec<u8>> {
        let mut report = self.session.on_timeout(now)?;
        self.context.seal_report(&mut report)?;
        Some(report)
    }

    /// Packets that were not the peer's, since this was last asked.
    pub(super) fn take_forged(&mut self) -> u32 {
        self.context.take_forged()
    }

    /// Packets that were sent to us and did not come.
    pub(super) fn lost(&self) -> u64 {
        self.session.counts().0.2
    }
}

#[cfg(test)]
mod tests {
    use model::UnixTime;
    use proptest::prelude::*;

    use super::*;
    use crate::srtp::{MasterKey, Sealer, Suite};

    fn key(byte: u8) -> MasterKey {
        MasterKey::drawn(Suite::AeadAes256Gcm, &[byte; MasterKey::BYTES])
    }

    fn now(ms: u64) -> Now {
        Now {
            mono: Instant::from_micros(ms * 1_000),
            unix: UnixTime::from_millis(1_800_000_000_000 + ms),
        }
    }

    proptest! {
        /// Sources, extensions, padding and reports that are longer than they can be, of a browser that has the key.
        #[test]
        fn lies_in_what_is_authentic_do_no_harm(
            story in prop::collection::vec(
                (any::<u8>(), 190_u8..212, any::<u16>(), 0_u32..3, prop::collection::vec(any::<u8>(), 0..120)),
                1..60,
            )
        ) {
            let keys = Keys { ours: key(1), theirs: key(2) };
            let session = RtpSession::new(now(0).mono, 7, 8_000);
            let mut protected = Protected::new(&keys, session).unwrap();
            let mut peer = Sealer::new(&keys.theirs).unwrap();
            let mut clear = Vec::new();
            for (at, (first, kind, number, ssrc, rest)) in story.into_iter().enumerate() {
                let now = now(at as u64 * 1_000);
                let mut bytes = vec![0x80 | first & 0x3f, kind];
                bytes.extend(number.to_be_bytes());
                bytes.extend(ssrc.to_be_bytes());
                bytes.extend(ssrc.to_be_bytes());
                bytes.extend(rest);
                let sealed = match is_rtcp(&bytes) {
                    true => peer.seal_report(&mut bytes),
                    false => peer.seal(&mut bytes),
                };
                if sealed.is_some()
                    && let Some((_, packet)) = protected.open(now.mono, &bytes, &mut clear)
                {
                    prop_assert!(packet.payload.len() <= 120);
                }
                protected.on_timeout(now);
            }
        }
    }
}
