//! WebSocket frames as a server of SIP reads and writes them: RFC 6455 §5, RFC 7118.
//!
//! [`Decoder`] unmasks frames in place, in whatever buffer they lie; it keeps nothing but the parts of a message that came
//! in several frames. No extension is spoken (§9), so every reserved bit is a fault. Never reads or writes a socket, and
//! never answers by itself.

use std::ops::Deref;

/// The longest payload of a control frame (§5.5).
const CONTROL_BYTES: usize = 125;
const LAST: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What a client has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole message, text or binary; text is UTF-8.
    Message(Payload<'a>),
    /// A part of a message whose end has not come.
    Part,
    /// Wants a pong with the same payload.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong,
    /// The client says goodbye, with this code if any.
    Close(Option<u16>),
}

/// The bytes of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// Where they came in.
    Here(&'a [u8]),
    /// Put together from several frames.
    Joined(Vec<u8>),
}

impl Deref for Payload<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Here(bytes) => bytes,
            Self::Joined(bytes) => bytes,
        }
    }
}

/// What a buffer begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A frame of so many bytes, head and all.
    Frame(Frame<'a>, usize),
    /// The beginning of a frame that has so many bytes, as far as can be seen.
    Wanting(usize),
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It breaks the protocol: 1002 (§7.4.1).
    Protocol,
    /// A text message is not UTF-8: 1007.
    NotUtf8,
    /// A message is longer than it may be: 1009.
    TooLarge,
}

/// Reads the frames of one client.
#[derive(Debug)]
pub struct Decoder {
    /// Bytes of a message at most.
    limit: usize,
    /// Of a message that came in several frames, what has come.
    parts: Option<Box<Parts>>,
}

#[derive(Debug)]
struct Parts {
    is_text: bool,
    bytes: Vec<u8>,
}

/// The head of a frame (§5.2).
#[derive(Clone, Copy, Debug)]
struct Head {
    is_last: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Bytes of the head.
    len: usize,
    payload: usize,
}

impl Decoder {
    /// For messages of `limit` bytes at most.
    pub fn new(limit: usize) -> Self {
        Self { limit, parts: None }
    }

    /// Looks at the beginning of `bytes`, and unmasks the frame there if it is whole.
    pub fn step<'a>(&mut self, bytes: &'a mut [u8]) -> Result<Step<'a>, Broken> {
        let head = match Head::read(bytes, self.limit)? {
            Ok(head) => head,
            Err(wanting) => return Ok(Step::Wanting(wanting)),
        };
        let whole = head.len + head.payload;
        self.check(&head)?;
        let Some(payload) = bytes.get_mut(head.len..whole) else {
            return Ok(Step::Wanting(whole));
        };
        unmask(payload, head.mask);
        Ok(Step::Frame(self.frame(&head, payload)?, whole))
    }

    /// What can be said before the payload has come (§5.4, §5.5).
    fn check(&self, head: &Head) -> Result<(), Broken> {
        let is_expected = match head.opcode {
            CONTINUATION => self.parts.is_some(),
            TEXT | BINARY => self.parts.is_none(),
            CLOSE | PING | PONG => head.is_last && head.payload <= CONTROL_BYTES,
            _ => false,
        };
        let kept = match &self.parts {
            Some(parts) if head.opcode == CONTINUATION => parts.bytes.len(),
            Some(_) | None => 0,
        };
        if !is_expected {
            Err(Broken::Protocol)
        } else if kept + head.payload > self.limit {
            Err(Broken::TooLarge)
        } else {
            Ok(())
        }
    }

    fn frame<'a>(&mut self, head: &Head, payload: &'a [u8]) -> Result<Frame<'a>, Broken> {
        match head.opcode {
            PING => Ok(Frame::Ping(payload)),
            PONG => Ok(Frame::Pong),
            CLOSE => close(payload),
            CONTINUATION => {
                let mut parts = self.parts.take().ok_or(Broken::Protocol)?;
                parts.bytes.extend_from_slice(payload);
                if !head.is_last {
                    self.parts = Some(parts);
                    return Ok(Frame::Part);
                }
                check_text(parts.is_text, &parts.bytes)?;
                Ok(Frame::Message(Payload::Joined(parts.bytes)))
            }
            opcode => {
                let is_text = opcode == TEXT;
                if head.is_last {
                    check_text(is_text, payload)?;
                    return Ok(Frame::Message(Payload::Here(payload)));
                }
                self.parts = Some(Box::new(Parts {
                    is_text,
                    bytes: payload.to_vec(),
                }));
                Ok(Frame::Part)
            }
        }
    }
}

