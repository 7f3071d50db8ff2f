//! The body of a web service request, as it comes: waited for, within its bound and its time.
//!
//! Knows nothing of what it says.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use model::limits;

use super::answer::Fault;

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
