//! The gateway asks: a browser or a telephone is offered a call, and answers.

use media::Counter;
use media::codec::Encoding;
use model::media::{LegEnd, LegId, LegKind, MediaCommand, MediaEvent, Play, Sound, Tone};

use crate::phone::Phone;
use crate::world::{LEG, World, sine, tone_share};

const ALL: [Encoding; 3] = [Encoding::Opus, Encoding::Pcmu, Encoding::Pcma];
const BROWSER_AT: &str = "192.0.2.1:50000";
const PHONE: LegId = LegId {
    session: LEG.session,
    place: 1,
};
const RTP: LegKind = LegKind::Rtp {
    allowed: Vec::new(),
};

/// A browser that was offered these codecs, has answered and is connected.
fn rung(preferred: &[Encoding]) -> World {
    rung_as(preferred, "active")
}

/// The same, and which side of the DTLS it takes.
fn rung_as(preferred: &[Encoding], setup: &str) -> World {
    let mut world = World::new(preferred);
    let offer = world.offer(LEG, LegKind::WebRtc);
    // str0m leaves the first word to us where a browser takes it.
    let heard = match setup {
        "active" => offer.replace("a=setup:actpass", "a=setup:passive"),
        _ => offer,
    };
    let answer = world.ring(BROWSER_AT, &heard);
    assert!(answer.contains(&format!("a=setup:{setup}")), "{answer}");
    world.accept(LEG, &answer);
    world.until(5, |event| matches!(event, MediaEvent::Connected { .. }));
    world.peer().speak(preferred[0]);
    world
}

