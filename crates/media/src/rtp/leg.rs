//! An RTP leg, plain or protected: packets and reports of one peer on one pair of ports.
//!
//! Never decodes. Its session says what to send, and hears what came. Where it is protected, nothing leaves that is not sealed, and
//! nothing that is not authentic decides anything.

use std::net::SocketAddr;

use model::media::Network;
use model::{Instant, Now};

use super::{Packet, Protection, RtpSession, Source, is_rtcp};
use crate::sdp::Crypto;

/// Which of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtpPort {
    /// RTP, and RTCP too where both agreed to share it (RFC 5761).
    Rtp,
    /// RTCP alone.
    Rtcp,
}

/// One peer.
#[derive(Debug)]
pub struct RtpLeg {
    session: RtpSession,
    media: Source,
    /// Where its reports come from; nothing where they share the port.
    control: Option<Source>,
    is_muted: bool,
    /// Whence a peer behind a NAT may come.
    allowed: Vec<Network>,
    /// Nothing: it is plain.
    protection: Option<Box<Protection>>,
}

impl RtpLeg {
    /// A leg whose peer named these addresses; `control` is nothing where reports share the port.
    pub fn new(
        now: Instant,
        random: u64,
        clock: u32,
        media: Option<SocketAddr>,
        control: Option<Option<SocketAddr>>,
        allowed: &[Network],
    ) -> Self {
        Self {
            session: RtpSession::new(now, random, clock),
            media: Source::new(now, media, allowed),
            control: control.map(|named| Source::new(now, named, allowed)),
            is_muted: false,
            allowed: allowed.to_vec(),
            protection: None,
        }
    }

    /// The same leg, protected.
    pub fn protected(mut self, protection: Protection) -> Self {
        self.protection = Some(Box::new(protection));
        self
    }

    /// What its packets are protected with; nothing: they are plain.
    pub fn protection(&self) -> Option<&Protection> {
        self.protection.as_deref()
    }

    /// Goes on with keys that were agreed anew, and with another stream where ours is another.
    pub fn renew_keys(
        &mut self,
        random: u64,
        rows: Vec<Crypto>,
        theirs: &Crypto,
    ) -> Result<(), String> {
        let Some(protection) = &mut self.protection else {
            return Ok(());
        };
        if protection.renew(rows, theirs)? {
            self.session.begin_anew(random);
        }
        Ok(())
    }

    /// Packets that were not the peer's, since this was last asked.
    pub fn take_forged(&mut self) -> u32 {
        let protection = self.protection.as_mut();
        protection.map_or(0, |protection| protection.context().take_forged())
    }

    /// Whether the peer wants to hear nothing (RFC 3264 §6.1); reports still leave.
    pub fn mute(&mut self, is_muted: bool) {
        self.is_muted = is_muted;
    }

    /// The peer has named addresses anew; whoever was found behind a NAT stays while they are the same.
    pub fn move_to(
        &mut self,
        now: Instant,
        media: Option<SocketAddr>,
        control: Option<Option<SocketAddr>>,
    ) {
        let allowed = &self.allowed;
        let moved = |before: &Source, named: Option<SocketAddr>| {
            (before.named() != named).then(|| Source::new(now, named, allowed))
        };
        if let Some(moved) = moved(&self.media, media) {
            self.media = moved;
        }
        self.control = match (self.control.take(), control) {
            (_, None) => None,
            (Some(before), Some(named)) => Some(moved(&before, named).unwrap_or(before)),
            (None, Some(named)) => Some(Source::new(now, named, allowed)),
        };
    }

    /// What is sent from now on has another clock, and so is another stream (RFC 7160 §3.1).
    pub fn change_clock(&mut self, random: u64, clock: u32) {
        self.session.change_clock(random, clock);
    }