impl Head {
    /// The head, or how many bytes are wanted to know more.
    fn read(bytes: &[u8], limit: usize) -> Result<Result<Self, usize>, Broken> {
        let &[first, second, ..] = bytes else {
            return Ok(Err(2));
        };
        // §5.1: a client masks every frame.
        if first & RESERVED != 0 || second & MASKED == 0 {
            return Err(Broken::Protocol);
        }
        let (length_len, length) = match second & LENGTH {
            LENGTH_16 => (2, bytes.get(2..4).map(number)),
            LENGTH_64 => (8, bytes.get(2..10).map(number)),
            length => (0, Some(length.into())),
        };
        let len = 2 + length_len + 4;
        let Some(length) = length else {
            return Ok(Err(len));
        };
        let payload = usize::try_from(length).map_err(|_| Broken::TooLarge)?;
        if payload > limit {
            return Err(Broken::TooLarge);
        }
        let Some(mask) = bytes
            .get(len - 4..len)
            .and_then(|mask| mask.try_into().ok())
        else {
            return Ok(Err(len + payload));
        };
        Ok(Ok(Self {
            is_last: first & LAST != 0,
            opcode: first & OPCODE,
            mask,
            len,
            payload,
        }))
    }
}

fn number(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// §5.3, many bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    const WIDE: usize = 32;
    let wide: [u8; WIDE] = std::array::from_fn(|at| mask[at % mask.len()]);
    let (chunks, rest) = payload.as_chunks_mut::<WIDE>();
    for chunk in chunks {
        for (byte, key) in chunk.iter_mut().zip(wide) {
            *byte ^= key;
        }
    }
    for (byte, key) in rest.iter_mut().zip(wide) {
        *byte ^= key;
    }
}

fn check_text(is_text: bool, bytes: &[u8]) -> Result<(), Broken> {
    if is_text && std::str::from_utf8(bytes).is_err() {
        return Err(Broken::NotUtf8);
    }
    Ok(())
}

/// §5.5.1, §7.4.
fn close(payload: &[u8]) -> Result<Frame<'_>, Broken> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(Frame::Close(None)),
            _ => Err(Broken::Protocol),
        };
    };
    check_text(true, reason)?;
    match u16::from_be_bytes(*code) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(Frame::Close(Some(code))),
        _ => Err(Broken::Protocol),
    }
}

/// Appends a message: text, or binary where it is not UTF-8 (RFC 7118 §4.2).
pub fn push_message(out: &mut Vec<u8>, message: &[u8]) {
    let is_text = std::str::from_utf8(message).is_ok();
    push(out, if is_text { TEXT } else { BINARY }, &[message]);
}

/// Appends a ping without a payload.
pub fn push_ping(out: &mut Vec<u8>) {
    push(out, PING, &[]);
}

/// Appends the answer to a ping.
pub fn push_pong(out: &mut Vec<u8>, payload: &[u8]) {
    push(out, PONG, &[payload]);
}

/// Appends a goodbye; a reason that is longer than it may be is cut.
pub fn push_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let cut = reason.floor_char_boundary(CONTROL_BYTES - 2);
    push(
        out,
        CLOSE,
        &[&code.to_be_bytes(), &reason.as_bytes()[..cut]],
    );
}

