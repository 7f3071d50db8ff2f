//! The torture messages of RFC 4475 and what becomes of each here: a server over WebSocket, where one frame is one message
//! as one datagram is. Where the RFC leaves a choice, the line says which was taken.
//!
//! The files are bit-exact from the archive in the RFC's appendix, but for one: `baddn` lacks its final empty line there,
//! though not in the RFC's text, and would be refused for that alone.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod walk;

use sip::{Capabilities, Contact, Headers, Message, Method, Name, Request, Response};

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// Well formed, and understood by a server: it goes on to whoever decides.
    Accepted,
    /// Answered with this status.
    Answered(u16),
    /// Dropped without a word.
    Dropped,
}

use Fate::{Accepted, Answered, Dropped};

macro_rules! torture {
    ($($section:literal $file:literal => $fate:expr, $why:literal;)+) => {
        const TORTURE: &[(&str, &str, &[u8], Fate, &str)] = &[
            $(($section, $file, include_bytes!(concat!("fixtures/rfc4475/", $file, ".dat")), $fate, $why),)+
        ];
    };
}

torture! {
    "3.1.1.1" "wsinv" => Accepted, "valid: folds, odd case, compact names, leading zeros";
    "3.1.1.2" "intmeth" => Answered(501), "valid, but an endpoint does not know the method: 501 with Allow";
    "3.1.1.3" "esc01" => Accepted, "valid: escapes in URIs";
    "3.1.1.4" "escnull" => Accepted, "valid: escaped nulls in URIs";
    "3.1.1.5" "esc02" => Answered(501), "valid, but % is no escape in a method: the method is unknown, not REGISTER";
    "3.1.1.6" "lwsdisp" => Accepted, "to be taken as valid: no space before the angle bracket";
    "3.1.1.7" "longreq" => Accepted, "valid: very long values, 34 Via rows";
    "3.1.1.8" "dblreq" => Accepted, "valid: what stands behind the stated body is ignored";
    "3.1.1.9" "semiuri" => Accepted, "valid: a semicolon in the user part";
    "3.1.1.10" "transports" => Accepted, "valid: any transport token";
    "3.1.1.11" "mpart01" => Accepted, "valid: nulls in the body";
    "3.1.1.12" "unreason" => Accepted, "valid: UTF-8 in the reason phrase";
    "3.1.1.13" "noreason" => Accepted, "valid: an empty reason phrase";
    "3.1.2.1" "badinv01" => Answered(400), "empty parameters and items in Via and Contact";
    "3.1.2.2" "clerr" => Answered(400), "the body is shorter than stated; one frame is one message, so nothing more can come";
    "3.1.2.3" "ncl" => Answered(400), "negative Content-Length: an error, the rest of the frame discarded";
    "3.1.2.4" "scalar02" => Answered(400), "CSeq above its range; our choice: Max-Forwards above its range is a 400 too";
    "3.1.2.5" "scalarlg" => Dropped, "a response with CSeq above its range";
    "3.1.2.6" "quotbal" => Answered(400), "unterminated quoted string; our choice: no closing quote is guessed";
    "3.1.2.7" "ltgtruri" => Answered(400), "angle brackets round the Request-URI; our choice: always rejected";
    "3.1.2.8" "lwsruri" => Answered(400), "white space in the Request-URI; our choice: not ignored";
    "3.1.2.9" "lwsstart" => Answered(400), "several spaces in the start line; our choice: rejected";
    "3.1.2.10" "trws" => Answered(400), "spaces behind the start line; our choice: rejected";
    "3.1.2.11" "escruri" => Answered(400), "headers in the Request-URI; our choice: rejected, not ignored";
    "3.1.2.12" "baddate" => Accepted, "a Date that is not GMT; as the RFC advises, ignored where Date is not used";
    "3.1.2.13" "regbadct" => Answered(400), "a Contact with URI headers outside angle brackets; our choice: none are inferred";
    "3.1.2.14" "badaspec" => Answered(400), "spaces inside the angle brackets; our choice: rejected";
    "3.1.2.15" "baddn" => Answered(400), "an unquoted comma in a display name; always reasonable to reject";
    "3.1.2.16" "badvers" => Answered(505), "SIP/7.0";
    "3.1.2.17" "mismatch01" => Answered(400), "CSeq names another method";
    "3.1.2.18" "mismatch02" => Answered(501), "CSeq names another method, and the method is unknown: 501 rather than 400";
    "3.1.2.19" "bigcode" => Dropped, "a response with a status above 699";
    "3.2.1" "badbranch" => Answered(400), "a branch of z9hG4bK and nothing more; our choice: 400, no RFC 2543 matching";
    "3.3.1" "insuf" => Answered(400), "no Call-ID, From, To: answered with the rows that are there";
    "3.3.2" "unkscm" => Answered(416), "valid, but the scheme of the Request-URI is unknown";
    "3.3.3" "novelsc" => Answered(416), "valid, but the scheme of the Request-URI is never accepted here";
    "3.3.4" "unksm2" => Accepted, "valid: unknown schemes in From, To, Contact; a registrar then answers 400 to such a To";
    "3.3.5" "bext01" => Answered(420), "unknown extensions required; as an endpoint, Unsupported lists those of Require";
    "3.3.6" "invut" => Accepted, "valid: an unknown body; 415 is for the endpoint that must read it";
    "3.3.7" "regaut01" => Accepted, "valid: an unknown Authorization scheme counts as none";
    "3.3.8" "multi01" => Answered(400), "From, To, Call-ID, CSeq, Max-Forwards twice";
    "3.3.9" "mcl01" => Answered(400), "Content-Length twice";
    "3.3.10" "bcast" => Accepted, "well formed; an endpoint discards it because it matches no transaction";
    "3.3.11" "zeromf" => Accepted, "an endpoint answers OPTIONS with Max-Forwards 0 as any other";
    "3.3.12" "cparam01" => Accepted, "valid: without angle brackets a parameter is the header's";
    "3.3.13" "cparam02" => Accepted, "valid: inside angle brackets a parameter is the URI's";
    "3.3.14" "regescrt" => Accepted, "valid: headers in a Contact URI";
    "3.3.15" "sdp01" => Accepted, "well formed; 406 or 400 is for the endpoint that would have to answer without SDP";
    "3.4.1" "inv2543" => Accepted, "valid by RFC 2543: no branch, no From tag, no Max-Forwards, no Content-Length";
}

