//! `offhook token revoke`, `revocations` and `unrevoke`, with and without a server that runs.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::Folder;

const LOGIN: &str = "1-2-0/a@b.c";

/// The `jti` of a fresh token of bob's.
fn jti(folder: &Folder) -> String {
    let token = folder.ok("token create --client-id bob");
    let claims = token.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["jti"].as_str().unwrap().to_owned()
}

#[test]
fn tokens_are_revoked_listed_and_given_back() {
    let folder = Folder::new();
    let key = folder.account("a@b.c");
    let server = folder.serve("serve --listen 127.0.0.1:0 --media=false");
    assert_eq!(folder.ok("token revocations"), "Nothing is revoked.\n");

    let id = jti(&folder);
    let said = folder.ok(&format!("token revoke --account {LOGIN} --jti {id}"));
    assert_eq!(said, format!("The token {id} of {LOGIN} is revoked.\n"));
    let bob = folder.json("token revoke --client bob --issued-before 2026-01-31T09:56:24+01:00");
    assert_eq!(bob["issued_before"], "2026-01-31T08:56:24Z");
    assert_eq!(
        (&bob["client_id"], &bob["end"]),
        (&json!("bob"), &json!(false))
    );
    let all = folder.ok("token revoke --all --end");
    assert!(all.starts_with(&format!("All tokens of {LOGIN} that were issued before 20")));
    assert!(
        all.ends_with(" are revoked, and what was made with them ends.\n"),
        "{all}"
    );
    let list = folder.json("token revocations");
    // Bob's is kept as long as the token that was made by hand.
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 3, "{list:?}");
    assert_eq!(
        (&list[0]["jti"], &list[2]["all"]),
        (&json!(id), &json!(true))
    );
    let table = folder.ok("token revocations");
    assert!(table.contains(&format!("the token {id}")), "{table}");
    assert!(table.contains("all tokens"), "{table}");

    let said = folder.ok(&format!("token unrevoke --jti {id}"));
    assert_eq!(
        said,
        format!("The revocation of the token {id} of {LOGIN} is taken back.\n")
    );
    assert_eq!(
        folder.json("token revocations").as_array().unwrap().len(),
        2
    );
    // The web service gives tokens as before.
    assert_eq!(server.token_status(LOGIN, &key), 200);
    assert!(server.stop().success());
}

#[test]
fn what_cannot_be_revoked_is_told() {
    let folder = Folder::new();
    folder.account("a@b.c");
    for (line, word) in [
        ("token revoke", "required"),
        ("token revoke --all --client bob", "cannot be used with"),
        ("token revoke --jti short", "22 characters"),
        ("token revoke --all --issued-before now", "RFC 3339"),
        (
            "token revoke --all --issued-before 2999-01-01T00:00:00Z",
            "lies ahead",
        ),
        (
            "token revoke --jti CQkJCQkJCQkJCQkJCQkJCQ --issued-before 2026-01-01T00:00:00Z",
            "whenever it was issued",
        ),
    ] {
        let fault = folder.fails(2, line);
        assert!(fault.contains(word), "{line}: {fault}");
    }
    let fault = folder.fails(1, "token unrevoke --client bob");
    assert!(
        fault.contains("has not revoked the tokens of client bob"),
        "{fault}"
    );
    let fault = folder.fails(1, "token revoke --all --account 1-2-0/nobody");
    assert!(fault.contains("there is no account"), "{fault}");
}
