//! `offhook key rotate` and `offhook token create`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::Folder;

fn part(token: &str, at: usize) -> Value {
    let part = token.trim_end().split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn a_rotated_api_key_leaves_the_old_one_a_time_of_grace() {
    let folder = Folder::new();
    let first = folder.account("a@b.c");
    let rotated = folder.json("key rotate 1-2-0/a@b.c --api");
    let second = rotated["api_key"].as_str().unwrap();
    assert_eq!(second.len(), 22);
    assert_ne!(first, second);
    assert_eq!(rotated["username"], "a@b.c");
    let keys = folder.json("account show")["api_keys"].clone();
    assert_eq!(
        keys,
        json!([{ "expires": rotated["old_expires"] }, { "expires": null }])
    );

    let said = folder.ok("key rotate --api --grace 90m");
    assert!(said.contains("works for another 1 h 30 m"), "{said}");
    assert_eq!(
        folder.json("account show")["api_keys"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert!(
        folder
            .ok("key rotate --api --grace 0s")
            .contains("works no more")
    );
    // The key of the last rotation is gone at once; those before it keep their time.
    assert_eq!(
        folder.json("account show")["api_keys"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn a_rotated_signing_key_verifies_until_the_last_token_has_expired() {
    let folder = Folder::new();
    folder.account("a@b.c");
    let token = folder.ok("token create --client-id bob --ttl 864000");
    let kid = part(&token, 0)["kid"].clone();
    let rotated = folder.json("key rotate --signing --algorithm ES256");
    assert_eq!(rotated["algorithm"], "ES256");

    let shown = folder.json("account show");
    let key = |kid: &Value| {
        let keys = shown["signing_keys"].as_array().unwrap();
        keys.iter().find(|key| key["kid"] == *kid).unwrap().clone()
    };
    assert_eq!(key(&rotated["kid"])["expires"], Value::Null);
    assert_eq!(key(&kid)["expires"], rotated["old_expires"]);
    let next = folder.ok("token create --client-id bob");
    assert_eq!(part(&next, 0)["kid"], rotated["kid"]);
    assert_eq!(part(&next, 0)["alg"], "ES256");

    // Times of this form sort like the times that they are; a day is what the web service may have given.
    let day_later = folder.json("key rotate --api --grace 24h")["old_expires"].clone();
    let nine_days_later = folder.json("key rotate --api --grace 9d")["old_expires"].clone();
    assert!(
        rotated["old_expires"].as_str() > nine_days_later.as_str(),
        "{rotated}"
    );
    let again = folder.json("key rotate --signing");
    assert_eq!(again["algorithm"], "ES256");
    let keys = folder.json("account show")["signing_keys"].clone();
    let expires = |kid: &Value| {
        let keys = keys.as_array().unwrap();
        keys.iter().find(|key| key["kid"] == *kid).unwrap()["expires"].clone()
    };
    assert!(expires(&rotated["kid"]).as_str() >= day_later.as_str());
    assert!(expires(&rotated["kid"]).as_str() < nine_days_later.as_str());
}

#[test]
fn what_is_to_be_rotated_must_be_said() {
    let folder = Folder::new();
    folder.account("a@b.c");
    for line in [
        "key rotate",
        "key rotate --api --signing",
        "key rotate --signing --grace 1h",
        "key rotate --api --algorithm ES256",
        "key rotate --api --grace soon",
    ] {
        let done = folder.run(line);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (2, ""),
            "{line}: {done:?}"
        );
    }
}

#[test]
fn a_token_says_what_it_was_asked_to_say() {
    let folder = Folder::new();
    let made = folder.json("account create --cloud-id 1-2-0 --username a@b.c");
    let line = "token create --account 1-2-0/a@b.c --client-id bob --ttl 1 --enable-incoming false \
                --call-client ann,team-* --call-client *";
    let token = folder.ok(line);
    assert_eq!(token.lines().count(), 1);
    assert_eq!(token.trim_end().split('.').count(), 3);
    let claims = part(&token, 1);
    assert_eq!(claims["sub"], "bob");
    assert_eq!(claims["aud"], "1-2-0");
    assert_eq!(claims["iss"], made["webrtc_access_key"]);
    assert_eq!(claims["enable_incoming"], false);
    assert_eq!(claims["call_client"], json!(["ann", "team-*", "*"]));
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(life, 1);

    let printed = folder.json("token create --client-id bob --call-client=");
    let claims = part(printed["token"].as_str().unwrap(), 1);
    assert_eq!(
        (&claims["enable_incoming"], &claims["call_client"]),
        (&json!(true), &json!([]))
    );
    // Tokens made here do not count towards the account's month.
    assert_eq!(folder.json("account show")["tokens_this_month"], 0);
}

#[test]
fn a_token_that_nobody_could_use_is_refused() {
    let folder = Folder::new();
    folder.account("a@b.c");
    for (line, right) in [
        ("token create", "--client-id"),
        ("token create --client-id b*b", "client id"),
        ("token create --client-id bob --ttl 0", "--ttl"),
        (
            "token create --client-id bob --enable-incoming maybe",
            "true",
        ),
        (
            "token create --client-id bob --call-client *a",
            "--call-client: client pattern \"*a\" is not valid: it must be a client id, or the beginning of one followed by '*'",
        ),
    ] {
        let done = folder.run(line);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (2, ""),
            "{line}: {done:?}"
        );
        assert!(
            done.stderr.contains(right) && done.stderr.lines().count() == 1,
            "{line}: {done:?}"
        );
    }
}