const SERVER: Capabilities = Capabilities {
    methods: &[
        Method::Invite,
        Method::Ack,
        Method::Bye,
        Method::Cancel,
        Method::Register,
        Method::Options,
        Method::Info,
        Method::Message,
    ],
    extensions: &["outbound", "path"],
    schemes: &["sip", "sips"],
};

/// What becomes of the message, and the answer that goes out.
fn fate(bytes: &[u8]) -> (Fate, Vec<u8>) {
    match sip::parse(bytes) {
        Ok(Message::Response(_)) => (Accepted, Vec::new()),
        Ok(Message::Request(request)) => match sip::screen(&request, &SERVER) {
            Ok(()) => (Accepted, Vec::new()),
            Err(screened) => {
                let mut reply = sip::MessageWriter::reply(
                    &request,
                    screened.status,
                    screened.reason,
                    Some("ours"),
                );
                if let Some((name, value)) = screened.header {
                    reply.header(name, value);
                }
                (Answered(screened.status), reply.finish())
            }
        },
        Err(malformed) => match malformed.reply {
            Some(head) => {
                let reply = head
                    .write(malformed.status, &malformed.reason, Some("ours"))
                    .finish();
                (Answered(malformed.status), reply)
            }
            None => (Dropped, Vec::new()),
        },
    }
}

#[test]
fn every_message_meets_its_fate() {
    assert_eq!(TORTURE.len(), 49, "all of them");
    for (section, file, bytes, expected, why) in TORTURE {
        let (found, reply) = fate(bytes);
        assert_eq!(
            found,
            *expected,
            "{section} {file}: {why}: {:?}",
            sip::parse(bytes).err()
        );
        if let Answered(status) = found {
            assert!(
                reply.starts_with(format!("SIP/2.0 {status} ").as_bytes()),
                "{section} {file}"
            );
        }
        walk::walk(bytes);
    }
}

/// The sentence that goes out with each 400 says what is wrong, not only that something is.
#[test]
fn each_refusal_names_the_fault() {
    for (file, part) in [
        ("badinv01", "Via: "),
        ("clerr", "Content-Length: the body is shorter"),
        ("ncl", "Content-Length: must be a number"),
        ("quotbal", "To: the display name has no closing quote"),
        ("ltgtruri", "Request-URI: "),
        ("lwsruri", "the start line must be"),
        ("trws", "the SIP version must be SIP/2.0"),
        ("escruri", "the Request-URI may not have headers"),
        (
            "regbadct",
            "Contact: a URI that holds a comma, a question mark",
        ),
        ("badaspec", "To: "),
        ("baddn", "From: a display name"),
        ("badvers", "Version Not Supported"),
        ("mismatch01", "CSeq: must name the same method"),
        ("badbranch", "Via: the branch"),
        ("insuf", "From: the row is missing"),
        ("multi01", "the row may stand in a message only once"),
        ("mcl01", "Content-Length: the row may stand"),
    ] {
        let (_, _, bytes, ..) = TORTURE.iter().find(|line| line.1 == file).unwrap();
        let reason = sip::parse(bytes).unwrap_err().reason;
        assert!(reason.contains(part), "{file}: {reason}");
    }
}

