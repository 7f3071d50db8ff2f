//! A PostgreSQL database as the store: commands and servers on it, its tables, its password, and copies from a folder and back.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Done, Folder, Server, finish};
use crate::postgres::Server as Postgres;

/// The password in addresses of the tests' server.
const PASSWORD: &str = "hush-hush";
/// Within which a change is to be seen by every server.
const SOON: Duration = Duration::from_secs(1);
/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fresh server, and the address of an empty database on it.
pub(crate) fn postgres() -> (Postgres, String) {
    let server = Postgres::start();
    let url = server.url("postgres");
    (server, url)
}

/// Runs `offhook LINE` with its store in the database; what it prints has no password in it.
pub(crate) fn run(folder: &Folder, url: &str, line: &str) -> Done {
    let mut command = folder.command(line);
    let done = finish(command.env("OFFHOOK_STORE", url));
    assert!(!format!("{done:?}").contains(PASSWORD), "{done:?}");
    done
}

pub(crate) fn ok(folder: &Folder, url: &str, line: &str) -> String {
    let done = run(folder, url, line);
    assert_eq!(done.code, 0, "{line}: {done:?}");
    done.stdout
}

/// Has the server ask for passwords from now on.
const DEMAND_PASSWORDS: &str = "ALTER ROLE offhook PASSWORD 'hush-hush'; \
    DO $$ BEGIN EXECUTE format('COPY (SELECT ''local all all scram-sha-256'') TO %L', current_setting('hba_file')); END $$; \
    SELECT pg_reload_conf()";
/// The account of these tests.
pub(crate) const ANN: &str = "1-2-0/ann@example.com";

/// Makes it; its API key.
pub(crate) fn account(folder: &Folder, url: &str) -> String {
    let line = "account create --cloud-id 1-2-0 --username ann@example.com --json";
    let made: Value = serde_json::from_str(&ok(folder, url, line)).unwrap();
    made["api_key"].as_str().unwrap().to_owned()
}

pub(crate) fn serve(folder: &Folder, url: &str) -> Server {
    let line = "serve --listen 127.0.0.1:0 --media=false";
    folder.serve_with(line, &[("OFFHOOK_STORE", url)])
}

/// Waits for a condition, not for ever.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "it never comes");
        std::thread::yield_now();
    }
}

/// Does something in a database that offhook does not do.
fn sql(url: &str, statements: &str) {
    let done = finish(Command::new("psql").args([
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        url,
        "-c",
        statements,
    ]));
    assert_eq!(done.code, 0, "{done:?}");
}

fn accounts(folder: &Folder, url: &str) -> Value {
    serde_json::from_str(&ok(folder, url, "account list --json")).unwrap()
}

#[test]
fn commands_and_servers_share_a_database() {
    let (_postgres, url) = postgres();
    let (folder, other) = (Folder::new(), Folder::new());
    let key = &account(&folder, &url);
    let servers = [&folder, &other].map(|folder| serve(folder, &url));
    for server in &servers {
        assert_eq!(server.token_status(ANN, key), 200);
    }
    ok(&other, &url, &format!("account disable {ANN}"));
    let changed = Instant::now();
    for server in &servers {
        until(|| server.token_status(ANN, key) != 200);
    }
    assert!(changed.elapsed() < SOON, "{:?}", changed.elapsed());
    assert!(!folder.data().join("offhook.db").exists());
    assert!(folder.data().join("server.lock").exists());
    let again = run(&folder, &url, "serve --listen 127.0.0.1:0 --data data");
    assert_eq!(again.code, 1, "{again:?}");
    assert!(
        again.stderr.contains("runs on the data folder data"),
        "{again:?}"
    );
}

#[test]
fn servers_that_start_at_once_on_an_empty_database_all_serve() {
    let (_postgres, url) = postgres();
    let folders = [Folder::new(), Folder::new(), Folder::new()];
    let greetings = std::thread::scope(|scope| {
        let starting = folders.each_ref().map(|folder| {
            let url = &url;
            scope.spawn(move || serve(folder, url).greeting.clone())
        });
        starting.map(|started| started.join().unwrap())
    });
    let made = greetings
        .iter()
        .filter(|greeting| greeting.contains("A demo account was made"));
    assert_eq!(made.count(), 1, "{greetings:?}");
}

