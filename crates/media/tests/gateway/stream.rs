//! A caller and a bot hear each other: live sound both ways, keys, marks, what is cleared, and every end.

use std::sync::Arc;
use std::time::Duration;

use media::Input;
use media::audio::power;
use media::codec::Encoding;
use media::stream::{FromBot, ToBot};
use model::media::{LegKind, MediaCommand, MediaEvent, Stream, StreamEnd, StreamRate, StreamStop};
use model::{PageUrl, SecretBytes};

use crate::phone::{Phone, run};
use crate::world::{LEG, World, sine, tone_share};

const FRAME: Duration = Duration::from_millis(20);

fn stream(number: u64, rate: StreamRate) -> MediaCommand {
    MediaCommand::Stream {
        leg: LEG,
        stream: Box::new(Stream {
            number,
            url: PageUrl::parse("https://bot.example/audio").unwrap(),
            rate,
            greeting: "{}".to_owned(),
            instance: "0.1.2".to_owned(),
            secret: SecretBytes::new(Vec::new()),
        }),
    }
}

fn says(world: &mut World, word: FromBot) {
    world.give(Input::FromBot { leg: LEG, word });
}

/// A browser that is connected, says 500 Hz, and has a stream of this rate.
fn streaming(encoding: Encoding, rate: StreamRate) -> World {
    let mut world = World::new(&[encoding]);
    world.call(LEG, "192.0.2.1:50000");
    world.until(5, |event| matches!(event, MediaEvent::Connected { .. }));
    world.peer().speak(encoding);
    let rate_hz = encoding.rate().hz();
    world.peer().says = sine(rate_hz, 500.0, rate_hz as usize);
    world.command(stream(1, rate));
    world
}

/// The sound that the bot was given since the last time, and everything else.
fn told(world: &mut World) -> (Vec<i16>, usize, Vec<ToBot>) {
    let (mut samples, mut frames, mut others) = (Vec::new(), 0, Vec::new());
    for (leg, word) in std::mem::take(&mut world.told) {
        assert_eq!(leg, LEG);
        match word {
            ToBot::Sound(bytes) => {
                frames += 1;
                let (pairs, _) = bytes.as_chunks();
                samples.extend(pairs.iter().map(|pair| i16::from_le_bytes(*pair)));
            }
            other => others.push(other),
        }
    }
    (samples, frames, others)
}

