//! Tokens that bytes make up, out of issued ones and out of nothing: for the fuzz target and for the test that replays what it
//! found. What is accepted was issued as it stands, or was signed by the account's own key and keeps every promise; the promises
//! are written down a second time here.

#![allow(clippy::unwrap_used, reason = "a step that fails is a finding")]

use std::sync::OnceLock;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{
    Account, AccountId, AccountKind, Algorithm, CloudId, Directory, SecretBytes, SigningKeyRow,
    TokenId, TokenLimit, UnixTime, Username, WebRtcAccessKey, limits,
};
use serde_json::{Value, json};
use switch::token::{
    Grant, KeyRing, RejectedToken, SigningKey, TokenMark, TokenRequest, issue, verify,
};

const NOW_S: u64 = 1_795_000_000;
/// When the retired key of the first account ends.
const RETIRED_S: u64 = NOW_S + 3_000;
/// PKCS#8 in front of the 32 bytes of an Ed25519 private key (RFC 8410 §7).
const ED25519_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// Whose keys they are: the first account's, its retired one, the second account's, a stranger's.
const OWNERS: [Option<usize>; 4] = [Some(0), Some(0), Some(1), None];

/// Makes tokens from the bytes and has them judged; the first byte says how.
pub(crate) fn walk(bytes: &[u8]) {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    let scene = SCENE.get_or_init(Scene::new);
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind % 5 {
        0 => scene.judge(&String::from_utf8_lossy(bytes)),
        1 => scene.judge(&scene.edited(bytes)),
        2 => scene.take_signed(bytes),
        3 => scene.take_claims(bytes),
        _ => scene.take_request(bytes),
    }
}

struct Issued {
    account: usize,
    text: String,
    grant: Grant,
}

struct Scene {
    accounts: [Account; 2],
    ring: KeyRing,
    keys: [Ed25519KeyPair; 4],
    kids: [String; 4],
    issued: Vec<Issued>,
}

fn pkcs8(seed: u8) -> Vec<u8> {
    [ED25519_PREFIX.as_slice(), &[seed; 32]].concat()
}

fn row(seed: u8, expires: Option<u64>) -> SigningKeyRow {
    let pkcs8 = pkcs8(seed);
    SigningKeyRow {
        kid: SigningKey::parse(Algorithm::EdDsa, &pkcs8)
            .unwrap()
            .kid()
            .to_owned(),
        algorithm: Algorithm::EdDsa,
        pkcs8: SecretBytes::new(pkcs8),
        expires: expires.map(UnixTime::from_secs),
    }
}

fn account(id: u32, signing_keys: Vec<SigningKeyRow>) -> Account {
    Account {
        id: AccountId(id),
        cloud_id: CloudId::parse("1-2-0").unwrap(),
        username: Username::parse(&format!("user{id}@example.com")).unwrap(),
        kind: AccountKind::Production,
        disabled: false,
        access_key: WebRtcAccessKey::parse(&format!("key{id}")).unwrap(),
        token_limit: TokenLimit::Unlimited,
        api_keys: Vec::new(),
        signing_keys,
        services: Default::default(),
        service_callers: Default::default(),
        revocations: Default::default(),
    }
}