    /// Takes a datagram; a packet with its number without wraps, if it is one of the peer's. What was protected is written to `clear`.
    pub fn take<'a>(
        &mut self,
        now: Instant,
        port: RtpPort,
        from: SocketAddr,
        bytes: &'a [u8],
        clear: &'a mut Vec<u8>,
    ) -> Option<(u64, Packet<'a>)> {
        if is_rtcp(bytes) {
            let source = match (port, &mut self.control) {
                (RtpPort::Rtp, None) => &mut self.media,
                (RtpPort::Rtcp, Some(control)) => control,
                (RtpPort::Rtp, Some(_)) | (RtpPort::Rtcp, None) => return None,
            };
            if !source.may_be(now, from) {
                return None;
            }
            let report = match &mut self.protection {
                Some(protection) => {
                    protection.context().open_report(bytes, clear)?;
                    clear.as_slice()
                }
                None => bytes,
            };
            source.decide(from);
            self.session.take_report(now, report);
            return None;
        }
        if port != RtpPort::Rtp || !self.media.may_be(now, from) {
            return None;
        }
        let bytes = match &mut self.protection {
            Some(protection) => {
                protection.context().open(bytes, clear)?;
                clear.as_slice()
            }
            None => bytes,
        };
        // What is no RTP decides nothing.
        let packet = Packet::read(bytes)?;
        self.media.decide(from);
        let number = self.session.take(now, &packet)?;
        Some((number, packet))
    }

    /// Leaves out numbers of packets that were lost before they came to us.
    pub fn skip(&mut self, packets: u16) {
        self.session.skip(packets);
    }

    /// A packet as it leaves, and where to; nothing while the peer is on hold.
    pub fn send(
        &mut self,
        now: Instant,
        payload_type: u8,
        marker: bool,
        timestamp: u32,
        payload: &[u8],
    ) -> Option<(SocketAddr, Vec<u8>)> {
        let target = self.media.target().filter(|_| !self.is_muted)?;
        let mut context = self.protection.as_mut().map(|keys| keys.context());
        let tag = context.as_ref().map_or(0, |context| context.tag_bytes());
        let mut packet = Vec::with_capacity(12 + payload.len() + tag);
        self.session
            .write(now, payload_type, marker, timestamp, payload, &mut packet);
        if let Some(context) = &mut context {
            context.seal(&mut packet)?;
        }
        Some((target, packet))
    }

    /// When the next report is due.
    pub fn poll_timeout(&self) -> Instant {
        self.session.poll_timeout()
    }

    /// The report that is due, from which port and where to.
    pub fn on_timeout(&mut self, now: Now) -> Option<(RtpPort, SocketAddr, Vec<u8>)> {
        let mut report = self.session.on_timeout(now)?;
        let (port, target) = match &self.control {
            None => (RtpPort::Rtp, self.media.target()?),
            Some(control) => (RtpPort::Rtcp, control.target()?),
        };
        if let Some(protection) = &mut self.protection {
            protection.context().seal_report(&mut report)?;
        }
        Some((port, target, report))
    }

    /// Packets and bytes from the peer, lost packets, and packets and bytes to it.
    pub fn counts(&self) -> ((u64, u64, u64), (u64, u64)) {
        self.session.counts()
    }
}

#[cfg(test)]
mod tests {
    use model::UnixTime;
    use rtcp_types::{Compound, Packet as Report};

    use super::*;
    use crate::rtp::Outgoing;

    const PEER: &str = "192.0.2.1:4000";
    const CONTROL: &str = "192.0.2.1:4001";

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn leg(shares_port: bool) -> RtpLeg {
        let control = (!shares_port).then(|| Some(address(CONTROL)));
        RtpLeg::new(
            Instant::default(),
            7,
            8_000,
            Some(address(PEER)),
            control,
            &[],
        )
    }

    fn now(ms: u64) -> Now {
        Now {
            mono: Instant::from_micros(ms * 1_000),
            unix: UnixTime::from_millis(1_800_000_000_000 + ms),
        }
    }

