//! The tables as files have them, right and wrong.

use std::time::Duration;

use node::model::{TrunkMedia, TrunkTransfer};

use super::super::config_file::ConfigFile;
use super::*;

fn read(text: &str) -> Result<Vec<FileTrunk>, String> {
    let file = ConfigFile::sound(Path::new("/etc/offhook.toml"), text)?;
    Ok(file.trunks().to_vec())
}

/// A table with account, name and peers, on lines 1 to 4.
fn table(rest: &str) -> String {
    format!(
        "[[trunk]]\naccount = \"1-2-0/a@b.c\"\nname = \"t\"\npeers = [\"192.0.2.10\"]\n{rest}\n"
    )
}

fn one(rest: &str) -> Trunk {
    read(&table(rest)).unwrap().remove(0).wanted.trunk
}

fn refused(faulty: &[(&str, usize, &str)]) {
    for (text, line, words) in faulty {
        let sentence = read(text).unwrap_err();
        let start = format!("/etc/offhook.toml line {line}: ");
        assert!(sentence.starts_with(&start), "{text}: {sentence}");
        assert!(sentence.contains(words), "{text}: {sentence}");
        assert!(!sentence.contains('\n'), "{sentence}");
    }
}

#[test]
fn what_is_not_said_is_as_usual() {
    let trunk = one("");
    assert_eq!(trunk.peers, ["192.0.2.10:5060".parse().unwrap()]);
    assert_eq!(trunk.domain, "192.0.2.10");
    assert_eq!(trunk.check, Some(Duration::from_secs(30)));
    assert_eq!((&trunk.login, trunk.registration), (&None, None));
    assert!(trunk.networks.is_empty() && trunk.numbers.is_empty());
    assert!(trunk.caller.is_none() && !trunk.is_trusted);
    assert_eq!(trunk.transfer, TrunkTransfer::Inward);
    assert_eq!(read("demo = false"), Ok(Vec::new()));
    let six = "[[trunk]]\naccount = \"1-2-0/a@b.c\"\nname = \"t\"\n\
               peers = [\"2001:db8::1\", \"[2001:db8::2]\", \"[2001:db8::1]:5070\", \"[::ffff:192.0.2.1]:5\"]";
    let trunk = read(six).unwrap().remove(0).wanted.trunk;
    let peers = [
        "[2001:db8::1]:5060",
        "[2001:db8::2]:5060",
        "[2001:db8::1]:5070",
        "192.0.2.1:5",
    ];
    assert_eq!(trunk.peers, peers.map(|peer| peer.parse().unwrap()));
    assert_eq!(trunk.domain, "[2001:db8::1]");
}

#[test]
fn each_key_is_read_and_the_password_is_not_shown() {
    let text = table(
        "networks = [\"198.51.100.0/24\", \"203.0.113.9\"]\ndomain = \"sip.example.com\"\nuser = \"u\"\n\
         password = \"s3cret, or so\"\nregister = true\ncheck_s = 0\ncaller = \"+44 20 7946\"\ntrusted = true",
    );
    let trunks = read(&text).unwrap();
    let FileTrunk {
        wanted,
        password_file,
        ca_file,
    } = &trunks[0];
    assert_eq!(wanted.place, "/etc/offhook.toml line 1");
    assert_eq!(wanted.login, Login::parse("1-2-0/a@b.c").unwrap());
    assert_eq!((password_file, ca_file), (&None, &None));
    assert_eq!(wanted.trunk.transport, TrunkTransport::Udp);
    let trunk = &wanted.trunk;
    assert!(trunk.admits("198.51.100.77".parse().unwrap()));
    assert!(trunk.admits("203.0.113.9".parse().unwrap()));
    assert_eq!(trunk.domain, "sip.example.com");
    let login = trunk.login.as_ref().unwrap();
    assert_eq!(
        (login.user.as_str(), login.password.expose()),
        ("u", &b"s3cret, or so"[..])
    );
    assert_eq!(trunk.registration, Some(Duration::from_secs(300)));
    assert_eq!(trunk.check, None);
    assert_eq!(trunk.caller, Some(Number::parse("+44207946").unwrap()));
    assert!(trunk.is_trusted);
    assert!(!format!("{trunks:?}").contains("s3cret"));

    let login = "user = \"u\"\npassword = \"p\"\n";
    let lasts = |word: &str| one(&format!("{login}register = {word}")).registration;
    assert_eq!(lasts("false"), None);
    assert_eq!(lasts("600"), Some(Duration::from_secs(600)));
    let from_file = read(&table("user = \"u\"\npassword_file = \"kept\"")).unwrap();
    let NamedFile { path, place } = from_file[0].password_file.as_ref().unwrap();
    assert_eq!(path, Path::new("/etc/kept"));
    assert_eq!(place, "/etc/offhook.toml line 6");
}

