//! `offhook bench` against a server of this project: short runs, in which nothing fails and everything is counted. What is
//! fast is not asked here.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Folder, Server};

/// Runs `bench` with these words for the account of a server that runs, and gives its report.
fn bench(folder: &Folder, words: &str) -> Value {
    let site = BenchSite::new(folder);
    folder.json(&site.words(words))
}

/// A server, and an account whose clients are made by `bench`.
pub(crate) struct BenchSite {
    pub(crate) server: Server,
    account: BenchAccount,
}

/// An account whose clients are made by `bench`.
pub(crate) struct BenchAccount {
    login: String,
    api_key: String,
    /// Its SIP domain.
    pub(crate) domain: String,
}

impl BenchSite {
    pub(crate) fn new(folder: &Folder) -> Self {
        Self::serving(folder, "")
    }

    /// With more flags for `serve`.
    pub(crate) fn serving(folder: &Folder, flags: &str) -> Self {
        let account = BenchAccount::new(folder, "bench@example.com");
        let server = folder.serve(&format!("serve --listen 127.0.0.1:0 --turn=false {flags}"));
        Self { server, account }
    }

    /// The whole command line.
    pub(crate) fn words(&self, words: &str) -> String {
        self.account.words(&self.server, words)
    }

    /// User and password of the account for the web service.
    pub(crate) fn login(&self) -> String {
        format!("{}:{}", self.account.login, self.account.api_key)
    }

    /// The SIP domain of the account.
    pub(crate) fn domain(&self) -> &str {
        &self.account.domain
    }
}

impl BenchAccount {
    /// Makes it, for a server that is started later.
    pub(crate) fn new(folder: &Folder, username: &str) -> Self {
        let created = folder.json(&format!(
            "account create --cloud-id 1-2-0 --username {username} --type production"
        ));
        let field = |name: &str| created[name].as_str().unwrap();
        Self {
            login: format!("1-2-0/{username}"),
            api_key: field("api_key").to_owned(),
            domain: format!(
                "{}.webrtc-1-2-0.aculabcloud.net",
                field("webrtc_access_key")
            ),
        }
    }

    /// The whole command line.
    pub(crate) fn words(&self, server: &Server, words: &str) -> String {
        let Self {
            login,
            api_key,
            domain,
        } = self;
        let scheme = if server.scheme == "https" {
            "wss"
        } else {
            "ws"
        };
        let address = server.address;
        format!(
            "bench {words} --server {scheme}://{address}/sipproxy --domain {domain} --login {login} --api-key {api_key}"
        )
    }
}

