//! What a response repeats from its request (RFC 3261 §8.2.6.2): Via rows in order, From, To, Call-ID, CSeq; in a 100 the
//! Timestamp too (§8.2.6.1). Also found in requests that break the syntax elsewhere, so that these can be answered 400.

use crate::bytes::{self, head_end};
use crate::header::NameAddr;
use crate::message::{Headers, Request};
use crate::name::Name;
use crate::parse::{MAX_ROWS, skip_empty_lines};
use crate::print::{MessageWriter, push_line};

/// The rows of a request that its responses repeat, kept apart from the request, in one allocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplyHead {
    /// The rows as they stand in a response; in front those of every response, then the Timestamp row.
    rows: Vec<u8>,
    /// Where the rows of every response end.
    common: usize,
    /// Where a tag goes, if To has none.
    tag_at: Option<usize>,
}

impl ReplyHead {
    /// Takes what is needed to answer this request.
    pub fn of(request: &Request<'_>) -> Self {
        let headers = &request.headers;
        let mut rows = Vec::with_capacity(room(headers) + 64);
        let tag_at = push_common(headers, &mut rows);
        let common = rows.len();
        push_timestamp(headers, &mut rows);
        Self {
            rows,
            common,
            tag_at,
        }
    }

    /// Begins a response. The tag goes into To if that has none yet.
    pub fn write(&self, status: u16, reason: &str, to_tag: Option<&str>) -> MessageWriter {
        let mut writer = MessageWriter::status(status, reason, self.rows.len() + 256);
        let buffer = writer.buffer();
        let rows = if status == 100 {
            &self.rows[..]
        } else {
            &self.rows[..self.common]
        };
        match (self.tag_at, to_tag) {
            (Some(at), Some(tag)) => {
                buffer.extend_from_slice(&rows[..at]);
                push_tag(buffer, tag);
                buffer.extend_from_slice(&rows[at..]);
            }
            (None, _) | (_, None) => buffer.extend_from_slice(rows),
        }
        writer
    }

    /// Writes the repeated rows of a request straight into a response.
    pub(crate) fn repeat(
        request: &Request<'_>,
        status: u16,
        to_tag: Option<&str>,
        buffer: &mut Vec<u8>,
    ) {
        let headers = &request.headers;
        buffer.reserve(room(headers) + 256);
        push_vias(headers, buffer);
        push_row(buffer, Name::From, get(headers, Name::From));
        push_row(buffer, Name::To, get(headers, Name::To));
        if let (None, Some(tag)) = (headers.to.tag(), to_tag) {
            buffer.truncate(buffer.len() - 2);
            push_tag(buffer, tag);
            buffer.extend_from_slice(b"\r\n");
        }
        push_row(buffer, Name::CallId, headers.call_id);
        push_row(buffer, Name::CSeq, get(headers, Name::CSeq));
        if status == 100 {
            push_timestamp(headers, buffer);
        }
    }

    /// Looks for the rows in bytes that did not parse. `None` if this is an ACK, no request at all, or has no Via to send
    /// a response by. Of the others, a row that is missing there is missing here (RFC 4475 §3.3.1 asks for a 400).
    pub(crate) fn salvage(bytes: &[u8]) -> Option<Self> {
        let bytes = skip_empty_lines(bytes);
        let end = head_end(bytes).map_or(bytes.len(), |end| end + 2);
        let (start, rows) = split_line(&bytes[..end]);
        let method = start.split(|&byte| byte == b' ').next()?;
        let answered = method != b"ACK"
            && !method.is_empty()
            && !method
                .get(..4)
                .is_some_and(|front| front.eq_ignore_ascii_case(b"SIP/"));
        if answered {
            Salvage::default().read(rows)
        } else {
            None
        }
    }
}

fn get<'a>(headers: &Headers<'a>, name: Name<'_>) -> &'a str {
    headers
        .rows
        .iter()
        .find(|row| row.name == name)
        .map_or("", |row| row.value)
}

/// How many bytes the repeated rows take, at most.
fn room(headers: &Headers<'_>) -> usize {
    let mut room = 0;
    for row in &headers.rows {
        if matches!(
            row.name,
            Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq | Name::Timestamp
        ) {
            room += row.value.len() + 16;
        }
    }
    room
}

fn push_row(buffer: &mut Vec<u8>, name: Name<'_>, value: &str) {
    buffer.extend_from_slice(name.as_str().as_bytes());
    buffer.extend_from_slice(b": ");
    buffer.extend_from_slice(value.as_bytes());
    buffer.extend_from_slice(b"\r\n");
}

fn push_vias(headers: &Headers<'_>, buffer: &mut Vec<u8>) {
    for row in &headers.rows {
        if row.name == Name::Via {
            push_row(buffer, Name::Via, row.value);
        }
    }
}

