//! A database that is away while servers are killed: no record of a finished call is lost, none is there twice, and calls of a server
//! that is gone are ended by those that are not.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::database::{ANN, account, ok, postgres, until};
use crate::harness::{Folder, Server};
use crate::postgres::Server as Postgres;

/// The file in which records wait.
fn waiting(folder: &Folder) -> PathBuf {
    let files = std::fs::read_dir(folder.data()).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let is_it = |file: &PathBuf| file.extension().is_some_and(|end| end == "waiting");
    files.find(is_it).unwrap()
}

fn records(folder: &Folder, url: &str) -> Vec<Value> {
    let told = ok(folder, url, "calls list --limit 1000 --json");
    let told: Value = serde_json::from_str(&told).unwrap();
    told.as_array().unwrap().clone()
}

fn serve(folder: &Folder, url: &str) -> Server {
    let line = "serve --listen 127.0.0.1:0 --media=false --turn=false --admin-listen 127.0.0.1:0";
    folder.serve_with(line, &[("OFFHOOK_STORE", url)])
}

/// Where it tells its figures.
fn admin(server: &Server) -> SocketAddr {
    let line = server.logged("figures are at http://");
    let (_, rest) = line.split_once("http://").unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

/// The SIP domain of the account.
fn domain(folder: &Folder, url: &str) -> String {
    let told = ok(folder, url, &format!("account show {ANN} --json"));
    let told: Value = serde_json::from_str(&told).unwrap();
    let key = told["webrtc_access_key"].as_str().unwrap();
    format!("{key}.webrtc-1-2-0.aculabcloud.net")
}

/// A number among the figures.
fn figure(admin: SocketAddr, name: &str) -> f64 {
    let mut stream = TcpStream::connect(admin).unwrap();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let text = std::io::read_to_string(stream).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().parse().unwrap()
}

/// The command that has clients call each other.
fn calls(folder: &Folder, server: &Server, key: &str, words: &str) -> Command {
    let mut command = folder.command(&format!(
        "bench calls --server ws://{}/sipproxy",
        server.address
    ));
    let key = ["--login", ANN, "--api-key", key, "--json"];
    command.args(words.split(' ')).args(key);
    command
}

/// Ends with the test.
struct Running(Child);

impl Running {
    fn begin(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_that_is_killed_while_its_database_is_away_loses_no_finished_call() {
    killed_without(Postgres::crash, Postgres::start_again);
}

#[test]
fn a_server_that_is_killed_while_its_database_does_not_answer_loses_no_finished_call() {
    killed_without(Postgres::freeze, Postgres::thaw);
}

fn killed_without(away: fn(&mut Postgres), back: fn(&mut Postgres)) {
    let (mut postgres, url) = postgres();
    let folder = Folder::new();
    let key = account(&folder, &url);
    let domain = domain(&folder, &url);
    let server = serve(&folder, &url);
    let figures = admin(&server);
    away(&mut postgres);
    let words = format!("--clients 4 --seconds 2 --rate 10 --domain {domain}");
    let done = crate::harness::finish(&mut calls(&folder, &server, &key, &words));
    assert_eq!(done.code, 0, "{done:?}");
    let ended = "offhook_calls_ended_total{by=\"caller\",cause=\"hung_up\"}";
    let finished = figure(figures, ended) as usize;
    assert!(finished > 5, "{finished}");
    // A quarter of a second later all of them are in the file.
    until(|| figure(figures, "offhook_queue_length{queue=\"call_records\"}") == 0.0);
    // Dead at once.
    drop(server);
    let file = waiting(&folder);
    let mut torn = OpenOptions::new().append(true).open(&file).unwrap();
    torn.write_all(b"0123456789abcdef {\"id\":\"").unwrap();

    back(&mut postgres);
    let server = serve(&folder, &url);
    server.logged("half a record at its end is cut off");
    assert_eq!(file.metadata().unwrap().len(), 0, "they are written first");
    let figures = admin(&server);
    assert_eq!(figure(figures, "offhook_call_records_lost_total"), 0.0);
    let kept = records(&folder, &url);
    let hung_up = kept.iter().filter(|call| call["status"] == 200);
    assert_eq!((hung_up.count(), kept.len()), (finished, finished));
}

#[test]
fn calls_of_a_server_that_is_killed_are_ended_by_another_and_its_own_go_on() {
    let (_postgres, url) = postgres();
    let folders = [Folder::new(), Folder::new(), Folder::new()];
    let key = account(&folders[0], &url);
    let [killed, other] = [&folders[0], &folders[1]].map(|folder| serve(folder, &url));
    let domain = domain(&folders[0], &url);
    let words = format!("--clients 2 --seconds 100 --rate 1 --talk 100 --domain {domain}");
    let talking = [&killed, &other].map(|server| {
        let mut command = calls(&folders[0], server, &key, &words);
        Running::begin(&mut command)
    });
    let going_on = || {
        let records = records(&folders[0], &url);
        records
            .iter()
            .filter(|call| call["answered"].is_string() && call["ended"].is_null())
            .count()
    };
    until(|| going_on() == 2);
    // One that starts leaves them alone.
    let _third = serve(&folders[2], &url);
    assert_eq!(going_on(), 2);
    drop(killed);
    until(|| going_on() < 2);
    let records = records(&folders[0], &url);
    let ended: Vec<_> = records
        .iter()
        .filter(|call| call["ended"].is_string())
        .collect();
    assert_eq!((ended.len(), going_on()), (1, 1), "{records:?}");
    assert_eq!(ended[0]["reason"], "the server was killed during the call");
    drop(talking);
}
