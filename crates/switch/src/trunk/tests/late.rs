//! Whoever takes a call that nobody wants any more.

use super::*;

const INVITE: &str = "z9hG4bK1-a";
const CONTACT: &str =
    "Contact: <sip:gw@192.0.2.10:5062>\r\nRecord-Route: <sip:192.0.2.10:5099;lr>\r\n";

/// The INVITE as the peer got it.
fn invite(bench: &mut Bench) -> String {
    bench.send(&request("INVITE", 1, INVITE, "", "v=0"));
    bench.heard();
    bench.sent_one()
}

/// The ACK and the BYE that a 2xx brings.
#[track_caller]
fn ends(bench: &mut Bench, peer: &str, taken: &str) -> String {
    bench.hear(peer, taken);
    let sent = bench.sent();
    assert_eq!(sent.len(), 2, "{sent:#?}");
    let (ack, bye) = (&sent[0].2, &sent[1].2);
    for (message, method) in [(ack, "ACK"), (bye, "BYE")] {
        let first = format!("{method} sip:gw@192.0.2.10:5062 SIP/2.0");
        assert_eq!(first_line(message), first);
        assert_eq!(row(message, "Route"), "<sip:192.0.2.10:5099;lr>");
        assert_eq!(row(message, "To"), row(taken, "To"));
        assert_eq!(row(message, "From"), row(taken, "From"));
    }
    let (number, _) = row(taken, "CSeq").split_once(' ').unwrap();
    let next = number.parse::<u32>().unwrap() + 1;
    assert_eq!(row(ack, "CSeq"), format!("{number} ACK"));
    assert_eq!(row(bye, "CSeq"), format!("{next} BYE"));
    assert!(
        sent.iter()
            .all(|(_, to, _)| *to == address("192.0.2.10:5099"))
    );
    bye.clone()
}

/// What was taken too late is ended, whatever gets lost, and the shard hears nothing of it.
#[track_caller]
fn is_ended(bench: &mut Bench, sent: &str) {
    let taken = answer(sent, 200, CONTACT);
    let bye = ends(bench, A, &taken);
    bench.hear(A, &taken);
    assert!(bench.sent_one().starts_with("ACK "), "again");
    bench.wait(500);
    assert_eq!(bench.sent_one(), bye, "it may have got lost");
    let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
    bench.hear(A, &answer(&bye, 401, challenge));
    let again = bench.sent_one();
    assert!(
        again.starts_with("BYE ") && again.contains("\r\nAuthorization: "),
        "{again}"
    );
    bench.hear(A, &answer(&again, 200, ""));
    assert!(bench.heard().is_empty());
    bench.wait(5_000);
    bench.sent();
    bench.ends_empty();
    assert!(bench.counts.is_empty(), "{:?}", bench.counts);
}

#[test]
fn a_call_that_is_taken_after_the_shard_was_told_408_is_ended() {
    let mut bench = Bench::new(trunk(&[A]));
    let sent = invite(&mut bench);
    bench.wait(33_000);
    assert!(bench.heard_one().starts_with("SIP/2.0 408"));
    bench.sent();
    bench.wait(20_000);
    is_ended(&mut bench, &sent);
}

#[test]
fn a_call_that_is_taken_in_spite_of_its_cancel_is_ended() {
    let mut bench = Bench::new(trunk(&[A]));
    let sent = invite(&mut bench);
    bench.hear(A, &answer(&sent, 180, ""));
    bench.send(&request("CANCEL", 1, INVITE, "", ""));
    bench.heard();
    bench.sent();
    bench.hear(A, &answer(&sent, 200, ""));
    let told = bench.heard_one();
    assert!(told.starts_with("SIP/2.0 487"), "{told}");
    assert_eq!(bench.sent().len(), 2, "ACK and BYE");
    let mut bench = Bench::new(trunk(&[A]));
    let sent = invite(&mut bench);
    bench.hear(A, &answer(&sent, 180, ""));
    bench.heard();
    bench.send(&request("CANCEL", 1, INVITE, "", ""));
    bench.hear(
        A,
        &answer(&bench.datagrams.last().unwrap().2.clone(), 200, ""),
    );
    bench.wait(33_000);
    bench.sent();
    assert!(bench.heard().pop().unwrap().starts_with("SIP/2.0 487"));
    is_ended(&mut bench, &sent);
}

#[test]
fn one_that_rings_too_late_is_told_to_stop_and_its_refusal_acknowledged() {
    let mut bench = Bench::new(trunk(&[A]));
    let sent = invite(&mut bench);
    bench.wait(33_000);
    bench.heard();
    bench.sent();
    bench.hear(A, &answer(&sent, 180, ""));
    let cancel = bench.sent_one();
    assert!(cancel.starts_with("CANCEL "), "{cancel}");
    assert!(row(&cancel, "Reason").contains("408"));
    bench.hear(A, &answer(&cancel, 200, ""));
    let refused = answer(&sent, 487, "");
    bench.hear(A, &refused);
    let ack = bench.sent_one();
    bench.hear(A, &refused);
    assert_eq!(bench.sent_one(), ack);
    assert!(bench.heard().is_empty());
    bench.ends_empty();
}

#[test]
fn a_peer_that_is_too_late_does_not_disturb_the_next() {
    let mut bench = Bench::new(trunk(&[A, B]));
    let first = invite(&mut bench);
    bench.run_to(32_000);
    let (_, to, second) = bench.sent().pop().unwrap();
    assert_eq!(to, address(B));
    ends(&mut bench, A, &answer(&first, 200, CONTACT));
    assert!(bench.heard().is_empty());
    let taken = answer(&second, 200, "Contact: <sip:b@192.0.2.11>\r\n").replace("=peer", "=b");
    bench.hear(B, &taken);
    assert!(bench.heard_one().starts_with("SIP/2.0 200"));
    bench.send(&request("ACK", 1, "z9hG4bK1-b", "b", ""));
    let (_, to, ack) = bench.sent().remove(0);
    assert_eq!(to, address(B));
    assert_eq!(
        row(&ack, "CSeq"),
        row(&second, "CSeq").replace("INVITE", "ACK")
    );
    bench.wait(200_000);
    bench.sent();
    bench.heard();
    bench.send(&request("BYE", 2, "z9hG4bK1-c", "b", ""));
    let (_, to, bye) = bench.sent().remove(0);
    assert!(
        to == address(B) && !bye.contains("Route: "),
        "the call goes on"
    );
    bench.ends_empty();
}
