//! `offhook serve`, and the commands that work beside a running server.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Folder, Server, finish};

const SERVE: &str = "serve --listen 127.0.0.1:0";
/// What every start says where the page can make demo clients.
const TWO_TABS: &str = "Open this address in two browser tabs, make a demo client in each, and call one from the other:\n";

fn words_after<'a>(text: &'a str, label: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(label)).unwrap();
    line.split_whitespace().next_back().unwrap()
}

#[test]
fn the_first_start_makes_a_demo_account_and_says_once_how_to_use_it() {
    let folder = Folder::new();
    // Without a command it serves.
    let server = folder.serve("--listen 127.0.0.1:0");
    assert_eq!(server.scheme, "http");
    assert!(server.address.ip().is_loopback());
    let (login, key) = (
        words_after(&server.greeting, "login:"),
        words_after(&server.greeting, "API access key:"),
    );
    assert_eq!(login, "1-2-0/demo@example.com");
    assert_eq!(server.token_status(login, key), 200);
    assert_eq!(server.token_status(login, "wrong"), 401);

    let line = server
        .greeting
        .lines()
        .find(|line| line.trim_start().starts_with("curl "))
        .unwrap();
    let url = format!(
        "http://{}/webrtc_generate_token?client_id=bob&call_client=*",
        server.address
    );
    assert_eq!(line.trim(), format!("curl -u '{login}:{key}' '{url}'"));
    // Exactly as printed, where there is a curl.
    if Command::new("curl").arg("--version").output().is_ok() {
        let answer = finish(Command::new("sh").args(["-c", line]));
        let answer: Value = serde_json::from_str(&answer.stdout).unwrap();
        assert!(answer["token"].is_string(), "{answer}");
    }

    let login = login.to_owned();
    let key = key.to_owned();
    assert!(server.stop().success());
    let again = folder.serve(SERVE);
    assert_eq!(again.greeting, TWO_TABS);
    assert_eq!(again.token_status(&login, &key), 200);
}

#[test]
fn without_the_demo_mode_no_account_is_made() {
    let folder = Folder::new();
    for flag in ["--demo=false", "--behind-tls-proxy"] {
        let server = folder.serve(&format!("{SERVE} {flag}"));
        assert_eq!(server.greeting, "", "{flag}");
        assert!(
            folder.json("account list").as_array().unwrap().is_empty(),
            "{flag}"
        );
    }
}

#[test]
fn a_store_with_an_account_gets_no_demo_and_is_told_why() {
    let folder = Folder::new();
    let key = folder.account("a@b.c");
    let server = folder.serve(SERVE);
    let why = "The softphone page has no demo mode: there is no account 1-2-0/demo@example.com, ";
    assert!(server.greeting.starts_with(why), "{}", server.greeting);
    assert!(
        server
            .greeting
            .contains("`offhook account create --cloud-id 1-2-0 --username demo@example.com`"),
        "{}",
        server.greeting
    );
    assert_eq!(server.token_status("1-2-0/a@b.c", &key), 200);
    assert_eq!(folder.json("account list").as_array().unwrap().len(), 1);
}

#[test]
fn two_tabs_are_spoken_of_only_where_they_find_something() {
    let folder = Folder::new();
    assert!(folder.serve(SERVE).greeting.ends_with(TWO_TABS));
    for flag in ["--softphone=false", "--demo=false", "--behind-tls-proxy"] {
        assert_eq!(
            folder.serve(&format!("{SERVE} {flag}")).greeting,
            "",
            "{flag}"
        );
    }
    folder.ok("account disable 1-2-0/demo@example.com");
    let greeting = folder.serve(SERVE).greeting.clone();
    assert!(greeting.contains("is disabled; "), "{greeting}");
}

#[test]
fn a_first_start_that_gets_no_port_says_which_flag_names_another_and_makes_no_account() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap();
    let of_media = UdpSocket::bind("127.0.0.1:0").unwrap();
    let media = of_media.local_addr().unwrap();
    for (flags, flag) in [
        (
            format!("--listen 127.0.0.1:0 --media-listen {media}"),
            "--media-listen ADDR",
        ),
        (format!("--listen {taken} --turn=false"), "--listen ADDR"),
        (
            format!("--listen 127.0.0.1:0 --turn-listen {taken}"),
            "--turn-listen ADDR",
        ),
    ] {
        let done = folder.run(&format!("serve {flags}"));
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{done:?}");
        for part in ["error: cannot listen ", "another program does", flag] {
            assert!(done.stderr.contains(part), "{done:?}");
        }
        let accounts = folder.json("account list");
        assert!(accounts.as_array().unwrap().is_empty(), "{accounts}");
    }
    let server = folder.serve(SERVE);
    let key = words_after(&server.greeting, "API access key:");
    assert_eq!(server.token_status("1-2-0/demo@example.com", key), 200);
}

