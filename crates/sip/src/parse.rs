//! Reads one complete message (RFC 3261 §7 and §25; over WebSocket one frame is one message, RFC 7118 §5).
//!
//! Strict where a guess would be needed, and every refusal is a sentence. Two liberties are taken: empty lines before the
//! start line are passed over (§7.5), and a status line may lack the space before an empty reason phrase. Bytes behind
//! the stated Content-Length are ignored, as in a datagram (§18.3); a body shorter than stated is an error.
//! Never copies, and never allocates more than the row index.

use std::borrow::Cow;

use crate::bytes::{self, TOKEN, head_end};
use crate::header::{
    BadValue, CSeq, Contact, NameAddr, Via, check_call_id, check_contacts, check_vias,
};
use crate::message::{Header, Headers, Message, Request, Response};
use crate::method::Method;
use crate::name::Name;
use crate::reply::ReplyHead;
use crate::uri::Uri;

/// The most header rows a message may have.
pub const MAX_ROWS: usize = 96;

/// Rows that are expected, so that the index is usually allocated once.
const USUAL_ROWS: usize = 24;

/// A message that breaks the syntax, with what is needed to answer it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct Malformed<'a> {
    /// The status to answer with: 400, 505 for another version of SIP, 501 for an unknown method that CSeq contradicts.
    pub status: u16,
    /// What was wrong and what would be right, fit to be a reason phrase (RFC 3261 §25.1). Never repeats the peer's bytes.
    pub reason: Cow<'static, str>,
    /// What a response must repeat, if this was a request other than ACK with a Via to answer by. `None` means: drop it
    /// silently.
    pub reply: Option<ReplyHead>,
    /// The line at fault, or nothing if the message as a whole is.
    pub line: &'a [u8],
}

/// What is wrong, before the reply is looked for.
pub(crate) struct Wrong<'a> {
    status: u16,
    reason: Cow<'static, str>,
    line: &'a [u8],
}

impl<'a> Wrong<'a> {
    fn new(reason: &'static str, line: &'a str) -> Self {
        Self {
            status: 400,
            reason: Cow::Borrowed(reason),
            line: line.as_bytes(),
        }
    }

    fn in_row(name: Name<'_>, fault: BadValue, value: &'a str) -> Self {
        Self {
            status: 400,
            reason: Cow::Owned(format!("{name}: {fault}")),
            line: value.as_bytes(),
        }
    }
}

/// Whether this is nothing but line ends: a keep-alive (RFC 5626 §3.5.1), not a message.
pub fn is_keep_alive(bytes: &[u8]) -> bool {
    !bytes.is_empty() && skip_empty_lines(bytes).is_empty()
}

/// Parses one complete message. Everything is borrowed from `bytes`; only the index of rows is allocated.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, Malformed<'_>> {
    read(bytes).map_err(|wrong| Malformed {
        status: wrong.status,
        reason: wrong.reason,
        reply: ReplyHead::salvage(bytes),
        line: wrong.line,
    })
}

fn read(bytes: &[u8]) -> Result<Message<'_>, Wrong<'_>> {
    let bytes = skip_empty_lines(bytes);
    let Some(end) = head_end(bytes) else {
        return Err(Wrong::new(
            "an empty line must end the header rows, and lines must end with CR LF",
            "",
        ));
    };
    let Ok(head) = std::str::from_utf8(&bytes[..end + 2]) else {
        return Err(Wrong::new(
            "the start line and the header rows must be UTF-8",
            "",
        ));
    };
    let body = &bytes[end + 4..];
    let (line, rows) = split_line(head).ok_or(Wrong::new("lines must end with CR LF", ""))?;
    let start = StartLine::read(line)?;
    let rows = read_rows(rows)?;
    match start {
        StartLine::Request {
            method,
            uri,
            target,
        } => {
            let (headers, body) = settle(rows, body, Some(method))?;
            Ok(Message::Request(Request {
                method,
                uri,
                headers,
                body,
                target,
                bytes,
            }))
        }
        StartLine::Response { status, reason } => {
            let (headers, body) = settle(rows, body, None)?;
            Ok(Message::Response(Response {
                status,
                reason,
                headers,
                body,
                bytes,
            }))
        }
    }
}

