//! TCP and TLS connections: who must go, who may stay, and what a slow reader costs.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use super::client::{Client, Wire, channel};
use super::stage::{PATIENCE, Stage, peer, receive, setup};
use crate::turn_worker::limits::StreamBounds;
use crate::turn_worker::{Doors, WorkerCounter};

fn bounded(bounds: StreamBounds) -> Stage {
    let mut doors = Doors::bind(setup(1)).unwrap();
    doors.bounds = bounds;
    Stage::open(doors)
}

#[test]
fn who_has_no_allocation_is_closed_and_who_has_one_is_not() {
    let stage = bounded(StreamBounds {
        idle: Duration::from_millis(200),
        ..StreamBounds::default()
    });
    let mut served = stage.client(Wire::Tcp);
    served.allocate(1);
    let mut slow = Client::new(Wire::Tcp, stage.tcp);
    slow.send(&[0, 1, 0]);
    let mut silent = Client::new(Wire::Tcp, stage.tcp);
    assert!(slow.is_closed());
    assert!(silent.is_closed());
    // It came before them, and is still there.
    assert_eq!(served.binding(), served.local());
    stage.assert_counts(WorkerCounter::StreamIdle, 2);
}

#[test]
fn a_tls_handshake_that_does_not_end_is_closed() {
    let stage = bounded(StreamBounds {
        handshake: Duration::from_millis(100),
        ..StreamBounds::default()
    });
    let mut half = Client::new(Wire::Tcp, stage.tls);
    half.send(&[0x16, 3, 1, 2, 0]);
    // After a word of farewell.
    while !half.is_closed() {}
    stage.assert_counts(WorkerCounter::StreamIdle, 1);
}

#[test]
fn what_is_no_turn_is_closed_at_once() {
    let stage = Stage::new(1);
    for (to, garbage) in [
        (stage.tcp, &b"\x80 is no first byte of a message"[..]),
        (stage.tcp, b"\x00\x01\x00\x00 without a cookie"),
        (stage.tls, b"GET / HTTP/1.1\r\n\r\n"),
    ] {
        let mut client = Client::new(Wire::Tcp, to);
        client.send(garbage);
        // TLS says why before it goes.
        while !client.is_closed() {}
    }
    stage.assert_counts(WorkerCounter::StreamGarbage, 3);
}

#[test]
fn a_source_has_so_many_connections_and_no_more() {
    let stage = bounded(StreamBounds {
        connections_per_source: 2,
        ..StreamBounds::default()
    });
    let mut first = stage.client(Wire::Tcp);
    let mut second = stage.client(Wire::Tcp);
    first.binding();
    second.binding();
    let mut third = stage.client(Wire::Tcp);
    assert!(third.is_closed());
    stage.assert_counts(WorkerCounter::StreamsFull, 1);
    // Closed by us with something unread or not, a place is free again.
    drop(first);
    while {
        let mut next = stage.client(Wire::Tcp);
        next.send(&[0, 1]);
        stage.counted(WorkerCounter::StreamsFull) > 1 && next.is_closed()
    } {}
    second.binding();
}

#[test]
fn a_worker_has_so_many_connections_and_no_more() {
    let stage = bounded(StreamBounds {
        connections: 2,
        ..StreamBounds::default()
    });
    let mut connections = vec![stage.client(Wire::Tcp), stage.client(Wire::Tls)];
    for client in &mut connections {
        client.binding();
    }
    assert!(stage.client(Wire::Tcp).is_closed());
    stage.assert_counts(WorkerCounter::StreamsFull, 1);
    // Who came over UDP is none of them.
    let mut udp = stage.client(Wire::Udp);
    assert_eq!(udp.binding(), udp.local());
    for client in &mut connections {
        assert_eq!(client.binding(), client.local());
    }
}

