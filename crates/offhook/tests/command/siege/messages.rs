//! Messages and frames that are malformed, twisted or far too large: each gets its answer, and nobody else notices.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::stranger::{UPGRADE, connect, frame, step_back};
use super::{MIB, Siege};

/// What is sent, and what must come back: the beginning of an answer, or the code of a goodbye.
enum Fate {
    Says(&'static str),
    Closes(u16),
}

use Fate::{Closes, Says};

/// A request of nobody, with these rows in the place of `To`.
fn options(domain: &str, to: &str) -> Vec<u8> {
    format!(
        "OPTIONS sip:{domain} SIP/2.0\r\nVia: SIP/2.0/WSS eve.invalid;branch=z9hG4bKe\r\nMax-Forwards: 70\r\n{to}\
         From: <sip:c1@{domain}>;tag=e\r\nCall-ID: e\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    .into()
}

fn twisted(domain: &str) -> Vec<(&'static str, Vec<u8>, Fate)> {
    let to = format!("To: <sip:{domain}>\r\n");
    let text = |rows: &str| frame(&options(domain, rows));
    let good = text(&to);
    let unmasked = b"\x81\x05hello".to_vec();
    let compressed = [&[0xc1_u8][..], &good[1..]].concat();
    let fragment = [&[0x01_u8][..], &good[1..]].concat();
    vec![
        ("nothing wrong", good.clone(), Says("SIP/2.0 200 ")),
        (
            "blanks before the colon: allowed, and never taken",
            text(&to.replace(':', "  \t:")),
            Says("SIP/2.0 400 "),
        ),
        (
            "a control character in a name",
            text(&to.replacen(':', "\x01:", 1)),
            Says("SIP/2.0 400 "),
        ),
        ("To twice", text(&to.repeat(2)), Says("SIP/2.0 400 ")),
        (
            "two lengths",
            text(&format!("{to}Content-Length: 5\r\n")),
            Says("SIP/2.0 400 "),
        ),
        (
            "a folded line",
            text(&to.replacen(' ', "\r\n  ", 1)),
            Says("SIP/2.0 200 "),
        ),
        (
            "a line that ends the head early",
            text(&format!("{to}X: a\n\nREGISTER sip:x SIP/2.0\r\n")),
            Says("SIP/2.0 400 "),
        ),
        (
            "10,000 headers",
            text(&format!("{to}{}", "X: y\r\n".repeat(10_000))),
            Says("SIP/2.0 400 "),
        ),
        (
            "a message of 65 KiB",
            text(&format!("{to}X: {}\r\n", "y".repeat(65 * 1024))),
            Closes(1009),
        ),
        (
            "a frame that is said to be endless",
            b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0".to_vec(),
            Closes(1009),
        ),
        ("text that is no UTF-8", frame(b"\xff\xfe"), Closes(1007)),
        ("a frame without a mask", unmasked, Closes(1002)),
        ("a compressed frame", compressed, Closes(1002)),
        (
            "a message within another's fragments",
            [fragment.clone(), good.clone()].concat(),
            Closes(1002),
        ),
        (
            "twenty times no SIP",
            frame(b"no SIP").repeat(20),
            Closes(1008),
        ),
    ]
}

/// A WebSocket of a stranger.
struct Line(TcpStream);

impl Line {
    fn open(server: SocketAddr, number: usize) -> Self {
        let mut line = Self(connect(server, number % 1_000 + 1).unwrap());
        line.0.write_all(UPGRADE.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            line.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        line
    }

    /// The next frame: whether it is a message, and what is in it.
    fn next(&mut self) -> (bool, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let mut length = usize::from(head[1]);
        if length == 126 {
            let mut long = [0; 2];
            self.0.read_exact(&mut long).unwrap();
            length = u16::from_be_bytes(long).into();
        }
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).unwrap();
        (head[0] != 0x88, payload)
    }

    fn meets(&mut self, what: &str, said: &[u8], fate: &Fate) {
        self.0.write_all(said).unwrap();
        let (is_message, payload) = self.next();
        let text = String::from_utf8_lossy(&payload);
        let is_met = match fate {
            Says(words) => is_message && text.starts_with(words),
            Closes(code) => !is_message && payload.starts_with(&code.to_be_bytes()),
        };
        assert!(is_met, "{what}: {text}");
    }
}

/// The torture messages of RFC 4475, bit by bit.
fn torture() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sip/tests/fixtures/rfc4475");
    let files = folder.read_dir().unwrap();
    let messages: Vec<_> = files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    assert!(messages.len() >= 49, "all of them");
    messages
}

/// Says all of it, again and again; each time the connection still serves, or was closed as documented.
fn torment(siege: &Siege, is_over: &AtomicBool) -> usize {
    step_back();
    let server = siege.site.server.address;
    let twisted = twisted(siege.site.domain());
    let good = options(
        siege.site.domain(),
        &format!("To: <sip:{}>\r\n", siege.site.domain()),
    );
    let torture = torture();
    let mut said = 0;
    while !is_over.load(Ordering::Relaxed) {
        for (what, bytes, fate) in &twisted {
            Line::open(server, said).meets(what, bytes, fate);
            said += 1;
        }
        for message in &torture {
            // As binary: some of them are no UTF-8.
            let mut bytes = frame(message);
            bytes[0] = 0x82;
            bytes.extend(frame(&good));
            let mut line = Line::open(server, said);
            line.0.write_all(&bytes).unwrap();
            // Behind whatever is said to the torture, if anything.
            while !line
                .next()
                .1
                .starts_with(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/WSS eve.invalid")
            {}
            said += 1;
        }
    }
    said
}

#[test]
#[ignore = "of full size: cargo xtask test siege"]
fn twisted_messages_and_frames() {
    let siege = Siege::new();
    let said = siege.stands(32 * MIB, |is_over| torment(&siege, is_over));
    assert!(said > 1_000, "{said}");
}
