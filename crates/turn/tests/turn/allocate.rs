//! Allocate by its rules: RFC 8656 §7, RFC 6156.

use stun_types::AddressFamily;
use stun_types::attribute::{AttributeStaticType as _, RawAttribute};
use stun_types::message::{IntegrityAlgorithm, Message, MessageWriteExt, MessageWriteVec};
use turn::Holder;
use turn_types::attribute::{
    AdditionalAddressFamily, AddressErrorCode, DontFragment, EvenPort, Lifetime,
    RequestedAddressFamily, RequestedTransport, ReservationToken, XorRelayedAddress,
};
use turn_types::message::{ALLOCATE, REFRESH};

use crate::client::{World, address, client, config, relayed, seal};

fn udp() -> RequestedTransport {
    RequestedTransport::new(17)
}

#[test]
fn a_retransmission_gets_the_same_address_and_another_request_437() {
    let mut world = World::new(config());
    let me = client(4_000);
    let nonce = world.nonce(me);
    let request = world.request(ALLOCATE, &[&udp()]);
    let request = seal(request, 1, &nonce, IntegrityAlgorithm::Sha1);
    let first = world.send(me, &request).unwrap();
    world.pass(3);
    let second = world.send(me, &request).unwrap();
    assert_eq!(relayed(&first), relayed(&second));
    assert_eq!(world.server.allocations(), 1);
    assert_eq!(world.ask(me, 1, ALLOCATE, &[&udp()]).code(), 437);
}

#[test]
fn what_may_not_stand_together_is_refused() {
    let mut world = World::new(config());
    let me = client(4_000);
    let v6 = RequestedAddressFamily::new(AddressFamily::IPV6);
    let both = AdditionalAddressFamily::new(AddressFamily::IPV6);
    let (token, pair) = (ReservationToken::new(1), EvenPort::new(true));
    let v4_beside = RawAttribute::new(AdditionalAddressFamily::TYPE, &[1, 0, 0, 0]);
    for (attributes, code) in [
        (vec![], 400),
        (
            vec![&RequestedTransport::new(6) as &dyn stun_types::attribute::AttributeWrite],
            442,
        ),
        (vec![&udp(), &token, &pair], 400),
        (vec![&udp(), &token, &v6], 400),
        (vec![&udp(), &both, &v6], 400),
        (vec![&udp(), &both, &pair], 400),
        (vec![&udp(), &v4_beside], 400),
        (vec![&udp(), &token], 508),
        (vec![&udp(), &DontFragment::new()], 0),
    ] {
        assert_eq!(
            world.ask(me, 1, ALLOCATE, &attributes).code(),
            code,
            "{code}"
        );
    }
    assert_eq!(world.book.allocations[&Holder(1)], 1);
}

#[test]
fn a_family_that_is_not_there_is_440() {
    let mut config = config();
    config.relays.truncate(1);
    let mut world = World::new(config);
    let v6 = RequestedAddressFamily::new(AddressFamily::IPV6);
    assert_eq!(
        world.ask(client(4_000), 1, ALLOCATE, &[&udp(), &v6]).code(),
        440
    );
    let both = AdditionalAddressFamily::new(AddressFamily::IPV6);
    let answer = world.ask(client(4_000), 1, ALLOCATE, &[&udp(), &both]);
    assert_eq!(answer.code(), 0, "the one that there is");
    let missing = answer.message().attribute::<AddressErrorCode>().unwrap();
    assert_eq!(
        (missing.family(), missing.error().code()),
        (AddressFamily::IPV6, 440)
    );
}

#[test]
fn both_families_in_one_allocation() {
    let mut world = World::new(config());
    let me = client(4_000);
    let both = AdditionalAddressFamily::new(AddressFamily::IPV6);
    let answer = world.ask(me, 1, ALLOCATE, &[&udp(), &both]);
    let message = answer.message();
    let families: Vec<bool> = (0..2)
        .map(|nth| message.nth_attribute::<XorRelayedAddress>(nth).unwrap())
        .map(|relayed| relayed.addr(message.transaction_id()).is_ipv6())
        .collect();
    assert_eq!(families, [false, true]);
    assert_eq!(world.sockets.len(), 2);
    assert_eq!(world.permit(me, 1, address("192.0.2.9:1")), 0);
    assert_eq!(world.permit(me, 1, address("[2001:db8:5::1]:1")), 0);
    // One of them goes alone, the other with the allocation.
    let v6 = RequestedAddressFamily::new(AddressFamily::IPV6);
    assert_eq!(
        world.ask(me, 1, REFRESH, &[&Lifetime::new(0), &v6]).code(),
        0
    );
    assert_eq!(world.sockets.len(), 1);
    assert_eq!(world.permit(me, 1, address("[2001:db8:5::1]:1")), 443);
    assert_eq!(world.ask(me, 1, REFRESH, &[&v6]).code(), 443);
    assert_eq!(world.refresh(me, 1, 0), 0);
    assert!(world.sockets.is_empty());
}

