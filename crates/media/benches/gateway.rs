//! What one packet and one frame cost: a packet from one plain RTP leg to another or to a browser (with its SRTP), a frame that is played to a leg, a frame that is
//! decoded for a recording, a beat of a room, and a frame between two codecs. Sockets are not in it.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench may read a clock; the crate may not"
)]

#[path = "../tests/gateway/world.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "the world of the tests, of which a bench needs a part"
)]
mod world;

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant as StdInstant};

use criterion::{Criterion, criterion_group, criterion_main};
use media::audio::Rate;
use media::codec::{Encoding, Resampler};
use media::rtp::{Outgoing, RtpPort};
use media::stream::FromBot;
use media::webrtc::House;
use media::{Config, Effect, Input, Worker};
use model::media::{
    Entry, LegId, LegKind, MediaCommand, Play, Record, RoomId, SessionId, Sound, Stream,
    StreamRate, Tone,
};
use model::{Instant, Now, UnixTime};

/// A-law that is no silence: who listens for keys looks at it.
const LOUD: [u8; 160] = {
    let (mut bytes, mut at) = ([0; 160], 0);
    while at < bytes.len() {
        bytes[at] = (at * 37) as u8;
        at += 1;
    }
    bytes
};
const FRAME: Duration = Duration::from_millis(20);

fn leg(session: u64, place: u8) -> LegId {
    LegId {
        session: SessionId(session),
        place,
    }
}

fn peer(leg: LegId) -> SocketAddr {
    SocketAddr::from((
        [192, 0, 2, 1],
        4_000 + leg.session.0 as u16 * 4 + u16::from(leg.place) * 2,
    ))
}

/// A worker with so many sessions of plain RTP legs, each of which has been heard once.
struct Full {
    worker: Worker,
    now: Instant,
    streams: Vec<(LegId, Outgoing)>,
    frame: u32,
    sent: usize,
    told: usize,
}

impl Full {
    fn new(encoding: Encoding, sessions: u64, legs: u8, with_events: bool) -> Self {
        let ours = SocketAddr::from(([198, 51, 100, 1], 40_000));
        let house = House::new(StdInstant::now(), vec![ours]).expect("a certificate");
        let mut full = Self {
            worker: Worker::new(Config {
                house,
                seed: [1; 32],
                preferred: vec![encoding],
            }),
            now: Instant::from_micros(1_000_000),
            streams: Vec::new(),
            frame: 0,
            sent: 0,
            told: 0,
        };
        for session in 0..sessions {
            for place in 0..legs {
                full.add(leg(session, place), encoding, with_events);
            }
        }
        full.speak(encoding);
        full
    }

    fn add(&mut self, leg: LegId, encoding: Encoding, with_events: bool) {
        let at = peer(leg);
        let map = match encoding {
            Encoding::Opus => "96 101\r\na=rtpmap:96 opus/48000/2",
            Encoding::Pcmu | Encoding::Pcma | Encoding::Linear(_) => "8 101",
        };
        // Whoever agrees on no events is listened to for tones.
        let events = if with_events {
            "a=rtpmap:101 telephone-event/8000\r\n"
        } else {
            ""
        };
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio {} RTP/AVP {map}\r\n{events}a=rtcp-mux\r\n",
            at.port()
        );
        self.command(MediaCommand::Answer {
            leg,
            kind: LegKind::Rtp {
                allowed: Vec::new(),
            },
            offer: offer.into(),
        });
        let address = Some(SocketAddr::from(([198, 51, 100, 1], 30_000)));
        self.give(Input::RtpOpened { leg, address });
        self.streams
            .push((leg, Outgoing::new(leg.session.0, encoding.clock())));
    }

    fn command(&mut self, command: MediaCommand) {
        self.give(Input::Command(command));
    }

    fn give(&mut self, input: Input<'_>) {
        let now = Now {
            mono: self.now,
            unix: UnixTime::from_secs(1_800_000_000),
        };
        self.worker.handle(now, input);
        while let Some(effect) = self.worker.poll_effect() {
            match black_box(effect) {
                Effect::SendRtp { bytes, .. } => self.sent += usize::from(bytes.len() > 20),
                Effect::ToBot { .. } => self.told += 1,
                Effect::Event(_)
                | Effect::Send { .. }
                | Effect::OpenRtp { .. }
                | Effect::CloseRtp { .. }
                | Effect::Count(_) => {}
            }
        }
    }

    /// A packet of each peer.
    fn speak(&mut self, encoding: Encoding) {
        // The packet of a silent frame.
        let silent = [0x58, 0x01, 0x02, 0x03];
        let payload: &[u8] = match encoding {
            Encoding::Opus => &silent,
            Encoding::Pcmu | Encoding::Pcma | Encoding::Linear(_) => &LOUD,
        };
        let all = self.streams.len();
        self.say(encoding, payload, all);
    }

    /// This packet of the first so many peers.
    fn say(&mut self, encoding: Encoding, payload: &[u8], talkers: usize) {
        let (number, step) = match encoding {
            Encoding::Opus => (96, 960),
            Encoding::Pcmu | Encoding::Pcma | Encoding::Linear(_) => (8, 160),
        };
        self.frame += 1;
        let mut packets = Vec::new();
        for (leg, stream) in self.streams.iter_mut().take(talkers) {
            let mut bytes = Vec::new();
            stream.write(
                self.now,
                number,
                false,
                self.frame * step,
                payload,
                &mut bytes,
            );
            packets.push((*leg, bytes));
        }
        for (leg, bytes) in packets {
            let (port, from, bytes) = (RtpPort::Rtp, peer(leg), bytes.as_slice());
            self.give(Input::Rtp {
                leg,
                port,
                from,
                bytes,
            });
        }
    }

    fn tick(&mut self) {
        self.now = self.now + FRAME;
        self.give(Input::Timeout);
    }
}

