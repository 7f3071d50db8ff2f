//! A simulated network with a worker and browsers made of str0m: datagrams take 15 ms, and time goes on by the millisecond.
//!
//! Never waits, and opens no socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant as StdInstant};

use media::codec::{Codec, Encoding};
use media::dtmf::EventWriter;
use media::stream::ToBot;
use media::webrtc::House;
use media::{Config, Counter, Effect, Input, Worker};
use model::media::{Digit, LegId, LegKind, MediaCommand, MediaEvent, SessionId};
use model::{Instant, Now, UnixTime};
use str0m::change::{SdpAnswer, SdpApi, SdpOffer, SdpPendingOffer};
use str0m::format::{Codec as Format, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input as PeerInput, Output, Rtc, RtcConfig};

pub(crate) const GATEWAY: &str = "198.51.100.1:40000";
/// The port of a telephone's leg.
pub(crate) const OURS: &str = "198.51.100.1:30000";
pub(crate) const LEG: LegId = LegId {
    session: SessionId(1),
    place: 0,
};
const WAY: Duration = Duration::from_millis(15);

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// One datagram on its way.
pub(crate) struct Datagram {
    pub(crate) due: Duration,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) worker: Worker,
    epoch: StdInstant,
    pub(crate) now: Duration,
    pub(crate) network: VecDeque<Datagram>,
    pub(crate) peer: Option<Peer>,
    pub(crate) events: Vec<MediaEvent>,
    pub(crate) counts: Vec<Counter>,
    /// What bots are told.
    pub(crate) told: Vec<(LegId, ToBot)>,
    /// Datagrams of plain RTP legs, which the test itself answers.
    pub(crate) rtp: Vec<(LegId, SocketAddr, Vec<u8>)>,
    pub(crate) opening: Vec<LegId>,
    /// Legs whose ports are wanted no longer.
    pub(crate) closed: Vec<LegId>,
}

impl World {
    pub(crate) fn new(preferred: &[Encoding]) -> Self {
        let epoch = StdInstant::now();
        let house = House::new(epoch, vec![address(GATEWAY)]).unwrap();
        Self {
            worker: Worker::new(Config {
                house,
                seed: [7; 32],
                preferred: preferred.to_vec(),
            }),
            epoch,
            now: Duration::from_secs(1),
            network: VecDeque::new(),
            peer: None,
            events: Vec::new(),
            counts: Vec::new(),
            told: Vec::new(),
            rtp: Vec::new(),
            opening: Vec::new(),
            closed: Vec::new(),
        }
    }

    /// A browser calls, and its offer is answered: so.
    pub(crate) fn call(&mut self, leg: LegId, at: &str) -> String {
        let (mut peer, offer) = Peer::new(self.epoch + self.now, address(at));
        let answer = self.answer(leg, LegKind::WebRtc, &offer).unwrap();
        peer.accept(&answer);
        self.peer = Some(peer);
        answer
    }

    /// A browser is asked to talk: our offer.
    pub(crate) fn offer(&mut self, leg: LegId, kind: LegKind) -> String {
        self.command(MediaCommand::Offer { leg, kind });
        if self.opening.pop() == Some(leg) {
            let address = Some(address(OURS));
            self.give(Input::RtpOpened { leg, address });
        }
        match self.events.pop() {
            Some(MediaEvent::Offered { leg: of, offer }) if of == leg => offer.to_string(),
            other => panic!("not offered: {other:?}"),
        }
    }

    /// A further offer of a leg's peer.
    pub(crate) fn reoffer(&mut self, leg: LegId, offer: &str) -> Result<String, String> {
        self.command(MediaCommand::Reoffer {
            leg,
            offer: offer.into(),
        });
        match self.events.pop() {
            Some(MediaEvent::Answered { leg: of, answer }) if of == leg => Ok(answer.to_string()),
            Some(MediaEvent::Refused { leg: of, sentence }) if of == leg => Err(sentence),
            other => panic!("neither answered nor refused: {other:?}"),
        }
    }

