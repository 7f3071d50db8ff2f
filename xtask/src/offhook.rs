//! offhook as chores run it: accounts by its command line, a certificate, and the server in a process of its own, which is gone
//! with its value.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::step::output_of;

const CLOUD: &str = "1-2-0";

/// An account of production, and what its clients need to know.
pub(crate) struct Account {
    pub(crate) login: String,
    pub(crate) api_key: String,
    pub(crate) domain: String,
}

impl Account {
    /// Makes one, as operators do.
    pub(crate) fn create(program: &Path, data: &Path, username: &str) -> Result<Self, String> {
        Self::create_with(program, data, username, &[])
    }

    /// The same in this database.
    pub(crate) fn create_in(
        program: &Path,
        data: &Path,
        store: &str,
        username: &str,
    ) -> Result<Self, String> {
        Self::create_with(program, data, username, &["--store", store])
    }

    fn create_with(
        program: &Path,
        data: &Path,
        username: &str,
        where_to: &[&str],
    ) -> Result<Self, String> {
        let words = ["account", "create", "--cloud-id", CLOUD];
        let more = ["--username", username, "--type", "production"];
        let words = [&words[..], &more[..], where_to].concat();
        let created = json(program, data, &words)?;
        let field = |name: &str| created[name].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            login: format!("{CLOUD}/{username}"),
            api_key: field("api_key"),
            domain: format!(
                "{}.webrtc-{CLOUD}.aculabcloud.net",
                field("webrtc_access_key")
            ),
        })
    }
}

/// What a command of offhook says as JSON.
pub(crate) fn json(program: &Path, data: &Path, words: &[&str]) -> Result<Value, String> {
    let mut command = Command::new(program);
    let text = output_of(command.args(words).args(["--json", "--data"]).arg(data))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("`offhook {}` wrote no JSON: {error}", words.join(" ")))
}

/// A certificate for this machine's loopback.
pub(crate) fn make_certificate(certificate: &Path, key: &Path) -> Result<(), String> {
    let kind = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ];
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    output_of(
        Command::new("openssl")
            .args(kind)
            .args(["-days", "30", "-subj", "/CN=localhost", "-addext", names])
            .arg("-keyout")
            .arg(key)
            .arg("-out")
            .arg(certificate),
    )
    .map(drop)
}

/// `ws://127.0.0.1:8080/sipproxy`.
pub(crate) fn url(is_tls: bool, address: &str, path: &str) -> String {
    let scheme = if is_tls { "wss" } else { "ws" };
    format!("{scheme}://{address}{path}")
}

/// A server that serves.
pub(crate) struct Offhook {
    process: Child,
    /// Kept open, so that it can go on writing.
    output: BufReader<ChildStdout>,
    pub(crate) url: String,
}

impl Offhook {
    /// Starts it by this command, and waits until it serves.
    pub(crate) fn start(mut command: Command, is_tls: bool) -> Result<Self, String> {
        let mut process = command
            .env("OFFHOOK_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("offhook could not be started: {error}"))?;
        let output = process.stdout.take().expect("it was piped");
        let mut offhook = Self {
            process,
            output: BufReader::new(output),
            url: String::new(),
        };
        let mut line = String::new();
        loop {
            line.clear();
            match offhook.output.read_line(&mut line) {
                Ok(0) | Err(_) => return Err("offhook ended before it served".to_owned()),
                Ok(_) => {}
            }
            if let Some((_, address)) = line.split_once("offhook serves ") {
                let address = address.trim().rsplit('/').next().unwrap_or_default();
                offhook.url = url(is_tls, address, "/sipproxy");
                return Ok(offhook);
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to end in order.
    pub(crate) fn terminate(&self) -> Result<(), String> {
        let pid = Pid::from_raw(self.pid().cast_signed());
        kill(pid, Signal::SIGTERM)
            .map_err(|error| format!("process {pid} could not be ended: {error}"))
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) {
        // Nobody else has waited for it.
        let _ = self.process.wait();
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }
}

impl Drop for Offhook {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
