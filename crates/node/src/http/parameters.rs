//! Parameters of a web service request: from the query, and with POST from the body as well.
//!
//! `application/x-www-form-urlencoded` (WHATWG URL §5.1) and `multipart/form-data` (RFC 7578). A parameter may be
//! given several times; what that means is the service's to say. Text is UTF-8, strictly.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Multipart};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, StatusCode};
use model::limits;

use super::answer::Fault;

/// The parameters, in the order in which they were given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads query and body; the body must come within `patience`.
    pub(super) async fn read(request: Request<Body>, patience: Duration) -> Result<Self, Fault> {
        let mut parameters = Self::default();
        parameters.take_urlencoded(
            request.uri().query().unwrap_or_default().as_bytes(),
            "query",
        )?;
        if request.method() == Method::POST {
            parameters.take_body(request, patience).await?;
        }
        Ok(parameters)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    async fn take_body(&mut self, request: Request<Body>, patience: Duration) -> Result<(), Fault> {
        let (parts, body) = request.into_parts();
        let content_type = parts
            .headers
            .get(CONTENT_TYPE)
            .map(|value| value.to_str().unwrap_or_default());
        let essence = content_type.map(|value| value.split(';').next().unwrap_or_default().trim());
        let is = |wanted| essence.is_some_and(|essence| essence.eq_ignore_ascii_case(wanted));
        if is("application/x-www-form-urlencoded") {
            let body = whole(body, patience).await?;
            self.take_urlencoded(&body, "body")
        } else if is("multipart/form-data") {
            let body = whole(body, patience).await?;
            self.take_multipart(Request::from_parts(parts, Body::from(body)))
                .await
        } else if essence.is_none() && whole(body, patience).await?.is_empty() {
            Ok(())
        } else {
            let text = "The body must be application/x-www-form-urlencoded or multipart/form-data";
            Err(Fault::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
        }
    }

    fn take_urlencoded(&mut self, text: &[u8], part: &str) -> Result<(), Fault> {
        for pair in text
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
        {
            let equals = pair
                .iter()
                .position(|byte| *byte == b'=')
                .unwrap_or(pair.len());
            let (name, value) = (&pair[..equals], pair.get(equals + 1..).unwrap_or_default());
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(Fault::malformed(format!(
                    "The {part} is malformed: it must be UTF-8, and a '%' must be followed by two hexadecimal digits"
                )));
            };
            self.add(name, value)?;
        }
        Ok(())
    }

    async fn take_multipart(&mut self, request: Request<Body>) -> Result<(), Fault> {
        let broken =
            |why: String| Fault::malformed(format!("The multipart body is malformed: {why}"));
        let mut multipart = Multipart::from_request(request, &())
            .await
            .map_err(|error| broken(error.body_text()))?;
        while let Some(field) = multipart
            .next_field()
            .await
            .map_err(|error| broken(error.body_text()))?
        {
            let name = field
                .name()
                .map(str::to_owned)
                .ok_or_else(|| broken("a part has no name".to_owned()))?;
            let value = field
                .bytes()
                .await
                .map_err(|error| broken(error.body_text()))?;
            let value = String::from_utf8(value.into())
                .map_err(|_| broken(format!("the part '{name}' is not UTF-8 text")))?;
            self.add(name, value)?;
        }
        Ok(())
    }

    fn add(&mut self, name: String, value: String) -> Result<(), Fault> {
        if self.0.len() == limits::HTTP_PARAMETERS {
            let text = format!(
                "The request has more than {} parameters",
                limits::HTTP_PARAMETERS
            );
            return Err(Fault::malformed(text));
        }
        self.0.push((name, value));
        Ok(())
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

/// Undoes percent-encoding; `None` if it is broken or not UTF-8.
fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                16 * hex(digits[0])? + hex(digits[1])?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urlencoded(text: &str) -> Option<Vec<(String, String)>> {
        let mut parameters = Parameters::default();
        parameters.take_urlencoded(text.as_bytes(), "query").ok()?;
        Some(parameters.0)
    }

    fn pairs(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn urlencoded_text_is_read_in_order_with_repeats() {
        assert_eq!(
            urlencoded("a=1&b=2&a=3"),
            pairs(&[("a", "1"), ("b", "2"), ("a", "3")])
        );
        assert_eq!(
            urlencoded("a=b+c%2B%c3%A9&&d&e=f=g"),
            pairs(&[("a", "b c+é"), ("d", ""), ("e", "f=g")])
        );
        assert_eq!(urlencoded(""), pairs(&[]));
    }

    #[test]
    fn broken_text_is_refused() {
        for broken in ["a=%", "a=%4", "a=%zz", "a=%ff", "%c3=1", "a=%+1"] {
            assert_eq!(urlencoded(broken), None, "{broken}");
        }
        assert_eq!(urlencoded(&"a&".repeat(limits::HTTP_PARAMETERS + 1)), None);
        assert!(urlencoded(&"a&".repeat(limits::HTTP_PARAMETERS)).is_some());
    }
}
