//! The server that is soaked: its folder, its accounts, its process, and what it holds. Judges nothing.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::plan::{ACCOUNTS, End};
use super::verdict::Figures;
use crate::offhook::{Account, Offhook, json, make_certificate};
use crate::step::output_of;

/// How long clients of lost sessions are waited for: shorter than the default, so that rounds are.
const RESUME_S: &str = "10";
/// How long the server may take to stop, and an account to be served again.
const PATIENCE: Duration = Duration::from_secs(20);
const UNCOUNTED: &str =
    "this server does not count its memory: build it with `--features heap-count`";
/// How often things are looked at.
pub(super) const LOOK: Duration = Duration::from_millis(25);
/// Ports below those that the system gives out by itself: nobody takes them while the server is away.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// See the module.
pub(super) struct Site {
    program: PathBuf,
    folder: PathBuf,
    pub(super) accounts: Vec<Account>,
    server: Option<Offhook>,
    pub(super) is_tls: bool,
    port: u16,
    turn_port: u16,
}

impl Site {
    /// Makes everything; the server does not run yet.
    pub(super) fn prepare(program: &Path, folder: &Path) -> Result<Self, String> {
        fs::create_dir_all(folder)
            .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        make_certificate(&folder.join("cert.pem"), &folder.join("key.pem"))?;
        let data = folder.join("data");
        let accounts = (0..ACCOUNTS)
            .map(|place| Account::create(program, &data, &format!("soak{place}@example.com")))
            .collect::<Result<_, _>>()?;
        let port = free_port(0)?;
        Ok(Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            accounts,
            server: None,
            is_tls: false,
            port,
            turn_port: free_port(port)?,
        })
    }

    /// A command that dies with us, whatever becomes of us, even when it is paused.
    pub(super) fn tied(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        command.arg(&self.program).current_dir(&self.folder);
        command
    }

    /// Starts the server on its folder and its ports; says how long it took until it served.
    pub(super) fn start(&mut self, is_tls: bool) -> Result<Duration, String> {
        let begun = Instant::now();
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("server.log"))
            .map_err(|error| format!("the server's log cannot be made: {error}"))?;
        let address = |port: u16| format!("127.0.0.1:{port}");
        let mut command = self.tied();
        command
            .args(["serve", "--demo=false", "--resume", RESUME_S])
            .args(["--listen", &address(self.port)])
            .args(["--turn-listen", &address(self.turn_port)])
            .args(["--media-listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(self.data())
            .stderr(log);
        if is_tls {
            command.args(["--turn-tls-listen", "127.0.0.1:0"]);
            command.arg("--tls-cert").arg(self.folder.join("cert.pem"));
            command.arg("--tls-key").arg(self.folder.join("key.pem"));
        }
        self.is_tls = is_tls;
        self.server = Some(Offhook::start(command, is_tls)?);
        Ok(begun.elapsed())
    }

    /// Ends it, by SIGKILL or by SIGTERM, and waits until it is gone.
    pub(super) fn end(&mut self, end: End) -> Result<(), String> {
        let mut server = self.server.take().ok_or("there is no server to end")?;
        signal(
            server.pid(),
            match end {
                End::Kill => "KILL",
                End::Stop => "TERM",
            },
        )?;
        let status = within(PATIENCE, || Ok(server.ended()))?;
        match (end, status) {
            (End::Kill, Some(_)) => Ok(()),
            (End::Stop, Some(status)) if status.success() => Ok(()),
            (End::Stop, Some(status)) => {
                Err(format!("stopped by SIGTERM, the server gave {status}"))
            }
            (End::Kill | End::Stop, None) => Err("the server does not end".to_owned()),
        }
    }

    /// Whether it has ended by itself, which it never should.
    pub(super) fn check_alive(&mut self) -> Result<(), String> {
        match self.server.as_mut().and_then(Offhook::ended) {
            Some(status) => Err(format!("the server ended by itself: {status}")),
            None => Ok(()),
        }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port)
    }

    pub(super) fn turn_address(&self) -> String {
        format!("127.0.0.1:{}", self.turn_port)
    }

    /// Where clients connect to, whether the server runs or not.
    pub(super) fn url(&self) -> String {
        let address = format!("127.0.0.1:{}", self.port);
        crate::offhook::url(self.is_tls, &address, "/sipproxy")
    }

    /// What a command says as JSON.
    pub(super) fn json(&self, words: &[&str]) -> Result<Value, String> {
        json(&self.program, &self.data(), words)
    }

    /// Runs a command.
    pub(super) fn command(&self, words: &[&str]) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        output_of(command.args(words).arg("--data").arg(self.data())).map(drop)
    }

    /// Disables an account, or enables it.
    pub(super) fn allow(&self, place: usize, is_allowed: bool) -> Result<(), String> {
        let word = if is_allowed { "enable" } else { "disable" };
        self.command(&["account", word, &self.accounts[place].login])
    }

    pub(super) fn rotate_api_key(&mut self, place: usize) -> Result<(), String> {
        let login = self.accounts[place].login.clone();
        // Who asked before goes on for a minute.
        let rotated = self.json(&["key", "rotate", &login, "--api", "--grace", "60s"])?;
        let key = rotated["api_key"].as_str().unwrap_or_default();
        self.accounts[place].api_key = key.to_owned();
        Ok(())
    }

    pub(super) fn rotate_signing_key(&self, place: usize) -> Result<(), String> {
        let login = &self.accounts[place].login;
        self.command(&["key", "rotate", login, "--signing"])
    }

    /// What a web service answers, if it is 200.
    pub(super) fn web(&self, place: usize, path: &str) -> Option<String> {
        let scheme = if self.is_tls { "https" } else { "http" };
        let Account { login, api_key, .. } = &self.accounts[place];
        let url = format!("{scheme}://127.0.0.1:{}{path}", self.port);
        let who = format!("{login}:{api_key}");
        let mut command = Command::new("curl");
        output_of(command.args(["-sfk", "--max-time", "5", "-u", &who, &url])).ok()
    }

    /// Waits until every account gets tokens: the server sees a change within a second.
    pub(super) fn await_accounts(&self) -> Result<(), String> {
        for place in 0..self.accounts.len() {
            let path = "/webrtc_generate_token?client_id=probe";
            let served = within(PATIENCE, || Ok(self.web(place, path)))?;
            served.ok_or_else(|| format!("account {place} gets no tokens any more"))?;
        }
        Ok(())
    }

    /// What the server holds now.
    pub(super) fn figures(&self) -> Result<Figures, String> {
        let server = self.server.as_ref().ok_or("there is no server")?;
        let process = PathBuf::from(format!("/proc/{}", server.pid()));
        let status = self.json(&["status"])?;
        let census = status["census"].as_object().ok_or("status has no census")?;
        let tables = census
            .iter()
            .filter_map(|(name, number)| Some((name.clone(), number.as_u64()?)))
            .collect();
        let log = fs::metadata(self.data().join("offhook.db-wal"));
        Ok(Figures {
            files: entries(&process.join("fd"))?,
            threads: entries(&process.join("task"))?,
            memory_kib: pss(&process)?,
            heap_kib: status["heap_bytes"].as_u64().ok_or(UNCOUNTED)? / 1024,
            log_kib: log.map_or(0, |log| log.len() / 1024),
            records_lost: status["records_lost"].as_u64().unwrap_or_default(),
            tables,
        })
    }
}

