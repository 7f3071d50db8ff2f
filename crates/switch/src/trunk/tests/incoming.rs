//! What a peer asks.

use super::*;

fn invite() -> String {
    peer_request("INVITE", "z9hG4bKp1", "", 7)
}

pub(super) fn peer_request(method: &str, branch: &str, to_tag: &str, cseq: u32) -> String {
    let to = if to_tag.is_empty() {
        String::new()
    } else {
        format!(";tag={to_tag}")
    };
    format!(
        "{method} sip:+44999@198.51.100.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;rport;branch={branch}, SIP/2.0/UDP far.example.com;branch=z9hG4bKfar\r\n\
         Record-Route: <sip:192.0.2.10:5080;lr>\r\nMax-Forwards: 70\r\nFrom: <sip:+441234@sip.example.com>;tag=peer\r\n\
         To: <sip:+44999@sip.example.com>{to}\r\nCall-ID: call-2\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:gw@10.0.0.1:5060>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// What a shard answers.
pub(super) fn reply(to: &str, status: u16, tag: &str) -> String {
    let request = super::super::rewrite::request_of(to.as_bytes()).unwrap();
    let mut writer = sip::MessageWriter::reply(&request, status, "Word", Some(tag));
    writer.header("Contact", "<sip:p0.1-2@offhook.invalid;transport=ws>");
    String::from_utf8(writer.finish()).unwrap()
}

/// The call as the shard got it.
fn called(bench: &mut Bench) -> String {
    bench.hear("192.0.2.10:40000", &invite());
    let given = bench.heard_one();
    bench.send(&reply(&given, 100, "p0.1-2"));
    let trying = bench.sent_one();
    assert!(trying.starts_with("SIP/2.0 100"), "{trying}");
    given
}

#[test]
fn a_call_is_delivered_once_and_answered_to_where_it_came_from() {
    let mut bench = Bench::new(trunk(&[A]));
    let given = called(&mut bench);
    assert_eq!(
        row(&given, "Via"),
        "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKp1;received=192.0.2.10;rport=40000"
    );
    bench.hear("192.0.2.10:40000", &invite());
    assert!(bench.heard().is_empty());
    let (_, to, trying) = bench.sent().remove(0);
    assert!(trying.starts_with("SIP/2.0 100"));
    assert_eq!(to, address("192.0.2.10:40000"));
    bench.send(&reply(&given, 180, "p0.1-2"));
    let ringing = bench.sent_one();
    assert!(row(&ringing, "Via").ends_with(";received=192.0.2.10;rport=40000"));
    assert_eq!(row(&ringing, "Contact"), "<sip:p0.1-2@198.51.100.1:5070>");
    assert_eq!(row(&ringing, "Record-Route"), "<sip:192.0.2.10:5080;lr>");
    let vias = ringing
        .lines()
        .filter(|line| line.starts_with("Via"))
        .count();
    assert_eq!(vias, 2);
    bench.ends_empty();
}

#[test]
fn a_port_is_told_only_to_whom_asks_for_it() {
    let mut bench = Bench::new(trunk(&[A]));
    bench.hear("192.0.2.10:40000", &invite().replace(";rport", ""));
    assert_eq!(
        row(&bench.heard_one(), "Via"),
        "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKp1;received=192.0.2.10"
    );
}

#[test]
fn a_lost_200_is_sent_again_until_its_ack_comes() {
    let mut bench = Bench::new(trunk(&[A]));
    let given = called(&mut bench);
    bench.send(&reply(&given, 200, "p0.1-2"));
    let taken = bench.sent_one();
    bench.run_to(12_000);
    let at: Vec<u64> = bench.sent().iter().map(|(at, ..)| *at).collect();
    assert_eq!(at, [500, 1_500, 3_500, 7_500, 11_500]);
    let ack = peer_request("ACK", "z9hG4bKp2", "p0.1-2", 7);
    bench.hear(A, &ack);
    assert!(bench.heard_one().starts_with("ACK "));
    bench.hear(A, &ack);
    assert!(bench.heard().is_empty(), "once");
    bench.wait(20_000);
    assert!(bench.sent().is_empty());
    assert_eq!(row(&taken, "CSeq"), "7 INVITE");
    bench.send(&request("BYE", 1, "z9hG4bK1-c", "peer", "").replace("call-1", "call-2"));
    let (_, to, bye) = bench.sent().remove(0);
    assert_eq!(to, address("192.0.2.10:5080"), "the way it came");
    assert_eq!(row(&bye, "Route"), "<sip:192.0.2.10:5080;lr>");
    bench.ends_empty();
}

#[test]
fn a_200_that_nobody_acknowledges_just_ends() {
    let mut bench = Bench::new(trunk(&[A]));
    let given = called(&mut bench);
    bench.send(&reply(&given, 200, "p0.1-2"));
    bench.wait(33_000);
    bench.sent();
    bench.hear(A, &invite());
    bench.heard();
    bench.wait(60_000);
    assert!(bench.sent().is_empty());
    bench.ends_empty();
}

#[test]
fn a_refusal_is_repeated_until_its_ack_which_goes_no_further() {
    let mut bench = Bench::new(trunk(&[A]));
    let given = called(&mut bench);
    bench.send(&reply(&given, 404, "t"));
    let refused = bench.sent_one();
    bench.wait(500);
    assert_eq!(bench.sent_one(), refused);
    bench.hear(A, &invite());
    assert_eq!(bench.sent_one(), refused);
    bench.hear(A, &peer_request("ACK", "z9hG4bKp1", "t", 7));
    bench.wait(30_000);
    assert!(bench.sent().is_empty() && bench.heard().is_empty());
    bench.ends_empty();
}

#[test]
fn a_cancel_is_the_shards_which_answers_both() {
    let mut bench = Bench::new(trunk(&[A]));
    let given = called(&mut bench);
    bench.hear(A, &peer_request("CANCEL", "z9hG4bKp1", "", 7));
    let cancel = bench.heard_one();
    assert_eq!(branch(&cancel), branch(&given));
    bench.send(&reply(&cancel, 200, "t"));
    bench.send(&reply(&given, 487, "t"));
    let sent = bench.sent();
    assert_eq!(row(&sent[0].2, "CSeq"), "7 CANCEL");
    assert_eq!(row(&sent[1].2, "CSeq"), "7 INVITE");
    bench.hear(A, &peer_request("CANCEL", "z9hG4bKp1", "", 7));
    assert!(bench.sent_one().starts_with("SIP/2.0 200"), "again");
    bench.ends_empty();
}

#[test]
fn options_and_keep_alives_are_answered_here() {
    let mut bench = Bench::new(trunk(&[A]));
    bench.hear(A, &peer_request("OPTIONS", "z9hG4bKp3", "", 1));
    let answer = bench.sent_one();
    assert!(answer.starts_with("SIP/2.0 200 OK"), "{answer}");
    assert!(row(&answer, "Allow").contains("INVITE"));
    assert_eq!(row(&answer, "Accept"), "application/sdp");
    assert!(row(&answer, "Via").contains(";received=192.0.2.10;rport=5060"));
    bench.hear(A, "\r\n\r\n");
    assert_eq!(bench.sent_one(), "\r\n");
    bench.hear(A, "\r\n");
    bench.hear(A, "");
    assert!(bench.sent().is_empty() && bench.heard().is_empty());
    bench.hear(A, &peer_request("OPTIONS", "z9hG4bKp4", "p0.1-2", 9));
    assert!(bench.heard_one().starts_with("OPTIONS "), "inside a call");
    assert!(bench.counts.is_empty());
    bench.ends_empty();
}

#[test]
fn an_unknown_method_is_the_shards_to_refuse() {
    let mut bench = Bench::new(trunk(&[A]));
    bench.hear(A, &peer_request("KEEPALIVE", "z9hG4bKp3", "", 1));
    assert!(bench.heard_one().starts_with("KEEPALIVE "));
    bench.ends_empty();
}

#[test]
fn more_requests_than_may_be_are_refused() {
    let mut bench = Bench::new(trunk(&[A]));
    for number in 0..model::limits::TRUNK_TRANSACTIONS {
        bench.hear(
            A,
            &peer_request("MESSAGE", &format!("z9hG4bK{number}"), "", 1),
        );
    }
    bench.heard();
    bench.hear(A, &peer_request("INVITE", "z9hG4bKp1", "", 1));
    assert!(bench.sent_one().starts_with("SIP/2.0 503"));
    assert!(bench.heard().is_empty());
    bench.ends_empty();
}
