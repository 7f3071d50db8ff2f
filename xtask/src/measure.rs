//! `cargo xtask measure`: figures of the whole server that no benchmark of a crate shows. `measure idle` says what a
//! plain connection with a registered client costs the process while it is idle.
//!
//! Builds and runs the release server on a folder of its own. The server is told that a proxy stands before it, so that
//! each client can have an address of its own. Counts what the process holds, not the socket buffers of the system.

mod client;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use self::client::Client;
use crate::step::{cargo, output_of, run as step, succeed};
use crate::workspace;

const DEFAULT_CONNECTIONS: usize = 10_000;
/// Most connections from one source address to one port: the range of ephemeral ports.
const CONNECTIONS_MAX: usize = 25_000;
/// Open files beside the connections.
const OTHER_FILES: usize = 256;
/// Set for the process that runs again with more open files.
const RAISED: &str = "OFFHOOK_MEASURE_RAISED";
/// What an idle connection may cost.
const TARGET_BYTES: u64 = 16 * 1024;
/// Pings that each client answers before it counts as idle: by then nothing is kept for its REGISTER any more.
const PINGS: u32 = 2;
/// How long to wait for anything before giving up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the measurement that is named.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    match arguments.split_first() {
        Some((what, rest)) if what == "idle" => idle(&Wish::read(rest)?, arguments),
        Some((other, _)) => Err(format!(
            "there is no measurement `{other}`; there is: idle {IDLE_FLAGS}"
        )),
        None => Err(format!("measure wants to know what: idle {IDLE_FLAGS}")),
    }
}

const IDLE_FLAGS: &str = "[--connections N] [--resumable]";

/// What is to be measured.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    connections: usize,
    /// Whether the clients speak `sip-resume` (docs/resume.md).
    resumable: bool,
}

impl Wish {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut wish = Self {
            connections: DEFAULT_CONNECTIONS,
            resumable: false,
        };
        let mut words = arguments.iter().map(String::as_str);
        while let Some(flag) = words.next() {
            match flag {
                "--resumable" => wish.resumable = true,
                "--connections" => {
                    let number = words.next().and_then(|number| number.parse().ok());
                    wish.connections = number
                        .filter(|number| (1..=CONNECTIONS_MAX).contains(number))
                        .ok_or_else(|| {
                            format!("`--connections` wants a number from 1 to {CONNECTIONS_MAX}")
                        })?;
                }
                other => {
                    return Err(format!(
                        "measure idle knows only {IDLE_FLAGS}, not `{other}`"
                    ));
                }
            }
        }
        Ok(wish)
    }
}

fn idle(wish: &Wish, arguments: &[String]) -> Result<(), String> {
    let connections = wish.connections;
    let files = connections + OTHER_FILES;
    if open_files()? < files {
        return run_with(files, arguments);
    }
    let root = workspace::root();
    step("build", || {
        succeed(
            cargo()
                .args(["build", "--release", "-p", "offhook"])
                .current_dir(&root),
        )
    })?;
    let program = workspace::target_folder(&root)?.join("release/offhook");
    let folder = Folder::new()?;
    let account = Account::create(&program, &folder.0)?;
    let server = Server::start(&program, &folder.0)?;
    let mut tokens = Vec::new();
    step("tokens", || {
        tokens = account.tokens(server.address, connections)?;
        Ok(())
    })?;
    let before = server.memory()?;
    let mut clients = Vec::new();
    step("connect and register", || {
        for (number, token) in tokens.iter().enumerate() {
            clients.push(Client::register(
                server.address,
                &account,
                number,
                token,
                wish.resumable,
            )?);
        }
        account.await_registered(server.address, connections)
    })?;
    let registered = server.memory()?;
    step("answer pings", || answer_pings(&mut clients))?;
    account.await_registered(server.address, connections)?;
    let at_rest = server.memory()?;
    println!("{}", report(wish, &[before, registered, at_rest]));
    Ok(())
}

/// Bytes that the server holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Memory {
    resident: u64,
    /// Pages shared with others count in part.
    proportional: u64,
}

