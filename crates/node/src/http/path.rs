//! Paths below a list: the last segment names one of its members.
//!
//! Knows the form alone; who is a member is the list's to say.

use axum::http::Uri;

use super::answer::Fault;
use super::form::percent_decode;

/// Whether this is the path of one member of `list`, as far as its form goes.
pub(super) fn is_one_below(list: &str, path: &str) -> bool {
    segment(list, path).is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// The name of the member of `list` that a path is of.
pub(super) fn name_below<T, E: std::fmt::Display>(
    list: &str,
    uri: &Uri,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Fault> {
    let segment = segment(list, uri.path()).unwrap_or_default();
    let text = percent_decode(segment.as_bytes(), b'+').ok_or_else(|| {
        let text = "The path is malformed: it must be UTF-8, and a '%' must be followed by two hexadecimal digits";
        Fault::malformed(text)
    })?;
    parse(&text).map_err(|error| Fault::malformed(format!("The path is malformed: {error}")))
}

fn segment<'a>(list: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(list)?.strip_prefix('/')
}
