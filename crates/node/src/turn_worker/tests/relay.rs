//! Packets on their way: to a peer, from a peer, and between clients of one worker and of two.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg};
use turn::{Gateway, Holder, Share};

use super::authority::BUG;
use super::client::{Client, Wire, channel};
use super::stage::{PATIENCE, SERVER, Stage, peer, receive, setup};
use crate::turn_worker::{Doors, WorkerCounter};

#[test]
fn binding_is_answered_over_every_transport() {
    let stage = Stage::new(2);
    for wire in [Wire::Udp, Wire::Tcp, Wire::Tls] {
        let mut client = stage.client(wire);
        assert_eq!(client.binding(), client.local(), "{wire:?}");
    }
}

#[test]
fn data_goes_both_ways_over_every_transport() {
    let mut stage = Stage::new(1);
    // Kept: an allocation ends with its connection.
    let mut clients = Vec::new();
    for (user, wire) in [(1, Wire::Udp), (2, Wire::Tcp), (3, Wire::Tls)] {
        let mut client = stage.client(wire);
        let relayed = client.allocate(user);
        let peer = peer();
        assert_eq!(client.bind(user, 0x4001, peer.local_addr().unwrap()), 0);
        for data in [b"hello".as_slice(), b"four", b"x", &[7; 1_400], b""] {
            client.send_channel(0x4001, data);
            assert_eq!(receive(&peer), (data.to_vec(), relayed), "{wire:?}");
            if data.is_empty() {
                continue;
            }
            peer.send_to(data, relayed).unwrap();
            assert_eq!(client.receive(), channel(0x4001, data), "{wire:?}");
        }
        clients.push(client);
    }
    assert_eq!(stage.turn().allocations(), 3);
    stage.stop();
    for user in 1..=3 {
        let page = stage.book.open();
        let used = page.used[&Holder(user)];
        assert_eq!((used.sent.packets, used.sent.bytes), (5, 1_410));
        assert_eq!((used.received.packets, used.received.bytes), (4, 1_410));
    }
}

/// Datagrams of one length, as one: the last one is shorter.
fn send_in_segments(socket: &std::net::UdpSocket, to: SocketAddr, segment: u16, bytes: &[u8]) {
    let SocketAddr::V4(to) = to else {
        panic!("IPv4");
    };
    let to = SockaddrIn::from(to);
    let parts = [std::io::IoSlice::new(bytes)];
    let says = [ControlMessage::UdpGsoSegments(&segment)];
    let sent = sendmsg(
        socket.as_raw_fd(),
        &parts,
        &says,
        MsgFlags::empty(),
        Some(&to),
    );
    assert_eq!(sent, Ok(bytes.len()));
}

#[test]
fn a_burst_arrives_whole_and_in_order_both_ways() {
    let stage = Stage::new(1);
    let mut client = stage.client(Wire::Udp);
    let relayed = client.allocate(1);
    let peer = peer();
    assert_eq!(client.bind(1, 0x4001, peer.local_addr().unwrap()), 0);
    let packet = |number: u8| vec![number; if number == 39 { 777 } else { 1_200 }];

    let burst: Vec<u8> = (0..40)
        .flat_map(|number| channel(0x4001, &packet(number)))
        .collect();
    send_in_segments(client.udp(), stage.udp, 1_204, &burst);
    for number in 0..40 {
        assert_eq!(receive(&peer), (packet(number), relayed));
    }

    let burst: Vec<u8> = (0..40).flat_map(packet).collect();
    send_in_segments(&peer, relayed, 1_200, &burst);
    for number in 0..40 {
        assert_eq!(client.receive(), channel(0x4001, &packet(number)));
    }
}

#[test]
fn packets_of_all_lengths_keep_their_order() {
    let stage = Stage::new(1);
    let mut client = stage.client(Wire::Udp);
    let relayed = client.allocate(1);
    let (first, second) = (peer(), peer());
    assert_eq!(client.bind(1, 0x4001, first.local_addr().unwrap()), 0);
    assert_eq!(client.bind(1, 0x4002, second.local_addr().unwrap()), 0);
    let packet = |number: u8| vec![number; usize::from(number) % 7 * 100 + 1];
    for number in 0..60 {
        client.send_channel(0x4001 + u16::from(number % 3 == 0), &packet(number));
    }
    for number in 0..60 {
        let peer = if number % 3 == 0 { &second } else { &first };
        assert_eq!(receive(peer), (packet(number), relayed));
    }
    for number in 0..60 {
        first.send_to(&packet(number), relayed).unwrap();
    }
    for number in 0..60 {
        assert_eq!(client.receive(), channel(0x4001, &packet(number)));
    }
}

/// Two clients that reach each other's relayed address.
fn introduce(one: &mut Client, two: &mut Client) {
    let (of_one, of_two) = (one.allocate(1), two.allocate(2));
    assert_eq!(one.bind(1, 0x4001, of_two), 0);
    assert_eq!(two.bind(2, 0x4002, of_one), 0);
}

fn converse(one: &mut Client, two: &mut Client) {
    for number in 0..20 {
        one.send_channel(0x4001, &[number; 172]);
    }
    for number in 0..20 {
        assert_eq!(two.receive(), channel(0x4002, &[number; 172]));
    }
    two.send_channel(0x4002, b"enough");
    assert_eq!(one.receive(), channel(0x4001, b"enough"));
}

