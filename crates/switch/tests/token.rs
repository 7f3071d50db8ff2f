//! Tokens from outside: an independent library reads ours, and everything that is not ours is refused.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use model::{
    Account, AccountId, AccountKind, Algorithm, ApiKeyHash, ClientId, CloudId, Directory,
    Revocation, Revoked, SecretBytes, SigningKeyRow, TokenId, TokenLimit, UnixTime, Username,
    WebRtcAccessKey,
};
use serde_json::{Value, json};
use switch::token::{
    Grant, KeyRing, MonthlyQuota, RejectedToken, SigningKey, TokenRequest, authenticate,
    hash_api_key, issue, verify,
};

const NOW: UnixTime = UnixTime::from_secs(1_795_000_000);
const LATER: UnixTime = UnixTime::from_secs(1_795_000_700);

fn pkcs8(algorithm: Algorithm) -> Vec<u8> {
    let rng = SystemRandom::new();
    match algorithm {
        Algorithm::Rs256 => {
            use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
            let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
            der.as_ref().to_vec()
        }
        Algorithm::Es256 => {
            let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng);
            key.unwrap().as_ref().to_vec()
        }
        Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&rng)
            .unwrap()
            .as_ref()
            .to_vec(),
    }
}

fn key_row(algorithm: Algorithm, expires: Option<UnixTime>) -> SigningKeyRow {
    let pkcs8 = pkcs8(algorithm);
    let kid = SigningKey::parse(algorithm, &pkcs8)
        .unwrap()
        .kid()
        .to_owned();
    SigningKeyRow {
        kid,
        algorithm,
        pkcs8: SecretBytes::new(pkcs8),
        expires,
    }
}

fn account(id: u32, signing_keys: Vec<SigningKeyRow>) -> Account {
    Account {
        id: AccountId(id),
        cloud_id: CloudId::parse("1-2-0").unwrap(),
        username: Username::parse(&format!("user{id}@example.com")).unwrap(),
        kind: AccountKind::Developer,
        disabled: false,
        access_key: WebRtcAccessKey::parse(&format!("key{id}")).unwrap(),
        token_limit: TokenLimit::Monthly(3),
        api_keys: Vec::new(),
        signing_keys,
        services: Default::default(),
        service_callers: Default::default(),
        revocations: Default::default(),
    }
}

struct Issuer {
    account: Account,
    ring: KeyRing,
}

impl Issuer {
    fn new(account: Account) -> Self {
        let directory = Directory::new([account.clone()]);
        let (ring, unusable) = KeyRing::parse(&directory, &KeyRing::default());
        assert!(unusable.is_empty());
        Self { account, ring }
    }

    fn with(algorithm: Algorithm) -> Self {
        Self::new(account(1, vec![key_row(algorithm, None)]))
    }

    fn issue(&self, parameters: &[(&str, &str)]) -> String {
        let request = TokenRequest::from_parameters(parameters.iter().copied()).unwrap();
        let key = self
            .ring
            .account(self.account.id)
            .unwrap()
            .signing()
            .unwrap();
        issue(key, &self.account, &request, [9; 16], NOW)
    }

    fn verify(&self, token: &str, now: UnixTime) -> Result<Grant, RejectedToken> {
        verify(
            token,
            &self.account,
            self.ring.account(self.account.id).unwrap(),
            now,
        )
    }
}

fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn an_independent_library_verifies_each_algorithm_by_our_jwks() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let issuer = Issuer::with(algorithm);
        let token = issuer.issue(&[("client_id", "bob")]);
        let jwks: JwkSet = serde_json::from_value(issuer.ring.jwks()).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        let jwk = jwks
            .find(&header.kid.unwrap())
            .expect("the kid is in the JWKS");
        let mut validation = Validation::new(header.alg);
        validation.validate_exp = false;
        validation.set_audience(&["1-2-0"]);
        let key = DecodingKey::from_jwk(jwk).unwrap();
        let decoded = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
        assert_eq!(decoded.claims["sub"], "bob", "{algorithm:?}");
    }
}