/// Writes the rows of every response. Returns where a tag goes, if To has none.
fn push_common(headers: &Headers<'_>, buffer: &mut Vec<u8>) -> Option<usize> {
    push_vias(headers, buffer);
    push_row(buffer, Name::From, get(headers, Name::From));
    push_row(buffer, Name::To, get(headers, Name::To));
    let tag_at = headers.to.tag().is_none().then(|| buffer.len() - 2);
    push_row(buffer, Name::CallId, headers.call_id);
    push_row(buffer, Name::CSeq, get(headers, Name::CSeq));
    tag_at
}

fn push_timestamp(headers: &Headers<'_>, buffer: &mut Vec<u8>) {
    if let Some(value) = headers.get(Name::Timestamp) {
        push_row(buffer, Name::Timestamp, value);
    }
}

fn push_tag(buffer: &mut Vec<u8>, tag: &str) {
    buffer.extend_from_slice(b";tag=");
    push_line(buffer, tag.as_bytes());
}

/// The rows found so far in a message that does not parse.
#[derive(Default)]
struct Salvage<'a> {
    vias: Vec<&'a [u8]>,
    from: Option<&'a [u8]>,
    to: Option<&'a [u8]>,
    call_id: Option<&'a [u8]>,
    cseq: Option<&'a [u8]>,
}

impl<'a> Salvage<'a> {
    fn read(mut self, mut rest: &'a [u8]) -> Option<ReplyHead> {
        for _ in 0..MAX_ROWS {
            if rest.is_empty() {
                break;
            }
            let (row, behind) = split_row(rest);
            rest = behind;
            self.take(row);
        }
        self.finish()
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "no other row is repeated")]
    fn take(&mut self, row: &'a [u8]) {
        let Some(colon) = memchr::memchr(b':', row) else {
            return;
        };
        let Ok(name) = std::str::from_utf8(row[..colon].trim_ascii_end()) else {
            return;
        };
        let value = row[colon + 1..].trim_ascii();
        if value.is_empty() {
            return;
        }
        // The first of several rows counts: whichever is repeated, the peer finds one of its own.
        match Name::of(name) {
            Name::Via => self.vias.push(value),
            Name::From => _ = self.from.get_or_insert(value),
            Name::To => _ = self.to.get_or_insert(value),
            Name::CallId => _ = self.call_id.get_or_insert(value),
            Name::CSeq => _ = self.cseq.get_or_insert(value),
            _ => {}
        }
    }

    fn finish(self) -> Option<ReplyHead> {
        if self.vias.is_empty() {
            return None;
        }
        let mut rows = Vec::new();
        for via in self.vias {
            push_raw(&mut rows, Name::Via, via);
        }
        if let Some(from) = self.from {
            push_raw(&mut rows, Name::From, from);
        }
        let mut tag_at = None;
        if let Some(to) = self.to {
            push_raw(&mut rows, Name::To, to);
            tag_at = (!has_tag(to)).then(|| rows.len() - 2);
        }
        if let Some(call_id) = self.call_id {
            push_raw(&mut rows, Name::CallId, call_id);
        }
        if let Some(cseq) = self.cseq {
            push_raw(&mut rows, Name::CSeq, cseq);
        }
        // A text frame must be UTF-8: rows that are not cannot be repeated.
        std::str::from_utf8(&rows).ok()?;
        let common = rows.len();
        Some(ReplyHead {
            rows,
            common,
            tag_at,
        })
    }
}

/// Whether To has a tag already; where it cannot be read, anything that looks like one counts.
fn has_tag(to: &[u8]) -> bool {
    match std::str::from_utf8(to).map(NameAddr::parse) {
        Ok(Ok(to)) => to.tag().is_some(),
        Ok(Err(_)) | Err(_) => to
            .windows(4)
            .any(|window| window.eq_ignore_ascii_case(b"tag=")),
    }
}

fn push_raw(buffer: &mut Vec<u8>, name: Name<'_>, value: &[u8]) {
    buffer.extend_from_slice(name.as_str().as_bytes());
    buffer.extend_from_slice(b": ");
    push_line(buffer, value);
    buffer.extend_from_slice(b"\r\n");
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memmem::find(bytes, b"\r\n") {
        Some(end) => (&bytes[..end], &bytes[end + 2..]),
        None => (bytes, b""),
    }
}

fn split_row(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    loop {
        let (line, behind) = split_line(&bytes[end..]);
        end += line.len();
        if !behind
            .first()
            .is_some_and(|&byte| bytes::is_space(byte) && byte != b'\r')
        {
            return (&bytes[..end], behind);
        }
        end += 2;
    }
}
