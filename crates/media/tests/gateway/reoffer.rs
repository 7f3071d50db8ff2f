//! Further offers of a leg's peer: hold, another medium, ICE anew, another address, another codec.

use media::codec::Encoding;
use media::rtp::RtpPort;
use media::{Counter, Input};
use model::media::{LegEnd, LegId, LegKind, MediaCommand, MediaEvent, Play, Sound, Tone};
use str0m::change::SdpApi;
use str0m::media::{Direction, MediaKind, Mid};

use crate::phone::Phone;
use crate::world::{LEG, World, address, sine, tone_share};

const PHONE: LegId = LegId {
    session: LEG.session,
    place: 1,
};
const RTP: LegKind = LegKind::Rtp {
    allowed: Vec::new(),
};

fn play_for_ever(leg: LegId) -> MediaCommand {
    let mut tone = Tone::beep();
    tone.lasts = None;
    MediaCommand::Play {
        leg,
        play: Play {
            sounds: vec![Sound::Tone(tone)],
            times: None,
            until_digit: false,
        },
    }
}

/// A browser that called, or that was called, and hears 1 kHz.
fn playing(is_called: bool) -> World {
    let mut world = World::new(&[Encoding::Pcma]);
    if is_called {
        let offer = world.offer(LEG, LegKind::WebRtc);
        let answer = world.ring("192.0.2.1:50000", &offer);
        world.accept(LEG, &answer);
    } else {
        world.call(LEG, "192.0.2.1:50000");
    }
    world.until(5, |event| matches!(event, MediaEvent::Connected { .. }));
    world.peer().speak(Encoding::Pcma);
    world.command(play_for_ever(LEG));
    world.run(500);
    hears(&mut world);
    world
}

fn hears(world: &mut World) {
    world.peer().heard.clear();
    world.run(1_000);
    let heard = std::mem::take(&mut world.peer().heard);
    assert!(heard.len() > 7_000, "{}", heard.len());
    assert!(tone_share(&heard, 8_000, 1_000.0) > 0.95);
}

fn hears_nothing(world: &mut World) {
    world.run(100);
    world.peer().heard.clear();
    world.run(1_000);
    assert_eq!(world.peer().heard, []);
}

