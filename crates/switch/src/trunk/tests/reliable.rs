//! Provisional answers that must arrive.

use super::incoming::{peer_request, reply};
use super::*;

const INVITE: &str = "z9hG4bK1-a";

fn invite(bench: &mut Bench) -> String {
    bench.send(&request("INVITE", 1, INVITE, "", "v=0"));
    bench.heard();
    bench.sent_one()
}

fn rows(rseq: u32) -> String {
    format!("Require: 100rel\r\nRSeq: {rseq}\r\nContact: <sip:gw@192.0.2.10:5062>\r\n")
}

/// With this body.
fn with_sdp(answer: &str, sdp: &str) -> String {
    let length = format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len());
    answer.replace("Content-Length: 0\r\n\r\n", &length)
}

#[test]
fn a_reliable_ringing_is_acknowledged_and_delivered_once() {
    let mut bench = Bench::new(trunk(&[A]));
    let sent = invite(&mut bench);
    assert_eq!(row(&sent, "Supported"), "100rel");
    let ringing = answer(&sent, 180, &rows(7));
    bench.hear(A, &ringing);
    let prack = bench.sent_one();
    assert_eq!(first_line(&prack), "PRACK sip:gw@192.0.2.10:5062 SIP/2.0");
    assert_eq!(row(&prack, "RAck"), "7 1 INVITE");
    assert_eq!(row(&prack, "CSeq"), "2 PRACK");
    assert_eq!(row(&prack, "To"), row(&ringing, "To"));
    assert!(bench.heard_one().starts_with("SIP/2.0 180"));
    bench.hear(A, &ringing);
    bench.hear(A, &answer(&sent, 183, &rows(9)));
    assert!(
        bench.sent().is_empty() && bench.heard().is_empty(),
        "8 is missing"
    );
    bench.wait(500);
    assert_eq!(bench.sent_one(), prack, "it may have got lost");
    bench.hear(A, &answer(&prack, 100, ""));
    bench.hear(A, &answer(&prack, 200, ""));
    assert!(bench.heard().is_empty(), "the shard has not asked that");
    bench.hear(A, &with_sdp(&answer(&sent, 183, &rows(8)), "v=0 early"));
    assert_eq!(row(&bench.sent_one(), "RAck"), "8 1 INVITE");
    bench.heard_one();
    bench.hear(A, &answer(&sent, 200, "Contact: <sip:gw@192.0.2.10>\r\n"));
    let taken = bench.heard_one();
    assert!(taken.ends_with("\r\n\r\nv=0 early"), "{taken}");
    assert_eq!(row(&taken, "Content-Type"), "application/sdp");
    bench.send(&request("ACK", 1, "z9hG4bK1-b", "peer", ""));
    assert_eq!(row(&bench.sent_one(), "CSeq"), "1 ACK");
    bench.send(&request("BYE", 2, "z9hG4bK1-c", "peer", ""));
    assert_eq!(
        row(&bench.sent_one(), "CSeq"),
        "4 BYE",
        "behind both PRACKs"
    );
    bench.ends_empty();
}

/// A call of a peer's that wants to be told reliably; its 180.
fn rings(bench: &mut Bench) -> (String, String) {
    let invite = peer_request("INVITE", "z9hG4bKp1", "", 7);
    bench.hear(
        A,
        &invite.replace("Max-Forwards", "Require: 100rel\r\nMax-Forwards"),
    );
    let given = bench.heard_one();
    bench.send(&reply(&given, 100, "t"));
    assert!(!bench.sent_one().contains("RSeq"));
    bench.send(&reply(&given, 180, "p0.1-2"));
    (given, bench.sent_one())
}

#[test]
fn our_ringing_is_sent_again_until_its_prack_comes() {
    let mut bench = Bench::new(trunk(&[A]));
    let (given, ringing) = rings(&mut bench);
    assert_eq!(row(&ringing, "Require"), "100rel");
    bench.run_to(4_000);
    let at: Vec<u64> = bench.sent().iter().map(|(at, ..)| *at).collect();
    assert_eq!(at, [500, 1_500, 3_500]);
    bench.send(&reply(&given, 183, "p0.1-2"));
    assert!(bench.sent().is_empty(), "one at a time");
    let rseq = row(&ringing, "RSeq");
    let prack = |rack: &str, branch: &str| {
        let prack = peer_request("PRACK", branch, "p0.1-2", 8);
        prack.replace("Max-Forwards", &format!("RAck: {rack}\r\nMax-Forwards"))
    };
    bench.hear(A, &prack("1 1 INVITE", "z9hG4bKp2"));
    assert!(bench.sent_one().starts_with("SIP/2.0 481"));
    for _ in 0..2 {
        bench.hear(A, &prack(&format!("{rseq} 7 INVITE"), "z9hG4bKp3"));
        assert!(bench.sent_one().starts_with("SIP/2.0 200"));
    }
    bench.wait(20_000);
    assert!(bench.sent().is_empty() && bench.heard().is_empty());
    bench.send(&reply(&given, 200, "p0.1-2"));
    assert!(!bench.sent_one().contains("RSeq"));
    bench.ends_empty();
}