#[test]
fn messages_may_come_byte_by_byte_and_many_at_once() {
    let stage = Stage::new(1);
    for (user, wire) in [(1, Wire::Tcp), (2, Wire::Tls)] {
        let mut client = stage.client(wire);
        let relayed = client.allocate(user);
        let peer = peer();
        assert_eq!(client.bind(user, 0x4001, peer.local_addr().unwrap()), 0);
        let mut bytes = Vec::new();
        for number in 0..100_u8 {
            let mut message = channel(0x4001, &vec![number; usize::from(number) * 13 + 1]);
            message.resize(message.len().next_multiple_of(4), 0);
            bytes.extend(message);
        }
        let (one_by_one, at_once) = bytes.split_at(300);
        for byte in one_by_one {
            client.send(&[*byte]);
        }
        client.send(at_once);
        for number in 0..100_u8 {
            let data = vec![number; usize::from(number) * 13 + 1];
            assert_eq!(receive(&peer), (data, relayed), "{wire:?}");
        }
    }
}

#[test]
fn a_slow_reader_loses_packets_and_keeps_its_connection() {
    let stage = bounded(StreamBounds {
        queue: 32 * 1024,
        ..StreamBounds::default()
    });
    let mut client = stage.client(Wire::Tcp);
    let relayed = client.allocate(1);
    let peer = peer();
    assert_eq!(client.bind(1, 0x4001, peer.local_addr().unwrap()), 0);
    let mut sent = 0_u32;
    while stage.counted(WorkerCounter::SlowReader) == 0 {
        let mut packet = sent.to_be_bytes().to_vec();
        packet.resize(1_200, 0);
        peer.send_to(&packet, relayed).unwrap();
        sent += 1;
        assert!(sent < 10_000_000, "nothing is ever dropped");
    }
    // What did come is whole and in order.
    let mut last = None;
    let request = client.request(stun_types::message::BINDING);
    client.send(&stun_types::message::MessageWrite::finish(request));
    loop {
        let message = client.receive();
        if message[0] != 0x40 {
            break;
        }
        let number = u32::from_be_bytes(message[4..8].try_into().unwrap());
        assert_eq!(message.len(), 1_204);
        assert!(last.is_none_or(|last| last < number));
        last = Some(number);
    }
    assert!(last.is_some_and(|last| last < sent));
    assert_eq!(client.binding(), client.local());
}

#[test]
fn who_takes_nothing_is_closed() {
    let stage = bounded(StreamBounds {
        queue: 32 * 1024,
        idle: Duration::from_millis(300),
        stalled: Duration::from_millis(300),
        ..StreamBounds::default()
    });
    let mut client = stage.client(Wire::Tcp);
    let relayed = client.allocate(1);
    let peer = peer();
    assert_eq!(client.bind(1, 0x4001, peer.local_addr().unwrap()), 0);
    let mut silent = Client::new(Wire::Tcp, stage.tcp);
    let packet = [0; 1_200];
    while stage.counted(WorkerCounter::StreamIdle) == 0 {
        peer.send_to(&packet, relayed).unwrap();
        if stage.turn().allocations() == 0 {
            break;
        }
    }
    assert!(silent.is_closed());
    while stage.turn().allocations() > 0 {
        peer.send_to(&packet, relayed).unwrap();
    }
    assert_eq!(stage.book.open().admitted[&turn::Holder(1)], 0);
}

#[test]
fn an_allocation_ends_with_its_connection() {
    let stage = Stage::new(1);
    let mut client = stage.client(Wire::Tcp);
    client.allocate(1);
    assert_eq!(stage.turn().allocations(), 1);
    drop(client);
    // Accepted and answered after the other one's end was read, or the next one is.
    while stage.turn().allocations() > 0 {
        stage.client(Wire::Tcp).binding();
    }
    assert_eq!(stage.book.open().admitted[&turn::Holder(1)], 0);
}

#[test]
fn a_connection_reset_harms_nobody() {
    let stage = Stage::new(1);
    let stream = TcpStream::connect(stage.tcp).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let socket = socket2::SockRef::from(&stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    (&stream).write_all(&[0, 1]).unwrap();
    drop(stream);
    let mut client = stage.client(Wire::Tls);
    assert_eq!(client.binding(), client.local());
}
