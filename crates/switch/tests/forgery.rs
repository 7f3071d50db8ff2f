//! Forged tokens (RFC 8725 §2), each by somebody who knows all that is public, and tokens that our own key has signed but nobody
//! of ours has issued.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use model::{
    Account, AccountId, AccountKind, Algorithm, CloudId, Directory, SecretBytes, SigningKeyRow,
    TokenLimit, UnixTime, Username, WebRtcAccessKey,
};
use serde_json::{Value, json};
use switch::token::{KeyRing, RejectedToken, SigningKey, verify};

const NOW: UnixTime = UnixTime::from_secs(1_795_000_000);

struct Scene {
    account: Account,
    ring: KeyRing,
    key: RsaKeyPair,
    kid: String,
}

impl Scene {
    fn new() -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let pkcs8 = der.as_ref().to_vec();
        let kid = SigningKey::parse(Algorithm::Rs256, &pkcs8)
            .unwrap()
            .kid()
            .to_owned();
        let account = Account {
            id: AccountId(1),
            cloud_id: CloudId::parse("1-2-0").unwrap(),
            username: Username::parse("a@example.com").unwrap(),
            kind: AccountKind::Developer,
            disabled: false,
            access_key: WebRtcAccessKey::parse("key1").unwrap(),
            token_limit: TokenLimit::Unlimited,
            api_keys: Vec::new(),
            signing_keys: vec![SigningKeyRow {
                kid: kid.clone(),
                algorithm: Algorithm::Rs256,
                pkcs8: SecretBytes::new(pkcs8),
                expires: None,
            }],
            services: Default::default(),
            service_callers: Default::default(),
            revocations: Default::default(),
        };
        let (ring, _) = KeyRing::parse(&Directory::new([account.clone()]), &KeyRing::default());
        Self {
            account,
            ring,
            key,
            kid,
        }
    }

    fn verdict(&self, token: &str) -> Result<(), RejectedToken> {
        let keys = self.ring.account(self.account.id).unwrap();
        verify(token, &self.account, keys, NOW).map(drop)
    }

    fn claims(&self) -> Value {
        json!({
            "aud": "1-2-0", "iss": "key1", "sub": "bob", "scope": ["webrtcclient"], "iat": NOW.as_secs(),
            "nbf": NOW.as_secs(), "exp": NOW.as_secs() + 3_600, "enable_incoming": true, "call_client": ["*"],
        })
    }

    /// Signed by our own key, whatever it says.
    fn signed(&self, header: &Value, claims: &str) -> String {
        let text = joined(header, claims);
        let signature = rs256(&self.key, &text);
        format!("{text}.{signature}")
    }

    /// A token that is good.
    fn good(&self) -> String {
        let header = json!({"alg": "RS256", "kid": self.kid});
        self.signed(&header, &self.claims().to_string())
    }
}

fn joined(header: &Value, claims: &str) -> String {
    let [header, claims] =
        [header.to_string(), claims.to_owned()].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{claims}")
}

fn rs256(key: &RsaKeyPair, text: &str) -> String {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    )
    .unwrap();
    URL_SAFE_NO_PAD.encode(signature)
}

#[test]
fn the_forger_does_not_choose_the_algorithm() {
    let scene = Scene::new();
    let claims = scene.claims().to_string();
    let good = scene.good();
    assert_eq!(
        scene.verdict(&good),
        Ok(()),
        "what all of them are made from"
    );
    let (_, signature) = good.rsplit_once('.').unwrap();
    // Unsigned, and signed by an algorithm of the forger's choice.
    for alg in [
        "none", "None", "NONE", "nOnE", "rs256", "RS512", "PS256", "HS256", "hs256", "ES256",
        "EdDSA", "",
    ] {
        let text = joined(&json!({"alg": alg, "kid": scene.kid}), &claims);
        for end in ["", signature] {
            let verdict = scene.verdict(&format!("{text}.{end}"));
            assert!(
                matches!(verdict, Err(RejectedToken::Malformed(_))),
                "{alg}: {verdict:?}"
            );
        }
    }
}

#[test]
fn our_public_key_is_no_secret_to_sign_with() {
    let scene = Scene::new();
    let claims = scene.claims().to_string();
    // HMAC with our public key as the secret, in every form that it is published in.
    let der: PublicKeyX509Der<'_> = scene.key.public_key().as_der().unwrap();
    let encoded = STANDARD.encode(der.as_ref());
    let lines: Vec<_> = encoded
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    );
    for secret in [
        pem.as_bytes(),
        pem.trim_end().as_bytes(),
        der.as_ref(),
        scene.key.public_key().as_ref(),
    ] {
        for alg in ["HS256", "RS256"] {
            let text = joined(&json!({"alg": alg, "kid": scene.kid}), &claims);
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes());
            let forged = format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag));
            assert!(scene.verdict(&forged).is_err(), "{alg}");
        }
    }
}

