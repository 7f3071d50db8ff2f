//! Data both ways, and what is counted of it.

use turn::{Holder, Input, Link, Tag};

use crate::client::{Out, World, address, client, config};

#[test]
fn channel_data_goes_to_the_peer_and_comes_back() {
    let mut world = World::new(config());
    let (me, peer) = (client(4_000), address("192.0.2.9:7000"));
    let relayed = world.allocate(me, 1);
    assert_eq!(world.bind(me, 1, 0x4001, peer), 0);
    assert_eq!(
        world.channel_data(me, 0x4001, b"hello"),
        Some(Out::Peer(peer, b"hello".to_vec()))
    );
    let back = world.peer_sends(relayed, peer, b"salut");
    assert_eq!(
        back,
        Some(Out::Client(me, b"\x40\x01\x00\x05salut".to_vec()))
    );
    // Another port of the same address has the permission and no channel.
    let other = address("192.0.2.9:7001");
    let Some(Out::Client(_, indication)) = world.peer_sends(relayed, other, b"salut") else {
        panic!("a Data indication");
    };
    let message = stun_types::message::Message::from_bytes(&indication).unwrap();
    let from = message
        .attribute::<turn_types::attribute::XorPeerAddress>()
        .unwrap();
    assert_eq!(from.addr(message.transaction_id()), other);
    let data = message.attribute::<turn_types::attribute::Data>().unwrap();
    assert_eq!(data.data(), b"salut");
    assert_eq!(
        world.peer_sends(relayed, address("192.0.2.10:7000"), b"x"),
        None
    );

    world.give(Input::Report);
    let used = world.book.used[&(Holder(1), Tag(9))];
    assert_eq!((used.sent.packets, used.sent.bytes), (1, 5));
    assert_eq!((used.received.packets, used.received.bytes), (2, 10));
}

#[test]
fn what_is_relayed_is_told_while_it_goes_on() {
    let mut world = World::new(config());
    let (me, peer) = (client(4_000), address("192.0.2.9:7000"));
    world.allocate(me, 1);
    assert_eq!(world.bind(me, 1, 0x4001, peer), 0);
    let (packets, bytes) = (1_000, 1_000);
    for _ in 0..packets {
        assert!(world.channel_data(me, 0x4001, &[7; 1_000]).is_some());
    }
    // All but what was lent last.
    let told = world.book.used[&(Holder(1), Tag(9))].sent.bytes;
    let lease = u64::from(turn::Bounds::default().lease);
    assert!(
        (packets * bytes - lease..packets * bytes).contains(&told),
        "{told}"
    );
    world.give(Input::Report);
    assert_eq!(
        world.book.used[&(Holder(1), Tag(9))].sent.bytes,
        packets * bytes
    );
}

#[test]
fn indications_carry_data_over_ipv6_as_well() {
    let mut world = World::new(config());
    let me = client(4_000);
    let family =
        turn_types::attribute::RequestedAddressFamily::new(stun_types::AddressFamily::IPV6);
    let transport = turn_types::attribute::RequestedTransport::new(17);
    let answer = world.ask(me, 1, turn_types::message::ALLOCATE, &[&transport, &family]);
    assert_eq!(answer.code(), 0);
    let relayed = crate::client::relayed(&answer);
    assert!(relayed.is_ipv6());
    let peer = address("[2001:db8:5::9]:7000");
    assert_eq!(world.permit(me, 1, peer), 0);
    assert_eq!(
        world.send_indication(me, peer, b"abc"),
        Some(Out::Peer(peer, b"abc".to_vec()))
    );
    let Some(Out::Client(_, indication)) = world.peer_sends(relayed, peer, b"abc") else {
        panic!("a Data indication");
    };
    let message = stun_types::message::Message::from_bytes(&indication).unwrap();
    let from = message
        .attribute::<turn_types::attribute::XorPeerAddress>()
        .unwrap();
    assert_eq!(from.addr(message.transaction_id()), peer);
    assert_eq!(world.permit(me, 1, address("192.0.2.9:7000")), 443);
}

