//! The messages of a stock client, and as much of the other side's as it takes to answer them.
//!
//! Rows are found by their name as it is usually written; nothing is checked. What servers do with messages that are wrong is
//! for tests.

use std::fmt::Write as _;

/// Where a number stands in a template: nine digits.
const PLACE: &str = "#########";
/// The first number, so that each has nine digits.
const FIRST: u32 = 100_000_000;

/// A message with a number in several places, which goes up by one each time.
pub(super) struct Template {
    bytes: Vec<u8>,
    places: Vec<usize>,
    number: u32,
}

impl Template {
    pub(super) fn new(text: String) -> Self {
        let places = text.match_indices(PLACE).map(|(at, _)| at).collect();
        Self {
            bytes: text.into_bytes(),
            places,
            number: FIRST,
        }
    }

    /// Takes the number over from another one.
    pub(super) fn going_on_from(mut self, other: &Self) -> Self {
        self.number = other.number;
        self
    }

    /// The message with the next number.
    pub(super) fn next(&mut self) -> &[u8] {
        self.number += 1;
        let mut digits = [0; PLACE.len()];
        let mut rest = self.number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        for at in &self.places {
            self.bytes[*at..*at + digits.len()].copy_from_slice(&digits);
        }
        &self.bytes
    }
}

/// One client of the measurement.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) domain: String,
    pub(super) token: Option<String>,
    /// Sets its names apart from everybody else's.
    pub(super) number: usize,
    /// Sets this run apart from those before it.
    pub(super) run: u64,
    pub(super) is_tls: bool,
}

impl Client {
    fn authorization(&self) -> String {
        let token = self.token.as_ref();
        token.map_or(String::new(), |token| {
            format!("Authorization: Bearer {token}\r\n")
        })
    }

