//! What a shard asks.

use super::*;

const INVITE: &str = "z9hG4bK1-a";

fn bench() -> Bench {
    Bench::new(trunk(&[A]))
}

/// The INVITE as the peer got it; the shard has had its 100.
fn invite(bench: &mut Bench) -> String {
    bench.send(&request("INVITE", 1, INVITE, "", "v=0"));
    let trying = bench.heard_one();
    assert!(trying.starts_with("SIP/2.0 100 "), "{trying}");
    bench.sent_one()
}

const CONTACT: &str = "Contact: <sip:gw@192.0.2.10:5062>\r\n";

/// A call that the peer has taken and the shard has acknowledged.
fn talking(bench: &mut Bench, more: &str) -> String {
    let sent = invite(bench);
    bench.hear(A, &answer(&sent, 200, &format!("{CONTACT}{more}")));
    assert!(bench.heard_one().starts_with("SIP/2.0 200"));
    bench.send(&request("ACK", 1, "z9hG4bK1-b", "peer", ""));
    let ack = bench.sent_one();
    assert!(ack.starts_with("ACK "), "{ack}");
    sent
}

#[test]
fn a_request_leaves_with_our_address_and_its_answer_comes_back_as_asked() {
    let mut bench = bench();
    let sent = invite(&mut bench);
    assert_eq!(
        row(&sent, "Via"),
        "SIP/2.0/UDP 198.51.100.1:5070;branch=z9hG4bK1-a;rport"
    );
    assert_eq!(row(&sent, "Contact"), "<sip:p0.1-2@198.51.100.1:5070>");
    assert!(sent.starts_with("INVITE sip:+441234@sip.example.com SIP/2.0\r\n"));
    assert!(sent.ends_with("\r\n\r\nv=0"));
    bench.hear(A, &answer(&sent, 100, ""));
    bench.hear(A, &answer(&sent, 180, CONTACT));
    let ringing = bench.heard_one();
    assert!(ringing.starts_with("SIP/2.0 180"));
    assert_eq!(
        row(&ringing, "Via"),
        "SIP/2.0/WS offhook.invalid;branch=z9hG4bK1-a"
    );
    bench.hear(A, &answer(&sent, 200, CONTACT));
    assert_eq!(
        row(&bench.heard_one(), "Contact"),
        "<sip:gw@192.0.2.10:5062>"
    );
    bench.ends_empty();
}

