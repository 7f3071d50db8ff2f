//! How messages lie in a stream: as frames of a WebSocket (RFC 6455) or as answers of HTTP/1.1 (RFC 9112).
//!
//! As much as a client needs of a server that is measured: no fragments, no compression, no chunks.

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    WebSocket,
    Http,
}

/// The next thing in what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Message(&'a [u8]),
    Ping(&'a [u8]),
    /// Nothing to do about it.
    Other,
    /// The server says goodbye, and why.
    Close(&'a [u8]),
    /// More has to come.
    Part,
    /// What we do not understand.
    Broken,
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const LAST: u8 = 0x80;
const MASKED: u8 = 0x80;
/// Longer ones say so.
const SHORT: usize = 125;

impl Framing {
    /// Looks at the beginning of `bytes`; says also how many of them it was.
    pub(super) fn next(self, bytes: &[u8]) -> (Found<'_>, usize) {
        match self {
            Self::WebSocket => frame(bytes),
            Self::Http => answer(bytes),
        }
    }
}

fn frame(bytes: &[u8]) -> (Found<'_>, usize) {
    let &[first, second, ref rest @ ..] = bytes else {
        return (Found::Part, 0);
    };
    let (head, length) = match second {
        126 => match rest {
            &[high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
            _ => return (Found::Part, 0),
        },
        // 64 KiB and more, which no server sends here; or masked.
        127.. => return (Found::Broken, 0),
        length => (2, usize::from(length)),
    };
    let Some(payload) = bytes.get(head..head + length) else {
        return (Found::Part, 0);
    };
    let found = match first {
        first if first == LAST | TEXT || first == LAST | BINARY => Found::Message(payload),
        first if first == LAST | PING => Found::Ping(payload),
        first if first == LAST | PONG => Found::Other,
        first if first == LAST | CLOSE => Found::Close(payload.get(2..).unwrap_or_default()),
        _ => Found::Broken,
    };
    (found, head + length)
}

fn answer(bytes: &[u8]) -> (Found<'_>, usize) {
    let Some(head) = head_len(bytes) else {
        return (Found::Part, 0);
    };
    let rows = bytes[..head].split(|byte| *byte == b'\n').skip(1);
    let mut length = 0;
    for row in rows {
        let Some(colon) = row.iter().position(|byte| *byte == b':') else {
            continue;
        };
        if row[..colon].eq_ignore_ascii_case(b"content-length") {
            let number = std::str::from_utf8(&row[colon + 1..]).ok();
            let Some(number) = number.and_then(|text| text.trim().parse::<usize>().ok()) else {
                return (Found::Broken, 0);
            };
            length = number;
        }
    }
    match bytes.get(..head + length) {
        Some(whole) => (Found::Message(whole), head + length),
        None => (Found::Part, 0),
    }
}

/// Up to and with the empty line.
pub(super) fn head_len(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// Appends a frame of a client: masked, with a key that changes nothing (RFC 6455 §5.3), so that the server has its work and
/// we have none.
pub(super) fn push_text(out: &mut Vec<u8>, message: &[u8]) {
    push(out, TEXT, message);
}

pub(super) fn push_pong(out: &mut Vec<u8>, payload: &[u8]) {
    push(out, PONG, payload);
}

fn push(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(LAST | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if usize::from(length) <= SHORT => out.push(MASKED | length),
        (_, Ok(length)) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_when_they_are_whole() {
        let mut bytes = vec![0x81, 2, b'h', b'i', 0x89, 1, b'p', 0x81, 126, 1, 44];
        bytes.extend([7; 300]);
        let (found, hi) = frame(&bytes);
        assert_eq!((found, hi), (Found::Message(b"hi"), 4));
        let (found, ping) = frame(&bytes[hi..]);
        assert_eq!((found, ping), (Found::Ping(b"p"), 3));
        let long = &bytes[hi + ping..];
        assert_eq!(frame(long), (Found::Message(&[7; 300]), 304));
        for len in 0..304 {
            assert_eq!(frame(&long[..len]), (Found::Part, 0), "{len}");
        }
        assert_eq!(
            frame(&[0x88, 4, 3, 0xf3, b'n', b'o']).0,
            Found::Close(b"no")
        );
        assert_eq!(frame(&[0x01, 1, b'x']).0, Found::Broken, "a fragment");
        assert_eq!(frame(&[0x81, 127, 0]).0, Found::Broken);
    }

    #[test]
    fn answers_of_http_have_the_length_that_they_say() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 204 No\r\n\r\n";
        let (found, first) = answer(bytes);
        assert_eq!(found, Found::Message(&bytes[..first]));
        assert!(bytes[..first].ends_with(b"hi"));
        assert_eq!(answer(&bytes[..first - 1]).0, Found::Part);
        assert_eq!(
            answer(&bytes[first..]),
            (Found::Message(&bytes[first..]), bytes.len() - first)
        );
    }

    #[test]
    fn what_a_client_sends_is_masked_and_says_its_length() {
        let sent = |len: usize| {
            let mut out = Vec::new();
            push_text(&mut out, &vec![b'x'; len]);
            (out[..2].to_vec(), out.len() - len)
        };
        assert_eq!(sent(125), (vec![0x81, 0x80 | 125], 6));
        assert_eq!(sent(126), (vec![0x81, 0x80 | 126], 8));
        assert_eq!(sent(70_000), (vec![0x81, 0x80 | 127], 14));
    }
}
