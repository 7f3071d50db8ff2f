//! IPv6 in SIP, after the cases of RFC 5118 §4: what is to be taken is taken, and what is no address is refused.
//!
//! The messages are our own, built round the one thing that each section is about.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use sip::Message;

/// A request with this Request-URI, Via and Contact host, and a body.
fn options(uri: &str, via: &str, contact: &str, body: &str) -> Vec<u8> {
    format!(
        "OPTIONS {uri} SIP/2.0\r\nVia: SIP/2.0/WSS {via};branch=z9hG4bK5118\r\nMax-Forwards: 70\r\n\
         To: <sip:bob@example.com>\r\nFrom: <sip:alice@example.com>;tag=1\r\nCall-ID: 5118\r\nCSeq: 1 OPTIONS\r\n\
         Contact: <sip:alice@{contact}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

const HOST: &str = "[2001:db8::9:1]";

#[track_caller]
fn host_of(uri: &str) -> Option<String> {
    match sip::parse(&options(uri, HOST, HOST, "")) {
        Ok(Message::Request(request)) => {
            let uri = sip::Uri::parse(request.uri).unwrap();
            Some(match uri.port {
                Some(port) => format!("{}|{port}", uri.host),
                None => uri.host.to_owned(),
            })
        }
        Ok(Message::Response(_)) => panic!("it is a request"),
        Err(malformed) => {
            assert_eq!(malformed.status, 400, "{uri}");
            None
        }
    }
}

#[test]
fn brackets_delimit_an_address_and_its_port() {
    for (section, uri, host) in [
        ("4.1", "sip:[2001:db8::10]", Some("[2001:db8::10]")),
        ("4.2: without brackets it is none", "sip:2001:db8::10", None),
        (
            "4.3: inside them it is part of the address",
            "sip:[2001:db8::10:5070]",
            Some("[2001:db8::10:5070]"),
        ),
        (
            "4.4",
            "sip:[2001:db8::10]:5070",
            Some("[2001:db8::10]|5070"),
        ),
        (
            "4.9: an IPv4-mapped address",
            "sip:[::ffff:192.0.2.10]",
            Some("[::ffff:192.0.2.10]"),
        ),
        (
            "4.10: three colons, which RFC 3261's grammar lets pass",
            "sip:[2001:db8:::192.0.2.1]",
            None,
        ),
        ("an address that is not closed", "sip:[2001:db8::10", None),
        ("something behind it", "sip:[2001:db8::10]x", None),
    ] {
        assert_eq!(host_of(uri).as_deref(), host, "{section}");
    }
}

#[test]
fn a_received_parameter_is_taken_with_brackets_and_without() {
    for (section, received) in [
        ("4.5", "[2001:db8::9:255]"),
        (
            "4.5: as the grammar of RFC 3261 §25.1 writes it",
            "2001:db8::9:255",
        ),
    ] {
        let via = format!("{HOST}:5060;received={received}");
        let bytes = options("sip:bob@example.com", &via, HOST, "");
        let Ok(Message::Request(request)) = sip::parse(&bytes) else {
            panic!("{section}");
        };
        assert_eq!(
            request.headers.via().branch(),
            Some("z9hG4bK5118"),
            "{section}"
        );
    }
}

#[test]
fn addresses_of_both_families_stand_side_by_side() {
    // 4.7
    let bytes = options(
        "sip:bob@192.0.2.1",
        &format!("{HOST};branch=z9hG4bK1, SIP/2.0/WSS 192.0.2.2:5060"),
        "192.0.2.3",
        "",
    );
    assert!(matches!(sip::parse(&bytes), Ok(Message::Request(_))));
}

#[test]
fn addresses_in_the_body_are_nobodys_business() {
    for (section, address) in [
        ("4.6", "c=IN IP6 2001:db8::20"),
        (
            "4.8",
            "c=IN IP4 192.0.2.1\r\nm=audio 22334 RTP/AVP 0\r\nc=IN IP6 2001:db8::1",
        ),
    ] {
        let body = format!("v=0\r\no=a 1 1 IN IP6 2001:db8::20\r\ns=-\r\n{address}\r\n");
        let bytes = options("sip:bob@[2001:db8::20]", HOST, HOST, &body);
        let Ok(Message::Request(request)) = sip::parse(&bytes) else {
            panic!("{section}");
        };
        assert_eq!(request.body, body.as_bytes(), "{section}");
    }
}
