//! One client of the measurement: as much of WebSocket (RFC 6455) and of a browser's messages as it takes to register
//! and to stay. It checks that each answer is a 200, and nothing else.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use super::{Account, connect, read_head};

/// A client that has registered on a connection of its own.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    number: usize,
    /// How many messages went out, where they are numbered.
    sent: Option<u64>,
    unread: Vec<u8>,
    /// Pings that it has answered while idle.
    pub(super) pings: u32,
}

impl Client {
    /// What a browser's client does: upgrades, registers, asks for TURN credentials; and reads each answer.
    pub(super) fn register(
        server: SocketAddr,
        account: &Account,
        number: usize,
        token: &str,
        resumable: bool,
    ) -> Result<Self, String> {
        let mut client = Self {
            stream: connect(server)?,
            number,
            sent: resumable.then_some(0),
            unread: Vec::new(),
            pings: 0,
        };
        client
            .upgrade()
            .map_err(|error| format!("connection {number} was not upgraded: {error}"))?;
        if resumable {
            client.open()?;
        }
        client.ask(&register(&account.domain, number, token))?;
        client.ask(&options(&account.domain, number))?;
        Ok(client)
    }

    fn upgrade(&mut self) -> std::io::Result<()> {
        let bits = u32::try_from(self.number).expect("there are fewer than 25,001");
        let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + bits);
        let protocol = if self.sent.is_some() {
            "sip-resume"
        } else {
            "sip"
        };
        let request = format!(
            "GET /sipproxy HTTP/1.1\r\nHost: webrtc-1-2-0.aculabcloud.net\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nOrigin: https://app.example.com\r\nX-Forwarded-For: {address}\r\n\
             User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes())?;
        let mut reader = BufReader::new(&self.stream);
        let head = read_head(&mut reader)?;
        if !head.starts_with("HTTP/1.1 101 ") {
            return Err(std::io::Error::other(head));
        }
        // The server speaks first only when it pings.
        debug_assert!(reader.buffer().is_empty());
        Ok(())
    }

    /// Begins a session (docs/resume.md).
    fn open(&mut self) -> Result<(), String> {
        self.exchange("OPEN", |answer| answer.starts_with("SESSION "))
    }

    /// Sends a request and wants a 200.
    fn ask(&mut self, message: &str) -> Result<(), String> {
        let is_ok = |answer: &str| answer.contains("SIP/2.0 200 ");
        match &mut self.sent {
            None => self.exchange(message, is_ok),
            Some(sent) => {
                *sent += 1;
                // Each request was answered before the next is sent.
                let frame = format!("{sent} {}\r\n{message}", *sent - 1);
                self.exchange(&frame, is_ok)
            }
        }
    }

    fn exchange(&mut self, text: &str, is_wanted: fn(&str) -> bool) -> Result<(), String> {
        let number = self.number;
        let broken = |error| format!("connection {number} broke: {error}");
        self.stream
            .write_all(&frame(TEXT, text.as_bytes()))
            .map_err(broken)?;
        loop {
            if let Some((opcode, payload)) = self.take_frame() {
                match opcode {
                    TEXT if is_wanted(&String::from_utf8_lossy(&payload)) => return Ok(()),
                    PING => self.pong(&payload).map_err(broken)?,
                    _ => return Err(self.unexpected(&payload)),
                }
            } else if self.read().map_err(broken)? == 0 {
                return Err(format!("connection {number} was closed"));
            }
        }
    }

    /// Answers the pings that have come, and waits for none.
    pub(super) fn answer(&mut self) -> Result<(), String> {
        let number = self.number;
        let broken = |error| format!("connection {number} broke: {error}");
        match self.read() {
            Ok(0) => return Err(format!("connection {number} was closed")),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(broken(error)),
        }
        while let Some((opcode, payload)) = self.take_frame() {
            if opcode != PING {
                return Err(self.unexpected(&payload));
            }
            self.pings += 1;
            self.pong(&payload).map_err(broken)?;
        }
        Ok(())
    }

    fn unexpected(&self, payload: &[u8]) -> String {
        let text = String::from_utf8_lossy(payload);
        format!("connection {} was told: {text}", self.number)
    }

    fn pong(&mut self, payload: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(&frame(PONG, payload))
    }

    fn read(&mut self) -> std::io::Result<usize> {
        let mut bytes = [0; 4096];
        let length = self.stream.read(&mut bytes)?;
        self.unread.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    /// The next whole frame: its opcode and its payload (RFC 6455 §5.2; what a server sends is not masked).
    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (first, second) = (*self.unread.first()?, *self.unread.get(1)?);
        let (start, length) = match second {
            126 => {
                let length = self.unread.get(2..4)?;
                (4, usize::from(length[0]) << 8 | usize::from(length[1]))
            }
            length => (2, usize::from(length)),
        };
        let payload = self.unread.get(start..start + length)?.to_vec();
        self.unread.drain(..start + length);
        Some((first & 0x0f, payload))
    }
}

fn register(domain: &str, number: usize, token: &str) -> String {
    format!(
        "REGISTER sip:{domain} SIP/2.0\r\n\
         Via: SIP/2.0/WSS agent{number:07}.invalid;branch=z9hG4bK9{number:06}\r\n\
         To: <sip:c{number}@{domain}>\r\n\
         From: <sip:c{number}@{domain}>;tag=o1{number:08}\r\n\
         CSeq: 2 REGISTER\r\n\
         Call-ID: 3oohli0a8{number:011}\r\n\
         Max-Forwards: 70\r\n\
         Authorization: Bearer {token}\r\n\
         Contact: <sip:qa{number:06}@agent{number:07}.invalid;transport=ws>;expires=600\r\n\
         Allow: ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER\r\n\
         Supported: outbound, path, gruu\r\n\
         User-Agent: AculabCloudClient\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn options(domain: &str, number: usize) -> String {
    let (_, host) = domain.split_once('.').unwrap_or(("", domain));
    format!(
        "OPTIONS sip:{host} SIP/2.0\r\n\
         Via: SIP/2.0/WSS agent{number:07}.invalid;branch=z9hG4bK4{number:06}\r\n\
         To: <sip:{host}>\r\n\
         From: <sip:c{number}@{domain}>;tag=3c{number:08}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Call-ID: 3oohllpqb{number:011}\r\n\
         Max-Forwards: 70\r\n\
         X-AculabTurnRequest: 1\r\n\
         Supported: outbound\r\n\
         User-Agent: AculabCloudClient\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

const TEXT: u8 = 1;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A whole frame of a client: masked, with a key that changes nothing (RFC 6455 §5.3).
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length),
        Ok(_) | Err(_) => {
            let length = u16::try_from(payload.len()).expect("our messages are shorter");
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_short_and_long_lengths() {
        assert_eq!(frame(TEXT, b"hi"), [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        let long = frame(PONG, &[7; 300]);
        assert_eq!(long[..8], [0x8a, 0xfe, 1, 44, 0, 0, 0, 0]);
        assert_eq!(long.len(), 308);
    }
}
