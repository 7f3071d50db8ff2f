//! The softphone page: what goes with it so that it can do no harm, and what it asks first.
//!
//! The page's files are [`super::asset`]'s. Its Content-Security-Policy (W3C CSP3) has no `unsafe-` word.

use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use serde_json::json;

use super::answer::json as answer_json;
use super::asset::Asset;
use super::host::Host;
use super::{Peer, Services, demo};

/// The page or one of its files.
pub(super) fn answer(asset: &'static Asset, request: &Request<Body>) -> Response<Body> {
    let headers = security(Host::of(request.uri(), request.headers()));
    asset.answer(request.headers(), headers)
}

/// `/console/settings.json`: whether there is the one-click way in, for this caller, and why not where it might be expected.
pub(super) fn settings(
    services: &Services,
    peer: &Peer,
    request: &Request<Body>,
) -> Response<Body> {
    let admitted = demo::admit(services, peer, request);
    // Nobody else is to know how it stands with the accounts.
    let hindrance = admitted
        .as_ref()
        .err()
        .filter(|_| services.may_demo && peer.address.ip().to_canonical().is_loopback())
        .map_or("", |fault| fault.text());
    answer_json(&json!({
        "demo": admitted.is_ok(),
        "demo_hindrance": hindrance,
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// What a file of the library needs so that pages of other origins may load it, also those that are isolated
/// (WHATWG HTML §7.1.4, `Cross-Origin-Embedder-Policy`).
pub(super) fn for_any_origin() -> HeaderMap {
    let name = HeaderName::from_static("cross-origin-resource-policy");
    [(name, HeaderValue::from_static("cross-origin"))]
        .into_iter()
        .collect()
}

fn security(host: Option<Host<'_>>) -> HeaderMap {
    let fixed = [
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(self), microphone=(self), display-capture=(self), speaker-selection=(self)",
        ),
    ];
    let mut headers: HeaderMap = fixed
        .into_iter()
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .collect();
    // Older browsers do not take 'self' for WebSockets of the same host.
    let sockets = host
        .filter(Host::is_source)
        .map_or_else(String::new, |host| {
            format!(" ws://{0} wss://{0}", host.text)
        });
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; \
         connect-src 'self'{sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::try_from(policy).expect("a host that was checked makes a header");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers
}
