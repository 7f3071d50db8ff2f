//! A REFER of a trunk's peer (RFC 3515): whom somebody else is to be connected with, as far as the message says.
//!
//! Reads Refer-To, Replaces (RFC 3891), Referred-By (RFC 3892) and Refer-Sub (RFC 4488). Never decides who may be reached.

use model::limits;
use sip::{Headers, Name, NameAddr, Request};

use crate::refusal::{self, Refusal};

const REFER_SUB: Name<'static> = Name::Other("Refer-Sub");

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refer {
    pub(crate) to: Target,
    /// The call whose place is to be taken.
    pub(crate) replaces: Option<Replaces>,
    /// Who asks, for those who may know.
    pub(crate) referred_by: Option<String>,
    /// Whether it is told what comes of it.
    pub(crate) is_told: bool,
}

/// Whom the Refer-To address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// In plain text.
    pub(crate) user: String,
    /// As it stands in the address, with its escapes: so it is asked for.
    pub(crate) escaped: Box<str>,
    /// Empty in `tel:`.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

/// A dialog that is to be replaced (RFC 3891 §3), as we know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replaces {
    pub(crate) call_id: String,
    /// Ours: `to-tag`.
    pub(crate) own_tag: String,
    /// Theirs: `from-tag`.
    pub(crate) remote_tag: String,
    /// Only if nobody has answered yet.
    pub(crate) is_early_only: bool,
}

impl Refer {
    pub(crate) fn read(request: &Request<'_>) -> Result<Self, Refusal> {
        let headers = &request.headers;
        let mut all = headers.all(Name::ReferTo);
        let (Some(text), None) = (all.next(), all.next()) else {
            return Err(refusal::refer_to("a REFER must name exactly one Refer-To"));
        };
        let address = NameAddr::parse(text).map_err(|_| {
            refusal::refer_to("Refer-To must be one address, such as <sip:100@example.com>")
        })?;
        let uri = address.uri;
        let is_tel = uri.has_scheme("tel");
        if !is_tel && !uri.has_scheme("sip") && !uri.has_scheme("sips") {
            return Err(refusal::refer_scheme());
        }
        let method = uri.params.get("method").flatten();
        if method.is_some_and(|method| !method.eq_ignore_ascii_case("INVITE")) {
            return Err(refusal::refer_to(
                "a call is transferred by an INVITE: the method in Refer-To may be nothing else",
            ));
        }
        let user = match is_tel {
            true => uri.user.unwrap_or_default().to_owned(),
            false => uri.user_decoded().into_owned(),
        };
        if user.is_empty() || user.chars().any(char::is_control) {
            return Err(refusal::refer_to(
                "the address in Refer-To must have a user: a number or a client",
            ));
        }
        let escaped = uri.user.unwrap_or_default();
        if escaped.len() > limits::ADDRESS_BYTES / 4 {
            return Err(refusal::refer_to(
                "the user in Refer-To is longer than any number or client",
            ));
        }
        Ok(Self {
            to: Target {
                user,
                escaped: escaped.into(),
                host: uri.host.to_owned(),
                port: uri.port,
            },
            replaces: uri.headers.map(replaces_in).transpose()?.flatten(),
            referred_by: referred_by(headers),
            is_told: is_told(headers),
        })
    }
}

impl Replaces {
    /// That of an INVITE; nothing, if it has none.
    pub(crate) fn of(request: &Request<'_>) -> Result<Option<Self>, Refusal> {
        let mut all = request.headers.all(Name::Replaces);
        match (all.next(), all.next()) {
            (None, _) => Ok(None),
            (Some(text), None) => Self::parse(text)
                .map(Some)
                .ok_or_else(refusal::malformed_replaces),
            (Some(_), Some(_)) => Err(refusal::malformed_replaces()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let is_plain = |part: &str| {
            let length = 1..=limits::CALL_ID_BYTES;
            let may_stand = |byte: u8| byte.is_ascii_graphic() && !b",;<>\"".contains(&byte);
            length.contains(&part.len()) && part.bytes().all(may_stand)
        };
        let mut parts = text.split(';').map(str::trim);
        let call_id = parts.next().filter(|part| is_plain(part))?;
        let (mut own_tag, mut remote_tag, mut is_early_only) = (None, None, false);
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let known = match name.trim() {
                name if name.eq_ignore_ascii_case("to-tag") => &mut own_tag,
                name if name.eq_ignore_ascii_case("from-tag") => &mut remote_tag,
                name => {
                    is_early_only |= name.eq_ignore_ascii_case("early-only");
                    continue;
                }
            };
            let value = Some(value.trim()).filter(|value| is_plain(value))?;
            if known.replace(value.to_owned()).is_some() {
                return None;
            }
        }
        Some(Self {
            call_id: call_id.to_owned(),
            own_tag: own_tag?,
            remote_tag: remote_tag?,
            is_early_only,
        })
    }

    /// As it stands in an INVITE.
    pub(crate) fn row(&self) -> String {
        let Self {
            call_id,
            own_tag,
            remote_tag,
            is_early_only,
        } = self;
        let only = if *is_early_only { ";early-only" } else { "" };
        format!("{call_id};to-tag={own_tag};from-tag={remote_tag}{only}")
    }
}

/// Of the headers of an address (RFC 3261 §19.1.1) there may be none but what a transfer has.
fn replaces_in(headers: &str) -> Result<Option<Replaces>, Refusal> {
    let mut found = None;
    for part in headers.split('&') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = decoded(value);
        if name.eq_ignore_ascii_case("replaces") && found.is_none() {
            let replaces = value.as_deref().and_then(Replaces::parse);
            found = Some(replaces.ok_or_else(refusal::malformed_replaces)?);
        } else if !name.eq_ignore_ascii_case("require") || value.as_deref() != Some("replaces") {
            return Err(refusal::refer_to(
                "the address in Refer-To may have no header but one Replaces",
            ));
        }
    }
    Ok(found)
}