#[test]
fn packets_between_two_relayed_addresses_stay_inside() {
    let mut world = World::new(config());
    let (ann, bob) = (client(4_000), client(4_001));
    let ann = turn::Client {
        link: Link::Stream(7),
        ..ann
    };
    let (of_ann, of_bob) = (world.allocate(ann, 1), world.allocate(bob, 2));
    assert_eq!(world.bind(ann, 1, 0x4001, of_bob), 0);
    assert_eq!(
        world.channel_data(ann, 0x4001, b"hello"),
        None,
        "bob has given no permission"
    );
    assert_eq!(world.bind(bob, 2, 0x4777, of_ann), 0);
    let arrived = world.channel_data(ann, 0x4001, b"hello");
    assert_eq!(
        arrived,
        Some(Out::Client(bob, b"\x47\x77\x00\x05hello".to_vec()))
    );
    let padded = world.channel_data(bob, 0x4777, b"hello");
    assert_eq!(
        padded,
        Some(Out::Client(ann, b"\x40\x01\x00\x05hello\0\0\0".to_vec()))
    );
}

#[test]
fn a_relayed_address_of_another_worker_is_named_with_its_server() {
    let mut config = config();
    config.share = turn::Share { index: 1, of: 3 };
    let mut world = World::new(config);
    let me = client(4_000);
    let mine = world.allocate(me, 1);
    assert_eq!(world.server.allocations(), 1);
    assert_eq!(turn::Share { index: 0, of: 3 }.owner(mine.port()), 1);
    let there = (50_000..=50_999).find(|port| port / 2 % 3 == 2).unwrap();
    let there = std::net::SocketAddr::new(mine.ip(), there);
    assert_eq!(world.bind(me, 1, 0x4001, there), 0);
    let sent = world.channel_data(me, 0x4001, b"hello");
    assert_eq!(sent, Some(Out::Sibling(2, mine, there, b"hello".to_vec())));
    let input = Input::FromSibling {
        from: there,
        to: mine,
        data: b"salut",
    };
    let came = world.give(input).1;
    assert_eq!(
        came,
        Some(Out::Client(me, b"\x40\x01\x00\x05salut".to_vec()))
    );
}

#[test]
fn permissions_last_five_minutes_and_channels_ten() {
    let mut world = World::new(config());
    let (me, peer) = (client(4_000), address("192.0.2.9:7000"));
    let relayed = world.allocate(me, 1);
    assert_eq!(world.bind(me, 1, 0x4001, peer), 0);
    world.pass(299);
    assert!(world.channel_data(me, 0x4001, b"x").is_some());
    world.pass(1);
    assert_eq!(world.channel_data(me, 0x4001, b"x"), None);
    assert_eq!(world.peer_sends(relayed, peer, b"x"), None);
    assert_eq!(world.permit(me, 1, peer), 0);
    assert!(
        world.channel_data(me, 0x4001, b"x").is_some(),
        "the channel is still there"
    );
    assert_eq!(world.refresh(me, 1, 3_600), 0);
    world.pass(299);
    assert_eq!(world.permit(me, 1, peer), 0);
    world.pass(2);
    assert_eq!(world.channel_data(me, 0x4001, b"x"), None);
    assert!(world.send_indication(me, peer, b"x").is_some());
}

#[test]
fn whoever_has_no_bytes_left_waits_and_others_do_not() {
    let mut world = World::new(config());
    world.book.bytes.insert(Holder(1), 10);
    let peer = address("192.0.2.9:7000");
    for (port, user) in [(4_000, 1), (4_001, 2)] {
        world.allocate(client(port), user);
        assert_eq!(world.bind(client(port), user, 0x4001, peer), 0);
    }
    assert!(world.channel_data(client(4_000), 0x4001, &[0; 8]).is_some());
    assert_eq!(world.channel_data(client(4_000), 0x4001, &[0; 8]), None);
    assert!(
        world
            .channel_data(client(4_001), 0x4001, &[0; 1_200])
            .is_some()
    );
}

