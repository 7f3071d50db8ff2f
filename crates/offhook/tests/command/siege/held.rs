//! Connections that are held and not used, or used as slowly as they can be.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::resource::{Resource, getrlimit};

use super::stranger::{UPGRADE, connect, dribble, rest, step_back};
use super::{MIB, Siege};
use crate::harness::{Folder, finish};

/// Connections, where the system lets a process open as many files.
const IDLE: u64 = 20_000;
/// Files for everything else.
const OTHER_FILES: u64 = 600;
/// How long a head, a body or a handshake may take, and a client that does not say who it is; with the time that it takes to see it.
const HEAD: Duration = Duration::from_secs(13);
const INTRODUCTION: Duration = Duration::from_secs(34);

/// Opens as many connections, a thousand from each address, and waits until it is over; then until the server has closed them.
fn hold(siege: &Siege, number: u64, is_over: &AtomicBool) {
    step_back();
    let held: Vec<TcpStream> = (0..usize::try_from(number).unwrap())
        .map(|number| connect(siege.site.server.address, number / 1_000 + 1).unwrap())
        .collect();
    while !is_over.load(Ordering::Relaxed) {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    for mut stream in held {
        rest(&mut stream);
    }
}

#[test]
#[ignore = "of full size: cargo xtask test siege"]
fn idle_connections() {
    let siege = Siege::new();
    let (files, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let number = IDLE.min(files - OTHER_FILES);
    println!("{number} idle connections");
    siege.stands(64 * MIB, |is_over| hold(&siege, number, is_over));
}

#[test]
#[ignore = "of full size: cargo xtask test siege"]
fn more_connections_than_one_address_may_have() {
    let siege = Siege::new();
    let number = 5_000;
    let refused = siege.stands(64 * MIB, |is_over| {
        step_back();
        let address = siege.site.server.address;
        let mut held: Vec<_> = (0..number).map(|_| connect(address, 1).unwrap()).collect();
        while !is_over.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        held.iter_mut().for_each(|stream| drop(rest(stream)));
        siege.counter("upgrades_refused_node_full")
    });
    assert!(refused > number / 2, "{refused} of {number} refused");
}

#[test]
#[ignore = "of full size: cargo xtask test siege"]
fn no_file_left() {
    let siege = Siege::new();
    let files = 500;
    let limit = |files: u64| {
        let pid = siege.site.server.pid();
        finish(
            std::process::Command::new("prlimit")
                .args([format!("--pid={pid}"), format!("--nofile={files}:")]),
        )
    };
    siege.stands(32 * MIB, |is_over| {
        // The clients that call are there before.
        while siege.census()["websockets"] != 200 {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let done = limit(files);
        assert_eq!(done.code, 0, "{done:?}");
        hold(&siege, files, is_over);
    });
    siege
        .site
        .server
        .logged("no connection can be accepted now");
}

#[test]
#[ignore = "of full size: cargo xtask test siege"]
fn slow_heads_bodies_and_frames() {
    let siege = Siege::new();
    let login = STANDARD.encode(siege.site.login());
    let head = "GET /sipproxy HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned();
    let body = format!(
        "POST /webrtc_generate_token HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\nclient_id="
    );
    // A frame of 64,000 bytes.
    let frame = [UPGRADE.as_bytes(), b"\x81\xfe\xfa\x00\0\0\0\0"].concat();
    let beginnings = [head.as_bytes(), body.as_bytes(), &frame];
    let address = siege.site.server.address;
    let lasted = siege.stands(128 * MIB, |_| dribble(address, &beginnings, 1_000));
    println!("the last head, body and frame lasted {lasted:.1?}");
    assert!(
        lasted[0] < HEAD && lasted[1] < HEAD && lasted[2] < INTRODUCTION,
        "{lasted:?}"
    );
}

#[test]
#[ignore = "of full size: cargo xtask test siege"]
fn slow_handshakes_of_tls() {
    let folder = Folder::new();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.write("c.pem", &pair.cert.pem());
    folder.write("k.pem", &pair.signing_key.serialize_pem());
    let siege = Siege::serving(folder, "--tls-cert c.pem --tls-key k.pem");
    // The beginning of a ClientHello of 512 bytes, and nothing at all.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice();
    let address = siege.site.server.address;
    let lasted = siege.stands(128 * MIB, |_| dribble(address, &[hello, b""], 1_500));
    println!("the last handshakes lasted {lasted:.1?}");
    assert!(lasted.iter().all(|lasted| *lasted < HEAD), "{lasted:?}");
}