fn report(wish: &Wish, [before, registered, idle]: &[Memory; 3]) -> String {
    let connections = wish.connections;
    let kind = if wish.resumable { "resumable" } else { "plain" };
    let mut text = format!("\n{connections} {kind} connections, a registered client on each\n\n");
    let mut line = |name: &str, memory: &Memory, per_connection: String| {
        let (resident, proportional) = (memory.resident / 1024, memory.proportional / 1024);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{name:<24}{resident:>9} KiB RSS{proportional:>9} KiB PSS{per_connection}"
        );
    };
    let each = |memory: &Memory| {
        memory.proportional.saturating_sub(before.proportional) / connections as u64
    };
    line("before", before, String::new());
    for (name, memory) in [("just registered", registered), ("idle", idle)] {
        let each = each(memory);
        line(name, memory, format!("{each:>9} bytes a connection"));
    }
    let verdict = if each(idle) <= TARGET_BYTES {
        "within"
    } else {
        "ABOVE"
    };
    let _ = write!(
        text,
        "\nThat is {verdict} the target of {TARGET_BYTES} bytes."
    );
    text
}

/// The limit of open files of this process, which is also the most that the server can raise its own to.
fn open_files() -> Result<usize, String> {
    let limits = read(Path::new("/proc/self/limits"))?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    match line.and_then(|line| line.split_whitespace().nth(3)) {
        Some("unlimited") => Ok(usize::MAX),
        Some(number) => number
            .parse()
            .map_err(|_| format!("`{number}` is no limit of open files")),
        None => Err("/proc/self/limits names no limit of open files".to_owned()),
    }
}

/// Runs this task again in a shell that may open more files.
fn run_with(files: usize, arguments: &[String]) -> Result<(), String> {
    let refused = format!(
        "this needs {files} open files, more than the system lets this user have; \
         ask for fewer with --connections N"
    );
    if std::env::var_os(RAISED).is_some() {
        return Err(refused);
    }
    println!("raising the limit of open files to {files}");
    let own = std::env::current_exe().map_err(|error| format!("cannot find xtask: {error}"))?;
    let status = Command::new("sh")
        .args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &files.to_string()])
        .arg(own)
        .arg("measure")
        .args(arguments)
        .env(RAISED, "1")
        .status()
        .map_err(|error| format!("`sh` could not be started: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(refused)
    }
}

/// A folder for one run.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("offhook-measure-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The server under measurement; it ends with this.
struct Server {
    process: Child,
    address: SocketAddr,
    /// Kept open, so that the server can go on writing.
    _output: BufReader<ChildStdout>,
}

