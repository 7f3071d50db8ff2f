//! The gateway with real sockets: who comes by UDP is answered, ports are opened and closed, recordings are files.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use media::stream::{FromBot, ToBot};
use media::wav::Wav;
use model::media::{
    LegId, LegKind, Record, RecordEnd, Sdp, SessionId, Stream, StreamEnd, StreamRate, StreamStop,
};
use model::{FileName, PageUrl, SecretBytes};
use stun_types::attribute::{AttributeType, RawAttribute, Username, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageClass, MessageWrite, MessageWriteExt,
    MessageWriteVec, ShortTermCredentials,
};

use super::plan::Place;
use super::*;

const ACCOUNT: AccountId = AccountId(7);
const OFFER: &str = include_str!("../../../media/tests/gateway/fixtures/sdk-4.0.8-offer.sdp");
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// A frame of sound.
const BEAT: Duration = Duration::from_millis(20);

const LEG: LegId = LegId {
    session: SessionId::of_shard(3, 1),
    place: 0,
};

/// A running gateway on loopback.
struct Stage {
    gateway: Gateway,
    media: Media,
    events: Receiver<MediaEvent>,
    counters: Arc<Counters>,
    data: tempfile::TempDir,
    /// Streams that were to be carried.
    lines: Receiver<(Box<Stream>, Line)>,
}

impl Stage {
    fn new() -> Self {
        let loopback = "127.0.0.1:0".parse().unwrap();
        let place = Place {
            local: loopback,
            public: loopback.ip(),
        };
        let doors = Doors::open(Plan::of(vec![place], 20_000..=29_999)).unwrap();
        let data = tempfile::tempdir().unwrap();
        let (told, events) = channel();
        let (dialled, lines) = channel();
        let gateway = doors.gateway();
        let counters = Arc::<Counters>::default();
        let media = doors.start(
            Clock::start(),
            Arc::new(AccountFiles::new(data.path())),
            Arc::new(move |event| told.send(event).unwrap()),
            Arc::new(move |account, stream, line| {
                assert_eq!(account, ACCOUNT);
                dialled.send((stream, line)).unwrap();
            }),
            Arc::clone(&counters),
        );
        Self {
            gateway,
            media: media.unwrap(),
            events,
            counters,
            data,
            lines,
        }
    }

    fn command(&self, command: MediaCommand) {
        self.gateway.put(ACCOUNT, command, &self.counters);
    }

    fn answer(&self, kind: LegKind, offer: &str) -> String {
        self.command(MediaCommand::Answer {
            leg: LEG,
            kind,
            offer: offer.into(),
        });
        let event = self.events.recv_timeout(PATIENCE).unwrap();
        let MediaEvent::Answered { leg: LEG, answer } = event else {
            panic!("{event:?}");
        };
        answer.to_string()
    }

    fn counted(&self, counter: ShellCounter) -> u64 {
        let mut listing = self.counters.listing();
        listing
            .find(|(name, _)| *name == counter.as_str())
            .unwrap()
            .1
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// What stands behind the name of an attribute.
fn value<'a>(sdp: &'a str, name: &str) -> &'a str {
    let mut lines = sdp.lines();
    lines
        .find_map(|line| line.strip_prefix("a=")?.strip_prefix(name))
        .unwrap()
}

/// The address of the answer's candidate.
fn candidate(sdp: &str) -> SocketAddr {
    let words: Vec<_> = value(sdp, "candidate:").split(' ').collect();
    SocketAddr::new(words[4].parse().unwrap(), words[5].parse().unwrap())
}

