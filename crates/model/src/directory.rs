//! The directory: who exists. One immutable snapshot, replaced whole when the store changes.
//!
//! Holds rows as the store keeps them; parsing keys is `switch::token`'s. Secrets print as nothing.

use std::collections::BTreeMap;
use std::fmt;

use crate::id::{AccountId, CloudId, Login, ServiceName, Username, WebRtcAccessKey};
use crate::revocation::Revocations;
use crate::service::{Service, ServiceCallers};
use crate::time::UnixTime;

/// Bytes that never appear in a log: `Debug` prints their length alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes the secret over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The secret itself; whoever calls this answers for where it goes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.0.len())
    }
}

/// What an account may do in quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// Has a monthly limit on tokens.
    Developer,
    /// Has none, unless one was set.
    Production,
}

impl AccountKind {
    /// The word used on the command line and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Developer => "developer",
            Self::Production => "production",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Developer, Self::Production]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// How many tokens an account may take in a calendar month (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenLimit {
    /// As many as it likes.
    Unlimited,
    /// At most this many.
    Monthly(u64),
}

/// The signature algorithms of tokens, by their JWA names (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048-bit keys.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The JWA name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Reads the JWA name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Rs256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|a| a.as_str() == text)
    }
}

/// A keyed hash (HMAC-SHA-256) of an API access key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyHash {
    /// The hash; the key itself is not kept.
    pub hash: [u8; 32],
    /// When a rotated key stops working; `None` for the current one.
    pub expires: Option<UnixTime>,
}

/// A signing key as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// The private key, PKCS#8 DER.
    pub pkcs8: SecretBytes,
    /// When the last token signed by a retired key has expired; `None` for the current one.
    pub expires: Option<UnixTime>,
}

/// One customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number in the store.
    pub id: AccountId,
    /// First half of its login, and the region in its host names.
    pub cloud_id: CloudId,
    /// Second half of its login.
    pub username: Username,
    /// Developer or production.
    pub kind: AccountKind,
    /// A disabled account gets no tokens, no registrations and no calls.
    pub disabled: bool,
    /// Its public name towards browsers.
    pub access_key: WebRtcAccessKey,
    /// How many tokens it may take in a month.
    pub token_limit: TokenLimit,
    /// Its API access keys, the current one and rotated ones in their grace period.
    pub api_keys: Vec<ApiKeyHash>,
    /// Its signing keys; the one without `expires` signs, all verify.
    pub signing_keys: Vec<SigningKeyRow>,
    /// Its services, by name.
    pub services: BTreeMap<ServiceName, Service>,
    /// Who may call them.
    pub service_callers: ServiceCallers,
    /// Tokens of its that are good no more, though their time is not over.
    pub revocations: Revocations,
}

impl Account {
    /// `cloudID/username`.
    pub fn login(&self) -> Login {
        Login {
            cloud_id: self.cloud_id.clone(),
            username: self.username.clone(),
        }
    }
}

/// Every account, with the look-ups that the paths of messages need.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    accounts: BTreeMap<AccountId, Account>,
    by_access_key: BTreeMap<WebRtcAccessKey, AccountId>,
    by_login: BTreeMap<Login, AccountId>,
}

impl Directory {
    /// Indexes the accounts.
    pub fn new(accounts: impl IntoIterator<Item = Account>) -> Self {
        let mut directory = Self::default();
        for account in accounts {
            directory
                .by_access_key
                .insert(account.access_key.clone(), account.id);
            directory.by_login.insert(account.login(), account.id);
            directory.accounts.insert(account.id, account);
        }
        directory
    }

    /// All accounts in the order of their numbers.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// The account with this number.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// The account that this WebRTC access key names.
    pub fn by_access_key(&self, key: &str) -> Option<&Account> {
        self.accounts.get(self.by_access_key.get(key)?)
    }

    /// The account that logs in so.
    pub fn by_login(&self, login: &Login) -> Option<&Account> {
        self.accounts.get(self.by_login.get(login)?)
    }
}
