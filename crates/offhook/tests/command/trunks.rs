//! `[[trunk]]` in the configuration file: what is told of it, and what a server makes of it.

use crate::harness::Folder;

const TRUNK: &str = "[[trunk]]\naccount = \"1-2-0/demo@example.com\"\nname = \"provider\"\npeers = [\"127.0.0.2\", \"127.0.0.3:5070\"]\n\
                     user = \"u\"\npassword = \"s3cret-word\"\nnumbers = { \"+44*\" = \"ivr\" }\n";

#[test]
fn they_are_listed_with_their_places_and_without_their_passwords() {
    let folder = Folder::new();
    folder.write("offhook.toml", TRUNK);
    let told = folder.json("config check --trunk-address 203.0.113.7");
    assert_eq!(told["trunk_listen"]["value"], "0.0.0.0:5060");
    assert_eq!(told["trunk_address"]["value"], "203.0.113.7");
    assert_eq!(told["trunk_address"]["source"], "--trunk-address");
    let trunk = &told["trunks"][0];
    assert_eq!(trunk["account"], "1-2-0/demo@example.com");
    assert_eq!(trunk["peers"][0], "127.0.0.2:5060");
    assert_eq!(trunk["source"], "offhook.toml line 1");
    let text = folder.ok("config check");
    let row = "provider of 1-2-0/demo@example.com: 127.0.0.2:5060, 127.0.0.3:5070";
    assert!(text.contains(row), "{text}");
    assert!(!text.contains("s3cret") && !told.to_string().contains("s3cret"));
}

#[test]
fn what_cannot_be_is_told_with_its_place() {
    let folder = Folder::new();
    folder.write("offhook.toml", TRUNK);
    for (line, words) in [
        (
            "config check --trunk-listen [::1]:5060",
            "offhook.toml line 1: nothing gets from [::1]:5060 to the peer 127.0.0.2:5060",
        ),
        ("config check --trunk-listen 5060", "such as 0.0.0.0:5060"),
        (
            "config check --trunk-address 203.0.113.7:5060",
            "without a port",
        ),
        (
            "serve --trunk-address 0.0.0.0",
            "cannot call this machine 0.0.0.0: give the address that leads here (--trunk-address)",
        ),
    ] {
        let done = folder.run(line);
        assert_eq!(done.code, 2, "{line}: {done:?}");
        assert!(done.stderr.contains(words), "{line}: {done:?}");
    }
    let file = TRUNK.replace("password = \"s3cret-word\"", "password_file = \"kept\"");
    folder.write("offhook.toml", &file);
    let done = folder.run("config check");
    let said = "offhook.toml line 6: the password file kept cannot be read: ";
    assert!(done.code == 2 && done.stderr.contains(said), "{done:?}");
    // They need no password.
    folder.account("ann");
    folder.ok("account list");
}

#[test]
fn a_server_takes_their_address_and_shows_them() {
    let folder = Folder::new();
    folder.write("offhook.toml", TRUNK);
    let server = folder.serve("serve --listen 127.0.0.1:0 --trunk-listen 127.0.0.1:0");
    let said = server.logged("numbers of the trunk provider lead to services");
    assert!(said.contains("does not have: ivr"), "{said}");
    let address = folder.json("status")["trunk_address"].clone();
    let text = folder.ok("status");
    assert!(
        text.contains(&format!("UDP {}", address.as_str().unwrap())),
        "{text}"
    );
    let row = text.lines().find(|line| line.starts_with("provider"));
    let words: Vec<_> = row.unwrap().split_whitespace().collect();
    assert_eq!(words[1], "1-2-0/demo@example.com");
    assert!(!text.contains("s3cret"));
}
