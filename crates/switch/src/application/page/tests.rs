//! What pages may say, and what is said of the others.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read_actions(actions: Value) -> Result<Vec<Action>, Fault> {
    let page = json!({ "actions": actions, "token": "t", "api_version": "2.0" });
    let base = PageUrl::parse("https://app.example/ivr/first?x=1").unwrap();
    read(page.to_string().as_bytes(), &base).map(|answer| answer.actions.into())
}

#[track_caller]
fn fault(actions: Value, words: &str) {
    let fault = read_actions(actions).unwrap_err();
    assert!(fault.contains(words), "{fault}");
}

fn next() -> Value {
    json!({ "url": "next" })
}

#[test]
fn addresses_are_relative_to_the_page_that_names_them() {
    for (url, whole) in [
        ("next", "https://app.example/ivr/next"),
        ("/next?a=b", "https://app.example/next?a=b"),
        ("//other.example/x", "https://other.example/x"),
        ("http://other.example", "http://other.example/"),
        ("next#part", "https://app.example/ivr/next"),
    ] {
        let actions = json!([{ "redirect": { "next_page": { "url": url, "method": "GET" } } }]);
        let Action::Redirect(page) = &read_actions(actions).unwrap()[0] else {
            panic!("it is a redirection");
        };
        assert_eq!((page.url.as_str(), page.method), (whole, PageMethod::Get));
    }
    for url in ["ftp://other.example/", "https://", "file:///etc/passwd"] {
        let redirect = json!([{ "redirect": { "next_page": { "url": url } } }]);
        assert!(read_actions(redirect).is_err(), "{url}");
    }
}

#[test]
fn what_is_left_out_is_as_usual() {
    let record = json!([{ "record": { "next_page": next() } }]);
    let Action::Record(record) = &read_actions(record).unwrap()[0] else {
        panic!("it is a recording");
    };
    assert_eq!(record.longest, Duration::from_secs(60));
    assert_eq!(record.silence, Some(Duration::from_secs(3)));
    assert_eq!(record.first_silence, Some(Duration::from_secs(3)));
    assert_eq!(record.stop, Keys::parse("", "#").unwrap());
    assert!(!record.beep);
    let number = json!([{ "get_number": { "next_page": next() } }]);
    let Action::Enter(entry) = &read_actions(number).unwrap()[0] else {
        panic!("it is an entry");
    };
    assert_eq!(entry.whole, Duration::from_secs(30));
    assert_eq!(entry.between, Some(Duration::from_secs(5)));
    assert_eq!(entry.first, entry.between);
    assert_eq!(entry.valid, Keys::parse("", "0123456789").unwrap());
    assert_eq!(entry.end.map(|end| end.key()), Some('#'));
    assert_eq!(entry.help.map(|help| help.key()), Some('*'));
}

#[test]
fn a_cause_has_its_status_and_a_raw_cause_goes_before_it() {
    let status = |shape: Value| {
        let actions = read_actions(json!([{ "reject": shape }])).ok()?;
        let Action::Reject { status } = actions[0] else {
            return None;
        };
        Some(status)
    };
    assert_eq!(status(json!({})), Some(603));
    assert_eq!(status(json!({ "cause": "busy" })), Some(486));
    assert_eq!(
        status(json!({ "cause": "busy", "raw_cause": "503" })),
        Some(503)
    );
    for raw in ["200", "302", "401", "407", "700", "x", ""] {
        assert_eq!(status(json!({ "raw_cause": raw })), None, "{raw}");
    }
    assert_eq!(status(json!({ "cause": "bored" })), None);
}

#[test]
fn whom_nobody_can_be_connected_to_is_told() {
    fault(
        json!([{ "connect": { "destinations": [] } }]),
        "must name 1 to 3",
    );
    fault(
        json!([{ "connect": { "destinations": ["tel:alice"] } }]),
        "is no telephone number",
    );
    fault(
        json!([{ "connect": { "destinations": ["sips:a@example.com"] } }]),
        "which no trunk can promise",
    );
    for wrong in [
        "sip:example.com",
        "sip:a:secret@example.com",
        "sip:a b@example.com",
    ] {
        fault(
            json!([{ "connect": { "destinations": [wrong] } }]),
            "is no destination",
        );
    }
    fault(
        json!([{ "connect": { "destinations": ["bob"] } }]),
        "no destination",
    );
}