/// With its escapes resolved; nothing if that is no text.
fn decoded(text: &str) -> Option<String> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        plain.push(u8::try_from(high << 4 | low).ok()?);
    }
    String::from_utf8(plain).ok()
}

/// Who asks, if that can be passed on as it is.
fn referred_by(headers: &Headers<'_>) -> Option<String> {
    let text = headers.get(Name::ReferredBy)?;
    let is_plain = text.len() <= limits::ADDRESS_BYTES && !text.chars().any(char::is_control);
    let is_address = NameAddr::parse(text).is_ok();
    (is_plain && is_address).then(|| text.to_owned())
}

fn is_told(headers: &Headers<'_>) -> bool {
    let said = headers.get(REFER_SUB).unwrap_or_default();
    let said = said.split(';').next().unwrap_or_default();
    !said.trim().eq_ignore_ascii_case("false")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: &str) -> Result<Refer, Refusal> {
        let text = format!(
            "REFER sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 REFER\r\nMax-Forwards: 70\r\n{rows}\r\n"
        );
        let Ok(sip::Message::Request(request)) = sip::parse(text.as_bytes()) else {
            panic!("{text}");
        };
        Refer::read(&request)
    }

    #[test]
    fn a_number_and_who_asks_are_read() {
        let refer = read("Refer-To: <sip:%2b44@h:5070>\r\nReferred-By: <sip:me@h>\r\n").unwrap();
        assert_eq!((&*refer.to.user, refer.to.port), ("+44", Some(5070)));
        assert_eq!(&*refer.to.escaped, "%2b44");
        assert_eq!(refer.referred_by.as_deref(), Some("<sip:me@h>"));
        assert!(refer.is_told && refer.replaces.is_none());
        let quiet = read("r: tel:+44-20\r\nRefer-Sub: false\r\n").unwrap();
        assert_eq!((&*quiet.to.user, &*quiet.to.host), ("+44-20", ""));
        assert!(!quiet.is_told);
        assert!(read("Refer-To: <sip:1@h;method=INVITE>\r\n").is_ok());
    }

    #[test]
    fn a_call_that_is_to_be_replaced_is_read_with_its_escapes() {
        let refer = read(
            "Refer-To: <sip:1@h?Require=replaces&Replaces=a%40b%3Bfrom-tag%3D2%3Bto-tag%3D1%3Bearly-only>\r\n",
        )
        .unwrap();
        let replaces = refer.replaces.unwrap();
        assert_eq!(replaces.row(), "a@b;to-tag=1;from-tag=2;early-only");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (rows, status, words) in [
            ("", 400, "exactly one Refer-To"),
            (
                "Refer-To: <sip:1@h>\r\nRefer-To: <sip:2@h>\r\n",
                400,
                "exactly one",
            ),
            ("Refer-To: <sip:1@h>, <sip:2@h>\r\n", 400, "one address"),
            ("Refer-To: nonsense\r\n", 400, "one address"),
            ("Refer-To: <http://example.com/>\r\n", 416, "sip:"),
            ("Refer-To: <sip:1@h;method=BYE>\r\n", 400, "INVITE"),
            ("Refer-To: <sip:h>\r\n", 400, "must have a user"),
            ("Refer-To: <sip:1@h?Subject=a>\r\n", 400, "no header but"),
            ("Refer-To: <sip:1@h?body=v%3D0>\r\n", 400, "no header but"),
            (
                "Refer-To: <sip:1@h?Replaces=a%3Bto-tag%3D1>\r\n",
                400,
                "Replaces",
            ),
            (
                "Refer-To: <sip:1@h?Replaces=a%0D%0AX:y%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n",
                400,
                "Replaces",
            ),
            (
                &format!("Refer-To: <sip:{}@h>\r\n", "9".repeat(3_000)),
                400,
                "longer than",
            ),
        ] {
            let refusal = read(rows).unwrap_err();
            assert_eq!(refusal.status, status, "{rows}");
            assert!(refusal.text.contains(words), "{rows}: {}", refusal.text);
        }
    }
}
