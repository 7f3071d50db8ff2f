//! Parameters behind a value: `;name` or `;name=value` (RFC 3261 §7.3.1). Looked up by scanning, since rows have few.

use crate::bytes::{self, TOKEN, UNSPLIT, VALUE};
use crate::header::BadValue;

/// Parameters of a header value or a URI, as they came. Names compare without case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Params<'a>(pub(crate) &'a str);

impl<'a> Params<'a> {
    pub(crate) const EMPTY: Self = Self("");

    /// The parameters as written, from the first semicolon.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Each name with its value, in order. A quoted value comes without its quotes, escapes inside left as they are.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let param = split_param(rest, UNSPLIT, UNSPLIT).ok().flatten()?;
            rest = param.behind;
            Some((param.name, param.value))
        })
    }

    /// The parameter of this name: `None` if it is absent, `Some(None)` if it stands there without a value.
    pub fn get(&self, name: &str) -> Option<Option<&'a str>> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The value of this parameter, if it is there and has one.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.get(name).flatten()
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Checks the parameters of a header value, which must fill the text: names are tokens, values are tokens, hosts or
/// quoted strings (RFC 3261 §25.1, `generic-param`).
pub(crate) fn check_params(text: &str) -> Result<Params<'_>, BadValue> {
    let mut rest = text;
    while let Some(param) = split_param(rest, TOKEN, VALUE)? {
        rest = param.behind;
    }
    Ok(Params(text))
}

/// One parameter, taken off the front of its text.
struct Split<'a> {
    name: &'a str,
    value: Option<&'a str>,
    behind: &'a str,
}

/// Takes one parameter off the front, with bytes of these classes in its name and its value. `None` at the end of the text.
fn split_param(
    text: &str,
    name_class: u16,
    value_class: u16,
) -> Result<Option<Split<'_>>, BadValue> {
    const SHAPE: BadValue = BadValue(
        "a parameter must be written as ;name or ;name=value, the name a token, the value a token, a host or a quoted string",
    );
    let rest = bytes::trim_start(text);
    if rest.is_empty() {
        return Ok(None);
    }
    let rest = bytes::trim_start(rest.strip_prefix(';').ok_or(SHAPE)?);
    let (name, behind) = rest.split_at(bytes::run(rest.as_bytes(), name_class));
    if name.is_empty() {
        return Err(SHAPE);
    }
    let behind = bytes::trim_start(behind);
    let Some(value) = behind.strip_prefix('=') else {
        return Ok(Some(Split {
            name,
            value: None,
            behind,
        }));
    };
    let value = bytes::trim_start(value);
    if value.starts_with('"') {
        let end = bytes::quoted_end(value.as_bytes(), 0)
            .ok_or(BadValue("a quoted parameter value has no closing quote"))?;
        return Ok(Some(Split {
            name,
            value: Some(&value[1..end - 1]),
            behind: &value[end..],
        }));
    }
    let (value, behind) = value.split_at(bytes::run(value.as_bytes(), value_class));
    if value.is_empty() {
        return Err(SHAPE);
    }
    Ok(Some(Split {
        name,
        value: Some(value),
        behind,
    }))
}
