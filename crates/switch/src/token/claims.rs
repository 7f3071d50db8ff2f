//! The claims of a token: writing, signing, checking.
//!
//! Never looks a client up or decides about a call: a [`Grant`] says what was permitted, no more.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Account, CallPattern, ClientId, Standing, TokenId, UnixTime, limits};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::key::{AccountKeys, SigningKey};
use super::request::TokenRequest;

const SCOPE: &str = "webrtcclient";

/// Claims as they stand in the token, in the order of the documented sample, ours last.
#[derive(Serialize, Deserialize)]
struct Claims {
    aud: String,
    exp: u64,
    iat: u64,
    iss: String,
    nbf: u64,
    scope: Vec<String>,
    sub: String,
    #[serde(default)]
    jti: String,
    #[serde(default)]
    enable_incoming: bool,
    #[serde(default)]
    call_client: Vec<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
    /// Whether it names extensions that must be understood (RFC 7515 §4.1.11), in whatever form: none is.
    #[serde(default, deserialize_with = "is_given")]
    crit: bool,
}

fn is_given<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

/// What a verified token permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The client that may use it.
    pub client: ClientId,
    /// Whether it may register for incoming calls.
    pub enable_incoming: bool,
    /// Whom it may call.
    pub call_client: Vec<CallPattern>,
    /// When it ends.
    pub expires: UnixTime,
    /// Which token it was, for whoever takes it back.
    pub mark: TokenMark,
}

/// What a token can be known by again: small, and worth nothing to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenMark {
    /// Its `jti`.
    pub id: Option<TokenId>,
    /// Its `iat`.
    pub issued: UnixTime,
}

impl Grant {
    /// Whether the token permits calling `client`.
    pub fn may_call(&self, client: &ClientId) -> bool {
        self.call_client
            .iter()
            .any(|pattern| pattern.permits(client))
    }
}

/// Why a token was not accepted; the text goes into `error_description` (RFC 6750 §3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RejectedToken {
    /// Not a token at all.
    #[error("not a token: {0}")]
    Malformed(&'static str),
    /// Signed by a key that this account does not have (any more).
    #[error("the token was signed by a key that this account does not have; get a new token")]
    UnknownKey,
    /// The signature does not belong to the text.
    #[error("the token's signature does not match its text")]
    BadSignature,
    /// Another account's token.
    #[error("the token belongs to another account")]
    OtherAccount,
    /// Not yet or no longer valid.
    #[error("the token expired at {0} UTC; get a new token")]
    Expired(UnixTime),
    /// Valid, but for too short a time to register with.
    #[error("the token ends at {0} UTC, too soon to register with; get a new token")]
    Ending(UnixTime),
    /// Its time has not come.
    #[error("the token is not valid before {0} UTC; check the clocks")]
    NotYet(UnixTime),
    /// Made for something else.
    #[error("the token's scope is not webrtcclient")]
    OtherScope,
    /// Its account has taken it back.
    #[error("the token was revoked; get a new token")]
    Revoked,
}

/// Makes a token. `jti` must be random: it makes every token unique.
pub fn issue(
    key: &SigningKey,
    account: &Account,
    request: &TokenRequest,
    jti: [u8; 16],
    now: UnixTime,
) -> String {
    let now_s = now.as_secs();
    let claims = Claims {
        aud: account.cloud_id.to_string(),
        exp: now_s + u64::from(request.ttl_s),
        iat: now_s,
        iss: account.access_key.to_string(),
        nbf: now_s,
        scope: vec![SCOPE.to_owned()],
        sub: request.client.to_string(),
        jti: URL_SAFE_NO_PAD.encode(jti),
        enable_incoming: request.enable_incoming,
        call_client: request
            .call_client
            .iter()
            .map(CallPattern::to_string)
            .collect(),
    };
    let claims = serde_json::to_vec(&claims).expect("claims of strings and numbers serialise");
    let mut token = String::with_capacity(1024);
    token.push_str(key.encoded_header());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = key.sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

/// Checks a token that a client of `account` presents (RFC 7519 §7.2, RFC 8725 §3).
///
/// The algorithm is the key's, never the header's word for it.
pub fn verify(
    token: &str,
    account: &Account,
    keys: &AccountKeys,
    now: UnixTime,
) -> Result<Grant, RejectedToken> {
    use RejectedToken as Rejected;

    if token.len() > limits::TOKEN_BYTES {
        return Err(Rejected::Malformed("it is longer than any of ours"));
    }
    let (signed, signature) = token
        .rsplit_once('.')
        .ok_or(Rejected::Malformed("it has no three parts"))?;
    let (header, claims) = signed
        .split_once('.')
        .ok_or(Rejected::Malformed("it has no three parts"))?;
    let header: Header = decode(header)?;
    let Some(key) = keys.verifying(&header.kid, now) else {
        // Tell a stranger's token from one of a rotated key: both are refused, the words differ.
        let claims: Claims = decode(claims)?;
        let is_ours = claims.iss == account.access_key.as_str();
        return Err(if is_ours {
            Rejected::UnknownKey
        } else {
            Rejected::OtherAccount
        });
    };
    if header.crit {
        return Err(Rejected::Malformed("it has extensions that are not known"));
    }
    if key.algorithm().as_str() != header.alg {
        return Err(Rejected::Malformed("its algorithm is not that of its key"));
    }
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| Rejected::Malformed("a part is not base64url"))?;
    if !key.is_valid(signed.as_bytes(), &signature) {
        return Err(Rejected::BadSignature);
    }
    check(decode(claims)?, account, now)
}

fn check(claims: Claims, account: &Account, now: UnixTime) -> Result<Grant, RejectedToken> {
    use RejectedToken as Rejected;

    if claims.iss != account.access_key.as_str() || claims.aud != account.cloud_id.as_str() {
        return Err(Rejected::OtherAccount);
    }
    if !claims.scope.iter().any(|scope| scope == SCOPE) {
        return Err(Rejected::OtherScope);
    }
    let expires = UnixTime::from_secs(claims.exp);
    if now >= expires {
        return Err(Rejected::Expired(expires));
    }
    if claims.nbf > now.as_secs() + limits::TOKEN_LEEWAY_S {
        return Err(Rejected::NotYet(UnixTime::from_secs(claims.nbf)));
    }
    let client =
        ClientId::parse(&claims.sub).map_err(|_| Rejected::Malformed("its sub is no client id"))?;
    let mark = TokenMark {
        id: TokenId::read(&claims.jti),
        issued: UnixTime::from_secs(claims.iat),
    };
    let revocations = &account.revocations;
    if revocations.standing(mark.id, &client, mark.issued) != Standing::Good {
        return Err(Rejected::Revoked);
    }
    let call_client = claims
        .call_client
        .iter()
        .map(|pattern| CallPattern::parse(pattern))
        .collect::<Result<_, _>>()
        .map_err(|_| Rejected::Malformed("its call_client holds no client pattern"))?;
    Ok(Grant {
        client,
        enable_incoming: claims.enable_incoming,
        call_client,
        expires,
        mark,
    })
}

fn decode<T: for<'a> Deserialize<'a>>(part: &str) -> Result<T, RejectedToken> {
    let json = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| RejectedToken::Malformed("a part is not base64url"))?;
    // The values alone, in a list, would be read as well (RFC 7519 §7.2: an object).
    let is_object = json.trim_ascii_start().starts_with(b"{");
    let read = is_object.then(|| serde_json::from_slice(&json).ok());
    read.flatten().ok_or(RejectedToken::Malformed(
        "a part is not the JSON of a token",
    ))
}
