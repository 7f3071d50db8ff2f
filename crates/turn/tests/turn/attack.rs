//! What somebody tries who should not get anywhere.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use turn::{Holder, Input, Network, PeerPolicy};
use turn_types::attribute::{RequestedAddressFamily, RequestedTransport};
use turn_types::message::ALLOCATE;

use crate::client::{Out, World, address, client, config};

/// Every forbidden kind, in every spelling.
const FORBIDDEN: [&str; 57] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:192.0.2.9",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "::192.0.2.9",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1",
    "64:ff9b:1:2::7f00:1",
    "2002:7f00:1::1",
    "2002:a00:1::",
    "2002:a9fe:a9fe::1",
    "2002:c0a8:1::1",
    // Teredo: the server is private; the client is, with every bit turned over.
    "2001:0:a00:1::1",
    "2001:0:c000:201:0:0:80ff:fffe",
    "2001:0:c000:201::f5ff:fffe",
    "2001:db8::5efe:10.0.0.1",
    "2001:db8::200:5efe:127.0.0.1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "ff02::1",
    "ff0e::1",
    "100::1",
    "fdff:ffff::1",
];

/// Neighbours of those that are nobody's business.
const PUBLIC: [&str; 16] = [
    "1.0.0.1",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.1.1",
    "172.15.1.1",
    "172.32.0.1",
    "192.0.2.9",
    "198.17.0.1",
    "223.255.255.254",
    "2001:db8:5::1",
    "64:ff9b::192.0.2.9",
    "2002:c000:209::1",
];

fn both_families(world: &mut World, port: u16, user: u64) {
    let both = turn_types::attribute::AdditionalAddressFamily::new(stun_types::AddressFamily::IPV6);
    let answer = world.ask(
        client(port),
        user,
        ALLOCATE,
        &[&RequestedTransport::new(17), &both],
    );
    assert_eq!(answer.code(), 0);
}

fn peer(text: &str) -> SocketAddr {
    SocketAddr::new(text.parse().unwrap(), 7_000)
}

#[test]
fn forbidden_addresses_are_reached_by_no_request_in_no_spelling() {
    let mut world = World::new(config());
    let me = client(4_000);
    both_families(&mut world, 4_000, 1);
    for text in FORBIDDEN {
        let peer = peer(text);
        assert_eq!(world.permit(me, 1, peer), 403, "{text}");
        assert_eq!(world.bind(me, 1, 0x4000, peer), 403, "{text}");
        assert_eq!(world.send_indication(me, peer, b"x"), None, "{text}");
        assert_eq!(world.channel_data(me, 0x4000, b"x"), None, "{text}");
        for (_, relayed) in world.sockets.clone() {
            assert_eq!(world.peer_sends(relayed, peer, b"x"), None, "{text}");
        }
    }
    for text in PUBLIC {
        assert_eq!(world.permit(me, 1, peer(text)), 0, "{text}");
        let out = world.send_indication(me, peer(text), b"x");
        assert_eq!(out, Some(Out::Peer(peer(text), b"x".to_vec())), "{text}");
    }
}

#[test]
fn what_the_operator_lists_may_be_reached_and_nothing_beside_it() {
    let allowed = ["10.1.0.0/16", "127.0.0.1", "fd00:1::/32"];
    let policy = PeerPolicy {
        allowed: allowed.iter().map(|text| text.parse().unwrap()).collect(),
    };
    let may = |text: &str| policy.check(text.parse().unwrap()).is_ok();
    for text in [
        "10.1.2.3",
        "127.0.0.1",
        "fd00:1:2::3",
        "64:ff9b::10.1.2.3",
        "2002:a01:203::1",
    ] {
        assert!(may(text), "{text}");
    }
    for text in [
        "10.2.0.1",
        "127.0.0.2",
        "fd00:2::1",
        "64:ff9b::10.2.0.1",
        "192.168.0.1",
    ] {
        assert!(!may(text), "{text}");
    }
}

#[test]
fn networks_are_read_and_what_is_none_is_said() {
    for (text, shown) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("fd00::/8", "fd00::/8"),
        ("::/0", "::/0"),
    ] {
        assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
    }
    for text in [
        "",
        "10.0.0.0/33",
        "::/129",
        "10.0.0/8",
        "10.0.0.0/+8",
        "10.0.0.0/",
        "host",
    ] {
        let fault = text.parse::<Network>().unwrap_err().to_string();
        assert!(fault.contains("10.1.0.0/16"), "{fault}");
    }
}

