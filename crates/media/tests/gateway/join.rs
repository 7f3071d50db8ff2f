//! Two legs of a session that hear each other: a browser and a telephone of plain RTP, with one codec and with two.

use std::time::Duration;

use media::Input;
use media::audio::Rate;
use media::codec::Encoding;
use media::dtmf::{EventReader, Heard};
use media::rtp::{Packet, RtpPort};
use media::wav::{self, Wav};
use model::media::{
    Digit, LegId, LegKind, MediaCommand, MediaEvent, Network, Play, Record, Sound, Tone,
};

use crate::phone::{Phone, run};
use crate::world::{LEG, OURS, World, address, sine, tone_share};

const PHONE: LegId = LegId {
    session: LEG.session,
    place: 1,
};
const PHONE_AT: &str = "192.0.2.7:7000";

fn offer(with_events: bool) -> String {
    let events = if with_events {
        "m=audio 7000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    } else {
        "m=audio 7000 RTP/AVP 8\r\n"
    };
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n{events}")
}

fn dial(world: &mut World, offer: &str, allowed: Vec<Network>) -> String {
    world.command(MediaCommand::Answer {
        leg: PHONE,
        kind: LegKind::Rtp { allowed },
        offer: offer.into(),
    });
    assert_eq!(world.opening.pop(), Some(PHONE));
    world.give(Input::RtpOpened {
        leg: PHONE,
        address: Some(address(OURS)),
    });
    match world.events.pop() {
        Some(MediaEvent::Answered { answer, .. }) => answer.to_string(),
        other => panic!("not answered: {other:?}"),
    }
}

/// A browser and a telephone, joined.
fn joined(encoding: Encoding, preferred: &[Encoding]) -> (World, Phone) {
    let mut world = World::new(preferred);
    world.call(LEG, "192.0.2.1:50000");
    world.until(5, |event| matches!(event, MediaEvent::Connected { .. }));
    world.peer().speak(encoding);
    let answer = dial(&mut world, &offer(true), Vec::new());
    assert!(answer.contains("m=audio 30000 RTP/AVP 8 101"), "{answer}");
    world.command(MediaCommand::Join { leg: LEG, other: 1 });
    (world, Phone::new(PHONE, PHONE_AT, Encoding::Pcma))
}

fn keys_of(world: &mut World) -> String {
    let mut reader = EventReader::default();
    let now = world.clock().mono;
    let keys = std::mem::take(&mut world.peer().heard_keys);
    keys.iter()
        .flat_map(|(timestamp, payload)| reader.take(now, *timestamp, payload))
        .flatten()
        .filter_map(|heard| match heard {
            Heard::Begin(digit) => Some(digit.key()),
            Heard::End(_) => None,
        })
        .collect()
}

#[test]
fn legs_of_one_codec_hear_each_other_byte_for_byte() {
    let (mut world, mut phone) = joined(Encoding::Pcma, &[Encoding::Pcma]);
    world.peer().says = sine(8_000, 500.0, 8_000);
    phone.says = sine(8_000, 700.0, 8_000);
    phone.run(&mut world, 3_000);
    let heard = std::mem::take(&mut world.peer().heard);
    assert!(heard.len() > 8_000 * 2, "{}", heard.len());
    assert!(tone_share(&heard[heard.len() / 2..], 8_000, 700.0) > 0.99);
    assert!(tone_share(&phone.heard[phone.heard.len() / 2..], 8_000, 500.0) > 0.99);
    // What the browser sent is what the telephone got: the payloads are those of our own encoder.
    let mut codec = Encoding::Pcma.codec().unwrap();
    let mut sent = Vec::new();
    for frame in sine(8_000, 500.0, 8_000).as_chunks::<160>().0 {
        let mut payload = Vec::new();
        codec.encode(frame, &mut payload).unwrap();
        sent.push(payload);
    }
    assert!(
        phone.payloads[20..]
            .iter()
            .all(|payload| sent.contains(payload))
    );
    let steps = phone.timestamps[20..].windows(2);
    assert!(
        steps
            .map(|pair| pair[1].wrapping_sub(pair[0]))
            .all(|step| step == 160)
    );
}

