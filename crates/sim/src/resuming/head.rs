//! The heads of frames as a client reads and writes them (docs/resume.md, "Frames").

/// A frame that comes from a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head<'a> {
    Session {
        credential: &'a str,
        window_s: u64,
        received: u64,
    },
    Gone,
    Ack {
        received: u64,
    },
    Message {
        number: u64,
        received: u64,
        message: &'a [u8],
    },
}

impl<'a> Head<'a> {
    pub(super) fn parse(frame: &'a [u8]) -> Option<Self> {
        let end = frame.windows(2).position(|pair| pair == b"\r\n");
        let head = std::str::from_utf8(&frame[..end.unwrap_or(frame.len())]).ok()?;
        let words: Vec<&str> = head.split(' ').collect();
        match (words.as_slice(), end) {
            (["SESSION", credential, window, received], None) => Some(Self::Session {
                credential,
                window_s: window.parse().ok()?,
                received: received.parse().ok()?,
            }),
            (["GONE", ..], None) => Some(Self::Gone),
            (["ACK", received], None) => Some(Self::Ack {
                received: received.parse().ok()?,
            }),
            ([number, received], Some(end)) => Some(Self::Message {
                number: number.parse().ok()?,
                received: received.parse().ok()?,
                message: &frame[end + 2..],
            }),
            (_, _) => None,
        }
    }
}

pub(super) fn message(number: u64, received: u64, message: &[u8]) -> Vec<u8> {
    let mut frame = format!("{number} {received}\r\n").into_bytes();
    frame.extend_from_slice(message);
    frame
}

pub(super) fn ack(received: u64) -> Vec<u8> {
    format!("ACK {received}").into_bytes()
}

/// What a frame carries behind its head, and the head; nothing if it has none.
pub fn without_head(frame: &[u8]) -> Option<(&str, &[u8])> {
    let end = frame.windows(2).position(|pair| pair == b"\r\n")?;
    let head = std::str::from_utf8(&frame[..end]).ok()?;
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let (number, received) = head.split_once(' ')?;
    (is_number(number) && is_number(received)).then(|| (head, &frame[end + 2..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_send_is_read() {
        let session = Head::Session {
            credential: "7.ab",
            window_s: 60,
            received: 3,
        };
        assert_eq!(Head::parse(b"SESSION 7.ab 60 3"), Some(session));
        assert_eq!(Head::parse(b"GONE it is over"), Some(Head::Gone));
        assert_eq!(Head::parse(b"ACK 4"), Some(Head::Ack { received: 4 }));
        let frame = message(5, 2, b"\r\n\r\n");
        let read = Head::Message {
            number: 5,
            received: 2,
            message: b"\r\n\r\n",
        };
        assert_eq!(Head::parse(&frame), Some(read));
        assert_eq!(Head::parse(b"BYE sip:x SIP/2.0\r\n\r\n"), None);
        assert_eq!(without_head(&frame), Some(("5 2", &b"\r\n\r\n"[..])));
        assert_eq!(without_head(b"SIP/2.0 200\r\n"), None);
    }
}