#[test]
fn what_takes_the_call_is_no_less_than_what_rings() {
    let mut bench = Bench::new(trunk(&[A]));
    let (given, ringing) = rings(&mut bench);
    bench.send(&reply(&given, 200, "p0.1-2"));
    bench.sent();
    bench.wait(20_000);
    assert!(bench.sent().iter().all(|(.., sent)| *sent != ringing));
    bench.ends_empty();
}

fn prack(ringing: &str, branch: &str) -> String {
    let prack = peer_request("PRACK", branch, "p0.1-2", 8);
    let rack = format!("RAck: {} 7 INVITE\r\nMax-Forwards", row(ringing, "RSeq"));
    prack.replace("Max-Forwards", &rack)
}

/// An answer of the shard's with SDP.
fn answers(bench: &mut Bench, given: &str, status: u16) {
    let answer = reply(given, status, "p0.1-2");
    bench.send(&with_sdp(&answer, "v=0 early"));
}

#[test]
fn early_sdp_arrives_before_the_call_is_taken() {
    let mut bench = Bench::new(trunk(&[A]));
    let (given, ringing) = rings(&mut bench);
    answers(&mut bench, &given, 183);
    assert!(bench.sent().is_empty(), "one at a time");
    bench.hear(A, &prack(&ringing, "z9hG4bKp2"));
    let [(.., acknowledged), (.., early)] = &bench.sent()[..] else {
        panic!("what waited is sent now");
    };
    assert!(acknowledged.starts_with("SIP/2.0 200"));
    assert!(early.starts_with("SIP/2.0 183") && early.ends_with("v=0 early"));
    assert_eq!(row(early, "Require"), "100rel");
    answers(&mut bench, &given, 200);
    assert!(bench.sent().is_empty(), "the 183 may be lost");
    bench.hear(A, &prack(early, "z9hG4bKp3"));
    let [(.., acknowledged), (.., taken)] = &bench.sent()[..] else {
        panic!("what waited is sent now");
    };
    assert_eq!(row(acknowledged, "CSeq"), "8 PRACK");
    assert!(taken.starts_with("SIP/2.0 200") && taken.ends_with("v=0 early"));
    assert!(!taken.contains("RSeq"));
    bench.hear(A, &peer_request("ACK", "z9hG4bKp4", "p0.1-2", 7));
    assert!(bench.heard_one().starts_with("ACK "));
    bench.ends_empty();
}

#[test]
fn early_sdp_that_nobody_acknowledges_ends_the_call() {
    let mut bench = Bench::new(trunk(&[A]));
    let (given, ringing) = rings(&mut bench);
    bench.hear(A, &prack(&ringing, "z9hG4bKp2"));
    answers(&mut bench, &given, 183);
    answers(&mut bench, &given, 200);
    bench.sent();
    bench.wait(31_900);
    let sent = bench.sent();
    assert!(
        sent.iter()
            .all(|(.., sent)| sent.starts_with("SIP/2.0 183"))
    );
    bench.wait(200);
    let refused = bench.sent_one();
    assert!(refused.starts_with("SIP/2.0 504"), "{refused}");
    assert!(row(&refused, "To").ends_with(";tag=p0.1-2"));
    // For the shard it was answered.
    let bye = bench.heard_one();
    assert!(bye.starts_with("BYE sip:+44999@"), "{bye}");
    bench.send(&reply(&bye, 200, "p0.1-2"));
    assert!(bench.sent().is_empty() && bench.counts.is_empty());
    bench.hear(A, &peer_request("ACK", "z9hG4bKp1", "p0.1-2", 7));
    bench.ends_empty();
}