#[test]
fn our_own_addresses_are_reached_only_where_something_is_relayed() {
    let mut world = World::new(config());
    let (ann, bob) = (client(4_000), client(4_001));
    let (of_ann, of_bob) = (world.allocate(ann, 1), world.allocate(bob, 2));
    assert_eq!(world.permit(ann, 1, of_bob), 0);
    assert_eq!(world.permit(bob, 2, of_ann), 0);
    assert_eq!(
        world.permit(ann, 1, address("198.51.100.2:1")),
        403,
        "an address that relays nothing"
    );
    for port in [1, 22, 80, 3_478, 5_349, 8_080, 65_535] {
        let own = SocketAddr::new(of_ann.ip(), port);
        assert_eq!(world.send_indication(ann, own, b"x"), None, "{port}");
        assert_eq!(world.bind(ann, 1, 0x4000, own), 403, "{port}");
    }
    let unused = (50_000..)
        .find(|port| ![of_ann.port(), of_bob.port()].contains(port))
        .unwrap();
    let unused = SocketAddr::new(of_ann.ip(), unused);
    assert_eq!(
        world.bind(ann, 1, 0x4000, unused),
        0,
        "it may be relayed later"
    );
    assert_eq!(world.channel_data(ann, 0x4000, b"x"), None);
    assert!(matches!(
        world.send_indication(ann, of_bob, b"x"),
        Some(Out::Client(..))
    ));
}

#[test]
fn our_own_listeners_stay_closed_where_their_address_is_listed() {
    let mut config = config();
    config.peers.allowed = vec!["198.51.100.0/24".parse().unwrap()];
    config.listening.push(address("0.0.0.0:8080"));
    let mut world = World::new(config);
    let me = client(4_000);
    world.allocate(me, 1);
    for port in [3_478, 8_080] {
        let own = SocketAddr::new("198.51.100.1".parse().unwrap(), port);
        assert_eq!(world.permit(me, 1, own), 0, "permissions know no ports");
        assert_eq!(world.bind(me, 1, 0x4000, own), 403);
        assert_eq!(world.send_indication(me, own, b"x"), None);
    }
    let listed = address("198.51.100.1:9");
    assert_eq!(
        world.send_indication(me, listed, b"x"),
        Some(Out::Peer(listed, b"x".to_vec()))
    );
}

#[test]
fn a_credential_reaches_what_its_calls_named_and_nothing_after_them() {
    let mut world = World::new(config());
    let (me, named, other) = (
        client(4_000),
        address("192.0.2.9:7000"),
        address("192.0.2.10:7000"),
    );
    let reach: BTreeSet<IpAddr> = [named.ip()].into();
    world.book.reach.insert(Holder(1), reach);
    let relayed = world.allocate(me, 1);
    assert_eq!(world.permit(me, 1, other), 403);
    assert_eq!(world.bind(me, 1, 0x4000, other), 403);
    assert_eq!(world.bind(me, 1, 0x4000, named), 0);
    assert!(world.channel_data(me, 0x4000, b"x").is_some());
    world.book.reach.insert(Holder(1), BTreeSet::new());
    world.give(Input::Recheck { holder: Holder(1) });
    assert_eq!(world.channel_data(me, 0x4000, b"x"), None);
    assert_eq!(world.send_indication(me, named, b"x"), None);
    assert_eq!(world.peer_sends(relayed, named, b"x"), None);
    assert_eq!(world.bind(me, 1, 0x4000, named), 403);
    assert_eq!(world.permit(me, 1, named), 403);
    let used = world.book.used[&(Holder(1), turn::Tag(9))];
    assert_eq!(
        used.sent.packets, 1,
        "what was relayed is told with the withdrawal"
    );
}

#[test]
fn the_allocations_of_a_holder_that_may_not_stay_end_with_its_recheck() {
    let mut world = World::new(config());
    world.allocate(client(4_000), 1);
    world.allocate(client(4_001), 2);
    world.book.banned.insert(Holder(1));
    world.give(Input::Recheck { holder: Holder(1) });
    assert_eq!((world.server.allocations(), world.sockets.len()), (1, 1));
    assert_eq!(world.book.allocations[&Holder(1)], 0);
}

