//! Strangers who mean no good, while clients call each other: no call fails, none is late, and afterwards all is as before.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::bench::BenchSite;
use crate::harness::Folder;

/// What a person would notice when a call is set up.
const LATE_US: f64 = 1_000_000.0;
/// Silent connections: fewer than one address may have.
const SILENT: usize = 300;

/// Connects, says this, and gives the connection.
fn say(to: SocketAddr, words: &[u8]) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(words)?;
    Ok(stream)
}

/// Says this on connection after connection, and reads what comes; counts.
fn flood(to: SocketAddr, words: &[u8], is_over: &AtomicBool, said: &AtomicUsize) {
    while !is_over.load(Ordering::Relaxed) {
        // A refusal is what a stranger may expect.
        if let Ok(mut stream) = say(to, words) {
            let _ = stream.read(&mut [0; 512]);
            said.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Runs calls beside floods of these words, and wants all of them to succeed.
fn calls_go_on_beside(floods: &[&[u8]]) {
    let folder = Folder::new();
    let site = BenchSite::new(&folder);
    let address = site.server.address;
    let (is_over, said) = (AtomicBool::new(false), AtomicUsize::new(0));
    let report = std::thread::scope(|scope| {
        for words in floods {
            scope.spawn(|| flood(address, words, &is_over, &said));
        }
        let report = folder.json(&site.words("calls --clients 20 --rate 30 --seconds 2"));
        is_over.store(true, Ordering::Relaxed);
        report
    });
    let said = said.into_inner();
    assert!(said > 50, "{said} times is no flood");
    assert_eq!(report["failures"].as_object().unwrap().len(), 0, "{report}");
    assert!(report["done"].as_u64().unwrap() > 40, "{report}");
    let p99 = report["set_up"]["p99_us"].as_f64().unwrap();
    assert!(p99 < LATE_US, "beside {said} strangers: {report}");
}

#[test]
fn a_flood_of_wrong_logins_and_of_nonsense_harms_no_call() {
    calls_go_on_beside(&[
        b"GET /webrtc_generate_token?client_id=eve HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZXZlOmV2ZQ==\r\n\r\n",
        b"\x16\x03\x01\x02\x00 is no HTTP\r\n\r\n",
        b"POST /webrtc_generate_token HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n",
    ]);
}

#[test]
fn a_flood_of_upgrades_and_broken_frames_harms_no_call() {
    let upgrade = b"GET /sipproxy HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n";
    let unmasked = [upgrade.as_slice(), b"\x81\x05hello"].concat();
    let malformed = [upgrade.as_slice(), b"\x81\x85\0\0\0\0hello"].concat();
    let endless = [
        upgrade.as_slice(),
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
    ]
    .concat();
    calls_go_on_beside(&[&unmasked, &malformed, &endless]);
}

#[test]
fn silent_and_slow_connections_harm_no_call_and_go() {
    let folder = Folder::new();
    let site = BenchSite::new(&folder);
    let address = site.server.address;
    let slow = b"GET /sipproxy HTTP/1.1\r\nHost: x\r\nX-Slow: ";
    let held: Vec<_> = (0..SILENT)
        .map(|number| {
            say(
                address,
                if number % 2 == 0 {
                    b""
                } else {
                    slow.as_slice()
                },
            )
            .unwrap()
        })
        .collect();
    let report = folder.json(&site.words("calls --clients 20 --rate 30 --seconds 2"));
    assert_eq!(report["failures"].as_object().unwrap().len(), 0, "{report}");
    let p99 = report["set_up"]["p99_us"].as_f64().unwrap();
    assert!(p99 < LATE_US, "{report}");
    // Each is closed by the server, after the time that a head may take.
    for mut stream in held {
        while stream.read(&mut [0; 512]).unwrap() > 0 {}
    }
    assert_eq!(site.server.token_status("1-2-0/nobody", "x"), 401);
}
