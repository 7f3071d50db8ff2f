//! What a bot hears and says, at both rates of a stream and of a leg.

use std::sync::Arc;

use model::media::StreamStop;
use model::{PageUrl, SecretBytes};

use super::*;
use crate::tests::{sine, tone_share};

fn streaming(rate: StreamRate, leg: Rate) -> Streaming {
    let stream = Stream {
        number: 7,
        url: PageUrl::parse("https://bot.example/audio").unwrap(),
        rate,
        greeting: "{}".to_owned(),
        instance: "0.1.2".to_owned(),
        secret: SecretBytes::new(Vec::new()),
    };
    Streaming::new(&stream, leg).unwrap()
}

/// At one rate, so that samples are what they were.
fn plain() -> Streaming {
    streaming(StreamRate::Hz8000, Rate::Hz8000)
}

fn quiet(_: ToBot) {}

/// What the leg hears in one beat, and what the bot is told of it.
fn beat(streaming: &mut Streaming) -> (Option<Vec<i16>>, Vec<ToBot>) {
    let (mut frame, mut told) = (Vec::new(), Vec::new());
    let is_any = streaming.frame(&mut frame, |word| told.push(word));
    (is_any.then_some(frame), told)
}

/// What it hears until nothing comes.
fn drain(streaming: &mut Streaming) -> Vec<i16> {
    let mut heard = Vec::new();
    while let (Some(frame), _) = beat(streaming) {
        heard.extend(frame);
    }
    heard
}

fn mark(name: &str, was_heard: bool) -> ToBot {
    let name = name.to_owned();
    ToBot::Mark { name, was_heard }
}

#[test]
fn what_the_leg_says_is_cut_into_frames_of_the_rate_of_the_stream() {
    for (rate, own) in [
        (StreamRate::Hz8000, Rate::Hz8000),
        (StreamRate::Hz16000, Rate::Hz16000),
    ] {
        for leg in [Rate::Hz8000, Rate::Hz16000, Rate::Hz48000] {
            let mut streaming = streaming(rate, leg);
            let mut told = Vec::new();
            for frame in sine(leg, 1_000.0, 8_000.0, 50).chunks(leg.frame()) {
                streaming.hear(frame, |word| told.push(word));
            }
            assert!((49..=50).contains(&told.len()), "{rate:?} {leg:?}");
            let mut samples = Vec::new();
            for word in told {
                let ToBot::Sound(bytes) = word else {
                    panic!("{word:?}");
                };
                assert_eq!(bytes.len(), rate.bytes(FRAME_TIME));
                let (pairs, _) = bytes.as_chunks();
                samples.extend(pairs.iter().map(|pair| i16::from_le_bytes(*pair)));
            }
            let middle = &samples[own.frame() * 10..own.frame() * 40];
            let share = tone_share(middle, own, 1_000.0);
            assert!(share > 0.98, "{rate:?} {leg:?}: {share}");
        }
    }
}

#[test]
fn what_the_bot_says_is_heard_at_its_pitch_and_to_its_end() {
    for (rate, own) in [
        (StreamRate::Hz8000, Rate::Hz8000),
        (StreamRate::Hz16000, Rate::Hz16000),
    ] {
        for leg in [Rate::Hz8000, Rate::Hz16000, Rate::Hz48000] {
            let mut streaming = streaming(rate, leg);
            // Messages of any length.
            for piece in sine(own, 1_000.0, 8_000.0, 50).chunks(333) {
                streaming.take(FromBot::Sound(piece.to_vec()), quiet);
            }
            let heard = drain(&mut streaming);
            let frames = heard.len() / leg.frame();
            assert!((50..=51).contains(&frames), "{rate:?} {leg:?}: {frames}");
            let middle = &heard[leg.frame() * 10..leg.frame() * 40];
            let share = tone_share(middle, leg, 1_000.0);
            assert!(share > 0.98, "{rate:?} {leg:?}: {share}");
        }
    }
}

