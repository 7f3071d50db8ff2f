//! Messages on a stream, TCP or TLS: where one ends and the next begins (RFC 3261 §18.3), and the keep-alives between them
//! (RFC 5626 §3.5.1).
//!
//! [`Splitter`] looks at what has come so far and says what stands first; the buffer is its owner's. Each byte of a head is looked
//! at once, however slowly it comes. Reads no message: what it finds is for [`parse`](crate::parse), which is stricter.

use crate::bytes::{head_end, number, trim};
use crate::name::Name;

/// What a stream may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Start line and header rows.
    pub head: usize,
    /// Body.
    pub body: usize,
}

/// What stands first in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A message of so many bytes.
    Message(usize),
    /// A line end of so many bytes: the answer to a ping, half of one, or an empty line before a message (RFC 3261 §7.5).
    LineEnd(usize),
    /// A second line end: with the one before a keep-alive, to be answered by one line end.
    Ping(usize),
    /// More has to come.
    Part,
}

/// Why a stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The head does not end.
    #[error("the head of a message is longer than it may be")]
    LongHead,
    /// The body would be too long.
    #[error("the body of a message is longer than it may be")]
    LongBody,
    /// Nobody knows where the message ends.
    #[error("a message on a stream must say its length, once, in Content-Length")]
    NoLength,
}

/// See the module.
#[derive(Debug)]
pub struct Splitter {
    bounds: Bounds,
    /// Bytes of the first message that hold no end of its head.
    looked_at: usize,
    /// The length of the first message, once its head has come.
    length: Option<usize>,
    /// Whether a line end came before that is no half of a ping yet.
    is_half_pinged: bool,
}

impl Splitter {
    /// At the beginning of a stream.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            looked_at: 0,
            length: None,
            is_half_pinged: false,
        }
    }

    /// What stands first in `bytes`: everything that has come and was not taken yet. What is found is to be taken before the next
    /// call. After an error nothing more is to be expected of the stream.
    pub fn first(&mut self, bytes: &[u8]) -> Result<Piece, Lost> {
        match bytes {
            [] | b"\r" => return Ok(Piece::Part),
            [b'\r', b'\n', ..] => {
                self.is_half_pinged = !self.is_half_pinged;
                return Ok(match self.is_half_pinged {
                    true => Piece::LineEnd(2),
                    false => Piece::Ping(2),
                });
            }
            _ => self.is_half_pinged = false,
        }
        let length = match self.length {
            Some(length) => length,
            None => {
                let Some(head) = self.head(bytes)? else {
                    return Ok(Piece::Part);
                };
                let length = head + 4 + self.body(&bytes[..head])?;
                self.length = Some(length);
                length
            }
        };
        if bytes.len() < length {
            return Ok(Piece::Part);
        }
        (self.looked_at, self.length) = (0, None);
        Ok(Piece::Message(length))
    }

    /// How long the head is, once it has come.
    fn head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Lost> {
        // An end that has come in part is looked at again.
        let from = self.looked_at.saturating_sub(3);
        let found = head_end(&bytes[from..]).map(|end| from + end);
        self.looked_at = bytes.len();
        match found {
            Some(end) if end <= self.bounds.head => Ok(Some(end)),
            // Three bytes of its end may have come.
            None if bytes.len() <= self.bounds.head + 3 => Ok(None),
            Some(_) | None => Err(Lost::LongHead),
        }
    }

    /// How long the body is to be.
    fn body(&self, head: &[u8]) -> Result<usize, Lost> {
        let mut lengths = head.split(|byte| *byte == b'\n').filter_map(length_of);
        let length = lengths.next().flatten().ok_or(Lost::NoLength)?;
        if lengths.next().is_some() {
            return Err(Lost::NoLength);
        }
        if length > self.bounds.body {
            return Err(Lost::LongBody);
        }
        Ok(length)
    }
}

