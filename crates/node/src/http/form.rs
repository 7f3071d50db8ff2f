//! Names and values as a request carries them: a query, or a body that has come whole.
//!
//! `application/x-www-form-urlencoded` (WHATWG URL §5.1) and `multipart/form-data` (RFC 7578). Text is UTF-8, strictly. Waits for
//! nothing, and knows neither what the names mean nor how a refusal is answered.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Request};
use model::limits;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Urlencoded,
    Multipart,
}

impl Encoding {
    /// What a Content-Type names, if we can read it.
    pub(super) fn of(content_type: &HeaderValue) -> Option<Self> {
        let is = |wanted| media_type(content_type).eq_ignore_ascii_case(wanted);
        if is("application/x-www-form-urlencoded") {
            Some(Self::Urlencoded)
        } else if is("multipart/form-data") {
            Some(Self::Multipart)
        } else {
            None
        }
    }
}

/// The pairs, in the order in which they were given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Takes what stands behind the `?`. An error says what is wrong.
    pub(super) fn take_query(&mut self, query: &str) -> Result<(), String> {
        self.take_urlencoded(query.as_bytes(), "query")
    }

    /// Takes a whole body. An error says what is wrong.
    pub(super) async fn take_body(
        &mut self,
        encoding: Encoding,
        content_type: HeaderValue,
        body: Bytes,
    ) -> Result<(), String> {
        match encoding {
            Encoding::Urlencoded => self.take_urlencoded(&body, "body"),
            Encoding::Multipart => self.take_multipart(content_type, body).await,
        }
    }

    fn take_urlencoded(&mut self, text: &[u8], part: &str) -> Result<(), String> {
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
                return Err(format!(
                    "The {part} is malformed: it must be UTF-8, and a '%' must be followed by two hexadecimal digits"
                ));
            };
            self.add(name, value)?;
        }
        Ok(())
    }

    async fn take_multipart(
        &mut self,
        content_type: HeaderValue,
        body: Bytes,
    ) -> Result<(), String> {
        let broken = |why: String| format!("The multipart body is malformed: {why}");
        let mut request = Request::new(Body::from(body));
        request.headers_mut().insert(CONTENT_TYPE, content_type);
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

    fn add(&mut self, name: String, value: String) -> Result<(), String> {
        if self.0.len() == limits::HTTP_PARAMETERS {
            return Err(format!(
                "The request has more than {} parameters",
                limits::HTTP_PARAMETERS
            ));
        }
        self.0.push((name, value));
        Ok(())
    }
}

/// The media type of a Content-Type, without its parameters (RFC 9110 §8.3.1).
pub(super) fn media_type(content_type: &HeaderValue) -> &str {
    let text = content_type.to_str().unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// Undoes percent-encoding, of a space as `+` too (WHATWG URL §5.1); `None` if it is broken or not UTF-8.
fn decode(text: &[u8]) -> Option<String> {
    percent_decode(text, b' ')
}

/// Undoes percent-encoding; `plus` is what `+` stands for. `None` if it is broken or not UTF-8.
pub(super) fn percent_decode(text: &[u8], plus: u8) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => plus,
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
        let mut form = Form::default();
        form.take_urlencoded(text.as_bytes(), "query").ok()?;
        Some(form.0)
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