fn counts(report: &Value) {
    assert!(report["done"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["failures"].as_object().unwrap().len(), 0, "{report}");
    assert!(
        report["latency"]["p50_us"].as_f64().unwrap() > 0.0,
        "{report}"
    );
}

#[test]
fn registrations_are_refreshed_and_counted() {
    let folder = Folder::new();
    counts(&bench(
        &folder,
        "register --clients 8 --seconds 0.2 --rate 100",
    ));
}

#[test]
fn tokens_that_were_never_seen_are_shown_until_they_are_used_up() {
    let folder = Folder::new();
    let report = bench(&folder, "register --clients 4 --seconds 5 --fresh-tokens 2");
    counts(&report);
    assert!(report["done"].as_u64().unwrap() <= 8, "{report}");
    assert!(report["elapsed_s"].as_f64().unwrap() < 5.0, "{report}");
}

#[test]
fn few_clients_are_asked_for_no_more_than_a_connection_may_send() {
    let folder = Folder::new();
    let site = BenchSite::new(&folder);
    for (load, allowed) in [
        ("register --clients 4", "80 registrations a second"),
        ("calls --clients 4", "13 calls a second"),
    ] {
        let words = site.words(&format!("{load} --seconds 2"));
        counts(&folder.json(&words));
        let done = folder.run(&site.words(&format!("{load} --seconds 0.1")));
        assert!(
            done.stderr.contains(allowed) && done.stderr.contains("--rate"),
            "{done:?}"
        );
    }
    let done = folder.run(&site.words("register --clients 4 --seconds 0.1 --rate 500"));
    assert!(done.stderr.contains("give more --clients"), "{done:?}");
}

#[test]
fn calls_are_set_up_and_ended() {
    let folder = Folder::new();
    let report = bench(&folder, "calls --clients 4 --seconds 0.3 --rate 20");
    counts(&report);
    assert!(
        report["set_up"]["p99_us"].as_f64().unwrap() > 0.0,
        "{report}"
    );
    let calls = folder.json("calls list");
    let is_ended = |call: &Value| call["status"].as_u64() == Some(200);
    assert!(calls.as_array().unwrap().iter().any(is_ended), "{calls}");
}

#[test]
fn calls_last_as_long_as_they_shall_and_all_end() {
    let folder = Folder::new();
    let site = BenchSite::new(&folder);
    let words = site.words("calls --clients 20 --seconds 1 --rate 20 --talk 0.3");
    let report = folder.json(&words);
    counts(&report);
    assert!(report["latency"]["p50_us"].as_f64().unwrap() >= 300_000.0);
    // Records are gathered for a quarter of a second.
    let records = || folder.json("calls list").as_array().unwrap().clone();
    let is_ended = |call: &Value| call["status"] == 200;
    let end = Instant::now() + Duration::from_secs(20);
    while !records().iter().all(is_ended) {
        assert!(Instant::now() < end, "{:?}", records());
    }
    let records = records();
    // Those that the end cuts short are few.
    let is_long = |call: &&Value| call["talk_ms"].as_u64().unwrap() >= 290;
    let long = records.iter().filter(is_long).count();
    assert!(2 * long > records.len(), "{records:?}");
}

#[test]
fn idle_clients_ask_for_turn_and_cost_memory() {
    let folder = Folder::new();
    let report = bench(&folder, "idle --clients 60 --seconds 0.5");
    counts(&report);
    assert_eq!(report["connections_lost"], 0, "{report}");
}

#[test]
fn tokens_are_issued() {
    let folder = Folder::new();
    counts(&bench(
        &folder,
        "token --connections 2 --window 2 --seconds 0.2",
    ));
}

#[test]
fn all_clients_come_back() {
    let folder = Folder::new();
    let report = bench(&folder, "storm --clients 20");
    assert_eq!(report["registered"], 20, "{report}");
    assert!(report["all_s"].as_f64().unwrap() > 0.0, "{report}");
}

#[test]
fn clients_that_the_server_drops_make_it_fail() {
    let folder = Folder::new();
    let site = BenchSite::new(&folder);
    let words = site.words("register --clients 8 --rate 50 --seconds 60");
    let done = std::thread::scope(|scope| {
        let bench = scope.spawn(|| folder.run(&words));
        while folder.json("status")["census"]["registrations"] != 8 {
            std::thread::yield_now();
        }
        site.server.stop();
        bench.join().unwrap()
    });
    assert_eq!(done.code, 1, "{done:?}");
    assert!(
        done.stderr.contains("8 of 8 connections were lost"),
        "{done:?}"
    );
}

#[test]
fn what_nobody_is_free_to_offer_has_failed() {
    let folder = Folder::new();
    // Long enough for a call that lasts a second to be done, on however busy a machine.
    let report = bench(&folder, "calls --clients 2 --rate 20 --talk 1 --seconds 3");
    let failures = report["failures"].as_object().unwrap();
    assert!(
        failures
            .keys()
            .any(|why| why.starts_with("could not be offered")),
        "{report}"
    );
}

#[test]
fn two_runs_at_a_time_are_not_each_others_clients() {
    let folder = Folder::new();
    let site = BenchSite::new(&folder);
    let words = site.words("register --clients 8 --rate 50 --seconds 1");
    std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| folder.json(&words)));
        runs.into_iter()
            .for_each(|run| counts(&run.join().unwrap()));
    });
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let folder = Folder::new();
    let site = BenchSite::new(&folder);
    let words = site
        .words("register --clients 2")
        .replace(site.domain(), "nobody.example");
    let said = folder.fails(1, &words);
    assert!(
        said.contains("403 Forbidden (the host of the From address names no active account"),
        "{said}"
    );
}

#[test]
fn a_key_may_begin_with_a_hyphen() {
    let folder = Folder::new();
    let words = "bench token --server ws://127.0.0.1:1 --login 1-2-0/a@b.c --api-key -EaWxR5BozOaMN1yRhGhFw";
    let said = folder.fails(1, &format!("{words} --seconds 0.1"));
    assert!(
        said.contains("did not serve a single one") && said.contains("Connection refused"),
        "{said}"
    );
}

#[test]
fn what_makes_no_sense_is_said() {
    let folder = Folder::new();
    for (words, part) in [
        ("register --server 127.0.0.1:1", "wants ws://"),
        ("register --clients 0", "1 to 200000 clients"),
        ("calls --clients 3", "an even number"),
        ("calls --talk 100000", "--talk wants"),
        ("register --seconds 0", "--seconds wants"),
        ("token --seconds 1", "want --login"),
    ] {
        let said = folder.fails(2, &format!("bench {words}"));
        assert!(said.contains(part), "{words}: {said}");
    }
}

#[test]
fn packets_pass_the_media_gateway_as_they_were_and_none_is_lost() {
    let folder = Folder::new();
    let report = folder.json("bench media --calls 3 --seconds 0.3 --rate 300");
    let figure = |name: &str| report[name].as_u64().unwrap();
    assert!(figure("received_by_telephones") > 20, "{report}");
    assert!(figure("received_by_browsers") > 20, "{report}");
    assert!(figure("payloads_looked_at") > 20, "{report}");
    assert_eq!(
        (figure("lost"), figure("payloads_altered")),
        (0, 0),
        "{report}"
    );
    assert!(
        report["gateway_cpu_us_per_packet"].as_f64().unwrap() > 0.0,
        "{report}"
    );
}

#[test]
fn calls_of_two_codecs_are_transcoded_and_the_codec_is_measured_by_itself() {
    let folder = Folder::new();
    let report = folder.json("bench media --calls 2 --seconds 0.5 --codec opus");
    let figure = |name: &str| report[name].as_f64().unwrap();
    assert!(figure("received_by_telephones") > 10.0, "{report}");
    assert!(figure("received_by_browsers") > 10.0, "{report}");
    assert!(figure("codec_us_per_frame") > 0.0, "{report}");
    assert!(figure("bytes_per_call_connected") > 0.0, "{report}");
}
