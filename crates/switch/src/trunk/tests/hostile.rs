//! Datagrams that mean harm, or nothing.

use proptest::prelude::*;

use super::*;

fn examples() -> Vec<String> {
    let invite = request("INVITE", 1, "z9hG4bK1-a", "", "v=0");
    vec![
        invite.clone(),
        request("ACK", 1, "z9hG4bK1-a", "t", ""),
        request("OPTIONS", 1, "z9hG4bK1-b", "", ""),
        answer(&invite, 180, "Record-Route: <sip:a;lr>, <sip:b>\r\n"),
        answer(&invite, 200, "Contact: <sip:gw@192.0.2.10>\r\n"),
        answer(
            &invite,
            401,
            "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n",
        ),
        answer(&invite, 503, ""),
    ]
}

#[test]
fn what_is_no_sip_is_counted_and_not_answered() {
    let mut bench = Bench::new(trunk(&[A]));
    let old = request("INVITE", 1, "1", "", "");
    for datagram in [
        "\0\0\0\0",
        "GET / HTTP/1.1\r\n\r\n",
        "INVITE x SIP/2.0\r\n\r\n",
        &old,
    ] {
        bench.hear(A, datagram);
    }
    assert_eq!(bench.counts, [Counter::Malformed; 4]);
    assert!(bench.sent().is_empty() && bench.heard().is_empty());
}

#[test]
fn an_answer_to_nothing_goes_nowhere() {
    let mut bench = Bench::new(trunk(&[A]));
    let asked = request("INVITE", 1, "z9hG4bK1-a", "", "");
    bench.hear(A, &answer(&asked, 200, ""));
    bench.send(&answer(&asked, 200, ""));
    assert_eq!(bench.counts, [Counter::ResponseStray; 2]);
    assert!(bench.sent().is_empty() && bench.heard().is_empty());
}

#[test]
fn what_is_longer_than_may_be_kept_is_refused() {
    let mut bench = Bench::new(trunk(&[A]));
    let long = request("INVITE", 1, "z9hG4bK1-a", "", "")
        .replace("call-1", &"x".repeat(model::limits::CALL_ID_BYTES + 1));
    bench.hear(A, &long);
    assert!(bench.sent_one().starts_with("SIP/2.0 400"));
    assert!(bench.heard().is_empty());
}

proptest! {
    #[test]
    fn no_datagram_and_no_message_makes_it_fall(
        story in prop::collection::vec((0usize..7, any::<bool>(), 0usize..600, any::<u8>(), 0u64..40_000), 1..40)
    ) {
        let registers = Trunk {
            registration: Some(Duration::from_secs(60)),
            check: Some(Duration::from_secs(5)),
            ..trunk(&[A, B])
        };
        let mut line = Line::new(ConnectionId(1), Arc::new(registers), address(OWN), [1; 32], now(0));
        let mut at = 0;
        for (which, is_sent, place, byte, pause) in story {
            let mut message = examples().swap_remove(which).into_bytes();
            let length = message.len();
            if byte > 60 {
                message[place % length] = byte;
            }
            let input = if is_sent {
                LineInput::Send { message: &message }
            } else {
                LineInput::Datagram { from: address(A), bytes: &message }
            };
            line.handle(now(at), input);
            at += pause;
            while line.poll_timeout().is_some_and(|due| due <= now(at).mono) {
                line.handle(now(at), LineInput::Timeout);
            }
            while let Some(effect) = line.poll_effect() {
                if let LineEffect::Deliver { message } = effect {
                    prop_assert!(sip::parse(&message).is_ok());
                }
            }
        }
    }

    #[test]
    fn nor_do_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bench = Bench::new(trunk(&[A]));
        bench.handle(LineInput::Datagram { from: address(A), bytes: &bytes });
        bench.handle(LineInput::Send { message: &bytes });
        prop_assert!(bench.heard().is_empty());
    }
}
