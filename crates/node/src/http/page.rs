//! The few lines of plain text for a person who looks around: what is served, and what error codes mean; and what is served, for programs.

use axum::body::Body;
use axum::http::Response;

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
/v1/files                   lists the account's files; /v1/files/NAME is one (HTTP Basic; GET, PUT or DELETE)
/sipproxy                   takes SIP over WebSocket, subprotocol sip (RFC 7118)
/sdk/offhook.js             the browser library, an ES module (also offhook.classic.js, offhook.d.ts, resume-shim.js)
/.well-known/jwks.json      the public keys of the tokens
/docs/errors                what the error codes mean
";

const ERRORS: &str = "\
Error codes of the web services

0001      A mandatory parameter, or member of a JSON body, is missing. The text names it.
0002      A parameter, the query, the path or the body is malformed. The text says what would be right.
0003      A parameter, or member of a JSON body, that may be given only once was given several times.
HTTP 400  The request itself cannot be served as it is. The text says what would be right.
HTTP 401  The login is wrong: user cloudID/username, password the account's API access key; at /service_start
          user cloudID/username/service, password the service's secret (offhook service show NAME --secret).
HTTP 403  Demo mode is for the softphone page on this machine alone. The text says what is in the way.
HTTP 404  There is nothing at this path, the account has no service, file or call of this name, or who is to be called is not
          registered.
HTTP 405  This path does not take this method; the Allow header lists those it takes.
HTTP 408  The body of the request did not come in time.
HTTP 409  The account has as many services or files as it may have; or this cannot be done to the call as it is now. The text
          says why.
HTTP 413  The body of the request is too large.
HTTP 415  This path takes no body of this Content-Type. The text names those it takes.
HTTP 426  This path is for WebSocket clients.
HTTP 429  Too much: the account's tokens of this month are used up, logins failed too often from this
          address, or it has too many connections. The Retry-After header says in how many seconds to try again.
HTTP 500  The server has a problem of its own; its log says which.
HTTP 503  The server is full (the Retry-After header says in how many seconds to try again), or what is asked for is
          switched off.
";

/// The calls of an account, as OpenAPI has it.
pub(super) fn open_api() -> Response<Body> {
    with_type(JSON, include_str!("openapi.json"))
}

pub(super) fn services() -> Response<Body> {
    with_type("text/plain; charset=utf-8", SERVICES)
}

pub(super) fn errors() -> Response<Body> {
    with_type("text/plain; charset=utf-8", ERRORS)
}

pub(super) fn health() -> Response<Body> {
    with_type("text/plain; charset=utf-8", "ok\n")
}
