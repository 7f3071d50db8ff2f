//! 50,000 requests a second of strangers.

use super::stranger::{Flood, Tally, UPGRADE, frame};
use super::{MIB, Siege};

/// Requests a second.
const RATE: usize = 50_000;
/// What is reached of it at least, however the volleys fall.
const LEAST: f64 = 45_000.0;
/// What a flood may cost: what is read and written for its connections of a moment.
const MEMORY: u64 = 32 * MIB;

/// Volleys of so many requests, at the rate that is promised.
fn flood(volley: Vec<u8>, requests: usize) -> Flood {
    Flood {
        volley,
        requests,
        rate: RATE,
        addresses: 2_000,
    }
}

/// A hundred requests on one connection; `head` is the beginning of each.
fn pipelined(head: &str) -> Flood {
    let volley = format!(
        "{}{head}Connection: close\r\n\r\n",
        format!("{head}\r\n").repeat(99)
    );
    flood(volley.into(), 100)
}

fn stands(siege: &Siege, flood: &Flood, words: &[&str]) -> Tally {
    let server = siege.site.server.address;
    let tally = siege.stands(MEMORY, |is_over| flood.run(server, words, is_over));
    assert!(tally.rate > LEAST, "{tally:?}");
    tally
}

#[test]
#[ignore = "of full size: cargo xtask test siege"]
fn http_requests_of_strangers() {
    let siege = Siege::new();
    let logins = pipelined(
        "GET /webrtc_generate_token?client_id=eve HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZXZlOmV2ZQ==\r\n",
    );
    let tally = stands(&siege, &logins, &["HTTP/1.1 401 ", "HTTP/1.1 429 "]);
    // Each gets its answer, and most the one for those who keep failing.
    assert_eq!(tally.answers, tally.requests, "{tally:?}");
    assert!(siege.counter("logins_slowed") > siege.counter("logins_failed"));

    let pages = pipelined("GET /admin/config.php?id=1' HTTP/1.1\r\nHost: x\r\n");
    let tally = stands(&siege, &pages, &["HTTP/1.1 404 "]);
    assert_eq!(tally.answers, tally.requests, "{tally:?}");
}

#[test]
#[ignore = "of full size: cargo xtask test siege"]
fn sip_requests_of_strangers() {
    let siege = Siege::new();
    let register = format!(
        "REGISTER sip:{domain} SIP/2.0\r\nVia: SIP/2.0/WSS eve.invalid;branch=z9hG4bKe\r\nMax-Forwards: 70\r\n\
         To: <sip:c1@{domain}>\r\nFrom: <sip:c1@{domain}>;tag=e\r\nCall-ID: e\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:e@eve.invalid;transport=ws>\r\nContent-Length: 0\r\n\r\n",
        domain = siege.site.domain(),
    );
    // More than the pace lets pass, and more than is put up with beyond it.
    let volley = [UPGRADE.into(), frame(register.as_bytes()).repeat(700)].concat();
    let tally = stands(
        &siege,
        &flood(volley, 700),
        &["SIP/2.0 401 ", "SIP/2.0 403 "],
    );
    assert!(tally.answers > tally.requests / 2, "{tally:?}");
    assert!(siege.counter("messages_refused_pace") > 0);

    let volley = [UPGRADE.into(), frame(b"no SIP\r\n\r\n").repeat(100)].concat();
    stands(&siege, &flood(volley, 100), &[]);
    assert!(siege.counter("messages_malformed") > 0);
}