    pub(crate) fn accept(&mut self, leg: LegId, answer: &str) {
        self.command(MediaCommand::Accept {
            leg,
            answer: answer.into(),
        });
    }

    /// A browser that has our offer, and its answer, which the gateway has not.
    pub(crate) fn ring(&mut self, at: &str, offer: &str) -> String {
        let (peer, answer) = Peer::called(self.epoch + self.now, address(at), offer);
        self.peer = Some(peer);
        answer
    }

    pub(crate) fn answer(
        &mut self,
        leg: LegId,
        kind: LegKind,
        offer: &str,
    ) -> Result<String, String> {
        self.command(MediaCommand::Answer {
            leg,
            kind,
            offer: offer.into(),
        });
        match self.events.pop() {
            Some(MediaEvent::Answered { answer, .. }) => Ok(answer.to_string()),
            Some(MediaEvent::Refused { sentence, .. }) => Err(sentence),
            other => panic!("neither answered nor refused: {other:?}"),
        }
    }

    pub(crate) fn command(&mut self, command: MediaCommand) {
        self.give(Input::Command(command));
    }

    pub(crate) fn give(&mut self, input: Input<'_>) {
        let now = self.clock();
        self.worker.handle(now, input);
        while let Some(effect) = self.worker.poll_effect() {
            match effect {
                Effect::Event(event) => self.events.push(event),
                Effect::Send { from, to, bytes } => self.network.push_back(Datagram {
                    due: self.now + WAY,
                    from,
                    to,
                    bytes,
                }),
                Effect::SendRtp { leg, to, bytes, .. } => self.rtp.push((leg, to, bytes)),
                Effect::OpenRtp { leg } => self.opening.push(leg),
                Effect::CloseRtp { leg } => self.closed.push(leg),
                Effect::ToBot { leg, word } => self.told.push((leg, word)),
                Effect::Count(counter) => self.counts.push(counter),
            }
        }
    }

    pub(crate) fn clock(&self) -> Now {
        let micros = self.now.as_micros() as u64;
        Now {
            mono: Instant::from_micros(micros),
            unix: UnixTime::from_millis(1_800_000_000_000 + micros / 1_000),
        }
    }

    /// One millisecond.
    pub(crate) fn step(&mut self) {
        self.now += Duration::from_millis(1);
        while let Some(at) = self
            .network
            .iter()
            .position(|datagram| datagram.due <= self.now)
        {
            let datagram = self.network.remove(at).unwrap();
            self.deliver(&datagram);
        }
        let due = self.worker.poll_timeout();
        if due.is_some_and(|due| due <= self.clock().mono) {
            self.give(Input::Timeout);
            let next = self.worker.poll_timeout();
            assert!(next.is_none_or(|next| next > self.clock().mono), "it spins");
        }
        if let Some(peer) = &mut self.peer {
            peer.step(self.epoch + self.now);
            let (from, due) = (peer.address, self.now + WAY);
            for (to, bytes) in peer.sent.drain(..) {
                self.network.push_back(Datagram {
                    due,
                    from,
                    to,
                    bytes,
                });
            }
        }
    }

    pub(crate) fn deliver(&mut self, datagram: &Datagram) {
        if datagram.to == address(GATEWAY) {
            self.give(Input::WebRtc {
                local: datagram.to,
                from: datagram.from,
                bytes: &datagram.bytes,
            });
        } else if let Some(peer) = &mut self.peer
            && datagram.to == peer.address
        {
            peer.take(self.epoch + self.now, datagram);
        }
    }

    /// Goes on until an event is there, and takes it; fails after so long.
    pub(crate) fn until(
        &mut self,
        seconds: u64,
        is_it: impl Fn(&MediaEvent) -> bool,
    ) -> MediaEvent {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            if let Some(at) = self.events.iter().position(&is_it) {
                return self.events.remove(at);
            }
            assert!(
                self.now < end,
                "it did not come; there are {:?}",
                self.events
            );
            self.step();
        }
    }

    pub(crate) fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.step();
        }
    }

    pub(crate) fn peer(&mut self) -> &mut Peer {
        self.peer.as_mut().unwrap()
    }

    /// The WAV file that the parts and the head of the recording make.
    pub(crate) fn recorded(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        for event in std::mem::take(&mut self.events) {
            match event {
                MediaEvent::Recording { part, .. } => body.extend(part),
                MediaEvent::Recorded { head, .. } => return [head, body].concat(),
                other => self.events.push(other),
            }
        }
        panic!("nothing was recorded");
    }
}

