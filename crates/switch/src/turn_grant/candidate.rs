//! The addresses that an SDP body names as ICE candidates (RFC 8839 §5.1), and nothing else of it.
//!
//! Literal addresses alone: names, mDNS ones among them, lead nobody through a relay. Never fails: a line that is no
//! candidate names nothing.

use std::net::IpAddr;

use memchr::memmem;
use sip::{Headers, Name};

const CANDIDATE: &[u8] = b"a=candidate:";
/// Bodies that may name candidates: SDP, and the fragment of it in an INFO (RFC 8840 §9).
const KINDS: [&str; 2] = ["application/sdp", "application/trickle-ice-sdpfrag"];

/// The addresses in the order of their lines, in canonical form; the same one may come several times.
pub(crate) fn addresses<'a>(
    headers: &Headers<'_>,
    body: &'a [u8],
) -> impl Iterator<Item = IpAddr> + use<'a> {
    let body = if !body.is_empty() && is_sdp(headers, body) {
        body
    } else {
        &[]
    };
    in_lines(body)
}

fn is_sdp(headers: &Headers<'_>, body: &[u8]) -> bool {
    let kind = headers.get(Name::ContentType).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    KINDS.iter().any(|known| kind.eq_ignore_ascii_case(known)) || body.starts_with(b"v=0")
}

fn in_lines(body: &[u8]) -> impl Iterator<Item = IpAddr> {
    memmem::find_iter(body, CANDIDATE)
        .filter(|at| *at == 0 || matches!(body[at - 1], b'\n' | b'\r'))
        .filter_map(|at| address(&body[at + CANDIDATE.len()..]))
}

/// `foundation component transport priority address port typ …`; `rest` begins with the foundation.
fn address(rest: &[u8]) -> Option<IpAddr> {
    let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
    let mut words = rest[..end]
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    let address = words.nth(4)?;
    let port = words.next()?;
    let is_candidate = words.next() == Some(b"typ") && port.iter().all(u8::is_ascii_digit);
    let address: IpAddr = std::str::from_utf8(address).ok()?.parse().ok()?;
    let address = address.to_canonical();
    (is_candidate && !address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(body: &str) -> Vec<String> {
        in_lines(body.as_bytes())
            .map(|address| address.to_string())
            .collect()
    }

    #[test]
    fn a_browsers_offer_names_its_addresses() {
        let invite = include_bytes!("../../../sip/tests/fixtures/invite.sip");
        let Ok(message) = sip::parse(invite) else {
            panic!("the capture is SIP");
        };
        let mut found: Vec<_> = addresses(message.headers(), message.body()).collect();
        assert!(found.len() > 6, "one for each line");
        found.sort();
        found.dedup();
        let found: Vec<_> = found.iter().map(IpAddr::to_string).collect();
        assert_eq!(found, ["192.0.2.2", "fd00::2"]);
    }

    #[test]
    fn every_kind_and_transport_counts_and_the_related_address_does_not() {
        let body = "v=0\r\n\
            a=candidate:1 1 udp 2122194687 192.0.2.2 35500 typ host\r\n\
            a=candidate:1 1 TCP 1 198.51.100.7 9 typ srflx raddr 10.0.0.1 rport 9 tcptype active\n\
            a=candidate:x/y+z 2 sctp 0 2001:DB8::7 0 typ unheard-of\r\n\
            a=candidate:1 1 udp 1 ::ffff:203.0.113.4 7 typ relay";
        assert_eq!(
            named(body),
            ["192.0.2.2", "198.51.100.7", "2001:db8::7", "203.0.113.4"]
        );
    }

    #[test]
    fn what_is_no_literal_candidate_names_nothing() {
        for line in [
            "a=candidate:1 1 udp 1 2b7f1a0c.local 9 typ host",
            "a=candidate:1 1 udp 1 example.com 9 typ host",
            "a=candidate:1 1 udp 1 0.0.0.0 9 typ host",
            "a=candidate:1 1 udp 1 :: 9 typ host",
            "a=candidate:1 1 udp 1 192.0.2.2",
            "a=candidate:1 1 udp 1 192.0.2.2 x typ host",
            "a=candidate:1 1 udp 1 192.0.2.2 9",
            "a=candidate:1 1 udp 1 192.0.2.2 9 raddr 1.2.3.4",
            "a=candidate:",
            "a=candidate:1 1 udp",
            "a=candidate:1 1 udp 1 192.0.2.2.2 9 typ host",
            "a=candidate:1 1 udp 1 fe80::1%eth0 9 typ host",
            "a=candidate:1 1\r\nudp 1 192.0.2.2 9 typ host",
            "a=remote-candidates:1 192.0.2.2 9",
            "s=a=candidate:1 1 udp 1 192.0.2.2 9 typ host",
            "c=IN IP4 192.0.2.2",
        ] {
            assert_eq!(named(line), [""; 0], "{line}");
        }
    }

    #[test]
    fn only_sdp_is_looked_at() {
        let candidate = "a=candidate:1 1 udp 1 192.0.2.2 9 typ host\r\n";
        let count = |kind: &str, body: &str| {
            let text = format!(
                "SIP/2.0 200 OK\r\nVia: SIP/2.0/WSS a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
                 To: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{kind}Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let message = sip::parse(text.as_bytes()).unwrap();
            addresses(message.headers(), message.body()).count()
        };
        assert_eq!(count("Content-Type: application/sdp\r\n", candidate), 1);
        assert_eq!(count("c: Application/SDP;charset=utf-8\r\n", candidate), 1);
        let fragment = "Content-Type: application/trickle-ice-sdpfrag\r\n";
        assert_eq!(count(fragment, candidate), 1);
        assert_eq!(count("Content-Type: text/plain\r\n", candidate), 0);
        assert_eq!(count("", candidate), 0);
        assert_eq!(count("", &format!("v=0\r\n{candidate}")), 1);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = in_lines(&body).count();
        }

        #[test]
        fn nothing_near_a_candidate_makes_it_fail(
            words in proptest::collection::vec("(a=candidate:|[0-9.]{1,9}|typ|[:f]{1,6}|\\PC| |\t|\r|\n)", 0..60),
        ) {
            for address in in_lines(words.concat().as_bytes()) {
                prop_assert!(!address.is_unspecified());
            }
        }

        #[test]
        fn a_literal_is_found_wherever_it_stands(
            address in any::<IpAddr>(),
            before in "([a-z]=[ -~]{0,40}\r\n){0,4}",
            foundation in "[a-zA-Z0-9+/]{1,32}",
        ) {
            let body = format!("{before}a=candidate:{foundation} 1 udp 7 {address} 9 typ host\r\n");
            let address = address.to_canonical();
            let is_found = in_lines(body.as_bytes()).any(|found| found == address);
            prop_assert_eq!(is_found, !address.is_unspecified());
        }
    }
}
