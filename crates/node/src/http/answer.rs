//! Answers: JSON on every status, in the shape that callers of the web services parse.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use model::UnixTime;
use serde::Serialize;
use switch::token::ParameterFault;

/// Where the error codes are explained.
pub(super) const ERROR_PAGE: &str = "/docs/errors";

/// What an error repeats of its request.
pub(super) struct Asked {
    /// The path alone: a query may hold what is nobody else's business.
    pub(super) path: String,
    pub(super) at: UnixTime,
}

/// Why a request was refused.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    code: Cow<'static, str>,
    text: String,
    /// Every text, where there are several.
    details: Vec<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Document<'a> {
    error: ErrorPart<'a>,
    request: RequestPart<'a>,
}

#[derive(Serialize)]
struct ErrorPart<'a> {
    code: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    details: &'a [String],
    datetime: String,
    link: String,
}

#[derive(Serialize)]
struct RequestPart<'a> {
    url: &'a str,
    datetime: String,
}

impl Fault {
    /// A fault whose code is its HTTP status.
    pub(super) fn http(status: StatusCode, text: impl Into<String>) -> Self {
        let code = Cow::Owned(format!("HTTP {}", status.as_u16()));
        Self {
            status,
            code,
            text: text.into(),
            details: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// What it says to people.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A body or query that cannot be read as parameters.
    pub(super) fn malformed(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::parameters(vec![ParameterFault { code: "0002", text }])
    }

    /// Parameters that are missing or wrong: the first one speaks, all are listed.
    pub(super) fn parameters(faults: Vec<ParameterFault>) -> Self {
        let code = faults.first().map_or("0002", |fault| fault.code);
        let mut texts: Vec<_> = faults.into_iter().map(|fault| fault.text).collect();
        let text = texts.first().cloned().unwrap_or_default();
        if texts.len() == 1 {
            texts.clear();
        }
        Self {
            status: StatusCode::BAD_REQUEST,
            code: code.into(),
            text,
            details: texts,
            headers: Vec::new(),
        }
    }

    /// Says no more of a wrong login than that it is wrong.
    pub(super) fn wrong_login() -> Self {
        let text = "Log in with HTTP Basic: the user is 'cloudID/username', such as 1-2-0/bob@example.com, and the \
                    password is the account's API access key";
        Self::http(StatusCode::UNAUTHORIZED, text).with(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"offhook\""),
        )
    }

    pub(super) fn wrong_service_login() -> Self {
        let text = "Log in with HTTP Basic: the user is 'cloudID/username/service', such as 1-2-0/bob@example.com/ivr, and the \
                    password is the secret that signs the requests to the service's application (offhook service show NAME --secret)";
        Self::http(StatusCode::UNAUTHORIZED, text).with(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"offhook\""),
        )
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says when to come again.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        self.with(RETRY_AFTER, seconds.into())
    }

    /// The whole answer.
    pub(super) fn into_response(self, asked: &Asked, now: UnixTime) -> Response<Body> {
        let document = Document {
            error: ErrorPart {
                code: &self.code,
                text: &self.text,
                details: &self.details,
                datetime: now.to_string(),
                link: format!("{ERROR_PAGE}#{}", self.code.replace(' ', "-")),
            },
            request: RequestPart {
                url: &asked.path,
                datetime: asked.at.to_string(),
            },
        };
        let mut response = json(&document);
        *response.status_mut() = self.status;
        response.headers_mut().extend(
            self.headers
                .into_iter()
                .map(|(name, value)| (Some(name), value)),
        );
        response
    }
}

/// 200 with JSON that nobody may keep.
pub(super) fn json(value: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_vec(value).expect("answers of strings and lists serialise");
    with_type("application/json", body)
}

/// 204: what was asked is done.
pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 200 with a body that nobody may keep.
pub(super) fn with_type(content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
