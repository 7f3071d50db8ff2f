//! URIs (RFC 3261 §19.1 and §25.1, RFC 3966 for `tel`). Schemes that nobody here knows are kept as opaque text, because a
//! URI that is only passed on need not be understood. Never resolves a host, never allocates except to decode escapes.

use std::borrow::Cow;

use crate::bytes::{self, HOST, PASSWORD, URI_HEADER, URI_PARAM, USER};
use crate::header::{BadValue, Params};

/// A URI, split into its parts; every part is as it came, escapes included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uri<'a> {
    /// `sip`, `sips`, `tel` or any other, in the case it was written.
    pub scheme: &'a str,
    /// What stands before the `@`, without password; the number of a `tel` URI.
    pub user: Option<&'a str>,
    /// What stands between the user's colon and the `@`. RFC 3261 recommends against it.
    pub password: Option<&'a str>,
    /// Host name, IPv4 address, or IPv6 address in brackets. Empty in `tel` and unknown schemes.
    pub host: &'a str,
    /// The port, if one is written.
    pub port: Option<u16>,
    /// Parameters, as in `;transport=ws`.
    pub params: Params<'a>,
    /// What stands behind the question mark, without it.
    pub headers: Option<&'a str>,
    /// What stands behind the colon of a scheme unknown here; empty in `sip`, `sips` and `tel`.
    pub opaque: &'a str,
}

