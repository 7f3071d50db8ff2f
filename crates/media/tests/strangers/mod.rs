//! A worker among strangers: any bytes as offers, any bytes as datagrams. Shared by the fuzz targets and the replay of their corpora.
//!
//! Never opens a socket.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant as StdInstant};

use media::codec::Encoding;
use media::compressed::Decoding;
use media::rtp::RtpPort;
use media::srtp::{MasterKey, Sealer, Suite};
use media::wav::{HEAD_BYTES, Wav, WavError};
use media::webrtc::House;
use media::{Config, Effect, Input, Worker};
use model::limits::PLAY_FILE_BYTES;
use model::media::{Entry, LegId, LegKind, MediaCommand, MediaEvent, Record, RoomId, SessionId};
use model::{Instant, Now, UnixTime};

const LEG: LegId = LegId {
    session: SessionId(1),
    place: 0,
};
const PEER: ([u8; 4], u16) = ([192, 0, 2, 7], 7_000);
const OURS: ([u8; 4], u16) = ([198, 51, 100, 1], 30_000);

pub struct Strangers {
    worker: Worker,
    now: Instant,
    answers: usize,
    offer: Option<String>,
    /// Where datagrams have left for.
    targets: Vec<SocketAddr>,
    is_connected: bool,
}

impl Strangers {
    fn new(preferred: &[Encoding]) -> Self {
        static HOUSE: OnceLock<House> = OnceLock::new();
        let house = HOUSE.get_or_init(|| {
            House::new(StdInstant::now(), vec![OURS.into()]).expect("a certificate")
        });
        Self {
            worker: Worker::new(Config {
                house: house.clone(),
                seed: [3; 32],
                preferred: preferred.to_vec(),
            }),
            now: Instant::from_micros(1_000_000),
            answers: 0,
            offer: None,
            targets: Vec::new(),
            is_connected: false,
        }
    }

    /// Any bytes as a compressed file: it has an end, and what comes of it can be played.
    pub fn take_compressed(bytes: &[u8]) {
        let Ok(Some(mut decoding)) = Decoding::begin(bytes.into()) else {
            return;
        };
        let mut wav = vec![0; HEAD_BYTES];
        loop {
            match decoding.more(&mut wav) {
                Ok(true) => assert!(wav.len() <= PLAY_FILE_BYTES),
                Ok(false) => break,
                Err(why) => return assert!(!why.is_empty()),
            }
        }
        wav[..HEAD_BYTES].copy_from_slice(&decoding.head());
        match Wav::read(wav.into()) {
            Ok(_) | Err(WavError::Rate(_)) => {}
            Err(why) => panic!("{why}"),
        }
    }

    /// An offer of any bytes, to legs of each kind: answered or refused, once, and nothing leaves before the peer has come.
    pub fn take_sdp(bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for kind in [
            LegKind::WebRtc,
            LegKind::Rtp {
                allowed: Vec::new(),
            },
            LegKind::Srtp {
                allowed: Vec::new(),
                is_required: false,
            },
        ] {
            let mut strangers = Self::new(&[Encoding::Opus, Encoding::Pcma, Encoding::Pcmu]);
            strangers.answer(kind, &text);
            assert_eq!(strangers.answers, 1);
            // Once more on the leg that it has made, if it has: answered as well.
            let is_there = strangers.worker.sessions() == 1;
            strangers.give(Input::Command(MediaCommand::Reoffer {
                leg: LEG,
                offer: text.as_ref().into(),
            }));
            assert_eq!(strangers.answers, 1 + usize::from(is_there));
            for _ in 0..3 {
                strangers.pass(Duration::from_millis(20));
            }
            assert_eq!(strangers.targets, []);
            strangers.give(Input::Command(MediaCommand::Close {
                session: LEG.session,
            }));
            assert_eq!(strangers.worker.sessions(), 0);
            assert_eq!(strangers.worker.poll_timeout(), None);
        }
    }

    /// Any bytes as the answer to an offer of ours, on legs of each kind: taken or refused, and nothing leaves before the peer has come.
    pub fn take_answer(bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for kind in [
            LegKind::WebRtc,
            LegKind::Rtp {
                allowed: Vec::new(),
            },
            LegKind::Srtp {
                allowed: Vec::new(),
                is_required: false,
            },
        ] {
            let mut strangers = Self::new(&[Encoding::Opus, Encoding::Pcma, Encoding::Pcmu]);
            strangers.give(Input::Command(MediaCommand::Offer { leg: LEG, kind }));
            let offer = strangers.offer.take().expect("an offer");
            // The name of the medium is ours; whoever answers knows it.
            let mid = offer
                .lines()
                .find_map(|line| line.strip_prefix("a=mid:"))
                .unwrap_or("0");
            let answer = text.replace("a=mid:0", &format!("a=mid:{mid}"));
            strangers.give(Input::Command(MediaCommand::Accept {
                leg: LEG,
                answer: answer.replace("BUNDLE 0", &format!("BUNDLE {mid}")).into(),
            }));
            assert!(strangers.answers <= 1);
            for _ in 0..3 {
                strangers.pass(Duration::from_millis(20));
            }
            assert_eq!(strangers.targets, []);
            strangers.give(Input::Command(MediaCommand::Close {
                session: LEG.session,
            }));
            assert_eq!(strangers.worker.sessions(), 0);
            assert_eq!(strangers.worker.poll_timeout(), None);
        }
    }

