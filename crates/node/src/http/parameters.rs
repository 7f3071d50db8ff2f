//! Parameters of a web service request: from the query, and with POST from the body as well.
//!
//! What they say is read by [`Form`]. A parameter may be given several times; what that means is the service's to say.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, StatusCode};

use super::answer::Fault;
use super::body::whole;
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