fn change(world: &mut World, change: impl FnOnce(&mut SdpApi<'_>, Mid)) -> String {
    let offer = world.peer().reoffer(change);
    let answer = world.reoffer(LEG, &offer).unwrap();
    world.peer().accept(&answer);
    answer
}

fn turn(world: &mut World, direction: Direction) -> String {
    change(world, |changes, mid| changes.set_direction(mid, direction))
}

/// The version of an SDP.
fn version(sdp: &str) -> &str {
    let origin = sdp.lines().find(|line| line.starts_with("o=- ")).unwrap();
    origin.split(' ').nth(2).unwrap()
}

fn has(answer: &str, line: &str) {
    assert!(
        answer.lines().any(|known| known == line),
        "{line}: {answer}"
    );
}

#[test]
fn a_browser_that_holds_is_sent_nothing_until_it_takes_the_call_up_again() {
    for is_called in [false, true] {
        let mut world = playing(is_called);
        has(&turn(&mut world, Direction::SendOnly), "a=recvonly");
        hears_nothing(&mut world);
        has(&turn(&mut world, Direction::Inactive), "a=inactive");
        hears_nothing(&mut world);
        has(&turn(&mut world, Direction::RecvOnly), "a=sendonly");
        world.run(100);
        hears(&mut world);
        has(&turn(&mut world, Direction::Inactive), "a=inactive");
        has(&turn(&mut world, Direction::SendRecv), "a=sendrecv");
        world.run(100);
        hears(&mut world);
        assert_eq!(world.events, []);
    }
}

#[test]
fn added_video_is_refused_in_its_place_and_sound_goes_on() {
    let mut world = playing(false);
    let answer = change(&mut world, |changes, _| {
        changes.add_media(MediaKind::Video, Direction::SendRecv, None, None, None);
    });
    assert!(
        answer.contains("\r\nm=video 0 UDP/TLS/RTP/SAVPF "),
        "{answer}"
    );
    let group = answer
        .lines()
        .find(|line| line.starts_with("a=group:BUNDLE "));
    assert_eq!(group.unwrap().split(' ').count(), 2, "{answer}");
    hears(&mut world);
}

#[test]
fn the_further_offers_of_a_stock_client_are_answered() {
    let mut world = World::new(&[Encoding::Opus, Encoding::Pcma]);
    let first = include_str!("fixtures/sdk-4.0.8-reoffer-first.sdp");
    world.answer(LEG, LegKind::WebRtc, first).unwrap();
    for (offer, media) in [
        (include_str!("fixtures/sdk-4.0.8-reoffer-added.sdp"), 2),
        (include_str!("fixtures/sdk-4.0.8-reoffer-removed.sdp"), 2),
    ] {
        let answer = world.reoffer(LEG, offer).unwrap();
        assert_eq!(answer.matches("m=").count(), media, "{answer}");
        assert!(
            answer.contains("m=audio 9 ") && answer.contains("m=video 0 "),
            "{answer}"
        );
    }
}

#[test]
fn a_browser_that_begins_its_ice_anew_is_heard_on() {
    for is_called in [false, true] {
        let mut world = playing(is_called);
        let name = |answer: &str| {
            let names = answer
                .lines()
                .filter(|line| line.starts_with("a=ice-ufrag:"));
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        let before = turn(&mut world, Direction::SendOnly);
        assert_eq!(name(&turn(&mut world, Direction::SendRecv)), name(&before));
        let answer = change(&mut world, |changes, _| {
            changes.ice_restart(true);
        });
        assert_ne!(name(&answer), name(&before));
        let again = turn(&mut world, Direction::Inactive);
        assert_eq!(name(&again), name(&answer));
        // A browser leaves a candidate of another ICE aside.
        assert!(again.contains(" typ host\r\n"), "{again}");
        assert_eq!((version(&before), version(&again)), ("2", "5"));
        turn(&mut world, Direction::SendRecv);
        world.counts.clear();
        world.run(1_000);
        hears(&mut world);
        world.run(40_000);
        hears(&mut world);
        world.peer().press("3");
        world.until(2, |event| matches!(event, MediaEvent::Digit { .. }));
        assert_eq!(world.counts, []);
        // Whoever goes without a word is missed as ever.
        world.peer = None;
        let ended = world.until(60, |event| matches!(event, MediaEvent::Ended { .. }));
        assert!(matches!(
            ended,
            MediaEvent::Ended {
                end: LegEnd::Silent,
                ..
            }
        ));
    }
}

#[test]
fn what_cannot_be_answered_is_refused_in_words_and_the_leg_goes_on() {
    let mut world = playing(false);
    let offer = world.peer().reoffer(|changes, mid| {
        changes.set_direction(mid, Direction::Inactive);
        changes.ice_restart(true);
    });
    let print = offer.split_once("a=fingerprint:sha-256 ").unwrap().1[..2].to_owned();
    let other = if print == "00" { "01" } else { "00" };
    let mid = offer
        .lines()
        .find(|line| line.starts_with("a=mid:"))
        .unwrap();
    for (from, to, words) in [
        ("m=audio 9", "m=audio 0", "the offer has no audio"),
        ("PCMA", "SPEEX", "no audio that is spoken"),
        (mid, "a=mid:other", "a=mid:other"),
        (" 8 ", " 96 ", "no audio that is spoken"),
        ("a=ice-ufrag", "a=ice-uf", "a=ice-ufrag"),
        (
            &format!("a=fingerprint:sha-256 {print}"),
            &format!("a=fingerprint:sha-256 {other}"),
            "a=fingerprint",
        ),
        ("a=rtpmap:126 ", "a=rtpmap:127 ", "other payload types"),
        ("a=inactive\r\n", "", "cannot be read"),
        ("v=0", "rubbish", "cannot be read"),
    ] {
        let changed = offer.replace(from, to);
        assert_ne!(changed, offer, "{from}");
        world.counts.clear();
        let sentence = world.reoffer(LEG, &changed).unwrap_err();
        assert!(sentence.contains(words), "{sentence}");
        assert_eq!(world.counts, [Counter::Refused]);
    }
    hears(&mut world);
    world.run(30_000);
    hears(&mut world);
    // Nobody's offer, and one of a leg that has not been answered itself.
    world.command(MediaCommand::Reoffer {
        leg: PHONE,
        offer: offer.into(),
    });
    assert_eq!(world.events, []);
    world.offer(PHONE, RTP);
    assert!(
        world
            .reoffer(PHONE, "")
            .unwrap_err()
            .contains("not answered yet")
    );
}

/// A telephone that called, and hears 1 kHz.
fn dialled(encoding: Encoding) -> (World, Phone) {
    let mut world = World::new(&[encoding, Encoding::Pcma, Encoding::Opus]);
    let mut phone = Phone::new(PHONE, "192.0.2.7:7000", encoding);
    world.command(MediaCommand::Answer {
        leg: PHONE,
        kind: RTP,
        offer: phone.sdp().into(),
    });
    let own = Some(address(crate::world::OURS));
    world.give(Input::RtpOpened {
        leg: PHONE,
        address: own,
    });
    assert!(matches!(
        world.events.pop(),
        Some(MediaEvent::Answered { .. })
    ));
    world.command(play_for_ever(PHONE));
    phone.run(&mut world, 500);
    (world, phone)
}

fn phone_hears(world: &mut World, phone: &mut Phone) {
    phone.heard.clear();
    phone.run(world, 1_000);
    let rate_hz = phone.codec.rate().hz();
    assert!(
        phone.heard.len() as u32 > rate_hz * 9 / 10,
        "{}",
        phone.heard.len()
    );
    let share = tone_share(&phone.heard, rate_hz, 1_000.0);
    assert!(share > 0.9, "{share}");
}

#[test]
fn a_telephone_holds_and_moves() {
    let (mut world, mut phone) = dialled(Encoding::Pcma);
    let held = format!("{}a=sendonly\r\n", phone.sdp());
    let answer = world.reoffer(PHONE, &held).unwrap();
    has(&answer, "a=recvonly");
    assert_eq!(version(&answer), "2");
    phone.heard.clear();
    phone.run(&mut world, 500);
    assert_eq!(phone.heard, []);
    let by_address = phone
        .sdp()
        .replace("c=IN IP4 192.0.2.7", "c=IN IP4 0.0.0.0");
    has(&world.reoffer(PHONE, &by_address).unwrap(), "a=sendrecv");
    phone.run(&mut world, 500);
    assert_eq!(phone.heard, []);
    has(&world.reoffer(PHONE, &phone.sdp()).unwrap(), "a=sendrecv");
    phone_hears(&mut world, &mut phone);
    // Elsewhere: it is heard from there, and no longer from where it was.
    let before = phone.address;
    phone.address = address("192.0.2.8:9000");
    assert_eq!(version(&world.reoffer(PHONE, &phone.sdp()).unwrap()), "5");
    phone_hears(&mut world, &mut phone);
    world.events.clear();
    phone
        .keys
        .press(model::media::Digit::from_key('4').unwrap());
    for _ in 0..20 {
        let bytes = phone.next(&world);
        let (leg, port, from) = (PHONE, RtpPort::Rtp, before);
        let bytes = &bytes;
        world.give(Input::Rtp {
            leg,
            port,
            from,
            bytes,
        });
    }
    assert_eq!(world.events, []);
    let sentence = world.reoffer(PHONE, "v=0").unwrap_err();
    assert_eq!(sentence, "the offer has no audio");
    phone_hears(&mut world, &mut phone);
}

#[test]
fn a_telephone_changes_its_codec_while_it_is_joined_and_while_it_listens() {
    for (first, second) in [
        (Encoding::Pcma, Encoding::Opus),
        (Encoding::Opus, Encoding::Pcma),
    ] {
        let (mut world, mut before) = dialled(first);
        phone_hears(&mut world, &mut before);
        let mut phone = Phone::new(PHONE, "192.0.2.7:7000", second);
        has(
            &world.reoffer(PHONE, &phone.sdp()).unwrap(),
            &format!("m=audio 30000 RTP/AVP {} 101", phone.number),
        );
        phone.run(&mut world, 300);
        phone_hears(&mut world, &mut phone);
        world.command(MediaCommand::StopPlay { leg: PHONE });
        // Now beside a browser, and back.
        world.call(LEG, "192.0.2.1:50000");
        world.events.clear();
        world.until(5, |event| {
            matches!(event, MediaEvent::Connected { leg: LEG })
        });
        world.peer().speak(first);
        let rate_hz = first.rate().hz();
        world.peer().says = sine(rate_hz, 500.0, rate_hz as usize);
        world.command(MediaCommand::Join { leg: LEG, other: 1 });
        for encoding in [second, first] {
            let mut phone = Phone::new(PHONE, "192.0.2.7:7000", encoding);
            world.reoffer(PHONE, &phone.sdp()).unwrap();
            let own = encoding.rate().hz();
            phone.says = sine(own, 700.0, own as usize);
            phone.run(&mut world, 500);
            phone.heard.clear();
            world.peer().heard.clear();
            phone.run(&mut world, 1_500);
            let share = tone_share(&phone.heard, own, 500.0);
            assert!(share > 0.9, "{first} to {encoding}, the telephone: {share}");
            let share = tone_share(&world.peer().heard, rate_hz, 700.0);
            assert!(share > 0.9, "{first} to {encoding}, the browser: {share}");
        }
    }
}