#[test]
fn two_clients_of_one_worker_talk_over_every_pair_of_transports() {
    let stage = Stage::new(1);
    for one in [Wire::Udp, Wire::Tcp, Wire::Tls] {
        for two in [Wire::Udp, Wire::Tcp, Wire::Tls] {
            let (mut one, mut two) = (stage.client(one), stage.client(two));
            introduce(&mut one, &mut two);
            converse(&mut one, &mut two);
        }
    }
}

#[test]
fn two_clients_of_two_workers_talk() {
    let stage = Stage::new(2);
    let worker = |relayed: SocketAddr| Share { index: 0, of: 2 }.owner(relayed.port());
    let mut one = stage.client(Wire::Udp);
    let of_one = one.allocate(1);
    // The kernel deals clients out by their address: after some there is one of the other worker.
    let (mut two, of_two) = (0..256)
        .map(|_| {
            let mut two = stage.client(Wire::Udp);
            let relayed = two.allocate(2);
            (two, relayed)
        })
        .find(|(_, relayed)| worker(*relayed) != worker(of_one))
        .unwrap();
    assert_eq!(one.bind(1, 0x4001, of_two), 0);
    assert_eq!(two.bind(2, 0x4002, of_one), 0);
    converse(&mut one, &mut two);
}

#[test]
fn a_gateway_of_this_machine_is_reached_as_browsers_know_it_though_no_nat_leads_back() {
    let mut setup = setup(2);
    setup.allowed = Vec::new();
    let mut doors = Doors::bind(setup).unwrap();
    let gateway = std::net::UdpSocket::bind((SERVER, 0)).unwrap();
    gateway.set_read_timeout(Some(PATIENCE)).unwrap();
    let local = gateway.local_addr().unwrap();
    let public = SocketAddr::new("198.51.100.7".parse().unwrap(), local.port());
    doors.let_reach(vec![Gateway { public, local }]);
    let stage = Stage::open(doors);
    for wire in [Wire::Udp, Wire::Tcp, Wire::Tls] {
        let mut client = stage.client(wire);
        let relayed = client.allocate(1);
        assert_eq!(client.bind(1, 0x4001, public), 0);
        client.send_channel(0x4001, b"hello");
        assert_eq!(receive(&gateway), (b"hello".to_vec(), relayed), "{wire:?}");
        gateway.send_to(b"salut", relayed).unwrap();
        assert_eq!(client.receive(), channel(0x4001, b"salut"), "{wire:?}");
        for other in [stage.udp, SocketAddr::new(public.ip(), 3_478)] {
            assert_eq!(client.bind(1, 0x4002, other), 403, "{other}");
        }
    }
}

#[test]
fn garbage_gets_silence() {
    let stage = Stage::new(1);
    let mut client = stage.client(Wire::Udp);
    for garbage in [
        &b""[..],
        b"x",
        &[0; 20],
        &[0xff; 1_200],
        b"\x40\x01\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        client.send(garbage);
    }
    // The first thing that comes is the answer to this.
    assert_eq!(client.binding(), client.local());
}

#[test]
fn a_recheck_reaches_the_worker() {
    let stage = Stage::new(2);
    let mut client = stage.client(Wire::Udp);
    client.allocate(1);
    let (peer, other) = (peer(), peer());
    assert_eq!(client.bind(1, 0x4001, peer.local_addr().unwrap()), 0);
    client.send_channel(0x4001, b"before");
    assert_eq!(receive(&peer).0, b"before");

    stage.book.open().confined.insert(Holder(1));
    stage.turn().recheck(1);
    // After this answer the worker has read what it was told before.
    client.binding();
    client.send_channel(0x4001, b"after");
    client.binding();
    other
        .send_to(b"nothing came", peer.local_addr().unwrap())
        .unwrap();
    assert_eq!(receive(&peer).0, b"nothing came");
}

#[test]
fn a_worker_that_meets_a_bug_starts_again() {
    let stage = Stage::new(1);
    let mut client = stage.client(Wire::Udp);
    client.allocate(1);
    assert_eq!(stage.book.open().admitted[&Holder(1)], 1);
    let request = client.sealed(
        BUG,
        turn_types::message::ALLOCATE,
        &[&turn_types::attribute::RequestedTransport::new(17)],
    );
    client.send(&stun_types::message::MessageWrite::finish(request));
    // What was read together with it is lost.
    stage.client(Wire::Udp).wait_for_binding();
    assert_eq!(stage.book.open().admitted.len(), 0);
    assert_eq!(stage.turn().allocations(), 0);
}

#[test]
fn what_the_system_does_not_send_is_counted() {
    let stage = Stage::new(1);
    let mut client = stage.client(Wire::Tcp);
    client.allocate(1);
    let peer = peer();
    assert_eq!(client.bind(1, 0x4001, peer.local_addr().unwrap()), 0);
    // More than a datagram of IPv4 holds.
    client.send_channel(0x4001, &[1; 65_532]);
    client.send_channel(0x4001, &[2; 1_200]);
    assert_eq!(receive(&peer).0, [2; 1_200]);
    stage.assert_counts(WorkerCounter::Unsent, 1);
}