#[test]
fn whoever_waits_for_bytes_does_not_ask_with_each_packet() {
    let mut world = World::new(config());
    let (me, peer) = (client(4_000), address("192.0.2.9:7000"));
    world.allocate(me, 1);
    assert_eq!(world.bind(me, 1, 0x4001, peer), 0);
    world.book.bytes.insert(Holder(1), 0);
    for _ in 0..1_000 {
        assert_eq!(world.channel_data(me, 0x4001, &[0; 100]), None);
    }
    assert_eq!(world.book.asked, 1);
    world.book.bytes.insert(Holder(1), 1_000);
    world.now.mono += std::time::Duration::from_millis(5);
    let passed = (0..1_000)
        .filter(|_| world.channel_data(me, 0x4001, &[0; 100]).is_some())
        .count();
    assert_eq!(passed, 10, "all that was lent, and no more");
    assert_eq!(world.book.asked, 3);
}

#[test]
fn a_relayed_address_behind_a_nat_is_reached_by_both_its_names() {
    let mut config = config();
    config.relays[0].local = "10.0.0.1".parse().unwrap();
    config.machine.push("10.0.0.1".parse().unwrap());
    let mut world = World::new(config);
    let (ann, bob) = (client(4_000), client(4_001));
    let (of_ann, of_bob) = (world.allocate(ann, 1), world.allocate(bob, 2));
    assert_eq!(of_bob.ip(), address("198.51.100.1:0").ip());
    let inside = std::net::SocketAddr::new("10.0.0.1".parse().unwrap(), of_bob.port());
    assert_eq!(world.permit(bob, 2, of_ann), 0);
    for name in [of_bob, inside] {
        assert_eq!(world.permit(ann, 1, name), 0);
        let Some(Out::Client(to, indication)) = world.send_indication(ann, name, b"x") else {
            panic!("{name} is bob's");
        };
        assert_eq!(to, bob);
        let message = stun_types::message::Message::from_bytes(&indication).unwrap();
        let from = message
            .attribute::<turn_types::attribute::XorPeerAddress>()
            .unwrap();
        assert_eq!(from.addr(message.transaction_id()), of_ann);
    }
    assert_eq!(world.refresh(bob, 2, 0), 0);
    for name in [of_bob, inside] {
        assert_eq!(world.send_indication(ann, name, b"x"), None);
    }
}

#[test]
fn data_of_every_length_comes_out_whole_and_padded_as_its_way_wants() {
    for link in [Link::Datagram(0), Link::Stream(5)] {
        let mut world = World::new(config());
        let (me, peer) = (
            turn::Client {
                link,
                ..client(4_000)
            },
            address("192.0.2.9:7000"),
        );
        let relayed = world.allocate(me, 1);
        assert_eq!(world.bind(me, 1, 0x4001, peer), 0);
        let other = address("192.0.2.9:7001");
        for len in (0..40).chain([1_199, 1_472, 65_484, 65_485, 65_507]) {
            let data: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let fits = len <= 65_484;
            let Some(Out::Client(_, bytes)) = world.peer_sends(relayed, peer, &data) else {
                assert!(!fits, "{len}");
                continue;
            };
            assert_eq!(bytes[2..4], (len as u16).to_be_bytes());
            assert_eq!(bytes[4..4 + len], data);
            let whole = match link {
                Link::Datagram(_) => 4 + len,
                Link::Stream(_) => 4 + len.next_multiple_of(4),
            };
            assert_eq!(bytes.len(), whole);
            let Some(Out::Client(_, bytes)) = world.peer_sends(relayed, other, &data) else {
                panic!("{len}");
            };
            let message = stun_types::message::Message::from_bytes(&bytes).unwrap();
            let read = message.attribute::<turn_types::attribute::Data>().unwrap();
            assert_eq!(read.data(), data);
            let sent = world.send_indication(me, peer, &data);
            assert_eq!(sent, Some(Out::Peer(peer, data)));
        }
    }
}