impl<'a> Uri<'a> {
    /// Reads a URI, from its scheme to its end.
    pub fn parse(text: &'a str) -> Result<Self, BadValue> {
        // It stands near the front: no searcher is that quick.
        let Some(colon) = text.bytes().position(|byte| byte == b':') else {
            return Err(BadValue(
                "a URI must begin with a scheme and a colon, as in sip:alice@example.com",
            ));
        };
        let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
        if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
            return Self::parse_sip(scheme, rest);
        }
        if scheme.eq_ignore_ascii_case("tel") {
            return Self::parse_tel(scheme, rest);
        }
        let named = scheme
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphabetic)
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        if !named {
            return Err(BadValue(
                "a URI must begin with a scheme and a colon, as in sip:alice@example.com",
            ));
        }
        if rest.is_empty()
            || !rest
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'))
        {
            return Err(BadValue(
                "a URI may hold neither white space, quotes, angle brackets nor non-ASCII characters",
            ));
        }
        Ok(Self {
            opaque: rest,
            ..Self::empty(scheme)
        })
    }

    fn empty(scheme: &'a str) -> Self {
        Self {
            scheme,
            user: None,
            password: None,
            host: "",
            port: None,
            params: Params::EMPTY,
            headers: None,
            opaque: "",
        }
    }

    fn parse_sip(scheme: &'a str, rest: &'a str) -> Result<Self, BadValue> {
        let mut uri = Self::empty(scheme);
        // A user may hold semicolons and question marks, but nothing behind it may hold a plain @.
        let rest = match memchr::memchr(b'@', rest.as_bytes()) {
            Some(at) => {
                uri.take_user(&rest[..at])?;
                &rest[at + 1..]
            }
            None => rest,
        };
        let rest = uri.take_host(rest)?;
        if rest.is_empty() {
            return Ok(uri);
        }
        let (params, headers) = match memchr::memchr(b'?', rest.as_bytes()) {
            Some(mark) => (&rest[..mark], Some(&rest[mark + 1..])),
            None => (rest, None),
        };
        uri.params = Self::check_params(params)?;
        if let Some(headers) = headers {
            if headers.is_empty() || !bytes::is_escaped(headers, URI_HEADER) {
                return Err(BadValue(
                    "the headers of a SIP URI must be written as ?name=value&name=value, other characters as percent escapes",
                ));
            }
            uri.headers = Some(headers);
        }
        Ok(uri)
    }

    fn take_user(&mut self, text: &'a str) -> Result<(), BadValue> {
        let (user, rest) = text.split_at(bytes::escaped_run(text.as_bytes(), USER));
        let password = rest.strip_prefix(':');
        if user.is_empty() || (password.is_none() && !rest.is_empty()) {
            return Err(BadValue(
                "the user part of a SIP URI may not be empty, and other characters than letters, digits and -_.!~*'()&=+$,;?/ must be percent escapes",
            ));
        }
        if password.is_some_and(|password| !bytes::is_escaped(password, PASSWORD)) {
            return Err(BadValue(
                "the password of a SIP URI must have its special characters as percent escapes",
            ));
        }
        self.user = Some(user);
        self.password = password;
        Ok(())
    }

    fn take_host(&mut self, text: &'a str) -> Result<&'a str, BadValue> {
        let (host, port, rest) = split_host(text)?;
        self.host = host;
        self.port = port;
        Ok(rest)
    }

    fn parse_tel(scheme: &'a str, rest: &'a str) -> Result<Self, BadValue> {
        let (number, params) = match memchr::memchr(b';', rest.as_bytes()) {
            Some(mark) => rest.split_at(mark),
            None => (rest, ""),
        };
        let dialled = |byte: u8| {
            byte.is_ascii_hexdigit() || matches!(byte, b'*' | b'#' | b'-' | b'.' | b'(' | b')')
        };
        let digits = number.strip_prefix('+').unwrap_or(number);
        if digits.is_empty() || !digits.bytes().all(dialled) {
            return Err(BadValue(
                "a tel URI must hold a telephone number, as in tel:+44-20-7946-0000",
            ));
        }
        Ok(Self {
            user: Some(number),
            params: Self::check_params(params)?,
            ..Self::empty(scheme)
        })
    }

    /// The parameters of a URI, which know neither white space nor quoted strings.
    fn check_params(text: &'a str) -> Result<Params<'a>, BadValue> {
        const SHAPE: BadValue = BadValue(
            "the parameters of a URI must be written as ;name or ;name=value, other characters as percent escapes",
        );
        let part = |text: &'a str| {
            let (part, rest) = text.split_at(bytes::escaped_run(text.as_bytes(), URI_PARAM));
            (!part.is_empty()).then_some(rest).ok_or(SHAPE)
        };
        let mut rest = text;
        while !rest.is_empty() {
            rest = part(rest.strip_prefix(';').ok_or(SHAPE)?)?;
            if let Some(value) = rest.strip_prefix('=') {
                rest = part(value)?;
            }
        }
        Ok(Params(text))
    }

    /// Whether the scheme is this one, in any case.
    pub fn has_scheme(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The user with its `%HH` escapes resolved. Bytes that are not UTF-8 then become U+FFFD.
    pub fn user_decoded(&self) -> Cow<'a, str> {
        let user = self.user.unwrap_or("");
        let bytes = user.as_bytes();
        let Some(mut escape) = memchr::memchr(b'%', bytes) else {
            return Cow::Borrowed(user);
        };
        let mut plain = Vec::with_capacity(bytes.len());
        let mut from = 0;
        loop {
            plain.extend_from_slice(&bytes[from..escape]);
            match (hex(bytes.get(escape + 1)), hex(bytes.get(escape + 2))) {
                (Some(high), Some(low)) => {
                    plain.push(high << 4 | low);
                    from = escape + 3;
                }
                (None, _) | (_, None) => {
                    plain.push(b'%');
                    from = escape + 1;
                }
            }
            match memchr::memchr(b'%', &bytes[from..]) {
                Some(next) => escape = from + next,
                None => break,
            }
        }
        plain.extend_from_slice(&bytes[from..]);
        Cow::Owned(match String::from_utf8(plain) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    match digit? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        digit @ b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Splits `host[:port]` off the front.
fn split_host(text: &str) -> Result<(&str, Option<u16>, &str), BadValue> {
    let end = host_end(text)?;
    let (host, rest) = text.split_at(end);
    let Some(rest) = rest.strip_prefix(':') else {
        return Ok((host, None, rest));
    };
    let digits = rest
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(rest.len());
    Ok((host, Some(port(&rest[..digits])?), &rest[digits..]))
}

/// Where the host at the front of the text ends.
pub(crate) fn host_end(text: &str) -> Result<usize, BadValue> {
    if text.starts_with('[') {
        let close = memchr::memchr(b']', text.as_bytes())
            .ok_or(BadValue("an IPv6 address must stand in square brackets"))?;
        if text[1..close].parse::<std::net::Ipv6Addr>().is_err() {
            return Err(BadValue(
                "between the brackets of a host must stand an IPv6 address, such as 2001:db8::1",
            ));
        }
        return Ok(close + 1);
    }
    match bytes::run(text.as_bytes(), HOST) {
        0 => Err(BadValue("a host name or an address is missing")),
        end => Ok(end),
    }
}

/// Reads a port number.
pub(crate) fn port(text: &str) -> Result<u16, BadValue> {
    bytes::number(text, u32::from(u16::MAX))
        .and_then(|port| u16::try_from(port).ok())
        .ok_or(BadValue("a port must be a number from 0 to 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_sip_uri() {
        let uri = Uri::parse(
            "SIPS:alice;day=1:s%40t@[2001:db8::9]:5061;transport=ws;ob?Subject=a&Priority=b",
        )
        .unwrap();
        assert!(uri.has_scheme("sips"));
        assert_eq!(
            (uri.user, uri.password),
            (Some("alice;day=1"), Some("s%40t"))
        );
        assert_eq!((uri.host, uri.port), ("[2001:db8::9]", Some(5061)));
        assert_eq!(
            (uri.params.value("Transport"), uri.params.get("ob")),
            (Some("ws"), Some(None))
        );
        assert_eq!(uri.headers, Some("Subject=a&Priority=b"));
    }

    #[test]
    fn other_schemes() {
        let tel = Uri::parse("tel:+44-1908-273-800;ext=12").unwrap();
        assert_eq!(
            (tel.user, tel.host, tel.params.value("ext")),
            (Some("+44-1908-273-800"), "", Some("12"))
        );
        let web = Uri::parse("http://www.example.com/?a=b").unwrap();
        assert_eq!((web.scheme, web.opaque), ("http", "//www.example.com/?a=b"));
    }

    #[test]
    fn what_is_no_uri() {
        for text in [
            "",
            "alice",
            "sip:",
            "sip:@host",
            "sip:a@",
            "sip:a b@host",
            "sip:a@b@c",
            "sip:%4@host",
            "sip:%zz@host",
            "sip:a@host:",
            "sip:a@host:65536",
            "sip:a@host:5a",
            "sip:[::1",
            "sip:[1.2.3.4]",
            "sip:ho st",
            "sip:h\u{f6}st",
            "sip:h;",
            "sip:h;=x",
            "sip:h;a=",
            "sip:h;a=\"b\"",
            "sip:h?",
            "sip:h?a<b",
            "tel:",
            "tel:alice",
            "1a:b",
            "a:",
            "a:b c",
        ] {
            assert!(Uri::parse(text).is_err(), "{text:?} was read as a URI");
        }
    }

    #[test]
    fn users_are_decoded_once() {
        let user = |text| Uri::parse(text).unwrap().user_decoded().into_owned();
        assert_eq!(user("sip:%62ob%2541@h"), "bob%41");
        assert_eq!(user("sip:%C3%BC%ff@h"), "\u{fc}\u{fffd}");
        assert_eq!(user("sip:h"), "");
    }
}
