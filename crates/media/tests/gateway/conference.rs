//! Rooms: everybody hears everybody else and not himself, in whatever codec.

use media::Counter;
use media::codec::Encoding;
use model::limits::{MEDIA_ROOMS, ROOM_PARTIES, ROOM_TALKERS};
use model::media::{
    Entry, LegId, LegKind, MediaCommand, MediaEvent, Play, RoomId, SessionId, Sound, Tone,
};

use crate::phone::{Phone, run};
use crate::world::{LEG, World, sine, tone_share};

const ALL: [Encoding; 3] = [Encoding::Opus, Encoding::Pcma, Encoding::Pcmu];
const ROOM: RoomId = RoomId(7);
const TALKS: Entry = Entry {
    may_talk: true,
    beep: false,
};
const LISTENS: Entry = Entry {
    may_talk: false,
    beep: false,
};

fn leg(session: u64) -> LegId {
    LegId {
        session: SessionId(session),
        place: 0,
    }
}

fn enter(world: &mut World, leg: LegId, entry: Entry) {
    let room = ROOM;
    world.command(MediaCommand::Enter { leg, room, entry });
}

/// A telephone in a session of its own, which says one frequency.
fn phone(world: &mut World, session: u64, encoding: Encoding, hz: f32) -> Phone {
    let leg = leg(session);
    let at = format!("192.0.2.7:{}", 7_000 + 2 * session);
    let mut phone = Phone::new(leg, &at, encoding);
    let rate_hz = encoding.rate().hz();
    phone.says = sine(rate_hz, hz, rate_hz as usize);
    let allowed = Vec::new();
    world.offer(leg, LegKind::Rtp { allowed });
    world.accept(leg, &phone.sdp());
    phone
}

/// How much of what a telephone heard each frequency is.
fn shares<const N: usize>(phone: &Phone, frequencies_hz: [f64; N]) -> [f64; N] {
    let rate_hz = phone.codec.rate().hz();
    frequencies_hz.map(|hz| tone_share(&phone.heard, rate_hz, hz))
}

fn listen(world: &mut World, phones: &mut [&mut Phone], ms: u64) {
    run(world, phones, 300);
    for phone in phones.iter_mut() {
        phone.heard.clear();
        phone.payloads.clear();
    }
    run(world, phones, ms);
}

#[test]
fn three_parties_of_three_codecs_hear_each_other_and_not_themselves() {
    for browser in [Encoding::Opus, Encoding::Pcmu] {
        let mut world = World::new(&[browser, Encoding::Opus, Encoding::Pcma]);
        world.call(LEG, "192.0.2.1:50000");
        world.until(5, |event| matches!(event, MediaEvent::Connected { .. }));
        world.peer().speak(browser);
        let rate_hz = browser.rate().hz();
        world.peer().says = sine(rate_hz, 500.0, rate_hz as usize);
        let mut narrow = phone(&mut world, 2, Encoding::Pcma, 700.0);
        let mut wide = phone(&mut world, 3, Encoding::Opus, 1_100.0);
        for leg in [LEG, narrow.leg, wide.leg] {
            enter(&mut world, leg, TALKS);
        }
        listen(&mut world, &mut [&mut narrow, &mut wide], 100);
        world.peer().heard.clear();
        listen(&mut world, &mut [&mut narrow, &mut wide], 2_000);
        let of = [500.0, 700.0, 1_100.0];
        let heard = std::mem::take(&mut world.peer().heard);
        let by_browser = of.map(|hz| tone_share(&heard, rate_hz, hz));
        for (whose, heard, is_own) in [
            ("browser", by_browser, 0),
            ("narrow", shares(&narrow, of), 1),
            ("wide", shares(&wide, of), 2),
        ] {
            for (at, share) in heard.iter().enumerate() {
                let is_right = if at == is_own {
                    *share < 0.001
                } else {
                    *share > 0.4
                };
                assert!(is_right, "{browser}, {whose} hears {heard:?}");
            }
        }
        // Timestamps go on evenly.
        let steps = narrow.timestamps[20..].windows(2);
        let is_even = |pair: &[u32]| pair[1].wrapping_sub(pair[0]) == 160;
        assert!(steps.filter(|pair| !is_even(pair)).count() <= 1);
    }
}