    /// As in the Via of the URL's transport.
    fn transport(&self) -> &'static str {
        if self.is_tls { "WSS" } else { "WS" }
    }

    fn contact(&self) -> String {
        let Self { number, run, .. } = self;
        format!("sip:qa{number:06}@agent{run}x{number:07}.invalid;transport=ws")
    }

    /// Registers, and again each time that it is sent.
    pub(super) fn register(&self) -> Template {
        let Self {
            id,
            domain,
            number,
            run,
            ..
        } = self;
        let (authorization, contact, transport) =
            (self.authorization(), self.contact(), self.transport());
        Template::new(format!(
            "REGISTER sip:{domain} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} agent{run}x{number:07}.invalid;branch=z9hG4bK{run}{number:06}{PLACE}\r\n\
             Max-Forwards: 69\r\n\
             To: <sip:{id}@{domain}>\r\n\
             From: <sip:{id}@{domain}>;tag=o1{number:08}\r\n\
             Call-ID: 3oohli{run}{number:011}\r\n\
             CSeq: {PLACE} REGISTER\r\n\
             {authorization}\
             Contact: <{contact}>;expires=600\r\n\
             Allow: ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER\r\n\
             Supported: outbound, path, gruu\r\n\
             User-Agent: AculabCloudClient\r\n\
             Content-Length: 0\r\n\r\n"
        ))
    }

    /// What a stock client asks every 30 s.
    pub(super) fn options(&self) -> Template {
        let Self {
            id,
            domain,
            number,
            run,
            ..
        } = self;
        let host = domain
            .split_once('.')
            .map_or(domain.as_str(), |(_, host)| host);
        let transport = self.transport();
        Template::new(format!(
            "OPTIONS sip:{host} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} agent{run}x{number:07}.invalid;branch=z9hG4bKo{run}{number:06}{PLACE}\r\n\
             Max-Forwards: 69\r\n\
             To: <sip:{host}>\r\n\
             From: <sip:{id}@{domain}>;tag=3c{number:08}\r\n\
             Call-ID: 3ooh{run}{number:011}{PLACE}\r\n\
             CSeq: 1 OPTIONS\r\n\
             X-AculabTurnRequest: 1\r\n\
             Supported: outbound\r\n\
             User-Agent: AculabCloudClient\r\n\
             Content-Length: 0\r\n\r\n"
        ))
    }

    /// Calls another one; `sdp` is what it offers.
    pub(super) fn invite(&self, callee: &Self, sdp: &str) -> Template {
        let Self {
            id,
            domain,
            number,
            run,
            ..
        } = self;
        let (authorization, contact, transport) =
            (self.authorization(), self.contact(), self.transport());
        let (to, length) = (&callee.id, sdp.len());
        Template::new(format!(
            "INVITE sip:{to}@{domain} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} agent{run}x{number:07}.invalid;branch=z9hG4bKi{run}{number:06}{PLACE}\r\n\
             Max-Forwards: 69\r\n\
             To: <sip:{to}@{domain}>\r\n\
             From: <sip:{id}@{domain}>;tag=c{PLACE}{number:06}\r\n\
             Call-ID: bench{run}{number:08}{PLACE}\r\n\
             CSeq: 1 INVITE\r\n\
             {authorization}\
             Contact: <{contact};ob>\r\n\
             Allow: ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER\r\n\
             Supported: outbound\r\n\
             User-Agent: AculabCloudClient\r\n\
             Content-Type: application/sdp\r\n\
             Content-Length: {length}\r\n\r\n{sdp}"
        ))
    }

    /// Answers a request with the rows that an answer repeats. `sdp` goes with it, if any.
    pub(super) fn answer(&self, out: &mut Vec<u8>, request: &[u8], status: &str, sdp: &str) {
        out.clear();
        out.extend_from_slice(b"SIP/2.0 ");
        out.extend_from_slice(status.as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, row) in rows(request) {
            match name {
                b"Via" | b"From" | b"Call-ID" | b"CSeq" | b"Record-Route" => {
                    push_row(out, row, b"")
                }
                b"To" if contains(row, b";tag=") => push_row(out, row, b""),
                b"To" => push_row(out, row, format!(";tag=e{:08}", self.number).as_bytes()),
                _ => {}
            }
        }
        let mut rest = String::new();
        let _ = write!(rest, "Contact: <{}>\r\n", self.contact());
        if !sdp.is_empty() {
            rest.push_str("Content-Type: application/sdp\r\n");
        }
        let _ = write!(rest, "Content-Length: {}\r\n\r\n{sdp}", sdp.len());
        out.extend_from_slice(rest.as_bytes());
    }

    /// ACK or BYE in the dialog that a 200 to our INVITE has made (RFC 3261 §12.2.1.1).
    pub(super) fn in_dialog(&self, out: &mut Vec<u8>, answer: &[u8], method: &str, cseq: u32) {
        out.clear();
        let row = |wanted: &[u8]| {
            let mut all = rows(answer);
            all.find_map(|(name, row)| (name == wanted).then_some(row))
                .unwrap_or_default()
        };
        let contact = row(b"Contact");
        let target = between(contact, b'<', b'>').unwrap_or_default();
        out.extend_from_slice(method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(target);
        out.extend_from_slice(b" SIP/2.0\r\n");
        let (number, run, transport) = (self.number, self.run, self.transport());
        let call = row(b"Call-ID");
        // The Call-ID ends in the number of the call.
        let call = String::from_utf8_lossy(&call[call.len().saturating_sub(PLACE.len())..]);
        let via = format!(
            "Via: SIP/2.0/{transport} agent{run}x{number:07}.invalid;branch=z9hG4bK{method}{number:06}{call}\r\nMax-Forwards: 69\r\n"
        );
        out.extend_from_slice(via.as_bytes());
        let routes: Vec<_> = rows(answer)
            .filter(|(name, _)| *name == b"Record-Route")
            .collect();
        for (_, row) in routes.iter().rev() {
            out.extend_from_slice(b"Route");
            out.extend_from_slice(&row[b"Record-Route".len()..]);
            out.extend_from_slice(b"\r\n");
        }
        for name in [b"From".as_slice(), b"To", b"Call-ID"] {
            push_row(out, row(name), b"");
        }
        let rest = format!("CSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n");
        out.extend_from_slice(rest.as_bytes());
    }
}

/// What a refusal says: its first line, and the reason in words of RFC 3261 §20.43 where there is one.
pub(super) fn refusal(message: &[u8]) -> String {
    let line = message
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let mut text = String::from_utf8_lossy(line).into_owned();
    let warning = rows(message).find_map(|(name, row)| (name == b"Warning").then_some(row));
    if let Some(words) = warning.and_then(|row| {
        String::from_utf8_lossy(row)
            .split('"')
            .nth(1)
            .map(str::to_owned)
    }) {
        let _ = write!(text, " ({words})");
    }
    text
}

fn push_row(out: &mut Vec<u8>, row: &[u8], more: &[u8]) {
    out.extend_from_slice(row);
    out.extend_from_slice(more);
    out.extend_from_slice(b"\r\n");
}

