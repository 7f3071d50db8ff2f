//! Addresses: taken by one server alone, and found free.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use super::client::Wire;
use super::stage::{SERVER, Stage, setup};
use crate::turn_worker::{Doors, Setup};

fn fault(setup: Setup) -> String {
    match Doors::bind(setup) {
        Ok(_) => panic!("bound"),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn a_second_server_on_the_address_is_told_what_to_do() {
    let first = Doors::bind(setup(2)).unwrap();
    let second = |udp: &[SocketAddr], tcp: &[SocketAddr], tls: &[SocketAddr]| Setup {
        udp: udp.to_vec(),
        tcp: tcp.to_vec(),
        tls: tls.to_vec(),
        ..setup(2)
    };
    for (setup, transport) in [
        (second(&first.udp(), &[], &[]), "(UDP)"),
        (second(&[], &first.tcp(), &[]), "(TCP)"),
        (second(&[], &[], &first.tls()), "(TLS)"),
    ] {
        let said = fault(setup);
        assert!(said.contains(transport), "{said}");
        assert!(said.contains("another TURN server"), "{said}");
        assert!(said.contains("--turn-listen ADDR:PORT"), "{said}");
        assert!(said.contains("--turn=false"), "{said}");
    }
}

#[test]
fn the_address_of_a_server_without_workers_is_taken_as_well() {
    let alone = UdpSocket::bind((SERVER, 0)).unwrap();
    let said = fault(Setup {
        udp: vec![alone.local_addr().unwrap()],
        ..setup(1)
    });
    assert!(said.contains("another program"), "{said}");
    let alone = TcpListener::bind((SERVER, 0)).unwrap();
    let said = fault(Setup {
        tcp: vec![alone.local_addr().unwrap()],
        ..setup(1)
    });
    assert!(said.contains("another program"), "{said}");
}

#[test]
fn an_address_of_nobody_here_is_named() {
    let said = fault(Setup {
        udp: vec!["192.0.2.1:0".parse().unwrap()],
        ..setup(1)
    });
    assert!(said.contains("192.0.2.1"), "{said}");
    assert!(said.contains("an address of this machine"), "{said}");
}

#[test]
fn any_port_is_the_same_one_for_udp_and_tcp_of_all_addresses() {
    let wanted: Vec<SocketAddr> = vec![
        "127.0.0.1:0".parse().unwrap(),
        "127.0.0.2:0".parse().unwrap(),
    ];
    let doors = Doors::bind(Setup {
        udp: wanted.clone(),
        tcp: wanted,
        ..setup(2)
    })
    .unwrap();
    let port = doors.udp()[0].port();
    assert_ne!(port, 0);
    assert_eq!(doors.udp(), doors.tcp());
    assert!(doors.udp().iter().all(|address| address.port() == port));
    assert_ne!(doors.tls()[0].port(), port);
    // Served on both.
    let (udp, tcp) = (doors.udp(), doors.tcp());
    let _stage = Stage::open(doors);
    for address in udp {
        let mut client = super::client::Client::new(Wire::Udp, address);
        assert_eq!(client.binding(), client.local());
    }
    for address in tcp {
        let mut client = super::client::Client::new(Wire::Tcp, address);
        assert_eq!(client.binding(), client.local());
    }
}

#[test]
fn ipv6_is_served() {
    let Ok(_) = UdpSocket::bind("[::1]:0") else {
        // A machine without it.
        return;
    };
    let any = vec!["[::1]:0".parse().unwrap()];
    let doors = Doors::bind(Setup {
        udp: any.clone(),
        tcp: any,
        ..setup(1)
    })
    .unwrap();
    let (udp, tcp) = (doors.udp()[0], doors.tcp()[0]);
    let _stage = Stage::open(doors);
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    socket
        .set_read_timeout(Some(super::stage::PATIENCE))
        .unwrap();
    let mut binding = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    binding.extend([9; 12]);
    socket.send_to(&binding, udp).unwrap();
    let (answer, from) = super::stage::receive(&socket);
    assert_eq!(
        (&answer[..2], &answer[8..20], from),
        (&[1, 1][..], &[9; 12][..], udp)
    );
    let mut client = super::client::Client::new(Wire::Tcp, tcp);
    assert_eq!(client.binding(), client.local());
}
