//! How a line shows who it is (RFC 3261 §22, RFC 8760).
//!
//! Never keeps the password anywhere but in the trunk, and never shows it.

use sip::digest::{Challenge, Credentials, Use};
use sip::{Name, Response};

use super::line::Line;

/// The strongest challenge that we can answer, and the name of the row that answers it.
pub(super) fn of(response: &Response<'_>) -> Option<(&'static str, Challenge)> {
    let (asks, answers) = match response.status {
        401 => (Name::WwwAuthenticate, "Authorization"),
        407 => (Name::ProxyAuthenticate, "Proxy-Authorization"),
        _ => return None,
    };
    let rows = response.headers.all(asks);
    let known = rows.flat_map(Challenge::parse_all);
    Some((answers, Challenge::strongest(known)?))
}

impl Line {
    /// The value of that row; nothing if we have no credentials. `count`: how often this nonce was used, with this time.
    pub(super) fn answer_challenge(
        &mut self,
        challenge: &Challenge,
        method: &str,
        uri: &str,
        count: u32,
    ) -> Option<String> {
        let cnonce = self.mint();
        let login = self.trunk().login.as_ref()?;
        let who = Credentials {
            username: &login.user,
            password: std::str::from_utf8(login.password.expose()).ok()?,
        };
        let of = Use {
            method,
            uri,
            cnonce: &cnonce,
            count,
        };
        Some(challenge.answer(who, of))
    }
}