fn request(file: &str) -> Request<'static> {
    let (_, _, bytes, ..) = TORTURE.iter().find(|line| line.1 == file).unwrap();
    match sip::parse(bytes) {
        Ok(Message::Request(request)) => request,
        other => panic!("{file}: {other:?}"),
    }
}

fn response(file: &str) -> Response<'static> {
    let (_, _, bytes, ..) = TORTURE.iter().find(|line| line.1 == file).unwrap();
    match sip::parse(bytes) {
        Ok(Message::Response(response)) => response,
        other => panic!("{file}: {other:?}"),
    }
}

fn contact(headers: &Headers<'static>) -> sip::NameAddr<'static> {
    match headers.contacts().unwrap().first() {
        Some(Contact::Address(address)) => *address,
        other => panic!("{other:?}"),
    }
}

#[test]
fn wsinv_is_understood() {
    let invite = request("wsinv");
    let headers = &invite.headers;
    assert_eq!(invite.method, Method::Invite);
    assert!(invite.target().params.has("unknownparam"));
    assert_eq!(headers.to().tag(), Some("1918181833n"));
    assert_eq!(headers.from().tag(), Some("98asjd8"));
    assert_eq!(
        headers.from().display_decoded().as_deref(),
        Some("J Rosenberg \\\"")
    );
    assert_eq!(headers.max_forwards(), Some(68));
    assert_eq!(headers.cseq().number, 9);
    assert_eq!(headers.cseq().method, Method::Invite);
    assert_eq!(
        (headers.via().transport, headers.via().sent_by),
        ("UDP", "192.0.2.2")
    );
    assert_eq!(headers.via().branch(), Some("390skdjuw"));
    let hops: Vec<_> = headers
        .items(Name::Via)
        .map(|hop| sip::Via::parse(hop).unwrap())
        .collect();
    assert_eq!(
        hops.iter().map(|hop| hop.sent_by).collect::<Vec<_>>(),
        ["192.0.2.2", "spindle.example.com", "192.168.255.111"]
    );
    assert_eq!(hops[1].branch(), Some("z9hG4bK9ikj8"));
    assert_eq!(hops[2].branch(), Some("z9hG4bK30239"));
    assert_eq!(headers.get(Name::Subject), Some(""));
    assert_eq!(
        headers.get(Name::Other("unknownheaderwithunusualvalue")),
        Some(";;,,;;,;")
    );
    let folded = headers
        .iter()
        .find(|row| row.name == Name::Other("NewFangledHeader"))
        .unwrap();
    assert_eq!(
        folded.unfolded(),
        "newfangled value continued newfangled value"
    );
    let contact = contact(headers);
    assert_eq!(
        contact.display_decoded().as_deref(),
        Some("Quoted string \"\"")
    );
    assert_eq!(contact.param("newparam"), Some("newvalue"));
    assert_eq!(contact.params.get("secondparam"), Some(None));
    assert_eq!(contact.param("q"), Some("0.33"));
    assert_eq!(invite.body.len(), 150);
}

#[test]
fn intmeth_is_understood() {
    let unusual = request("intmeth");
    assert_eq!(
        unusual.method.as_str(),
        "!interesting-Method0123456789_*+`.%indeed'~"
    );
    assert_eq!(
        unusual.target().user,
        Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    );
    assert_eq!(
        unusual.target().password,
        Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")
    );
    assert_eq!(unusual.target().host, "example.com");
    let headers = &unusual.headers;
    assert_eq!(
        headers.to().display_decoded().as_deref(),
        Some("BEL:\u{7} NUL:\0 DEL:\u{7f}")
    );
    assert_eq!(
        headers.from().display,
        Some("token1~` token2'+_ token3*%!.-")
    );
    assert_eq!(
        headers.from().param("fromParam''~+*_!.-%"),
        Some("работающий")
    );
    assert_eq!(headers.from().tag(), Some("_token~1'+`*%!-."));
    assert_eq!(
        headers.call_id(),
        "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    );
    assert_eq!(headers.max_forwards(), Some(255));
    assert_eq!(
        headers.get(Name::Other("extensionHeader-!.%*+_`'~")),
        Some("\u{feff}大停電")
    );
    let (_, reply) = fate(TORTURE[1].2);
    let reply = String::from_utf8(reply).unwrap();
    assert!(
        reply.contains("\r\nAllow: INVITE, ACK, BYE, CANCEL, REGISTER, OPTIONS, INFO, MESSAGE\r\n"),
        "{reply}"
    );
}

#[test]
fn escapes_are_resolved_once_and_only_in_uris() {
    let invite = request("esc01");
    assert_eq!(invite.target().user_decoded(), "sips:user@example.com");
    assert_eq!(invite.headers.to().uri.user_decoded(), "user");
    assert_eq!(invite.headers.from().uri.user_decoded(), "I have spaces");
    assert_eq!(
        contact(&invite.headers).uri.params.value("n%61me"),
        Some("v%61lue%25%34%31")
    );

    let register = request("escnull");
    assert_eq!(register.headers.to().uri.user_decoded(), "null-\0-null");
    assert_eq!(register.headers.contacts().unwrap().len(), 2);

    let other = request("esc02");
    assert_eq!(other.method, Method::Other("RE%47IST%45R"));
    assert_eq!(other.headers.to().display, Some("%Z%45"));
    assert_eq!(
        other.headers.contacts().unwrap().len(),
        2,
        "C%6Fntact is another header"
    );
}

#[test]
fn other_valid_messages_are_understood() {
    assert_eq!(request("lwsdisp").headers.from().display, Some("caller"));
    let long = request("longreq");
    assert_eq!(long.headers.all(Name::Via).count(), 34);
    assert_eq!(long.headers.via().sent_by, "sip33.example.com");
    assert_eq!(long.headers.to().uri.port, Some(6000));
    let double = request("dblreq");
    assert_eq!((double.method, double.body), (Method::Register, &b""[..]));
    assert_eq!(
        request("semiuri").target().user_decoded(),
        "user;par=u@example.net"
    );
    let transports: Vec<_> = request("transports")
        .headers
        .all(Name::Via)
        .map(|hop| sip::Via::parse(hop).unwrap().transport)
        .collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
    let parts = request("mpart01");
    assert_eq!(parts.body.len(), 553);
    assert!(parts.body.contains(&0));
    assert_eq!(parts.headers.via().rport(), Some(None));
    assert_eq!(
        response("unreason").reason,
        "= 2**3 * 5**2 но сто девяносто девять - простое"
    );
    let empty = response("noreason");
    assert_eq!((empty.status, empty.reason), (100, ""));
}

#[test]
fn application_messages_are_understood() {
    let unknown = request("unksm2");
    assert_eq!(
        (
            unknown.headers.to().uri.scheme,
            unknown.headers.to().uri.opaque
        ),
        ("isbn", "2983792873")
    );
    assert_eq!(unknown.headers.from().uri.scheme, "http");
    let (_, reply) = fate(TORTURE.iter().find(|line| line.1 == "bext01").unwrap().2);
    let reply = String::from_utf8(reply).unwrap();
    assert!(
        reply.contains("\r\nUnsupported: nothingSupportsThis, nothingSupportsThisEither\r\n"),
        "{reply}"
    );
    assert_eq!(request("regaut01").headers.bearer(), None);
    assert_eq!(response("bcast").headers.via().sent_by, "192.0.2.198");
    let header_param = contact(&request("cparam01").headers);
    assert!(
        header_param.params.has("unknownparam") && !header_param.uri.params.has("unknownparam")
    );
    let uri_param = contact(&request("cparam02").headers);
    assert!(!uri_param.params.has("unknownparam") && uri_param.uri.params.has("unknownparam"));
    assert_eq!(
        contact(&request("regescrt").headers).uri.headers,
        Some("Route=%3Csip:sip.example.com%3E")
    );
    let old = request("inv2543");
    assert_eq!(
        (
            old.headers.via().branch(),
            old.headers.from().tag(),
            old.headers.max_forwards()
        ),
        (None, None, None)
    );
    assert!(old.body.ends_with(b"RTP/AVP 0\r\n"));
    assert_eq!(request("zeromf").headers.max_forwards(), Some(0));
}

#[test]
fn insuf_is_answered_with_the_rows_that_are_there() {
    let (_, reply) = fate(TORTURE.iter().find(|line| line.1 == "insuf").unwrap().2);
    let reply = String::from_utf8(reply).unwrap();
    assert!(
        reply.contains(
            "\r\nVia: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf\r\nCSeq: 193942 INVITE\r\n"
        ),
        "{reply}"
    );
    assert!(!reply.contains("Call-ID"), "{reply}");
}