#[test]
fn a_fault_is_told_where_it_stands() {
    fault(json!([{ "play": {} }]), "missing field `play_list`");
    fault(
        json!([{ "play": { "play_list": [] } }]),
        "action 1, play: 'play_list'",
    );
    fault(
        json!([{ "hang_up": {} }, { "dance": {} }]),
        "unknown variant `dance`",
    );
    let two = json!({ "text_to_say": "a", "file_to_play": "b.wav" });
    fault(
        json!([{ "play": { "play_list": [two] } }]),
        "is one of 'text_to_say'",
    );
    let file = json!({ "file_to_play": "../../etc/passwd" });
    fault(json!([{ "play": { "play_list": [file] } }]), "file name");
    fault(
        json!([{ "play": { "play_lists": [] } }]),
        "unknown field `play_lists`",
    );
    fault(
        json!([{ "sleep": { "seconds": -1 } }]),
        "'seconds' must be from 0",
    );
    fault(
        json!([{ "sleep": { "seconds": 1e99 } }]),
        "'seconds' must be from 0",
    );
    for digits in ["", "1x", "123456789012345678901234567890123"] {
        let digits = json!({ "digits": digits });
        fault(
            json!([{ "play": { "play_list": [digits] } }]),
            "'digits' must be 1 to 32",
        );
    }
    let page = json!({ "url": "ftp://a/" });
    let record = json!({ "next_page": next(), "recording_available_page": page });
    fault(json!([{ "record": record }]), "action 1, record: ");
    let endless = json!({ "next_page": next(), "end_digit": "" });
    fault(
        json!([{ "get_number": endless }]),
        "a 'digit_count' is needed",
    );
    let speech = json!({ "next_page": next(), "speech_input_mode": "auto" });
    fault(json!([{ "get_input": speech }]), "no speech recognition");
    let option = json!({ "digit": "1", "next_page": next() });
    let twice = json!({ "menu_options": [option, option] });
    fault(
        json!([{ "run_menu": twice }]),
        "the digit 1 has two options",
    );
    let long = json!({ "destinations": ["webrtc:bob"], "call_from": "x".repeat(129) });
    fault(
        json!([{ "connect": long }]),
        "'call_from' must be 1 to 128 bytes",
    );
    let row = |name: &str, value: &str| json!([{ "answer": { "extra_sip_headers": [{ "name": name, "value": value }] } }]);
    fault(row("Via", "x"), "begin with 'X-'");
    fault(row("X-A\r\nVia", "x"), "begin with 'X-'");
    fault(row("X-A", "a\r\nVia: x"), "control character");
}

/// The examples of docs/applications.md: the schema of each, and its text.
fn examples() -> Vec<(&'static str, Value)> {
    let page = include_str!("../../../../../docs/applications.md");
    let parts = page.split("<!-- schema: ").skip(1);
    let read = |part: &'static str| {
        let (name, rest) = part.split_once(" -->\n```json\n")?;
        let (text, _) = rest.split_once("```")?;
        Some((name, serde_json::from_str(text).ok()?))
    };
    parts
        .map(|part| read(part).expect("a comment stands above JSON"))
        .collect()
}

#[test]
fn the_examples_of_the_documentation_are_read() {
    let mut count = 0;
    for (name, example) in examples() {
        let read = match name {
            "page" => read_actions(example["actions"].clone()),
            name if name.starts_with("action-") => read_actions(json!([example])),
            _ => continue,
        };
        assert!(read.is_ok(), "{name}: {read:?}");
        count += 1;
    }
    assert!(count > 10, "only {count} were found");
}

#[test]
fn the_page_as_a_whole_has_its_bounds() {
    let base = PageUrl::parse("https://app.example/").unwrap();
    let bad = |page: Value| read(page.to_string().as_bytes(), &base).unwrap_err();
    let many = vec![json!({ "hang_up": {} }); limits::PAGE_ACTIONS + 1];
    assert!(bad(json!({ "actions": many })).contains("at most 256 actions"));
    // Whatever is beyond that is not even looked at.
    let many = vec![json!({ "hang_up": {} }); limits::PAGE_ACTIONS + 1];
    let many = [many, vec![json!({ "unheard_of": {} })]].concat();
    assert!(bad(json!({ "actions": many })).contains("at most 256 actions"));
    let token = "t".repeat(limits::PAGE_TOKEN_BYTES + 1);
    assert!(bad(json!({ "actions": [], "token": token })).contains("'token'"));
    assert!(bad(json!({ "actions": [], "api_version": "1.0" })).contains("\"2.0\""));
    assert!(bad(json!([])).contains("no page"));
    assert!(bad(json!({ "actions": [], "actions2": [] })).contains("unknown field"));
    let twice = br#"{"actions":[],"actions":[{"hang_up":{}}]}"#;
    assert!(read(twice, &base).unwrap_err().contains("duplicate field"));
    let deep = "[".repeat(100_000);
    assert!(read(deep.as_bytes(), &base).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_page_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let base = PageUrl::parse("https://app.example/").unwrap();
        let _ = read(&bytes, &base);
    }
}

#[test]
fn what_is_no_object_is_no_page_and_what_is_no_json_is_shown() {
    let base = PageUrl::parse("https://app.example/").unwrap();
    let list = "the answer is no page: it is a list, expected an object with 'actions'";
    for (body, told) in [
        (r#"[[{"play":{"play_list":[]}}],null,"2.0"]"#, list),
        (r#" [{"play":{}}]"#, list),
        ("null", "it is null, expected an object with 'actions'"),
        ("7", "it is a number, expected an object"),
        ("", "it is empty, expected an object with 'actions'"),
        (
            "\n<h1>Internal\u{202e} Server Error</h1>",
            "no page: it is no JSON; it begins with `<h1>Internal  Server`…",
        ),
        ("Hello", "it is no JSON; it begins with `Hello`"),
        ("[{", "it is no JSON; it begins with `[{`"),
        ("{\"actions\":", "line 1"),
    ] {
        let fault = read(body.as_bytes(), &base).unwrap_err();
        assert!(fault.contains(told), "{fault}");
    }
    let fault = connect_alone(br#"[["webrtc:bob"]]"#).unwrap_err();
    assert_eq!(fault, "it is a list, expected an object");
    let cut_in_a_character = [b"\xe2\x82".as_slice(), &[b'x'; 100]].concat();
    assert!(read(&cut_in_a_character, &base).is_err());
}