#[test]
fn a_key_of_the_forgers_own_is_never_taken_from_the_header() {
    let scene = Scene::new();
    let claims = scene.claims().to_string();
    // A key of the forger's own, named in every way that a header knows.
    let own = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    for kid in [
        scene.kid.as_str(),
        "",
        "..",
        "../../../../etc/passwd",
        "/dev/null",
        "' OR '1'='1",
        "\0",
        "null",
    ] {
        for more in [
            json!({}),
            json!({"jku": "https://evil.example/jwks.json"}),
            json!({"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}),
            json!({"x5u": "https://evil.example/cert.pem"}),
            json!({"x5c": ["MIIB"]}),
        ] {
            let mut header = json!({"alg": "RS256", "kid": kid});
            header
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let text = joined(&header, &claims);
            let verdict = scene.verdict(&format!("{text}.{}", rs256(&own, &text)));
            let wanted = if kid == scene.kid {
                RejectedToken::BadSignature
            } else {
                RejectedToken::UnknownKey
            };
            assert_eq!(verdict, Err(wanted), "{header}");
        }
    }
}

#[test]
fn more_or_fewer_parts_and_other_ends_are_no_token() {
    let scene = Scene::new();
    let good = scene.good();
    // More or fewer parts, and other ends.
    for wrong in [
        format!("{good}."),
        format!("{good}.x"),
        format!("{good}.x.y"),
        format!(".{good}"),
        format!("{good}="),
        format!("{good} "),
        good.replace('.', ".."),
        good[..good.len() - 1].to_owned(),
    ] {
        assert!(scene.verdict(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_our_key_has_signed_must_still_be_a_token_of_ours() {
    let scene = Scene::new();
    let header = json!({"alg": "RS256", "kid": scene.kid});
    let with = |name: &str, value: Value| {
        let mut claims = scene.claims();
        claims[name] = value;
        claims.to_string()
    };
    let without = |name: &str| {
        let mut claims = scene.claims();
        claims.as_object_mut().unwrap().remove(name);
        claims.to_string()
    };
    let malformed =
        |verdict: Result<(), RejectedToken>| matches!(verdict, Err(RejectedToken::Malformed(_)));
    for missing in ["aud", "iss", "sub", "scope", "iat", "nbf", "exp"] {
        assert!(
            malformed(scene.verdict(&scene.signed(&header, &without(missing)))),
            "{missing}"
        );
    }
    let twice = scene
        .claims()
        .to_string()
        .replacen('{', r#"{"sub":"eve","#, 1);
    for wrong in [
        with("exp", json!("1895000000")),
        with("exp", json!(-1)),
        with("exp", json!(1.9e9)),
        with("exp", json!(null)),
        with("sub", json!("bob@evil")),
        with("sub", json!("")),
        with("sub", json!("a".repeat(129))),
        with("scope", json!("webrtcclient")),
        with("call_client", json!("*")),
        with("call_client", json!(["a*b"])),
        with("call_client", json!(["**"])),
        with("call_client", json!([7])),
        twice,
        "[]".to_owned(),
        "null".to_owned(),
    ] {
        let verdict = scene.verdict(&scene.signed(&header, &wrong));
        assert!(malformed(verdict.clone()), "{wrong}: {verdict:?}");
    }
    let hour = 3_600;
    let now = NOW.as_secs();
    let far = UnixTime::from_secs(now + 1_000 * hour);
    for (claims, why) in [
        (
            with("nbf", json!(far.as_secs())),
            RejectedToken::NotYet(far),
        ),
        (with("exp", json!(now)), RejectedToken::Expired(NOW)),
        (with("aud", json!("9-9-9")), RejectedToken::OtherAccount),
        (with("iss", json!("key2")), RejectedToken::OtherAccount),
        (with("scope", json!(["admin"])), RejectedToken::OtherScope),
    ] {
        assert_eq!(scene.verdict(&scene.signed(&header, &claims)), Err(why));
    }
    for crit in [json!(["exp"]), json!([]), json!("b64"), json!(null)] {
        let header = json!({"alg": "RS256", "kid": scene.kid, "crit": crit});
        assert!(
            malformed(scene.verdict(&scene.signed(&header, &scene.claims().to_string()))),
            "{crit}"
        );
    }
}

#[test]
fn header_and_claims_are_objects() {
    let scene = Scene::new();
    let kid = &scene.kid;
    let claims = scene.claims();
    // The same values in the order of the members (RFC 7519 §7.2: both are JSON objects).
    let names = [
        "aud",
        "exp",
        "iat",
        "iss",
        "nbf",
        "scope",
        "sub",
        "kid",
        "enable_incoming",
        "call_client",
    ];
    let listed: Vec<_> = names.iter().map(|name| claims[name].clone()).collect();
    let listed = json!(listed).to_string().replace("null", "\"\"");
    let header = json!({"alg": "RS256", "kid": kid});
    let claims = claims.to_string();
    for (header, claims) in [
        (&header, &listed),
        (&json!(["RS256", kid, null]), &claims),
        (&json!(["RS256", kid]), &claims),
    ] {
        let verdict = scene.verdict(&scene.signed(header, claims));
        let is_malformed = matches!(verdict, Err(RejectedToken::Malformed(_)));
        assert!(is_malformed, "{header} {claims}: {verdict:?}");
    }
}
