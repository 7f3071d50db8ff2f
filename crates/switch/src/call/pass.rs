//! Which headers pass from one side of a call to the other.
//!
//! An allow-list: `X-` headers (repeated ones included) and those that describe the message and its
//! body. Headers of the hop and the dialog are ours; tokens and claims of identity never pass.

use std::fmt::Display;

use sip::{Headers, MessageWriter, Name};

/// Copies what may pass.
pub(crate) fn headers(from: &Headers<'_>, into: &mut MessageWriter) {
    each(from, |name, value| {
        into.header(name, value);
    });
}

/// Hands out what may pass: names and values.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "an allow-list: what is not named does not pass"
)]
pub(crate) fn each(from: &Headers<'_>, mut take: impl FnMut(&str, &dyn Display)) {
    for header in from.iter() {
        match header.name {
            // Of the extensions, session timers (RFC 4028) alone work end to end.
            Name::Supported if from.lists(Name::Supported, "timer") => take("Supported", &"timer"),
            Name::Reason => take("Reason", &Reason(&header.unfolded())),
            name if passes(name) => take(name.as_str(), &header.unfolded()),
            _ => {}
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "an allow-list: what is not named does not pass"
)]
fn passes(name: Name<'_>) -> bool {
    match name {
        Name::Accept
        | Name::AcceptEncoding
        | Name::AcceptLanguage
        | Name::Allow
        | Name::ContentDisposition
        | Name::ContentEncoding
        | Name::ContentLanguage
        | Name::ContentType
        | Name::Date
        | Name::MimeVersion
        | Name::MinSe
        | Name::Organization
        | Name::Priority
        | Name::Require
        | Name::RetryAfter
        | Name::Server
        | Name::SessionExpires
        | Name::Subject
        | Name::Unsupported
        | Name::UserAgent
        | Name::Warning => true,
        Name::Other(name) => {
            name.as_bytes()
                .get(..2)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"X-"))
                || name.eq_ignore_ascii_case("Info-Package")
                || name.eq_ignore_ascii_case("Recv-Info")
        }
        _ => false,
    }
}

/// Existing clients read a cause only with a semicolon behind it: a Reason without text gets one.
struct Reason<'a>(&'a str);

impl Display for Reason<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)?;
        let Ok(reason) = sip::Reason::parse(self.0) else {
            return Ok(());
        };
        match (reason.cause(), reason.text()) {
            (Some(cause), None) if reason.protocol.eq_ignore_ascii_case("SIP") => {
                write!(f, ";text=\"{}\"", sip::status::reason(cause))
            }
            (Some(_) | None, _) => Ok(()),
        }
    }
}
