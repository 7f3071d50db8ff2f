//! A running TURN server, with what a test may look at.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use turn::{Network, RelayAddress};

use super::authority::Book;
use super::client::{Client, Wire};
use crate::certificate::Certificate;
use crate::clock::Clock;
use crate::config::TlsFiles;
use crate::telemetry::Counters;
use crate::turn_worker::{Doors, Setup, Turn, WorkerCounter};

pub(super) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
/// Not the server's machine, as far as it knows.
pub(super) const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// Longer than anything takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Stage {
    pub(super) udp: SocketAddr,
    pub(super) tcp: SocketAddr,
    pub(super) tls: SocketAddr,
    pub(super) book: Book,
    counters: Arc<Counters>,
    turn: Option<Turn>,
}

pub(super) fn setup(workers: usize) -> Setup {
    let any = SocketAddr::new(SERVER, 0);
    Setup {
        udp: vec![any],
        tcp: vec![any],
        tls: vec![any],
        certificate: Some(certificate()),
        workers,
        relays: vec![RelayAddress {
            local: SERVER,
            public: SERVER,
        }],
        ports: 1_024..=65_535,
        allowed: vec![Network {
            address: SERVER,
            prefix: 8,
        }],
        listening: Vec::new(),
        machine: vec![SERVER],
        gateways: Vec::new(),
        realm: "offhook".to_owned(),
        software: None,
        allocations: 100_000,
        streams: 10_000,
    }
}

fn certificate() -> Arc<Certificate> {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        cert: dir.path().join("cert.pem"),
        key: dir.path().join("key.pem"),
    };
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    Arc::new(Certificate::load(&files).unwrap())
}

impl Stage {
    pub(super) fn new(workers: usize) -> Self {
        Self::open(Doors::bind(setup(workers)).unwrap())
    }

    pub(super) fn open(doors: Doors) -> Self {
        let (udp, tcp, tls) = (doors.udp()[0], doors.tcp()[0], doors.tls()[0]);
        let (book, counters) = (Book::default(), Arc::new(Counters::default()));
        let authority = || Box::new(book.clone()) as _;
        let turn = doors
            .start_with(Clock::start(), Arc::clone(&counters), authority)
            .unwrap();
        Self {
            udp,
            tcp,
            tls,
            turn: Some(turn),
            book,
            counters,
        }
    }

    pub(super) fn turn(&self) -> &Turn {
        self.turn.as_ref().unwrap()
    }

    /// Waits until it has counted so many, and fails if there are more: a client may see a connection closed a moment
    /// before that is counted.
    pub(super) fn assert_counts(&self, counter: WorkerCounter, count: u64) {
        let end = Instant::now() + PATIENCE;
        while self.counted(counter) < count && Instant::now() < end {
            std::thread::yield_now();
        }
        assert_eq!(self.counted(counter), count, "{counter:?}");
    }

    pub(super) fn counted(&self, counter: WorkerCounter) -> u64 {
        let mut listing = self.counters.listing();
        let found = listing.find(|(name, _)| *name == counter.as_str());
        found.unwrap().1
    }

    /// Ends the workers.
    pub(super) fn stop(&mut self) {
        if let Some(turn) = self.turn.take() {
            turn.stop();
        }
    }

    pub(super) fn client(&self, wire: Wire) -> Client {
        let to = match wire {
            Wire::Udp => self.udp,
            Wire::Tcp => self.tcp,
            Wire::Tls => self.tls,
        };
        Client::new(wire, to)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A socket somewhere else.
pub(super) fn peer() -> UdpSocket {
    let socket = UdpSocket::bind((ELSEWHERE, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// What a socket gets next, and from whom.
pub(super) fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = vec![0; 65_536];
    let (len, from) = socket.recv_from(&mut bytes).unwrap();
    bytes.truncate(len);
    (bytes, from)
}