#[test]
fn a_lost_invite_is_sent_again_and_given_up_with_408() {
    let mut bench = bench();
    invite(&mut bench);
    bench.run_to(40_000);
    let at: Vec<u64> = bench.sent().iter().map(|(at, ..)| *at).collect();
    assert_eq!(at, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    let refused = bench.heard_one();
    assert!(refused.starts_with("SIP/2.0 408 "), "{refused}");
    assert_eq!(branch(&refused), INVITE);
    assert!(row(&refused, "From").ends_with(";tag=p0.1-2"));
    assert!(row(&refused, "To").contains(";tag="));
    assert_eq!(row(&refused, "CSeq"), "1 INVITE");
    bench.send(&request("ACK", 1, INVITE, "x", ""));
    assert!(bench.sent().is_empty(), "there is nobody to acknowledge");
    bench.ends_empty();
}

#[test]
fn a_repeated_200_is_acknowledged_again_and_not_delivered() {
    let mut bench = bench();
    let sent = invite(&mut bench);
    let taken = answer(&sent, 200, CONTACT);
    bench.hear(A, &taken);
    bench.heard_one();
    bench.hear(A, &taken);
    assert!(bench.heard().is_empty() && bench.sent().is_empty());
    bench.send(&request("ACK", 1, "z9hG4bK1-b", "peer", ""));
    let ack = bench.sent_one();
    assert_eq!(branch(&ack), "z9hG4bK1-b");
    bench.wait(4_000);
    bench.hear(A, &taken);
    assert_eq!(bench.sent_one(), ack);
    assert!(bench.heard().is_empty());
    bench.ends_empty();
}

#[test]
fn each_of_several_that_take_a_call_is_the_shards_to_acknowledge_and_to_end() {
    let mut bench = bench();
    let sent = talking(&mut bench, "");
    let other = answer(&sent, 200, "Record-Route: <sip:192.0.2.10:5099;lr>\r\n")
        .replace(";tag=peer", ";tag=other");
    bench.hear(A, &other);
    assert!(row(&bench.heard_one(), "To").ends_with(";tag=other"));
    bench.send(&request("ACK", 1, "z9hG4bK1-c", "other", ""));
    let (_, to, ack) = bench.sent().remove(0);
    assert_eq!(to, address("192.0.2.10:5099"));
    bench.send(&request("BYE", 2, "z9hG4bK1-d", "other", ""));
    let bye = bench.sent_one();
    assert_eq!(row(&bye, "Route"), "<sip:192.0.2.10:5099;lr>");
    bench.hear(A, &other);
    assert_eq!(bench.sent_one(), ack);
    bench.hear(A, &answer(&bye, 200, ""));
    bench.wait(200_000);
    bench.send(&request("BYE", 2, "z9hG4bK1-e", "peer", ""));
    let (_, to, bye) = bench.sent().remove(0);
    assert!(
        to == address(A) && !bye.contains("Route: "),
        "the call itself goes on"
    );
    bench.ends_empty();
}

#[test]
fn a_refusal_is_acknowledged_here_and_the_shards_own_ack_swallowed() {
    let mut bench = bench();
    let sent = invite(&mut bench);
    let busy = answer(&sent, 486, "");
    bench.hear(A, &busy);
    let ack = bench.sent_one();
    assert!(ack.starts_with("ACK sip:+441234@sip.example.com SIP/2.0\r\n"));
    assert_eq!(branch(&ack), INVITE);
    assert_eq!(row(&ack, "CSeq"), "1 ACK");
    assert!(row(&ack, "To").ends_with(";tag=peer"));
    assert!(bench.heard_one().starts_with("SIP/2.0 486"));
    bench.send(&request("ACK", 1, INVITE, "peer", ""));
    assert!(bench.sent().is_empty());
    bench.hear(A, &busy);
    assert_eq!(bench.sent_one(), ack, "the ACK was lost");
    assert!(bench.heard().is_empty());
    bench.ends_empty();
}

fn challenged(status: u16, algorithm: &str) {
    let mut bench = bench();
    let sent = invite(&mut bench);
    let (asks, answers) = match status {
        401 => ("WWW-Authenticate", "Authorization"),
        _ => ("Proxy-Authenticate", "Proxy-Authorization"),
    };
    let challenge =
        format!("{asks}: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm={algorithm}\r\n");
    bench.hear(A, &answer(&sent, status, &challenge));
    let both = bench.sent();
    assert_eq!(both.len(), 2, "ACK and another INVITE: {both:#?}");
    let (ack, again) = (&both[0].2, &both[1].2);
    assert!(ack.starts_with("ACK "));
    assert_eq!(row(again, "CSeq"), "2 INVITE");
    assert_ne!(branch(again), INVITE);
    let shown = row(again, answers);
    assert!(shown.contains("username=\"alice@home\"") && shown.contains(algorithm));
    assert!(bench.heard().is_empty(), "the shard does not notice");
    bench.hear(A, &answer(&sent, status, &challenge));
    assert_eq!(&bench.sent_one(), ack, "its ACK was lost");
    bench.hear(A, &answer(again, 200, CONTACT));
    let taken = bench.heard_one();
    assert_eq!(row(&taken, "CSeq"), "1 INVITE");
    assert_eq!(branch(&taken), INVITE);
    bench.send(&request("ACK", 1, "z9hG4bK1-b", "peer", ""));
    let ack = bench.sent_one();
    assert_eq!(row(&ack, "CSeq"), "2 ACK");
    assert_eq!(row(&ack, answers), shown, "as RFC 3261 §22.1 wants");
    bench.send(&request("BYE", 2, "z9hG4bK1-c", "peer", ""));
    let bye = bench.sent_one();
    assert_eq!(row(&bye, "CSeq"), "3 BYE");
    bench.hear(A, &answer(&bye, 200, ""));
    assert_eq!(row(&bench.heard_one(), "CSeq"), "2 BYE");
    bench.ends_empty();
}

#[test]
fn challenges_are_answered() {
    for algorithm in ["MD5", "SHA-256"] {
        challenged(401, algorithm);
        challenged(407, algorithm);
    }
}

#[test]
fn a_second_challenge_is_a_refusal_unless_the_nonce_was_stale() {
    let challenge =
        |more: &str| format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"{more}\r\n");
    let mut bench = bench();
    let sent = invite(&mut bench);
    bench.hear(A, &answer(&sent, 401, &challenge("")));
    let again = bench.sent().pop().unwrap().2;
    bench.hear(A, &answer(&again, 401, &challenge(", stale=true")));
    let third = bench.sent().pop().unwrap().2;
    assert_eq!(row(&third, "CSeq"), "3 INVITE");
    bench.hear(A, &answer(&third, 401, &challenge(", stale=true")));
    assert!(bench.sent_one().starts_with("ACK "));
    let refused = bench.heard_one();
    assert!(refused.starts_with("SIP/2.0 401"));
    assert_eq!(row(&refused, "CSeq"), "1 INVITE");
    let mut bench = Bench::new(Trunk {
        login: None,
        ..trunk(&[A])
    });
    let sent = invite(&mut bench);
    bench.hear(A, &answer(&sent, 401, &challenge("")));
    assert!(bench.heard_one().starts_with("SIP/2.0 401"), "nobody to be");
    bench.ends_empty();
}