#[test]
fn another_clients_packets_do_not_pass_for_mine() {
    let mut world = World::new(config());
    let (me, thief, peer) = (client(4_000), client(4_001), address("192.0.2.9:7000"));
    world.allocate(me, 1);
    assert_eq!(world.bind(me, 1, 0x4000, peer), 0);
    assert_eq!(world.channel_data(thief, 0x4000, b"x"), None);
    assert_eq!(world.send_indication(thief, peer, b"x"), None);
    let same_port_other_socket = turn::Client {
        link: turn::Link::Datagram(1),
        ..me
    };
    assert_eq!(
        world.channel_data(same_port_other_socket, 0x4000, b"x"),
        None
    );
}

#[test]
fn port_zero_is_no_peer() {
    let mut world = World::new(config());
    let me = client(4_000);
    world.allocate(me, 1);
    let nowhere = address("192.0.2.9:0");
    assert_eq!(world.bind(me, 1, 0x4000, nowhere), 403);
    assert_eq!(world.permit(me, 1, nowhere), 0);
    assert_eq!(world.send_indication(me, nowhere, b"x"), None);
}

#[test]
fn an_ipv6_relay_is_no_way_round_the_policy_for_ipv4() {
    let mut world = World::new(config());
    let me = client(4_000);
    let v6 = RequestedAddressFamily::new(stun_types::AddressFamily::IPV6);
    let answer = world.ask(me, 1, ALLOCATE, &[&RequestedTransport::new(17), &v6]);
    assert_eq!(answer.code(), 0);
    for text in FORBIDDEN.iter().filter(|text| text.contains(':')) {
        assert_eq!(world.permit(me, 1, peer(text)), 403, "{text}");
    }
    assert_eq!(world.permit(me, 1, peer("192.0.2.9")), 443);
}

#[test]
fn no_spelling_of_our_own_addresses_leads_to_us() {
    let mut config = config();
    config.relays[0].local = "10.0.0.1".parse().unwrap();
    config.listening = vec![address("10.0.0.1:3478")];
    config.machine.push("10.0.0.1".parse().unwrap());
    let mut world = World::new(config.clone());
    let me = client(4_000);
    both_families(&mut world, 4_000, 1);
    // 198.51.100.1 as translators, 6to4, Teredo and ISATAP spell it, and another address of ours.
    let spellings = [
        "64:ff9b::198.51.100.1",
        "64:ff9b::198.51.100.2",
        "2002:c633:6401::1",
        "2001:0:c000:201:0:0:39cc:9bfe",
        "2001:db8:7::200:5efe:198.51.100.1",
        "::ffff:198.51.100.1",
        "198.51.100.2",
    ];
    for text in spellings {
        assert_eq!(world.permit(me, 1, peer(text)), 403, "{text}");
        assert_eq!(world.bind(me, 1, 0x4000, peer(text)), 403, "{text}");
        assert_eq!(world.send_indication(me, peer(text), b"x"), None, "{text}");
    }
    // Where the operator lists all of them, what listens stays closed, by whatever address a NAT has for it.
    config.peers.allowed = ["0.0.0.0/0", "::/0"]
        .map(|text| text.parse().unwrap())
        .to_vec();
    let mut world = World::new(config);
    both_families(&mut world, 4_000, 1);
    for text in spellings.into_iter().chain(["198.51.100.1", "10.0.0.1"]) {
        let listener = SocketAddr::new(text.parse().unwrap(), 3_478);
        assert_eq!(world.permit(me, 1, listener), 0, "{text}");
        assert_eq!(world.bind(me, 1, 0x4000, listener), 403, "{text}");
        assert_eq!(world.send_indication(me, listener, b"x"), None, "{text}");
    }
}