#[test]
fn the_token_has_the_header_and_claims_of_the_documented_sample() {
    let issuer = Issuer::with(Algorithm::Rs256);
    let token = issuer.issue(&[
        ("client_id", "bob"),
        ("ttl", "600"),
        ("call_client", "ann,t-*"),
    ]);
    let header = part(&token, 0);
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&json!("RS256"), &json!("JWT"))
    );
    assert_eq!(header["kid"].as_str().unwrap().len(), 43);
    let claims = part(&token, 1);
    let now_s = NOW.as_secs();
    let jti = claims["jti"].as_str().unwrap();
    assert_eq!(jti.len(), 22);
    assert_eq!(
        claims,
        json!({
            "aud": "1-2-0", "exp": now_s + 600, "iat": now_s, "iss": "key1", "nbf": now_s,
            "scope": ["webrtcclient"], "sub": "bob", "jti": jti,
            "enable_incoming": true, "call_client": ["ann", "t-*"],
        })
    );
}

#[test]
fn a_good_token_grants_what_was_asked_until_it_expires() {
    let issuer = Issuer::with(Algorithm::EdDsa);
    let token = issuer.issue(&[
        ("client_id", "bob"),
        ("ttl", "600"),
        ("enable_incoming", "false"),
        ("call_client", "*"),
    ]);
    let grant = issuer.verify(&token, NOW).unwrap();
    assert_eq!(
        (grant.client.as_str(), grant.enable_incoming),
        ("bob", false)
    );
    assert_eq!(grant.expires, UnixTime::from_secs(NOW.as_secs() + 600));
    let expired = RejectedToken::Expired(grant.expires);
    assert_eq!(issuer.verify(&token, grant.expires), Err(expired.clone()));
    assert_eq!(issuer.verify(&token, LATER), Err(expired));
    let early = UnixTime::from_secs(NOW.as_secs() - 60);
    assert_eq!(
        issuer.verify(&token, early),
        Err(RejectedToken::NotYet(NOW))
    );
}

#[test]
fn what_is_not_ours_is_refused_with_its_reason() {
    let issuer = Issuer::with(Algorithm::Rs256);
    let stranger = Issuer::new(account(2, vec![key_row(Algorithm::Rs256, None)]));
    let token = issuer.issue(&[("client_id", "bob")]);
    assert_eq!(
        stranger.verify(&token, NOW),
        Err(RejectedToken::OtherAccount)
    );

    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let mut other = part(&token, 1);
    other["sub"] = json!("eve");
    let other = URL_SAFE_NO_PAD.encode(other.to_string());
    let swapped = format!("{header}.{other}.{signature}");
    assert_eq!(
        issuer.verify(&swapped, NOW),
        Err(RejectedToken::BadSignature)
    );

    // RFC 8725 §2.1 and §3.1: the header does not choose how it is checked.
    let kid = part(&token, 0)["kid"].clone();
    for alg in ["none", "HS256", "ES256"] {
        let forged = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": kid}).to_string());
        for end in ["", signature] {
            let forged = format!("{forged}.{claims}.{end}");
            let result = issuer.verify(&forged, NOW);
            assert!(
                matches!(result, Err(RejectedToken::Malformed(_))),
                "{alg}: {result:?}"
            );
        }
    }
    for nonsense in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        "\u{e9}.\u{e9}.\u{e9}",
    ] {
        let result = issuer.verify(nonsense, NOW);
        assert!(
            matches!(result, Err(RejectedToken::Malformed(_))),
            "{nonsense}: {result:?}"
        );
    }
    let huge = "a".repeat(model::limits::TOKEN_BYTES + 1);
    assert!(matches!(
        issuer.verify(&huge, NOW),
        Err(RejectedToken::Malformed(_))
    ));
}

#[test]
fn a_revoked_token_is_refused_by_its_name_its_client_and_its_account() {
    let issuer = Issuer::with(Algorithm::EdDsa);
    let token = issuer.issue(&[("client_id", "bob"), ("ttl", "1000")]);
    let jti = part(&token, 1)["jti"].as_str().unwrap().to_owned();
    let client = |id: &str| Revoked::Client(ClientId::parse(id).unwrap());
    let later = UnixTime::from_millis(NOW.as_millis() + 1);
    let other = TokenId::parse("AAAAAAAAAAAAAAAAAAAAAA").unwrap();
    for (what, before, is_refused) in [
        (Revoked::Token(TokenId::parse(&jti).unwrap()), NOW, true),
        (Revoked::Token(other), later, false),
        (client("bob"), later, true),
        (client("bob"), NOW, false),
        (client("bobby"), later, false),
        (Revoked::Account, later, true),
        (Revoked::Account, NOW, false),
    ] {
        let mut account = issuer.account.clone();
        let revocation = Revocation::new(what.clone(), before, false);
        account.revocations.insert(revocation);
        let keys = issuer.ring.account(account.id).unwrap();
        let verdict = verify(&token, &account, keys, LATER);
        if is_refused {
            assert_eq!(verdict, Err(RejectedToken::Revoked), "{what:?}");
        } else {
            assert!(verdict.is_ok(), "{what:?}");
        }
    }
}

