//! Signing keys, parsed once when the directory is read, and their public halves.
//!
//! Never makes keys (that takes randomness, and is the shell's) and never prints a private one.
//! Thumbprints by RFC 7638, JWK members by RFC 7518 §6 and RFC 8037 §2.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaKeyPair, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{AccountId, Algorithm, Directory, SigningKeyRow, UnixTime};

/// A private key that could not be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "signing key {kid} ({algorithm}) cannot be used: {why}; rotate it with `offhook key rotate --signing`"
)]
pub struct UnusableKey {
    /// The key's name.
    pub kid: String,
    /// What it was to sign with.
    pub algorithm: &'static str,
    /// What the crypto library said of it.
    pub why: String,
}

enum PrivateKey {
    Rs256(Box<RsaKeyPair>),
    Es256(Box<EcdsaKeyPair>),
    EdDsa(Box<Ed25519KeyPair>),
}

/// A private key, parsed.
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    private: PrivateKey,
    /// `base64url({"alg":…,"kid":…,"typ":"JWT"})`, the same for every token.
    encoded_header: String,
}

impl SigningKey {
    /// Parses a PKCS#8 private key and derives its thumbprint.
    pub fn parse(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, UnusableKey> {
        let unusable = |why: String| UnusableKey {
            kid: "(not read)".to_owned(),
            algorithm: algorithm.as_str(),
            why,
        };
        let private = match algorithm {
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(pkcs8)
                .map(|key| PrivateKey::Rs256(Box::new(key)))
                .map_err(|error| unusable(error.to_string()))?,
            Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                .map(|key| PrivateKey::Es256(Box::new(key)))
                .map_err(|error| unusable(error.to_string()))?,
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
                .map(|key| PrivateKey::EdDsa(Box::new(key)))
                .map_err(|error| unusable(error.to_string()))?,
        };
        let kid = thumbprint(&public_members(&private));
        let header = format!(
            r#"{{"alg":"{}","kid":"{kid}","typ":"JWT"}}"#,
            algorithm.as_str()
        );
        let encoded_header = URL_SAFE_NO_PAD.encode(header);
        Ok(Self {
            kid,
            algorithm,
            private,
            encoded_header,
        })
    }

    /// RFC 7638 thumbprint of the public key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn encoded_header(&self) -> &str {
        &self.encoded_header
    }

    /// Signs; the only failure is a broken crypto library.
    ///
    /// ES256 draws its own randomness; tokens are issued on the shell's threads, never in a shard.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match &self.private {
            PrivateKey::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature)
                    .expect("a parsed RSA key signs into a buffer of its modulus' length");
                signature
            }
            PrivateKey::Es256(key) => key
                .sign(&rng, message)
                .expect("a parsed P-256 key signs")
                .as_ref()
                .to_vec(),
            PrivateKey::EdDsa(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// The public half.
    pub fn verifying(&self, expires: Option<UnixTime>) -> VerifyingKey {
        let (algorithm, bytes): (&'static dyn VerificationAlgorithm, &[u8]) = match &self.private {
            PrivateKey::Rs256(key) => (&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref()),
            PrivateKey::Es256(key) => (&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref()),
            PrivateKey::EdDsa(key) => (&ED25519, key.public_key().as_ref()),
        };
        VerifyingKey {
            kid: self.kid.clone(),
            algorithm: self.algorithm,
            public: ParsedPublicKey::new(algorithm, bytes)
                .expect("the public half of a parsed key parses"),
            members: public_members(&self.private),
            expires,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.algorithm.as_str(), self.kid)
    }
}

/// A public key that checks tokens.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    kid: String,
    algorithm: Algorithm,
    public: ParsedPublicKey,
    members: Vec<(&'static str, String)>,
    expires: Option<UnixTime>,
}

impl VerifyingKey {
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn is_valid(&self, message: &[u8], signature: &[u8]) -> bool {
        self.public.verify_sig(message, signature).is_ok()
    }

    fn jwk(&self) -> serde_json::Value {
        let mut jwk = serde_json::Map::new();
        for (name, value) in &self.members {
            jwk.insert((*name).to_owned(), value.as_str().into());
        }
        jwk.insert("alg".to_owned(), self.algorithm.as_str().into());
        jwk.insert("kid".to_owned(), self.kid.as_str().into());
        jwk.insert("use".to_owned(), "sig".into());
        jwk.into()
    }
}

