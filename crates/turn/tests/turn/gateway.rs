//! A media gateway on our own machine: reached by whom the authority lets, at its one address, and nothing beside it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use turn::{Config, Gateway, Holder, Input, Share};

use crate::client::{Out, World, address, client, config};

/// At the address that we relay from, as on most machines.
const BESIDE: &str = "198.51.100.1:3479";
const CALLER: Holder = Holder(1);

fn gateway(public: &str, local: &str) -> Gateway {
    Gateway {
        public: address(public),
        local: address(local),
    }
}

fn with(public: &str, local: &str) -> Config {
    Config {
        gateways: vec![gateway(public, local)],
        ..config()
    }
}

/// With one client, that has an allocation, and reaches these.
fn reaching(config: Config, reach: &[SocketAddr]) -> (World, SocketAddr) {
    let mut world = World::new(config);
    let reach: BTreeSet<_> = reach.iter().map(SocketAddr::ip).collect();
    world.book.reach.insert(CALLER, reach);
    let relayed = world.allocate(client(4_000), 1);
    (world, relayed)
}

fn assert_closed(world: &mut World, peers: impl IntoIterator<Item = SocketAddr>) {
    let me = client(4_000);
    for peer in peers {
        assert_eq!(world.bind(me, 1, 0x4000, peer), 403, "{peer}");
        let dropped = world.dropped;
        assert_eq!(world.send_indication(me, peer, b"x"), None, "{peer}");
        assert_eq!(world.channel_data(me, 0x4000, b"x"), None, "{peer}");
        assert_eq!(world.dropped, dropped + 2, "{peer}");
    }
}

/// What else there is at the address of the gateway, and at that of its socket.
fn other_ports(gateway: &Gateway) -> Vec<SocketAddr> {
    let own = [gateway.public.port(), gateway.local.port()];
    let ports = [0, 1, 22, 80, 443, 3_478, 5_060, 5_349, 8_080, 20_000];
    let beside = own.map(|port| port + 1);
    let mut all = Vec::new();
    for ip in [gateway.public.ip(), gateway.local.ip()] {
        let every = ports.iter().chain(&beside).chain(&own);
        all.extend(every.map(|port| SocketAddr::new(ip, *port)));
    }
    all.retain(|peer| *peer != gateway.public);
    all
}

/// The gateways of a machine with a public address (one beside the relays, one at an address that relays nothing), of
/// loopback, of a private network, of IPv6, and of both kinds of machines behind a NAT.
const GATEWAYS: [(&str, &str); 6] = [
    (BESIDE, BESIDE),
    ("198.51.100.2:3479", "198.51.100.2:3479"),
    ("127.0.0.1:40000", "127.0.0.1:40000"),
    ("10.1.2.3:3479", "10.1.2.3:3479"),
    ("198.51.100.1:3479", "10.0.0.1:3479"),
    ("203.0.113.99:3479", "10.0.0.2:3480"),
];

#[test]
fn a_gateway_is_reached_by_all_requests_and_answers() {
    for (public, local) in GATEWAYS {
        let (mut world, relayed) = reaching(with(public, local), &[address(public)]);
        let (me, public, local) = (client(4_000), address(public), address(local));
        assert_eq!(world.permit(me, 1, public), 0, "{public}");
        let sent = world.send_indication(me, public, b"hello");
        assert_eq!(sent, Some(Out::Peer(local, b"hello".to_vec())), "{public}");
        let Some(Out::Client(_, indication)) = world.peer_sends(relayed, local, b"salut") else {
            panic!("a Data indication from {public}");
        };
        let message = stun_types::message::Message::from_bytes(&indication).unwrap();
        let from = message
            .attribute::<turn_types::attribute::XorPeerAddress>()
            .unwrap();
        assert_eq!(from.addr(message.transaction_id()), public);

        assert_eq!(world.bind(me, 1, 0x4000, public), 0, "{public}");
        let sent = world.channel_data(me, 0x4000, b"hello");
        assert_eq!(sent, Some(Out::Peer(local, b"hello".to_vec())), "{public}");
        let back = world.peer_sends(relayed, local, b"salut");
        let data = b"\x40\x00\x00\x05salut".to_vec();
        assert_eq!(back, Some(Out::Client(me, data)), "{public}");
        world.give(Input::Report);
        let used = world.book.used[&(CALLER, turn::Tag(9))];
        assert_eq!((used.sent.packets, used.received.packets), (2, 2));
    }
}

#[test]
fn a_gateway_of_ipv6_is_reached() {
    let there = "[2001:db8::1]:3479";
    let mut world = World::new(with(there, there));
    let (me, there) = (client(4_000), address(there));
    let family =
        turn_types::attribute::RequestedAddressFamily::new(stun_types::AddressFamily::IPV6);
    let transport = turn_types::attribute::RequestedTransport::new(17);
    let answer = world.ask(me, 1, turn_types::message::ALLOCATE, &[&transport, &family]);
    assert_eq!(answer.code(), 0);
    assert_eq!(world.bind(me, 1, 0x4000, there), 0);
    let sent = world.channel_data(me, 0x4000, b"x");
    assert_eq!(sent, Some(Out::Peer(there, b"x".to_vec())));
}