#[test]
fn legs_of_two_codecs_hear_each_other_and_keys_change_their_clock() {
    let both = [Encoding::Opus, Encoding::Pcma];
    let (mut world, mut phone) = joined(Encoding::Opus, &both);
    world.peer().says = sine(16_000, 500.0, 16_000);
    phone.says = sine(8_000, 700.0, 8_000);
    phone.run(&mut world, 3_000);
    let heard = std::mem::take(&mut world.peer().heard);
    let share = tone_share(&heard[heard.len() / 2..], 16_000, 700.0);
    assert!(share > 0.9, "the browser: {share}");
    let share = tone_share(&phone.heard[phone.heard.len() / 2..], 8_000, 500.0);
    assert!(share > 0.9, "the telephone: {share}");

    world.peer().heard_keys.clear();
    world.peer().press("5#");
    phone.keys.press(Digit::from_key('9').unwrap());
    phone.run(&mut world, 1_500);
    assert_eq!(phone.heard_keys, "5#");
    let longest = world
        .peer()
        .heard_keys
        .iter()
        .map(|(_, payload)| payload[2])
        .max();
    assert!(
        longest.unwrap() >= (3_840_u16 >> 8) as u8,
        "on the clock of 48 kHz"
    );
    assert_eq!(keys_of(&mut world), "9");
    let digits = world
        .events
        .iter()
        .filter(|event| matches!(event, MediaEvent::Digit { .. }));
    assert_eq!(digits.count(), 3);

    // Parted, each hears nothing of the other.
    world.command(MediaCommand::Part { leg: LEG });
    phone.run(&mut world, 500);
    let heard = std::mem::take(&mut world.peer().heard);
    phone.heard.clear();
    phone.run(&mut world, 1_000);
    assert!(world.peer().heard.is_empty() && !heard.is_empty());
    assert!(media::audio::power(&phone.heard) < 100);
}

#[test]
fn a_telephone_without_events_is_heard_by_its_tones() {
    let mut world = World::new(&[Encoding::Pcma]);
    dial(&mut world, &offer(false), Vec::new());
    let mut phone = Phone::new(PHONE, PHONE_AT, Encoding::Pcma);
    let mut sound = Vec::new();
    for (row, column) in [(770.0, 1_336.0), (941.0, 1_477.0)] {
        let (row, column) = (sine(8_000, row, 800), sine(8_000, column, 800));
        sound.extend(
            row.iter()
                .zip(&column)
                .map(|(row, column)| row / 2 + column / 2),
        );
        sound.extend([0; 800]);
    }
    sound.resize(8_000 * 10, 0);
    phone.says = sound;
    world.command(MediaCommand::Play {
        leg: PHONE,
        play: Play {
            sounds: vec![Sound::Tone(Tone::ringing())],
            times: None,
            until_digit: true,
        },
    });
    phone.run(&mut world, 1_000);
    let keys: String = world
        .events
        .iter()
        .filter_map(|event| match event {
            MediaEvent::Digit { digit, .. } => Some(digit.key()),
            _ => None,
        })
        .collect();
    assert_eq!(keys, "5#");
    assert!(
        world
            .events
            .iter()
            .any(|event| matches!(event, MediaEvent::Played { .. }))
    );
    // And it is sent tones.
    phone.heard.clear();
    let digits = vec![Digit::from_key('1').unwrap()];
    world.command(MediaCommand::SendDigits { leg: PHONE, digits });
    phone.run(&mut world, 120);
    let share = |hz| tone_share(&phone.heard[320..800], 8_000, hz);
    assert!(share(697.0) > 0.3 && share(1_209.0) > 0.3);
}

fn play_a_tone(world: &mut World) {
    let mut tone = Tone::busy();
    tone.rhythm_ms.clear();
    world.command(MediaCommand::Play {
        leg: PHONE,
        play: Play {
            sounds: vec![Sound::Tone(tone)],
            times: None,
            until_digit: false,
        },
    });
}

#[test]
fn a_telephone_that_wants_to_hear_nothing_is_sent_nothing() {
    let mut world = World::new(&[Encoding::Pcma]);
    let offer = format!("{}a=sendonly\r\n", offer(true));
    let answer = dial(&mut world, &offer, Vec::new());
    assert!(answer.contains("a=recvonly\r\n"));
    play_a_tone(&mut world);
    world.run(2_000);
    assert!(world.rtp.is_empty());
}

#[test]
fn a_telephone_that_waits_for_us_hears_what_is_played_and_nothing_before() {
    let mut world = World::new(&[Encoding::Pcma]);
    dial(&mut world, &offer(true), Vec::new());
    world.run(1_000);
    assert!(world.rtp.is_empty());
    play_a_tone(&mut world);
    world.run(1_000);
    let mut codec = Encoding::Pcma.codec().unwrap();
    let mut heard = Vec::new();
    for (_, to, bytes) in &world.rtp {
        assert_eq!(*to, address(PHONE_AT));
        let packet = Packet::read(bytes).unwrap();
        codec.decode(packet.payload, &mut heard).unwrap();
    }
    assert!((49..=51).contains(&world.rtp.len()), "{}", world.rtp.len());
    assert!(tone_share(&heard, 8_000, 400.0) > 0.98);
}