#[test]
fn a_pair_of_ports_and_the_token_for_the_second() {
    let mut world = World::new(config());
    let answer = world.ask(client(4_000), 1, ALLOCATE, &[&udp(), &EvenPort::new(true)]);
    let even = relayed(&answer);
    assert_eq!(even.port() % 2, 0);
    let token = answer
        .message()
        .attribute::<ReservationToken>()
        .unwrap()
        .token();
    assert_eq!(world.sockets.len(), 2);
    world.pass(29);
    let answer = world.ask(
        client(4_001),
        2,
        ALLOCATE,
        &[&udp(), &ReservationToken::new(token)],
    );
    assert_eq!(relayed(&answer).port(), even.port() + 1);
    let again = world.ask(
        client(4_002),
        2,
        ALLOCATE,
        &[&udp(), &ReservationToken::new(token)],
    );
    assert_eq!(again.code(), 508, "a token is good once");
    let answer = world.ask(client(4_003), 1, ALLOCATE, &[&udp(), &EvenPort::new(true)]);
    let token = answer
        .message()
        .attribute::<ReservationToken>()
        .unwrap()
        .token();
    assert_eq!(world.sockets.len(), 4);
    world.pass(30);
    assert_eq!(world.sockets.len(), 3);
    let late = world.ask(
        client(4_004),
        1,
        ALLOCATE,
        &[&udp(), &ReservationToken::new(token)],
    );
    assert_eq!(late.code(), 508);
    let even = world.ask(client(4_005), 1, ALLOCATE, &[&udp(), &EvenPort::new(false)]);
    assert_eq!(relayed(&even).port() % 2, 0);
    assert!(!even.message().has_attribute(ReservationToken::TYPE));
}

#[test]
fn ports_that_the_system_does_not_give_are_tried_elsewhere_and_then_508() {
    let mut world = World::new(config());
    world.refuse_opens = 31;
    world.allocate(client(4_000), 1);
    world.refuse_opens = 32;
    assert_eq!(world.ask(client(4_001), 1, ALLOCATE, &[&udp()]).code(), 508);
    world.refuse_opens = 1;
    let answer = world.ask(client(4_001), 1, ALLOCATE, &[&udp(), &EvenPort::new(true)]);
    assert_eq!(answer.code(), 0);
    assert_eq!(world.sockets.len(), 3);
    assert_eq!(world.book.allocations[&Holder(1)], 3);
}

#[test]
fn every_port_of_the_range_can_be_had_and_one_more_is_508() {
    let mut config = config();
    config.ports = 50_000..=50_009;
    let mut world = World::new(config);
    for port in 0..10 {
        world.allocate(client(4_000 + port), 1);
    }
    assert_eq!(world.ask(client(5_000), 1, ALLOCATE, &[&udp()]).code(), 508);
    assert_eq!(world.refresh(client(4_003), 1, 0), 0);
    world.allocate(client(5_000), 1);
    assert_eq!(world.book.allocations[&Holder(1)], 10);
}

