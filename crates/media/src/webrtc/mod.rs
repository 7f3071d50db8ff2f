//! A WebRTC leg: ICE (lite, RFC 8445 §2.5), DTLS-SRTP (RFC 5764) and RTP of one browser. Its SDP, its checks and its DTLS are the
//! crate `str0m`'s; its packets and reports are ours, and pass str0m by.
//!
//! Never looks up a name, never sends a check of its own, and never decodes. What it draws at random inside DTLS is str0m's own;
//! the ICE credentials come from our seed.

#![expect(
    clippy::disallowed_types,
    reason = "str0m counts in the standard library's Instant; the first one comes in as a value, and no clock is read"
)]

mod description;
mod keying;
mod offered;
mod protected;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use model::{Instant, Now};
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::format::{Codec as Format, FormatParams};
use str0m::media::{Direction, Frequency, Media, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::Extension;
use str0m::{
    Candidate, Event, IceConnectionState, IceCreds, Input, Output, Rtc, RtcConfig, RtcError,
};

use description::{accept_offer, agreed, in_our_words};
use keying::Yield;
pub use offered::Offered;
use protected::Protected;

use crate::codec::Encoding;
use crate::rtp::{Packet, RtpSession};
use crate::sdp::{Agreed, Browser, Role};

/// Payload types of our own offers; an answer has those of the offer.
const EVENTS_8000: u8 = 126;
const EVENTS_48000: u8 = 110;
/// RFC 8852 and RFC 6464: the ids do not matter in an answer.
const MID_EXTENSION: u8 = 4;
/// Outputs of one input: a bound that no honest peer reaches.
const OUTPUTS: usize = 1_000;

/// What all legs share: the certificate that stands in every answer, the addresses, and the beginning of time.
#[derive(Clone)]
pub struct House {
    provider: Arc<CryptoProvider>,
    certificate: DtlsCert,
    addresses: Vec<SocketAddr>,
    /// What `model::Instant` zero is.
    epoch: StdInstant,
}

impl House {
    /// `addresses` are those that peers send to. Makes a certificate: a key pair of ECDSA, once for the life of the process.
    /// Nothing if the cryptography fails.
    pub fn new(epoch: StdInstant, addresses: Vec<SocketAddr>) -> Option<Self> {
        let provider = Arc::new(keying::provider());
        let certificate = provider.dtls_provider.generate_certificate()?;
        Some(Self {
            provider,
            certificate,
            addresses,
            epoch,
        })
    }

    fn std(&self, now: Instant) -> StdInstant {
        self.epoch + Duration::from_micros(now.as_micros())
    }

    /// With these codecs, the best first, and keys of these clocks.
    fn config(
        &self,
        credentials: &Credentials,
        encodings: &[Encoding],
        clocks: &[u32],
    ) -> RtcConfig {
        let mut config = RtcConfig::new()
            .set_crypto_provider(self.provider.clone())
            .set_dtls_cert(self.certificate.clone())
            .set_local_ice_credentials(credentials.ice())
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .clear_codecs()
            .clear_extension_map()
            .set_extension(MID_EXTENSION, Extension::RtpMid);
        for encoding in encodings {
            config = match encoding {
                Encoding::Opus => config.enable_opus(true, false),
                Encoding::Pcmu => config.enable_pcmu(true, false),
                Encoding::Pcma => config.enable_pcma(true, false),
                Encoding::Linear(_) => config,
            };
        }
        for clock in clocks {
            let (number, clock) = match clock {
                48_000 => (EVENTS_48000, Frequency::FORTY_EIGHT_KHZ),
                _ => (EVENTS_8000, Frequency::EIGHT_KHZ),
            };
            config.codec_config().add_config(
                number.into(),
                None,
                Format::Tele,
                clock,
                None,
                FormatParams::default(),
            );
        }
        config
    }

    /// With what is agreed alone.
    fn config_of(&self, credentials: &Credentials, agreed: &Agreed) -> RtcConfig {
        let clocks: Vec<u32> = agreed.events.iter().map(|events| events.clock).collect();
        self.config(credentials, &[agreed.encoding], &clocks)
    }

    /// A peer connection that knows our addresses, and where its keys will be.
    fn build(&self, config: RtcConfig, now: Instant) -> Result<(Rtc, Yield), String> {
        let mut rtc = config.build(self.std(now));
        let keys = keying::made_last().ok_or("the DTLS was not made by us")?;
        for address in &self.addresses {
            let candidate = Candidate::host(*address, Protocol::Udp)
                .map_err(|error| format!("our own address {address} is no candidate: {error}"))?;
            rtc.add_local_candidate(candidate);
        }
        Ok((rtc, keys))
    }
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("House")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// What names a leg in ICE, and proves that a check is meant for it.
#[derive(Clone)]
pub struct Credentials {
    /// The `ice-ufrag`.
    pub name: String,
    /// The `ice-pwd`.
    pub password: String,
}

impl Credentials {
    fn ice(&self) -> IceCreds {
        IceCreds {
            ufrag: self.name.clone(),
            pass: self.password.clone(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What came of an input.
#[derive(Debug)]
pub enum Came {
    /// A datagram is to be sent.
    Send {
        /// From which of our addresses.
        from: SocketAddr,
        /// Where to.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// ICE and DTLS are through.
    Connected,
    /// The peer is gone without a word.
    Silent,
    /// It has closed, or its DTLS failed.
    Closed,
}

/// One browser.
pub struct WebRtcLeg {
    rtc: Rtc,
    house: House,
    mid: Mid,
    /// Where its keys are when the handshake is through, and what they are for then.
    keys: Yield,
    protected: Option<Box<Protected>>,
    /// From which address of ours to which of the peer's packets go: the pair that it has nominated.
    pair: Option<(SocketAddr, SocketAddr)>,
    /// Of what it sends.
    random: u64,
    clock: u32,
    /// Of the peer's certificate, as its SDP says.
    fingerprint: Option<String>,
    may_send: bool,
    /// Of the last SDP of ours.
    version: u64,
    due: Instant,
    is_over: bool,
}

impl fmt::Debug for WebRtcLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRtcLeg")
            .field("mid", &self.mid)
            .finish_non_exhaustive()
    }
}

impl WebRtcLeg {
    /// Answers an offer; what is wrong with it is said in a sentence. Returns the leg, our SDP, and what was agreed.
    pub fn answer(
        house: &House,
        now: Instant,
        credentials: &Credentials,
        preferred: &[Encoding],
        random: u64,
        offer: &str,
    ) -> Result<(Self, String, Agreed), String> {
        let read = Browser::read(Role::Offer, offer, preferred)?;
        // Only what is agreed stands in the answer: a browser sends in the first codec that it finds there.
        let config = house.config_of(credentials, &read.agreed);
        let (mut rtc, keys) = house.build(config, now)?;
        let answer = accept_offer(&mut rtc, &read)?;
        let mid = Mid::from(read.mid.as_str());
        let agreed = agreed(&rtc, mid, &read.agreed, Role::Offer)?;
        let answer = read.answer(&in_our_words(&answer, 1), &agreed);
        let mut leg = Self::new((rtc, keys), house.clone(), mid, now, random);
        leg.be_told(&read, &agreed);
        Ok((leg, answer, agreed))
    }

    /// Answers a further offer of its peer. What is wrong with it is said in a sentence, and then nothing has changed. Returns our
    /// SDP, and whether these credentials are in it: the peer has begun its ICE anew.
    pub fn reoffer(
        &mut self,
        now: Instant,
        credentials: &Credentials,
        agreed: &Agreed,
        offer: &str,
        came: &mut Vec<Came>,
    ) -> Result<(String, bool), String> {
        let read = Browser::read(Role::Offer, offer, &[agreed.encoding])?;
        self.check_reoffer(&read, agreed)?;
        // What str0m refuses it may refuse half done, so another one is asked before.
        let (mut trial, _) = self
            .house
            .build(self.house.config_of(credentials, agreed), now)?;
        accept_offer(&mut trial, &read)?;
        let before = self.rtc.direct_api().local_ice_credentials();
        // str0m does not go from hearing nobody to being heard alone where the medium was of its own offer, but by way of both.
        let is_still = |media: &Media| media.direction() == Direction::Inactive;
        if self.rtc.media(self.mid).is_some_and(is_still) {
            let mut by_way = read.clone();
            by_way.reduced = read
                .reduced
                .replace("\r\na=recvonly\r\n", "\r\na=sendrecv\r\n");
            accept_offer(&mut self.rtc, &by_way)?;
        }
        let mut answer = accept_offer(&mut self.rtc, &read)?;
        let drawn = self.rtc.direct_api().local_ice_credentials();
        let is_anew = drawn != before;
        if is_anew {
            // What str0m has drawn is replaced by what comes from our seed.
            self.rtc
                .direct_api()
                .set_local_ice_credentials(credentials.ice());
            answer = answer
                .replace(&drawn.ufrag, &credentials.name)
                .replace(&drawn.pass, &credentials.password);
        }
        self.look_at_direction();
        self.drain(now, Ok(()), came);
        self.version += 1;
        let answer = in_our_words(&answer, self.version);
        Ok((read.answer(&answer, agreed), is_anew))
    }

    fn check_reoffer(&self, read: &Browser, agreed: &Agreed) -> Result<(), String> {
        if Mid::from(read.mid.as_str()) != self.mid {
            return Err(format!(
                "the audio of the re-offer has a=mid:{}, and had {}",
                read.mid, self.mid
            ));
        }
        if read.fingerprint != self.fingerprint {
            return Err(
                "the re-offer has another a=fingerprint: a DTLS that is there is not made anew"
                    .to_owned(),
            );
        }
        if read.agreed != *agreed {
            return Err("the re-offer has other payload types than were agreed".to_owned());
        }
        Ok(())
    }

    /// Whether the peer wants to hear us (RFC 3264 §8.4).
    fn look_at_direction(&mut self) {
        let media = self.rtc.media(self.mid);
        self.may_send = media.is_some_and(|media| media.direction().is_sending());
    }

    fn new((rtc, keys): (Rtc, Yield), house: House, mid: Mid, now: Instant, random: u64) -> Self {
        Self {
            rtc,
            house,
            mid,
            keys,
            protected: None,
            pair: None,
            random,
            clock: 0,
            fingerprint: None,
            may_send: true,
            version: 1,
            due: now,
            is_over: false,
        }
    }

    /// The first SDP of its peer, and what came of it.
    fn be_told(&mut self, read: &Browser, agreed: &Agreed) {
        self.fingerprint.clone_from(&read.fingerprint);
        self.clock = agreed.encoding.clock();
        self.look_at_direction();
    }

    /// Takes a check or a datagram of DTLS. Whose it is, its worker has found out.
    pub fn take(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        bytes: &[u8],
        came: &mut Vec<Came>,
    ) {
        let Ok(receive) = Receive::new(Protocol::Udp, from, local, bytes) else {
            return;
        };
        let input = Input::Receive(self.house.std(now), receive);
        if self.is_over || !self.rtc.accepts(&input) {
            return;
        }
        let taken = self.rtc.handle_input(input);
        self.drain(now, taken, came);
    }

    /// The peer has nominated a pair by a check that has passed (RFC 8445 §7.3.1.5); the last one counts.
    pub fn nominate(&mut self, local: SocketAddr, from: SocketAddr) {
        self.pair = Some((local, from));
    }

    /// A packet of the peer's, opened in `clear`, with its number without wraps; nothing if it is a report, or not the peer's.
    pub fn open<'a>(
        &mut self,
        now: Instant,
        bytes: &[u8],
        clear: &'a mut Vec<u8>,
    ) -> Option<(u64, Packet<'a>)> {
        if self.is_over {
            return None;
        }
        self.protected.as_mut()?.open(now, bytes, clear)
    }

    /// Packets that were not the peer's, since this was last asked.
    pub fn take_forged(&mut self) -> u32 {
        let protected = self.protected.as_mut();
        protected.map_or(0, |protected| protected.take_forged())
    }

    /// It is time for something.
    pub fn on_timeout(&mut self, now: Now, came: &mut Vec<Came>) {
        if self.is_over {
            return;
        }
        if let (Some(protected), Some((from, to))) = (&mut self.protected, self.pair)
            && let Some(bytes) = protected.on_timeout(now)
        {
            came.push(Came::Send { from, to, bytes });
        }
        self.wake(now.mono, came);
    }

    /// It is time for something of str0m's.
    fn wake(&mut self, now: Instant, came: &mut Vec<Came>) {
        if now >= self.due {
            let taken = self.rtc.handle_input(Input::Timeout(self.house.std(now)));
            self.drain(now, taken, came);
        }
    }

    /// A packet as it leaves, from where and where to; nothing before the peer is connected, or while it wants to hear nothing.
    pub fn seal(
        &mut self,
        now: Instant,
        head: (u8, bool, u32),
        payload: &[u8],
    ) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        if self.is_over || !self.may_send {
            return None;
        }
        let (from, to) = self.pair?;
        let packet = self.protected.as_mut()?.seal(now, head, payload)?;
        Some((from, to, packet))
    }

    /// Leaves out numbers of packets that were lost before they came to us.
    pub fn skip(&mut self, packets: u16) {
        if let Some(protected) = &mut self.protected {
            protected.skip(packets);
        }
    }

    /// Packets that were sent to us and did not come.
    pub fn lost(&self) -> u64 {
        self.protected
            .as_ref()
            .map_or(0, |protected| protected.lost())
    }

    /// Says goodbye.
    pub fn close(&mut self, now: Instant, came: &mut Vec<Came>) {
        if !self.is_over {
            let closed = self.rtc.close();
            self.drain(now, closed, came);
            self.is_over = true;
        }
    }

    /// When it has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let report = self
            .protected
            .as_ref()
            .map(|protected| protected.poll_timeout());
        let due = report.map_or(self.due, |report| report.min(self.due));
        (!self.is_over).then_some(due)
    }

    fn drain(&mut self, now: Instant, taken: Result<(), RtcError>, came: &mut Vec<Came>) {
        if taken.is_err() {
            self.is_over = true;
            came.push(Came::Closed);
            return;
        }
        for _ in 0..OUTPUTS {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    let after = at.saturating_duration_since(self.house.epoch);
                    let due =
                        Instant::from_micros(u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
                    // Rounded up, so that it is time when the time has come.
                    self.due = (due + Duration::from_micros(1)).max(now);
                    return;
                }
                Ok(Output::Transmit(transmit)) => came.push(Came::Send {
                    from: transmit.source,
                    to: transmit.destination,
                    bytes: transmit.contents.into(),
                }),
                Ok(Output::Event(event)) => self.on_event(now, event, came),
                Err(_) => {
                    self.is_over = true;
                    came.push(Came::Closed);
                    return;
                }
            }
        }
        self.due = now + Duration::from_millis(1);
    }

    /// The handshake is through, and was with whom the SDP names: str0m has compared the fingerprint.
    fn protect(&mut self, now: Instant) -> Option<()> {
        let mut api = self.rtc.direct_api();
        // Who we are stands in our SDP.
        let ssrc = api
            .stream_tx_by_mid(self.mid, None)
            .map(|stream| *stream.ssrc());
        let random = match ssrc {
            Some(ssrc) => u64::from(ssrc) << 32 | self.random & u64::from(u32::MAX),
            None => self.random,
        };
        let session = RtpSession::new(now, random, self.clock);
        self.protected = Some(Box::new(Protected::new(self.keys.get()?, session)?));
        Some(())
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "str0m's events are not exhaustive"
    )]
    fn on_event(&mut self, now: Instant, event: Event, came: &mut Vec<Came>) {
        match event {
            Event::Connected => match self.protect(now) {
                Some(()) => came.push(Came::Connected),
                None => {
                    self.is_over = true;
                    came.push(Came::Closed);
                }
            },
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                came.push(Came::Silent);
            }
            Event::Closed => {
                self.is_over = true;
                came.push(Came::Closed);
            }
            _ => {}
        }
    }
}