#[test]
fn from_relay_to_relay_nothing_goes_without_both_permissions_or_after_them() {
    let mut world = World::new(config());
    let (ann, bob) = (client(4_000), client(4_001));
    let (of_ann, of_bob) = (world.allocate(ann, 1), world.allocate(bob, 2));
    assert_eq!(world.send_indication(ann, of_bob, b"x"), None);
    assert_eq!(world.permit(ann, 1, of_bob), 0);
    assert_eq!(
        world.send_indication(ann, of_bob, b"x"),
        None,
        "one is not enough"
    );
    assert_eq!(
        world.send_indication(bob, of_ann, b"x"),
        None,
        "nor is the other's"
    );
    assert_eq!(world.permit(bob, 2, of_ann), 0);
    assert!(world.send_indication(ann, of_bob, b"x").is_some());
    world.pass(299);
    assert_eq!(world.permit(ann, 1, of_bob), 0);
    world.pass(1);
    assert_eq!(
        world.send_indication(ann, of_bob, b"x"),
        None,
        "bob's is over"
    );
    assert_eq!(world.permit(bob, 2, of_ann), 0);
    assert!(world.send_indication(ann, of_bob, b"x").is_some());
    assert_eq!(world.refresh(bob, 2, 0), 0);
    assert_eq!(
        world.send_indication(ann, of_bob, b"x"),
        None,
        "bob is gone"
    );
    world.give(Input::Report);
    let sent = world.book.used[&(Holder(1), turn::Tag(9))].sent;
    assert_eq!(
        sent.packets, 4,
        "what she might send, whether he wanted it or not"
    );
}

#[test]
fn nothing_passes_after_the_time_of_an_allocation_though_no_timer_has_fired() {
    let mut world = World::new(config());
    let (me, peer) = (client(4_000), address("192.0.2.9:7000"));
    let relayed = world.allocate(me, 1);
    world.pass(599);
    assert_eq!(world.bind(me, 1, 0x4000, peer), 0);
    assert!(world.channel_data(me, 0x4000, b"x").is_some());
    world.now.mono += std::time::Duration::from_secs(1);
    assert_eq!(world.channel_data(me, 0x4000, b"x"), None);
    assert_eq!(world.peer_sends(relayed, peer, b"x"), None);
}

#[test]
fn damaged_indications_carry_nothing() {
    use stun_types::attribute::{AttributeWrite, RawAttribute};
    use stun_types::message::{
        Message, MessageClass, MessageType, MessageWrite as _, MessageWriteExt as _,
        MessageWriteVec,
    };
    use turn_types::attribute::{Data, DontFragment, XorPeerAddress};

    let mut world = World::new(config());
    let (me, to) = (client(4_000), address("192.0.2.9:7000"));
    world.allocate(me, 1);
    assert_eq!(world.permit(me, 1, to), 0);
    let kind = MessageType::from_class_method(MessageClass::Indication, turn_types::message::SEND);
    let (address, other) = (
        XorPeerAddress::new(to, 1.into()),
        XorPeerAddress::new(peer("192.0.2.10"), 1.into()),
    );
    let (data, unknown) = (Data::new(b"hello"), RawAttribute::new(0x7fff.into(), &[]));
    let optional = RawAttribute::new(0xffff.into(), b"abc");
    let short = RawAttribute::new(0x0012.into(), &[0, 1, 2]);
    let attributes: [(&[&dyn AttributeWrite], bool); 9] = [
        (&[&address, &data], true),
        (&[&optional, &address, &DontFragment::new(), &data], true),
        // The first of a kind counts, and who that is has no permission in the second case.
        (&[&address, &other, &data], true),
        (&[&other, &address, &data], false),
        (&[&address], false),
        (&[&data], false),
        (&[&address, &unknown, &data], false),
        (&[&short, &data], false),
        (&[], false),
    ];
    for (attributes, passes) in attributes {
        let mut message = Message::builder(kind, 1.into(), MessageWriteVec::new());
        for attribute in attributes {
            message.add_attribute(*attribute).unwrap();
        }
        message.add_fingerprint().unwrap();
        let message = message.finish();
        let mut give = |message: &[u8]| {
            let input = Input::FromClient {
                client: me,
                message,
            };
            world.give(input).1
        };
        let expected = passes.then(|| Out::Peer(to, b"hello".to_vec()));
        assert_eq!(give(&message), expected);
        for len in 0..message.len() {
            assert_eq!(give(&message[..len]), None, "cut to {len}");
        }
        // Another kind than FINGERPRINT would be one that need not be understood.
        let kind_of_fingerprint = message.len() - 8..message.len() - 6;
        for at in (0..message.len()).filter(|at| !kind_of_fingerprint.contains(at)) {
            let mut damaged = message.clone();
            damaged[at] ^= 0x11;
            assert_eq!(give(&damaged), None, "byte {at}");
        }
    }
}