/// RFC 3261 §7.5: empty lines before the start line mean nothing.
pub(crate) fn skip_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    bytes
}

/// Splits the text behind its first CR LF. `None` if a lone CR or LF comes first, or no line end at all.
fn split_line(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let end = memchr::memchr2(b'\r', b'\n', bytes)?;
    (bytes[end] == b'\r' && bytes.get(end + 1) == Some(&b'\n'))
        .then(|| (&text[..end], &text[end + 2..]))
}

enum StartLine<'a> {
    Request {
        method: Method<'a>,
        uri: &'a str,
        target: Uri<'a>,
    },
    Response {
        status: u16,
        reason: &'a str,
    },
}

impl<'a> StartLine<'a> {
    fn read(line: &'a str) -> Result<Self, Wrong<'a>> {
        const SHAPE: &str =
            "the start line must be METHOD, Request-URI and SIP/2.0, one space between them";
        let space = memchr::memchr(b' ', line.as_bytes()).ok_or_else(|| Wrong::new(SHAPE, line))?;
        let (first, rest) = (&line[..space], &line[space + 1..]);
        if first
            .as_bytes()
            .get(..4)
            .is_some_and(|front| front.eq_ignore_ascii_case(b"SIP/"))
        {
            check_version(first, line)?;
            return Self::read_status(rest, line);
        }
        if !bytes::is_token(first) {
            return Err(Wrong::new("the method must be a token", line));
        }
        let space = memchr::memchr(b' ', rest.as_bytes()).ok_or_else(|| Wrong::new(SHAPE, line))?;
        let (uri, version) = (&rest[..space], &rest[space + 1..]);
        if !version
            .as_bytes()
            .get(..4)
            .is_some_and(|front| front.eq_ignore_ascii_case(b"SIP/"))
        {
            return Err(Wrong::new(SHAPE, line));
        }
        check_version(version, line)?;
        match Uri::parse(uri) {
            Ok(target) if target.headers.is_some() => Err(Wrong::new(
                "the Request-URI may not have headers behind a question mark",
                line,
            )),
            Ok(target) => Ok(Self::Request {
                method: Method::of(first),
                uri,
                target,
            }),
            Err(fault) => Err(Wrong {
                status: 400,
                reason: Cow::Owned(format!("Request-URI: {fault}")),
                line: line.as_bytes(),
            }),
        }
    }

    fn read_status(rest: &'a str, line: &'a str) -> Result<Self, Wrong<'a>> {
        let (code, reason) = match memchr::memchr(b' ', rest.as_bytes()) {
            Some(space) => (&rest[..space], &rest[space + 1..]),
            None => (rest, ""),
        };
        let status = bytes::number(code, 699).and_then(|status| u16::try_from(status).ok());
        match status {
            Some(status) if status >= 100 && code.len() == 3 => {
                Ok(Self::Response { status, reason })
            }
            Some(_) | None => Err(Wrong::new(
                "the status must be a number from 100 to 699",
                line,
            )),
        }
    }
}

/// Checks `SIP/x.y`: anything but 2.0 is answered 505 (RFC 3261 §21.5.6).
fn check_version<'a>(version: &str, line: &'a str) -> Result<(), Wrong<'a>> {
    let number = &version[4..];
    if number == "2.0" {
        return Ok(());
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if number
        .split_once('.')
        .is_some_and(|(major, minor)| digits(major) && digits(minor))
    {
        return Err(Wrong {
            status: 505,
            reason: "Version Not Supported: speak SIP/2.0".into(),
            line: line.as_bytes(),
        });
    }
    Err(Wrong::new(
        "the SIP version must be SIP/2.0, with nothing behind it",
        line,
    ))
}

fn read_rows(mut rest: &str) -> Result<Vec<Header<'_>>, Wrong<'_>> {
    let mut rows = Vec::with_capacity(USUAL_ROWS);
    while !rest.is_empty() {
        let (row, behind) = split_row(rest)?;
        rest = behind;
        if rows.len() == MAX_ROWS {
            return Err(Wrong::new("there may be at most 96 header rows", row));
        }
        rows.push(read_row(row)?);
    }
    Ok(rows)
}

