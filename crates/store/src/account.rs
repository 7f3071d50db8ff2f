//! What may be asked about accounts: a new one, a change of one.
//!
//! Words between the callers and every back end; never SQL.

use model::{
    AccountKind, CloudId, ServiceCallers, SigningKeyRow, TokenLimit, Username, WebRtcAccessKey,
};

/// An account to be, with its first keys.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// First half of its login.
    pub cloud_id: CloudId,
    /// Second half of its login; the two together are unique.
    pub username: Username,
    /// Developer or production.
    pub kind: AccountKind,
    /// Its public name towards browsers; unique.
    pub access_key: WebRtcAccessKey,
    /// A limit of its own; `None` for the one of its kind.
    pub token_limit: Option<TokenLimit>,
    /// The keyed hash of its API access key.
    pub api_key_hash: [u8; 32],
    /// The key that signs its tokens; its `expires` is not looked at.
    pub signing_key: SigningKeyRow,
}

/// What to change of an account; `None` leaves things as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// Developer or production.
    pub kind: Option<AccountKind>,
    /// A limit of its own; `Some(None)` goes back to the one of its kind.
    pub token_limit: Option<Option<TokenLimit>>,
    /// Whether it is shut out.
    pub disabled: Option<bool>,
    /// Who may call its services.
    pub service_callers: Option<ServiceCallers>,
}
