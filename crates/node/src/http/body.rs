//! The body of a web service request, as it comes: waited for, within its bound and its time; as JSON, where it is that.
//!
//! Knows nothing of what it says.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use model::limits;
use serde_json::{Map, Value};

use super::Services;
use super::answer::Fault;
use super::form::media_type;
use crate::service_document::parsed;

/// RFC 8259.
pub(super) const JSON: &str = "application/json";

/// The body as JSON, in one of these media types, and as it came.
pub(super) async fn document(
    services: &Services,
    request: Request<Body>,
    types: &[&str],
) -> Result<(Value, Bytes), Fault> {
    let (parts, body) = request.into_parts();
    let given = parts.headers.get(CONTENT_TYPE).map(media_type);
    if !given.is_some_and(|given| types.iter().any(|known| known.eq_ignore_ascii_case(given))) {
        let text = format!("The body must be {}", types.join(" or "));
        return Err(Fault::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let body = whole(body, services.bounds.head_time).await?;
    let document = parsed(&body).map_err(|fault| Fault::parameters(vec![fault]))?;
    Ok((document, body))
}

/// The same where everything may be left out: nothing at all says what `{}` says, whatever type it claims to have.
pub(super) async fn optional_document(
    services: &Services,
    request: Request<Body>,
    types: &[&str],
) -> Result<(Value, Bytes), Fault> {
    let (parts, body) = request.into_parts();
    let body = whole(body, services.bounds.head_time).await?;
    if body.is_empty() {
        return Ok((Value::Object(Map::new()), Bytes::from_static(b"{}")));
    }
    document(services, Request::from_parts(parts, body.into()), types).await
}

/// Refuses JSON that is no object, and shows one that would be right.
pub(super) fn must_be_object(document: &Value, right: &str) -> Result<(), Fault> {
    let is = match document {
        Value::Object(_) => return Ok(()),
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
    };
    let text = format!("The body is {is}; it must be an object such as {right}");
    Err(Fault::malformed(text))
}

/// The whole body, within its bound and its time.
pub(super) async fn whole(body: Body, patience: Duration) -> Result<Bytes, Fault> {
    let Ok(read) = tokio::time::timeout(patience, gather(body)).await else {
        let text = format!(
            "The body did not come within {} seconds",
            patience.as_secs()
        );
        return Err(Fault::http(StatusCode::REQUEST_TIMEOUT, text));
    };
    read.map_err(|error| {
        // Too long, or cut off; whoever cut it off reads no answer.
        tracing::debug!(?error, "a body could not be read");
        let text = format!(
            "The body may have {} bytes at most",
            limits::HTTP_BODY_BYTES
        );
        Fault::http(StatusCode::PAYLOAD_TOO_LARGE, text)
    })
}

/// Copies a body together. Its parts are not kept: each holds the whole buffer into which it was read, however few bytes came.
async fn gather(mut body: Body) -> Result<Bytes, Option<axum::Error>> {
    let mut gathered = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(Some)?;
        let part = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
        if gathered.len() + part.len() > limits::HTTP_BODY_BYTES {
            return Err(None);
        }
        gathered.extend_from_slice(part);
    }
    Ok(gathered.into())
}