/// A browser, more or less.
pub(crate) struct Peer {
    pub(crate) rtc: Rtc,
    pub(crate) address: SocketAddr,
    pending: Option<SdpPendingOffer>,
    mid: Mid,
    pub(crate) sent: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) is_connected: bool,
    /// The payload type of its sound, and of its keys.
    sound: Option<(u8, Box<dyn Codec>)>,
    keys: Option<(u8, EventWriter)>,
    /// What it says: samples that go round.
    pub(crate) says: Vec<i16>,
    at: usize,
    frame: u64,
    next: Option<StdInstant>,
    /// What it heard, and the payloads of keys.
    pub(crate) heard: Vec<i16>,
    pub(crate) heard_keys: Vec<(u32, Vec<u8>)>,
    pub(crate) heard_payloads: Vec<Vec<u8>>,
}

impl Peer {
    fn new(now: StdInstant, address: SocketAddr) -> (Self, String) {
        let mut peer = Self::idle(now, address);
        let mut changes = peer.rtc.sdp_api();
        peer.mid = changes.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = changes.apply().unwrap();
        peer.pending = Some(pending);
        (peer, offer.to_sdp_string())
    }

    /// One that is called, and its answer.
    pub(crate) fn called(now: StdInstant, address: SocketAddr, offer: &str) -> (Self, String) {
        let mut peer = Self::idle(now, address);
        let mid = offer
            .lines()
            .find_map(|line| line.strip_prefix("a=mid:"))
            .unwrap();
        peer.mid = Mid::from(mid);
        let read = SdpOffer::from_sdp_string(offer).unwrap();
        let answer = peer.rtc.sdp_api().accept_offer(read).unwrap();
        (peer, answer.to_sdp_string())
    }

