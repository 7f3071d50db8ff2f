//! Addresses: `"Name" <uri>;parameters` of From, To, Contact and their like (RFC 3261 §20.10, §20.20, §20.39).

use std::borrow::Cow;

use crate::bytes::{self, TOKEN};
use crate::header::params::check_params;
use crate::header::{BadValue, Params};
use crate::uri::Uri;

/// An address with the parameters that stand behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameAddr<'a> {
    /// The display name: without its quotes, escapes inside left as they are. `None` if there is none.
    pub display: Option<&'a str>,
    /// The URI.
    pub uri: Uri<'a>,
    /// The URI as written, without angle brackets.
    pub uri_text: &'a str,
    /// The parameters behind the address, such as `tag` and `expires`; not those inside the URI.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one address, from its display name to its last parameter.
    pub fn parse(value: &'a str) -> Result<Self, BadValue> {
        let value = bytes::trim(value);
        if let Some(inner) = value.strip_prefix('<') {
            return Self::bracketed(None, inner);
        }
        if value.starts_with('"') {
            let end = bytes::quoted_end(value.as_bytes(), 0).ok_or(BadValue(
                "the display name has no closing quote; write the name in quotes and the URI behind it in angle brackets",
            ))?;
            let inner = bytes::trim_start(&value[end..])
                .strip_prefix('<')
                .ok_or(BadValue(
                    "behind a quoted display name must follow the URI in angle brackets",
                ))?;
            return Self::bracketed(Some(&value[1..end - 1]), inner);
        }
        match memchr::memchr3(b'<', b';', b'"', value.as_bytes()) {
            Some(open) if value.as_bytes()[open] == b'<' => {
                let display = bytes::trim_end(&value[..open]);
                if !display
                    .bytes()
                    .all(|byte| bytes::is(byte, TOKEN) || bytes::is_space(byte))
                {
                    return Err(BadValue(
                        "a display name with other characters than those of a token must stand in quotes",
                    ));
                }
                Self::bracketed(Some(display), &value[open + 1..])
            }
            _ => Self::bare(value),
        }
    }

    fn bracketed(display: Option<&'a str>, inner: &'a str) -> Result<Self, BadValue> {
        let close = memchr::memchr(b'>', inner.as_bytes())
            .ok_or(BadValue("the URI has no closing angle bracket"))?;
        let uri_text = &inner[..close];
        let params = check_params(bytes::trim_start(&inner[close + 1..]))?;
        Ok(Self {
            display,
            uri: Uri::parse(uri_text)?,
            uri_text,
            params,
        })
    }

    /// A URI without angle brackets: every parameter belongs to the row, and what would be ambiguous is refused.
    fn bare(value: &'a str) -> Result<Self, BadValue> {
        let end = value
            .bytes()
            .position(|byte| byte == b';' || bytes::is_space(byte))
            .unwrap_or(value.len());
        let uri_text = &value[..end];
        if memchr::memchr2(b',', b'?', uri_text.as_bytes()).is_some() {
            return Err(BadValue(
                "a URI that holds a comma, a question mark or a semicolon must stand in angle brackets",
            ));
        }
        let params = check_params(bytes::trim_start(&value[end..]))?;
        Ok(Self {
            display: None,
            uri: Uri::parse(uri_text)?,
            uri_text,
            params,
        })
    }

    /// The `tag` parameter of From and To.
    pub fn tag(&self) -> Option<&'a str> {
        self.params.value("tag")
    }

    /// The value of a parameter behind the address.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params.value(name)
    }

    /// The display name with its backslash escapes resolved.
    pub fn display_decoded(&self) -> Option<Cow<'a, str>> {
        let display = self.display?;
        if !display.contains('\\') {
            return Some(Cow::Borrowed(display));
        }
        let mut plain = String::with_capacity(display.len());
        let mut characters = display.chars();
        while let Some(character) = characters.next() {
            plain.push(if character == '\\' {
                characters.next().unwrap_or('\\')
            } else {
                character
            });
        }
        Some(Cow::Owned(plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_belong_to_the_uri_only_inside_brackets() {
        let inside = NameAddr::parse("<sip:a@b;x=1>;y=2").unwrap();
        assert_eq!(
            (
                inside.uri.params.value("x"),
                inside.param("x"),
                inside.param("Y")
            ),
            (Some("1"), None, Some("2"))
        );
        let bare = NameAddr::parse("sip:a@b;x=1 ; tag = t").unwrap();
        assert_eq!(
            (bare.uri_text, bare.param("x"), bare.tag()),
            ("sip:a@b", Some("1"), Some("t"))
        );
    }

    #[test]
    fn display_names() {
        let display = |value| {
            NameAddr::parse(value)
                .unwrap()
                .display_decoded()
                .map(Cow::into_owned)
        };
        assert_eq!(
            display(r#""Bell \"A\" \\ <x>, ;" <sip:a@b>"#).as_deref(),
            Some(r#"Bell "A" \ <x>, ;"#)
        );
        assert_eq!(
            display("Alexander  Bell<sip:a@b>").as_deref(),
            Some("Alexander  Bell")
        );
        assert_eq!(display("\"\" <sip:a@b>").as_deref(), Some(""));
        assert_eq!(display("<sip:a@b>"), None);
    }

    #[test]
    fn quoted_parameters_may_hold_anything() {
        let address =
            NameAddr::parse("<sip:a@b>;+sip.instance=\"<urn:uuid:0>;x\\\"\";reg-id=1").unwrap();
        assert_eq!(address.param("+sip.instance"), Some("<urn:uuid:0>;x\\\""));
        assert_eq!(address.param("reg-id"), Some("1"));
        assert_eq!(address.params.iter().count(), 2);
    }

    #[test]
    fn what_is_no_address() {
        for value in [
            "",
            "*",
            "<>",
            "<sip:a@b",
            "\"a <sip:a@b>",
            "\"a\" sip:a@b",
            "B\u{e9}la <sip:a@b>",
            "a, b <sip:a@b>",
            "sip:a@b?c=d",
            "sip:a,b@c",
            "<sip:a@b> x",
            "<sip:a@b>;",
            "<sip:a@b>;;x",
            "<sip:a@b>;x=",
            "<sip:a@b>;x=\"y",
            "<sip:a@b>;x=y z",
            "<sip:a@b>;x=\"y\"z",
            "<sip:a@b>;x=a@b",
            "<sip:a@b>;(x)",
        ] {
            assert!(
                NameAddr::parse(value).is_err(),
                "{value:?} was read as an address"
            );
        }
    }
}