#[test]
fn a_trunk_by_tls_has_another_port_and_perhaps_a_file_of_who_vouches_for_it() {
    let text = table("transport = \"tls\"\nca_file = \"ca.pem\"");
    let FileTrunk {
        wanted, ca_file, ..
    } = read(&text).unwrap().remove(0);
    assert_eq!(wanted.trunk.transport, TrunkTransport::Tls);
    assert_eq!(wanted.trunk.peers, ["192.0.2.10:5061".parse().unwrap()]);
    let NamedFile { path, place } = ca_file.unwrap();
    assert_eq!(path, Path::new("/etc/ca.pem"));
    assert_eq!(place, "/etc/offhook.toml line 6");
    refused(&[
        (
            &table("ca_file = \"ca.pem\""),
            5,
            "transport = \"tls\" as well",
        ),
        (&table("transport = \"sctp\""), 5, "udp, tcp or tls"),
    ]);
}

#[test]
fn sound_is_protected_where_nobody_reads_the_keys() {
    let media = |rows: &str| one(rows).media;
    assert_eq!(media(""), TrunkMedia::Rtp);
    assert_eq!(media("media = \"rtp\""), TrunkMedia::Rtp);
    let tls = "transport = \"tls\"\nmedia =";
    assert_eq!(media(&format!("{tls} \"srtp\"")), TrunkMedia::Srtp);
    assert_eq!(
        media(&format!("{tls} \"srtp-or-rtp\"")),
        TrunkMedia::SrtpOrRtp
    );
    refused(&[
        (
            &table("media = \"srtp\""),
            5,
            "read by udp: give transport = \"tls\"",
        ),
        (
            &table("transport = \"tcp\"\nmedia = \"srtp-or-rtp\""),
            6,
            "read by tcp",
        ),
        (&table("media = \"dtls\""), 5, "rtp, srtp or srtp-or-rtp"),
    ]);
}

#[test]
fn sessions_are_refreshed_as_often_as_is_said() {
    let lasts = |row: &str| one(row).session;
    assert_eq!(lasts(""), Some(Duration::from_secs(1_800)));
    assert_eq!(lasts("session_s = 90"), Some(Duration::from_secs(90)));
    assert_eq!(lasts("session_s = 0"), None);
    let brief = table("session_s = 89");
    refused(&[(&brief, 5, "every 90 to 86400 seconds, not 89")]);
}

#[test]
fn a_number_comes_before_a_beginning_and_a_long_one_before_a_short_one() {
    let trunk = one(
        "[trunk.numbers]\n\"*\" = \"rest\"\n\"+44*\" = \"uk\"\n\"+44 (20)*\" = \"london\"\n\
         \"+4420\" = \"one\"\n\"+*\" = \"abroad\"",
    );
    let order: Vec<&str> = trunk
        .numbers
        .iter()
        .map(|(_, name)| name.as_str())
        .collect();
    assert_eq!(order, ["one", "london", "uk", "abroad", "rest"]);
    let reached = |number: &str| {
        trunk
            .service_for(&Number::parse(number).unwrap())
            .unwrap()
            .as_str()
    };
    assert_eq!((reached("+4420"), reached("+44201")), ("one", "london"));
    assert_eq!((reached("+331"), reached("112")), ("abroad", "rest"));
}