#[test]
fn a_call_that_is_taken_back_before_that_could_be_said_is_over_on_both_sides() {
    let mut bench = Bench::new(trunk(&[A]));
    let (given, ringing) = rings(&mut bench);
    bench.hear(A, &prack(&ringing, "z9hG4bKp2"));
    answers(&mut bench, &given, 183);
    answers(&mut bench, &given, 200);
    bench.sent();
    bench.hear(A, &peer_request("CANCEL", "z9hG4bKp1", "", 7));
    let sent: Vec<String> = bench.sent().into_iter().map(|(.., sent)| sent).collect();
    assert_eq!(sent.len(), 2, "{sent:#?}");
    assert!(sent[0].starts_with("SIP/2.0 200") && row(&sent[0], "CSeq") == "7 CANCEL");
    assert!(sent[1].starts_with("SIP/2.0 487") && row(&sent[1], "CSeq") == "7 INVITE");
    let bye = bench.heard_one();
    assert!(
        bye.starts_with("BYE ") && row(&bye, "CSeq") == "8 BYE",
        "{bye}"
    );
    assert!(row(&bye, "To").ends_with(";tag=p0.1-2"));
    assert_eq!(row(&bye, "From"), row(&given, "From"));
    bench.hear(A, &peer_request("ACK", "z9hG4bKp1", "p0.1-2", 7));
    assert!(bench.heard().is_empty());
    bench.ends_empty();
}

#[test]
fn early_sdp_that_could_not_be_said_takes_the_call_back() {
    let mut bench = Bench::new(trunk(&[A]));
    let (given, _) = rings(&mut bench);
    answers(&mut bench, &given, 183);
    bench.wait(32_100);
    let sent = bench.sent();
    assert!(sent.last().unwrap().2.starts_with("SIP/2.0 504"));
    let cancel = bench.heard_one();
    assert!(cancel.starts_with("CANCEL sip:+44999@"), "{cancel}");
    assert_eq!(branch(&cancel), branch(&given));
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(row(&cancel, name), row(&given, name));
    }
    assert_eq!(row(&cancel, "CSeq"), "7 CANCEL");
    assert!(row(&cancel, "Reason").starts_with("SIP;cause=504;text=\"a provisional"));
    bench.send(&reply(&cancel, 200, "p0.1-2"));
    bench.send(&reply(&given, 487, "p0.1-2"));
    assert!(bench.sent().is_empty(), "it was told before");
    assert_eq!(bench.counts, []);
    bench.hear(A, &peer_request("ACK", "z9hG4bKp1", "p0.1-2", 7));
    bench.ends_empty();
}

#[test]
fn reliable_answers_without_end_are_acknowledged_as_far_as_there_is_room() {
    let mut bench = Bench::new(trunk(&[A]));
    let sent = invite(&mut bench);
    let most = 2 * model::limits::TRUNK_TRANSACTIONS;
    for rseq in 1..most as u32 + 100 {
        bench.hear(A, &answer(&sent, 183, &rows(rseq)));
    }
    assert_eq!(bench.line.census()[0], most);
    assert_eq!(bench.heard().len(), most - 1, "each that was acknowledged");
    bench.sent();
    bench.hear(A, &answer(&sent, 486, ""));
    assert!(bench.heard_one().starts_with("SIP/2.0 486"));
    bench.ends_empty();
}

#[test]
fn a_refusal_waits_for_no_prack() {
    let mut bench = Bench::new(trunk(&[A]));
    let (given, ringing) = rings(&mut bench);
    bench.hear(A, &prack(&ringing, "z9hG4bKp2"));
    answers(&mut bench, &given, 183);
    answers(&mut bench, &given, 200);
    bench.sent();
    bench.send(&reply(&given, 486, "p0.1-2"));
    assert!(bench.sent_one().starts_with("SIP/2.0 486"));
    bench.ends_empty();
}

#[test]
fn what_nobody_can_do_is_refused() {
    let mut bench = Bench::new(trunk(&[A]));
    let invite = peer_request("INVITE", "z9hG4bKp1", "", 7);
    let wants =
        |what: &str| invite.replace("Max-Forwards", &format!("Require: {what}\r\nMax-Forwards"));
    bench.hear(A, &wants("100rel, answermode, timer"));
    let refused = bench.sent_one();
    assert!(refused.starts_with("SIP/2.0 420"));
    assert_eq!(row(&refused, "Unsupported"), "answermode, timer");
    assert!(bench.heard().is_empty());
    bench.ends_empty();
}