/// Asks again and again until there is an answer, or the time is over.
pub(super) fn within<T>(
    time: Duration,
    mut ask: impl FnMut() -> Result<Option<T>, String>,
) -> Result<Option<T>, String> {
    let end = Instant::now() + time;
    loop {
        let answer = ask()?;
        if answer.is_some() || Instant::now() >= end {
            return Ok(answer);
        }
        std::thread::sleep(LOOK);
    }
}

pub(super) fn signal(pid: u32, name: &str) -> Result<(), String> {
    output_of(Command::new("kill").args(["-s", name, &pid.to_string()])).map(drop)
}

fn entries(folder: &Path) -> Result<u64, String> {
    let listed = fs::read_dir(folder)
        .map_err(|error| format!("{} cannot be listed: {error}", folder.display()))?;
    Ok(listed.count() as u64)
}

/// The memory that is this process's own, and its share of what it has with others, in KiB.
fn pss(process: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(process.join("smaps_rollup"))
        .map_err(|error| format!("the server's memory cannot be read: {error}"))?;
    let row = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = row.and_then(|row| row.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| "smaps_rollup has no Pss".to_owned())
}

/// A port that nobody listens at, and not this one.
fn free_port(other: u16) -> Result<u16, String> {
    let first = PORTS.start + (std::process::id() % u32::from(PORTS.end - PORTS.start)) as u16;
    (first..PORTS.end)
        .chain(PORTS.start..first)
        .find(|port| *port != other && TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| "there is no free port".to_owned())
}
