//! WebSocket frames written by hand: in pieces, in fragments, many at once, and wrong ones.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{Server, Site, in_time};
use crate::words::Words;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const FIRST: u8 = 0x01;
const MIDDLE: u8 = 0x00;
const LAST: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client that is a socket and nothing else.
struct Raw {
    stream: TcpStream,
    words: Words,
    /// What was answered to the upgrade.
    head: String,
}

impl Raw {
    async fn connect(site: &Site, server: &Server) -> Self {
        Self::connect_and_say(site, server, |_| Vec::new()).await
    }

    /// `first` are bytes that come right behind the request for the upgrade.
    async fn connect_and_say(
        site: &Site,
        server: &Server,
        first: impl FnOnce(&mut Words) -> Vec<u8>,
    ) -> Self {
        let mut words = Words::of(site, "bob");
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let upgrade = "GET /sipproxy HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat, sip\r\n\r\n";
        let bytes = [upgrade.as_bytes(), &first(&mut words)].concat();
        stream.write_all(&bytes).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(in_time(stream.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        Self {
            stream,
            words,
            head,
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next frame: its first byte and its payload. The end of the stream: none.
    async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = in_time(self.stream.read_u8()).await.ok()?;
        let length = match self.stream.read_u8().await.unwrap() {
            126 => self.stream.read_u16().await.unwrap().into(),
            127 => usize::try_from(self.stream.read_u64().await.unwrap()).unwrap(),
            length => {
                assert!(length < 126, "a server masks nothing");
                length.into()
            }
        };
        let mut payload = vec![0; length];
        in_time(self.stream.read_exact(&mut payload)).await.unwrap();
        Some((first, payload))
    }

    async fn hears(&mut self, status: &str) {
        let (first, payload) = self.read().await.unwrap();
        let text = String::from_utf8(payload).unwrap();
        assert!(first == TEXT && text.starts_with(status), "{text}");
    }

    /// With which code it is closed.
    async fn closed(&mut self) -> u16 {
        loop {
            let (first, payload) = self.read().await.unwrap();
            if first == CLOSE {
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
    }
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => bytes.push(0x80 | length),
        Ok(_) | Err(_) => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
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

#[tokio::test]
async fn the_upgrade_proves_itself_and_takes_no_extension() {
    let site = Site::new().await;
    let server = site.serve().await;
    let bob = Raw::connect(&site, &server).await;
    let head = bob.head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    // RFC 6455 §1.3's example.
    assert!(bob.head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    assert!(head.contains("sec-websocket-protocol: sip\r\n"), "{head}");
    assert!(!head.contains("sec-websocket-extensions"), "{head}");
    server.stop().await;
}

#[tokio::test]
async fn a_message_may_come_byte_by_byte_in_fragments_or_with_others() {
    let site = Site::new().await;
    let server = site.serve().await;
    let options = |words: &mut Words| frame(TEXT, words.options().as_bytes());
    // Right behind the upgrade, before its answer.
    let mut bob = Raw::connect_and_say(&site, &server, options).await;
    bob.hears("SIP/2.0 200").await;
    for byte in options(&mut bob.words) {
        bob.write(&[byte]).await;
    }
    bob.hears("SIP/2.0 200").await;
    let text = bob.words.options();
    let (begin, rest) = text.as_bytes().split_at(100);
    let (middle, end) = rest.split_at(50);
    let parts = [
        frame(FIRST, begin),
        frame(PING, b"alive?"),
        frame(MIDDLE, middle),
        frame(LAST, end),
    ];
    bob.write(&parts.concat()).await;
    assert_eq!(bob.read().await, Some((PONG, b"alive?".to_vec())));
    bob.hears("SIP/2.0 200").await;
    let many: Vec<u8> = (0..20).flat_map(|_| options(&mut bob.words)).collect();
    let (most, rest) = many.split_at(many.len() - 7);
    bob.write(most).await;
    for _ in 0..19 {
        bob.hears("SIP/2.0 200").await;
    }
    bob.write(rest).await;
    bob.hears("SIP/2.0 200").await;
    let binary = frame(BINARY, bob.words.options().as_bytes());
    bob.write(&binary).await;
    bob.hears("SIP/2.0 200").await;
    server.stop().await;
}

#[tokio::test]
async fn a_frame_that_breaks_the_protocol_is_closed_with_its_code_and_others_go_on() {
    let site = Site::new().await;
    let server = site.serve().await;
    let mut ann = Raw::connect(&site, &server).await;
    let unmasked = b"\x81\x02hi".to_vec();
    for (wrong, code) in [
        (unmasked, 1002),
        (frame(0xc1, b"compressed"), 1002),
        (frame(0x83, b"of no kind"), 1002),
        (frame(PING & 0x7f, b"a ping in pieces"), 1002),
        (frame(LAST, b"the end of nothing"), 1002),
        (
            [frame(FIRST, b"one"), frame(TEXT, b"within another")].concat(),
            1002,
        ),
        (frame(TEXT, b"\xff\xfe"), 1007),
    ] {
        let mut bob = Raw::connect(&site, &server).await;
        bob.write(&wrong).await;
        assert_eq!(bob.closed().await, code, "{wrong:?}");
        let options = frame(TEXT, ann.words.options().as_bytes());
        ann.write(&options).await;
        ann.hears("SIP/2.0 200").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_goodbye_is_answered_and_the_connection_ends() {
    let site = Site::new().await;
    let server = site.serve().await;
    for goodbye in [&[][..], &1000_u16.to_be_bytes(), b"\x03\xe9going away"] {
        let mut bob = Raw::connect(&site, &server).await;
        bob.write(&frame(CLOSE, goodbye)).await;
        assert_eq!(bob.closed().await, 1000);
        assert_eq!(bob.read().await, None);
    }
    server.stop().await;
}
