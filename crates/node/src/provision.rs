//! Accounts and keys in the making: what takes the machine's randomness.
//!
//! Shows a new API key to its caller once and keeps only its hash; never prints anything. Keys are made
//! by aws-lc-rs: RSA-2048 and P-256 for RFC 7518 §3.3 and §3.4, Ed25519 for RFC 8037 §3.1.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{
    Account, AccountKind, Algorithm, Application, CloudId, Directory, Login, SecretBytes,
    SigningKeyRow, UnixTime, Username, WebRtcAccessKey, limits,
};
use store::{Address, ChangeError, CreateError, Migrate, Store, StoreError};
use switch::token::{SigningKey, TokenRequest, hash_api_key};

use crate::wanted_service::WantedFault;

/// Login of the account that a first start makes.
const DEMO_CLOUD_ID: &str = "1-2-0";
const DEMO_USERNAME: &str = "demo@example.com";

/// 128 bits, so that a plain keyed hash keeps it.
const API_KEY_BYTES: usize = 16;
/// As many as HMAC-SHA-256 gives (RFC 2104 §3); 43 letters of base64url.
const APPLICATION_SECRET_BYTES: usize = 32;
/// Of 36 letters each: 103 bits, so that two accounts never draw the same and nobody guesses one.
const ACCESS_KEY_LETTERS: usize = 20;
/// How often a WebRTC access key is drawn anew because an account has it already: once is beyond belief.
const ACCESS_KEY_DRAWS: usize = 3;

/// Why an account, a key or a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The login is in use.
    #[error("there is an account {0} already")]
    LoginTaken(Login),
    /// The machine gives no random numbers, or the crypto library makes no keys.
    #[error("{0} could not be made: the crypto library failed")]
    Crypto(&'static str),
    /// The account's signing key cannot be read or is not there.
    #[error(
        "account {0} has no signing key that can be used; rotate it with `offhook key rotate {0} --signing`"
    )]
    NoSigningKey(Login),
    /// The account may not have tokens.
    #[error("account {0} is disabled; `offhook account enable {0}` lets it have tokens again")]
    Disabled(Login),
    /// A service that was to be there cannot be.
    #[error("{place}: {fault}")]
    Wanted {
        /// Where it is said that it was to be there.
        place: String,
        /// What is wrong.
        fault: WantedFault,
    },
    /// The account or its key has changed meanwhile.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An API access key, for the eyes of its owner: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    fn generate() -> Result<Self, ProvisionError> {
        Ok(Self(
            URL_SAFE_NO_PAD.encode(random::<API_KEY_BYTES>("an API key")?),
        ))
    }

    /// The key itself; whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// First half of its login.
    pub cloud_id: CloudId,
    /// Second half of its login.
    pub username: Username,
    /// Developer or production.
    pub kind: AccountKind,
    /// What its tokens are signed with.
    pub algorithm: Algorithm,
}

/// An account that was made, with what its owner needs to use it.
#[derive(Clone, Debug)]
pub struct Created {
    /// User name towards the web services.
    pub login: Login,
    /// Password towards the web services; nobody can show it again.
    pub api_key: ApiKey,
    /// Its public name towards browsers.
    pub webrtc_access_key: WebRtcAccessKey,
}

/// A signing key that took another's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotatedSigningKey {
    /// RFC 7638 thumbprint of the new key.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Until when the old key verifies: then its last token has expired. `None` if there was no old key.
    pub old_verifies_until: Option<UnixTime>,
}

/// Opens the store in this folder and makes it, with a secret of its own, if it is not there.
pub async fn open_store(dir: &Path) -> Result<Store, ProvisionError> {
    Ok(Store::open(dir, random("the store's secret")?).await?)
}

/// Opens the store at this address; a database must be there, and gets a secret of its own if it is new.
pub async fn open_store_at(address: &Address, migrate: Migrate) -> Result<Store, ProvisionError> {
    Ok(Store::open_at(address, random("the store's secret")?, migrate).await?)
}

