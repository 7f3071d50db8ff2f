//! Parameters of a web service request: from the query, and with POST from the body as well.
//!
//! Waits for the body, within its bound and its time; what it says is read by [`Form`]. A parameter may be given several times;
//! what that means is the service's to say.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, StatusCode};
use model::limits;

use super::answer::Fault;
use super::form::{Encoding, Form};

/// The parameters, in the order in which they were given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters(Form);

impl Parameters {
    /// Reads query and body; the body must come within `patience`.
    pub(super) async fn read(request: Request<Body>, patience: Duration) -> Result<Self, Fault> {
        let mut form = Form::default();
        form.take_query(request.uri().query().unwrap_or_default())
            .map_err(Fault::malformed)?;
        if request.method() == Method::POST {
            take_body(&mut form, request, patience).await?;
        }
        Ok(Self(form))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter()
    }
}

async fn take_body(
    form: &mut Form,
    request: Request<Body>,
    patience: Duration,
) -> Result<(), Fault> {
    let (mut parts, body) = request.into_parts();
    let content_type = parts.headers.remove(CONTENT_TYPE);
    let encoding = content_type.as_ref().and_then(Encoding::of);
    match (content_type, encoding) {
        (Some(content_type), Some(encoding)) => {
            let body = whole(body, patience).await?;
            let taken = form.take_body(encoding, content_type, body).await;
            taken.map_err(Fault::malformed)
        }
        (None, _) if whole(body, patience).await?.is_empty() => Ok(()),
        (Some(_) | None, _) => {
            let text = "The body must be application/x-www-form-urlencoded or multipart/form-data";
            Err(Fault::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
        }
    }
}

/// The whole body, within its bound and its time.
async fn whole(body: Body, patience: Duration) -> Result<Bytes, Fault> {
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
