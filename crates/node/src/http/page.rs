//! What a person who looks around is told: what is served, as plain text, and what error codes mean, as a page whose anchors the link of
//! each error leads to; and what is served, for programs.

use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, Response};

use super::answer::with_type;
use super::body::JSON;

/// Where programs find what is served.
pub(super) const OPEN_API: &str = "/docs/openapi.json";

const SERVICES: &str = "\
offhook is running.

/webrtc_generate_token      gives a token to a WebRTC client (HTTP Basic; GET or POST)
/webrtc_registered_clients  lists the clients that can be called (HTTP Basic; GET or POST)
/v1/turn_credentials        gives TURN credentials to a back end (HTTP Basic; GET or POST)
/rest_interrupt             has applications leave off what they do (HTTP Basic; GET or POST)
/service_start              has the application of a service call somebody (HTTP Basic with the service's own login; GET or POST)
/service/v1/inbound         lists the account's services; /service/v1/inbound/NAME is one (HTTP Basic; GET, PUT, PATCH or DELETE)
/v1/calls                   lists the account's calls and begins them; /v1/calls/ID is one, and below it are transfer, play, record and
                            dtmf (HTTP Basic; /docs/openapi.json has the shapes)
/v1/revocations             lists the tokens that the account has revoked, revokes more and gives back (HTTP Basic; GET, POST or DELETE)
/v1/files                   lists the account's files; /v1/files/NAME is one (HTTP Basic; GET, PUT or DELETE)
/sipproxy                   takes SIP over WebSocket, subprotocol sip (RFC 7118)
/sdk/offhook.js             the browser library, an ES module (also offhook.classic.js, offhook.d.ts, resume-shim.js)
/.well-known/jwks.json      the public keys of the tokens
/docs/errors                what the error codes mean
";

const ERRORS: &str = include_str!("errors.html");

/// The calls and revocations of an account, as OpenAPI has it.
pub(super) fn open_api() -> Response<Body> {
    with_type(JSON, include_str!("openapi.json"))
}

pub(super) fn services() -> Response<Body> {
    with_type("text/plain; charset=utf-8", SERVICES)
}

pub(super) fn errors() -> Response<Body> {
    let mut response = with_type("text/html; charset=utf-8", ERRORS);
    let headers = response.headers_mut();
    // It is text and needs nothing.
    let policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, policy),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

pub(super) fn health() -> Response<Body> {
    with_type("text/plain; charset=utf-8", "ok\n")
}

#[cfg(test)]
mod tests {
    use super::ERRORS;

    #[test]
    fn each_code_that_the_documentation_lists_has_a_place_of_its_own_on_the_page() {
        let api = include_str!("../../../../docs/api.md");
        let codes = api.lines().filter_map(|line| {
            let row = line.strip_prefix("| ")?.split(" | ").nth(1)?;
            let code = row.strip_prefix('`')?.strip_suffix('`')?;
            (code.starts_with("HTTP ") || code.starts_with('0')).then_some(code)
        });
        let mut codes: Vec<_> = codes.collect();
        codes.sort_unstable();
        codes.dedup();
        assert!(codes.len() > 14, "{codes:?}");
        for code in codes.iter().chain(&["HTTP 400"]) {
            let place = format!("<dt id=\"{}\"><code>{code}</code>", code.replace(' ', "-"));
            assert_eq!(ERRORS.matches(&place).count(), 1, "{code}");
        }
    }
}