/// Splits one row off, with the lines that are folded onto it.
fn split_row(text: &str) -> Result<(&str, &str), Wrong<'_>> {
    let mut end = 0;
    loop {
        let Some((line, behind)) = split_line(&text[end..]) else {
            return Err(Wrong::new(
                "lines must end with CR LF, and neither may stand alone",
                &text[end..],
            ));
        };
        end += line.len();
        if !behind
            .as_bytes()
            .first()
            .is_some_and(|&byte| byte == b' ' || byte == b'\t')
        {
            return Ok((&text[..end], behind));
        }
        end += 2;
    }
}

fn read_row(row: &str) -> Result<Header<'_>, Wrong<'_>> {
    let name = bytes::run(row.as_bytes(), TOKEN);
    let mut colon = name;
    while matches!(row.as_bytes().get(colon), Some(b' ' | b'\t')) {
        colon += 1;
    }
    if name == 0 || row.as_bytes().get(colon) != Some(&b':') {
        return Err(Wrong::new(
            "a header row must be written as Name: value",
            row,
        ));
    }
    Ok(Header {
        name: Name::of(&row[..name]),
        value: bytes::trim(&row[colon + 1..]),
    })
}

/// The rows that every message must have, and those that may come once only.
#[derive(Default)]
struct Core<'a> {
    call_id: Option<&'a str>,
    cseq: Option<&'a str>,
    from: Option<&'a str>,
    to: Option<&'a str>,
    via: Option<Via<'a>>,
    contact: Option<Contact<'a>>,
    contact_count: usize,
    max_forwards: Option<u8>,
    content_length: Option<usize>,
    once: u8,
}

impl<'a> Core<'a> {
    fn take(&mut self, row: &Header<'a>) -> Result<(), Wrong<'a>> {
        // Only the names that say something about the syntax of a message are looked at here.
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "every other header is left to its reader"
        )]
        match row.name {
            Name::Via => {
                let first = check_vias(row.value)
                    .map_err(|fault| Wrong::in_row(row.name, fault, row.value))?;
                self.via.get_or_insert(first);
            }
            Name::From => set(&mut self.from, row)?,
            Name::To => set(&mut self.to, row)?,
            Name::CallId => set(&mut self.call_id, row)?,
            Name::CSeq => set(&mut self.cseq, row)?,
            Name::Contact => {
                let each = |contact| {
                    self.contact.get_or_insert(contact);
                    self.contact_count += 1;
                };
                check_contacts(row.value, each)
                    .map_err(|fault| Wrong::in_row(row.name, fault, row.value))?;
            }
            Name::MaxForwards => {
                self.only(1, row)?;
                let hops = bytes::number(row.value, 255).and_then(|hops| u8::try_from(hops).ok());
                self.max_forwards = Some(hops.ok_or_else(|| {
                    Wrong::new("Max-Forwards: must be a number from 0 to 255", row.value)
                })?);
            }
            Name::ContentLength => {
                self.only(2, row)?;
                let length = bytes::number(row.value, u32::MAX)
                    .and_then(|length| usize::try_from(length).ok());
                self.content_length = Some(length.ok_or_else(|| {
                    Wrong::new("Content-Length: must be a number of bytes", row.value)
                })?);
            }
            Name::ContentType => self.only(4, row)?,
            Name::Expires => self.only(8, row)?,
            _ => {}
        }
        Ok(())
    }

    fn only(&mut self, bit: u8, row: &Header<'a>) -> Result<(), Wrong<'a>> {
        if self.once & bit != 0 {
            return Err(twice(row));
        }
        self.once |= bit;
        Ok(())
    }
}

fn set<'a>(place: &mut Option<&'a str>, row: &Header<'a>) -> Result<(), Wrong<'a>> {
    if place.replace(row.value).is_some() {
        return Err(twice(row));
    }
    Ok(())
}

fn twice<'a>(row: &Header<'a>) -> Wrong<'a> {
    Wrong::in_row(
        row.name,
        BadValue("the row may stand in a message only once"),
        row.value,
    )
}

