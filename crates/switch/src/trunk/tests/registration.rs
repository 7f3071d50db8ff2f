//! Telling a peer where we are.

use super::*;

fn registering(peers: &[&str]) -> Bench {
    Bench::new(Trunk {
        registration: Some(Duration::from_secs(600)),
        ..trunk(peers)
    })
}

const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256\r\n";

/// One that was challenged and granted this.
fn registered(bench: &mut Bench, more: &str) {
    let first = bench.sent_one();
    bench.hear(A, &answer(&first, 401, CHALLENGE));
    let again = bench.sent_one();
    bench.hear(A, &answer(&again, 200, more));
}

#[test]
fn it_begins_at_once_and_answers_the_challenge() {
    let mut bench = registering(&[A]);
    let first = bench.sent_one();
    assert_eq!(first_line(&first), "REGISTER sip:sip.example.com SIP/2.0");
    assert_eq!(row(&first, "To"), "<sip:alice%40home@sip.example.com>");
    assert_eq!(
        row(&first, "Contact"),
        "<sip:alice%40home@198.51.100.1:5070>"
    );
    assert_eq!(row(&first, "Expires"), "600");
    assert_eq!(bench.state().is_registered, Some(false));
    bench.hear(A, &answer(&first, 401, CHALLENGE));
    let again = bench.sent_one();
    assert_eq!(row(&again, "Call-ID"), row(&first, "Call-ID"));
    assert_eq!(row(&again, "CSeq"), "2 REGISTER");
    assert!(row(&again, "Authorization").contains("nc=00000001"));
    bench.hear(A, &answer(&again, 200, "Expires: 600\r\n"));
    assert_eq!(bench.state().is_registered, Some(true));
    assert!(bench.heard().is_empty(), "it is not the shard's");
}

#[test]
fn it_is_refreshed_when_four_fifths_of_the_grant_are_over() {
    let mut bench = registering(&[A]);
    registered(
        &mut bench,
        "Contact: <sip:other@203.0.113.1>;expires=9, <sip:alice%40home@198.51.100.1:5070>;expires=100\r\nExpires: 600\r\n",
    );
    bench.run_to(79_999);
    assert!(bench.sent().is_empty());
    bench.run_to(80_000);
    let refresh = bench.sent_one();
    assert!(row(&refresh, "Authorization").contains("nc=00000002"));
    bench.hear(
        A,
        &answer(&refresh, 401, &CHALLENGE.replace("\"n\"", "\"m\"")),
    );
    let again = bench.sent_one();
    assert!(row(&again, "Authorization").contains("nonce=\"m\""));
    bench.hear(A, &answer(&again, 200, "Expires: 600\r\n"));
    assert_eq!(bench.state().is_registered, Some(true));
}

#[test]
fn a_registrar_may_know_us_by_another_address() {
    let mut bench = registering(&[A]);
    registered(
        &mut bench,
        "Contact: <sip:alice%40home@203.0.113.77:1024>;expires=60\r\n",
    );
    bench.run_to(48_000);
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_refusal_is_told_and_tried_again_later_and_later() {
    let mut bench = registering(&[A]);
    let first = bench.sent_one();
    bench.hear(A, &answer(&first, 403, ""));
    assert_eq!(bench.state().refused, Some(403));
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let before = bench.at;
        while bench.datagrams.is_empty() {
            bench.wait(1_000);
        }
        pauses.push((bench.at - before) / 1_000);
        let sent = bench.sent_one();
        bench.hear(A, &answer(&sent, 403, ""));
    }
    assert_eq!(pauses, [30, 60, 120, 240, 480, 600, 600]);
    while bench.datagrams.is_empty() {
        bench.wait(1_000);
    }
    let sent = bench.sent_one();
    bench.hear(A, &answer(&sent, 200, ""));
    assert_eq!(
        (bench.state().is_registered, bench.state().refused),
        (Some(true), None)
    );
}

#[test]
fn nobody_there_is_408_and_the_next_peer_is_tried() {
    let mut bench = registering(&[A, B]);
    bench.run_to(32_000);
    let (_, to, sent) = bench.sent().pop().unwrap();
    assert_eq!(to, address(B));
    assert_eq!(bench.state().refused, Some(408));
    bench.hear(B, &answer(&sent, 200, ""));
    assert_eq!(bench.state().is_registered, Some(true));
}

#[test]
fn a_peer_that_takes_everything_but_registrations_is_not_pestered() {
    let mut bench = Bench::new(Trunk {
        registration: Some(Duration::from_secs(600)),
        check: Some(Duration::from_secs(30)),
        ..trunk(&[A, B])
    });
    let mut registers = 0;
    while bench.at < 300_000 {
        for (_, to, sent) in bench.sent() {
            let is_register = sent.starts_with("REGISTER ");
            registers += usize::from(is_register);
            let status = if is_register && to == address(A) {
                503
            } else {
                200
            };
            bench.hear(&to.to_string(), &answer(&sent, status, ""));
        }
        bench.wait(50);
    }
    assert!((10..=24).contains(&registers), "{registers}");
    assert_eq!(bench.state().is_registered, Some(true));
}

#[test]
fn too_brief_an_interval_is_made_longer() {
    let mut bench = registering(&[A]);
    let first = bench.sent_one();
    bench.hear(A, &answer(&first, 423, "Min-Expires: 1800\r\n"));
    let again = bench.sent_one();
    assert_eq!(row(&again, "Expires"), "1800");
    bench.hear(A, &answer(&again, 423, "Min-Expires: 3600\r\n"));
    assert!(bench.sent().is_empty());
    assert_eq!(bench.state().refused, Some(423));
}

#[test]
fn wrong_credentials_are_not_shown_again_and_again() {
    let mut bench = registering(&[A]);
    let first = bench.sent_one();
    bench.hear(A, &answer(&first, 401, CHALLENGE));
    let again = bench.sent_one();
    bench.hear(A, &answer(&again, 401, CHALLENGE));
    assert!(bench.sent().is_empty());
    assert_eq!(bench.state().refused, Some(401));
}

#[test]
fn at_the_end_it_is_taken_back() {
    let mut bench = registering(&[A]);
    registered(&mut bench, "");
    bench.handle(LineInput::Stop);
    let sent = bench.sent_one();
    assert_eq!(row(&sent, "Expires"), "0");
    assert!(row(&sent, "Authorization").contains("nc=00000002"));
    assert!(bench.line.is_waiting());
    bench.hear(A, &answer(&sent, 200, ""));
    assert!(!bench.line.is_waiting(), "whatever may still come twice");
    assert_eq!(bench.state().is_registered, Some(false));
    bench.wait(2_000_000);
    assert!(bench.sent().is_empty(), "and not taken up again");
}