    /// Datagrams of any bytes from a peer whose sound is decoded: the first byte chooses the codec, then come length and bytes of
    /// each. What leaves goes to the peer.
    pub fn take_rtp(bytes: &[u8]) {
        let Some((choice, mut rest)) = bytes.split_first() else {
            return;
        };
        let (encoding, map) = match choice % 3 {
            0 => (Encoding::Opus, "96 101\r\na=rtpmap:96 opus/48000/2"),
            1 => (Encoding::Pcma, "8 101"),
            _ => (Encoding::Pcmu, "0"),
        };
        let mut strangers = Self::new(&[encoding]);
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 7000 RTP/AVP {map}\r\na=rtpmap:101 telephone-event/8000\r\na=rtcp-mux\r\n"
        );
        strangers.answer(
            LegKind::Rtp {
                allowed: Vec::new(),
            },
            &offer,
        );
        strangers.give(Input::Command(MediaCommand::Record {
            leg: LEG,
            record: Record {
                longest: Duration::from_secs(3_600),
                first_silence: None,
                silence: None,
                beep: choice & 4 != 0,
                until_digit: false,
                both: true,
                file: model::FileName::parse("recording.wav").unwrap(),
            },
        }));
        if choice & 8 != 0 {
            strangers.give(Input::Command(MediaCommand::Enter {
                leg: LEG,
                room: RoomId(1),
                entry: Entry {
                    may_talk: true,
                    beep: true,
                },
            }));
        }
        while let Some((length, after)) = rest.split_first() {
            let (datagram, after) = after.split_at(after.len().min(usize::from(*length)));
            strangers.give(Input::Rtp {
                leg: LEG,
                port: RtpPort::Rtp,
                from: PEER.into(),
                bytes: datagram,
            });
            strangers.pass(Duration::from_millis(u64::from(*length) % 41));
            rest = after;
        }
        strangers.pass(Duration::from_secs(1));
        let peer = SocketAddr::from(PEER);
        assert!(strangers.targets.iter().all(|target| *target == peer));
    }

    /// Datagrams of any bytes from where a peer is that protects its own: the first byte chooses the suite, then come length, kind and
    /// bytes of each, which is sealed by the peer as a packet or as a report, or comes as it is. Those that the peer has not sealed are
    /// not its own, and what leaves goes to it.
    pub fn take_srtp(bytes: &[u8]) {
        let Some((choice, mut rest)) = bytes.split_first() else {
            return;
        };
        let suite = Suite::ALL[usize::from(*choice) % Suite::ALL.len()];
        // What Base64 has of 30 zeros, or of 28.
        let key = "A".repeat((suite.master_bytes() * 4).div_ceil(3));
        let key_of_zeros = MasterKey::drawn(suite, &[0; MasterKey::BYTES]);
        let mut peer = Sealer::new(&key_of_zeros).expect("a cipher");
        let mut strangers = Self::new(&[Encoding::Pcma]);
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 7000 RTP/SAVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=rtcp-mux\r\na=crypto:1 {} inline:{key}\r\n",
            suite.as_str()
        );
        let kind = LegKind::Srtp {
            allowed: Vec::new(),
            is_required: true,
        };
        strangers.answer(kind, &offer);
        assert_eq!(strangers.worker.sessions(), 1);
        let mut has_sealed = false;
        while let Some(([length, sealing], after)) = rest.split_first_chunk() {
            let (datagram, after) = after.split_at(after.len().min(usize::from(*length)));
            let mut datagram = datagram.to_vec();
            let is_sealed = match sealing % 3 {
                0 => peer.seal(&mut datagram).is_some(),
                1 => peer.seal_report(&mut datagram).is_some(),
                _ => false,
            };
            has_sealed |= is_sealed;
            strangers.give(Input::Rtp {
                leg: LEG,
                port: RtpPort::Rtp,
                from: PEER.into(),
                bytes: &datagram,
            });
            assert!(has_sealed || !strangers.is_connected);
            strangers.pass(Duration::from_millis(u64::from(*length) % 41));
            rest = after;
        }
        strangers.pass(Duration::from_secs(1));
        let peer = SocketAddr::from(PEER);
        assert!(strangers.targets.iter().all(|target| *target == peer));
    }

    fn answer(&mut self, kind: LegKind, offer: &str) {
        self.give(Input::Command(MediaCommand::Answer {
            leg: LEG,
            kind,
            offer: offer.into(),
        }));
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.give(Input::Timeout);
    }

    fn give(&mut self, input: Input<'_>) {
        let now = Now {
            mono: self.now,
            unix: UnixTime::from_secs(1_800_000_000),
        };
        self.worker.handle(now, input);
        let mut is_opening = false;
        while let Some(effect) = self.worker.poll_effect() {
            match effect {
                Effect::Event(MediaEvent::Answered { .. } | MediaEvent::Refused { .. }) => {
                    self.answers += 1;
                }
                Effect::Event(MediaEvent::Offered { offer, .. }) => {
                    self.offer = Some(offer.to_string());
                }
                Effect::Event(MediaEvent::Connected { .. }) => self.is_connected = true,
                Effect::Send { to, .. } | Effect::SendRtp { to, .. } => self.targets.push(to),
                Effect::OpenRtp { .. } => is_opening = true,
                Effect::Event(_)
                | Effect::CloseRtp { .. }
                | Effect::ToBot { .. }
                | Effect::Count(_) => {}
            }
        }
        if is_opening {
            let address = Some(OURS.into());
            self.give(Input::RtpOpened { leg: LEG, address });
        }
    }
}