#[test]
fn whoever_may_not_reach_its_address_is_refused() {
    for (public, local) in GATEWAYS {
        let (mut world, relayed) = reaching(with(public, local), &[]);
        let (me, there, socket) = (client(4_000), address(public), address(local));
        // Among our relays, that address may be permitted: for what is relayed there, and nothing else.
        let is_relay = there.ip() == relayed.ip();
        let expected = if is_relay { 0 } else { 403 };
        assert_eq!(world.permit(me, 1, there), expected, "{public}");
        assert_closed(&mut world, [there, socket]);
        if !is_relay {
            assert_eq!(world.peer_sends(relayed, socket, b"x"), None, "{public}");
        }
    }
}

#[test]
fn whoever_reaches_anybody_does_not_reach_a_gateway_by_that() {
    for (public, local) in GATEWAYS {
        let (mut world, relayed) = reaching(with(public, local), &[address(public)]);
        world.book.outsiders.insert(CALLER);
        let (me, there) = (client(4_000), address(public));
        let is_relay = there.ip() == relayed.ip();
        let expected = if is_relay { 0 } else { 403 };
        assert_eq!(world.permit(me, 1, there), expected, "{public}");
        assert_closed(&mut world, [there, address(local)]);
    }
}

#[test]
fn an_exception_for_its_network_does_not_lead_to_it() {
    for (public, local) in GATEWAYS {
        let mut config = with(public, local);
        let ip = config.gateways[0].public.ip();
        config.peers.allowed = vec![turn::Network {
            address: ip,
            prefix: 32,
        }];
        let (mut world, _) = reaching(config, &[address(public)]);
        world.book.outsiders.insert(CALLER);
        let (me, other) = (client(4_000), SocketAddr::new(ip, 9));
        assert_eq!(world.bind(me, 1, 0x4001, other), 0, "{other}");
        assert!(world.channel_data(me, 0x4001, b"x").is_some(), "{other}");
        assert_closed(&mut world, [address(public), address(local)]);
        world.book.outsiders.remove(&CALLER);
        assert_eq!(world.bind(me, 1, 0x4002, address(public)), 0, "{public}");
        let sent = world.channel_data(me, 0x4002, b"x");
        assert!(matches!(sent, Some(Out::Peer(..))), "{public}: {sent:?}");
    }
}

#[test]
fn no_other_port_of_its_addresses_is_reached() {
    for (public, local) in GATEWAYS {
        let mut config = with(public, local);
        config.listening.push(address("0.0.0.0:8080"));
        let gateway = config.gateways[0];
        let (mut world, _) = reaching(config, &[gateway.public, gateway.local]);
        let me = client(4_000);
        assert_eq!(world.permit(me, 1, gateway.public), 0, "{public}");
        assert_closed(&mut world, other_ports(&gateway));
        let sent = world.send_indication(me, gateway.public, b"x");
        assert_eq!(sent, Some(Out::Peer(gateway.local, b"x".to_vec())));
    }
}

#[test]
fn the_address_behind_a_nat_is_no_name_of_it() {
    let (mut world, relayed) = reaching(
        with(BESIDE, "10.0.0.1:3479"),
        &[address(BESIDE), address("10.0.0.1:0")],
    );
    let me = client(4_000);
    assert_eq!(world.permit(me, 1, address(BESIDE)), 0);
    assert_eq!(world.permit(me, 1, address("10.0.0.1:3479")), 403);
    assert_closed(&mut world, [address("10.0.0.1:3479")]);
    // Nor does anything else there pass for the gateway.
    let dropped = world.dropped;
    let other = address("10.0.0.1:3480");
    assert_eq!(world.peer_sends(relayed, other, b"x"), None);
    assert_eq!(world.dropped, dropped + 1);
}

#[test]
fn no_spelling_of_its_address_leads_to_it() {
    let (mut world, _) = reaching(with(BESIDE, BESIDE), &[]);
    world.book.reach.remove(&CALLER);
    let me = client(4_001);
    let both = turn_types::attribute::AdditionalAddressFamily::new(stun_types::AddressFamily::IPV6);
    let transport = turn_types::attribute::RequestedTransport::new(17);
    let answer = world.ask(me, 1, turn_types::message::ALLOCATE, &[&transport, &both]);
    assert_eq!(answer.code(), 0);
    for text in [
        "[::ffff:198.51.100.1]:3479",
        "[64:ff9b::198.51.100.1]:3479",
        "[2002:c633:6401::1]:3479",
    ] {
        let peer = address(text);
        assert_eq!(world.permit(me, 1, peer), 403, "{text}");
        assert_eq!(world.bind(me, 1, 0x4000, peer), 403, "{text}");
        assert_eq!(world.send_indication(me, peer, b"x"), None, "{text}");
    }
}