fn ended(world: &mut World, number: u64) -> StreamEnd {
    let event = world.until(5, |event| matches!(event, MediaEvent::StreamEnded { .. }));
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
fn a_browser_and_a_bot_hear_each_other_in_every_codec_and_rate() {
    for encoding in [Encoding::Opus, Encoding::Pcma, Encoding::Pcmu] {
        for rate in [StreamRate::Hz8000, StreamRate::Hz16000] {
            let mut world = streaming(encoding, rate);
            world.run(500);
            told(&mut world);
            world.peer().heard.clear();
            says(
                &mut world,
                FromBot::Sound(sine(rate.hz(), 1_000.0, rate.hz() as usize * 2)),
            );
            world.run(2_000);
            let (samples, frames, others) = told(&mut world);
            assert!((99..=101).contains(&frames), "{frames}");
            assert_eq!(samples.len() * 2, frames * rate.bytes(FRAME));
            assert_eq!(others, []);
            let share = tone_share(&samples, rate.hz(), 500.0);
            assert!(share > 0.95, "{encoding} {rate:?}: the bot hears {share}");
            let heard = std::mem::take(&mut world.peer().heard);
            let share = tone_share(&heard[heard.len() / 4..], encoding.rate().hz(), 1_000.0);
            assert!(
                share > 0.95,
                "{encoding} {rate:?}: the browser hears {share}"
            );
        }
    }
}

#[test]
fn keys_reach_the_bot_and_the_switch() {
    let mut world = streaming(Encoding::Pcma, StreamRate::Hz8000);
    world.run(300);
    told(&mut world);
    world.peer().press("5#");
    world.run(1_000);
    let (_, _, others) = told(&mut world);
    let keys: String = others
        .iter()
        .map(|word| match word {
            ToBot::Digit(digit) => digit.key(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys, "5#");
    for key in ['5', '#'] {
        world.until(
            0,
            |event| matches!(event, MediaEvent::Digit { digit, .. } if digit.key() == key),
        );
    }
}

#[test]
fn what_is_cleared_is_not_heard_any_more() {
    let mut world = streaming(Encoding::Pcma, StreamRate::Hz8000);
    says(&mut world, FromBot::Sound(sine(8_000, 1_000.0, 80_000)));
    says(&mut world, FromBot::Mark("over".to_owned()));
    world.run(1_000);
    assert_eq!(told(&mut world).2, []);
    says(&mut world, FromBot::Clear);
    world.run(100);
    let name = "over".to_owned();
    let was_heard = false;
    assert_eq!(told(&mut world).2, [ToBot::Mark { name, was_heard }]);
    world.peer().heard.clear();
    world.run(500);
    assert!(power(&world.peer().heard) < 100, "nothing comes");
    says(&mut world, FromBot::Sound(sine(8_000, 800.0, 4_000)));
    says(&mut world, FromBot::Mark("again".to_owned()));
    world.run(600);
    let (name, was_heard) = ("again".to_owned(), true);
    assert_eq!(told(&mut world).2, [ToBot::Mark { name, was_heard }]);
    assert!(tone_share(&world.peer().heard, 8_000, 800.0) > 0.95);
}

#[test]
fn an_end_of_the_bots_comes_after_what_it_said_and_a_fault_at_once() {
    let result = StreamEnd::Result(Arc::from("[1]"));
    for (end, waits) in [
        (result, true),
        (StreamEnd::Closed, true),
        (StreamEnd::Failed("was lost".to_owned()), false),
    ] {
        let mut world = streaming(Encoding::Pcma, StreamRate::Hz8000);
        says(&mut world, FromBot::Sound(sine(8_000, 1_000.0, 4_000)));
        let began = world.now;
        says(&mut world, FromBot::End(end.clone()));
        assert_eq!(ended(&mut world, 1), end);
        let lasted = world.now - began;
        assert_eq!(lasted > Duration::from_millis(450), waits, "{lasted:?}");
        assert!(lasted < Duration::from_millis(600), "{lasted:?}");
        told(&mut world);
        // Late words are nobody's.
        says(&mut world, FromBot::Sound(vec![1; 160]));
        world.run(200);
        assert_eq!(told(&mut world).1, 0);
    }
}

#[test]
fn a_stream_is_stopped_by_the_switch_by_the_next_one_and_by_the_end_of_the_call() {
    let mut world = streaming(Encoding::Pcma, StreamRate::Hz8000);
    let stopped = StreamEnd::Stopped;
    world.command(stream(2, StreamRate::Hz16000));
    assert_eq!(ended(&mut world, 1), stopped(StreamStop::Interrupted));
    let why = StreamStop::Duration;
    world.command(MediaCommand::StopStream { leg: LEG, why });
    assert_eq!(ended(&mut world, 2), stopped(why));
    world.command(MediaCommand::StopStream { leg: LEG, why });
    world.command(stream(3, StreamRate::Hz8000));
    world.run(100);
    let session = LEG.session;
    world.command(MediaCommand::Close { session });
    assert_eq!(ended(&mut world, 3), stopped(StreamStop::CallEnded));
    world.until(0, |event| matches!(event, MediaEvent::Ended { .. }));
    assert_eq!(world.worker.poll_timeout(), None);
}

#[test]
fn a_bot_hears_silence_of_a_telephone_that_says_nothing() {
    let mut world = World::new(&[Encoding::Pcma]);
    let mut phone = Phone::new(LEG, "192.0.2.7:7000", Encoding::Pcma);
    let allowed = Vec::new();
    world.offer(LEG, LegKind::Rtp { allowed });
    world.accept(LEG, &phone.sdp());
    world.command(stream(1, StreamRate::Hz8000));
    phone.is_silent = true;
    phone.run(&mut world, 1_000);
    let (samples, frames, _) = told(&mut world);
    assert!((49..=51).contains(&frames), "{frames}");
    assert_eq!(power(&samples), 0);
    phone.is_silent = false;
    phone.says = sine(8_000, 500.0, 8_000);
    phone.run(&mut world, 300);
    told(&mut world);
    says(&mut world, FromBot::Sound(sine(8_000, 1_000.0, 8_000)));
    run(&mut world, &mut [&mut phone], 1_000);
    let (samples, _, _) = told(&mut world);
    assert!(tone_share(&samples, 8_000, 500.0) > 0.95);
    let heard = &phone.heard[phone.heard.len() - 6_000..];
    assert!(tone_share(heard, 8_000, 1_000.0) > 0.95);
}
