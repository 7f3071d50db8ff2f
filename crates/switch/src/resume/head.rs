//! The heads of frames: ASCII words before a message, or in its place (docs/resume.md, "Frames").
//!
//! Reads and writes; never decides what a number means.

use std::io::Write;

/// The largest number that every client can count to: a browser's numbers are exact up to 2^53.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// A frame that breaks the protocol; the session ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It begins with none of the words.
    #[error("a frame begins with OPEN, RESUME, ACK, PING or two numbers")]
    Head,
    /// A message is missing before this one.
    #[error("the numbers of messages go up by one")]
    Gap,
    /// What is said to have been received was never sent, or is forgotten.
    #[error("what is acknowledged was never sent")]
    Acknowledgement,
}

/// The first frame of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening<'a> {
    /// Begins a session.
    Open,
    /// Goes on with one.
    Resume {
        /// The last that the client was given.
        credential: &'a str,
        /// How far it has received.
        received: u64,
    },
}

impl<'a> Opening<'a> {
    /// Reads a client's first frame.
    pub fn parse(frame: &'a [u8]) -> Result<Self, Broken> {
        let text = std::str::from_utf8(frame).map_err(|_| Broken::Head)?;
        let mut words = text.split(' ');
        let opening = match (words.next(), words.next(), words.next()) {
            (Some("OPEN"), None, None) => Self::Open,
            (Some("RESUME"), Some(credential), Some(received)) => Self::Resume {
                credential,
                received: number(received.as_bytes())?,
            },
            _ => return Err(Broken::Head),
        };
        if words.next().is_some() {
            return Err(Broken::Head);
        }
        Ok(opening)
    }
}

/// Any later frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Message {
        number: u64,
        received: u64,
        message: &'a [u8],
    },
    Ack {
        received: u64,
    },
    Ping,
}

impl<'a> Frame<'a> {
    pub(super) fn parse(frame: &'a [u8]) -> Result<Self, Broken> {
        if frame == b"PING" {
            return Ok(Self::Ping);
        }
        if let Some(received) = frame.strip_prefix(b"ACK ") {
            let received = number(received)?;
            return Ok(Self::Ack { received });
        }
        let space = position(frame, b' ')?;
        let end = position(frame, b'\r')?;
        let (head, message) = (&frame[..end], &frame[end..]);
        Ok(Self::Message {
            number: number(&head[..space.min(end)])?,
            received: number(head.get(space + 1..).unwrap_or_default())?,
            message: message.strip_prefix(b"\r\n").ok_or(Broken::Head)?,
        })
    }
}

/// A message behind its head.
pub(super) fn message(number: u64, received: u64, message: &[u8]) -> Vec<u8> {
    // Two numbers of 16 digits at most, a space and a line end.
    let mut frame = Vec::with_capacity(message.len() + 2 * 16 + 3);
    write!(frame, "{number} {received}\r\n").expect("a Vec takes everything");
    frame.extend_from_slice(message);
    frame
}

pub(super) fn ack(received: u64) -> Vec<u8> {
    format!("ACK {received}").into_bytes()
}

/// Where a byte first stands, which in a head is within its first 40.
fn position(frame: &[u8], wanted: u8) -> Result<usize, Broken> {
    let head = &frame[..frame.len().min(40)];
    head.iter()
        .position(|byte| *byte == wanted)
        .ok_or(Broken::Head)
}

/// One way to write each number: digits, none of them a needless zero.
fn number(digits: &[u8]) -> Result<u64, Broken> {
    let is_plain = digits.iter().all(u8::is_ascii_digit)
        && (1..=16).contains(&digits.len())
        && (digits.len() == 1 || digits[0] != b'0');
    if !is_plain {
        return Err(Broken::Head);
    }
    let value = digits
        .iter()
        .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    if value > NUMBER_MAX {
        return Err(Broken::Head);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_is_open_or_resume_and_nothing_else() {
        assert_eq!(Opening::parse(b"OPEN"), Ok(Opening::Open));
        let resume = Opening::Resume {
            credential: "7.ab",
            received: 12,
        };
        assert_eq!(Opening::parse(b"RESUME 7.ab 12"), Ok(resume));
        for broken in [
            "",
            "open",
            "OPEN ",
            "OPEN 1",
            "RESUME",
            "RESUME 7.ab",
            "RESUME 7.ab 012",
            "RESUME 7.ab -1",
            "RESUME 7.ab 1 2",
            "RESUME 7.ab 9007199254740992",
            "RESUME 7.ab 1\r\n",
            "REGISTER sip:x SIP/2.0\r\n",
        ] {
            assert_eq!(
                Opening::parse(broken.as_bytes()),
                Err(Broken::Head),
                "{broken}"
            );
        }
        assert_eq!(Opening::parse(b"\xff"), Err(Broken::Head));
    }

    #[test]
    fn later_frames_are_messages_acks_and_pings() {
        let message = Frame::Message {
            number: 3,
            received: 0,
            message: b"BYE sip:x SIP/2.0\r\n\r\n",
        };
        assert_eq!(
            Frame::parse(b"3 0\r\nBYE sip:x SIP/2.0\r\n\r\n"),
            Ok(message)
        );
        let keep_alive = Frame::Message {
            number: 9_007_199_254_740_991,
            received: 9_007_199_254_740_991,
            message: b"\r\n\r\n",
        };
        let text = b"9007199254740991 9007199254740991\r\n\r\n\r\n";
        assert_eq!(Frame::parse(text), Ok(keep_alive));
        assert_eq!(Frame::parse(b"ACK 17"), Ok(Frame::Ack { received: 17 }));
        assert_eq!(Frame::parse(b"PING"), Ok(Frame::Ping));
        for broken in [
            "",
            "\r\n",
            "ACK",
            "ACK ",
            "ACK x",
            "ACK 1 ",
            "PING ",
            "1\r\n",
            "1 \r\n",
            " 1\r\n",
            "1 2",
            "1 2\rX",
            "1 2\n\n",
            "01 2\r\n",
            "1  2\r\n",
            "+1 2\r\n",
            "1 2 \r\n",
            "1\r\n 2\r\n",
        ] {
            assert_eq!(
                Frame::parse(broken.as_bytes()),
                Err(Broken::Head),
                "{broken:?}"
            );
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let frame = message(4, 2, b"\xffbody");
        let read = Frame::Message {
            number: 4,
            received: 2,
            message: b"\xffbody",
        };
        assert_eq!(Frame::parse(&frame), Ok(read));
        assert_eq!(Frame::parse(&ack(0)), Ok(Frame::Ack { received: 0 }));
    }
}
