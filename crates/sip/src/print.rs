//! Writes a message front to back into one buffer. Content-Length comes last, always (RFC 3261 §20.14). No value can
//! break out of its row: CR, LF and NUL become spaces. Never folds a row.

use std::fmt::{self, Write as _};

use crate::message::Request;
use crate::reply::ReplyHead;

/// Room for the rows that usually follow a start line.
const USUAL_HEAD: usize = 768;

/// A message being written.
#[derive(Clone, Debug)]
pub struct MessageWriter {
    buffer: Vec<u8>,
}

impl MessageWriter {
    /// Begins a request.
    pub fn request(method: &str, uri: &str) -> Self {
        let mut writer = Self {
            buffer: Vec::with_capacity(USUAL_HEAD),
        };
        writer.text(method);
        writer.buffer.push(b' ');
        writer.text(uri);
        writer.buffer.extend_from_slice(b" SIP/2.0\r\n");
        writer
    }

    /// Begins a response with the rows it repeats from the request (RFC 3261 §8.2.6.2). The tag goes into To if that has
    /// none yet.
    pub fn reply(request: &Request<'_>, status: u16, reason: &str, to_tag: Option<&str>) -> Self {
        let mut writer = Self::status(status, reason, USUAL_HEAD);
        ReplyHead::repeat(request, status, to_tag, &mut writer.buffer);
        writer
    }

    /// Begins a response: its status line.
    /// Begins a response to a request that is not at hand: every row is its owner's to write.
    pub fn response(status: u16, reason: &str) -> Self {
        Self::status(status, reason, USUAL_HEAD)
    }

    pub(crate) fn status(status: u16, reason: &str, room: usize) -> Self {
        let mut writer = Self {
            buffer: Vec::with_capacity(room),
        };
        writer.buffer.extend_from_slice(b"SIP/2.0 ");
        writer.number(usize::from(status));
        writer.buffer.push(b' ');
        writer.text(reason);
        writer.buffer.extend_from_slice(b"\r\n");
        writer
    }

    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Adds a row.
    pub fn header(&mut self, name: &str, value: impl fmt::Display) -> &mut Self {
        self.text(name);
        self.buffer.extend_from_slice(b": ");
        // Only a `Display` that fails by itself can fail here; what it wrote so far stands.
        _ = write!(OneLine(&mut self.buffer), "{value}");
        self.buffer.extend_from_slice(b"\r\n");
        self
    }

    /// Ends the message without a body.
    pub fn finish(self) -> Vec<u8> {
        self.finish_with(b"")
    }

    /// Ends the message with this body; its Content-Type was written by [`header`](Self::header).
    pub fn finish_with(mut self, body: &[u8]) -> Vec<u8> {
        self.buffer.reserve(40 + body.len());
        self.buffer.extend_from_slice(b"Content-Length: ");
        self.number(body.len());
        self.buffer.extend_from_slice(b"\r\n\r\n");
        self.buffer.extend_from_slice(body);
        self.buffer
    }

    fn text(&mut self, text: &str) {
        push_line(&mut self.buffer, text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).expect("a digit fits");
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.buffer.extend_from_slice(&digits[at..]);
    }
}

/// Appends bytes, with spaces in place of CR, LF and NUL.
pub(crate) fn push_line(buffer: &mut Vec<u8>, mut bytes: &[u8]) {
    while let Some(at) = memchr::memchr3(b'\r', b'\n', 0, bytes) {
        buffer.extend_from_slice(&bytes[..at]);
        buffer.push(b' ');
        bytes = &bytes[at + 1..];
    }
    buffer.extend_from_slice(bytes);
}

struct OneLine<'b>(&'b mut Vec<u8>);

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_line(self.0, text.as_bytes());
        Ok(())
    }
}