#[test]
fn it_says_what_turn_hands_out_and_what_looks_wrong() {
    let folder = Folder::new();
    let server = folder.serve(&format!("{SERVE} --behind-tls-proxy"));
    let status = folder.json("status");
    let udp = status["turn"]["udp"][0].as_str().unwrap();
    // In the log alone, not twice on a terminal.
    server.logged(&format!(
        "TURN: clients are told turn:{udp}?transport=udp, turn:{udp}?transport=tcp"
    ));
    let doubt = server.logged("--turn-host NAME");
    assert!(doubt.contains("WARN"), "{doubt}");
    assert!(
        folder
            .ok("status")
            .contains(&format!("UDP and TCP {udp}; relays from 127.0.0.1"))
    );

    let taken = Folder::new();
    let done = taken.run(&format!("{SERVE} --turn-listen {udp}"));
    assert_eq!(done.code, 1, "{done:?}");
    for part in [udp, "--turn-listen ADDR", "--turn=false"] {
        assert!(done.stderr.contains(part), "{done:?}");
    }
    let off = taken.serve(&format!("{SERVE} --turn=false"));
    off.logged("TURN is off");
}

#[test]
fn a_running_server_has_seen_changes_of_accounts_and_keys_when_the_command_says_so() {
    let folder = Folder::new();
    let first = folder.account("a@b.c");
    let server = folder.serve(SERVE);
    let status = |key: &str| server.token_status("1-2-0/a@b.c", key);
    assert_eq!(status(&first), 200);

    let rotate = |line: &str| folder.json(line)["api_key"].as_str().unwrap().to_owned();
    let second = rotate("key rotate --api");
    assert_eq!(status(&second), 200);
    assert_eq!(status(&first), 200);
    let third = rotate("key rotate --api --grace 0s");
    assert_eq!(status(&third), 200);
    assert_eq!(status(&second), 401);
    // Its grace was given before, and stays.
    assert_eq!(status(&first), 200);

    folder.ok("account disable 1-2-0/a@b.c");
    assert_eq!(status(&third), 401);
    folder.ok("account enable 1-2-0/a@b.c");
    assert_eq!(status(&third), 200);

    let other = folder.account("d@e.f");
    let answer = || server.token_answer("1-2-0/d@e.f", &other);
    assert_eq!(answer().0, 200);
    folder.ok("account set 1-2-0/d@e.f --token-limit 1");
    assert_eq!(answer().0, 429);
    assert_eq!(answer().1["error"]["code"], "HTTP 429");
}

#[test]
fn tokens_of_the_web_service_are_counted_for_the_month() {
    let folder = Folder::new();
    let key = folder.account("a@b.c");
    let server = folder.serve(SERVE);
    for _ in 0..3 {
        assert_eq!(server.token_status("1-2-0/a@b.c", &key), 200);
    }
    assert!(server.stop().success());
    assert_eq!(folder.json("account show")["tokens_this_month"], 3);
    assert!(folder.ok("account list").contains("3 of 1,000"));
}

#[test]
fn two_servers_cannot_share_a_folder_and_a_killed_one_leaves_it_free() {
    let folder = Folder::new();
    let server = folder.serve(SERVE);
    let done = folder.run(SERVE);
    assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{done:?}");
    let sentence = done.stderr.lines().last().unwrap();
    assert!(
        sentence.starts_with("error: another server runs on the data folder"),
        "{done:?}"
    );
    // Killed, not asked to stop.
    drop(server);
    let next = folder.serve(SERVE);
    assert_eq!(next.greeting, TWO_TABS);
    folder.ok("clients list");
}

