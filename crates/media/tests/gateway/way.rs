//! The ways by which packets of browsers come and go: each of them once, and where the browser has nominated.

use media::codec::Encoding;
use media::rtp::is_rtcp;
use media::{Counter, Input};
use model::media::{MediaCommand, MediaEvent, Play, Sound, Tone};
use str0m::crypto::from_feature_flags;
use str0m::ice::{StunMessage, TransId};

use crate::world::{Datagram, GATEWAY, LEG, World, address};

const HERE: &str = "192.0.2.1:50000";
const THERE: &str = "203.0.113.9:50001";

/// Whether it is RTP or a report (RFC 7983 §7).
fn is_srtp(datagram: &Datagram) -> bool {
    matches!(datagram.bytes[..], [128..192, _, ..])
}

/// Whether it is RTP (RFC 5761 §4).
fn is_rtp(datagram: &Datagram) -> bool {
    is_srtp(datagram) && !is_rtcp(&datagram.bytes)
}

fn is_report(datagram: &Datagram) -> bool {
    is_srtp(datagram) && is_rtcp(&datagram.bytes)
}

/// A browser that hears a tone for ever; and our answer to it.
fn hearing() -> (World, String) {
    let mut world = World::new(&[Encoding::Pcma]);
    let answer = world.call(LEG, HERE);
    world.until(5, |event| matches!(event, MediaEvent::Connected { .. }));
    world.peer().speak(Encoding::Pcma);
    let mut tone = Tone::beep();
    tone.lasts = None;
    world.command(MediaCommand::Play {
        leg: LEG,
        play: Play {
            sounds: vec![Sound::Tone(tone)],
            times: None,
            until_digit: false,
        },
    });
    (world, answer)
}

#[test]
fn what_comes_again_or_was_changed_is_not_heard() {
    let (mut world, _) = hearing();
    let (mut came, mut seen) = (0, Vec::new());
    for _ in 0..1_000 {
        let due: Vec<Vec<u8>> = world
            .network
            .iter()
            .filter(|datagram| datagram.to == address(GATEWAY) && is_rtp(datagram))
            .filter(|datagram| datagram.due <= world.now + std::time::Duration::from_millis(1))
            .map(|datagram| datagram.bytes.clone())
            .collect();
        for bytes in &due {
            for at in [1, 2, 4, 8, 12, bytes.len() - 1] {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                deliver(&mut world, &changed);
            }
        }
        world.step();
        came += due.len() as u64;
        seen.extend(due);
        for bytes in seen.iter().rev().take(5).chain(seen.iter().take(5)) {
            deliver(&mut world, bytes);
        }
    }
    assert!(came > 40, "{came}");
    world.command(MediaCommand::CloseLeg { leg: LEG });
    let ended = world.until(1, |event| matches!(event, MediaEvent::Ended { .. }));
    let MediaEvent::Ended { usage, .. } = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(usage.packets_in, came);
    assert_eq!(usage.lost, 0);
}

/// What the browser has sent and the gateway does not have yet.
fn on_its_way(world: &mut World, is_it: impl Fn(&Datagram) -> bool) -> Vec<u8> {
    for _ in 0..20_000 {
        let mut coming = world.network.iter();
        let found = coming.find(|datagram| datagram.to == address(GATEWAY) && is_it(datagram));
        if let Some(datagram) = found {
            return datagram.bytes.clone();
        }
        world.step();
    }
    panic!("the browser sent nothing of the kind");
}

#[test]
fn what_the_browser_has_not_sealed_is_counted() {
    let (mut world, _) = hearing();
    for is_it in [is_rtp as fn(&Datagram) -> bool, is_report] {
        let bytes = on_its_way(&mut world, is_it);
        let mut changed = bytes.clone();
        changed[12] ^= 1;
        let before = world.counts.len();
        deliver(&mut world, &changed);
        assert_eq!(world.counts[before..], [Counter::Forged]);
        // What comes again says nothing of who sends it, and a stranger is not so much as listened to.
        let before = world.counts.len();
        deliver(&mut world, &bytes);
        deliver(&mut world, &bytes);
        assert_eq!(world.counts[before..], []);
        world.give(Input::WebRtc {
            local: address(GATEWAY),
            from: address(THERE),
            bytes: &changed,
        });
        assert_eq!(world.counts[before..], [Counter::Unchecked]);
    }
}

fn deliver(world: &mut World, bytes: &[u8]) {
    world.give(Input::WebRtc {
        local: address(GATEWAY),
        from: address(HERE),
        bytes,
    });
}

/// How many packets leave for each of both within 300 ms.
fn leaving(world: &mut World) -> (usize, usize) {
    world.network.retain(|datagram| !is_rtp(datagram));
    let mut counts = (0, 0);
    for _ in 0..300 {
        world.step();
        world.network.retain(|datagram| {
            let (is_here, is_there) = (datagram.to == address(HERE), datagram.to == address(THERE));
            if is_rtp(datagram) {
                counts.0 += usize::from(is_here);
                counts.1 += usize::from(is_there);
            }
            !(is_rtp(datagram) && (is_here || is_there))
        });
    }
    counts
}

/// A check of the browser's from elsewhere.
fn check(world: &mut World, answer: &str, password: Option<&str>, is_nominating: bool) {
    let row = |name: &str| {
        let found = answer.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap().to_owned()
    };
    let theirs = world.peer().rtc.direct_api().local_ice_credentials().ufrag;
    let username = format!("{}:{theirs}", row("a=ice-ufrag:"));
    let ours = row("a=ice-pwd:");
    let message =
        StunMessage::binding_request(&username, TransId::new(), true, 7, 1_000, is_nominating);
    let mut bytes = vec![0; 500];
    let hmac = from_feature_flags().sha1_hmac_provider;
    let password = password.unwrap_or(&ours).as_bytes();
    let length = message.to_bytes(Some(password), &mut bytes, |key, parts| {
        hmac.sha1_hmac(key, parts)
    });
    world.give(Input::WebRtc {
        local: address(GATEWAY),
        from: address(THERE),
        bytes: &bytes[..length.unwrap()],
    });
}

#[test]
fn packets_go_where_the_browser_has_nominated_last() {
    let (mut world, answer) = hearing();
    let (here, there) = leaving(&mut world);
    assert!(here > 10 && there == 0, "{here} {there}");
    check(
        &mut world,
        &answer,
        Some("of somebody else, and no less long"),
        true,
    );
    check(&mut world, &answer, None, false);
    let (here, there) = leaving(&mut world);
    assert!(here > 10 && there == 0, "{here} {there}");
    check(&mut world, &answer, None, true);
    let (here, there) = leaving(&mut world);
    assert!(here == 0 && there > 10, "{here} {there}");
    // The browser's own next check says otherwise.
    world.run(3_000);
    let (here, there) = leaving(&mut world);
    assert!(here > 10 && there == 0, "{here} {there}");
}