fn check(name: &str, password: &str) -> Vec<u8> {
    let mut check = Message::builder_request(BINDING, MessageWriteVec::new());
    let user = Username::new(&format!("{name}:o2yp")).unwrap();
    check.add_attribute(&user).unwrap();
    // RFC 8445 §16.1: PRIORITY, USE-CANDIDATE, ICE-CONTROLLING.
    for (kind, value) in [(0x24, &[0, 0, 0, 9][..]), (0x25, &[]), (0x802a, &[7; 8])] {
        let attribute = RawAttribute::new(AttributeType::new(kind), value);
        check.add_attribute(&attribute).unwrap();
    }
    let credentials = ShortTermCredentials::new(password.to_owned()).into();
    check
        .add_message_integrity(&credentials, IntegrityAlgorithm::Sha1)
        .unwrap();
    check.add_fingerprint().unwrap();
    check.finish()
}

#[test]
fn the_relay_is_told_where_its_sockets_are_and_what_browsers_call_them() {
    let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let place = Place {
        local: loopback,
        public: "203.0.113.7".parse().unwrap(),
    };
    let doors = Doors::open(Plan::of(vec![place; 2], 20_000..=29_999)).unwrap();
    let gateways = doors.gateways();
    assert_eq!(gateways.len(), 2);
    for (gateway, door) in gateways.iter().zip(&doors.sockets) {
        assert_eq!(gateway.local, door.socket.local_addr().unwrap());
        assert_eq!(gateway.public, door.told);
        assert_ne!(gateway.public.port(), 0);
    }
}

#[test]
fn an_ice_check_with_the_legs_password_is_answered_from_where_it_came() {
    let stage = Stage::new();
    let answer = stage.answer(LegKind::WebRtc, OFFER);
    let to = candidate(&answer);
    let (name, password) = (value(&answer, "ice-ufrag:"), value(&answer, "ice-pwd:"));
    let peer = socket();
    // In order: when the last is answered, those before were dropped.
    peer.send_to(&[22; 50], to).unwrap();
    peer.send_to(&check("nobody", password), to).unwrap();
    peer.send_to(&check(name, password), to).unwrap();
    let mut bytes = [0; 1_500];
    let (length, from) = peer.recv_from(&mut bytes).unwrap();
    assert_eq!(from, to);
    let message = Message::from_bytes(&bytes[..length]).unwrap();
    assert_eq!(message.class(), MessageClass::Success);
    let mapped = message.attribute::<XorMappedAddress>().unwrap();
    assert_eq!(
        mapped.addr(message.transaction_id()),
        peer.local_addr().unwrap()
    );
    assert_eq!(stage.counted(ShellCounter::MediaUnchecked), 1);
    assert_eq!(stage.counted(ShellCounter::MediaUnknownCheck), 1);
    assert_eq!(stage.gateway.legs(), 1);
    stage.media.stop();
    let Ok(MediaEvent::Ended { leg: LEG, end, .. }) = stage.events.recv() else {
        panic!("what is left at the end is closed");
    };
    assert_eq!(end, LegEnd::Closed);
    assert_eq!(stage.gateway.legs(), 0);
}

/// What a telephone offers that listens on this socket.
fn telephone(socket: &UdpSocket) -> String {
    let port = socket.local_addr().unwrap().port();
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n\
         a=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n"
    )
}

fn rtp_kind() -> LegKind {
    LegKind::Rtp {
        allowed: Vec::new(),
    }
}

/// Where the answer wants RTP.
fn rtp_port(answer: &str) -> u16 {
    let mut lines = answer.lines();
    let media = lines
        .find_map(|line| line.strip_prefix("m=audio "))
        .unwrap();
    media.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_plain_rtp_leg_has_its_pair_of_ports_until_it_ends() {
    let stage = Stage::new();
    let answer = stage.answer(rtp_kind(), &telephone(&socket()));
    let port = rtp_port(&answer);
    assert!(
        (20_000..30_000).contains(&port) && port.is_multiple_of(2),
        "{port}"
    );
    for port in [port, port + 1] {
        assert!(UdpSocket::bind(("127.0.0.1", port)).is_err(), "{port}");
    }
    stage.command(MediaCommand::Close {
        session: LEG.session,
    });
    let ended = stage.events.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(ended, MediaEvent::Ended { .. }), "{ended:?}");
    stage.media.stop();
    for port in [port, port + 1] {
        assert!(UdpSocket::bind(("127.0.0.1", port)).is_ok(), "{port}");
    }
}