fn workers(criterion: &mut Criterion) {
    const SESSIONS: u64 = 100;
    let mut group = criterion.benchmark_group("100 sessions");
    let mut full = Full::new(Encoding::Pcma, SESSIONS, 2, true);
    for session in 0..SESSIONS {
        full.command(MediaCommand::Join {
            leg: leg(session, 0),
            other: 1,
        });
    }
    full.speak(Encoding::Pcma);
    group.bench_function("200 packets forwarded, with the beat of 20 ms", |bench| {
        bench.iter(|| {
            let before = full.sent;
            full.now = full.now + FRAME;
            full.speak(Encoding::Pcma);
            full.give(Input::Timeout);
            assert!(full.sent - before >= 200);
        });
    });
    for encoding in [Encoding::Pcma, Encoding::Opus] {
        let mut full = Full::new(encoding, SESSIONS, 1, true);
        for session in 0..SESSIONS {
            let mut tone = Tone::busy();
            tone.rhythm_ms.clear();
            full.command(MediaCommand::Play {
                leg: leg(session, 0),
                play: Play {
                    sounds: vec![Sound::Tone(tone)],
                    times: None,
                    until_digit: false,
                },
            });
        }
        group.bench_function(
            format!("100 frames of a tone played, {encoding}"),
            |bench| {
                bench.iter(|| {
                    let before = full.sent;
                    full.tick();
                    assert!(full.sent - before >= 100);
                });
            },
        );
    }
    let mut full = Full::new(Encoding::Pcma, SESSIONS, 1, false);
    for session in 0..SESSIONS {
        full.command(MediaCommand::Record {
            leg: leg(session, 0),
            record: Record {
                longest: Duration::from_secs(3_600),
                first_silence: None,
                silence: None,
                beep: false,
                until_digit: false,
                both: false,
                file: model::FileName::parse("recording.wav").expect("a name"),
            },
        });
    }
    group.bench_function(
        "100 frames recorded, listened to for keys, and silence sent, PCMA",
        |bench| {
            bench.iter(|| {
                full.now = full.now + FRAME;
                full.speak(Encoding::Pcma);
                full.give(Input::Timeout);
            });
        },
    );
    group.finish();
}

/// Each of 100 sessions has a stream of 8 kHz, whose bot speaks all the time.
fn streams(criterion: &mut Criterion) {
    for encoding in [Encoding::Pcma, Encoding::Opus] {
        stream(criterion, encoding);
    }
}

fn stream(criterion: &mut Criterion, encoding: Encoding) {
    const SESSIONS: u64 = 100;
    let mut full = Full::new(encoding, SESSIONS, 1, true);
    for session in 0..SESSIONS {
        let stream = Stream {
            number: 1,
            url: model::PageUrl::parse("https://bot.example/audio").expect("an address"),
            rate: StreamRate::Hz8000,
            greeting: String::new(),
            instance: String::new(),
            secret: model::SecretBytes::new(Vec::new()),
        };
        full.command(MediaCommand::Stream {
            leg: leg(session, 0),
            stream: Box::new(stream),
        });
    }
    let name = format!("100 frames to bots and 100 back, {encoding}");
    criterion.bench_function(&name, |bench| {
        bench.iter(|| {
            let before = full.told;
            full.now = full.now + FRAME;
            full.speak(encoding);
            full.give(Input::Timeout);
            assert!(full.told - before >= 100);
            for session in 0..SESSIONS {
                let word = FromBot::Sound(vec![1_000; 160]);
                let leg = leg(session, 0);
                full.give(Input::FromBot { leg, word });
            }
        });
    });
}

