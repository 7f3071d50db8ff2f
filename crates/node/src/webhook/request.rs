//! A request as an application gets it: where the instance stands, and what proves that it is ours.

use aws_lc_rs::hmac;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Uri};
use model::{PageMethod, PageRequest, SecretBytes, UnixTime};

pub(super) const TIMESTAMP: &str = "X-Offhook-Timestamp";
pub(super) const SIGNATURE: &str = "X-Offhook-Signature";
pub(super) const AGENT: &str = concat!("offhook/", env!("CARGO_PKG_VERSION"));
/// Where GET has the instance.
const ARGUMENT: &str = "instance_info=";

/// The request, or why there can be none; a sentence that follows on "the application at …".
pub(super) fn request(asked: &PageRequest, now: UnixTime) -> Result<Request<Full<Bytes>>, String> {
    let address = with_path(asked.page.url.as_str());
    let unreadable = |why: String| format!("has an address that cannot be read: {why}");
    let (method, url, body) = match asked.page.method {
        PageMethod::Post => (Method::POST, address.clone(), asked.instance.clone()),
        PageMethod::Get => (
            Method::GET,
            with_instance(&address, &asked.instance),
            String::new(),
        ),
    };
    let uri: Uri = match url.parse() {
        Ok(uri) => uri,
        // Without the instance it would do.
        Err(error) if address.parse::<Uri>().is_ok() => {
            return Err(format!("cannot be asked by GET: {error}; POST takes more"));
        }
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let host = uri
        .authority()
        .map(|authority| authority.as_str().to_owned());
    let host = host.ok_or_else(|| unreadable("it names no host".to_owned()))?;
    let timestamp = now.as_secs().to_string();
    let mut request = Request::builder()
        .method(&method)
        .uri(uri)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(
            SIGNATURE,
            signature(&asked.secret, &timestamp, &asked.instance),
        )
        .header(TIMESTAMP, timestamp);
    if method == Method::POST {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    request
        .body(Full::new(body.into()))
        .map_err(|error| unreadable(error.to_string()))
}

/// What says where an application is, without a query: that may hold a secret.
pub(super) fn place(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

/// `v1=` and HMAC-SHA-256, in hexadecimal digits, of the timestamp, a dot, and a text.
pub(super) fn signature(secret: &SecretBytes, timestamp: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
    let mut signing = hmac::Context::with_key(&key);
    signing.update(timestamp.as_bytes());
    signing.update(b".");
    signing.update(text.as_bytes());
    let tag = signing.sign();
    let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
    format!("v1={}", digits.collect::<String>())
}

/// The URL with the path that is meant where none is (RFC 9110 §4.2.3).
pub(super) fn with_path(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let (host, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let slash = if rest.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{host}{slash}{rest}")
}

/// The URL with one argument more.
fn with_instance(url: &str, instance: &str) -> String {
    let joint = match url.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    let mut url = format!("{url}{joint}{ARGUMENT}");
    for byte in instance.bytes() {
        // RFC 3986 §2.3.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use model::{AccountId, Page, PageUrl, QuestionId};

    use super::*;

    fn asked(url: &str, method: PageMethod, instance: &str) -> PageRequest {
        PageRequest {
            id: QuestionId(1),
            account: AccountId(1),
            page: Page {
                url: PageUrl::parse(url).unwrap(),
                method,
            },
            instance: instance.to_owned(),
            secret: SecretBytes::new(b"key".to_vec()),
        }
    }

    #[test]
    fn the_signature_is_that_of_timestamp_dot_instance() {
        let asked = asked("https://a.example/x", PageMethod::Post, "{}");
        let request = request(&asked, UnixTime::from_secs(1_700_000_000)).unwrap();
        let header = |name: &str| request.headers()[name].to_str().unwrap();
        assert_eq!(header(TIMESTAMP), "1700000000");
        // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
        assert_eq!(
            header(SIGNATURE),
            "v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
        );
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("host"), "a.example");
        assert!(header("user-agent").starts_with("offhook/"));
    }

    #[test]
    fn get_keeps_the_query_and_escapes_the_instance() {
        for (url, expected) in [
            (
                "http://a.example",
                "/?instance_info=%7B%22a%22%3A%22%C3%B6+%22%7D",
            ),
            (
                "http://a.example?x=1",
                "/?x=1&instance_info=%7B%22a%22%3A%22%C3%B6+%22%7D",
            ),
            (
                "http://a.example/p?",
                "/p?instance_info=%7B%22a%22%3A%22%C3%B6+%22%7D",
            ),
            (
                "http://a.example/p?x=1",
                "/p?x=1&instance_info=%7B%22a%22%3A%22%C3%B6+%22%7D",
            ),
        ] {
            let asked = asked(url, PageMethod::Get, "{\"a\":\"ö \"}");
            let request = request(&asked, UnixTime::from_secs(1)).unwrap();
            let target = request.uri().path_and_query().unwrap().as_str();
            assert_eq!(target, expected.replace('+', "%20"));
            assert!(!request.headers().contains_key(CONTENT_TYPE));
        }
    }

    #[test]
    fn an_instance_that_is_too_long_for_get_is_told() {
        let instance = "x".repeat(70_000);
        let asked = asked("http://a.example/", PageMethod::Get, &instance);
        let sentence = request(&asked, UnixTime::from_secs(1)).unwrap_err();
        assert!(sentence.contains("POST takes more"), "{sentence}");
    }

    #[test]
    fn a_place_has_no_query() {
        assert_eq!(place("https://a.example/x?key=1"), "https://a.example/x");
        assert_eq!(place("https://a.example"), "https://a.example");
    }
}