#[test]
fn a_cancel_waits_for_the_first_word_of_the_peer() {
    let mut bench = bench();
    let sent = invite(&mut bench);
    bench.send(&request("CANCEL", 1, INVITE, "", ""));
    assert!(bench.heard_one().starts_with("SIP/2.0 200"));
    assert!(bench.sent().is_empty());
    bench.hear(A, &answer(&sent, 100, ""));
    let cancel = bench.sent_one();
    assert!(cancel.starts_with("CANCEL sip:+441234@sip.example.com "));
    assert_eq!(row(&cancel, "Via"), row(&sent, "Via"));
    assert_eq!(row(&cancel, "CSeq"), "1 CANCEL");
    bench.wait(500);
    assert_eq!(bench.sent_one(), cancel, "it may have got lost");
    bench.hear(A, &answer(&cancel, 200, ""));
    bench.hear(A, &answer(&sent, 487, ""));
    assert!(bench.sent_one().starts_with("ACK "));
    assert!(bench.heard_one().starts_with("SIP/2.0 487"));
    bench.ends_empty();
}

#[test]
fn a_cancel_after_the_first_word_goes_at_once_and_is_not_waited_for_for_ever() {
    let mut bench = bench();
    let sent = invite(&mut bench);
    bench.hear(A, &answer(&sent, 180, ""));
    bench.heard_one();
    let cancel =
        request("CANCEL", 1, INVITE, "", "").replace("Call-ID", "Reason: SIP;cause=487\r\nCall-ID");
    bench.send(&cancel);
    let cancel = bench.sent_one();
    assert_eq!(row(&cancel, "Reason"), "SIP;cause=487");
    bench.heard();
    bench.wait(33_000);
    assert!(bench.heard_one().starts_with("SIP/2.0 487"));
    bench.ends_empty();
}

#[test]
fn a_cancel_before_any_answer_ends_with_487_and_moves_to_nobody() {
    let mut bench = Bench::new(trunk(&[A, B]));
    invite(&mut bench);
    bench.send(&request("CANCEL", 1, INVITE, "", ""));
    bench.heard();
    bench.wait(40_000);
    assert!(bench.heard_one().starts_with("SIP/2.0 487"));
    let to_a = |(_, to, _): &(u64, SocketAddr, String)| *to == address(A);
    assert!(bench.sent().iter().all(to_a));
    bench.ends_empty();
}

#[test]
fn a_bye_is_sent_again_until_it_is_answered() {
    let mut bench = bench();
    talking(&mut bench, "");
    bench.send(&request("BYE", 2, "z9hG4bK1-c", "peer", ""));
    let bye = bench.sent_one();
    bench.wait(500);
    assert_eq!(bench.sent_one(), bye);
    bench.hear(A, &answer(&bye, 200, ""));
    bench.hear(A, &answer(&bye, 200, ""));
    assert!(bench.heard_one().starts_with("SIP/2.0 200"), "once");
    bench.send(&request("BYE", 3, "z9hG4bK1-d", "peer", ""));
    bench.wait(33_000);
    assert!(bench.heard_one().starts_with("SIP/2.0 408"));
    bench.ends_empty();
}

#[test]
fn a_route_is_kept_and_taken_only_to_whom_the_trunk_admits() {
    let hop = |host: &str| format!("Record-Route: <sip:far.example.com;lr>, <sip:{host};lr>\r\n");
    let mut bench = bench();
    talking(&mut bench, &hop("192.0.2.10:5099"));
    bench.send(&request("BYE", 2, "z9hG4bK1-c", "peer", ""));
    let (_, to, bye) = bench.sent().remove(0);
    assert_eq!(to, address("192.0.2.10:5099"));
    let routes: Vec<&str> = bye
        .lines()
        .filter(|line| line.starts_with("Route"))
        .collect();
    assert_eq!(
        routes,
        [
            "Route: <sip:192.0.2.10:5099;lr>",
            "Route: <sip:far.example.com;lr>"
        ]
    );
    let mut bench = super::outgoing::bench();
    talking(&mut bench, &hop("203.0.113.9"));
    bench.send(&request("BYE", 2, "z9hG4bK1-c", "peer", ""));
    assert_eq!(bench.sent()[0].1, address(A));
}