fn between(row: &[u8], from: u8, to: u8) -> Option<&[u8]> {
    let begin = row.iter().position(|byte| *byte == from)? + 1;
    let len = row[begin..].iter().position(|byte| *byte == to)?;
    Some(&row[begin..begin + len])
}

fn contains(row: &[u8], what: &[u8]) -> bool {
    row.windows(what.len()).any(|part| part == what)
}

/// The rows of a head, each with its name.
fn rows(message: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let end = rest.iter().position(|byte| *byte == b'\r')?;
        let row = &rest[..end];
        rest = rest.get(end + 2..)?;
        (!row.is_empty()).then_some(row)
    })
    .skip(1)
    .filter_map(|row| {
        let colon = row.iter().position(|byte| *byte == b':')?;
        Some((&row[..colon], row))
    })
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    Request(&'a [u8]),
    /// The status, and the method of its request.
    Answer(u16, &'a [u8]),
}

impl<'a> Kind<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        let Some(rest) = message.strip_prefix(b"SIP/2.0 ") else {
            let end = message.iter().position(|byte| *byte == b' ');
            return Self::Request(&message[..end.unwrap_or_default()]);
        };
        let status = rest.iter().take(3).fold(0, |status, digit| {
            status * 10 + u16::from(digit.wrapping_sub(b'0'))
        });
        let cseq = rows(message).find(|(name, _)| *name == b"CSeq");
        let method = cseq.and_then(|(_, row)| row.rsplit(|byte| *byte == b' ').next());
        Self::Answer(status, method.unwrap_or_default())
    }
}

/// An SDP of so many bytes, about: a browser's with one audio track.
pub(super) fn sdp(bytes: usize) -> String {
    let mut text = "v=0\r\no=- 4611732350 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 126\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:WxFq\r\n\
         a=ice-pwd:M4ZV8Yg1rPpYt9vBPl0f5pIh\r\na=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n\
         a=rtpmap:111 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:126 telephone-event/8000\r\n"
        .to_owned();
    let mut port = 50_000;
    while text.len() < bytes {
        let _ = write!(
            text,
            "a=candidate:{port} 1 udp 2122260223 192.0.2.{} {port} typ host generation 0 network-id 1\r\n",
            port % 250
        );
        port += 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: usize) -> Client {
        Client {
            id: format!("c{number}"),
            domain: "key.webrtc-1-2-0.aculabcloud.net".to_owned(),
            token: Some("e.y.J".to_owned()),
            number,
            run: 5,
            is_tls: false,
        }
    }

    #[test]
    fn a_template_counts_in_each_place() {
        let mut template = client(7).register();
        let first = String::from_utf8(template.next().to_vec()).unwrap();
        let second = String::from_utf8(template.next().to_vec()).unwrap();
        assert!(first.contains("CSeq: 100000001 REGISTER") && second.contains("CSeq: 100000002 "));
        assert!(second.contains("branch=z9hG4bK5000007100000002\r\n"));
        assert!(first.contains("Authorization: Bearer e.y.J\r\n"));
    }

    #[test]
    fn our_messages_are_sip_and_a_dialog_follows_its_routes() {
        let (ann, bob) = (client(1), client(2));
        let mut template = ann.invite(&bob, &sdp(2_000));
        let invite = template.next().to_vec();
        assert!(invite.len() > 2_000);
        assert_eq!(Kind::of(&invite), Kind::Request(b"INVITE"));
        let routed = String::from_utf8(invite).unwrap().replace(
            "Max-Forwards: 69\r\n",
            "Record-Route: <sip:one;lr>\r\nRecord-Route: <sip:two;lr>\r\n",
        );
        let mut answer = Vec::new();
        bob.answer(&mut answer, routed.as_bytes(), "200 OK", "v=0\r\n");
        assert_eq!(Kind::of(&answer), Kind::Answer(200, b"INVITE"));
        let mut bye = Vec::new();
        ann.in_dialog(&mut bye, &answer, "BYE", 2);
        let bye = String::from_utf8(bye).unwrap();
        assert!(
            bye.starts_with("BYE sip:qa000002@agent5x0000002.invalid;transport=ws SIP/2.0\r\n"),
            "{bye}"
        );
        let (two, one) = (
            bye.find("Route: <sip:two;lr>").unwrap(),
            bye.find("Route: <sip:one;lr>").unwrap(),
        );
        assert!(two < one, "{bye}");
        assert!(
            bye.contains(";tag=e00000002\r\n") && bye.contains("CSeq: 2 BYE\r\n"),
            "{bye}"
        );
    }
}
