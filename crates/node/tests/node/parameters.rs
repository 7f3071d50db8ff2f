//! Parameters that bytes make up, and what a token request makes of them: for the fuzz target and for the test that replays what
//! it found. What a correct client encodes is read back, whichever way it was encoded; what is refused is refused in words.

#[path = "../../src/http/form.rs"]
mod form;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::body::Bytes;
use axum::http::HeaderValue;
use form::{Encoding, Form};
use model::limits;
use switch::token::{ParameterFault, TokenRequest};

type Pairs = Vec<(String, String)>;

/// Reads what the bytes make up; the first says what it is.
pub(crate) fn walk(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    let bytes = &bytes[..bytes.len().min(limits::HTTP_BODY_BYTES)];
    match kind % 4 {
        0 => take_query(bytes),
        // Any Content-Type before a line's end.
        1 => {
            let cut = bytes.iter().position(|byte| *byte == b'\n');
            let (content_type, body) = bytes.split_at(cut.unwrap_or(0));
            if let Ok(content_type) = HeaderValue::from_bytes(content_type) {
                let body = body.get(1..).unwrap_or_default();
                judge(read(content_type, body), body.len());
            }
        }
        2 => take_pairs(bytes),
        _ => {
            let content_type = HeaderValue::from_static("multipart/form-data; boundary=X");
            judge(read(content_type, bytes), bytes.len());
        }
    }
}

fn take_query(text: &[u8]) {
    let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    let body = read(content_type, text);
    if let Ok(text) = std::str::from_utf8(text) {
        let mut query = Form::default();
        let taken = query.take_query(text).map(|()| owned(&query));
        assert_eq!(taken.is_ok(), body.is_ok());
        assert_eq!(taken.ok().as_ref(), body.as_ref().ok());
    }
    judge(body, text.len());
}

/// What a client means, in either encoding.
fn take_pairs(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let pairs: Pairs = text
        .split('\u{1}')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    let body = urlencoded(&pairs);
    if body.len() > limits::HTTP_BODY_BYTES {
        return;
    }
    let read_urlencoded = read(content_type, body.as_bytes());
    if pairs.len() > limits::HTTP_PARAMETERS {
        assert!(read_urlencoded.is_err(), "{} parameters", pairs.len());
    } else {
        assert_eq!(read_urlencoded.as_ref(), Ok(&pairs));
    }
    let first = judge(read_urlencoded, body.len());
    // Clients do not agree on how to write other names.
    let is_plain = |name: &str| {
        !name.is_empty() && name.chars().all(|c| !c.is_control() && !"\"\\".contains(c))
    };
    if pairs.is_empty() || !pairs.iter().all(|(name, _)| is_plain(name)) {
        return;
    }
    let (content_type, body) = multipart(&pairs);
    let read_multipart = read(content_type, &body);
    if pairs.len() <= limits::HTTP_PARAMETERS {
        assert_eq!(read_multipart.as_ref(), Ok(&pairs));
    }
    assert_eq!(judge(read_multipart, body.len()), first);
}

fn owned(form: &Form) -> Pairs {
    let pairs = form.iter();
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn read(content_type: HeaderValue, body: &[u8]) -> Result<Pairs, String> {
    let Some(encoding) = Encoding::of(&content_type) else {
        return Err("a Content-Type that is not read".to_owned());
    };
    let mut form = Form::default();
    let body = Bytes::copy_from_slice(body);
    at_once(form.take_body(encoding, content_type, body)).map(|()| owned(&form))
}

/// A body that is there is read without waiting.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("waits for what has come"),
    }
}

/// Bounded pairs, or words; and the same of what is asked for with them. Comes back with what a token request makes of them.
fn judge(
    read: Result<Pairs, String>,
    bytes: usize,
) -> Option<Result<TokenRequest, Vec<ParameterFault>>> {
    let pairs = match read {
        Ok(pairs) => pairs,
        Err(sentence) => {
            assert!(
                sentence.len() > 20 && sentence.len() < bytes + 200,
                "{sentence}"
            );
            return None;
        }
    };
    assert!(pairs.len() <= limits::HTTP_PARAMETERS);
    let total: usize = pairs
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    assert!(total <= bytes, "more was read than was sent");
    let borrowed = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let request = TokenRequest::from_parameters(borrowed);
    match &request {
        Ok(request) => {
            let lives = limits::TOKEN_TTL_MIN_S..=limits::TOKEN_TTL_MAX_S;
            assert!(lives.contains(&request.ttl_s));
            assert!(request.call_client.len() <= limits::CALL_PATTERNS);
            let given = |name: &str| pairs.iter().filter(|pair| pair.0 == name).count();
            assert_eq!(given("client_id"), 1);
            assert!(given("ttl") <= 1 && given("enable_incoming") <= 1);
        }
        Err(faults) => {
            assert!((1..=4).contains(&faults.len()), "{faults:?}");
            for fault in faults {
                assert!(["0001", "0002", "0003"].contains(&fault.code));
                assert!(fault.text.len() > 20 && fault.text.len() < 600, "{fault:?}");
            }
        }
    }
    Some(request)
}

/// As the WHATWG's URL standard encodes it (§5.2).
fn urlencoded(pairs: &Pairs) -> String {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b' ' => "+".to_owned(),
                b'*' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.join("&")
}

/// As browsers write it (RFC 7578); every other part has headers of its own.
fn multipart(pairs: &Pairs) -> (HeaderValue, Vec<u8>) {
    let is_free = |boundary: &String| !pairs.iter().any(|(_, value)| value.contains(boundary));
    let boundary = (0..).map(|number| format!("----x{number}")).find(is_free);
    let boundary = boundary.expect("numbers do not end");
    let mut body = String::new();
    for (at, (name, value)) in pairs.iter().enumerate() {
        let more = if at % 2 == 1 {
            "Content-Type: text/plain; charset=utf-8\r\n"
        } else {
            ""
        };
        body.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n{more}\r\n{value}\r\n"
        ));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    let content_type = format!("multipart/form-data; boundary={boundary}");
    let content_type = HeaderValue::from_str(&content_type).expect("letters and numbers");
    (content_type, body.into_bytes())
}

#[test]
fn what_was_found_by_fuzzing() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/parameters");
    let entries = std::fs::read_dir(folder).unwrap();
    let replayed = entries.map(|entry| walk(&std::fs::read(entry.unwrap().path()).unwrap()));
    assert!(replayed.count() >= 16);
}