#[test]
fn quotas_are_486_and_old_credentials_make_nothing_new() {
    let mut world = World::new(config());
    world.book.room = Some(1);
    world.allocate(client(4_000), 1);
    assert_eq!(world.ask(client(4_001), 1, ALLOCATE, &[&udp()]).code(), 486);
    world.allocate(client(4_002), 2);
    world.book.room = None;
    world.book.stale.insert(Holder(1));
    assert_eq!(world.ask(client(4_001), 1, ALLOCATE, &[&udp()]).code(), 401);
    assert_eq!(
        world.refresh(client(4_000), 1, 600),
        0,
        "what stands is kept"
    );
    world.book.banned.insert(Holder(1));
    assert_eq!(world.refresh(client(4_000), 1, 600), 403);
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn of_two_families_either_may_be_missing() {
    let both = AdditionalAddressFamily::new(AddressFamily::IPV6);
    let mut config = config();
    config.relays.remove(0);
    let mut world = World::new(config);
    let me = client(4_000);
    let nonce = world.nonce(me);
    let request = world.request(ALLOCATE, &[&udp(), &both]);
    let request = seal(request, 1, &nonce, IntegrityAlgorithm::Sha1);
    // The answer to a retransmission says so as well.
    for _ in 0..2 {
        let answer = world.send(me, &request).unwrap();
        assert_eq!(answer.code(), 0);
        assert!(relayed(&answer).is_ipv6());
        let missing = answer.message().attribute::<AddressErrorCode>().unwrap();
        assert_eq!(
            (missing.family(), missing.error().code()),
            (AddressFamily::IPV4, 440)
        );
    }
}

#[test]
fn a_family_whose_ports_do_not_open_is_left_out() {
    let mut world = World::new(config());
    let both = AdditionalAddressFamily::new(AddressFamily::IPV6);
    world.refuse_opens_of_v6 = true;
    let answer = world.ask(client(4_000), 1, ALLOCATE, &[&udp(), &both]);
    assert_eq!(answer.code(), 0);
    assert!(relayed(&answer).is_ipv4());
    let missing = answer.message().attribute::<AddressErrorCode>().unwrap();
    assert_eq!(
        (missing.family(), missing.error().code()),
        (AddressFamily::IPV6, 508)
    );
    assert_eq!(world.sockets.len(), 1);
    let v6 = RequestedAddressFamily::new(AddressFamily::IPV6);
    let answer = world.ask(client(4_001), 1, ALLOCATE, &[&udp(), &v6]);
    assert_eq!(answer.code(), 508);
    assert_eq!(world.book.allocations[&Holder(1)], 1);
}

#[test]
fn ports_that_are_set_aside_count_like_allocations_until_they_are_given_back() {
    let mut world = World::new(config());
    world.book.room = Some(3);
    let me = client(4_000);
    let pair = EvenPort::new(true);
    for held in 1..=2 {
        assert_eq!(world.ask(me, 1, ALLOCATE, &[&udp(), &pair]).code(), 0);
        assert_eq!(world.refresh(me, 1, 0), 0);
        assert_eq!(world.book.allocations[&Holder(1)], held);
    }
    assert_eq!(world.ask(me, 1, ALLOCATE, &[&udp(), &pair]).code(), 486);
    assert_eq!(world.book.allocations[&Holder(1)], 2, "nothing half done");
    assert_eq!(world.sockets.len(), 2);
    // Another holder has its own.
    let other = world.ask(client(4_001), 2, ALLOCATE, &[&udp(), &pair]);
    assert_eq!(other.code(), 0);
    // Whoever shows the token has the port as an allocation, and no more as a reservation.
    let token = other.message().attribute::<ReservationToken>().unwrap();
    let token = ReservationToken::new(token.token());
    let half = world.ask(client(4_002), 2, ALLOCATE, &[&udp(), &token]);
    assert_eq!(half.code(), 0);
    assert_eq!(world.book.allocations[&Holder(2)], 2);
    world.pass(30);
    assert_eq!(world.book.allocations[&Holder(1)], 0);
    assert_eq!(world.ask(me, 1, ALLOCATE, &[&udp(), &pair]).code(), 0);
}

#[test]
fn a_retransmission_by_somebody_else_is_none() {
    let mut world = World::new(config());
    let me = client(4_000);
    let nonce = world.nonce(me);
    let request = world.request(ALLOCATE, &[&udp()]);
    let other = world.request(ALLOCATE, &[&udp()]);
    let transaction = request.transaction_id();
    let request = seal(request, 1, &nonce, IntegrityAlgorithm::Sha1);
    assert_eq!(world.send(me, &request).unwrap().code(), 0);
    let mut again = Message::builder(other.get_type(), transaction, MessageWriteVec::new());
    again.add_attribute(&udp()).unwrap();
    let again = seal(again, 2, &nonce, IntegrityAlgorithm::Sha1);
    assert_eq!(world.send(me, &again).unwrap().code(), 437);
}

#[test]
fn an_idle_allocation_takes_less_than_four_kibibytes() {
    let mut config = config();
    config.ports = 10_000..=60_000;
    config.bounds.answers_burst = u32::MAX / 1_000;
    let mut world = World::new(config);
    let empty = world.server.allocation_bytes();
    let both = AdditionalAddressFamily::new(AddressFamily::IPV6);
    let count = 2_100;
    for port in 1..=count {
        let me = client(port);
        let answer = world.ask(me, port.into(), ALLOCATE, &[&udp(), &both]);
        assert_eq!(answer.code(), 0);
        assert_eq!(
            world.bind(me, port.into(), 0x4000, address("192.0.2.9:1")),
            0
        );
    }
    let each = (world.server.allocation_bytes() - empty) / usize::from(count);
    assert!(each < 2_048, "{each} bytes");
    for port in 1..=count {
        assert_eq!(world.refresh(client(port), port.into(), 0), 0);
    }
    assert_eq!(world.server.allocations(), 0);
}
