//! Runs the binary: short commands to their end, servers until the test is over.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Far longer than anything takes: only a fault ever waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A working folder with a data folder inside; both are gone when the test is over.
pub(crate) struct Folder(tempfile::TempDir);

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The binary, in this folder, with nothing of our environment; `line` is split at spaces. TURN takes any port.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
        command
            .args(line.split_whitespace())
            .current_dir(self.path())
            .env_clear()
            // Servers of several tests run at once.
            .env("OFFHOOK_TURN_LISTEN", "127.0.0.1:0");
        command
    }

    /// Runs `offhook LINE --data DATA` to its end.
    pub(crate) fn run(&self, line: &str) -> Done {
        let mut command = self.command(line);
        finish(command.arg("--data").arg(self.data()))
    }

    /// The same, for a command that must succeed.
    pub(crate) fn ok(&self, line: &str) -> String {
        let done = self.run(line);
        assert_eq!(
            (done.code, done.stderr.as_str()),
            (0, ""),
            "{line}: {done:?}"
        );
        done.stdout
    }

    /// The same, for what it prints as JSON on one line.
    pub(crate) fn json(&self, line: &str) -> Value {
        let stdout = self.ok(&format!("{line} --json"));
        assert_eq!(stdout.lines().count(), 1, "{line}: {stdout}");
        serde_json::from_str(&stdout).unwrap()
    }

    /// The same, for a command that must fail with this code: its sentence.
    pub(crate) fn fails(&self, code: i32, line: &str) -> String {
        let done = self.run(line);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (code, ""),
            "{line}: {done:?}"
        );
        assert!(done.stderr.starts_with("error: "), "{line}: {done:?}");
        done.stderr
    }

    /// Makes the account `1-2-0/USERNAME` and gives its API key.
    pub(crate) fn account(&self, username: &str) -> String {
        let made = self.json(&format!(
            "account create --cloud-id 1-2-0 --username {username}"
        ));
        made["api_key"].as_str().unwrap().to_owned()
    }

    /// Starts `offhook LINE --data DATA` and waits until it serves.
    pub(crate) fn serve(&self, line: &str) -> Server {
        self.serve_with(line, &[])
    }

    /// The same, with these variables in its environment.
    pub(crate) fn serve_with(&self, line: &str, variables: &[(&str, &str)]) -> Server {
        let mut command = self.command(line);
        let command = command.envs(variables.iter().copied());
        Server::start(command.arg("--data").arg(self.data()))
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Done {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Done {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A server that serves; it is killed when the test is over.
pub(crate) struct Server {
    child: Child,
    log: Lines,
    /// What it printed until it served, without the last line.
    pub(crate) greeting: String,
    /// `http` or `https`.
    pub(crate) scheme: String,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = lines_of(child.stdout.take().unwrap());
        let log = lines_of(child.stderr.take().unwrap());
        let mut greeting = String::new();
        loop {
            let Some(line) = stdout.next() else {
                let ended = child.try_wait();
                let log = log.so_far();
                panic!(
                    "the server does not serve: {ended:?}\n{greeting}\n{}",
                    log.join("\n")
                );
            };
            if let Some(url) = line.strip_prefix("offhook serves ") {
                let (scheme, address) = url.split_once("://").unwrap();
                let (scheme, address) = (scheme.to_owned(), address.parse().unwrap());
                return Self {
                    child,
                    log,
                    greeting,
                    scheme,
                    address,
                };
            }
            greeting.push_str(&line);
            greeting.push('\n');
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of its log with this in it.
    pub(crate) fn logged(&self, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let Some(line) = self.log.next() else {
                panic!("the server never logs {part:?}:\n{}", seen.join("\n"));
            };
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
    }

    /// The status of a token request with this login and key.
    pub(crate) fn token_status(&self, login: &str, key: &str) -> u16 {
        self.token_answer(login, key).0
    }

    /// Status and body of a token request.
    pub(crate) fn token_answer(&self, login: &str, key: &str) -> (u16, Value) {
        let path = "/webrtc_generate_token?client_id=bob";
        self.ask("GET", path, "", login, key)
    }

    /// Status and body of a request with this login and key, and with a body of JSON; null where there is none.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        body: &str,
        login: &str,
        key: &str,
    ) -> (u16, Value) {
        let login = STANDARD.encode(format!("{login}:{key}"));
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: offhook\r\nAuthorization: Basic {login}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if body.is_empty() { "null" } else { body };
        (status, serde_json::from_str(body).unwrap())
    }

    /// Waits until the server has ended, which something else makes it do.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Asks the server to stop, and waits until it has.
    pub(crate) fn stop(self) -> ExitStatus {
        let told = Command::new("kill")
            .arg("-TERM")
            .arg(self.child.id().to_string())
            .status();
        assert!(told.unwrap().success());
        self.ended()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a pipe, read by a thread of their own, so that one can wait for them with patience.
struct Lines(Mutex<Receiver<String>>);

impl Lines {
    /// The next one; none at the end, or when it does not come.
    fn next(&self) -> Option<String> {
        self.0.lock().unwrap().recv_timeout(PATIENCE).ok()
    }

    /// Those that are there.
    fn so_far(&self) -> Vec<String> {
        self.0.lock().unwrap().try_iter().collect()
    }
}

fn lines_of(pipe: impl Read + Send + 'static) -> Lines {
    let (lines, received) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    Lines(Mutex::new(received))
}