/// The keys of one account.
#[derive(Clone, Debug, Default)]
pub struct AccountKeys {
    signing: Option<Arc<SigningKey>>,
    verifying: Vec<VerifyingKey>,
}

impl AccountKeys {
    /// The key that signs new tokens; `None` if the account's key could not be read.
    pub fn signing(&self) -> Option<&Arc<SigningKey>> {
        self.signing.as_ref()
    }

    pub(super) fn verifying(&self, kid: &str, now: UnixTime) -> Option<&VerifyingKey> {
        self.verifying
            .iter()
            .find(|key| key.kid == kid && key.expires.is_none_or(|expires| now < expires))
    }
}

/// The parsed keys of every account in a directory.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    accounts: BTreeMap<AccountId, AccountKeys>,
    parsed: BTreeMap<String, Arc<SigningKey>>,
}

impl KeyRing {
    /// Parses the keys of a directory; those that `previous` has parsed already are taken from it.
    pub fn parse(directory: &Directory, previous: &Self) -> (Self, Vec<UnusableKey>) {
        let mut ring = Self::default();
        let mut unusable = Vec::new();
        for account in directory.accounts() {
            let mut keys = AccountKeys::default();
            for row in &account.signing_keys {
                let signing = match previous.reuse(row) {
                    Ok(signing) => signing,
                    Err(fault) => {
                        unusable.push(fault);
                        continue;
                    }
                };
                keys.verifying.push(signing.verifying(row.expires));
                if row.expires.is_none() {
                    keys.signing = Some(Arc::clone(&signing));
                }
                ring.parsed.insert(row.kid.clone(), signing);
            }
            ring.accounts.insert(account.id, keys);
        }
        (ring, unusable)
    }

    /// The keys of one account.
    pub fn account(&self, id: AccountId) -> Option<&AccountKeys> {
        self.accounts.get(&id)
    }

    /// Every public key as a JWK Set (RFC 7517 §5).
    pub fn jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self
            .accounts
            .values()
            .flat_map(|keys| &keys.verifying)
            .map(VerifyingKey::jwk)
            .collect();
        serde_json::json!({ "keys": keys })
    }

    fn reuse(&self, row: &SigningKeyRow) -> Result<Arc<SigningKey>, UnusableKey> {
        if let Some(parsed) = self.parsed.get(&row.kid) {
            return Ok(Arc::clone(parsed));
        }
        SigningKey::parse(row.algorithm, row.pkcs8.expose())
            .map(Arc::new)
            .map_err(|fault| UnusableKey {
                kid: row.kid.clone(),
                ..fault
            })
    }
}

/// The members of the public JWK that its thumbprint covers, in the order of their names.
fn public_members(private: &PrivateKey) -> Vec<(&'static str, String)> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match private {
        PrivateKey::Rs256(key) => {
            let public = key.public_key();
            vec![
                (
                    "e",
                    encode(public.exponent().big_endian_without_leading_zero()),
                ),
                ("kty", "RSA".to_owned()),
                (
                    "n",
                    encode(public.modulus().big_endian_without_leading_zero()),
                ),
            ]
        }
        PrivateKey::Es256(key) => {
            // SEC 1 §2.3.3 uncompressed point: 0x04, x, y.
            let (x, y) = key.public_key().as_ref()[1..].split_at(32);
            vec![
                ("crv", "P-256".to_owned()),
                ("kty", "EC".to_owned()),
                ("x", encode(x)),
                ("y", encode(y)),
            ]
        }
        PrivateKey::EdDsa(key) => vec![
            ("crv", "Ed25519".to_owned()),
            ("kty", "OKP".to_owned()),
            ("x", encode(key.public_key().as_ref())),
        ],
    }
}

/// RFC 7638 §3: SHA-256 over the required members, sorted, without white space.
fn thumbprint(members: &[(&'static str, String)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(name, value)| format!(r#""{name}":"{value}""#))
        .collect();
    let canonical = format!("{{{}}}", members.join(","));
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_the_example_in_rfc_7638() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let members = [
            ("e", "AQAB".to_owned()),
            ("kty", "RSA".to_owned()),
            ("n", n.to_owned()),
        ];
        assert_eq!(
            thumbprint(&members),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn a_key_that_cannot_be_read_is_named_and_the_others_still_work() {
        let fault = SigningKey::parse(Algorithm::Rs256, b"not a key").unwrap_err();
        assert!(fault.to_string().contains("RS256"), "{fault}");
    }
}
