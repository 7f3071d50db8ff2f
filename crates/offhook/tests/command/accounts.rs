//! `offhook account …`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::Folder;

fn names(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn a_created_account_shows_its_keys_once_and_is_listed_without_them() {
    let folder = Folder::new();
    let made = folder.json("account create --cloud-id 1-2-0 --username a@b.c");
    assert_eq!(
        names(&made),
        ["api_key", "cloud_id", "username", "webrtc_access_key"].into()
    );
    assert_eq!(
        (&made["cloud_id"], &made["username"]),
        (&json!("1-2-0"), &json!("a@b.c"))
    );
    let api_key = made["api_key"].as_str().unwrap();
    assert_eq!(api_key.len(), 22);
    assert_eq!(made["webrtc_access_key"].as_str().unwrap().len(), 20);

    let listed = folder.json("account list");
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let account = &listed[0];
    assert_eq!(account["webrtc_access_key"], made["webrtc_access_key"]);
    assert_eq!(account["type"], "developer");
    assert_eq!(account["algorithm"], "RS256");
    assert_eq!(account["disabled"], false);
    assert_eq!(account["token_limit"], 1000);
    assert_eq!(account["tokens_this_month"], 0);

    let shown = folder.json("account show 1-2-0/a@b.c");
    assert_eq!(shown["api_keys"], json!([{ "expires": null }]));
    assert_eq!(shown["signing_keys"][0]["algorithm"], "RS256");
    assert_eq!(shown["signing_keys"][0]["kid"].as_str().unwrap().len(), 43);
    for line in [
        "account list --json",
        "account show --json",
        "account show",
        "account list",
    ] {
        assert!(!folder.ok(line).contains(api_key), "{line}");
    }
}

#[test]
fn people_read_a_table_or_a_sentence() {
    let folder = Folder::new();
    let said = folder.ok("account create --cloud-id 1-2-0 --username a@b.c --type production");
    let label = |line: &str| line.split(':').next().unwrap().to_owned();
    let labels: Vec<_> = said.lines().take(3).map(label).collect();
    assert_eq!(labels, ["login", "API access key", "WebRTC access key"]);
    let kept = format!("It is kept in {}.", folder.data().display());
    assert!(said.lines().any(|line| line == kept), "{said}");
    folder.account("longer.name@example.com");
    let table = folder.ok("account list");
    let column = table.lines().next().unwrap().find("TYPE").unwrap();
    let types: Vec<_> = table
        .lines()
        .skip(1)
        .map(|line| &line[column..column + 10])
        .collect();
    assert_eq!(types, ["production", "developer "], "{table}");
    assert!(
        folder
            .ok("account show 1-2-0/a@b.c")
            .contains("0, no limit")
    );
}

#[test]
fn each_algorithm_can_be_asked_for() {
    let folder = Folder::new();
    for (name, algorithm) in [("r", "RS256"), ("e", "ES256"), ("d", "EdDSA")] {
        let line =
            format!("account create --cloud-id 1-2-0 --username {name} --algorithm {algorithm}");
        folder.json(&line);
        let shown = folder.json(&format!("account show 1-2-0/{name}"));
        assert_eq!(shown["algorithm"], algorithm);
    }
}

#[test]
fn an_account_can_be_changed_disabled_and_enabled() {
    let folder = Folder::new();
    folder.account("a@b.c");
    let show = || folder.json("account show");
    folder.ok("account set --token-limit 5");
    assert_eq!(show()["token_limit"], 5);
    folder.ok("account set 1-2-0/a@b.c --token-limit unlimited");
    assert_eq!(show()["token_limit"], Value::Null);
    folder.ok("account set --token-limit default --type production");
    assert_eq!(
        (&show()["token_limit"], &show()["type"]),
        (&Value::Null, &json!("production"))
    );
    folder.ok("account set --type developer");
    assert_eq!(show()["token_limit"], 1000);

    let said = folder.ok("account disable");
    assert!(said.contains("1-2-0/a@b.c is disabled"), "{said}");
    assert_eq!(show()["disabled"], true);
    assert!(folder.ok("account list").contains("disabled"));
    let refusal = folder.fails(1, "token create --client-id bob");
    assert!(
        refusal.contains("offhook account enable 1-2-0/a@b.c"),
        "{refusal}"
    );
    folder.ok("account enable 1-2-0/a@b.c");
    assert_eq!(show()["disabled"], false);

    let before = show()["signing_keys"][0]["kid"].clone();
    folder.ok("account set --algorithm EdDSA");
    let after = show();
    assert_eq!(after["algorithm"], "EdDSA");
    let keys = after["signing_keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    let old = keys.iter().find(|key| key["kid"] == before).unwrap();
    assert!(old["expires"].is_string(), "{old}");
}

#[test]
fn a_login_may_be_left_out_only_where_there_is_one_account() {
    let folder = Folder::new();
    folder.account("a@b.c");
    assert!(folder.ok("account show").contains("1-2-0/a@b.c"));
    folder.account("d@e.f");
    let sentence = folder.fails(2, "account show");
    assert!(
        sentence.contains("1-2-0/a@b.c") && sentence.contains("1-2-0/d@e.f"),
        "{sentence}"
    );
}

#[test]
fn faults_are_one_sentence_with_the_right_exit_code() {
    let folder = Folder::new();
    folder.account("a@b.c");
    let sentence = folder.fails(1, "account create --cloud-id 1-2-0 --username a@b.c");
    assert_eq!(sentence, "error: there is an account 1-2-0/a@b.c already\n");
    let sentence = folder.fails(1, "account show 1-2-0/x@y.z");
    assert!(
        sentence.contains("there is no account 1-2-0/x@y.z"),
        "{sentence}"
    );
    assert_eq!(sentence.lines().count(), 1);
    assert!(
        folder
            .fails(2, "account set")
            .contains("--type, --token-limit, --algorithm or --service-callers")
    );
    for (wrong, right) in [
        ("account create --cloud-id 1-2 --username a@b.c", "1-2-0"),
        (
            "account create --cloud-id 1-2-0 --username a/b",
            "printable characters",
        ),
        (
            "account create --cloud-id 1-2-0 --username a --type gold",
            "developer or production",
        ),
        (
            "account create --cloud-id 1-2-0 --username a --algorithm HS256",
            "RS256, ES256 or EdDSA",
        ),
        ("account create --cloud-id 1-2-0", "--username"),
        ("account show a@b.c", "cloud id, '/', user name"),
        ("account set --token-limit -1", "--token-limit"),
        ("account set --token-limit many", "'unlimited' or 'default'"),
        ("account", "requires a subcommand"),
        ("key", "requires a subcommand"),
        ("token", "requires a subcommand"),
        ("clients", "requires a subcommand"),
        ("calls", "requires a subcommand"),
        ("config", "requires a subcommand"),
        ("accounts", "account"),
    ] {
        let done = folder.run(wrong);
        assert_eq!(done.code, 2, "{wrong}: {done:?}");
        assert!(
            done.stderr.contains(right) && done.stderr.lines().count() == 1,
            "{wrong}: {done:?}"
        );
    }
}

#[test]
fn a_store_that_is_not_there_is_not_made_by_looking_for_it() {
    let folder = Folder::new();
    for line in [
        "account list",
        "account show",
        "calls list",
        "clients list",
        "token create --client-id a",
    ] {
        let sentence = folder.fails(1, line);
        assert!(sentence.contains("there is no store in"), "{sentence}");
        assert!(!folder.data().exists(), "{line}");
    }
    folder.write("data", "a file where the folder should be");
    let sentence = folder.fails(1, "account create --cloud-id 1-2-0 --username a@b.c");
    assert!(sentence.contains("is not a folder"), "{sentence}");
}
