//! Who is let in: the offers of stock clients, and no datagram of strangers.

use media::codec::Encoding;
use media::{Counter, Input};
use model::media::{LegKind, MediaEvent};

use crate::world::{Datagram, GATEWAY, LEG, World, address};

const ALL: [Encoding; 3] = [Encoding::Opus, Encoding::Pcma, Encoding::Pcmu];
const PEER: &str = "192.0.2.1:50000";
const STRANGER: &str = "203.0.113.66:6666";

const STOCK: [&str; 2] = [
    include_str!("fixtures/sdk-4.0.8-offer.sdp"),
    include_str!("fixtures/sdk-3.3.1-offer.sdp"),
];

#[test]
fn the_offers_of_stock_clients_are_answered() {
    for offer in STOCK {
        // A browser sends in the first codec of the answer, so there is one.
        for (encoding, audio, sound, keys) in [
            (
                Encoding::Opus,
                "111 110",
                "111 opus/48000/2",
                "110 telephone-event/48000",
            ),
            (
                Encoding::Pcma,
                "8 126",
                "8 PCMA/8000",
                "126 telephone-event/8000",
            ),
            (
                Encoding::Pcmu,
                "0 126",
                "0 PCMU/8000",
                "126 telephone-event/8000",
            ),
        ] {
            let mut world = World::new(&[encoding]);
            let answer = world.answer(LEG, LegKind::WebRtc, offer).unwrap();
            let has = |line: &str| {
                assert!(
                    answer.lines().any(|known| known == line),
                    "{line}: {answer}"
                );
            };
            has("a=ice-lite");
            has("a=setup:passive");
            has("a=rtcp-mux");
            has("a=mid:0");
            has(&format!("m=audio 9 UDP/TLS/RTP/SAVPF {audio}"));
            has(&format!("a=rtpmap:{sound}"));
            has(&format!("a=rtpmap:{keys}"));
            assert_eq!(answer.matches("a=rtpmap").count(), 2, "{answer}");
            assert!(answer.contains("a=fingerprint:sha-256 "));
            assert!(answer.contains(" 198.51.100.1 40000 typ host"));
            assert!(!answer.contains("str0m"), "{answer}");
        }
    }
}

#[test]
fn names_in_candidates_are_not_looked_up_and_do_no_harm() {
    for name in ["4f6a1c3e-0000-4000-8000-000000000000.local", "evil.example"] {
        let with_name = STOCK[0].replacen(" 192.0.2.2 56366 ", &format!(" {name} 56366 "), 1);
        assert_ne!(with_name, STOCK[0]);
        let mut world = World::new(&ALL);
        let answer = world.answer(LEG, LegKind::WebRtc, &with_name).unwrap();
        assert!(!answer.contains(name));
        // Lite: nothing is sent to anybody who has not come first.
        world.run(2_000);
        assert!(world.network.is_empty());
    }
}

#[test]
fn offers_that_cannot_be_answered_are_refused_in_words_and_leave_nothing() {
    let no_audio = STOCK[0].replace("m=audio", "m=video");
    let plain = STOCK[0].replace("UDP/TLS/RTP/SAVPF", "RTP/AVP");
    let no_codec = STOCK[0]
        .replace("opus", "speex")
        .replace("PCMU", "A")
        .replace("PCMA", "B");
    let no_print = STOCK[0].replace("a=fingerprint", "a=finger");
    for (offer, words) in [
        ("", "cannot be read"),
        (no_audio.as_str(), "no audio"),
        (plain.as_str(), "RTP/AVP"),
        (no_codec.as_str(), "no audio that is spoken"),
        (no_print.as_str(), "fingerprint"),
    ] {
        let mut world = World::new(&ALL);
        let sentence = world.answer(LEG, LegKind::WebRtc, offer).unwrap_err();
        assert!(sentence.contains(words), "{sentence}");
        assert_eq!(world.counts, [Counter::Refused]);
        assert_eq!(
            (world.worker.sessions(), world.worker.poll_timeout()),
            (0, None)
        );
    }
}

#[test]
fn a_client_hello_from_an_address_that_passed_no_check_is_dropped() {
    let mut world = World::new(&ALL);
    world.call(LEG, PEER);
    // The browser's own hello, seen on its way, and sent once more by a stranger before and after it.
    let mut hellos = 0;
    for _ in 0..2_000 {
        let hello = world.network.iter().find(|datagram| {
            datagram.to == address(GATEWAY) && datagram.bytes.first() == Some(&22)
        });
        let hello = hello.map(|datagram| datagram.bytes.clone());
        if let Some(bytes) = hello {
            let (before, on_its_way) = (world.counts.len(), world.network.len());
            world.deliver(&Datagram {
                due: world.now,
                from: address(STRANGER),
                to: address(GATEWAY),
                bytes,
            });
            assert_eq!(world.counts[before..], [Counter::Unchecked]);
            assert_eq!(world.network.len(), on_its_way, "it was answered");
            hellos += 1;
        }
        world.step();
    }
    assert!(hellos > 0);
    assert!(
        world
            .events
            .iter()
            .any(|event| matches!(event, MediaEvent::Connected { .. }))
    );
}

#[test]
fn a_check_with_a_wrong_password_opens_nothing() {
    let mut world = World::new(&ALL);
    world.call(LEG, PEER);
    let mut check = None;
    while check.is_none() {
        world.step();
        check = world
            .network
            .iter()
            .find(|datagram| datagram.to == address(GATEWAY) && datagram.bytes.first() == Some(&0))
            .map(|datagram| datagram.bytes.clone());
    }
    let genuine = check.unwrap();
    world.network.clear();
    // Each of its bytes changed: none of them is answered, and what follows from there is dropped. The last eight are FINGERPRINT,
    // which tells STUN from other protocols, and comes after what MESSAGE-INTEGRITY covers (RFC 8489 §14.7).
    for at in 0..genuine.len() - 8 {
        let mut forged = genuine.clone();
        forged[at] ^= 0x55;
        world.give(Input::WebRtc {
            local: address(GATEWAY),
            from: address(STRANGER),
            bytes: &forged,
        });
        assert!(world.network.is_empty(), "byte {at}");
        let before = world.counts.len();
        for first in [22, 128] {
            world.give(Input::WebRtc {
                local: address(GATEWAY),
                from: address(STRANGER),
                bytes: &[first; 60],
            });
        }
        assert_eq!(world.counts[before..], [Counter::Unchecked; 2]);
    }
    // The genuine one is answered, wherever it comes from.
    world.give(Input::WebRtc {
        local: address(GATEWAY),
        from: address(STRANGER),
        bytes: &genuine,
    });
    assert_eq!(world.network.len(), 1);
}