#[test]
fn what_a_telephone_says_becomes_a_file_of_the_account() {
    let stage = Stage::new();
    let telephone_socket = socket();
    let answer = stage.answer(rtp_kind(), &telephone(&telephone_socket));
    let to = ("127.0.0.1", rtp_port(&answer));
    stage.command(MediaCommand::Record {
        leg: LEG,
        record: Record {
            longest: Duration::from_millis(400),
            first_silence: None,
            silence: None,
            beep: false,
            until_digit: false,
            both: false,
            file: FileName::parse("message.wav").unwrap(),
        },
    });
    let mut number = 0_u16;
    let (length, end) = loop {
        let mut packet = vec![0x80, 8];
        packet.extend(number.to_be_bytes());
        packet.extend((u32::from(number) * 160).to_be_bytes());
        packet.extend([1, 2, 3, 4]);
        packet.extend([0x55 ^ 0x30; 160]);
        telephone_socket.send_to(&packet, to).unwrap();
        number += 1;
        match stage.events.recv_timeout(BEAT) {
            Ok(MediaEvent::Recorded { length, end, .. }) => break (length, end),
            Ok(_) | Err(_) => assert!(number < 1_000, "it ends"),
        }
    };
    assert_eq!((length, end), (Duration::from_millis(400), RecordEnd::Full));
    let file = stage.data.path().join("files/7/message.wav");
    let wav = Wav::read(std::fs::read(file).unwrap().into()).unwrap();
    assert_eq!((wav.rate_hz(), wav.length()), (8_000, 3_200));
    assert_eq!(stage.counted(ShellCounter::RecordingKept), 1);
    stage.media.stop();
}

fn stream(number: u64) -> MediaCommand {
    MediaCommand::Stream {
        leg: LEG,
        stream: Box::new(Stream {
            number,
            url: PageUrl::parse("https://bot.example/audio").unwrap(),
            rate: StreamRate::Hz8000,
            greeting: "{}".to_owned(),
            instance: "0.1.2".to_owned(),
            secret: SecretBytes::new(Vec::new()),
        }),
    }
}

fn ended(stage: &Stage, number: u64) -> StreamEnd {
    let event = stage.events.recv_timeout(PATIENCE).unwrap();
    let MediaEvent::StreamEnded {
        leg: LEG,
        number: of,
        end,
    } = event
    else {
        panic!("{event:?}");
    };
    assert_eq!(of, number);
    end
}

#[test]
fn a_telephone_and_a_bot_hear_each_other_past_the_shards() {
    let stage = Stage::new();
    let telephone_socket = socket();
    stage.answer(rtp_kind(), &telephone(&telephone_socket));
    stage.command(stream(1));
    let (_, mut line) = stage.lines.recv_timeout(PATIENCE).unwrap();
    let Some(Told::Word(ToBot::Sound(frame))) = line.told.blocking_recv() else {
        panic!("a frame of silence");
    };
    assert_eq!(frame, [0; 320]);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.unwrap();
    let said = FromBot::Sound(vec![8_000; 1_600]);
    assert!(runtime.block_on(line.say(said)));
    let mut bytes = [0; 1_500];
    loop {
        let (length, _) = telephone_socket.recv_from(&mut bytes).unwrap();
        // A packet of sound that is no silence; RTCP is shorter.
        if length == 172 && bytes[100] != 0xd5 {
            break;
        }
    }
    let end = StreamEnd::Result("[]".into());
    assert!(runtime.block_on(line.say(FromBot::End(end.clone()))));
    assert_eq!(ended(&stage, 1), end);
    assert!(
        !runtime.block_on(line.say(FromBot::Clear)),
        "nobody listens"
    );
    stage.media.stop();
}