impl Scene {
    fn new() -> Self {
        let accounts = [
            account(1, vec![row(0, None), row(1, Some(RETIRED_S))]),
            account(2, vec![row(2, None)]),
        ];
        let directory = Directory::new(accounts.clone());
        let (ring, unusable) = KeyRing::parse(&directory, &KeyRing::default());
        assert!(unusable.is_empty());
        let mut scene = Self {
            accounts,
            ring,
            keys: [0, 1, 2, 3]
                .map(|seed| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8(seed)).unwrap()),
            kids: [0, 1, 2, 3].map(|seed| row(seed, None).kid),
            issued: Vec::new(),
        };
        for (account, parameters) in [
            (0, [("client_id", "bob"), ("call_client", "ann,team-*")]),
            (0, [("client_id", "ann"), ("ttl", "600")]),
            (1, [("client_id", "bob"), ("call_client", "*")]),
        ] {
            let request = TokenRequest::from_parameters(parameters).unwrap();
            let text = scene.issue(account, &request);
            let grant = scene.verdict(&text, account, NOW_S).unwrap();
            scene.issued.push(Issued {
                account,
                text,
                grant,
            });
        }
        scene
    }

    fn issue(&self, account: usize, request: &TokenRequest) -> String {
        let account = &self.accounts[account];
        let key = self.ring.account(account.id).unwrap().signing().unwrap();
        issue(key, account, request, [9; 16], UnixTime::from_secs(NOW_S))
    }

    fn verdict(&self, text: &str, account: usize, now_s: u64) -> Result<Grant, RejectedToken> {
        let account = &self.accounts[account];
        let keys = self.ring.account(account.id).unwrap();
        let verdict = verify(text, account, keys, UnixTime::from_secs(now_s));
        if let Err(why) = &verdict {
            assert!(why.to_string().len() > 10, "no sentence: {why:?}");
        }
        verdict
    }

    /// Good where it was issued, and nothing else is.
    fn judge(&self, text: &str) {
        for account in 0..self.accounts.len() {
            let issued = self
                .issued
                .iter()
                .find(|issued| issued.account == account && issued.text == text);
            let verdict = self.verdict(text, account, NOW_S);
            match (issued, verdict) {
                (Some(issued), verdict) => assert_eq!(verdict.as_ref(), Ok(&issued.grant)),
                (None, Err(_)) => {}
                (None, Ok(grant)) => panic!("nobody issued {text}, and it grants {grant:?}"),
            }
        }
    }

    /// An issued token after edits of four bytes each.
    fn edited(&self, bytes: &[u8]) -> String {
        let Some((which, edits)) = bytes.split_first() else {
            return String::new();
        };
        let of = |at: u8| &self.issued[usize::from(at) % self.issued.len()].text;
        let mut text = of(*which).clone().into_bytes();
        for [what, high, low, value] in edits.as_chunks().0.iter().take(32) {
            let at = usize::from(u16::from_be_bytes([*high, *low])) % (text.len() + 1);
            match what % 7 {
                0 => text.insert(at, *value),
                1 => text
                    .splice(at..(at + 1).min(text.len()), [*value])
                    .for_each(drop),
                2 => text.splice(at..(at + 1).min(text.len()), []).for_each(drop),
                3 => text.truncate(at),
                4 => text.extend_from_slice(&[*value, b'.', b'=', b'A'][..at % 5]),
                // A part of another token in the place of its own.
                5 => {
                    let other = of(*value).as_bytes().split(|byte| *byte == b'.');
                    let mut parts: Vec<&[u8]> = text.split(|byte| *byte == b'.').collect();
                    let at = at % parts.len();
                    if let Some(part) = other.clone().nth(at) {
                        parts[at] = part;
                    }
                    text = parts.join(&b'.');
                }
                _ => {
                    if let Some(letter) = text.get_mut(at) {
                        *letter ^= 0x20;
                    }
                }
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn signed(&self, signer: usize, header: &[u8], claims: &[u8]) -> String {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let text = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.keys[signer].sign(text.as_bytes()));
        format!("{text}.{signature}")
    }

    /// Any header and any claims, signed by one of the keys: what is accepted keeps every promise.
    fn take_signed(&self, bytes: &[u8]) {
        let [signer, named, rest @ ..] = bytes else {
            return;
        };
        let (signer, kid) = (usize::from(signer % 4), &self.kids[usize::from(named % 4)]);
        // A header of the bytes' own before a line's end, or a plain one.
        let cut = rest.iter().position(|byte| *byte == b'\n');
        let (header, claims) = match cut {
            Some(at) => (
                String::from_utf8_lossy(&rest[..at]).replace("KID", kid),
                &rest[at + 1..],
            ),
            None => (json!({"alg": "EdDSA", "kid": kid}).to_string(), rest),
        };
        let text = self.signed(signer, header.as_bytes(), claims);
        for account in 0..self.accounts.len() {
            let Ok(grant) = self.verdict(&text, account, NOW_S) else {
                continue;
            };
            assert_eq!(OWNERS[signer], Some(account), "a foreign key has signed it");
            let header: Value = serde_json::from_str(&header).unwrap();
            assert!(header.is_object(), "{header}");
            assert_eq!(header["alg"], "EdDSA");
            assert_eq!(header["kid"], self.kids[signer].as_str());
            assert_eq!(
                header.get("crit"),
                None,
                "an extension that nobody understands"
            );
            self.check_promises(account, claims, &grant);
            assert!(text.len() <= limits::TOKEN_BYTES);
        }
    }

    fn check_promises(&self, account: usize, claims: &[u8], grant: &Grant) {
        let patterns: Vec<String> = grant.call_client.iter().map(ToString::to_string).collect();
        assert!(patterns.iter().all(|pattern| is_pattern(pattern)));
        assert!(is_client_id(grant.client.as_str()));
        assert!(grant.expires > UnixTime::from_secs(NOW_S));
        // Members that nobody asks for are passed over, whatever stands in their strings and numbers.
        let Ok(claims) = serde_json::from_slice::<Value>(claims) else {
            return;
        };
        assert!(claims.is_object(), "{claims}");
        let account = &self.accounts[account];
        assert_eq!(claims["iss"], account.access_key.as_str());
        assert_eq!(claims["aud"], account.cloud_id.as_str());
        let scopes = claims["scope"].as_array().unwrap();
        assert!(scopes.contains(&json!("webrtcclient")));
        let exp = claims["exp"].as_u64().unwrap();
        assert!(exp > NOW_S && grant.expires == UnixTime::from_secs(exp));
        assert!(claims["nbf"].as_u64().unwrap() <= NOW_S + limits::TOKEN_LEEWAY_S);
        assert_eq!(claims["sub"], grant.client.as_str());
        let incoming = claims.get("enable_incoming").cloned();
        assert_eq!(incoming.unwrap_or(json!(false)), grant.enable_incoming);
        let calls = claims.get("call_client").cloned();
        assert_eq!(calls.unwrap_or(json!([])), json!(patterns));
    }

    /// Claims of which each byte chooses one, good or bad, signed by the account's own key: accepted if all are good.
    fn take_claims(&self, bytes: &[u8]) {
        let choice = |at: usize| usize::from(bytes.get(at).copied().unwrap_or(0));
        let mut claims = serde_json::Map::new();
        let mut is_good = true;
        for (at, claim) in choices().into_iter().enumerate() {
            let (good, value) = claim.choose(choice(at));
            is_good &= good;
            if let Some(value) = value {
                claims.insert(claim.name.to_owned(), value.clone());
            }
        }
        let retired = choice(20) % 2;
        let late_s = [NOW_S, RETIRED_S - 1, RETIRED_S][choice(21) % 3];
        let header = json!({"alg": "EdDSA", "kid": self.kids[retired]}).to_string();
        let claims = Value::Object(claims);
        let text = self.signed(retired, header.as_bytes(), claims.to_string().as_bytes());
        let verdict = self.verdict(&text, 0, NOW_S);
        assert_eq!(verdict.is_ok(), is_good, "{claims}: {verdict:?}");
        if let Ok(grant) = verdict {
            self.check_promises(0, claims.to_string().as_bytes(), &grant);
            let is_live = UnixTime::from_secs(late_s) < grant.expires;
            let has_key = retired == 0 || late_s < RETIRED_S;
            let later = self.verdict(&text, 0, late_s);
            assert_eq!(later.is_ok(), is_live && has_key, "{claims}: {later:?}");
        }
        assert!(self.verdict(&text, 1, NOW_S).is_err());
    }

    /// A request that is granted: its token says what was asked for, here and now and nowhere else.
    fn take_request(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        let request = match TokenRequest::from_parameters(pairs) {
            Ok(request) => request,
            Err(faults) => {
                assert!(!faults.is_empty() && faults.iter().all(|fault| fault.text.len() > 10));
                return;
            }
        };
        let lives = limits::TOKEN_TTL_MIN_S..=limits::TOKEN_TTL_MAX_S;
        assert!(lives.contains(&request.ttl_s) && is_client_id(request.client.as_str()));
        assert!(request.call_client.len() <= limits::CALL_PATTERNS);
        let token = self.issue(0, &request);
        assert!(
            token.len() <= limits::TOKEN_BYTES,
            "our own would not be looked at"
        );
        let end_s = NOW_S + u64::from(request.ttl_s);
        let granted = Grant {
            client: request.client,
            enable_incoming: request.enable_incoming,
            call_client: request.call_client,
            expires: UnixTime::from_secs(end_s),
            mark: TokenMark {
                id: TokenId::read("CQkJCQkJCQkJCQkJCQkJCQ"),
                issued: UnixTime::from_secs(NOW_S),
            },
        };
        for (now_s, is_good) in [
            (NOW_S - limits::TOKEN_LEEWAY_S - 1, false),
            (NOW_S - limits::TOKEN_LEEWAY_S, true),
            (end_s - 1, true),
            (end_s, false),
        ] {
            let verdict = self.verdict(&token, 0, now_s);
            assert_eq!(verdict.ok(), is_good.then(|| granted.clone()), "at {now_s}");
        }
        assert!(self.verdict(&token, 1, NOW_S).is_err());
    }
}

/// What may stand in a claim, and what must not.
struct Choices {
    name: &'static str,
    good: Value,
    bad: Value,
    /// Whether it may be left out.
    is_optional: bool,
}

impl Choices {
    fn new(name: &'static str, good: Value, bad: Value) -> Self {
        Self {
            name,
            good,
            bad,
            is_optional: false,
        }
    }

    fn optional(self) -> Self {
        Self {
            is_optional: true,
            ..self
        }
    }

    /// Whether it is good, and the value; `None` leaves it out.
    fn choose(&self, which: usize) -> (bool, Option<&Value>) {
        let [good, bad] = [&self.good, &self.bad].map(|values| values.as_array().unwrap());
        let which = which % (good.len() + bad.len() + 1);
        match good.iter().chain(bad).nth(which) {
            Some(value) => (which < good.len(), Some(value)),
            None => (self.is_optional, None),
        }
    }
}

fn choices() -> [Choices; 10] {
    let long = "a".repeat(limits::CLIENT_ID_BYTES);
    let longer = format!("{long}a");
    let (long_pattern, longer_pattern) = (format!("{long}*"), format!("{longer}*"));
    let (now, leeway, most) = (NOW_S, limits::TOKEN_LEEWAY_S, u64::MAX);
    let wrong_names = json!(["9-9-9", "key2", "", ["key1"], null]);
    [
        Choices::new("aud", json!(["1-2-0"]), wrong_names.clone()),
        Choices::new("iss", json!(["key1"]), wrong_names),
        Choices::new(
            "exp",
            json!([now + 600, now + 1, most]),
            json!([now, 0, "1895000000", -1, 1.9e9, null]),
        ),
        Choices::new("iat", json!([now, 0, most]), json!(["0", -1, 1.5, null])),
        Choices::new(
            "nbf",
            json!([now, 0, now + leeway]),
            json!([now + leeway + 1, most, "0", -1, 1.5, null]),
        ),
        Choices::new(
            "scope",
            json!([["webrtcclient"], ["x", "webrtcclient"]]),
            json!([[], ["WebRtcClient"], "webrtcclient", [["webrtcclient"]]]),
        ),
        Choices::new(
            "sub",
            json!(["bob", long, "+-_."]),
            json!([longer, "", "bob@evil", "b\u{f6}b", "bob\n", 7]),
        ),
        Choices::new("jti", json!(["x", ""]), json!([7, null])).optional(),
        Choices::new(
            "enable_incoming",
            json!([true, false]),
            json!([1, "true", null]),
        )
        .optional(),
        Choices::new(
            "call_client",
            json!([["*"], [], ["bob", "team-*"], [long_pattern]]),
            json!([
                [longer_pattern],
                "*",
                ["**"],
                ["a*b"],
                [""],
                ["ok", 7],
                [["bob"]]
            ]),
        )
        .optional(),
    ]
}

fn is_client_id(text: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "+-_.".contains(c);
    !text.is_empty() && text.len() <= 128 && text.chars().all(is_legal)
}

fn is_pattern(text: &str) -> bool {
    text == "*" || is_client_id(text.strip_suffix('*').unwrap_or(text))
}