#[test]
fn what_was_granted_ends_with_the_call() {
    let (mut world, relayed) = reaching(with(BESIDE, BESIDE), &[address(BESIDE)]);
    let (me, there) = (client(4_000), address(BESIDE));
    assert_eq!(world.bind(me, 1, 0x4000, there), 0);
    assert!(world.channel_data(me, 0x4000, b"x").is_some());
    world.give(Input::Recheck { holder: CALLER });
    assert!(
        world.channel_data(me, 0x4000, b"x").is_some(),
        "still in the call"
    );
    world.book.reach.insert(CALLER, BTreeSet::new());
    world.give(Input::Recheck { holder: CALLER });
    assert_eq!(world.channel_data(me, 0x4000, b"x"), None);
    assert_closed(&mut world, [there]);
    // Relayed addresses are reached as before.
    let other = world.allocate(client(4_001), 2);
    assert_eq!(world.permit(client(4_001), 2, relayed), 0);
    let sent = world.send_indication(me, other, b"x");
    assert!(matches!(sent, Some(Out::Client(..))), "{sent:?}");

    let away = "10.1.2.3:3479";
    let (mut world, relayed) = reaching(with(away, away), &[address(away)]);
    assert_eq!(world.permit(me, 1, address(away)), 0);
    world.book.reach.insert(CALLER, BTreeSet::new());
    world.give(Input::Recheck { holder: CALLER });
    assert_eq!(world.peer_sends(relayed, address(away), b"x"), None);
    assert_eq!(world.send_indication(me, address(away), b"x"), None);
}

#[test]
fn a_permission_for_relays_becomes_one_for_the_gateway_when_it_is_asked_for_again() {
    let (mut world, _) = reaching(with(BESIDE, BESIDE), &[]);
    let (me, there) = (client(4_000), address(BESIDE));
    assert_eq!(world.permit(me, 1, there), 0);
    assert_eq!(world.send_indication(me, there, b"x"), None);
    world.book.reach.insert(CALLER, [there.ip()].into());
    assert_eq!(world.permit(me, 1, there), 0);
    assert!(world.send_indication(me, there, b"x").is_some());
}

#[test]
fn a_gateway_among_the_ports_of_relays_is_not_taken_for_one() {
    for index in 0..3 {
        // Of another worker for two of the three.
        let config = Config {
            share: Share { index, of: 3 },
            ..with("198.51.100.1:50000", "198.51.100.1:50000")
        };
        let there = config.gateways[0].public;
        let (mut world, _) = reaching(config, &[there]);
        let me = client(4_000);
        assert_eq!(world.bind(me, 1, 0x4000, there), 0);
        let sent = world.channel_data(me, 0x4000, b"x");
        assert_eq!(sent, Some(Out::Peer(there, b"x".to_vec())));
    }
}

#[test]
fn a_gateway_at_the_port_of_a_listener_of_streams_is_reached() {
    // HTTP over TCP, and media over UDP: 443 is what strict firewalls let out.
    let there = "198.51.100.1:443";
    let mut config = with(there, there);
    config.listening.push(address(there));
    let (mut world, _) = reaching(config, &[address(there)]);
    assert_eq!(world.bind(client(4_000), 1, 0x4000, address(there)), 0);
    let sent = world.channel_data(client(4_000), 0x4000, b"x");
    assert_eq!(sent, Some(Out::Peer(address(there), b"x".to_vec())));
}

#[test]
fn each_of_several_gateways_is_reached_at_its_own_address() {
    let (one, other) = ("198.51.100.1:3479", "198.51.100.2:3481");
    let config = Config {
        gateways: vec![gateway(one, "10.0.0.1:3479"), gateway(other, other)],
        ..config()
    };
    let (one, other) = (address(one), address(other));
    let (mut world, relayed) = reaching(config, &[one, other]);
    let me = client(4_000);
    for (number, public, local) in [
        (0x4001, one, address("10.0.0.1:3479")),
        (0x4002, other, other),
    ] {
        assert_eq!(world.bind(me, 1, number, public), 0);
        let sent = world.channel_data(me, number, b"x");
        assert_eq!(sent, Some(Out::Peer(local, b"x".to_vec())));
        let Some(Out::Client(_, came)) = world.peer_sends(relayed, local, b"x") else {
            panic!("{public} answers");
        };
        assert_eq!(came[..2], u16::to_be_bytes(number));
    }
    let swapped = [
        SocketAddr::new(one.ip(), other.port()),
        SocketAddr::new(other.ip(), one.port()),
    ];
    assert_closed(&mut world, swapped);
}