#[test]
fn with_a_certificate_it_serves_tls() {
    let folder = Folder::new();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.write("c.pem", &pair.cert.pem());
    folder.write("k.pem", &pair.signing_key.serialize_pem());
    let server = folder.serve(&format!("{SERVE} --tls-cert c.pem --tls-key k.pem"));
    assert_eq!(server.scheme, "https");
    let line = server
        .greeting
        .lines()
        .find(|line| line.trim_start().starts_with("curl "))
        .unwrap();
    assert!(
        line.contains("curl -k ") && line.contains(&format!("'https://{}/", server.address)),
        "{line}"
    );
    if Command::new("curl").arg("--version").output().is_ok() {
        let answer = finish(Command::new("sh").args(["-c", line]));
        assert!(answer.stdout.contains("\"token\""), "{answer:?}");
    }
}

#[test]
fn everything_that_status_shows_is_explained() {
    let folder = Folder::new();
    let _server = folder.serve("serve --listen 127.0.0.1:0");
    let status = folder.json("status");
    let mut shown: Vec<&str> = ["census", "counters"]
        .iter()
        .flat_map(|part| status[part].as_object().unwrap().keys())
        .map(String::as_str)
        .collect();
    let page = include_str!("../../../../docs/status.md");
    let mut explained: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    shown.sort_unstable();
    explained.sort_unstable();
    assert_eq!(shown, explained);
}

#[test]
fn a_variable_that_is_misspelt_is_refused() {
    let folder = Folder::new();
    for line in ["serve --listen 127.0.0.1:0", "config check"] {
        let done = finish(folder.command(line).env("OFFHOOK_LISTN", "127.0.0.1:1"));
        let said = "there is no variable OFFHOOK_LISTN; did you mean OFFHOOK_LISTEN?";
        assert!(done.code == 2 && done.stderr.contains(said), "{done:?}");
    }
}

#[test]
fn a_line_of_the_log_is_an_object_where_that_is_wished() {
    let folder = Folder::new();
    let mut command = folder.command("serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0");
    command.arg("--data").arg(folder.data());
    let server = Server::start(command.env("OFFHOOK_LOG_FORMAT", "json"));
    let line: serde_json::Value = serde_json::from_str(&server.logged("serving")).unwrap();
    assert_eq!(
        (&line["level"], &line["message"]),
        (&"INFO".into(), &"serving".into())
    );
    assert_eq!(line["address"], server.address.to_string());
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    let admin: serde_json::Value = serde_json::from_str(&server.logged("admin: ")).unwrap();
    let said = admin["message"].as_str().unwrap();
    assert!(said.contains("figures are at http://127.0.0.1:"), "{said}");
    drop(server);

    let mut command = folder.command("serve --listen 127.0.0.1:0");
    command.arg("--data").arg(folder.data());
    let server = Server::start(command.env("OFFHOOK_LOG_FORMAT", "xml"));
    let warning = server.logged("OFFHOOK_LOG_FORMAT");
    assert!(warning.contains("text or json"), "{warning}");
}

#[test]
fn an_admin_listener_that_others_reach_is_warned_of() {
    let folder = Folder::new();
    let checked = |address: &str| folder.json(&format!("config check --admin-listen {address}"));
    let findings = |told: &serde_json::Value| told["admin_findings"].as_array().unwrap().clone();
    let is_warning = |it: &serde_json::Value| it["is_warning"] == true;
    assert!(!findings(&checked("127.0.0.1:9090")).iter().any(is_warning));
    let open = findings(&checked("0.0.0.0:9090"));
    let warned = open.iter().find(|it| is_warning(it)).unwrap();
    let text = warned["text"].as_str().unwrap();
    assert!(
        text.contains("no TLS") && text.contains("firewall"),
        "{text}"
    );
}

#[test]
fn a_server_is_drained_by_a_command_that_waits_until_it_has_ended() {
    let folder = Folder::new();
    let refused = folder.fails(1, "drain");
    assert!(
        refused.contains("no server runs on the data folder"),
        "{refused}"
    );

    let server = folder.serve(SERVE);
    let refused = folder.fails(1, "drain");
    assert!(refused.contains("drain_s is 0"), "{refused}");
    assert!(server.stop().success());

    let server = folder.serve(&format!("{SERVE} --drain 60"));
    let said = folder.ok("drain");
    assert!(said.contains("in 1 m at most\nIt has ended\n"), "{said}");
    assert!(server.ended().success());

    let server = folder.serve(&format!("{SERVE} --drain 60"));
    let said = folder.json("drain");
    assert_eq!(
        said,
        serde_json::json!({ "drain_s": 60, "has_ended": true })
    );
    assert!(server.ended().success());
}