impl Server {
    fn start(program: &Path, folder: &Path) -> Result<Self, String> {
        let mut process = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--behind-tls-proxy"])
            .args(["--turn-listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(folder)
            .env("OFFHOOK_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} could not be started: {error}", program.display()))?;
        let output = process.stdout.take().expect("it was piped");
        let mut output = BufReader::new(output);
        let mut line = String::new();
        loop {
            line.clear();
            match output.read_line(&mut line) {
                Ok(0) => return Err("the server ended before it served".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("the server cannot be read: {error}")),
            }
            let Some(address) = line.trim().strip_prefix("offhook serves http://") else {
                continue;
            };
            let address = address
                .parse()
                .map_err(|_| format!("`{address}` is no address"))?;
            return Ok(Self {
                process,
                address,
                _output: output,
            });
        }
    }

    fn memory(&self) -> Result<Memory, String> {
        let process = PathBuf::from(format!("/proc/{}", self.process.id()));
        let kilobytes = |file: &str, row: &str| {
            let path = process.join(file);
            let text = read(&path)?;
            text.lines()
                .find_map(|line| line.strip_prefix(row)?.split_whitespace().next())
                .and_then(|number| number.parse::<u64>().ok())
                .map(|number| number * 1024)
                .ok_or_else(|| format!("{} has no row `{row}`", path.display()))
        };
        Ok(Memory {
            resident: kilobytes("status", "VmRSS:")?,
            proportional: kilobytes("smaps_rollup", "Pss:")?,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The account whose clients register.
struct Account {
    authorization: String,
    domain: String,
}

impl Account {
    fn create(program: &Path, folder: &Path) -> Result<Self, String> {
        let text = output_of(
            Command::new(program)
                .args(["account", "create", "--json", "--type", "production"])
                .args(["--cloud-id", "1-2-0", "--username", "idle@example.com"])
                .arg("--data")
                .arg(folder),
        )?;
        let created: Value = serde_json::from_str(&text)
            .map_err(|error| format!("`account create` wrote no JSON: {error}"))?;
        let field = |name: &str| {
            created[name]
                .as_str()
                .ok_or_else(|| format!("`account create` names no {name}"))
        };
        let login = format!(
            "{}/{}:{}",
            field("cloud_id")?,
            field("username")?,
            field("api_key")?
        );
        Ok(Self {
            authorization: format!("Basic {}", base64(login.as_bytes())),
            domain: format!(
                "{}.webrtc-{}.aculabcloud.net",
                field("webrtc_access_key")?,
                field("cloud_id")?
            ),
        })
    }

    fn tokens(&self, server: SocketAddr, count: usize) -> Result<Vec<String>, String> {
        let mut http = BufReader::new(connect(server)?);
        (0..count)
            .map(|number| {
                let path = format!("/webrtc_generate_token?client_id=c{number}&ttl=86400");
                let answer = self.get(&mut http, &path)?;
                answer["token"]
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| format!("no token came: {answer}"))
            })
            .collect()
    }

    /// Waits until the list of registered clients has so many.
    fn await_registered(&self, server: SocketAddr, count: usize) -> Result<(), String> {
        let mut http = BufReader::new(connect(server)?);
        let begun = Instant::now();
        loop {
            let list = self.get(&mut http, "/webrtc_registered_clients")?;
            let length = list.as_array().map_or(0, Vec::len);
            if length == count {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{length} clients are registered, not {count}"));
            }
        }
    }

    fn get(&self, http: &mut BufReader<TcpStream>, path: &str) -> Result<Value, String> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n\r\n",
            self.authorization
        );
        let broken = |error| format!("the web service cannot be reached: {error}");
        http.get_mut()
            .write_all(request.as_bytes())
            .map_err(broken)?;
        let head = read_head(http).map_err(broken)?;
        let length = head
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
            .ok_or_else(|| format!("an answer has no Content-Length: {head}"))?;
        let mut body = vec![0; length];
        http.read_exact(&mut body).map_err(broken)?;
        serde_json::from_slice(&body).map_err(|error| format!("an answer is no JSON: {error}"))
    }
}

/// Keeps every connection alive until each has answered its pings.
fn answer_pings(clients: &mut [Client]) -> Result<(), String> {
    let begun = Instant::now();
    for client in &*clients {
        client
            .stream
            .set_nonblocking(true)
            .map_err(|error| format!("a connection cannot be polled: {error}"))?;
    }
    while clients.iter().any(|client| client.pings < PINGS) {
        for client in &mut *clients {
            client.answer()?;
        }
        if begun.elapsed() > PATIENCE {
            return Err("some connections were not pinged".to_owned());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn connect(server: SocketAddr) -> Result<TcpStream, String> {
    let failed = |error| format!("{server} cannot be reached: {error}");
    let stream = TcpStream::connect(server).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    Ok(stream)
}

/// Reads to the empty line.
fn read_head(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| {
            bits << 8 | usize::from(group.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            text.push(if at <= group.len() {
                char::from(LETTERS[bits >> (18 - 6 * at) & 63])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_or_refused() {
        let read =
            |words: &[&str]| Wish::read(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        let wish = |connections, resumable| {
            Ok(Wish {
                connections,
                resumable,
            })
        };
        assert_eq!(read(&[]), wish(DEFAULT_CONNECTIONS, false));
        assert_eq!(read(&["--resumable", "--connections", "7"]), wish(7, true));
        for wrong in [
            &["--connections", "0"][..],
            &["--connections", "x"],
            &["--connections"],
            &["7"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn base64_pads_to_groups_of_four() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn the_report_divides_what_was_added() {
        let memory = |kib: u64| Memory {
            resident: kib * 1024,
            proportional: kib * 1024,
        };
        let wish = Wish {
            connections: 10,
            resumable: true,
        };
        let within = report(&wish, &[memory(100), memory(300), memory(260)]);
        assert!(within.contains("20480 bytes a connection"), "{within}");
        assert!(within.contains("16384 bytes a connection"), "{within}");
        assert!(within.contains("within the target"), "{within}");
        let above = report(&wish, &[memory(100), memory(300), memory(261)]);
        assert!(above.contains("ABOVE the target"), "{above}");
    }
}