#[test]
fn whoever_may_not_talk_hears_and_is_not_heard() {
    let mut world = World::new(&ALL);
    let mut one = phone(&mut world, 1, Encoding::Pcma, 500.0);
    let mut other = phone(&mut world, 2, Encoding::Pcma, 700.0);
    enter(&mut world, one.leg, TALKS);
    enter(&mut world, other.leg, LISTENS);
    listen(&mut world, &mut [&mut one, &mut other], 1_000);
    assert!(shares(&other, [500.0])[0] > 0.95);
    assert!(media::audio::power(&one.heard) < 100);
    // The other way about.
    enter(&mut world, one.leg, LISTENS);
    enter(&mut world, other.leg, TALKS);
    listen(&mut world, &mut [&mut one, &mut other], 1_500);
    let second = one.heard.len() / 2;
    assert!(tone_share(&one.heard[second..], 8_000, 700.0) > 0.95);
    assert!(media::audio::power(&other.heard[second..]) < 100);
}

#[test]
fn whoever_leaves_is_not_heard_and_the_last_takes_the_room_along() {
    let mut world = World::new(&ALL);
    let mut one = phone(&mut world, 1, Encoding::Pcma, 500.0);
    let mut other = phone(&mut world, 2, Encoding::Pcmu, 700.0);
    let mut third = phone(&mut world, 3, Encoding::Opus, 900.0);
    for leg in [one.leg, other.leg, third.leg] {
        enter(&mut world, leg, TALKS);
    }
    listen(&mut world, &mut [&mut one, &mut other, &mut third], 500);
    assert!(
        shares(&one, [700.0, 900.0])
            .iter()
            .all(|share| *share > 0.4)
    );
    world.command(MediaCommand::Leave { leg: third.leg });
    listen(&mut world, &mut [&mut one, &mut other, &mut third], 1_000);
    assert!(shares(&one, [700.0])[0] > 0.95);
    assert!(media::audio::power(&third.heard) < 100);
    // Out of the room it is joined as ever, and so is out of it who is joined.
    let beside = LegId {
        place: 1,
        ..other.leg
    };
    let mut fourth = Phone::new(beside, "192.0.2.9:7000", Encoding::Pcmu);
    fourth.says = sine(8_000, 1_300.0, 8_000);
    let allowed = Vec::new();
    world.offer(beside, LegKind::Rtp { allowed });
    world.accept(beside, &fourth.sdp());
    world.command(MediaCommand::Join {
        leg: beside,
        other: 0,
    });
    listen(
        &mut world,
        &mut [&mut one, &mut other, &mut third, &mut fourth],
        1_000,
    );
    assert!(shares(&other, [1_300.0])[0] > 0.95);
    assert!(shares(&fourth, [700.0])[0] > 0.95);
    assert!(media::audio::power(&one.heard) < 100);
    assert_eq!(world.worker.rooms(), 1);
    // Into a room, and out of what it was joined with.
    enter(&mut world, other.leg, TALKS);
    listen(
        &mut world,
        &mut [&mut one, &mut other, &mut third, &mut fourth],
        1_000,
    );
    assert!(shares(&one, [700.0])[0] > 0.95);
    assert!(shares(&other, [500.0])[0] > 0.95);
    assert!(media::audio::power(&fourth.heard) < 100);
    let session = one.leg.session;
    world.command(MediaCommand::Close { session });
    world.command(MediaCommand::CloseLeg { leg: other.leg });
    assert_eq!(world.worker.rooms(), 0);
    for leg in [third.leg, beside] {
        let session = leg.session;
        world.command(MediaCommand::Close { session });
    }
    assert_eq!(
        (world.worker.sessions(), world.worker.poll_timeout()),
        (0, None)
    );
}

#[test]
fn those_who_hear_the_same_in_one_codec_are_sent_the_same_bytes() {
    for encoding in [Encoding::Opus, Encoding::Pcma] {
        let mut world = World::new(&ALL);
        let mut talker = phone(&mut world, 1, Encoding::Pcma, 500.0);
        let mut one = phone(&mut world, 2, encoding, 500.0);
        let mut other = phone(&mut world, 3, encoding, 500.0);
        (one.is_silent, other.is_silent) = (true, true);
        enter(&mut world, talker.leg, TALKS);
        for leg in [one.leg, other.leg] {
            enter(&mut world, leg, TALKS);
        }
        listen(&mut world, &mut [&mut talker, &mut one, &mut other], 1_000);
        assert!(shares(&one, [500.0])[0] > 0.9);
        assert_eq!(one.payloads.len(), 50);
        assert_eq!(one.payloads, other.payloads);
        // Who hears something of his own hears that alone, and then the room again.
        let mut tone = Tone::beep();
        tone.lasts = None;
        world.command(MediaCommand::Play {
            leg: one.leg,
            play: Play {
                sounds: vec![Sound::Tone(tone)],
                times: None,
                until_digit: false,
            },
        });
        listen(&mut world, &mut [&mut talker, &mut one, &mut other], 500);
        assert!(shares(&one, [1_000.0])[0] > 0.9);
        assert!(shares(&other, [500.0])[0] > 0.9);
        world.command(MediaCommand::StopPlay { leg: one.leg });
        listen(&mut world, &mut [&mut talker, &mut one, &mut other], 500);
        assert_eq!(one.payloads, other.payloads);
    }
}

