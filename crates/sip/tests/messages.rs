//! What callers rely on beyond the syntax: lists, tokens, answers, and the inspection of requests.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use sip::{Capabilities, Message, MessageWriter, Method, Name, ReplyHead, Request, Response};

const SERVER: Capabilities = Capabilities {
    methods: &[
        Method::Invite,
        Method::Ack,
        Method::Cancel,
        Method::Bye,
        Method::Options,
        Method::Register,
    ],
    extensions: &["outbound", "path", "gruu"],
    schemes: &["sip"],
};

/// A request of this method with these rows behind the usual ones.
fn text(method: &str, rows: &str) -> String {
    format!(
        "{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/WSS a.invalid;branch=z9hG4bK1\r\nFrom: <sip:alice@example.com>;tag=f\r\n\
         To: <sip:bob@example.com>\r\nCall-ID: c@a\r\nCSeq: 7 {method}\r\n{rows}\r\n"
    )
}

fn request(text: &str) -> Request<'_> {
    match sip::parse(text.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn response(bytes: &[u8]) -> Response<'_> {
    match sip::parse(bytes) {
        Ok(Message::Response(response)) => response,
        other => panic!("{other:?}"),
    }
}

fn refusal(text: &str) -> (u16, Option<(&'static str, String)>) {
    let screened = sip::screen(&request(text), &SERVER).unwrap_err();
    assert_eq!(screened.reason, sip::status::reason(screened.status));
    (screened.status, screened.header)
}

#[test]
fn a_register_of_a_browser_client() {
    let Ok(Message::Request(register)) = sip::parse(include_bytes!("fixtures/register.sip")) else {
        panic!("the fixture is a request");
    };
    let headers = &register.headers;
    assert_eq!(headers.bearer().map(str::len), Some(700));
    assert!(headers.lists(Name::Supported, "GRUU") && !headers.lists(Name::Supported, "timer"));
    assert_eq!(headers.items(Name::Allow).count(), 9);
    assert_eq!(
        (headers.via().transport, headers.max_forwards()),
        ("WSS", Some(70))
    );
    assert_eq!(headers.expires(), Ok(None));
    assert_eq!(
        sip::screen(&register, &SERVER).map_err(|screened| screened.status),
        Ok(())
    );
    let mut reply = MessageWriter::reply(&register, 200, "OK", Some("ours"));
    reply.header("Contact", headers.get(Name::Contact).unwrap());
    let reply = String::from_utf8(reply.finish()).unwrap();
    assert_eq!(
        reply,
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/WSS cgv9m8p04rhb.invalid;branch=z9hG4bK9879586\r\n\
         From: <sip:bob.spjqf@testwebrtckey.webrtc-0-2-0.aculabcloud.net>;tag=o1buhh3t1g\r\n\
         To: <sip:bob.spjqf@testwebrtckey.webrtc-0-2-0.aculabcloud.net>;tag=ours\r\nCall-ID: 3oohli0a89s0pr8j6isk\r\n\
         CSeq: 2 REGISTER\r\nContact: <sip:qatn7kod@cgv9m8p04rhb.invalid;transport=ws>;expires=600\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn every_capture_is_read() {
    for bytes in [
        &include_bytes!("fixtures/options.sip")[..],
        include_bytes!("fixtures/invite.sip"),
        include_bytes!("fixtures/jssip-invite.sip"),
        include_bytes!("fixtures/sipjs-invite.sip"),
        include_bytes!("fixtures/sipjs-register.sip"),
        include_bytes!("fixtures/sipjs-bye.sip"),
        include_bytes!("fixtures/bye.sip"),
        include_bytes!("fixtures/ack.sip"),
        include_bytes!("fixtures/cancel.sip"),
        include_bytes!("fixtures/ringing.sip"),
        include_bytes!("fixtures/busy.sip"),
    ] {
        let message = sip::parse(bytes);
        assert!(message.is_ok(), "{:?}", message.err());
    }
    assert_eq!(response(include_bytes!("fixtures/busy.sip")).status, 486);
}

#[test]
fn bearer_tokens() {
    for (rows, token) in [
        ("Authorization: Bearer abc.def.ghi\r\n", Some("abc.def.ghi")),
        ("authorization: bEARER\t abc\r\n", Some("abc")),
        (
            "Authorization: Digest username=\"a\"\r\nAuthorization: Bearer abc\r\n",
            Some("abc"),
        ),
        ("Authorization: Bearerabc\r\n", None),
        ("Authorization: Bearer\r\n", None),
        ("Authorization: \u{e4}\u{e4}\u{e4}\u{e4} x\r\n", None),
        ("", None),
    ] {
        assert_eq!(
            request(&text("REGISTER", rows)).headers.bearer(),
            token,
            "{rows:?}"
        );
    }
}

#[test]
fn expiry_and_reasons() {
    assert_eq!(
        request(&text("REGISTER", "Expires: 600\r\n"))
            .headers
            .expires(),
        Ok(Some(600))
    );
    assert!(
        request(&text("REGISTER", "Expires: 4294967296\r\n"))
            .headers
            .expires()
            .is_err()
    );
    let bye = text(
        "BYE",
        "Reason: Q.850;cause=17, SIP;cause=486;text=\"Busy, here\"\r\nReason: ;;\r\n",
    );
    let reasons: Vec<_> = request(&bye)
        .headers
        .reasons()
        .map(|reason| (reason.protocol, reason.cause()))
        .collect();
    assert_eq!(reasons, [("Q.850", Some(17)), ("SIP", Some(486))]);
}

#[test]
fn the_tag_is_added_once() {
    let without = text("INVITE", "");
    let with = without.replace(
        "To: <sip:bob@example.com>",
        "To: <sip:bob@example.com> ; x ; TAG = theirs",
    );
    for (text, tag) in [(&without, "ours"), (&with, "theirs")] {
        let request = request(text);
        for reply in [
            MessageWriter::reply(&request, 180, "Ringing", Some("ours")).finish(),
            ReplyHead::of(&request)
                .write(180, "Ringing", Some("ours"))
                .finish(),
        ] {
            assert_eq!(response(&reply).headers.to().tag(), Some(tag));
        }
    }
    let untagged = ReplyHead::of(&request(&without))
        .write(100, "Trying", None)
        .finish();
    assert_eq!(response(&untagged).headers.to().tag(), None);
}

#[test]
fn only_a_100_repeats_the_timestamp() {
    let invite = text("INVITE", "Timestamp: 54\r\n");
    let invite = request(&invite);
    for (status, timestamp) in [(100, Some("54")), (200, None)] {
        let direct = MessageWriter::reply(&invite, status, "X", None).finish();
        let kept = ReplyHead::of(&invite).write(status, "X", None).finish();
        assert_eq!(direct, kept);
        assert_eq!(response(&direct).headers.get(Name::Timestamp), timestamp);
    }
}

#[test]
fn what_cannot_be_answered_is_dropped() {
    let reply = |text: &str| sip::parse(text.as_bytes()).unwrap_err().reply.is_some();
    assert!(reply(&text("INVITE", "Bad Row\r\n")));
    assert!(
        !reply(&text("ACK", "Bad Row\r\n")),
        "an ACK is never answered"
    );
    assert!(
        !reply(&text("INVITE", "Bad Row\r\n").replace("Via", "Vie")),
        "no Via, no way back"
    );
    assert!(
        !reply("\r\n\r\n") && !reply("") && !reply("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
    );
    let malformed =
        sip::parse(b"INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/WS \xff\r\nBad\r\n\r\n").unwrap_err();
    assert!(
        malformed.reply.is_none(),
        "a text frame cannot carry what is not UTF-8"
    );
}

#[test]
fn keep_alives_are_no_messages() {
    assert!(sip::is_keep_alive(b"\r\n\r\n") && sip::is_keep_alive(b"\r\n"));
    assert!(
        !sip::is_keep_alive(b"")
            && !sip::is_keep_alive(b"\n")
            && !sip::is_keep_alive(b"\r\nOPTIONS")
    );
}

#[test]
fn line_ends_and_framing() {
    let good = text("OPTIONS", "Content-Length: 3\r\n") + "abcd";
    assert_eq!(request(&good).body, b"abc");
    assert_eq!(request(&format!("\r\n\r\n{good}")).body, b"abc");
    for (from, to) in [
        ("Content-Length: 3", "Content-Length: 5"),
        ("Content-Length: 3", "Content-Length: +3"),
        ("Content-Length: 3", "Content-Length: 18446744073709551619"),
        ("Content-Length: 3", "Content-Length: 3\r\nl: 3"),
        ("OPTIONS sip", " OPTIONS sip"),
        ("\r\nVia", "\r\n : x\r\nVia"),
        ("tag=f", "tag"),
        ("tag=f", "tag=\"f g\""),
        ("Call-ID: c@a", "Call-ID: c@a@b"),
        ("Call-ID: c@a", "Call-ID: c a"),
        ("Call-ID: c@a", "Call-ID:"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(good, bad);
        assert_eq!(
            sip::parse(bad.as_bytes()).unwrap_err().status,
            400,
            "{to:?}"
        );
    }
}

#[test]
fn no_line_ends_otherwise_than_with_cr_lf() {
    let good = text("OPTIONS", "X-One: 1\r\nX-Two: 2\r\n");
    for to in [
        "\nX-Two",
        "\rX-Two",
        "\r\r\nX-Two",
        "\n\r\nX-Two",
        "\r-\nX-Two",
        "\r\n\nX-Two",
        "\r\n \rX-Two",
    ] {
        let bad = good.replacen("\r\nX-Two", to, 1);
        let malformed = sip::parse(bad.as_bytes()).unwrap_err();
        assert!(
            malformed.reason.starts_with("lines must end with CR LF"),
            "{to:?}: {malformed}"
        );
    }
}

#[test]
fn stars_stand_alone() {
    use sip::Contact;
    assert_eq!(
        request(&text("REGISTER", "Contact: *\r\n"))
            .headers
            .contacts()
            .unwrap(),
        [Contact::Star]
    );
    assert!(sip::parse(text("REGISTER", "Contact: *, <sip:a@b>\r\n").as_bytes()).is_err());
    assert_eq!(
        request(&text("REGISTER", "")).headers.contacts().unwrap(),
        []
    );
    let several = text(
        "REGISTER",
        "Contact: <sip:a@b>;expires=5, \"c, d\" <sip:c@d>\r\nm: sip:e@f;q=0.5\r\n",
    );
    assert_eq!(request(&several).headers.contacts().unwrap().len(), 3);
}

#[test]
fn requests_that_are_not_understood() {
    let allow = || {
        Some((
            "Allow",
            "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER".to_owned(),
        ))
    };
    assert_eq!(refusal(&text("INFO", "")), (405, allow()));
    assert_eq!(
        refusal(&text("info", "")),
        (501, allow()),
        "methods are case-sensitive"
    );
    let isbn = text("INVITE", "").replacen("sip:bob@example.com", "isbn:2983792873", 1);
    assert_eq!(refusal(&isbn), (416, None));
    let required = text("INVITE", "Require: outbound, 100rel\r\nRequire: Path,x\r\n");
    assert_eq!(
        refusal(&required),
        (420, Some(("Unsupported", "100rel, x".to_owned())))
    );
    assert_eq!(refusal(&text("INVITE", "Max-Forwards: 0\r\n")), (483, None));
}

#[test]
fn requests_that_are_spared() {
    for text in [
        text("OPTIONS", "Max-Forwards: 0\r\n"),
        text("REGISTER", "Max-Forwards: 0\r\n"),
        text("CANCEL", "Max-Forwards: 0\r\nRequire: 100rel\r\n"),
        text("ACK", "Max-Forwards: 0\r\nRequire: 100rel\r\n"),
        text("INVITE", "Max-Forwards: 1\r\nRequire: gruu\r\n"),
    ] {
        assert_eq!(sip::screen(&request(&text), &SERVER), Ok(()));
    }
}

#[test]
fn values_stay_in_their_rows() {
    let mut writer = MessageWriter::request("INFO\r\nX: 1", "sip:a\nb");
    writer.header("X-One\r\nX-Two", "1\r\nX-Three: 3\0");
    let bytes = writer.finish_with(b"\r\n");
    assert_eq!(
        bytes.as_slice(),
        b"INFO  X: 1 sip:a b SIP/2.0\r\nX-One  X-Two: 1  X-Three: 3 \r\nContent-Length: 2\r\n\r\n\r\n"
    );
}