#[test]
fn sound_that_trickles_in_waits_for_more_of_it_and_no_longer_than_the_lead() {
    let mut streaming = plain();
    streaming.take(FromBot::Sound(vec![1; 160]), quiet);
    assert_eq!(beat(&mut streaming).0, None);
    assert_eq!(beat(&mut streaming).0, None);
    // The last is filled up with silence.
    streaming.take(FromBot::Sound(vec![1; 80]), quiet);
    assert_eq!(beat(&mut streaming).0, Some(vec![1; 160]));
    let last = [[1; 80], [0; 80]].concat();
    assert_eq!(beat(&mut streaming).0, Some(last));
    assert_eq!(beat(&mut streaming).0, None);
    // Enough of it begins at once.
    streaming.take(FromBot::Sound(vec![2; 320]), quiet);
    assert_eq!(beat(&mut streaming).0, Some(vec![2; 160]));
}

#[test]
fn a_mark_is_told_when_everything_before_it_was_heard() {
    let mut streaming = plain();
    let mut told = Vec::new();
    let marked = |name: &str| FromBot::Mark(name.to_owned());
    streaming.take(marked("at once"), |word| told.push(word));
    assert_eq!(told, [mark("at once", true)]);
    streaming.take(FromBot::Sound(vec![1; 200]), quiet);
    streaming.take(marked("first"), quiet);
    streaming.take(FromBot::Sound(vec![1; 160]), quiet);
    streaming.take(marked("second"), quiet);
    let told: Vec<_> = (0..4).map(|_| beat(&mut streaming).1).collect();
    assert_eq!(
        told,
        [
            vec![],
            vec![mark("first", true)],
            vec![mark("second", true)],
            vec![]
        ]
    );
}

#[test]
fn what_is_cleared_is_not_heard_and_its_marks_say_so() {
    let mut streaming = plain();
    streaming.take(FromBot::Sound(vec![1; 1_600]), quiet);
    streaming.take(FromBot::Mark("end".to_owned()), quiet);
    assert_eq!(beat(&mut streaming).0, Some(vec![1; 160]));
    let mut told = Vec::new();
    streaming.take(FromBot::Clear, |word| told.push(word));
    assert_eq!(told, [mark("end", false)]);
    assert_eq!(beat(&mut streaming).0, None);
    streaming.take(FromBot::Sound(vec![2; 320]), quiet);
    assert_eq!(drain(&mut streaming), [2; 320]);
}

#[test]
fn what_has_no_room_is_dropped_and_told_once_a_beat() {
    let mut streaming = plain();
    let second = || FromBot::Sound(vec![1; 8_000]);
    for _ in 0..STREAM_SOUND.as_secs() + 2 {
        assert_eq!(streaming.take(second(), quiet), None);
    }
    assert_eq!(streaming.queue.len(), Rate::Hz8000.samples(STREAM_SOUND));
    let told = beat(&mut streaming).1;
    assert_eq!(told, [ToBot::Dropped(Duration::from_secs(2))]);
    assert_eq!(beat(&mut streaming).1, []);
    for _ in 0..STREAM_MARKS {
        let end = streaming.take(FromBot::Mark(String::new()), quiet);
        assert_eq!(end, None);
    }
    let end = streaming.take(FromBot::Mark(String::new()), quiet);
    assert!(matches!(end, Some(StreamEnd::Failed(why)) if why.contains("64 marks")));
}

#[test]
fn it_is_over_when_the_last_was_heard_and_at_once_where_it_failed() {
    for leg in [Rate::Hz8000, Rate::Hz16000] {
        let result = StreamEnd::Result(Arc::from("{}"));
        let mut streaming = streaming(StreamRate::Hz8000, leg);
        streaming.take(FromBot::Sound(vec![1; 170]), quiet);
        assert_eq!(streaming.take(FromBot::End(result.clone()), quiet), None);
        // Nothing comes after the end.
        streaming.take(FromBot::Sound(vec![1; 8_000]), quiet);
        assert_eq!(streaming.over(), None);
        assert!(drain(&mut streaming).len() <= 3 * leg.frame());
        assert_eq!(streaming.over(), Some(&result));
    }
    let mut empty = plain();
    empty.take(FromBot::End(StreamEnd::Closed), quiet);
    assert_eq!(empty.over(), Some(&StreamEnd::Closed));
    for end in [
        StreamEnd::Failed("was lost".to_owned()),
        StreamEnd::Stopped(StreamStop::Duration),
    ] {
        let mut streaming = plain();
        streaming.take(FromBot::Sound(vec![1; 8_000]), quiet);
        let ended = streaming.take(FromBot::End(end.clone()), quiet);
        assert_eq!(ended, Some(end));
    }
    assert_eq!(plain().number(), 7);
}