/// Checks the rows that a message stands on, and cuts the body to its stated length.
fn settle<'a>(
    rows: Vec<Header<'a>>,
    body: &'a [u8],
    method: Option<Method<'a>>,
) -> Result<(Headers<'a>, &'a [u8]), Wrong<'a>> {
    let mut core = Core::default();
    for row in &rows {
        core.take(row)?;
    }
    let missing = |name| {
        Wrong::in_row(
            name,
            BadValue("the row is missing, and every message must have it"),
            "",
        )
    };
    let via = core.via.ok_or_else(|| missing(Name::Via))?;
    if via
        .branch()
        .is_some_and(|branch| branch.eq_ignore_ascii_case("z9hG4bK"))
    {
        return Err(Wrong::new(
            "Via: the branch must have an identifier behind z9hG4bK",
            via.params.as_str(),
        ));
    }
    let from = address(Name::From, core.from.ok_or_else(|| missing(Name::From))?)?;
    let to = address(Name::To, core.to.ok_or_else(|| missing(Name::To))?)?;
    let call_id = core.call_id.ok_or_else(|| missing(Name::CallId))?;
    check_call_id(call_id).map_err(|fault| Wrong::in_row(Name::CallId, fault, call_id))?;
    let row = core.cseq.ok_or_else(|| missing(Name::CSeq))?;
    let cseq = CSeq::parse(row).map_err(|fault| Wrong::in_row(Name::CSeq, fault, row))?;
    if let Some(method) = method.filter(|method| *method != cseq.method) {
        // RFC 4475 §3.1.2.18: the answer to an unknown method is better 501 than 400.
        let status = if matches!(method, Method::Other(_)) {
            501
        } else {
            400
        };
        let reason = "CSeq: must name the same method as the start line".into();
        return Err(Wrong {
            status,
            reason,
            line: row.as_bytes(),
        });
    }
    let body = match core.content_length {
        None => body,
        Some(length) => body.get(..length).ok_or(Wrong::new(
            "Content-Length: the body is shorter than stated",
            "",
        ))?,
    };
    Ok((
        Headers {
            rows,
            call_id,
            cseq,
            from,
            to,
            via,
            contact: core.contact,
            contact_count: core.contact_count,
            max_forwards: core.max_forwards,
        },
        body,
    ))
}

fn address<'a>(name: Name<'_>, value: &'a str) -> Result<NameAddr<'a>, Wrong<'a>> {
    let address = NameAddr::parse(value).map_err(|fault| Wrong::in_row(name, fault, value))?;
    match address.params.get("tag") {
        Some(tag) if !tag.is_some_and(bytes::is_token) => Err(Wrong::in_row(
            name,
            BadValue("a tag must be a token, as in ;tag=1928301774"),
            value,
        )),
        Some(_) | None => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/WSS a.invalid;branch=z9hG4bK1\r\n\
        From: <sip:a@example.com>;tag=1\r\nTo: <sip:example.com>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n";

    fn rows_of(bytes: &[u8]) -> (usize, usize) {
        match parse(bytes) {
            Ok(message) => (
                message.headers().rows.len(),
                message.headers().rows.capacity(),
            ),
            Err(malformed) => panic!("{malformed}"),
        }
    }

    #[test]
    fn the_row_index_is_the_only_allocation_and_is_bounded() {
        for rows in [0, 1, 18, 19, 20, 43, MAX_ROWS - 5] {
            let text = format!("{HEAD}{}\r\n", "A: b\r\n".repeat(rows));
            let (length, capacity) = rows_of(text.as_bytes());
            assert_eq!(length, rows + 5);
            assert!(
                capacity <= MAX_ROWS,
                "{capacity} rows are held for {length}"
            );
        }
    }

    #[test]
    fn one_row_too_many_is_refused_and_answered() {
        let text = format!("{HEAD}{}\r\n", "A: b\r\n".repeat(MAX_ROWS - 4));
        let malformed = parse(text.as_bytes()).unwrap_err();
        assert_eq!((malformed.status, malformed.reply.is_some()), (400, true));
        assert!(
            malformed.reason.contains(&MAX_ROWS.to_string()),
            "the sentence names the bound"
        );
    }
}
