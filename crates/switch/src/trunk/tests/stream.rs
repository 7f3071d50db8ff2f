//! A line whose messages come by connections.

use super::incoming::{peer_request, reply};
use super::*;

const INVITE: &str = "z9hG4bK1-a";
/// Where connections of peers come from.
const SOURCE: &str = "192.0.2.10:40000";
const STRANGE_SOURCE: &str = "203.0.113.5:40000";

fn by_tcp(peers: &[&str]) -> Trunk {
    Trunk {
        transport: TrunkTransport::Tcp,
        ..trunk(peers)
    }
}

/// The INVITE as the peer got it.
fn invite(bench: &mut Bench) -> String {
    bench.send(&request("INVITE", 1, INVITE, "", "v=0"));
    assert!(bench.heard_one().starts_with("SIP/2.0 100 "));
    bench.sent_one()
}

/// Connections to this peer are lost, or cannot be made.
fn lose(bench: &mut Bench, to: &str, was_open: bool) {
    let to = address(to);
    bench.handle(LineInput::Lost { to, was_open });
}

#[test]
fn a_request_names_the_transport_and_is_not_sent_again() {
    let mut bench = Bench::new(by_tcp(&[A]));
    let sent = invite(&mut bench);
    assert_eq!(
        row(&sent, "Via"),
        "SIP/2.0/TCP 198.51.100.1:5070;branch=z9hG4bK1-a"
    );
    assert_eq!(
        row(&sent, "Contact"),
        "<sip:p0.1-2@198.51.100.1:5070;transport=tcp>"
    );
    assert_eq!(row(&sent, "Content-Length"), "3");
    bench.run_to(31_999);
    assert!(bench.sent().is_empty() && bench.heard().is_empty());
    bench.run_to(32_000);
    assert!(bench.heard_one().starts_with("SIP/2.0 408 "), "timer B");
    bench.send(&request("BYE", 2, "z9hG4bK1-c", "peer", ""));
    assert_eq!(row(&bench.sent_one(), "Content-Length"), "0");
    bench.run_to(63_999);
    assert!(bench.sent().is_empty() && bench.heard().is_empty());
    bench.run_to(64_000);
    assert!(bench.heard_one().starts_with("SIP/2.0 408 "), "timer F");
    bench.ends_empty();
}

#[test]
fn what_is_answered_is_forgotten_at_once() {
    let mut bench = Bench::new(by_tcp(&[A]));
    let sent = invite(&mut bench);
    bench.hear(A, &answer(&sent, 486, ""));
    assert!(bench.sent_one().starts_with("ACK "));
    assert!(bench.heard_one().starts_with("SIP/2.0 486 "));
    assert_eq!(bench.line.asking.len(), 0, "timer D is none");
    bench.send(&request("OPTIONS", 1, "z9hG4bK1-o", "", ""));
    let sent = bench.sent_one();
    bench.hear(A, &answer(&sent, 200, ""));
    bench.heard_one();
    assert_eq!(bench.line.asking.len(), 0, "timer K is none");

    bench.hear(SOURCE, &peer_request("MESSAGE", "z9hG4bKp2", "", 7));
    let given = bench.heard_one();
    bench.send(&reply(&given, 405, "x"));
    bench.sent_one();
    assert_eq!(bench.line.serving.len(), 0, "timer J is none");
    bench.ends_empty();
}

#[test]
fn answers_leave_by_the_connection_of_their_request() {
    let network = model::media::Network::new(address(STRANGE_SOURCE).ip(), 32).unwrap();
    let mut bench = Bench::new(Trunk {
        networks: vec![network],
        ..by_tcp(&[A])
    });
    for (source, standing) in [(SOURCE, A), (STRANGE_SOURCE, "203.0.113.5:5060")] {
        let invite = peer_request("INVITE", "z9hG4bKp1", "", 7).replace("call-2", source);
        bench.hear(source, &invite);
        let given = bench.heard_one();
        bench.send(&reply(&given, 486, "x"));
        let (_, to, refused) = bench.sent().remove(0);
        assert!(refused.starts_with("SIP/2.0 486 "));
        assert_eq!(to, address(standing));
        assert_eq!(bench.ways.pop(), Some(Some(address(source))));
        bench.wait(31_999);
        assert!(bench.sent().is_empty(), "timer G is none");
        assert_eq!(bench.line.serving.len(), 1);
        bench.wait(1);
        assert_eq!(bench.line.serving.len(), 0, "timer H");
    }
    bench.hear(SOURCE, &peer_request("OPTIONS", "z9hG4bKp3", "", 1));
    let there = bench.sent_one();
    assert_eq!(
        row(&there, "Contact"),
        "<sip:198.51.100.1:5070;transport=tcp>"
    );
    assert_eq!(bench.ways.pop(), Some(Some(address(SOURCE))));
    bench.ends_empty();
}

