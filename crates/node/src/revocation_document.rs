//! Revocations as JSON: how they are asked for and shown, by the web service and by the command.
//!
//! Knows the words and what may stand together; what is kept is the store's.

use std::time::Duration;

use model::{ClientId, Revocation, Revoked, TokenId, UnixTime, limits};
use serde::Deserialize;
use serde_json::{Value, json};
use switch::token::ParameterFault;

/// What is to be revoked, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedRevocation {
    /// Which tokens.
    pub what: Revoked,
    /// Those that were issued before this; nothing: before now.
    pub issued_before: Option<UnixTime>,
    /// Whether registrations and calls end with them.
    pub ends: bool,
}

impl WantedRevocation {
    /// What is to be kept; the error is a sentence.
    pub fn at(self, now: UnixTime) -> Result<Revocation, String> {
        let is_one = match self.what {
            Revoked::Token(_) => true,
            Revoked::Client(_) | Revoked::Account => false,
        };
        if is_one && self.issued_before.is_some() {
            return Err(
                "one token is revoked whenever it was issued; name a client or all tokens for those that were issued before an instant"
                    .to_owned(),
            );
        }
        let before = self.issued_before.unwrap_or(now);
        if before > now + Duration::from_secs(limits::TOKEN_LEEWAY_S) {
            return Err(format!(
                "tokens that are still to be issued cannot be revoked: {} lies ahead, and it is {} here",
                before.rfc3339(),
                now.rfc3339()
            ));
        }
        Ok(Revocation::new(self.what, before, self.ends))
    }
}

/// The tokens that these three words mean, of which one must be given. The error is that of a parameter.
pub fn meant(
    jti: Option<&str>,
    client_id: Option<&str>,
    all: Option<bool>,
) -> Result<Revoked, ParameterFault> {
    let malformed = |text: String| ParameterFault { code: "0002", text };
    match (jti, client_id, all) {
        (Some(jti), None, None) => match TokenId::parse(jti) {
            Ok(id) => Ok(Revoked::Token(id)),
            Err(error) => Err(malformed(format!("'jti': {error}"))),
        },
        (None, Some(client), None) => match ClientId::parse(client) {
            Ok(client) => Ok(Revoked::Client(client)),
            Err(error) => Err(malformed(format!("'client_id': {error}"))),
        },
        (None, None, Some(true)) => Ok(Revoked::Account),
        (None, None, Some(false)) => {
            Err(malformed("'all' must be true, or be left out".to_owned()))
        }
        (None, None, None) => Err(ParameterFault {
            code: "0001",
            text: "One of 'jti', 'client_id' and 'all' is missing: it says which tokens are meant"
                .to_owned(),
        }),
        _ => Err(malformed(
            "'jti', 'client_id' and 'all' exclude each other".to_owned(),
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Asked {
    jti: Option<String>,
    client_id: Option<String>,
    all: Option<bool>,
    issued_before: Option<String>,
    #[serde(default)]
    end: bool,
}

/// Reads what a back end asks for.
pub fn read(document: Value) -> Result<WantedRevocation, ParameterFault> {
    let malformed = |text: String| ParameterFault { code: "0002", text };
    let asked = Asked::deserialize(document).map_err(|error| malformed(error.to_string()))?;
    let issued_before = match asked.issued_before.as_deref().map(instant) {
        Some(Err(why)) => return Err(malformed(format!("'issued_before': {why}"))),
        Some(Ok(at)) => Some(at),
        None => None,
    };
    Ok(WantedRevocation {
        what: meant(asked.jti.as_deref(), asked.client_id.as_deref(), asked.all)?,
        issued_before,
        ends: asked.end,
    })
}

/// Reads an instant; the error says what would be right.
pub fn instant(text: &str) -> Result<UnixTime, String> {
    UnixTime::parse_rfc3339(text).ok_or_else(|| {
        let given: String = text.chars().take(64).collect();
        format!("{given:?} is no time as RFC 3339 writes it, such as 2026-01-31T08:56:24Z")
    })
}

/// A revocation as it is kept.
pub fn shown(revocation: &Revocation) -> Value {
    let mut document = match &revocation.what {
        Revoked::Token(id) => json!({ "jti": id.as_str() }),
        Revoked::Client(client) => json!({ "client_id": client.as_str() }),
        Revoked::Account => json!({ "all": true }),
    };
    let is_one = matches!(revocation.what, Revoked::Token(_));
    let before = (!is_one).then(|| revocation.issued_before.rfc3339());
    let ends_before = revocation.ends_before.filter(|_| !is_one);
    document["issued_before"] = before.into();
    document["end"] = revocation.ends_before.is_some().into();
    document["ends_before"] = ends_before.map(UnixTime::rfc3339).into();
    document["kept_until"] = revocation.kept_until.rfc3339().into();
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_795_000_000);
    const JTI: &str = "CQkJCQkJCQkJCQkJCQkJCQ";

    fn asked(document: Value) -> Result<Revocation, String> {
        read(document).map_err(|fault| fault.text)?.at(NOW)
    }

    #[test]
    fn one_token_a_client_or_all_are_revoked_before_now_or_before_then() {
        let one = asked(json!({ "jti": JTI, "end": true })).unwrap();
        let id = TokenId::parse(JTI).unwrap();
        assert_eq!(one, Revocation::new(Revoked::Token(id), NOW, true));
        let bob = asked(json!({ "client_id": "bob" })).unwrap();
        let client = Revoked::Client(ClientId::parse("bob").unwrap());
        assert_eq!(bob, Revocation::new(client, NOW, false));
        let then = json!({ "all": true, "issued_before": "2026-11-17T00:00:00+01:00" });
        let all = asked(then).unwrap();
        assert_eq!(all.issued_before.rfc3339(), "2026-11-16T23:00:00Z");
    }

    #[test]
    fn what_cannot_be_revoked_is_told_in_words() {
        for (document, word) in [
            (json!({}), "'jti', 'client_id' and 'all' is missing"),
            (json!({ "jti": "short" }), "22 characters"),
            (json!({ "client_id": "" }), "'client_id'"),
            (json!({ "all": false }), "must be true"),
            (json!({ "jti": JTI, "client_id": "bob" }), "exclude"),
            (json!({ "all": true, "before": 1 }), "unknown field"),
            (json!({ "all": true, "end": "yes" }), "boolean"),
            (json!({ "all": true, "issued_before": "now" }), "RFC 3339"),
            (
                json!({ "jti": JTI, "issued_before": "2026-11-17T00:00:00Z" }),
                "whenever it was issued",
            ),
            (
                json!({ "all": true, "issued_before": "2027-11-17T00:00:00Z" }),
                "lies ahead",
            ),
        ] {
            let why = asked(document).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn it_is_shown_in_the_words_in_which_it_is_asked_for() {
        let one = shown(&asked(json!({ "jti": JTI, "end": true })).unwrap());
        assert_eq!(one["jti"], JTI);
        assert_eq!(one["end"], true);
        assert_eq!(one["issued_before"], Value::Null);
        let all = shown(&asked(json!({ "all": true })).unwrap());
        assert_eq!(all["all"], true);
        assert_eq!(all["issued_before"], NOW.rfc3339());
        assert_eq!(all["end"], false);
    }
}
