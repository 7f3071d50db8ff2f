//! The WebRTC side of a call: one browser made of `str0m`, whose packets are encrypted before the clock starts.
//!
//! Never decrypts while the clock runs, unless it is told to look: the generator must not be dearer than what it measures.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use str0m::change::SdpOffer;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use super::plan::Sound;

/// What all browsers share.
pub(super) struct Kit {
    provider: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

impl Kit {
    pub(super) fn new() -> anyhow::Result<Self> {
        let provider = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = provider.dtls_provider.generate_certificate();
        Ok(Self {
            provider,
            certificate: certificate.context("no certificate can be made")?,
        })
    }
}

/// One browser.
pub(super) struct Browser {
    rtc: Rtc,
    mid: Mid,
    pub(super) socket: UdpSocket,
    local: SocketAddr,
    pub(super) is_connected: bool,
    payload_type: u8,
    sent: u64,
    pub(super) due: Instant,
    /// Where the gateway is, as far as it is known.
    gateway: Option<SocketAddr>,
    ready: Ready,
    /// Payloads that were decrypted and not looked at.
    pub(super) heard: Vec<Arc<[u8]>>,
}

/// Datagrams that are encrypted and wait, one behind the other.
#[derive(Default)]
struct Ready {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: VecDeque<usize>,
    begin: usize,
}

impl Browser {
    /// Answers the gateway's offer with one codec; gives the answer.
    pub(super) fn answer(kit: &Kit, sound: Sound, offer: &str) -> anyhow::Result<(Self, String)> {
        let socket =
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no socket for a browser")?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let now = Instant::now();
        let config = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&kit.provider))
            .set_dtls_cert(kit.certificate.clone())
            .set_rtp_mode(true)
            .clear_codecs()
            .clear_extension_map();
        let mut config = match sound {
            Sound::Pcmu => config.enable_pcmu(true, false),
            Sound::Opus => config.enable_opus(true, false),
        };
        // As browsers do: who agrees on no events is listened to for tones.
        for (number, clock) in [
            (126, Frequency::EIGHT_KHZ),
            (110, Frequency::FORTY_EIGHT_KHZ),
        ] {
            let params = FormatParams::default();
            let codecs = config.codec_config();
            codecs.add_config(number.into(), None, Codec::Tele, clock, None, params);
        }
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp)?);
        let mid = offer
            .lines()
            .find_map(|line| line.strip_prefix("a=mid:"))
            .context("the gateway's offer has no a=mid")?;
        let offer = SdpOffer::from_sdp_string(&bundled(offer, mid.trim()))?;
        let mid = Mid::from(mid.trim());
        let answer = rtc.sdp_api().accept_offer(offer)?.to_sdp_string();
        let payload_type = payload_type(&rtc, mid, sound)
            .ok_or_else(|| anyhow!("the gateway does not offer a browser {sound}"))?;
        let browser = Self {
            rtc,
            mid,
            socket,
            local,
            is_connected: false,
            payload_type,
            sent: 0,
            due: now,
            gateway: None,
            ready: Ready::default(),
            heard: Vec::new(),
        };
        Ok((browser, answer))
    }

    /// Reads its socket and does what is due, as far as there is anything.
    pub(super) fn step(&mut self, now: Instant) -> anyhow::Result<()> {
        let mut bytes = [0; 2_048];
        while let Ok((length, from)) = self.socket.recv_from(&mut bytes) {
            self.take(now, from, &bytes[..length])?;
        }
        self.keep_time(now)
    }

    /// Does what is due: checks, reports.
    pub(super) fn keep_time(&mut self, now: Instant) -> anyhow::Result<()> {
        if now >= self.due {
            self.rtc.handle_input(Input::Timeout(now))?;
            self.drain()?;
        }
        Ok(())
    }

    /// Takes a datagram that is not only to be counted.
    pub(super) fn take(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &[u8],
    ) -> anyhow::Result<()> {
        let Ok(receive) = Receive::new(Protocol::Udp, from, self.local, bytes) else {
            return Ok(());
        };
        let input = Input::Receive(now, receive);
        if self.rtc.accepts(&input) {
            self.rtc.handle_input(input)?;
            self.drain()?;
        }
        Ok(())
    }

    /// The same, from where the gateway is.
    pub(super) fn take_of_gateway(&mut self, now: Instant, bytes: &[u8]) -> anyhow::Result<()> {
        match self.gateway {
            Some(from) => self.take(now, from, bytes),
            None => Ok(()),
        }
    }

    /// Encrypts a packet, which then waits.
    pub(super) fn prepare(
        &mut self,
        now: Instant,
        timestamp: u32,
        payload: &[u8],
    ) -> anyhow::Result<()> {
        let payload_type = self.payload_type.into();
        self.sent += 1;
        let write = RtpWrite::new(payload_type, self.sent.into(), timestamp, now, payload);
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(self.mid, None);
        stream
            .context("the browser has nothing to send by")?
            .write_rtp(write);
        self.drain()?;
        self.rtc.handle_input(Input::Timeout(now))?;
        self.drain()
    }

    /// From now on it hears and sends to the gateway alone, as the kernel sees it.
    pub(super) fn connect(&self) -> anyhow::Result<()> {
        let gateway = self
            .gateway
            .context("a browser does not know where to send to")?;
        Ok(self.socket.connect(gateway)?)
    }

    /// The datagram that is next; nothing if all were taken.
    pub(super) fn next_ready(&mut self) -> Option<&[u8]> {
        let end = self.ready.ends.pop_front()?;
        let begin = std::mem::replace(&mut self.ready.begin, end);
        Some(&self.ready.bytes[begin..end])
    }

    /// Throws away what is ready.
    pub(super) fn forget_ready(&mut self) {
        self.ready = Ready::default();
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(due) => {
                    self.due = due;
                    return Ok(());
                }
                Output::Transmit(transmit) => {
                    if is_rtp(&transmit.contents) {
                        self.gateway = Some(transmit.destination);
                        self.ready.bytes.extend_from_slice(&transmit.contents);
                        self.ready.ends.push_back(self.ready.bytes.len());
                    } else {
                        // What is lost comes again.
                        let sent = match self.socket.peer_addr() {
                            Ok(_) => self.socket.send(&transmit.contents),
                            Err(_) => self
                                .socket
                                .send_to(&transmit.contents, transmit.destination),
                        };
                        drop(sent);
                    }
                }
                Output::Event(event) => self.on_event(event)?,
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "str0m's events are not exhaustive"
    )]
    fn on_event(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Connected => self.is_connected = true,
            Event::RtpPacket(packet) => self.heard.push(packet.payload),
            Event::Closed => return Err(anyhow!("the gateway has closed a browser's call")),
            _ => {}
        }
        Ok(())
    }
}

