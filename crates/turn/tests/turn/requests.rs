//! Each request by its rules: RFC 8489 §9.2, RFC 8656 §7 to §12, RFC 6156.

use std::time::Duration;

use stun_types::attribute::{
    AttributeStaticType as _, ErrorCode, Fingerprint, MessageIntegrity, MessageIntegritySha256,
    Nonce, PasswordAlgorithm, PasswordAlgorithmValue, PasswordAlgorithms, RawAttribute, Realm,
    Software, UnknownAttributes, Username, XorMappedAddress,
};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageWrite, MessageWriteExt, StunParseError,
};
use turn::{Holder, Input, Link};
use turn_types::attribute::{ChannelNumber, Lifetime, RequestedTransport, XorPeerAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

use crate::client::{World, address, client, config, credentials, relayed, seal};

fn udp() -> RequestedTransport {
    RequestedTransport::new(17)
}

#[test]
fn binding_tells_the_address_without_a_password() {
    let mut world = World::new(config());
    for me in [
        client(4_000),
        turn::Client {
            address: address("[2001:db8::7]:9"),
            ..client(0)
        },
    ] {
        let request = world.request(BINDING, &[]).finish();
        let answer = world.send(me, &request).unwrap();
        let message = answer.message();
        let mapped = message.attribute::<XorMappedAddress>().unwrap();
        assert_eq!(mapped.addr(message.transaction_id()), me.address);
        assert!(
            !message.has_attribute(Fingerprint::TYPE) && !message.has_attribute(Software::TYPE)
        );
    }
}

#[test]
fn software_is_said_only_where_it_is_given() {
    let mut config = config();
    config.software = Some("offhook".to_owned());
    let mut world = World::new(config);
    let request = world.request(BINDING, &[]).finish();
    let answer = world.send(client(4_000), &request).unwrap();
    assert_eq!(
        answer.message().attribute::<Software>().unwrap().software(),
        "offhook"
    );
}

#[test]
fn the_first_request_is_challenged_and_the_second_succeeds_with_either_algorithm() {
    let mut world = World::new(config());
    for (port, algorithm) in [
        (4_000, IntegrityAlgorithm::Sha1),
        (4_001, IntegrityAlgorithm::Sha256),
    ] {
        let me = client(port);
        let request = world.request(ALLOCATE, &[&udp()]).finish();
        let challenge = world.send(me, &request).unwrap();
        assert_eq!(challenge.code(), 401);
        let message = challenge.message();
        assert_eq!(message.attribute::<Realm>().unwrap().realm(), "offhook");
        assert!(message.has_attribute(PasswordAlgorithms::TYPE));
        let nonce = message.attribute::<Nonce>().unwrap().nonce().to_owned();
        assert!(nonce.starts_with("obMatJos2"));
        let request = world.request(ALLOCATE, &[&udp()]);
        let request = seal(request, 1, &nonce, algorithm);
        let answer = world.send(me, &request).unwrap();
        assert_eq!(answer.code(), 0);
        let message = answer.message();
        let sealed = message.validate_integrity(&credentials(1)).unwrap();
        assert_eq!(sealed, algorithm);
        assert_eq!(
            message.has_attribute(MessageIntegrity::TYPE),
            algorithm == IntegrityAlgorithm::Sha1
        );
        assert_eq!(
            message.has_attribute(MessageIntegritySha256::TYPE),
            algorithm == IntegrityAlgorithm::Sha256
        );
        assert!(message.has_attribute(Fingerprint::TYPE));
        let mapped = message.attribute::<XorMappedAddress>().unwrap();
        assert_eq!(mapped.addr(message.transaction_id()), me.address);
        assert_eq!(message.attribute::<Lifetime>().unwrap().seconds(), 600);
        assert_eq!(relayed(&answer).ip(), address("198.51.100.1:0").ip());
    }
    assert_eq!(world.book.allocations[&Holder(1)], 2);
}

#[test]
fn a_wrong_password_user_or_nonce_has_its_own_status() {
    let mut world = World::new(config());
    let me = client(4_000);
    let nonce = world.nonce(me);
    let mut send = |user: &str, password: u64, nonce: &str| {
        let mut request = world.request(ALLOCATE, &[&udp()]);
        request
            .add_attribute(&Username::new(user).unwrap())
            .unwrap();
        request
            .add_attribute(&Realm::new("offhook").unwrap())
            .unwrap();
        request.add_attribute(&Nonce::new(nonce).unwrap()).unwrap();
        request
            .add_message_integrity(&credentials(password), IntegrityAlgorithm::Sha1)
            .unwrap();
        let request = request.finish();
        let answer = world.send(me, &request).unwrap();
        (answer.code(), answer.message().has_attribute(Nonce::TYPE))
    };
    assert_eq!(
        send("u1", 2, &nonce),
        (401, true),
        "somebody else's password"
    );
    assert_eq!(send("nobody", 1, &nonce), (401, true));
    assert_eq!(send("u1", 1, "made up"), (438, true));
    assert_eq!(send("u1", 1, &nonce), (0, false));
    world.pass(602);
    let request = world.request(REFRESH, &[]);
    let request = seal(request, 1, &nonce, IntegrityAlgorithm::Sha1);
    assert_eq!(world.send(me, &request).unwrap().code(), 438);
}

#[test]
fn a_nonce_is_good_for_the_address_that_got_it_alone() {
    let mut world = World::new(config());
    let nonce = world.nonce(client(4_000));
    let request = world.request(ALLOCATE, &[&udp()]);
    let request = seal(request, 1, &nonce, IntegrityAlgorithm::Sha1);
    assert_eq!(world.send(client(4_001), &request).unwrap().code(), 438);
    assert_eq!(world.send(client(4_000), &request).unwrap().code(), 0);
}

#[test]
fn half_a_proof_is_a_bad_request() {
    let mut world = World::new(config());
    let me = client(4_000);
    let nonce = world.nonce(me);
    let mut request = world.request(ALLOCATE, &[&udp()]);
    request
        .add_attribute(&Realm::new("offhook").unwrap())
        .unwrap();
    request.add_attribute(&Nonce::new(&nonce).unwrap()).unwrap();
    request
        .add_message_integrity(&credentials(1), IntegrityAlgorithm::Sha1)
        .unwrap();
    let request = request.finish();
    assert_eq!(world.send(me, &request).unwrap().code(), 400);
    // Somebody between has taken the better algorithm out of the offer.
    let mut request = world.request(ALLOCATE, &[&udp()]);
    request
        .add_attribute(&Username::new("u1").unwrap())
        .unwrap();
    request
        .add_attribute(&Realm::new("offhook").unwrap())
        .unwrap();
    request.add_attribute(&Nonce::new(&nonce).unwrap()).unwrap();
    let md5 = PasswordAlgorithmValue::MD5;
    request
        .add_attribute(&PasswordAlgorithms::new(&[md5]))
        .unwrap();
    request.add_attribute(&PasswordAlgorithm::new(md5)).unwrap();
    request
        .add_message_integrity(&credentials(1), IntegrityAlgorithm::Sha1)
        .unwrap();
    let request = request.finish();
    assert_eq!(world.send(me, &request).unwrap().code(), 400);
}

#[test]
fn lifetimes_are_kept_within_bounds_and_end() {
    let mut world = World::new(config());
    let me = client(4_000);
    world.allocate(me, 1);
    for (asked, given) in [(1, 600), (700, 700), (100_000, 3_600)] {
        let answer = world.ask(me, 1, REFRESH, &[&Lifetime::new(asked)]);
        assert_eq!(
            answer.message().attribute::<Lifetime>().unwrap().seconds(),
            given
        );
    }
    world.pass(3_599);
    assert_eq!(world.server.allocations(), 1);
    world.pass(1);
    assert_eq!(world.server.allocations(), 0);
    assert!(world.sockets.is_empty());
    assert_eq!(world.book.allocations[&Holder(1)], 0);
    assert_eq!(world.refresh(me, 1, 600), 437);
    assert_eq!(world.server.poll_timeout(), None);
}

#[test]
fn a_stream_that_ends_takes_its_allocation_along() {
    let mut world = World::new(config());
    let me = turn::Client {
        link: Link::Stream(3),
        ..client(4_000)
    };
    world.allocate(me, 1);
    world.give(Input::Gone { client: me });
    assert!(world.sockets.is_empty() && world.server.allocations() == 0);
    world.give(Input::FromClient {
        client: me,
        message: b"GET / HTTP/1.1\r\n\r\n    ",
    });
    assert_eq!(world.hung, [me]);
}

#[test]
fn permissions_are_all_or_nothing_and_bounded() {
    let mut config = config();
    config.bounds.permissions = 3;
    let mut world = World::new(config);
    let me = client(4_000);
    world.allocate(me, 1);
    assert_eq!(world.ask(me, 1, CREATE_PERMISSION, &[]).code(), 400);
    let good = address("192.0.2.9:1");
    let nonce = world.nonce(me);
    let mut request = world.request(CREATE_PERMISSION, &[]);
    let transaction = request.transaction_id();
    for peer in [good, address("10.0.0.1:1")] {
        request
            .add_attribute(&XorPeerAddress::new(peer, transaction))
            .unwrap();
    }
    let request = seal(request, 1, &nonce, IntegrityAlgorithm::Sha1);
    assert_eq!(world.send(me, &request).unwrap().code(), 403);
    assert_eq!(world.send_indication(me, good, b"x"), None);
    for last in 1..=3 {
        assert_eq!(
            world.permit(me, 1, address(&format!("192.0.2.{last}:1"))),
            0
        );
    }
    assert_eq!(
        world.permit(me, 1, address("192.0.2.3:9")),
        0,
        "it is there already"
    );
    assert_eq!(world.permit(me, 1, address("192.0.2.4:1")), 508);
    world.pass(300);
    assert_eq!(world.permit(me, 1, address("192.0.2.4:1")), 0);
}

#[test]
fn a_channel_keeps_its_peer_and_a_peer_its_channel() {
    let mut world = World::new(config());
    let me = client(4_000);
    world.allocate(me, 1);
    let (one, two) = (address("192.0.2.9:1"), address("192.0.2.9:2"));
    for (number, code) in [(0x3fff, 400), (0x8000, 400), (0x4000, 0), (0x4000, 0)] {
        assert_eq!(world.bind(me, 1, number, one), code, "{number:x}");
    }
    assert_eq!(world.bind(me, 1, 0x4000, two), 400);
    assert_eq!(world.bind(me, 1, 0x4001, one), 400);
    assert_eq!(world.bind(me, 1, 0x4001, two), 0);
    assert_eq!(
        world
            .ask(me, 1, CHANNEL_BIND, &[&ChannelNumber::new(0x4002)])
            .code(),
        400
    );
    world.pass(599);
    world.refresh(me, 1, 3_600);
    assert_eq!(world.bind(me, 1, 0x4001, one), 400);
    world.pass(1);
    assert_eq!(world.bind(me, 1, 0x4001, one), 0);
}

#[test]
fn without_an_allocation_437_and_with_another_holders_441() {
    let mut world = World::new(config());
    let (me, peer) = (client(4_000), address("192.0.2.9:1"));
    assert_eq!(world.refresh(me, 1, 600), 437);
    assert_eq!(world.permit(me, 1, peer), 437);
    assert_eq!(world.bind(me, 1, 0x4000, peer), 437);
    world.allocate(me, 1);
    assert_eq!(world.refresh(me, 2, 0), 441);
    assert_eq!(world.permit(me, 2, peer), 441);
    assert_eq!(world.bind(me, 2, 0x4000, peer), 441);
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn what_must_be_understood_and_is_not_is_named() {
    let mut world = World::new(config());
    let unknown = RawAttribute::new(0x7fff.into(), &[1, 2, 3, 4]);
    let answer = world.ask(client(4_000), 1, ALLOCATE, &[&udp(), &unknown]);
    assert_eq!(answer.code(), 420);
    let named = answer.message().attribute::<UnknownAttributes>().unwrap();
    assert!(named.has_attribute(0x7fff.into()));
    let request = world.request(BINDING, &[&unknown]).finish();
    assert_eq!(world.send(client(4_000), &request).unwrap().code(), 420);
}

#[test]
fn challenges_are_short_and_end_for_a_source_that_goes_on() {
    let mut world = World::new(config());
    let me = client(4_000);
    let request = world.request(ALLOCATE, &[&udp()]).finish();
    let challenge = world.send(me, &request).unwrap();
    assert!(challenge.0.len() <= 96, "{} bytes", challenge.0.len());
    let error = challenge.message().attribute::<ErrorCode>().unwrap();
    assert_eq!(error.reason(), "");
    let answered = (0..1_000)
        .filter(|_| world.send(me, &request).is_some())
        .count();
    assert_eq!(answered, 99);
    let padding = RawAttribute::new(0xffff.into(), &[0; 80]);
    let long = world.request(ALLOCATE, &[&udp(), &padding]).finish();
    let answer = world.send(me, &long).expect("no more bytes out than in");
    assert!(answer.0.len() <= long.len());
    let other = turn::Client {
        address: address("203.0.113.8:4000"),
        ..me
    };
    assert!(world.send(other, &request).is_some());
    world.now.mono += Duration::from_secs(1);
    let answered = (0..1_000)
        .filter(|_| world.send(me, &request).is_some())
        .count();
    assert_eq!(answered, 20);
    let stream = turn::Client {
        link: Link::Stream(1),
        ..me
    };
    let answered = (0..1_000)
        .filter(|_| world.send(stream, &request).is_some())
        .count();
    assert_eq!(
        answered, 1_000,
        "a handshake has shown that the source is real"
    );
}

#[test]
fn garbage_gets_silence() {
    let mut world = World::new(config());
    let me = client(4_000);
    let mut damaged = world.request(BINDING, &[]);
    damaged.add_fingerprint().unwrap();
    let mut damaged = damaged.finish();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(matches!(
        Message::from_bytes(&damaged),
        Err(StunParseError::FingerprintMismatch)
    ));
    for bytes in [
        &[][..],
        &[0],
        &[0; 20],
        b"GET / HTTP/1.1\r\n\r\n  ",
        &[0x40, 0, 0, 9, 1],
        &[0xff; 1_500],
        &damaged,
    ] {
        let (answers, out) = world.give(Input::FromClient {
            client: me,
            message: bytes,
        });
        assert!(answers.is_empty() && out.is_none());
    }
}

#[test]
fn no_answer_to_a_stranger_is_longer_than_what_was_asked_but_for_the_allowance() {
    let mut config = config();
    config.realm = "a.rather.long.realm.of.an.example".to_owned();
    let mut world = World::new(config);
    let me = client(4_000);
    let bare = world.request(ALLOCATE, &[&udp()]).finish();
    while world.send(me, &bare).is_some() {}
    let unknown = RawAttribute::new(0x7fff.into(), &[]);
    let user = Username::new("").unwrap();
    let foreign = Nonce::new("made up").unwrap();
    let realm = Realm::new("").unwrap();
    for method in [BINDING, ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND] {
        for len in (0..400).step_by(4) {
            let filling = vec![0; len];
            let filling = RawAttribute::new(0xffff.into(), &filling);
            let mut requests = vec![
                world.request(method, &[]),
                world.request(method, &[&filling]),
                world.request(method, &[&user, &filling]),
                world.request(method, &[&user, &unknown, &filling]),
                world.request(method, &[&user, &realm, &foreign, &filling]),
            ];
            let mut sealed = world.request(method, &[&user, &realm, &foreign, &filling]);
            let wrong = credentials(1);
            sealed
                .add_message_integrity(&wrong, IntegrityAlgorithm::Sha1)
                .unwrap();
            requests.push(sealed);
            for mut request in requests {
                if len % 8 == 0 {
                    request.add_fingerprint().unwrap();
                }
                let request = request.finish();
                if let Some(answer) = world.send(me, &request) {
                    assert!(answer.0.len() <= request.len(), "{method} with {len}");
                }
            }
        }
    }
}

#[test]
fn a_challenge_says_no_more_than_it_must() {
    let mut config = config();
    config.software = Some("offhook".to_owned());
    let mut world = World::new(config);
    let request = world.request(ALLOCATE, &[&udp()]).finish();
    let challenge = world.send(client(4_000), &request).unwrap();
    assert_eq!(challenge.code(), 401);
    assert!(!challenge.message().has_attribute(Software::TYPE));
    world.book.stale.insert(Holder(1));
    let refused = world.ask(client(4_000), 1, ALLOCATE, &[&udp()]);
    let message = refused.message();
    assert_eq!(refused.code(), 401);
    assert!(message.has_attribute(Nonce::TYPE) && !message.has_attribute(MessageIntegrity::TYPE));
}

#[test]
fn a_request_longer_than_any_is_garbage() {
    let mut world = World::new(config());
    let me = turn::Client {
        link: Link::Stream(1),
        ..client(4_000)
    };
    let filling = vec![0; 65_000];
    let filling = RawAttribute::new(0xffff.into(), &filling);
    let request = world.request(ALLOCATE, &[&udp(), &filling]);
    let request = seal(request, 1, "any", IntegrityAlgorithm::Sha1);
    assert!(world.send(me, &request).is_none());
    assert_eq!(world.hung, [me]);
}

#[test]
fn answers_that_are_no_longer_than_what_was_asked_are_limited_as_well() {
    let mut world = World::new(config());
    let padding = stun_types::attribute::RawAttribute::new(0xc000.into(), &[0; 100]);
    let request = world.request(ALLOCATE, &[&udp(), &padding]).finish();
    let answered = |world: &mut World| {
        (0..20_000)
            .filter(|_| world.send(client(4_000), &request).is_some())
            .count()
    };
    assert_eq!(answered(&mut world), 10_000);
    world.pass(1);
    assert_eq!(answered(&mut world), 2_000);
}