/// Makes an account with an API key, a WebRTC access key and a signing key.
pub async fn new_account(
    store: &Store,
    pepper: &SecretBytes,
    wanted: NewAccount,
) -> Result<Created, ProvisionError> {
    let login = Login {
        cloud_id: wanted.cloud_id.clone(),
        username: wanted.username.clone(),
    };
    let api_key = ApiKey::generate()?;
    let signing_key = generate_signing_key(wanted.algorithm)?;
    for _ in 0..ACCESS_KEY_DRAWS {
        let webrtc_access_key = generate_access_key()?;
        let row = store::NewAccount {
            cloud_id: wanted.cloud_id.clone(),
            username: wanted.username.clone(),
            kind: wanted.kind,
            access_key: webrtc_access_key.clone(),
            token_limit: None,
            api_key_hash: hash_api_key(pepper.expose(), api_key.expose()),
            signing_key: signing_key.clone(),
        };
        match store.create_account(row).await {
            Ok(_) => {
                return Ok(Created {
                    login,
                    api_key,
                    webrtc_access_key,
                });
            }
            Err(CreateError::AccessKeyTaken(_)) => {}
            Err(CreateError::LoginTaken(login)) => return Err(ProvisionError::LoginTaken(login)),
            Err(CreateError::Store(error)) => return Err(error.into()),
        }
    }
    Err(ProvisionError::Crypto(
        "a WebRTC access key that no account has",
    ))
}

/// The login of the demo account.
pub fn demo_login() -> Login {
    Login {
        cloud_id: CloudId::parse(DEMO_CLOUD_ID)
            .expect("the demo account's cloud id is well-formed"),
        username: Username::parse(DEMO_USERNAME).expect("the demo account's name is well-formed"),
    }
}

/// The demo account, or why nobody gets a client of it.
pub fn open_demo(directory: &Directory) -> Result<&Account, String> {
    let login = demo_login();
    match directory.by_login(&login) {
        Some(account) if !account.disabled => Ok(account),
        Some(_) => Err(format!(
            "the account {login} is disabled; `offhook account enable {login}` lets it in again"
        )),
        None => Err(format!(
            "there is no account {login}, which is made in a store without accounts only; \
             `offhook account create --cloud-id {DEMO_CLOUD_ID} --username {DEMO_USERNAME}` makes it"
        )),
    }
}

