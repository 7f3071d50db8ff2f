//! What is bounded, and what commands for nobody do: nothing.

use media::codec::Encoding;
use media::{Effect, Input};
use model::media::{
    LegEnd, LegId, LegKind, MediaCommand, MediaEvent, Play, PlayEnd, SessionId, Sound,
};

use crate::world::{LEG, World, address};

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 7000 RTP/AVP 8\r\n";

fn ask(world: &mut World, session: u64, place: u8) -> LegId {
    let leg = LegId {
        session: SessionId(session),
        place,
    };
    world.command(MediaCommand::Answer {
        leg,
        kind: LegKind::Rtp {
            allowed: Vec::new(),
        },
        offer: OFFER.into(),
    });
    leg
}

#[test]
fn a_session_has_four_legs_and_no_leg_twice() {
    let mut world = World::new(&[Encoding::Pcma]);
    let first = ask(&mut world, 1, 0);
    for place in [0, 1, 2, 3, 4] {
        ask(&mut world, 1, place);
    }
    assert_eq!(world.opening.len(), 4);
    let refused = world
        .events
        .iter()
        .filter(|event| matches!(event, MediaEvent::Refused { .. }));
    assert_eq!(refused.count(), 2);
    world.give(Input::RtpOpened {
        leg: first,
        address: None,
    });
    assert!(
        matches!(world.events.last(), Some(MediaEvent::Refused { sentence, .. }) if sentence.contains("ports"))
    );
    world.command(MediaCommand::Close {
        session: SessionId(1),
    });
    assert_eq!(world.worker.sessions(), 0);
}

#[test]
fn ports_that_open_for_a_session_that_was_closed_are_closed() {
    let mut world = World::new(&[Encoding::Pcma]);
    let leg = ask(&mut world, 1, 0);
    world.command(MediaCommand::Close {
        session: SessionId(1),
    });
    let now = world.clock();
    let opened = Some(address("198.51.100.1:30000"));
    world.worker.handle(
        now,
        Input::RtpOpened {
            leg,
            address: opened,
        },
    );
    assert_eq!(world.worker.poll_effect(), Some(Effect::CloseRtp { leg }));
}

fn closed_legs(world: &World) -> Vec<LegId> {
    let closed = world.events.iter().filter_map(|event| match event {
        MediaEvent::Ended {
            leg,
            end: LegEnd::Closed,
            ..
        } => Some(*leg),
        _ => None,
    });
    closed.collect()
}

#[test]
fn one_leg_is_closed_and_the_others_stay() {
    let mut world = World::new(&[Encoding::Pcma]);
    let (one, other) = (ask(&mut world, 1, 0), ask(&mut world, 1, 1));
    for leg in [one, other] {
        world.give(Input::RtpOpened {
            leg,
            address: Some(address("198.51.100.1:30000")),
        });
    }
    world.command(MediaCommand::Join { leg: one, other: 1 });
    world.command(MediaCommand::CloseLeg { leg: one });
    assert_eq!(closed_legs(&world), [one]);
    assert_eq!(world.worker.sessions(), 1);
    // Its place is free again; it is not closed twice.
    world.command(MediaCommand::CloseLeg { leg: one });
    assert_eq!(closed_legs(&world), [one]);
    ask(&mut world, 1, 0);
    assert!(matches!(
        world.events.last(),
        Some(MediaEvent::Ended { .. })
    ));
    // One whose ports are being opened ends too, and nobody takes its name until they are there.
    world.command(MediaCommand::CloseLeg { leg: one });
    assert_eq!(closed_legs(&world), [one, one]);
    ask(&mut world, 1, 0);
    assert!(
        matches!(world.events.last(), Some(MediaEvent::Refused { sentence, .. }) if sentence.contains("ports"))
    );
    world.give(Input::RtpOpened {
        leg: one,
        address: None,
    });
    let refusals = world.counts.len();
    ask(&mut world, 1, 0);
    assert_eq!(world.counts.len(), refusals);
    world.command(MediaCommand::Close {
        session: SessionId(1),
    });
    assert_eq!(closed_legs(&world), [one, one, other, one]);
    assert_eq!(world.worker.sessions(), 0);
}

#[test]
fn commands_for_nobody_do_nothing_and_what_is_no_sound_is_said() {
    let mut world = World::new(&[Encoding::Pcma]);
    let play = Play {
        sounds: vec![Sound::File((*b"no sound").into())],
        times: None,
        until_digit: false,
    };
    world.command(MediaCommand::Play {
        leg: LEG,
        play: play.clone(),
    });
    world.command(MediaCommand::StopRecord { leg: LEG });
    world.command(MediaCommand::Close {
        session: LEG.session,
    });
    assert_eq!((world.events.len(), world.worker.poll_timeout()), (0, None));
    let leg = ask(&mut world, 1, 0);
    world.give(Input::RtpOpened {
        leg,
        address: Some(address("198.51.100.1:30000")),
    });
    world.command(MediaCommand::Join { leg, other: 0 });
    world.command(MediaCommand::Join { leg, other: 7 });
    world.command(MediaCommand::Play { leg, play });
    let Some(MediaEvent::Played {
        end: PlayEnd::Unplayable(words),
        ..
    }) = world.events.last()
    else {
        panic!("it was played: {:?}", world.events);
    };
    assert!(words.contains("WAV"), "{words}");
}