/// rtpengine groups no single medium, and str0m wants a group of it.
fn bundled(offer: &str, mid: &str) -> String {
    match offer.split_once("\r\nm=") {
        Some((session, media)) if !offer.contains("\r\na=group:") => {
            format!("{session}\r\na=group:BUNDLE {mid}\r\nm={media}")
        }
        Some(_) | None => offer.to_owned(),
    }
}

/// Of the codec that is spoken, as the gateway wants it.
fn payload_type(rtc: &Rtc, mid: Mid, sound: Sound) -> Option<u8> {
    let wanted = match sound {
        Sound::Pcmu => Codec::PCMU,
        Sound::Opus => Codec::Opus,
    };
    let numbers = rtc.media(mid)?.remote_pts().to_vec();
    let is_wanted = |number: &&str0m::media::Pt| {
        let params = rtc.codec_config().find(|params| params.pt() == **number);
        params.is_some_and(|params| params.spec().codec == wanted)
    };
    numbers.iter().find(is_wanted).map(|number| **number)
}

/// Whether a datagram is RTP: neither STUN, DTLS nor RTCP (RFC 7983 §7, RFC 5761 §4).
pub(super) fn is_rtp(bytes: &[u8]) -> bool {
    let is_media = bytes
        .first()
        .is_some_and(|first| (128..=191).contains(first));
    is_media && !bytes.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// How long all handshakes may take.
pub(super) const HANDSHAKE_TIME: Duration = Duration::from_secs(20);