/// Makes the demo account in a store that has no account yet; `None` if it has one.
pub async fn demo_account(store: &Store, now: UnixTime) -> Result<Option<Created>, ProvisionError> {
    let (directory, _) = store.directory(now).await?;
    if directory.accounts().next().is_some() {
        return Ok(None);
    }
    let Login { cloud_id, username } = demo_login();
    let demo = NewAccount {
        cloud_id,
        username,
        kind: AccountKind::Developer,
        algorithm: Algorithm::Rs256,
    };
    match new_account(store, &store.pepper().await?, demo).await {
        Ok(created) => Ok(Some(created)),
        // Another process was first; it has shown the keys.
        Err(ProvisionError::LoginTaken(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a secret that signs requests to an application: 43 letters of base64url. The text itself is the key, see
/// [`Application::parse_secret`].
pub fn application_secret() -> Result<SecretBytes, ProvisionError> {
    const WHAT: &str = "a signing secret";
    let text = URL_SAFE_NO_PAD.encode(random::<APPLICATION_SECRET_BYTES>(WHAT)?);
    Application::parse_secret(&text).map_err(|_| ProvisionError::Crypto(WHAT))
}

/// Gives the account a new API key; the one before it works for another `grace`.
pub async fn rotate_api_key(
    store: &Store,
    pepper: &SecretBytes,
    account: &Account,
    grace: Duration,
    now: UnixTime,
) -> Result<ApiKey, ProvisionError> {
    let api_key = ApiKey::generate()?;
    let hash = hash_api_key(pepper.expose(), api_key.expose());
    store.rotate_api_key(account.id, hash, now + grace).await?;
    Ok(api_key)
}

/// Gives the account a new signing key; the one before it verifies until its last token has expired.
///
/// Tokens of the web service live for a day at most; the store knows of those that were made to live
/// longer (see [`make_token`]) and keeps the old key until then.
pub async fn rotate_signing_key(
    store: &Store,
    account: &Account,
    algorithm: Algorithm,
    now: UnixTime,
) -> Result<RotatedSigningKey, ProvisionError> {
    let row = generate_signing_key(algorithm)?;
    let kid = row.kid.clone();
    let longest = Duration::from_secs(u64::from(limits::TOKEN_TTL_MAX_S) + ISSUED_MEANWHILE_S);
    store
        .rotate_signing_key(account.id, row, now + longest)
        .await?;
    // The store knows of tokens that live longer; two keys rotated at once both show up here.
    let (directory, _) = store.directory(now).await?;
    let keys = directory
        .account(account.id)
        .map_or(&[][..], |account| &account.signing_keys);
    let old_verifies_until = keys.iter().filter_map(|key| key.expires).max();
    Ok(RotatedSigningKey {
        kid,
        algorithm,
        old_verifies_until,
    })
}

/// A running server hears of a new key within a second; until then it signs with the old one.
const ISSUED_MEANWHILE_S: u64 = 60;

/// Makes a token with the account's own key, past the web service: any life, no monthly limit.
///
/// Its expiry is kept with the key before the token exists, so that no rotation cuts it short.
pub async fn make_token(
    store: &Store,
    account: &Account,
    request: &TokenRequest,
    now: UnixTime,
) -> Result<String, ProvisionError> {
    if account.disabled {
        return Err(ProvisionError::Disabled(account.login()));
    }
    let unusable = || ProvisionError::NoSigningKey(account.login());
    let current = account
        .signing_keys
        .iter()
        .find(|row| row.expires.is_none());
    let row = current.ok_or_else(unusable)?;
    let key = SigningKey::parse(row.algorithm, row.pkcs8.expose()).map_err(|_| unusable())?;
    let expires = now + Duration::from_secs(u64::from(request.ttl_s));
    store.note_token(account.id, &row.kid, expires).await?;
    let jti = random("a token")?;
    Ok(switch::token::issue(&key, account, request, jti, now))
}

/// Makes a private key and its thumbprint.
pub fn generate_signing_key(algorithm: Algorithm) -> Result<SigningKeyRow, ProvisionError> {
    let failed = || ProvisionError::Crypto("a signing key");
    let pkcs8 = match algorithm {
        Algorithm::Rs256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| failed())?;
            pair.as_der().map_err(|_| failed())?.as_ref().to_vec()
        }
        Algorithm::Es256 => {
            let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pair = EcdsaKeyPair::generate(curve).map_err(|_| failed())?;
            pair.to_pkcs8v1().map_err(|_| failed())?.as_ref().to_vec()
        }
        Algorithm::EdDsa => {
            let pair = Ed25519KeyPair::generate().map_err(|_| failed())?;
            pair.to_pkcs8().map_err(|_| failed())?.as_ref().to_vec()
        }
    };
    let kid = SigningKey::parse(algorithm, &pkcs8)
        .map_err(|_| failed())?
        .kid()
        .to_owned();
    Ok(SigningKeyRow {
        kid,
        algorithm,
        pkcs8: SecretBytes::new(pkcs8),
        expires: None,
    })
}

fn generate_access_key() -> Result<WebRtcAccessKey, ProvisionError> {
    let mut letters = String::with_capacity(ACCESS_KEY_LETTERS);
    while letters.len() < ACCESS_KEY_LETTERS {
        let bytes = random::<32>("a WebRTC access key")?;
        let wanted = ACCESS_KEY_LETTERS - letters.len();
        letters.extend(bytes.into_iter().filter_map(letter).take(wanted));
    }
    WebRtcAccessKey::parse(&letters).map_err(|_| ProvisionError::Crypto("a WebRTC access key"))
}

/// One of a-z and 0-9, each as likely as the others; bytes from 252 on would favour some, and give none.
fn letter(byte: u8) -> Option<char> {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (byte < 252).then(|| char::from(LETTERS[usize::from(byte % 36)]))
}

fn random<const N: usize>(what: &'static str) -> Result<[u8; N], ProvisionError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| ProvisionError::Crypto(what))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_of_an_access_key_is_as_likely_as_the_others() {
        let mut counts = std::collections::BTreeMap::new();
        for letter in (0..=u8::MAX).filter_map(letter) {
            *counts.entry(letter).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 36);
        assert!(counts.values().all(|count| *count == 7), "{counts:?}");
        assert_eq!(
            generate_access_key().unwrap().as_str().len(),
            ACCESS_KEY_LETTERS
        );
    }

    #[test]
    fn an_api_key_is_22_letters_of_base64url_and_never_shown_by_chance() {
        let key = ApiKey::generate().unwrap();
        assert_eq!(key.expose().len(), 22);
        let is_base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        assert!(key.expose().bytes().all(is_base64url));
        assert_ne!(key, ApiKey::generate().unwrap());
        assert!(!format!("{key:?}").contains(key.expose()));
    }

    #[test]
    fn a_signing_secret_is_43_letters_of_base64url() {
        let secret = application_secret().unwrap();
        assert_eq!(secret.expose().len(), 43);
        let is_base64url = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_';
        assert!(secret.expose().iter().all(is_base64url));
        assert_ne!(secret, application_secret().unwrap());
    }

    #[test]
    fn a_key_of_each_algorithm_can_be_parsed_and_has_its_thumbprint() {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
            let row = generate_signing_key(algorithm).unwrap();
            assert_eq!(row.kid.len(), 43, "{algorithm:?}");
            let parsed = SigningKey::parse(algorithm, row.pkcs8.expose()).unwrap();
            assert_eq!(parsed.kid(), row.kid);
        }
    }
}