/// One room, in which so many say something and the others nothing, or all of them.
fn rooms(criterion: &mut Criterion) {
    const PARTIES: u64 = 50;
    let mut group = criterion.benchmark_group("a room of 50");
    for (encoding, talkers) in [
        (Encoding::Pcma, 3),
        (Encoding::Pcma, 50),
        (Encoding::Opus, 3),
        (Encoding::Opus, 50),
    ] {
        let mut full = Full::new(encoding, PARTIES, 1, true);
        for session in 0..PARTIES {
            full.command(MediaCommand::Enter {
                leg: leg(session, 0),
                room: RoomId(1),
                entry: Entry {
                    may_talk: true,
                    beep: false,
                },
            });
        }
        let mut codec = encoding.codec().expect("a codec");
        let whole = codec.rate().frame();
        let mut at = 0;
        group.bench_function(
            format!("a beat of 20 ms, {talkers} of them talk, {encoding}"),
            |bench| {
                bench.iter(|| {
                    // A voice, more or less: two frequencies that change.
                    at += 1;
                    let turn = |sample: usize, hz: f32| {
                        (sample as f32 * hz / codec.rate().hz() as f32 * std::f32::consts::TAU)
                            .sin()
                    };
                    let frame: Vec<i16> = (at * whole..(at + 1) * whole)
                        .map(|sample| {
                            let low = turn(sample, 120.0 + (at % 50) as f32);
                            ((low + turn(sample, 900.0)) * 5_000.0) as i16
                        })
                        .collect();
                    let mut payload = Vec::new();
                    codec.encode(&frame, &mut payload).expect("a frame");
                    let before = full.sent;
                    full.say(encoding, &payload, talkers);
                    full.tick();
                    // Packets of silence, at the beginning, are too small to be counted.
                    assert!(at < 50 || full.sent - before >= 50);
                });
            },
        );
    }
    group.finish();
}

/// One browser that is joined with one telephone; time stands still, so that no check is missed.
fn browser(criterion: &mut Criterion) {
    let mut world = world::World::new(&[Encoding::Pcma]);
    world.call(world::LEG, "192.0.2.1:50000");
    world.run(2_000);
    let phone = leg(world::LEG.session.0, 1);
    let offer = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 7000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";
    world.command(MediaCommand::Answer {
        leg: phone,
        kind: LegKind::Rtp {
            allowed: Vec::new(),
        },
        offer: offer.into(),
    });
    let address = Some(world::address("198.51.100.1:30000"));
    world.give(Input::RtpOpened {
        leg: phone,
        address,
    });
    world.command(MediaCommand::Join {
        leg: world::LEG,
        other: 1,
    });
    let mut out = Outgoing::new(5, 8_000);
    let (from, mut at) = (world::address("192.0.2.7:7000"), 0_u32);
    let now = world.clock().mono;
    criterion.bench_function("a packet forwarded from plain RTP to a browser", |bench| {
        bench.iter(|| {
            at = at.wrapping_add(160);
            let mut bytes = Vec::new();
            out.write(now, 8, false, at, &[0xd5; 160], &mut bytes);
            let bytes = bytes.as_slice();
            world.network.clear();
            world.give(Input::Rtp {
                leg: phone,
                port: RtpPort::Rtp,
                from,
                bytes,
            });
            assert_eq!(world.network.len(), 1);
        });
    });
}

fn codecs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a frame");
    for (encoding, rate) in [
        (Encoding::Pcma, Rate::Hz8000),
        (Encoding::Opus, Rate::Hz16000),
        (Encoding::Opus, Rate::Hz48000),
    ] {
        let mut codec = encoding.codec_at(rate).expect("a codec");
        let frame: Vec<i16> = (0..rate.frame()).map(|at| (at as i16 % 97) * 80).collect();
        let mut payload = Vec::new();
        let name = format!("{encoding} at {} Hz", rate.hz());
        group.bench_function(format!("{name}, encoded"), |bench| {
            bench.iter(|| {
                payload.clear();
                codec
                    .encode(black_box(&frame), &mut payload)
                    .expect("a frame");
            });
        });
        let mut samples = Vec::new();
        group.bench_function(format!("{name}, decoded"), |bench| {
            bench.iter(|| {
                samples.clear();
                codec
                    .decode(black_box(&payload), &mut samples)
                    .expect("a payload");
            });
        });
    }
    let mut up = Resampler::new(8_000, Rate::Hz16000).expect("a rate");
    let frame = vec![1_000; 160];
    let mut samples = Vec::new();
    group.bench_function("8 to 16 kHz", |bench| {
        bench.iter(|| {
            samples.clear();
            up.push(black_box(&frame), &mut samples);
        });
    });
    group.finish();
}

criterion_group!(benches, workers, streams, rooms, browser, codecs);
criterion_main!(benches);