/// A server masks nothing (§5.1).
fn push(out: &mut Vec<u8>, opcode: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.reserve(length + 10);
    out.push(LAST | opcode);
    match length {
        0..=CONTROL_BYTES => out.push(length as u8),
        126..=0xffff => {
            out.push(LENGTH_16);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(LENGTH_64);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    const LIMIT: usize = 1_000;

    fn sent(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..126 => bytes.push(MASKED | short as u8),
            long => {
                bytes.push(MASKED | LENGTH_16);
                bytes.extend((long as u16).to_be_bytes());
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

    /// Every frame in it, in words.
    fn read(decoder: &mut Decoder, bytes: &[u8]) -> Result<Vec<String>, Broken> {
        let mut bytes = bytes.to_vec();
        let (mut at, mut words) = (0, Vec::new());
        while at < bytes.len() {
            match decoder.step(&mut bytes[at..])? {
                Step::Frame(frame, len) => {
                    words.push(match frame {
                        Frame::Message(payload) => String::from_utf8_lossy(&payload).into_owned(),
                        other @ (Frame::Part | Frame::Ping(_) | Frame::Pong | Frame::Close(_)) => {
                            format!("{other:?}")
                        }
                    });
                    at += len;
                }
                Step::Wanting(wanting) => {
                    words.push(format!("wanting {wanting}"));
                    break;
                }
            }
        }
        Ok(words)
    }

    fn all(frames: &[Vec<u8>]) -> Result<Vec<String>, Broken> {
        read(&mut Decoder::new(LIMIT), &frames.concat())
    }

    #[test]
    fn the_example_of_the_rfc_is_read() {
        // §5.7: "Hello", masked; the same in two fragments.
        let hello = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        assert_eq!(all(&[hello.to_vec()]), Ok(vec!["Hello".to_owned()]));
        let parts = [
            sent(TEXT, b"Hel"),
            sent(LAST | PING, b"?"),
            sent(LAST | CONTINUATION, b"lo"),
        ];
        assert_eq!(
            all(&parts),
            Ok(vec![
                "Part".to_owned(),
                "Ping([63])".to_owned(),
                "Hello".to_owned()
            ])
        );
    }

    #[test]
    fn what_breaks_the_protocol_is_broken() {
        let unmasked = vec![0x81, 0x02, b'h', b'i'];
        for wrong in [
            vec![unmasked],
            vec![sent(0xc1, b"compressed")],
            vec![sent(0x83, b"no opcode")],
            vec![sent(PING, b"a fragment of control")],
            vec![sent(LAST | PING, &[0; 126])],
            vec![sent(LAST | CONTINUATION, b"of nothing")],
            vec![sent(TEXT, b"one"), sent(LAST | TEXT, b"within another")],
            vec![sent(LAST | CLOSE, &[3])],
            vec![sent(LAST | CLOSE, &[3, 0xed])],
        ] {
            assert_eq!(all(&wrong), Err(Broken::Protocol), "{wrong:?}");
        }
        assert_eq!(all(&[sent(LAST | TEXT, &[0xff])]), Err(Broken::NotUtf8));
        assert!(all(&[sent(LAST | BINARY, &[0xff])]).is_ok());
        let split = [sent(TEXT, &[0xc3]), sent(LAST | CONTINUATION, &[0xa9])];
        assert_eq!(all(&split), Ok(vec!["Part".to_owned(), "é".to_owned()]));
    }

    #[test]
    fn what_is_too_large_is_known_from_its_head() {
        let long = sent(LAST | TEXT, &[b'x'; LIMIT + 1]);
        assert_eq!(all(&[long[..4].to_vec()]), Err(Broken::TooLarge));
        assert_eq!(
            all(&[sent(LAST | TEXT, &[b'x'; LIMIT])]).map(|all| all.len()),
            Ok(1)
        );
        let parts = [sent(TEXT, &[b'x'; 600]), sent(CONTINUATION, &[b'x'; 401])];
        assert_eq!(all(&parts), Err(Broken::TooLarge));
        let huge = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(all(&[huge.to_vec()]), Err(Broken::TooLarge));
    }

    #[test]
    fn a_frame_says_how_long_it_will_be() {
        let whole = sent(LAST | TEXT, &[b'x'; 300]);
        for (len, wanting) in [
            (1, 2),
            (2, 8),
            (3, 8),
            (4, 308),
            (7, 308),
            (8, 308),
            (307, 308),
        ] {
            let said = all(&[whole[..len].to_vec()]);
            assert_eq!(said, Ok(vec![format!("wanting {wanting}")]), "{len}");
        }
    }

    #[test]
    fn what_is_sent_says_its_length_and_is_not_masked() {
        let pushed = |len: usize| {
            let mut out = Vec::new();
            push_message(&mut out, &vec![b'x'; len]);
            (out[..2].to_vec(), out.len() - len)
        };
        assert_eq!(pushed(0), (vec![0x81, 0], 2));
        assert_eq!(pushed(125), (vec![0x81, 125], 2));
        assert_eq!(pushed(126), (vec![0x81, 126], 4));
        assert_eq!(pushed(65_536), (vec![0x81, 127], 10));
        let mut out = Vec::new();
        push_message(&mut out, &[0xff]);
        push_close(&mut out, 1001, "é".repeat(80).as_str());
        assert_eq!(out[..3], [0x82, 1, 0xff]);
        assert_eq!(out[3..5], [0x88, 124], "cut between letters");
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_same_is_read(
            payloads in proptest::collection::vec(proptest::collection::vec(0_u8..128, 0..300), 1..5),
            cut in 1_usize..64,
        ) {
            let stream: Vec<u8> = payloads.iter().flat_map(|payload| sent(LAST | TEXT, payload)).collect();
            let mut decoder = Decoder::new(LIMIT);
            let (mut buffer, mut found) = (Vec::new(), Vec::new());
            for piece in stream.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Step::Frame(frame, len) = decoder.step(&mut buffer).unwrap() {
                    if let Frame::Message(payload) = frame {
                        found.push(payload.to_vec());
                    }
                    buffer.drain(..len);
                }
            }
            prop_assert_eq!(found, payloads);
        }

        #[test]
        fn no_bytes_make_it_fail(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::new(LIMIT);
            let mut at = 0;
            while let Ok(Step::Frame(_, len)) = decoder.step(&mut bytes[at..]) {
                at += len;
            }
        }
    }
}