#[test]
fn a_call_of_a_peer_stays_on_its_connection_and_its_200_is_repeated() {
    let mut bench = Bench::new(by_tcp(&[A]));
    bench.hear(SOURCE, &peer_request("INVITE", "z9hG4bKp1", "", 7));
    let given = bench.heard_one();
    bench.send(&reply(&given, 200, "p0.1-2"));
    bench.wait(499);
    assert_eq!(bench.sent().len(), 1);
    bench.wait(1);
    assert!(
        bench.sent_one().starts_with("SIP/2.0 200 "),
        "it may have hops by UDP behind the peer"
    );
    bench.hear(SOURCE, &peer_request("ACK", "z9hG4bKp2", "p0.1-2", 7));
    assert!(bench.heard_one().starts_with("ACK "));
    let bye = request("BYE", 1, "z9hG4bK1-b", "peer", "").replace("call-1", "call-2");
    bench.send(&bye);
    assert!(bench.sent_one().starts_with("BYE "));
    assert_eq!(bench.ways.pop(), Some(Some(address(SOURCE))));
    bench.ends_empty();
}

#[test]
fn a_peer_that_cannot_be_reached_leaves_the_call_to_the_next() {
    let mut bench = Bench::new(by_tcp(&[A, B]));
    invite(&mut bench);
    lose(&mut bench, A, false);
    let (at, to, sent) = bench.sent().remove(0);
    assert_eq!((at, to), (0, address(B)));
    assert_ne!(branch(&sent), INVITE);
    lose(&mut bench, A, false);
    assert!(bench.heard().is_empty() && bench.sent().is_empty());
    lose(&mut bench, B, false);
    let refused = bench.heard_one();
    assert!(refused.starts_with("SIP/2.0 503 "), "{refused}");
    assert!(refused.contains("the peer cannot be reached"), "{refused}");
    bench.ends_empty();
}

#[test]
fn what_a_lost_connection_may_have_swallowed_goes_by_the_next_as_it_was() {
    let mut bench = Bench::new(by_tcp(&[A, B]));
    let sent = invite(&mut bench);
    lose(&mut bench, A, true);
    let (_, to, again) = bench.sent().remove(0);
    assert_eq!((to, again), (address(A), sent.clone()));
    bench.hear(A, &answer(&sent, 180, ""));
    bench.heard_one();
    lose(&mut bench, A, true);
    lose(&mut bench, A, false);
    assert!(bench.sent().is_empty(), "what has been heard has arrived");
    bench.hear(A, &answer(&sent, 486, ""));
    assert!(bench.heard_one().starts_with("SIP/2.0 486 "));
    bench.ends_empty();
}

#[test]
fn a_lost_connection_is_registered_by_anew() {
    let mut bench = Bench::new(Trunk {
        registration: Some(Duration::from_secs(300)),
        ..by_tcp(&[A])
    });
    let first = bench.sent_one();
    bench.hear(A, &answer(&first, 200, "Expires: 300\r\n"));
    assert_eq!(bench.state().is_registered, Some(true));
    lose(&mut bench, A, true);
    let again = bench.sent_one();
    assert!(again.starts_with("REGISTER ") && branch(&again) != branch(&first));
    lose(&mut bench, A, false);
    let state = bench.state();
    assert_eq!(
        (state.is_registered, state.refused),
        (Some(false), Some(503))
    );
    bench.wait(30_000);
    let later = bench.sent_one();
    bench.hear(A, &answer(&later, 200, "Expires: 300\r\n"));
    assert_eq!(bench.state().is_registered, Some(true));
    bench.handle(LineInput::Stop);
    bench.sent_one();
    lose(&mut bench, A, true);
    assert!(
        bench.sent_one().contains("Expires: 0"),
        "it is not registered anew"
    );
    bench.ends_empty();
}

#[test]
fn a_check_that_finds_nobody_is_503() {
    let mut bench = Bench::new(Trunk {
        check: Some(Duration::from_secs(30)),
        ..by_tcp(&[A])
    });
    let asked = bench.sent_one();
    assert!(row(&asked, "Via").starts_with("SIP/2.0/TCP "));
    lose(&mut bench, A, false);
    let state = bench.state();
    assert_eq!((state.peer, state.refused), (None, Some(503)));
    bench.wait(30_000);
    let asked = bench.sent_one();
    bench.hear(A, &answer(&asked, 200, ""));
    assert_eq!(bench.state().peer, Some(address(A)));
}
