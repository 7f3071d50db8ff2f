//! Walks a message through everything this crate can do with it; shared by the tests and the fuzz target. Panics where
//! a promise of the crate is broken, never because of what the bytes say.

use sip::{Contact, Message, MessageWriter, Method, Name, NameAddr, ReplyHead, Request};

/// Parses the bytes, asks every accessor, answers.
pub(crate) fn walk(bytes: &[u8]) {
    match sip::parse(bytes) {
        Ok(message) => {
            ask(&message);
            if let Message::Request(request) = &message {
                answer(request);
            }
        }
        Err(malformed) => {
            assert!(
                matches!(malformed.status, 400 | 501 | 505),
                "status {}",
                malformed.status
            );
            let phrase = |c: char| c.is_ascii_alphanumeric() || ";/?:@&=+$,-_.!~*'() ".contains(c);
            assert!(
                malformed.reason.chars().all(phrase),
                "no reason phrase: {}",
                malformed.reason
            );
            assert!(malformed.line.len() <= bytes.len());
            if let Some(head) = &malformed.reply {
                let reply = head
                    .write(malformed.status, &malformed.reason, Some("t4g"))
                    .finish();
                one_head(&reply);
            }
        }
    }
}

fn ask(message: &Message<'_>) {
    let headers = message.headers();
    assert!(headers.iter().count() <= sip::MAX_ROWS);
    for row in headers.iter() {
        assert!(
            !row.unfolded().contains(['\r', '\n']),
            "an unfolded value is one line"
        );
        assert_eq!(headers.get(row.name), headers.all(row.name).next());
        headers
            .items(row.name)
            .for_each(|item| assert!(!item.is_empty()));
        headers.lists(row.name, "outbound");
    }
    assert!(!headers.call_id().is_empty());
    assert!(headers.cseq().number < 1 << 31);
    let via = headers.via();
    assert!(!via.sent_by.is_empty() && !via.transport.is_empty());
    assert!(
        via.branch()
            .is_none_or(|branch| !branch.eq_ignore_ascii_case("z9hG4bK"))
    );
    via.received();
    via.rport();
    look(&headers.from());
    look(&headers.to());
    for contact in headers
        .contacts()
        .expect("parse has checked the Contact rows")
    {
        if let Contact::Address(address) = contact {
            look(&address);
        }
    }
    headers.max_forwards();
    assert!(headers.bearer().is_none_or(|token| !token.is_empty()));
    headers.expires().ok();
    headers.reasons().for_each(|reason| {
        reason.cause();
        reason.text();
    });
    message.body();
}

fn look(address: &NameAddr<'_>) {
    address.tag();
    address.display_decoded();
    address.uri.user_decoded();
    assert_eq!(sip::Uri::parse(address.uri_text), Ok(address.uri));
    for params in [address.params, address.uri.params] {
        for (name, _) in params.iter() {
            assert!(params.has(name), "{name} is found");
        }
    }
}

fn answer(request: &Request<'_>) {
    let reply = MessageWriter::reply(request, 200, "OK", Some("t4g")).finish();
    one_head(&reply);
    let kept = ReplyHead::of(request)
        .write(200, "OK", Some("t4g"))
        .finish();
    assert_eq!(
        reply, kept,
        "a reply is the same whether its head was kept or not"
    );
    if request.headers.iter().count() == sip::MAX_ROWS {
        return; // The reply may have a row more than its request.
    }
    match sip::parse(&reply) {
        Ok(Message::Response(response)) => {
            assert_eq!(response.headers.call_id(), request.headers.call_id());
            assert_eq!(response.headers.cseq(), request.headers.cseq());
            assert_eq!(response.headers.from(), request.headers.from());
            assert_eq!(response.headers.via(), request.headers.via());
            assert!(
                request
                    .headers
                    .all(Name::Via)
                    .eq(response.headers.all(Name::Via))
            );
            assert_eq!(
                response.headers.to().tag(),
                Some(request.headers.to().tag().unwrap_or("t4g"))
            );
        }
        Ok(Message::Request(_)) => panic!("a reply is a response"),
        Err(malformed) => panic!("our own reply is malformed: {malformed}"),
    }
    let capabilities = sip::Capabilities {
        methods: &[Method::Invite, Method::Options],
        extensions: &[],
        schemes: &["sip"],
    };
    if let Err(screened) = sip::screen(request, &capabilities) {
        assert!(matches!(screened.status, 405 | 416 | 420 | 483 | 501));
        let mut reply =
            MessageWriter::reply(request, screened.status, screened.reason, Some("t4g"));
        if let Some((name, value)) = screened.header {
            reply.header(name, value);
        }
        one_head(&reply.finish());
    }
}

/// The only empty line is the one at the end.
fn one_head(bytes: &[u8]) {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    assert_eq!(end, Some(bytes.len() - 4), "one head, no body");
}