/// A file with a tone that no telephone could say, again and again until it is stopped.
fn play_above_telephones(world: &mut World) {
    let samples = sine(16_000, 6_000.0, 16_000);
    let mut file = wav::head(Rate::Hz16000, samples.len());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    world.command(MediaCommand::Play {
        leg: LEG,
        play: Play {
            sounds: vec![Sound::File(file.into())],
            times: None,
            until_digit: false,
        },
    });
}

#[test]
fn a_browser_has_its_whole_band_before_and_after_a_telephone_and_while_something_plays() {
    let both = [Encoding::Opus, Encoding::Pcma];
    let (mut world, mut phone) = joined(Encoding::Opus, &both);
    phone.says = sine(8_000, 700.0, 8_000);
    let hears = |world: &mut World, phone: &mut Phone, hz| {
        phone.run(world, 500);
        world.peer().heard.clear();
        phone.run(world, 1_000);
        tone_share(&world.peer().heard, 16_000, hz)
    };
    let joined = hears(&mut world, &mut phone, 700.0);
    assert!(joined > 0.9, "joined: {joined}");
    world.command(MediaCommand::Part { leg: LEG });
    play_above_telephones(&mut world);
    let parted = hears(&mut world, &mut phone, 6_000.0);
    assert!(parted > 0.9, "parted: {parted}");
    // What has begun goes on as it was.
    let other = PHONE.place;
    world.command(MediaCommand::Join { leg: LEG, other });
    let playing = hears(&mut world, &mut phone, 6_000.0);
    assert!(playing > 0.9, "playing: {playing}");
    world.command(MediaCommand::StopPlay { leg: LEG });
    let again = hears(&mut world, &mut phone, 700.0);
    assert!(again > 0.9, "joined again: {again}");
}

fn record(world: &mut World, leg: LegId, seconds: u64, both: bool) {
    world.command(MediaCommand::Record {
        leg,
        record: Record {
            longest: Duration::from_secs(seconds),
            first_silence: None,
            silence: None,
            beep: false,
            until_digit: false,
            both,
            file: model::FileName::parse("recording.wav").unwrap(),
        },
    });
}

/// What is recorded of a leg in three seconds, and at which rate.
fn recorded_with_the_other(leg: LegId, encoding: Encoding) -> (Vec<i16>, u32) {
    let preferred = [encoding, Encoding::Pcma];
    let (mut world, mut phone) = joined(encoding, &preferred);
    let rate = if encoding == Encoding::Opus {
        16_000
    } else {
        8_000
    };
    world.peer().says = sine(rate, 500.0, rate as usize);
    phone.says = sine(8_000, 700.0, 8_000);
    phone.run(&mut world, 500);
    record(&mut world, leg, 2, true);
    phone.run(&mut world, 2_500);
    let wav = Wav::read(world.recorded().into()).unwrap();
    let mut samples = Vec::new();
    wav.samples(0, usize::MAX, &mut samples);
    (samples, wav.rate_hz())
}

#[test]
fn both_of_two_who_are_joined_are_in_a_recording_of_one() {
    for encoding in [Encoding::Pcma, Encoding::Opus] {
        for leg in [LEG, PHONE] {
            let (samples, rate) = recorded_with_the_other(leg, encoding);
            assert_eq!(samples.len(), 2 * rate as usize);
            let samples = &samples[samples.len() / 4..];
            for hz in [500.0, 700.0] {
                let share = tone_share(samples, rate, hz);
                assert!(
                    (0.35..0.65).contains(&share),
                    "{leg:?} {encoding:?} {hz}: {share}"
                );
            }
        }
    }
}

#[test]
fn what_is_lost_and_late_is_concealed_in_a_recording_of_the_right_length() {
    let mut world = World::new(&[Encoding::Pcma]);
    dial(&mut world, &offer(true), Vec::new());
    let mut phone = Phone::new(PHONE, PHONE_AT, Encoding::Pcma);
    phone.says = sine(8_000, 500.0, 8_000);
    record(&mut world, PHONE, 10, false);
    // Each seventeenth packet is lost, each ninth comes 30 ms late, and so behind the next.
    let mut late: Vec<(u64, Vec<u8>)> = Vec::new();
    let (leg, port, from) = (PHONE, RtpPort::Rtp, phone.address);
    for ms in 0..10_200_u64 {
        world.step();
        let mut due: Vec<Vec<u8>> = Vec::new();
        late.retain(|(at, bytes)| {
            if *at <= ms {
                due.push(bytes.clone());
            }
            *at > ms
        });
        if ms.is_multiple_of(20) {
            let bytes = phone.next(&world);
            match ms / 20 {
                count if count.is_multiple_of(17) && count > 0 => {}
                count if count.is_multiple_of(9) => late.push((ms + 30, bytes)),
                _ => due.push(bytes),
            }
        }
        for bytes in &due {
            world.give(Input::Rtp {
                leg,
                port,
                from,
                bytes,
            });
        }
    }
    let wav = Wav::read(world.recorded().into()).unwrap();
    assert_eq!(wav.length(), 80_000);
    let mut samples = Vec::new();
    wav.samples(0, usize::MAX, &mut samples);
    let share = tone_share(&samples[8_000..72_000], 8_000, 500.0);
    assert!(share > 0.85, "{share}");
}