#[test]
fn all_hear_that_somebody_comes_where_that_is_asked_for() {
    let mut world = World::new(&ALL);
    let mut narrow = phone(&mut world, 1, Encoding::Pcma, 500.0);
    let mut wide = phone(&mut world, 2, Encoding::Opus, 500.0);
    narrow.says = vec![0; 8_000];
    wide.says = vec![0; 16_000];
    enter(&mut world, narrow.leg, TALKS);
    listen(&mut world, &mut [&mut narrow, &mut wide], 100);
    assert_eq!(media::audio::power(&narrow.heard), 64);
    narrow.heard.clear();
    let beep = Entry {
        may_talk: true,
        beep: true,
    };
    enter(&mut world, wide.leg, beep);
    wide.heard.clear();
    run(&mut world, &mut [&mut narrow, &mut wide], 180);
    for phone in [&narrow, &wide] {
        assert!(shares(phone, [1_000.0])[0] > 0.7);
    }
    listen(&mut world, &mut [&mut narrow, &mut wide], 200);
    assert!(media::audio::power(&wide.heard) < 100);
}

#[test]
fn only_the_loudest_are_mixed() {
    let mut world = World::new(&ALL);
    let mut listener = phone(&mut world, 1, Encoding::Pcma, 300.0);
    listener.is_silent = true;
    enter(&mut world, listener.leg, LISTENS);
    let frequency_hz = |at: usize| 500.0 + 200.0 * at as f32;
    let mut talkers: Vec<Phone> = (0..ROOM_TALKERS + 2)
        .map(|at| {
            let mut talker = phone(&mut world, 2 + at as u64, Encoding::Pcma, frequency_hz(at));
            // Each one louder than the one before.
            let quieter = (ROOM_TALKERS + 2 - at) as i16 + 4;
            talker.says.iter_mut().for_each(|sample| *sample /= quieter);
            enter(&mut world, talker.leg, TALKS);
            talker
        })
        .collect();
    let mut all: Vec<&mut Phone> = talkers.iter_mut().collect();
    all.push(&mut listener);
    listen(&mut world, &mut all, 1_000);
    for at in 0..ROOM_TALKERS + 2 {
        let share = shares(&listener, [f64::from(frequency_hz(at))])[0];
        assert_eq!(share > 0.05, at >= 2, "{at}: {share}");
    }
}

#[test]
fn rooms_and_their_parties_are_bounded_and_strangers_do_nothing() {
    let mut world = World::new(&ALL);
    let ask = |world: &mut World, session: u64| {
        let leg = leg(session);
        let allowed = Vec::new();
        world.offer(leg, LegKind::Rtp { allowed });
        world.accept(
            leg,
            &Phone::new(leg, "192.0.2.7:7000", Encoding::Pcma).sdp(),
        );
        leg
    };
    enter(&mut world, leg(1), TALKS);
    world.command(MediaCommand::Leave { leg: leg(1) });
    assert_eq!((world.worker.rooms(), world.events.len()), (0, 0));
    for session in 0..ROOM_PARTIES as u64 {
        let leg = ask(&mut world, session);
        enter(&mut world, leg, LISTENS);
    }
    let one_more = ask(&mut world, 5_000);
    enter(&mut world, one_more, TALKS);
    assert_eq!(
        world.events,
        [MediaEvent::NotEntered {
            leg: one_more,
            room: ROOM,
            sentence: format!("the room has its {ROOM_PARTIES} parties"),
        }]
    );
    assert_eq!(world.counts, [Counter::Refused]);
    // Who is there may come once more; and where one has gone there is room.
    enter(&mut world, leg(0), TALKS);
    world.command(MediaCommand::Leave { leg: leg(0) });
    enter(&mut world, one_more, TALKS);
    assert_eq!((world.events.len(), world.worker.rooms()), (1, 1));
    for room in 0..MEDIA_ROOMS as u64 {
        let leg = ask(&mut world, 10_000 + room);
        let room = RoomId::of_shard(1, room);
        let entry = TALKS;
        world.command(MediaCommand::Enter { leg, room, entry });
    }
    assert_eq!(world.worker.rooms(), MEDIA_ROOMS);
    assert!(
        matches!(world.events.last(), Some(MediaEvent::NotEntered { sentence, .. }) if sentence.contains("rooms"))
    );
}
