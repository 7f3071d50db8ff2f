//! Tokens: what a client may do, signed by its account (RFC 7519, RFC 7515 compact form).
//!
//! Issues and verifies; never reads a clock (time is an argument), and keeps no token's text but what a connection showed last.
//! The claims `aud exp iat iss jti nbf scope sub` are those of the service that existing clients
//! know; `enable_incoming` and `call_client` are ours (docs/api.md).

mod api_key;
mod claims;
mod key;
mod quota;
mod remembered;
mod request;

pub use api_key::{authenticate, hash_api_key};
pub use claims::{Grant, RejectedToken, TokenMark, issue, verify};
pub use key::{AccountKeys, KeyRing, SigningKey, UnusableKey, VerifyingKey};
pub use quota::{MonthlyQuota, QuotaExceeded};
pub(crate) use remembered::{Remembered, Shown};
pub use request::{ParameterFault, TokenRequest};
