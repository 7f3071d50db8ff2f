//! A PostgreSQL server of the tests' own, from the programs that are installed. It ends with whoever started it, however that ends.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Starts the server, waits for the end of its input, and ends the server by its process id.
const SCRIPT: &str = include_str!("server.sh");
/// PostgreSQL refuses to run as root; Debian's package makes this user.
const USER: &str = "postgres";

/// A running server.
pub(crate) struct Server {
    folder: String,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        let programs = programs();
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        let mut child = command
            .args(["-c", SCRIPT, "server.sh"])
            .arg(&programs)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let folder = output.next().expect("PostgreSQL starts").unwrap();
        Self {
            folder,
            input,
            output,
            _child: child,
        }
    }

    /// The address of this database on it.
    pub(crate) fn url(&self, database: &str) -> String {
        let host = self.folder.replace('/', "%2F");
        format!("postgres://offhook:hush-hush@{host}/{database}")
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        Path::new(&self.folder).join(".s.PGSQL.5432")
    }

    pub(crate) fn stop(&mut self) {
        self.tell("stop");
    }

    pub(crate) fn start_again(&mut self) {
        self.tell("start");
    }

    /// Nothing of it does anything any more, but its connections are there.
    pub(crate) fn freeze(&mut self) {
        self.tell("freeze");
    }

    pub(crate) fn thaw(&mut self) {
        self.tell("thaw");
    }

    /// Kills it; `start_again` has it find its way back.
    pub(crate) fn crash(&mut self) {
        self.tell("crash");
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.input, "{word}").unwrap();
        assert_eq!(self.output.next().unwrap().unwrap(), "done");
    }
}

/// Where the programs are: on the path, or where Debian has them, the newest.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev().map(|(_, folder)| folder));
    folders
        .into_iter()
        .find(|folder| {
            ["initdb", "postgres"]
                .iter()
                .all(|name| folder.join(name).is_file())
        })
        .expect("PostgreSQL is installed (on Debian: the package postgresql)")
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|us| us.uid() == 0)
}