#[test]
fn a_change_by_one_server_is_seen_by_the_other_within_a_second() {
    let (_postgres, url) = postgres();
    let folders = [Folder::new(), Folder::new()];
    let key = account(&folders[0], &url);
    let [one, other] = folders.each_ref().map(|folder| serve(folder, &url));
    let path = "/service/v1/inbound/support";
    let status = |server: &Server, method, body| server.ask(method, path, body, ANN, &key).0;
    let service = r#"{"clients":{"list":["bob"]}}"#;
    for (there, here) in [(&one, &other), (&other, &one)] {
        assert_eq!(status(there, "PUT", service), 201);
        assert_eq!(
            status(there, "GET", ""),
            200,
            "it is there when it is answered"
        );
        let changed = Instant::now();
        until(|| status(here, "GET", "") == 200);
        assert!(changed.elapsed() < SOON, "{:?}", changed.elapsed());
        assert_eq!(status(here, "DELETE", ""), 204);
        let changed = Instant::now();
        until(|| status(there, "GET", "") == 404);
        assert!(changed.elapsed() < SOON, "{:?}", changed.elapsed());
    }
}

#[test]
fn a_database_that_cannot_be_used_is_told_in_a_sentence_and_nothing_is_served() {
    let (mut postgres, url) = postgres();
    let folder = Folder::new();
    let refused = |url: &str, words: &str| {
        for line in ["serve --listen 127.0.0.1:0", "account list", "migrate"] {
            let refused = run(&folder, url, line);
            let (code, stdout) = (refused.code, refused.stdout.as_str());
            assert_eq!((code, stdout), (1, ""), "{line}: {refused:?}");
            assert!(refused.stderr.contains(words), "{line}: {refused:?}");
            assert_eq!(refused.stderr.lines().count(), 1, "{line}: {refused:?}");
        }
    };
    refused(
        &postgres.url("absent"),
        "see that user, password and database of the store's address are right",
    );
    sql(&url, "CREATE DATABASE other");
    sql(&url, "CREATE DATABASE later");
    let [other, later] = ["other", "later"].map(|name| postgres.url(name));
    sql(&other, "CREATE TABLE recipes (name TEXT)");
    refused(&other, "is the database of another program");
    ok(&folder, &later, "migrate");
    sql(
        &later,
        "INSERT INTO offhook_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', true, '\\x00', 1)",
    );
    refused(&later, "was written by another version of offhook");
    sql(&url, DEMAND_PASSWORDS);
    until(|| run(&folder, &url.replace(PASSWORD, "wrong"), "account list").code == 1);
    refused(
        &url.replace(PASSWORD, "wrong"),
        "password authentication failed",
    );
    ok(&folder, &url, "account list");
    postgres.freeze();
    let hung = run(&folder, &url, "serve --listen 127.0.0.1:0");
    assert_eq!(hung.code, 1, "{hung:?}");
    assert!(hung.stderr.contains("did not answer in time"), "{hung:?}");
    postgres.thaw();
    postgres.stop();
    refused(&url, "see that PostgreSQL runs there");
}

#[test]
fn a_backup_of_a_database_is_left_to_its_tools() {
    let (_postgres, url) = postgres();
    let folder = Folder::new();
    account(&folder, &url);
    for to in ["copy.db", "copy/"] {
        let refused = run(&folder, &url, &format!("backup --to {to}"));
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains("pg_dump"), "{refused:?}");
        assert!(!folder.path().join(to).exists(), "nothing was begun");
    }
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
        let migrate = run(&folder, wrong, "migrate");
        assert_eq!(migrate.code, 2, "{migrate:?}");
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
    folder.ok("token revoke --client bob --end");
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
        "accounts": 1, "keys": 2, "services": 1, "revocations": 1, "monthly_counts": 0, "records": 0,
    });
    assert_eq!(counted(copy("data", &url)), expected);
    assert_eq!(accounts(&folder, &url), folder.json("account list"));
    let list = ok(&folder, &url, "token revocations --json");
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list, folder.json("token revocations"));
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
