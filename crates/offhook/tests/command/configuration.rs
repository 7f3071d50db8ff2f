//! Flags, environment, file: `offhook config check`, and what `serve` refuses.

use crate::harness::{Done, Folder, finish};

fn check(folder: &Folder, line: &str, variables: &[(&str, &str)]) -> Done {
    finish(
        folder
            .command(&format!("config check {line}"))
            .envs(variables.iter().copied()),
    )
}

#[test]
fn each_value_is_told_with_its_source_and_the_strongest_wins() {
    let folder = Folder::new();
    folder.write(
        "offhook.toml",
        "listen = \"127.0.0.1:1\"\nno_answer_s = 30\n\ndomains = [\"a.example.com\"]\n",
    );
    let variables = [
        ("OFFHOOK_LISTEN", "127.0.0.1:2"),
        ("OFFHOOK_NO_ANSWER", "20"),
        ("OFFHOOK_DATA", "kept"),
    ];
    let done = check(&folder, "--listen 127.0.0.1:3 --json", &variables);
    assert_eq!(done.code, 0, "{done:?}");
    let told: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let told = |key: &str| (told[key]["value"].clone(), told[key]["source"].clone());
    assert_eq!(told("listen"), ("127.0.0.1:3".into(), "--listen".into()));
    assert_eq!(told("no_answer_s"), (20.into(), "OFFHOOK_NO_ANSWER".into()));
    assert_eq!(told("data"), ("kept".into(), "OFFHOOK_DATA".into()));
    assert_eq!(
        told("domains"),
        (vec!["a.example.com"].into(), "offhook.toml line 4".into())
    );
    assert_eq!(told("behind_tls_proxy"), (false.into(), "default".into()));

    let text = check(
        &folder,
        "--domain b.example.com --domain c.example.com",
        &[],
    )
    .stdout;
    let line = text
        .lines()
        .find(|line| line.starts_with("domains"))
        .unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(
        words,
        ["domains", "b.example.com,", "c.example.com", "--domain"]
    );
}

#[test]
fn a_file_is_read_where_it_is_named_and_its_paths_count_from_there() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("etc")).unwrap();
    folder.write("etc/o.toml", "data = \"d\"\n");
    let with_flag = finish(&mut folder.command("config check --config etc/o.toml"));
    assert!(with_flag.stdout.contains("etc/d"), "{with_flag:?}");
    let with_variable = check(&folder, "", &[("OFFHOOK_CONFIG", "etc/o.toml")]);
    assert_eq!(with_variable.stdout, with_flag.stdout);
    // Every command finds the store that the file names.
    let made = finish(
        &mut folder.command("account create --config etc/o.toml --cloud-id 1-2-0 --username a@b.c"),
    );
    assert_eq!(made.code, 0, "{made:?}");
    assert!(folder.path().join("etc/d/offhook.db").exists());
    let missing = finish(&mut folder.command("config check --config nowhere.toml"));
    assert_eq!(missing.code, 2);
    assert!(
        missing.stderr.contains("nowhere.toml cannot be read"),
        "{missing:?}"
    );
}

#[test]
fn an_unknown_key_stops_every_command_that_reads_the_file() {
    let folder = Folder::new();
    folder.write("offhook.toml", "listen = \"127.0.0.1:1\"\nno_anser_s = 3\n");
    for line in ["config check", "serve", "account list"] {
        let done = finish(&mut folder.command(line));
        assert_eq!(done.code, 2, "{done:?}");
        let wanted =
            "offhook.toml line 2: there is no key \"no_anser_s\"; did you mean no_answer_s?";
        assert!(done.stderr.contains(wanted), "{done:?}");
    }
}

