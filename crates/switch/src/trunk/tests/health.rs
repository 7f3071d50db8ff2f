//! Which peer is used.

use super::*;

const INVITE: &str = "z9hG4bK1-a";

fn checked(peers: &[&str]) -> Bench {
    Bench::new(Trunk {
        check: Some(Duration::from_secs(30)),
        ..trunk(peers)
    })
}

#[test]
fn a_peer_that_is_dead_leaves_the_call_to_the_next() {
    let mut bench = Bench::new(trunk(&[A, B]));
    assert_eq!(bench.state().peer, Some(address(A)));
    bench.send(&request("INVITE", 1, INVITE, "", ""));
    bench.heard_one();
    bench.run_to(32_000);
    let (at, to, sent) = bench.sent().pop().unwrap();
    assert_eq!((at, to), (32_000, address(B)));
    assert_ne!(branch(&sent), INVITE);
    assert!(bench.heard().is_empty());
    bench.hear(B, &answer(&sent, 200, ""));
    let taken = bench.heard_one();
    assert_eq!(branch(&taken), INVITE);
    bench.send(&request("ACK", 1, "z9hG4bK1-b", "peer", ""));
    assert_eq!(bench.sent()[0].1, address(B));
    bench.send(&request("BYE", 2, "z9hG4bK1-c", "peer", ""));
    assert_eq!(bench.sent()[0].1, address(B));
    assert_eq!(
        bench.state().peer,
        Some(address(A)),
        "without a check it counts as there"
    );
    bench.ends_empty();
}

#[test]
fn a_503_leaves_the_call_to_the_next_and_is_told_if_there_is_none() {
    let mut bench = Bench::new(trunk(&[A, B]));
    bench.send(&request("INVITE", 1, INVITE, "", ""));
    bench.heard_one();
    let sent = bench.sent_one();
    bench.hear(A, &answer(&sent, 503, ""));
    let both = bench.sent();
    assert!(both[0].2.starts_with("ACK ") && both[0].1 == address(A));
    assert!(both[1].2.starts_with("INVITE ") && both[1].1 == address(B));
    bench.hear(B, &answer(&both[1].2, 503, ""));
    assert!(bench.heard_one().starts_with("SIP/2.0 503"));
    bench.ends_empty();
}

#[test]
fn a_peer_is_asked_and_any_answer_will_do() {
    let mut bench = checked(&[A, B]);
    let asked = bench.sent_one();
    assert!(asked.starts_with("OPTIONS sip:sip.example.com SIP/2.0\r\n"));
    bench.hear(A, &answer(&asked, 408, ""));
    bench.wait(30_000);
    let (at, to, _) = bench.sent().remove(0);
    assert_eq!((at, to), (30_000, address(A)));
    assert_eq!(bench.states.len(), 1, "nothing has changed");
    assert!(bench.heard().is_empty(), "it is not the shard's");
}

#[test]
fn a_silent_peer_is_left_for_the_next_and_comes_back() {
    let mut bench = checked(&[A, B]);
    bench.run_to(32_000);
    let (_, to, asked) = bench.sent().pop().unwrap();
    assert_eq!(to, address(B));
    bench.hear(B, &answer(&asked, 200, ""));
    assert_eq!(bench.state().peer, Some(address(B)));
    assert_eq!(bench.state().refused, Some(408));
    bench.send(&request("INVITE", 1, INVITE, "", ""));
    assert_eq!(bench.sent()[0].1, address(B));
    bench.run_to(61_000);
    let to_a = bench
        .sent()
        .into_iter()
        .find(|(_, to, _)| *to == address(A));
    bench.hear(A, &answer(&to_a.unwrap().2, 200, ""));
    assert_eq!(bench.state().peer, Some(address(A)), "the first is used");
    assert_eq!(bench.state().refused, None);
}

#[test]
fn when_no_peer_answers_calls_are_refused_at_once_and_all_are_asked() {
    let mut bench = checked(&[A, B]);
    let asked = bench.sent_one();
    bench.hear(A, &answer(&asked, 503, ""));
    let asked = bench.sent_one();
    bench.hear(B, &answer(&asked, 503, ""));
    assert_eq!(
        bench.state(),
        LineState {
            peer: None,
            is_registered: None,
            refused: Some(503),
            name: None,
        }
    );
    bench.send(&request("INVITE", 1, INVITE, "", ""));
    assert!(bench.heard_one().starts_with("SIP/2.0 503"));
    assert!(bench.sent().is_empty());
    bench.run_to(30_000);
    let asked = bench.sent();
    assert_eq!(asked.len(), 2);
    bench.hear(B, &answer(&asked[1].2, 200, ""));
    assert_eq!(bench.state().peer, Some(address(B)));
}

