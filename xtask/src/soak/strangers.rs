//! Connections that mean no good, and clients that vanish: bytes on sockets, no more. What becomes of them is for the tables.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::site::Site;

/// How long a server may take to answer one of our own.
const PATIENCE: Duration = Duration::from_secs(10);

const UPGRADE: &str = "GET /sipproxy HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ";

/// Nonsense, halves, lies, and silence.
const WORDS: [&[u8]; 7] = [
    b"",
    b"\x16\x03\x01\x02\x00 is no HTTP\r\n\r\n",
    b"GET /sipproxy HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    b"GET /webrtc_generate_token?client_id=eve HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZXZlOmV2ZQ==\r\n\r\n",
    b"POST /webrtc_generate_token HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\nhalf",
    // Frames after an upgrade: without a mask, and without an end.
    b"\x81\x05hello",
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
];

/// Opens so many, says something on each, and gives them to be held.
pub(super) fn come(site: &Site, number: u64) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for (_, words) in (0..number).zip(WORDS.iter().cycle()) {
        let Ok(mut stream) = TcpStream::connect(site.address()) else {
            continue;
        };
        let upgrade = format!("{UPGRADE}sip\r\n\r\n");
        let before = if words.starts_with(b"\x81") {
            upgrade.as_bytes()
        } else {
            b""
        };
        // The server may hang up at any byte.
        let _ = stream.write_all(&[before, words].concat());
        held.push(stream);
    }
    held
}

/// Clients that open resumable sessions, register, and vanish without a word (docs/resume.md).
pub(super) fn vanish(site: &Site, number: u64, place: usize) -> Result<(), String> {
    let account = &site.accounts[place];
    let words = ["token", "create", "--account", &account.login];
    let more = ["--client-id", "vanisher", "--ttl", "600"];
    let token = site.json(&[words, more].concat())?;
    let token = token["token"].as_str().unwrap_or_default();
    for agent in 0..number {
        let mut stream = TcpStream::connect(site.address())
            .map_err(|error| format!("a client could not connect: {error}"))?;
        let say = |stream: &mut TcpStream, bytes: &[u8], answer: &str| {
            stream
                .set_read_timeout(Some(PATIENCE))
                .and_then(|()| stream.write_all(bytes))
                .and_then(|()| read_until(stream, answer))
                .map_err(|error| format!("a client with a session got no `{answer}`: {error}"))
        };
        let upgrade = format!("{UPGRADE}sip-resume, sip\r\n\r\n");
        say(&mut stream, upgrade.as_bytes(), "sip-resume\r\n")?;
        say(&mut stream, &frame("OPEN"), "SESSION ")?;
        let register = format!("1 0\r\n{}", register(&account.domain, token, agent));
        say(&mut stream, &frame(&register), "SIP/2.0 200")?;
    }
    Ok(())
}

fn register(domain: &str, token: &str, agent: u64) -> String {
    format!(
        "REGISTER sip:{domain} SIP/2.0\r\n\
         Via: SIP/2.0/WS vanish{agent:06}.invalid;branch=z9hG4bKvanish{agent}\r\n\
         Max-Forwards: 69\r\n\
         To: <sip:vanisher@{domain}>\r\n\
         From: <sip:vanisher@{domain}>;tag=v{agent}\r\n\
         Call-ID: vanish{agent}\r\n\
         CSeq: 1 REGISTER\r\n\
         Authorization: Bearer {token}\r\n\
         Contact: <sip:v{agent}@vanish{agent:06}.invalid;transport=ws>;expires=600\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// A text frame with a mask of zeros (RFC 6455 §5.2).
fn frame(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x81];
    match u16::try_from(text.len()).expect("our messages are short") {
        length @ ..126 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn read_until(stream: &mut TcpStream, answer: &str) -> std::io::Result<()> {
    let mut came = Vec::new();
    let mut part = [0; 4096];
    while !String::from_utf8_lossy(&came).contains(answer) {
        match stream.read(&mut part)? {
            0 => {
                let said = String::from_utf8_lossy(&came).into_owned();
                return Err(std::io::Error::other(format!("it ended after `{said}`")));
            }
            count => came.extend_from_slice(&part[..count]),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_its_length_in_seven_bits_or_sixteen() {
        assert_eq!(frame("OPEN"), b"\x81\x84\0\0\0\0OPEN");
        assert_eq!(frame(&"x".repeat(300))[..4], [0x81, 0xfe, 1, 44]);
    }
}
