//! A Redis server of the tests' own. It ends with whoever started it, however that ends.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Starts the server, waits for the end of its input, and ends the server by its process id.
const SCRIPT: &str = include_str!("server.sh");
/// Somebody may take a port between its being found and its being used.
const TRIES: usize = 5;

/// A running server.
pub(crate) struct Server {
    pub(crate) port: u16,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    child: Child,
    folder: tempfile::TempDir,
}

impl Server {
    /// One that keeps nothing, and whatever else these lines say.
    pub(crate) fn start(lines: &str) -> Self {
        Self::start_with(|port, _| format!("port {port}\nsave \"\"\n{lines}"))
    }

    /// With the configuration that is told for its port and folder.
    pub(crate) fn start_with(config: impl Fn(u16, &Path) -> String) -> Self {
        let started = (0..TRIES).find_map(|_| Self::try_start(&config, None));
        started.expect("Redis starts (on Debian: the package redis-server)")
    }

    /// A Sentinel.
    pub(crate) fn start_sentinel(lines: &str) -> Self {
        let config = |port: u16, _: &Path| format!("port {port}\n{lines}");
        let started = (0..TRIES).find_map(|_| Self::try_start(&config, Some("--sentinel")));
        started.expect("a Sentinel starts")
    }

    fn try_start(config: &impl Fn(u16, &Path) -> String, mode: Option<&str>) -> Option<Self> {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let lines = format!(
            "bind 127.0.0.1\ndir {}\n{}\n",
            dir.display(),
            config(port, dir)
        );
        std::fs::write(dir.join("redis.conf"), lines).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "server.sh"])
            .arg(dir)
            .args(mode)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_ready = output
            .next()
            .is_some_and(|line| line.is_ok_and(|line| line == "ready"));
        let server = Self {
            port,
            input,
            output,
            child,
            folder,
        };
        is_ready.then_some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        self.tell("kill");
    }

    pub(crate) fn start_again(&mut self) {
        self.tell("start");
    }

    pub(crate) fn freeze(&mut self) {
        self.tell("freeze");
    }

    pub(crate) fn thaw(&mut self) {
        self.tell("thaw");
    }

    /// What another program says to it, and what it answers.
    pub(crate) fn say(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(words)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.input.as_mut().unwrap(), "{word}").unwrap();
        assert_eq!(self.output.next().unwrap().unwrap(), "done");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        self.child.wait().unwrap();
        // The script has emptied it.
        let _ = std::fs::remove_dir_all(self.folder.path());
    }
}

/// A port that nobody has.
pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap().port()
}