#[test]
fn an_invite_that_nobody_hears_says_that_the_peer_is_gone() {
    let mut bench = checked(&[A, B]);
    let asked = bench.sent_one();
    bench.hear(A, &answer(&asked, 200, ""));
    bench.run_to(20_000);
    bench.send(&request("INVITE", 1, INVITE, "", ""));
    bench.run_to(52_100);
    assert_eq!(bench.state().peer, Some(address(B)));
}

#[test]
fn each_peer_may_ask_who_we_are() {
    let mut bench = Bench::new(trunk(&[A, B]));
    bench.send(&request("INVITE", 1, INVITE, "", ""));
    let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
    let mut sent = bench.sent_one();
    for (peer, status, more) in [(A, 401, challenge), (A, 503, ""), (B, 401, challenge)] {
        bench.hear(peer, &answer(&sent, status, more));
        sent = bench.sent().pop().unwrap().2;
        assert_eq!(sent.contains("\nAuthorization: "), status == 401);
    }
    bench.hear(B, &answer(&sent, 200, ""));
    let taken = bench.heard().pop().unwrap();
    assert!(taken.starts_with("SIP/2.0 200") && row(&taken, "CSeq") == "1 INVITE");
}

#[test]
fn a_503_that_meant_one_call_leaves_the_peer_in_use() {
    let mut bench = checked(&[A]);
    let asked = bench.sent_one();
    bench.hear(A, &answer(&asked, 200, ""));
    bench.send(&request("INVITE", 1, INVITE, "", ""));
    let sent = bench.sent_one();
    bench.hear(A, &answer(&sent, 503, ""));
    assert!(bench.heard().pop().unwrap().starts_with("SIP/2.0 503"));
    assert_eq!(bench.state().peer, None);
    let asked = bench.sent().pop().unwrap().2;
    bench.hear(A, &answer(&asked, 200, ""));
    assert_eq!(bench.state().peer, Some(address(A)));
    bench.wait(100);
    assert!(bench.sent().is_empty(), "it is not asked again and again");
}

#[test]
fn a_peer_that_says_for_how_long_it_cannot_is_passed_over_for_so_long() {
    let mut bench = Bench::new(trunk(&[A, B]));
    bench.send(&request("INVITE", 1, INVITE, "", ""));
    let sent = bench.sent_one();
    bench.hear(A, &answer(&sent, 503, "Retry-After: 20 (a little)\r\n"));
    let again = bench.sent().pop().unwrap();
    assert_eq!(again.1, address(B));
    bench.hear(
        B,
        &answer(&again.2, 503, "Retry-After: 99999999999999999999999\r\n"),
    );
    bench.sent();
    bench.heard();
    assert_eq!(bench.state().peer, None);
    bench.send(&request("INVITE", 1, "z9hG4bK2-a", "", "").replace("call-1", "call-2"));
    assert!(bench.heard_one().starts_with("SIP/2.0 503"));
    assert!(bench.sent().is_empty(), "nobody is asked");
    bench.run_to(20_000);
    assert_eq!(bench.state().peer, Some(address(A)));
    bench.hear(A, &answer(&sent, 503, "Retry-After: soon\r\n"));
    bench.run_to(299_000);
    let first = |bench: &mut Bench, number: u32| {
        let branch = format!("z9hG4bK3-{number}");
        bench.send(&request("MESSAGE", 1, &branch, "", "").replace("call-1", &branch));
        let sent = bench.sent().remove(0);
        bench.hear(
            &sent.1.to_string(),
            &answer(&sent.2, 503, "Retry-After: 1\r\n"),
        );
        bench.sent()
    };
    assert!(
        first(&mut bench, 1).is_empty(),
        "B rests for as long as anybody may"
    );
    bench.run_to(301_500);
    let next = first(&mut bench, 2);
    assert_eq!(next[0].1, address(B));
}

#[test]
fn nobody_is_asked_again_once_the_server_stops() {
    let mut bench = checked(&[A]);
    bench.sent_one();
    bench.handle(LineInput::Stop);
    bench.wait(200_000);
    bench.sent();
    bench.ends_empty();
    assert!(
        bench.sent().is_empty(),
        "an OPTIONS that is not answered is not the first of many"
    );
}
