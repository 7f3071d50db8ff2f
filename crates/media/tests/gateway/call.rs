//! A browser calls a service: it hears, presses keys and is recorded.

use std::time::Duration;

use media::codec::Encoding;
use media::wav::Wav;
use model::media::{
    Digit, LegEnd, MediaCommand, MediaEvent, Play, PlayEnd, Record, RecordEnd, Sound, Tone,
};

use crate::world::{LEG, World, sine, tone_share};

const PEER: &str = "192.0.2.1:50000";

fn tone(hz: u16) -> Sound {
    Sound::Tone(Tone {
        frequencies_hz: vec![hz],
        level_db: 12,
        rhythm_ms: Vec::new(),
        lasts: None,
    })
}

fn connected(encoding: Encoding) -> World {
    let mut world = World::new(&[encoding]);
    world.call(LEG, PEER);
    world.until(5, |event| matches!(event, MediaEvent::Connected { .. }));
    world.peer().speak(encoding);
    world
}

fn rate(encoding: Encoding) -> u32 {
    encoding.rate().hz()
}

fn play(sounds: Vec<Sound>, until_digit: bool) -> MediaCommand {
    MediaCommand::Play {
        leg: LEG,
        play: Play {
            sounds,
            times: Some(1),
            until_digit,
        },
    }
}

#[test]
fn a_browser_hears_a_tone_presses_keys_and_is_recorded() {
    for encoding in [Encoding::Opus, Encoding::Pcma, Encoding::Pcmu] {
        let mut world = connected(encoding);
        hears_a_tone(&mut world, encoding);
        presses_keys(&mut world);
        is_recorded(&mut world, encoding);

        world.command(MediaCommand::Close {
            session: LEG.session,
        });
        let ended = world.until(0, |event| matches!(event, MediaEvent::Ended { .. }));
        let MediaEvent::Ended { end, usage, .. } = ended else {
            panic!("asked for the end");
        };
        assert_eq!(end, LegEnd::Closed);
        assert!(
            usage.packets_in > 300 && usage.packets_out > 100,
            "{usage:?}"
        );
        assert_eq!(world.worker.sessions(), 0);
        assert_eq!(world.worker.poll_timeout(), None);
    }
}

/// It hears 1 kHz, and nothing else; the tone goes on.
fn hears_a_tone(world: &mut World, encoding: Encoding) {
    let rate_hz = rate(encoding);
    world.command(play(vec![tone(1_000)], true));
    world.run(2_000);
    let heard = std::mem::take(&mut world.peer().heard);
    let seconds = heard.len() as f64 / f64::from(rate_hz);
    assert!((1.8..2.1).contains(&seconds), "{encoding}: {seconds} s");
    let share = tone_share(&heard[heard.len() / 4..], rate_hz, 1_000.0);
    assert!(share > 0.95, "{encoding}: {share}");
}

/// A key ends the tone; each of them is told.
fn presses_keys(world: &mut World) {
    world.peer().press("42*#");
    let mut pressed = String::new();
    while pressed.len() < 4 {
        let event = world.until(5, |event| matches!(event, MediaEvent::Digit { .. }));
        if let MediaEvent::Digit { digit, .. } = event {
            pressed.push(digit.key());
        }
    }
    assert_eq!(pressed, "42*#");
    let played = world.until(0, |event| matches!(event, MediaEvent::Played { .. }));
    let MediaEvent::Played { end, heard, .. } = played else {
        panic!("asked for what was played");
    };
    assert_eq!(end, PlayEnd::Digit(Digit::from_key('4').unwrap()));
    assert!((1_900..2_300).contains(&heard.as_millis()), "{heard:?}");
}