    #[test]
    fn two_legs_hear_each_other_and_report() {
        let (mut one, mut other) = (leg(false), leg(false));
        let mut reports = 0;
        for frame in 0..1_000_u32 {
            let now = now(u64::from(frame) * 20);
            let (to, packet) = one
                .send(now.mono, 8, frame == 0, frame * 160, &[1; 160])
                .unwrap();
            assert_eq!(to, address(PEER));
            // Each tenth is lost.
            if frame % 10 != 3 {
                let mut clear = Vec::new();
                let taken = other.take(now.mono, RtpPort::Rtp, address(PEER), &packet, &mut clear);
                assert_eq!(taken.unwrap().1.timestamp, frame * 160);
            }
            for (speaker, hearer) in [(true, false), (false, true)] {
                let from = if speaker { &mut one } else { &mut other };
                let Some((port, to, report)) = from.on_timeout(now) else {
                    continue;
                };
                assert_eq!((port, to), (RtpPort::Rtcp, address(CONTROL)));
                assert!(is_rtcp(&report));
                let to = if hearer { &mut one } else { &mut other };
                assert_eq!(
                    to.take(now.mono, port, address(CONTROL), &report, &mut Vec::new()),
                    None
                );
                reports += 1;
            }
        }
        assert!((5..=16).contains(&reports), "{reports}");
        assert_eq!(other.counts().0, (900, 900 * 160, 100));
        assert_eq!(one.counts().1, (1_000, 160_000));
        // The sender's report came, and is answered for.
        let (_, _, answer) = other.on_timeout(now(30_000)).unwrap();
        let compound = Compound::parse(&answer).unwrap();
        let blocks: Vec<u32> = compound
            .flatten()
            .filter_map(|report| {
                let Report::Rr(report) = report else {
                    return None;
                };
                let block = report.report_blocks().next()?;
                assert_eq!(block.cumulative_lost(), 100);
                Some(block.last_sender_report_timestamp())
            })
            .collect();
        assert!(blocks.len() == 1 && blocks[0] != 0);
    }

    #[test]
    fn reports_share_the_port_only_where_that_was_agreed() {
        let mut sharing = leg(true);
        sharing.send(now(0).mono, 8, true, 0, &[1; 160]).unwrap();
        let (port, to, report) = sharing.on_timeout(now(10_000)).unwrap();
        assert_eq!((port, to), (RtpPort::Rtp, address(PEER)));
        let mut apart = leg(false);
        assert_eq!(
            apart.take(
                now(0).mono,
                RtpPort::Rtp,
                address(PEER),
                &report,
                &mut Vec::new()
            ),
            None
        );
        // A stranger's report, or one on the wrong port, decides nothing.
        let decided = apart.control.as_ref().and_then(Source::target);
        assert_eq!(decided, Some(address(CONTROL)));
    }

    #[test]
    fn strangers_and_rubbish_are_not_heard() {
        let mut leg = leg(false);
        let mut out = Outgoing::new(1, 8_000);
        let mut packet = Vec::new();
        out.write(Instant::default(), 8, false, 0, &[1; 160], &mut packet);
        let at = now(0).mono;
        assert!(
            leg.take(
                at,
                RtpPort::Rtp,
                address("192.0.2.9:4000"),
                &packet,
                &mut Vec::new()
            )
            .is_none()
        );
        assert!(
            leg.take(
                at,
                RtpPort::Rtcp,
                address(CONTROL),
                &packet,
                &mut Vec::new()
            )
            .is_none()
        );
        for length in 0..12 {
            assert!(
                leg.take(
                    at,
                    RtpPort::Rtp,
                    address(PEER),
                    &packet[..length],
                    &mut Vec::new()
                )
                .is_none()
            );
        }
        assert!(
            leg.take(at, RtpPort::Rtp, address(PEER), &packet, &mut Vec::new())
                .is_some()
        );
    }

    proptest::proptest! {
        #[test]
        fn any_datagram_is_taken_or_not(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
            let mut leg = leg(false);
            for (port, from) in [(RtpPort::Rtp, PEER), (RtpPort::Rtcp, CONTROL)] {
                leg.take(now(0).mono, port, address(from), &bytes, &mut Vec::new());
                let mut as_rtcp = bytes.clone();
                if let [first, second, ..] = as_rtcp.as_mut_slice() {
                    (*first, *second) = (0x81, 200);
                }
                leg.take(now(0).mono, port, address(from), &as_rtcp, &mut Vec::new());
            }
        }
    }
}