#[test]
fn what_is_no_table_or_lacks_a_key_or_has_one_too_many_is_told_with_its_line() {
    let twice = format!("{0}{0}", table(""));
    refused(&[
        ("[trunk]\nname = \"a\"", 1, "begins with [[trunk]]"),
        ("\ntrunk = \"t\"", 2, "each trunk is a table of its own"),
        (
            "\n[[trunk]]",
            2,
            "a trunk needs account, such as account = ",
        ),
        (
            "[[trunk]]\naccount = \"1-2-0/a@b.c\"\npeers = [\"192.0.2.1\"]",
            1,
            "needs name",
        ),
        (
            "[[trunk]]\naccount = \"1-2-0/a@b.c\"\nname = \"t\"",
            1,
            "needs peers, such as peers = [",
        ),
        (
            &table("peer = 1"),
            5,
            "no key \"peer\"; did you mean peers?",
        ),
        (
            &twice,
            6,
            "trunk t of 1-2-0/a@b.c is already at /etc/offhook.toml line 1",
        ),
        ("trunks = 1", 1, "did you mean trunk"),
    ]);
}

#[test]
fn a_wrong_value_is_told_with_what_would_be_right() {
    let peers = |list: &str| {
        format!("[[trunk]]\naccount = \"1-2-0/a@b.c\"\nname = \"t\"\npeers = {list}\n")
    };
    let number = |rule: &str| table(&format!("[trunk.numbers]\n{rule}"));
    refused(&[
        (&peers("[\"_sip.example.com\"]"), 4, "is no name"),
        (
            &peers("[\"sip.example.com:0\"]"),
            4,
            "such as 192.0.2.10:5060",
        ),
        (&peers("[\"0.0.0.0\"]"), 4, "nobody can be there"),
        (&peers("[\"192.0.2.1:0\"]"), 4, "nobody can be there"),
        (&peers("[]"), 4, "at least one peer"),
        (
            &peers("[\"192.0.2.1\", \"192.0.2.1:5060\"]"),
            4,
            "192.0.2.1:5060 is named twice",
        ),
        (&peers("\"192.0.2.1\""), 4, "a list of texts in quotes"),
        (
            &table("networks = [\"10.1.2.3/8\"]"),
            5,
            "did you mean 10.0.0.0/8?",
        ),
        (&table("domain = \"a b\""), 5, "\"a b\" is no host name"),
        (&table("register = true"), 5, "needs a user and a password"),
        (
            &table("user = \"u\"\npassword = \"p\"\nregister = 5"),
            7,
            "60 to 86400 seconds, not 5",
        ),
        (
            &table("register = \"yes\""),
            5,
            "true, false or a whole number of seconds",
        ),
        (
            &table("register = -1"),
            5,
            "true, false, or a number of seconds",
        ),
        (&table("check_s = 4"), 5, "every 5 to 3600 seconds, not 4"),
        (&table("check_s = -4"), 5, "or 0 for never"),
        (
            &table("caller = \"alice\""),
            5,
            "\"alice\" is no telephone number",
        ),
        (&table("trusted = 1"), 5, "true or false"),
        (&number("\"4*4\" = \"a\""), 6, "may end with '*'"),
        (&number("\"44\" = 1"), 6, "\"44\" = \"support\""),
        (&number("\"44\" = \"a b\""), 6, "service name \"a b\""),
        (
            &number("\"44\" = \"a\"\n\"4-4\" = \"b\""),
            7,
            "says the same as",
        ),
        (&table("numbers = \"44\""), 5, "a table of texts in quotes"),
    ]);
}

#[test]
fn user_and_password_come_together_and_a_wrong_one_is_not_repeated() {
    refused(&[
        (
            &table("user = \"u\""),
            5,
            "user is given without a password",
        ),
        (
            &table("password = \"p\""),
            5,
            "password is given without user",
        ),
        (
            &table("password_file = \"p\""),
            5,
            "password_file is given without user",
        ),
        (
            &table("user = \"a b\"\npassword = \"p\""),
            5,
            "\"a b\" is no user",
        ),
        (
            &table("user = \"u\"\npassword = \"p\"\npassword_file = \"p\""),
            7,
            "password and password_file exclude each other",
        ),
    ]);
    for wrong in ["z".repeat(129), "zz\\tzz".to_owned()] {
        let text = table(&format!("user = \"u\"\npassword = \"{wrong}\""));
        refused(&[(&text, 6, "a password must have 1 to 128 bytes")]);
        assert!(!read(&text).unwrap_err().contains("zz"));
    }
}