/// What a row says of the length, if it is the one that does; nothing within if that is no number.
fn length_of(row: &[u8]) -> Option<Option<usize>> {
    let row = std::str::from_utf8(row).ok()?;
    let (name, value) = row.split_once(':')?;
    if Name::of(name.trim_end_matches([' ', '\t'])) != Name::ContentLength {
        return None;
    }
    let length = number(trim(value), u32::MAX);
    Some(length.and_then(|length| usize::try_from(length).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        head: 200,
        body: 100,
    };

    fn message(body: &str) -> String {
        format!(
            "MESSAGE sip:a@b SIP/2.0\r\nCall-ID: 1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Everything that a stream holds, if it comes in parts of `size` bytes.
    fn pieces(stream: &[u8], size: usize) -> Result<Vec<String>, Lost> {
        let mut splitter = Splitter::new(BOUNDS);
        let (mut buffer, mut found) = (Vec::new(), Vec::new());
        for part in stream.chunks(size) {
            buffer.extend_from_slice(part);
            loop {
                let length = match splitter.first(&buffer)? {
                    Piece::Part => break,
                    Piece::Message(length) | Piece::Ping(length) | Piece::LineEnd(length) => length,
                };
                found.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
                buffer.drain(..length);
            }
        }
        assert!(found.concat().len() + buffer.len() == stream.len());
        Ok(found)
    }

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let (one, two) = (
            message("hello"),
            message("\r\n\r\nINVITE sip:x SIP/2.0\r\n\r\n"),
        );
        let stream = format!("{one}{two}{one}");
        for size in 1..stream.len() {
            assert_eq!(
                pieces(stream.as_bytes(), size).unwrap(),
                [one.clone(), two.clone(), one.clone()],
                "parts of {size}"
            );
        }
    }

    #[test]
    fn keep_alives_stand_between_messages() {
        let one = message("x");
        let stream = format!("\r\n\r\n{one}\r\n{one}");
        assert_eq!(
            pieces(stream.as_bytes(), stream.len()).unwrap(),
            ["\r\n", "\r\n", one.as_str(), "\r\n", one.as_str()]
        );
        let mut splitter = Splitter::new(BOUNDS);
        let found = [(); 5].map(|()| splitter.first(b"\r\n"));
        let [line_end, ping] = [Ok(Piece::LineEnd(2)), Ok(Piece::Ping(2))];
        assert_eq!(found, [line_end, ping, line_end, ping, line_end]);
        assert_eq!(splitter.first(b"M"), Ok(Piece::Part));
        assert_eq!(
            splitter.first(b"\r\n"),
            line_end,
            "what stood before is none"
        );
    }

    #[test]
    fn the_length_is_found_in_every_spelling_and_only_once() {
        let with = |rows: &str| format!("OPTIONS sip:a SIP/2.0\r\n{rows}\r\n\r\nbody");
        for good in [
            "Content-Length: 4",
            "l:4",
            "CONTENT-LENGTH \t:  4 ",
            "Via: x\r\nl: 4",
        ] {
            let text = with(good);
            assert_eq!(
                pieces(text.as_bytes(), text.len()),
                Ok(vec![text.clone()]),
                "{good}"
            );
        }
        for bad in [
            "Via: x",
            "l: -4",
            "l: four",
            "l:",
            "l: 4\r\nContent-Length: 4",
            "l: 99999999999999999999999",
        ] {
            let text = with(bad);
            assert_eq!(
                pieces(text.as_bytes(), text.len()),
                Err(Lost::NoLength),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_is_too_long_is_told_before_it_has_come() {
        let endless = format!("OPTIONS sip:a SIP/2.0\r\nX: {}", "x".repeat(300));
        assert_eq!(pieces(endless.as_bytes(), 7), Err(Lost::LongHead));
        let head = "OPTIONS sip:a SIP/2.0\r\nl: 101\r\n\r\n";
        assert_eq!(pieces(head.as_bytes(), head.len()), Err(Lost::LongBody));
    }
}