#[test]
fn all_faults_are_told_at_once_each_with_its_place() {
    let folder = Folder::new();
    folder.write(
        "offhook.toml",
        "lisen = \"127.0.0.1:1\"\nno_answer_s = \"long\"\nmedia_rtp_ports = \"5\"\n\n\
         [[service]]\naccount = \"nobody\"\nname = \"support\"\nclients = [\"bob\"]\nring = \"loudly\"\nring_s = 0\n\n\
         [[trunk]]\nname = \"out\"\npeers = [\"192.0.2.300\"]\nmedia = \"video\"\nnumbers = { \"x\" = \"a\", \"+44\" = 7 }\n\n\
         [[service]]\nacount = \"1-2-0/a@b.c\"\nname = \"ivr\"\nfirst_page = \"ftp://a\"\n",
    );
    let variables = [
        ("OFFHOOK_RESUME", "soon"),
        ("OFFHOOK_TURN_LISTN", "1"),
        ("OFFHOOK_DEMO", "perhaps"),
    ];
    let done = check(&folder, "--turn-ports 1", &variables);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{done:?}");
    let told: Vec<_> = done.stderr.lines().collect();
    let wanted = [
        ("offhook.toml line 1:", "did you mean listen?"),
        ("offhook.toml line 2:", "a whole number, such as"),
        ("offhook.toml line 6:", "1-2-0/bob@example.com"),
        ("offhook.toml line 9:", "in-order"),
        ("offhook.toml line 19:", "did you mean account?"),
        ("offhook.toml line 21:", "http"),
        ("offhook.toml line 12:", "a trunk needs account, such as"),
        ("offhook.toml line 14:", "will not do"),
        ("offhook.toml line 15:", "srtp"),
        ("offhook.toml line 16:", "\"x\""),
        ("offhook.toml line 16:", "a number leads to a service"),
        ("the environment:", "did you mean OFFHOOK_TURN_LISTEN?"),
        ("OFFHOOK_RESUME:", "a whole number of seconds"),
        ("OFFHOOK_DEMO:", "true or false"),
        ("--turn-ports:", "49152-65535"),
        ("offhook.toml line 3:", "20000-29999"),
    ];
    assert_eq!(told.len(), wanted.len(), "{}", done.stderr);
    for (line, (place, right)) in told.iter().zip(wanted) {
        let start = format!("error: {place}");
        assert!(
            line.starts_with(&start) && line.contains(right),
            "{place} {right}: {line}"
        );
    }
    // What each value is cannot be, and what they are together.
    folder.write(
        "offhook.toml",
        "no_answer_s = 0\nresume_s = 601\ndomains = [\"a..b\", \"c d\"]\n",
    );
    let done = check(&folder, "--listen 0.0.0.0:0 --webhook-timeout 31", &[]);
    let told: Vec<_> = done.stderr.lines().collect();
    let places = [
        "--listen",
        "offhook.toml line 1",
        "offhook.toml line 2",
        "offhook.toml line 3",
        "offhook.toml line 3",
        "--webhook-timeout",
    ];
    assert_eq!(
        (done.code, told.len()),
        (2, places.len()),
        "{}",
        done.stderr
    );
    for (line, place) in told.iter().zip(places) {
        assert!(line.contains(place), "{place}: {line}");
    }
}

#[test]
fn listening_on_a_network_without_tls_is_refused_with_the_way_out() {
    let folder = Folder::new();
    for line in [
        "serve --listen 0.0.0.0:0",
        "--listen 192.0.2.1:80",
        "config check --listen [::]:0",
    ] {
        let done = finish(&mut folder.command(line));
        assert_eq!(done.code, 2, "{line}: {done:?}");
        for way_out in ["--tls-cert FILE", "--tls-key FILE", "--behind-tls-proxy"] {
            assert!(done.stderr.contains(way_out), "{line}: {done:?}");
        }
    }
    assert!(!folder.path().join("offhook-data").exists());
    let behind_proxy = check(&folder, "--listen 0.0.0.0:0 --behind-tls-proxy", &[]);
    assert_eq!(behind_proxy.code, 0, "{behind_proxy:?}");
    let not_behind = [("OFFHOOK_BEHIND_TLS_PROXY", "true")];
    let taken_back = check(
        &folder,
        "--listen 0.0.0.0:0 --behind-tls-proxy=false",
        &not_behind,
    );
    assert_eq!(taken_back.code, 2, "{taken_back:?}");
}

#[test]
fn certificate_and_key_must_both_be_there_and_fit() {
    let folder = Folder::new();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.write("c.pem", &pair.cert.pem());
    folder.write("k.pem", &pair.signing_key.serialize_pem());
    folder.write("other.pem", &other.signing_key.serialize_pem());
    let done = check(
        &folder,
        "--tls-cert c.pem --tls-key k.pem --listen 0.0.0.0:0",
        &[],
    );
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    for (line, right) in [
        ("--tls-cert c.pem", "--tls-key"),
        ("--tls-key k.pem", "--tls-cert"),
        ("--tls-cert c.pem --tls-key nowhere.pem", "nowhere.pem"),
        ("--tls-cert k.pem --tls-key k.pem", "k.pem"),
        ("--tls-cert c.pem --tls-key other.pem", "other.pem"),
    ] {
        let done = check(&folder, line, &[]);
        assert_eq!(done.code, 2, "{line}: {done:?}");
        assert!(
            done.stderr.contains(right) && done.stderr.lines().count() == 1,
            "{line}: {done:?}"
        );
    }
}