#[test]
fn a_retired_key_verifies_until_its_time_and_the_new_one_signs() {
    let (old, new) = (
        key_row(Algorithm::Rs256, None),
        key_row(Algorithm::Es256, None),
    );
    let before = Issuer::new(account(1, vec![old.clone()]));
    let token = before.issue(&[("client_id", "bob")]);
    let retired = SigningKeyRow {
        expires: Some(LATER),
        ..old
    };
    let after = Issuer::new(account(1, vec![retired, new.clone()]));
    assert!(after.verify(&token, NOW).is_ok());
    assert_eq!(after.verify(&token, LATER), Err(RejectedToken::UnknownKey));
    assert_eq!(
        part(&after.issue(&[("client_id", "bob")]), 0)["kid"],
        json!(new.kid)
    );
}

#[test]
fn a_key_that_cannot_be_read_does_not_take_the_others_with_it() {
    let broken = SigningKeyRow {
        kid: "broken".to_owned(),
        algorithm: Algorithm::Rs256,
        pkcs8: SecretBytes::new(b"nonsense".to_vec()),
        expires: None,
    };
    let directory = Directory::new([
        account(1, vec![broken]),
        account(2, vec![key_row(Algorithm::EdDsa, None)]),
    ]);
    let (ring, unusable) = KeyRing::parse(&directory, &KeyRing::default());
    assert_eq!(unusable.len(), 1);
    assert!(
        unusable[0].to_string().contains("broken"),
        "{}",
        unusable[0]
    );
    assert!(ring.account(AccountId(1)).unwrap().signing().is_none());
    assert!(ring.account(AccountId(2)).unwrap().signing().is_some());
}

#[test]
fn the_month_lets_its_limit_through_and_begins_anew() {
    let account = account(1, Vec::new());
    let mut quota = MonthlyQuota::resume(NOW, [(account.id, 1)]);
    assert!(quota.take(&account, NOW).is_ok());
    assert!(quota.take(&account, NOW).is_ok());
    let exceeded = quota.take(&account, NOW).unwrap_err();
    assert_eq!(
        exceeded.to_string(),
        "The account's limit of 3 tokens a month is used up; it resets on 2026-12-01 at 00:00 UTC"
    );
    assert_eq!(quota.take_changed(), ((2026, 11), vec![(account.id, 3)]));
    assert_eq!(quota.take_changed().1, []);
    assert!(quota.take(&account, exceeded.resets).is_ok());
}

#[test]
fn what_other_servers_counted_is_counted_along_and_not_written_as_ones_own() {
    let account = account(1, Vec::new());
    let mut quota = MonthlyQuota::resume(NOW, [(account.id, 1)]);
    quota.hear((2026, 10), [(account.id, 9)]);
    assert!(quota.take(&account, NOW).is_ok(), "of another month");
    quota.hear((2026, 11), [(account.id, 1)]);
    let exceeded = quota.take(&account, NOW).unwrap_err();
    assert_eq!(quota.take_changed(), ((2026, 11), vec![(account.id, 2)]));
    assert!(quota.take(&account, exceeded.resets).is_ok());
}

#[test]
fn an_api_key_logs_in_while_it_lives_and_nothing_else_does() {
    let pepper = b"pepper";
    let mut account = account(1, Vec::new());
    let hash = |key| hash_api_key(pepper, key);
    account.api_keys = vec![
        ApiKeyHash {
            hash: hash("new"),
            expires: None,
        },
        ApiKeyHash {
            hash: hash("old"),
            expires: Some(LATER),
        },
    ];
    let login = account.login().to_string();
    let disabled = Account {
        disabled: true,
        ..account.clone()
    };
    let directory = Directory::new([account]);
    let logs_in =
        |login: &str, key: &str, now| authenticate(&directory, pepper, login, key, now).is_some();
    assert!(logs_in(&login, "new", NOW) && logs_in(&login, "old", NOW));
    assert!(logs_in(&login, "new", LATER) && !logs_in(&login, "old", LATER));
    for (login, key) in [
        (&*login, "wrong"),
        (&*login, ""),
        ("1-2-0/nobody", "new"),
        ("", ""),
    ] {
        assert!(!logs_in(login, key, NOW), "{login} {key}");
    }
    let directory = Directory::new([disabled]);
    assert!(authenticate(&directory, pepper, &login, "new", NOW).is_none());
}