#[test]
fn a_reinvite_that_is_refused_leaves_the_call_as_it_was() {
    let mut bench = bench();
    talking(&mut bench, "");
    bench.send(&request("INVITE", 2, "z9hG4bK1-c", "peer", "v=0"));
    let sent = bench.sent_one();
    bench.heard();
    bench.hear(A, &answer(&sent, 488, ""));
    assert!(bench.sent_one().starts_with("ACK "));
    bench.send(&request("ACK", 2, "z9hG4bK1-c", "peer", ""));
    assert!(bench.sent().is_empty());
    bench.send(&request("BYE", 3, "z9hG4bK1-d", "peer", ""));
    assert!(bench.sent_one().starts_with("BYE "));
    bench.ends_empty();
}

#[test]
fn a_challenged_reinvite_does_not_take_the_number_of_a_bye() {
    let mut bench = bench();
    talking(&mut bench, "");
    bench.send(&request("INVITE", 2, "z9hG4bK1-c", "peer", "v=0"));
    let reinvite = bench.sent_one();
    bench.send(&request("BYE", 3, "z9hG4bK1-d", "peer", ""));
    assert_eq!(row(&bench.sent_one(), "CSeq"), "3 BYE");
    let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
    bench.hear(A, &answer(&reinvite, 401, challenge));
    let again = bench.sent().pop().unwrap().2;
    assert_eq!(row(&again, "CSeq"), "4 INVITE");
    bench.send(&request("INFO", 4, "z9hG4bK1-e", "peer", ""));
    assert_eq!(row(&bench.sent_one(), "CSeq"), "6 INFO", "ever higher");
    bench.ends_empty();
}

#[test]
fn a_made_up_host_gives_way_to_the_trunks_domain() {
    let mut bench = bench();
    let invite = request("INVITE", 1, INVITE, "", "").replacen(
        "sip:+441234@sip.example.com",
        "sip:+441234@x.invalid;transport=ws",
        1,
    );
    bench.send(&invite);
    assert_eq!(
        first_line(&bench.sent_one()),
        "INVITE sip:+441234@sip.example.com SIP/2.0"
    );
}

#[test]
fn what_is_too_large_or_too_much_is_refused() {
    let mut bench = bench();
    bench.send(&request("INVITE", 1, INVITE, "", &"v".repeat(65_400)));
    assert!(bench.heard().pop().unwrap().starts_with("SIP/2.0 513"));
    assert!(bench.sent().is_empty());
    for number in 0..model::limits::TRUNK_TRANSACTIONS {
        bench.send(&request(
            "MESSAGE",
            1,
            &format!("z9hG4bK2-{number:x}"),
            "",
            "",
        ));
    }
    assert!(bench.heard().is_empty());
    bench.send(&request("MESSAGE", 1, "z9hG4bK3-1", "", ""));
    assert!(bench.heard_one().starts_with("SIP/2.0 503"));
    assert_eq!(bench.counts, [Counter::CallsFull]);
    bench.sent();
    bench.send(&request("BYE", 2, "z9hG4bK3-2", "peer", ""));
    assert!(bench.sent_one().starts_with("BYE "), "calls can end");
    bench.ends_empty();
}

#[test]
fn a_strict_router_is_asked_by_its_own_address() {
    let mut bench = bench();
    let rows = "Record-Route: <sip:far.example.com;lr>, <sip:192.0.2.10:5099;x=y>\r\n";
    talking(&mut bench, rows);
    bench.send(&request("BYE", 2, "z9hG4bK1-c", "peer", ""));
    let (_, to, bye) = bench.sent().remove(0);
    assert_eq!(to, address("192.0.2.10:5099"));
    assert_eq!(first_line(&bye), "BYE sip:192.0.2.10:5099;x=y SIP/2.0");
    let routes: Vec<&str> = bye
        .lines()
        .filter(|line| line.starts_with("Route"))
        .collect();
    let target = "Route: <sip:+441234@sip.example.com>";
    assert_eq!(routes, ["Route: <sip:far.example.com;lr>", target]);
    let challenge = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
    bench.hear(A, &answer(&bye, 407, challenge));
    let again = bench.sent_one();
    let shown = row(&again, "Proxy-Authorization");
    assert!(shown.contains("uri=\"sip:192.0.2.10:5099;x=y\""), "{shown}");
}

#[test]
fn several_challenges_in_one_row_are_told_apart() {
    let mut bench = bench();
    let sent = invite(&mut bench);
    let row_of_two = "WWW-Authenticate: Digest realm=\"a, b\", nonce=\"1\", algorithm=MD5, Digest realm=\"a, b\", \
                      nonce=\"2\", algorithm=SHA-256, Basic realm=\"x\"\r\n";
    bench.hear(A, &answer(&sent, 401, row_of_two));
    let again = bench.sent().pop().unwrap().2;
    let shown = row(&again, "Authorization");
    let is_best = shown.contains("nonce=\"2\"") && shown.contains("realm=\"a, b\"");
    assert!(is_best && shown.contains("SHA-256"), "{shown}");
}