/// It is recorded after a beep, until it says no more.
fn is_recorded(world: &mut World, encoding: Encoding) {
    let rate_hz = rate(encoding);
    world.peer().heard.clear();
    world.peer().says = sine(rate_hz, 440.0, rate_hz as usize);
    world.command(MediaCommand::Record {
        leg: LEG,
        record: Record {
            longest: Duration::from_secs(60),
            first_silence: Some(Duration::from_secs(1)),
            silence: Some(Duration::from_secs(1)),
            beep: true,
            until_digit: false,
            both: false,
            file: model::FileName::parse("recording.wav").unwrap(),
        },
    });
    world.run(3_000);
    world.peer().says = vec![0; 48_000];
    world.run(2_000);
    let recorded = world.events.iter().find_map(|event| match event {
        MediaEvent::Recorded { length, end, .. } => Some((*length, *end)),
        _ => None,
    });
    let (length, end) = recorded.unwrap();
    assert_eq!(end, RecordEnd::Silence);
    assert!((2_600..3_000).contains(&length.as_millis()), "{length:?}");
    let wav = Wav::read(world.recorded().into()).unwrap();
    assert_eq!(wav.rate_hz(), rate_hz);
    let mut samples = Vec::new();
    wav.samples(0, usize::MAX, &mut samples);
    let middle = &samples[samples.len() / 4..samples.len() / 4 * 3];
    assert!(tone_share(middle, rate_hz, 440.0) > 0.95, "{encoding}");
    let beep = std::mem::take(&mut world.peer().heard);
    assert!(tone_share(&beep[..rate_hz as usize / 5], rate_hz, 1_000.0) > 0.8);
}

#[test]
fn keys_are_pressed_towards_a_browser_on_its_clock() {
    let mut world = connected(Encoding::Opus);
    let digits = "19#".chars().filter_map(Digit::from_key).collect();
    world.command(MediaCommand::SendDigits { leg: LEG, digits });
    world.run(1_000);
    let keys = &world.peer().heard_keys;
    let longest = keys
        .iter()
        .map(|(_, payload)| u16::from_be_bytes([payload[2], payload[3]]));
    assert_eq!(longest.max(), Some(4_800));
    assert_eq!(keys_heard(&mut world), "19#");
}

#[test]
fn digits_of_a_play_are_pressed_before_what_follows() {
    let mut world = connected(Encoding::Pcma);
    let lasting = |hz| {
        let Sound::Tone(tone) = tone(hz) else {
            panic!("it is a tone");
        };
        let lasts = Some(Duration::from_millis(300));
        Sound::Tone(Tone { lasts, ..tone })
    };
    let digits = "19#".chars().filter_map(Digit::from_key).collect();
    world.peer().heard.clear();
    let sounds = vec![lasting(500), Sound::Digits(digits), lasting(700)];
    world.command(play(sounds, false));
    let played = world.until(3, |event| matches!(event, MediaEvent::Played { .. }));
    assert!(
        matches!(played, MediaEvent::Played { end: PlayEnd::Finished, heard, .. } if heard == Duration::from_millis(620)),
        "{played:?}"
    );
    world.run(200);
    assert_eq!(keys_heard(&mut world), "19#");
    let heard = std::mem::take(&mut world.peer().heard);
    let is_heard = |part: &[i16], hz: f64| tone_share(part, 8_000, hz) > 0.5;
    let parts: Vec<bool> = heard
        .chunks(800)
        .map(|part| is_heard(part, 500.0))
        .collect();
    let first = parts.iter().rposition(|is_first| *is_first);
    let second = heard.chunks(800).position(|part| is_heard(part, 700.0));
    assert!(first.is_some() && first < second, "{first:?} {second:?}");
}

/// The keys that its peer has been sent as events.
fn keys_heard(world: &mut World) -> String {
    let mut reader = media::dtmf::EventReader::default();
    let now = world.clock().mono;
    let keys = std::mem::take(&mut world.peer().heard_keys);
    keys.iter()
        .flat_map(|(timestamp, payload)| reader.take(now, *timestamp, payload))
        .flatten()
        .filter_map(|heard| match heard {
            media::dtmf::Heard::Begin(digit) => Some(digit.key()),
            media::dtmf::Heard::End(_) => None,
        })
        .collect()
}

#[test]
fn a_browser_that_goes_without_a_word_is_missed_and_one_that_never_comes_too() {
    let mut world = connected(Encoding::Opus);
    world.peer = None;
    let ended = world.until(60, |event| matches!(event, MediaEvent::Ended { .. }));
    assert!(matches!(
        ended,
        MediaEvent::Ended {
            end: LegEnd::Silent,
            ..
        }
    ));
    assert_eq!(world.worker.sessions(), 0);

    let mut world = World::new(&[Encoding::Opus]);
    world.call(LEG, PEER);
    world.peer = None;
    let ended = world.until(31, |event| matches!(event, MediaEvent::Ended { .. }));
    assert!(matches!(
        ended,
        MediaEvent::Ended {
            end: LegEnd::Silent,
            ..
        }
    ));
    assert_eq!(world.worker.poll_timeout(), None);
}
