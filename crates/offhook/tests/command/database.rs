//! A PostgreSQL database as the store: commands and servers on it, its tables, its password, and copies from a folder and back.

use serde_json::{Value, json};

use crate::harness::{Done, Folder, finish};
use crate::postgres::Server as Postgres;

/// The password in addresses of the tests' server.
const PASSWORD: &str = "hush-hush";

/// A fresh server, and the address of an empty database on it.
fn postgres() -> (Postgres, String) {
    let server = Postgres::start();
    let url = server.url("postgres");
    (server, url)
}

/// Runs `offhook LINE` with its store in the database; what it prints has no password in it.
fn run(folder: &Folder, url: &str, line: &str) -> Done {
    let mut command = folder.command(line);
    let done = finish(command.env("OFFHOOK_STORE", url));
    assert!(!format!("{done:?}").contains(PASSWORD), "{done:?}");
    done
}

fn ok(folder: &Folder, url: &str, line: &str) -> String {
    let done = run(folder, url, line);
    assert_eq!(done.code, 0, "{line}: {done:?}");
    done.stdout
}

fn accounts(folder: &Folder, url: &str) -> Value {
    serde_json::from_str(&ok(folder, url, "account list --json")).unwrap()
}

#[test]
fn commands_and_servers_share_a_database() {
    let (_postgres, url) = postgres();
    let (folder, other) = (Folder::new(), Folder::new());
    let made = ok(
        &folder,
        &url,
        "account create --cloud-id 1-2-0 --username ann@example.com --json",
    );
    let made: Value = serde_json::from_str(&made).unwrap();
    let key = made["api_key"].as_str().unwrap();
    let servers = [&folder, &other].map(|folder| {
        folder.serve_with(
            "serve --listen 127.0.0.1:0 --media=false",
            &[("OFFHOOK_STORE", &url)],
        )
    });
    for server in &servers {
        assert_eq!(server.token_status("1-2-0/ann@example.com", key), 200);
    }
    ok(&other, &url, "account disable 1-2-0/ann@example.com");
    for server in &servers {
        server.wait_for_change(|| server.token_status("1-2-0/ann@example.com", key) != 200);
    }
    assert!(!folder.data().join("offhook.db").exists());
}

#[test]
fn tables_are_changed_by_a_command_where_a_start_may_not() {
    let (_postgres, url) = postgres();
    let folder = Folder::new();
    let refused = run(&folder, &url, "account list --migrate=false");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("offhook migrate"), "{refused:?}");
    let done = ok(&folder, &url, "migrate");
    assert!(done.contains("has the form of this version"), "{done}");
    assert_eq!(
        ok(&folder, &url, "account list --migrate=false --json").trim(),
        "[]"
    );
}

#[test]
fn the_address_is_told_without_its_password_and_a_wrong_one_is_not_told() {
    let folder = Folder::new();
    let url = "postgres://ann:hush-hush@db.example.com/calls";
    let told = ok(&folder, url, "config check --json");
    let told: Value = serde_json::from_str(&told).unwrap();
    let expected = json!({
        "value": "postgres://db.example.com:5432/calls",
        "source": "OFFHOOK_STORE",
    });
    assert_eq!(told["store"], expected);
    for wrong in [
        "postgres://ann:hush-hush@db:port/calls",
        "mysql://ann:hush-hush@db/calls",
        "postgres://ann:hush-hush@db",
    ] {
        let refused = run(&folder, wrong, "config check");
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("OFFHOOK_STORE"), "{refused:?}");
        let flag = finish(folder.command("account list --store").arg(wrong));
        assert_eq!(flag.code, 2, "{flag:?}");
        assert!(!format!("{flag:?}").contains(PASSWORD), "{flag:?}");
        assert!(flag.stderr.contains("--store"), "{flag:?}");
    }
}

#[test]
fn a_folder_goes_to_a_database_and_back() {
    let (_postgres, url) = postgres();
    let folder = Folder::new();
    folder.account("ann@example.com");
    folder.ok("service set support --clients bob,carol");
    let copy = |from: &str, to: &str| {
        let mut command = folder.command("store copy --json");
        let done = finish(command.args(["--from", from, "--to", to]));
        assert!(!format!("{done:?}").contains(PASSWORD), "{done:?}");
        done
    };
    let counted = |done: Done| -> Value {
        assert_eq!(done.code, 0, "{done:?}");
        serde_json::from_str(&done.stdout).unwrap()
    };
    let expected = json!({
        "accounts": 1, "keys": 2, "services": 1, "monthly_counts": 0, "records": 0,
    });
    assert_eq!(counted(copy("data", &url)), expected);
    assert_eq!(accounts(&folder, &url), folder.json("account list"));
    assert_eq!(counted(copy(&url, "back")), expected);

    let again = copy("data", &url);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.stderr.contains("has accounts already"), "{again:?}");
    let nowhere = copy("nowhere", "elsewhere");
    assert_eq!(nowhere.code, 1, "{nowhere:?}");
    assert!(
        nowhere.stderr.contains("there is no store in nowhere"),
        "{nowhere:?}"
    );
}
