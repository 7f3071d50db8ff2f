//! Strangers: each at an address of its own, without a login or a token.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long strangers who are slow take for a byte.
const DRIBBLE: Duration = Duration::from_millis(500);
/// Threads of a flood.
const THREADS: usize = 2;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(super) const UPGRADE: &str = "GET /sipproxy HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

/// Connects from the stranger's address with this number; there are four million.
pub(super) fn connect(server: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let number = u32::try_from(number).unwrap();
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(127, 64, 0, 0).to_bits() + number);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(address.into(), 0).into())?;
    socket.connect(&server.into())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

/// A text frame as browsers send it.
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x81];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < 126 => bytes.push(0x80 | length),
        (_, Ok(length)) => {
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
        (_, Err(_)) => {
            bytes.push(0x80 | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    bytes
}

/// Reads to the end, and gives all of it. A connection that is reset is at its end as well.
pub(super) fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert!(
            !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            "the server never ends a connection"
        );
    }
    bytes
}

/// Steps back behind the calls, as if it were on another machine: it is the server that shall be tried, not this one.
pub(super) fn step_back() {
    let thread = nix::unistd::gettid().to_string();
    let stepped = Command::new("renice")
        .args(["-n", "15", "-p", &thread])
        .stdout(Stdio::null())
        .status();
    assert!(stepped.unwrap().success());
}

/// Connections on which each word begins, and goes on by one byte now and then, until the server has closed them all. How long
/// the last one of each kind lasted.
pub(super) fn dribble(server: SocketAddr, beginnings: &[&[u8]], each: usize) -> Vec<Duration> {
    step_back();
    let mut held: Vec<_> = (0..each * beginnings.len())
        .map(|number| {
            let kind = number % beginnings.len();
            let mut stream = connect(server, number / 1_000 + 1).unwrap();
            stream.write_all(beginnings[kind]).unwrap();
            stream.set_nonblocking(true).unwrap();
            (kind, stream)
        })
        .collect();
    let begun = Instant::now();
    let mut lasted = vec![Duration::ZERO; beginnings.len()];
    while !held.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{} are still there", held.len());
        std::thread::park_timeout(DRIBBLE);
        held.retain_mut(|(kind, stream)| {
            let is_open = !has_ended(stream) && stream.write_all(b"a").is_ok();
            lasted[*kind] = begun.elapsed();
            is_open
        });
    }
    lasted
}

/// Whether the server has ended the connection; what it said before is passed over.
fn has_ended(stream: &mut TcpStream) -> bool {
    loop {
        match stream.read(&mut [0; 1024]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// Volleys of requests, each on a new connection.
pub(super) struct Flood {
    /// What is said on a connection.
    pub(super) volley: Vec<u8>,
    /// How many requests that is.
    pub(super) requests: usize,
    /// Requests a second in all.
    pub(super) rate: usize,
    /// How many addresses the connections come from in turn.
    pub(super) addresses: usize,
}

/// What came of a flood.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: usize,
    pub(super) answers: usize,
    pub(super) rate: f64,
}

impl Flood {
    /// Goes on until it is over; counts what was said, and the answers that begin with one of these words. Without any it is gone
    /// before they come.
    pub(super) fn run(&self, server: SocketAddr, words: &[&str], is_over: &AtomicBool) -> Tally {
        let begun = Instant::now();
        let counted: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| scope.spawn(move || self.go_on(server, thread, words, is_over)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let requests: usize = counted.iter().map(|(requests, _)| requests).sum();
        Tally {
            requests,
            answers: counted.iter().map(|(_, answers)| answers).sum(),
            rate: requests as f64 / begun.elapsed().as_secs_f64(),
        }
    }

    fn go_on(
        &self,
        server: SocketAddr,
        thread: usize,
        words: &[&str],
        is_over: &AtomicBool,
    ) -> (usize, usize) {
        step_back();
        let interval = Duration::from_secs(1) * u32::try_from(self.requests * THREADS).unwrap()
            / u32::try_from(self.rate).unwrap();
        let (mut requests, mut answers) = (0, 0);
        let (mut due, mut number) = (Instant::now(), thread);
        while !is_over.load(Ordering::Relaxed) {
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
            if Instant::now() < due {
                continue;
            }
            due += interval;
            // A refusal is what a stranger may expect.
            if let Ok(mut stream) = connect(server, number % self.addresses + 1) {
                let _ = stream.write_all(&self.volley);
                requests += self.requests;
                if !words.is_empty() {
                    answers += count(&rest(&mut stream), words);
                }
            }
            number += THREADS;
        }
        (requests, answers)
    }
}

fn count(bytes: &[u8], words: &[&str]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    words.iter().map(|word| text.matches(word).count()).sum()
}