#[test]
fn what_turn_comes_to_is_told_before_it_is_served() {
    let folder = Folder::new();
    let mut command =
        folder.command("config check --turn-public 203.0.113.7 --turn-ports 50000-59999");
    let done = finish(command.env("OFFHOOK_TURN_LISTEN", "127.0.0.1:3478"));
    assert_eq!(done.code, 0, "{done:?}");
    let row = |key: &str| {
        let line = done
            .stdout
            .lines()
            .find(|line| line.starts_with(&format!("{key} ")));
        line.unwrap()
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(row("turn_listen"), "127.0.0.1:3478 OFFHOOK_TURN_LISTEN");
    assert_eq!(row("turn_ports"), "50000-59999 --turn-ports");
    assert_eq!(row("turn_client_mbit"), "20 default");
    for sentence in [
        "TURN: clients are told turn:HOST:3478?transport=udp, turn:HOST:3478?transport=tcp; HOST is the host that a client \
         connected with (127.0.0.1 for localhost).",
        "TURN: it listens on UDP and TCP 127.0.0.1:3478.",
        "TURN: it relays from 203.0.113.7 (which is 127.0.0.1 here), UDP ports 50000 to 59999.",
    ] {
        assert!(done.stdout.lines().any(|line| line == sentence), "{done:?}");
    }
    let told = check(
        &folder,
        "--turn-listen 127.0.0.1:3478 --behind-tls-proxy --json",
        &[],
    );
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told["turn_listen"]["value"][0], "127.0.0.1:3478");
    let findings = told["turn_findings"].as_array().unwrap();
    let warnings: Vec<_> = findings
        .iter()
        .filter(|one| one["is_warning"] == true)
        .collect();
    let is_doubted =
        |one: &serde_json::Value| one["text"].as_str().unwrap().contains("--turn-host NAME");
    assert!(warnings.into_iter().any(is_doubted), "{told}");

    let off = check(&folder, "--turn=false", &[]);
    assert!(off.stdout.contains("TURN is off"), "{off:?}");
    let refused = check(
        &folder,
        "--turn-relay 127.0.0.1 --turn-public 203.0.113.7,203.0.113.8",
        &[],
    );
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused
            .stderr
            .starts_with("error: --turn-public: there must be one public IPv4 address"),
        "{refused:?}"
    );
}

#[test]
fn flags_of_serve_belong_to_serve() {
    let folder = Folder::new();
    let done = finish(&mut folder.command("--listen 127.0.0.1:1 account list"));
    assert_eq!(done.code, 2, "{done:?}");
    assert!(
        done.stderr
            .contains("--listen is a flag of `offhook serve` only"),
        "{done:?}"
    );
    let done = finish(&mut folder.command("--listen 127.0.0.1:1 config check"));
    assert!(done.stdout.contains("127.0.0.1:1"), "{done:?}");
}

#[test]
fn what_media_and_applications_come_to_is_told() {
    let folder = Folder::new();
    let line =
        "--listen 127.0.0.1:8080 --media-rtp-ports 30000-30999 --webhook-allow 10.1.0.0/16 --json";
    let done = check(&folder, line, &[("OFFHOOK_WEBHOOK_TIMEOUT", "9")]);
    assert_eq!(done.code, 0, "{done:?}");
    let told: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(told["media_rtp_ports"]["source"], "--media-rtp-ports");
    assert_eq!(told["webhook_timeout_s"]["value"], 9);
    assert_eq!(told["webhook_allow"]["value"][0], "10.1.0.0/16");
    let findings = told["media_findings"].as_array().unwrap();
    let texts: Vec<_> = findings
        .iter()
        .map(|one| one["text"].as_str().unwrap())
        .collect();
    assert_eq!(
        texts,
        [
            "media: browsers are told UDP 127.0.0.1:3479",
            "media: plain RTP is at 127.0.0.1, UDP ports 30000 to 30999",
            // There is no PATH.
            "speech: no program speaks, and text_to_say fails: install espeak-ng and start anew, or name one (--speech-command)"
        ]
    );
    let named = check(&folder, "--speech-command /nowhere/say", &[]);
    let said = "Warning: speech: texts are to be spoken by /nowhere/say, which is not there";
    assert!(named.stdout.contains(said), "{named:?}");
    let off = check(&folder, "--media=false", &[]);
    assert!(off.stdout.contains("the media gateway is off"), "{off:?}");
    for (line, words) in [
        ("--webhook-timeout 31", "from 1 to 30 seconds"),
        ("--media-rtp-ports 5-6", "--media-rtp-ports"),
        (
            "--turn-listen 127.0.0.1:3478 --media-listen 127.0.0.1:3478",
            "where TURN listens",
        ),
        ("--media-public 0.0.0.0", "nobody can send media to 0.0.0.0"),
        ("--webhook-allow 10.1.0.1/16", "did you mean 10.1.0.0/16?"),
    ] {
        let done = check(&folder, line, &[]);
        assert_eq!(done.code, 2, "{line}: {done:?}");
        assert!(done.stderr.contains(words), "{line}: {done:?}");
    }
}