fn refusal(world: &mut World) -> String {
    match world.events.pop() {
        Some(MediaEvent::Refused { sentence, .. }) => sentence,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_offer_to_a_browser_is_complete_and_of_sound_alone() {
    let mut world = World::new(&ALL);
    let offer = world.offer(LEG, LegKind::WebRtc);
    assert!(offer.ends_with("\r\n") && !offer.replace("\r\n", "").contains('\n'));
    assert_eq!(offer.matches("m=").count(), 1, "{offer}");
    for line in [
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 110 126",
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:110 telephone-event/48000",
        "a=rtpmap:126 telephone-event/8000",
        "a=ice-lite",
        "a=setup:actpass",
        "a=rtcp-mux",
        "a=sendrecv",
    ] {
        assert!(offer.lines().any(|known| known == line), "{line}: {offer}");
    }
    for part in [
        " 198.51.100.1 40000 typ host",
        "a=ice-ufrag:",
        "a=ice-pwd:",
        "a=fingerprint:sha-256 ",
        "a=group:BUNDLE ",
    ] {
        assert!(offer.contains(part), "{part}: {offer}");
    }
    assert!(!offer.contains("str0m"), "{offer}");
}

#[test]
fn a_browser_that_was_offered_a_call_hears_and_is_heard() {
    for (encoding, setup) in [
        (Encoding::Opus, "active"),
        (Encoding::Pcma, "active"),
        (Encoding::Pcmu, "passive"),
    ] {
        let mut world = rung_as(&[encoding], setup);
        let rate_hz = encoding.rate().hz();
        let mut tone = Tone::beep();
        tone.lasts = None;
        world.command(MediaCommand::Play {
            leg: LEG,
            play: Play {
                sounds: vec![Sound::Tone(tone)],
                times: Some(1),
                until_digit: true,
            },
        });
        world.run(1_500);
        let heard = std::mem::take(&mut world.peer().heard);
        let share = tone_share(&heard[heard.len() / 4..], rate_hz, 1_000.0);
        assert!(share > 0.95, "{encoding}: {share}");
        world.peer().press("7");
        let played = world.until(2, |event| matches!(event, MediaEvent::Played { .. }));
        assert!(matches!(played, MediaEvent::Played { leg: LEG, .. }));
    }
}

#[test]
fn a_telephone_and_a_browser_that_were_offered_calls_hear_each_other() {
    for codecs in [
        [Encoding::Pcma, Encoding::Pcma],
        [Encoding::Opus, Encoding::Pcma],
        [Encoding::Opus, Encoding::Pcmu],
        [Encoding::Opus, Encoding::Opus],
    ] {
        let [of_browser, of_phone] = codecs;
        let mut world = rung(&codecs);
        let offer = world.offer(PHONE, RTP);
        assert!(
            offer.contains("a=rtpmap:101 telephone-event/8000\r\n"),
            "{offer}"
        );
        assert!(offer.contains(&format!("{of_phone}/")), "{offer}");
        let mut phone = Phone::new(PHONE, "192.0.2.7:7000", of_phone);
        world.accept(PHONE, &phone.sdp());
        world.command(MediaCommand::Join { leg: LEG, other: 1 });
        let (near, far) = (of_browser.rate().hz(), of_phone.rate().hz());
        world.peer().says = sine(near, 500.0, near as usize);
        phone.says = sine(far, 700.0, far as usize);
        phone.run(&mut world, 3_000);
        assert!(world.events.contains(&MediaEvent::Connected { leg: PHONE }));
        let heard = std::mem::take(&mut world.peer().heard);
        let share = tone_share(&heard[heard.len() / 2..], near, 700.0);
        assert!(share > 0.9, "the browser, {codecs:?}: {share}");
        let share = tone_share(&phone.heard[phone.heard.len() / 2..], far, 500.0);
        assert!(share > 0.9, "the telephone, {codecs:?}: {share}");
        world.peer().press("5#");
        phone.run(&mut world, 1_000);
        assert_eq!(phone.heard_keys, "5#");
    }
}

#[test]
fn a_telephone_that_was_heard_early_may_be_elsewhere_in_the_end() {
    let mut world = rung(&ALL);
    world.offer(PHONE, RTP);
    let mut early = Phone::new(PHONE, "198.51.100.7:4000", Encoding::Pcmu);
    early.says = sine(8_000, 600.0, 8_000);
    world.accept(PHONE, &early.sdp());
    let other = PHONE.place;
    world.command(MediaCommand::Join { leg: LEG, other });
    early.run(&mut world, 500);
    let hears = |world: &mut World, hz| {
        let heard = std::mem::take(&mut world.peer().heard);
        let rate_hz = Encoding::Opus.rate().hz();
        tone_share(&heard[heard.len() / 2..], rate_hz, hz) > 0.5
    };
    assert!(hears(&mut world, 600.0), "it is heard before it answers");
    let mut answered = Phone::new(PHONE, "198.51.100.8:4100", Encoding::Pcma);
    answered.says = sine(8_000, 900.0, 8_000);
    let confirm = |answer: &str| MediaCommand::Confirm {
        leg: PHONE,
        answer: answer.into(),
    };
    world.command(confirm(&answered.sdp()));
    answered.run(&mut world, 500);
    assert!(hears(&mut world, 900.0), "and elsewhere, in another codec");
    assert!(answered.payloads.len() > 10, "it hears as well");
    world.command(confirm("v=0\r\n"));
    assert!(!refusal(&mut world).is_empty(), "what is no answer is told");
    answered.run(&mut world, 500);
    assert!(hears(&mut world, 900.0), "and changes nothing");
}

#[test]
fn of_several_who_answer_the_first_counts() {
    let mut world = World::new(&ALL);
    let offer = world.offer(LEG, LegKind::WebRtc);
    let late = world.ring("192.0.2.9:50000", &offer);
    let first = world.ring(BROWSER_AT, &offer);
    world.accept(LEG, &first);
    world.accept(LEG, &late);
    world.accept(LEG, "rubbish");
    assert_eq!(world.events, []);
    world.until(5, |event| matches!(event, MediaEvent::Connected { .. }));
}

#[test]
fn real_answers_of_browsers_are_taken() {
    for answer in [
        include_str!("fixtures/sdk-4.0.8-answer.sdp"),
        include_str!("fixtures/sdk-3.3.1-answer.sdp"),
    ] {
        let mut world = World::new(&ALL);
        let offer = world.offer(LEG, LegKind::WebRtc);
        let mid = offer
            .lines()
            .find(|line| line.starts_with("a=mid:"))
            .unwrap();
        let name = mid.trim_start_matches("a=mid:");
        // A browser keeps the name of the medium.
        let answer = answer
            .replace("a=mid:0", mid)
            .replace("a=group:BUNDLE 0", &format!("a=group:BUNDLE {name}"));
        world.accept(LEG, &answer);
        assert_eq!(world.events, []);
        assert_eq!(world.worker.sessions(), 1);
    }
}

#[test]
fn answers_that_are_no_good_are_refused_in_words_and_leave_nothing() {
    let mut world = World::new(&ALL);
    let offer = world.offer(LEG, LegKind::WebRtc);
    let answer = world.ring(BROWSER_AT, &offer);
    world.command(MediaCommand::CloseLeg { leg: LEG });
    let mid = offer
        .lines()
        .find(|line| line.starts_with("a=mid:"))
        .unwrap();
    for (change, words) in [
        (("m=audio 9", "m=audio 0"), "the answer has no audio"),
        (
            ("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
            "the answer asks for \"RTP/AVP\"",
        ),
        ((mid, "a=mid:elsewhere"), "a=mid:elsewhere"),
        (("a=ice-pwd", "a=ice-pw"), "cannot be taken"),
        (("a=fingerprint", "a=finger"), "fingerprint"),
        (("v=0", "rubbish"), "cannot be read"),
    ] {
        let mut world = World::new(&ALL);
        let offer = world.offer(LEG, LegKind::WebRtc);
        let fresh = offer
            .lines()
            .find(|line| line.starts_with("a=mid:"))
            .unwrap();
        let own = answer.replace(
            mid.trim_start_matches("a=mid:"),
            fresh.trim_start_matches("a=mid:"),
        );
        let from = if change.0 == mid { fresh } else { change.0 };
        world.accept(LEG, &own.replace(from, change.1));
        let sentence = refusal(&mut world);
        assert!(sentence.contains(words), "{sentence}");
        assert_eq!(world.counts, [Counter::Refused]);
        assert_eq!(
            (world.worker.sessions(), world.worker.poll_timeout()),
            (0, None)
        );
    }
    let mut world = World::new(&ALL);
    world.offer(PHONE, RTP);
    world.accept(
        PHONE,
        &Phone::new(PHONE, "192.0.2.7:7000", Encoding::Pcma)
            .sdp()
            .replace(" 8 101", " 18"),
    );
    assert!(refusal(&mut world).contains("the answer has no audio that is spoken"));
    assert_eq!(
        (world.worker.sessions(), world.closed.as_slice()),
        (0, &[PHONE][..])
    );
}

#[test]
fn an_offer_that_nobody_answers_ends_after_five_minutes_and_earlier_when_closed() {
    for kind in [LegKind::WebRtc, RTP] {
        let mut world = World::new(&ALL);
        world.offer(LEG, kind.clone());
        let due = world.worker.poll_timeout().unwrap();
        assert_eq!(due.as_micros(), 301_000_000);
        let ended = world.until(301, |event| matches!(event, MediaEvent::Ended { .. }));
        assert!(matches!(
            ended,
            MediaEvent::Ended {
                leg: LEG,
                end: LegEnd::Silent,
                ..
            }
        ));
        assert_eq!(
            (world.worker.sessions(), world.worker.poll_timeout()),
            (0, None)
        );
        let is_plain = kind == RTP;
        assert_eq!(world.closed.len(), usize::from(is_plain));

        world.offer(LEG, kind.clone());
        world.command(MediaCommand::CloseLeg { leg: LEG });
        world.accept(LEG, "v=0");
        assert!(matches!(
            world.events[..],
            [MediaEvent::Ended {
                end: LegEnd::Closed,
                ..
            }]
        ));
        assert_eq!(world.closed.len(), 2 * usize::from(is_plain));

        // Whoever answers late, but in time, is connected as ever.
        if kind == LegKind::WebRtc {
            world.events.clear();
            let offer = world.offer(LEG, kind);
            world.run(200_000);
            let answer = world.ring(BROWSER_AT, &offer);
            world.accept(LEG, &answer);
            world.until(5, |event| matches!(event, MediaEvent::Connected { .. }));
        }
    }
}