    fn idle(now: StdInstant, address: SocketAddr) -> Self {
        let mut config = RtcConfig::new()
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .enable_pcmu(true, false)
            .enable_pcma(true, false)
            .enable_vp8(true);
        for (number, clock) in [
            (110, Frequency::FORTY_EIGHT_KHZ),
            (126, Frequency::EIGHT_KHZ),
        ] {
            let (number, format) = (number.into(), FormatParams::default());
            let codecs = config.codec_config();
            codecs.add_config(number, None, Format::Tele, clock, None, format);
        }
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(address, Protocol::Udp).unwrap());
        Self {
            rtc,
            address,
            pending: None,
            mid: Mid::from("0"),
            sent: Vec::new(),
            is_connected: false,
            sound: None,
            keys: None,
            says: vec![0; 48_000],
            at: 0,
            frame: 0,
            next: None,
            heard: Vec::new(),
            heard_keys: Vec::new(),
            heard_payloads: Vec::new(),
        }
    }

    pub(crate) fn accept(&mut self, answer: &str) {
        let read = SdpAnswer::from_sdp_string(answer).unwrap();
        let pending = self.pending.take().unwrap();
        self.rtc.sdp_api().accept_answer(pending, read).unwrap();
    }

    /// A further offer of this browser, and the answer to it.
    pub(crate) fn reoffer(&mut self, change: impl FnOnce(&mut SdpApi<'_>, Mid)) -> String {
        let mut changes = self.rtc.sdp_api();
        change(&mut changes, self.mid);
        let (offer, pending) = changes.apply().unwrap();
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// Speaks this codec, and keys on its clock.
    pub(crate) fn speak(&mut self, encoding: Encoding) {
        let (number, keys, clock) = match encoding {
            Encoding::Opus => (111, 110, 48_000),
            Encoding::Pcmu => (0, 126, 8_000),
            Encoding::Pcma => (8, 126, 8_000),
            Encoding::Linear(_) => panic!("no browser speaks it"),
        };
        self.sound = Some((number, encoding.codec().unwrap()));
        self.keys = Some((keys, EventWriter::new(clock)));
    }

    pub(crate) fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            let (_, writer) = self.keys.as_mut().unwrap();
            assert!(writer.press(Digit::from_key(key).unwrap()));
        }
    }

    fn take(&mut self, now: StdInstant, datagram: &Datagram) {
        let (from, to) = (datagram.from, datagram.to);
        let receive = Receive::new(Protocol::Udp, from, to, &datagram.bytes).unwrap();
        self.rtc
            .handle_input(PeerInput::Receive(now, receive))
            .unwrap();
        self.drain();
    }

    fn step(&mut self, now: StdInstant) {
        self.rtc.handle_input(PeerInput::Timeout(now)).unwrap();
        self.drain();
        if self.is_connected && self.next.is_none_or(|next| next <= now) {
            self.next = Some(self.next.unwrap_or(now) + Duration::from_millis(20));
            self.send(now);
        }
    }

    fn send(&mut self, now: StdInstant) {
        let Some((number, codec)) = &mut self.sound else {
            return;
        };
        self.frame += 1;
        let (keys_number, keys) = self.keys.as_mut().unwrap();
        let clock = if *number == 111 { 48_000 } else { 8_000 };
        let timestamp = self.frame as u32 * (clock / 50);
        let (number, marker, timestamp, payload) = match keys.tick(timestamp) {
            Some(key) => (
                *keys_number,
                key.marker,
                key.timestamp,
                key.payload.to_vec(),
            ),
            None => {
                let whole = codec.rate().frame();
                let frame: Vec<i16> = (0..whole)
                    .map(|next| self.says[(self.at + next) % self.says.len()])
                    .collect();
                self.at += whole;
                let mut payload = Vec::new();
                codec.encode(&frame, &mut payload).unwrap();
                (*number, false, timestamp, payload)
            }
        };
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(self.mid, None).unwrap();
        let count = self.frame.into();
        stream
            .write_rtp(RtpWrite::new(number.into(), count, timestamp, now, payload).marker(marker));
        self.drain();
        self.rtc.handle_input(PeerInput::Timeout(now)).unwrap();
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(_) => return,
                Output::Transmit(transmit) => {
                    self.sent
                        .push((transmit.destination, transmit.contents.to_vec()));
                }
                Output::Event(Event::Connected) => self.is_connected = true,
                Output::Event(Event::RtpPacket(packet)) => {
                    let number = *packet.header.payload_type;
                    if let Some((sound, codec)) = &mut self.sound
                        && *sound == number
                    {
                        codec.decode(&packet.payload, &mut self.heard).unwrap();
                        self.heard_payloads.push(packet.payload.to_vec());
                    } else {
                        let key = (packet.header.timestamp, packet.payload.to_vec());
                        self.heard_keys.push(key);
                    }
                }
                Output::Event(_) => {}
            }
        }
    }
}

/// So much of one frequency.
pub(crate) fn sine(rate_hz: u32, hz: f32, samples: usize) -> Vec<i16> {
    let turn = |at: usize| (at as f32 * hz / rate_hz as f32).fract() * std::f32::consts::TAU;
    (0..samples)
        .map(|at| (turn(at).sin() * 9_000.0) as i16)
        .collect()
}

/// How much of a sound's power one frequency is.
pub(crate) fn tone_share(samples: &[i16], rate_hz: u32, hz: f64) -> f64 {
    let step = std::f64::consts::TAU * hz / f64::from(rate_hz);
    let (mut re, mut im, mut all) = (0.0, 0.0, 1.0);
    for (at, sample) in samples.iter().enumerate() {
        let (sample, angle) = (f64::from(*sample), step * at as f64);
        re += sample * angle.cos();
        im += sample * angle.sin();
        all += sample * sample;
    }
    2.0 * (re * re + im * im) / (samples.len() as f64 * all)
}
