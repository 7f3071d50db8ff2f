//! `/.well-known/jwks.json`: the public keys that tokens are verified with (RFC 7517 §5).

use axum::body::Body;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Response};

use super::Services;
use super::answer::with_type;

pub(super) fn answer(services: &Services) -> Response<Body> {
    let keys = services.signalling.published().jwks.clone();
    let mut response = with_type("application/json", keys);
    response.headers_mut().insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    response
}