#[test]
fn a_telephone_that_says_nothing_is_recorded_for_as_long_as_it_may() {
    let mut world = World::new(&[Encoding::Pcma]);
    dial(&mut world, &offer(true), Vec::new());
    record(&mut world, PHONE, 2, false);
    world.run(2_500);
    let wav = Wav::read(world.recorded().into()).unwrap();
    assert_eq!(wav.length(), 16_000);
}

#[test]
fn a_stranger_is_not_heard_on_the_port_of_a_telephone() {
    let mut world = World::new(&[Encoding::Pcma]);
    let nat = Network::new("203.0.113.0".parse().unwrap(), 24).unwrap();
    dial(&mut world, &offer(true), vec![nat]);
    let mut phone = Phone::new(PHONE, PHONE_AT, Encoding::Pcma);
    for (from, is_heard) in [
        ("198.51.100.66:7000", false),
        ("203.0.113.5:9000", true),
        (PHONE_AT, false),
        ("203.0.113.6:9000", false),
    ] {
        world.events.clear();
        let bytes = phone.next(&world);
        let (leg, port, from) = (PHONE, RtpPort::Rtp, address(from));
        let bytes = &bytes;
        world.give(Input::Rtp {
            leg,
            port,
            from,
            bytes,
        });
        let is_connected = !world.events.is_empty();
        assert_eq!(is_connected, is_heard, "{from}");
    }
    // What we send goes to whom we hear.
    world.run(100);
    assert!(!world.rtp.is_empty());
    assert!(
        world
            .rtp
            .iter()
            .all(|(_, to, _)| *to == address("203.0.113.5:9000"))
    );
}

#[test]
fn any_two_of_four_legs_are_joined_and_change_partners() {
    let mut world = World::new(&[Encoding::Pcma]);
    let mut phones: Vec<Phone> = (0..4_u8)
        .map(|place| {
            let leg = LegId { place, ..LEG };
            let mut phone = Phone::new(
                leg,
                &format!("192.0.2.7:{}", 7_000 + 2 * u16::from(place)),
                Encoding::Pcma,
            );
            phone.says = sine(8_000, 400.0 + 300.0 * f32::from(place), 8_000);
            let kind = LegKind::Rtp {
                allowed: Vec::new(),
            };
            world.offer(leg, kind);
            world.accept(leg, &phone.sdp());
            phone
        })
        .collect();
    let hear = |world: &mut World, phones: &mut Vec<Phone>| -> Vec<Option<usize>> {
        let mut all: Vec<&mut Phone> = phones.iter_mut().collect();
        run(world, &mut all, 200);
        for phone in &mut all {
            phone.heard.clear();
        }
        run(world, &mut all, 1_000);
        let whom = |phone: &Phone| {
            (0..4).find(|place| {
                tone_share(&phone.heard, 8_000, 400.0 + 300.0 * f64::from(*place)) > 0.9
            })
        };
        phones
            .iter()
            .map(|phone| whom(phone).map(|place| place as usize))
            .collect()
    };
    for (one, other) in [(0, 1), (3, 2)] {
        world.command(MediaCommand::Join {
            leg: LegId { place: one, ..LEG },
            other,
        });
    }
    assert_eq!(
        hear(&mut world, &mut phones),
        [Some(1), Some(0), Some(3), Some(2)]
    );
    world.command(MediaCommand::Join { leg: LEG, other: 2 });
    assert_eq!(
        hear(&mut world, &mut phones),
        [Some(2), None, Some(0), None]
    );
    world.command(MediaCommand::Join {
        leg: LegId { place: 1, ..LEG },
        other: 3,
    });
    world.command(MediaCommand::Part {
        leg: LegId { place: 2, ..LEG },
    });
    assert_eq!(
        hear(&mut world, &mut phones),
        [None, Some(3), None, Some(1)]
    );
    world.command(MediaCommand::CloseLeg {
        leg: LegId { place: 3, ..LEG },
    });
    phones.pop();
    world.rtp.clear();
    assert_eq!(hear(&mut world, &mut phones), [None, None, None]);
}