#[test]
fn a_stream_is_ended_on_both_sides_whatever_ends_it() {
    let stage = Stage::new();
    let telephone_socket = socket();
    stage.answer(rtp_kind(), &telephone(&telephone_socket));
    let last = |mut line: Line| {
        let mut last = None;
        while let Some(told) = line.told.blocking_recv() {
            last = Some(told);
        }
        last
    };
    let stopped = |why| Told::End(StreamEnd::Stopped(why));
    stage.command(stream(1));
    stage.command(stream(2));
    let (_, first) = stage.lines.recv_timeout(PATIENCE).unwrap();
    let (_, second) = stage.lines.recv_timeout(PATIENCE).unwrap();
    ended(&stage, 1);
    assert_eq!(last(first), Some(stopped(StreamStop::Interrupted)));
    // A task that ends without a word.
    drop(second);
    let end = ended(&stage, 2);
    assert!(matches!(end, StreamEnd::Failed(why) if why.contains("a bug")));
    // A bot that takes nothing for five seconds.
    stage.command(stream(3));
    let (_, slow) = stage.lines.recv_timeout(PATIENCE).unwrap();
    let end = ended(&stage, 3);
    assert!(matches!(end, StreamEnd::Failed(why) if why.contains("does not take")));
    last(slow);
    stage.command(stream(4));
    let (_, fourth) = stage.lines.recv_timeout(PATIENCE).unwrap();
    let session = LEG.session;
    stage.command(MediaCommand::Close { session });
    ended(&stage, 4);
    assert_eq!(last(fourth), Some(stopped(StreamStop::CallEnded)));
    stage.media.stop();
}

#[test]
fn bursts_of_commands_are_done_by_turns_and_none_is_forgotten() {
    let stage = Stage::new();
    let nonsense = Sdp::from(OFFER.replace("a=fingerprint", "a=nothing"));
    let refused = || {
        let event = stage.events.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(event, MediaEvent::Refused { .. }), "{event:?}");
    };
    for _ in 0..3 {
        // Several turns of the worker, which is told of the last one while it is at the others.
        for _ in 0..400 {
            stage.command(MediaCommand::Answer {
                leg: LEG,
                kind: LegKind::WebRtc,
                offer: nonsense.clone(),
            });
        }
        for _ in 0..300 {
            refused();
        }
        stage.command(MediaCommand::Answer {
            leg: LEG,
            kind: LegKind::WebRtc,
            offer: nonsense.clone(),
        });
        for _ in 0..101 {
            refused();
        }
    }
    assert_eq!(stage.counted(ShellCounter::MediaFull), 0);
    stage.media.stop();
}

#[test]
fn after_a_bug_the_shards_hear_of_every_leg() {
    let stage = Stage::new();
    stage.answer(LegKind::WebRtc, OFFER);
    stage.gateway.inbox.put_bug();
    let ended = stage.events.recv_timeout(PATIENCE).unwrap();
    let MediaEvent::Ended { leg: LEG, end, .. } = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(end, LegEnd::Peer);
    assert_eq!(stage.gateway.legs(), 0);
    // And it goes on.
    stage.answer(LegKind::WebRtc, OFFER);
    stage.media.stop();
}

#[test]
fn without_a_gateway_a_new_leg_is_refused_and_nothing_else_is_said() {
    let offer = MediaCommand::Offer {
        leg: LEG,
        kind: LegKind::WebRtc,
    };
    let Some(MediaEvent::Refused { leg: LEG, sentence }) = refusal_without_gateway(&offer) else {
        panic!("it is refused");
    };
    assert!(sentence.contains("media = false"), "{sentence}");
    let close = MediaCommand::Close {
        session: LEG.session,
    };
    assert_eq!(refusal_without_gateway(&close), None);
}
