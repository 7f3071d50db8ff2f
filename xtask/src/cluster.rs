//! `cargo xtask cluster`: three servers that work as one, on this machine, to try out. A Redis and a PostgreSQL of their own in temporary
//! folders, an account, and an address for each server; all of it ends at Ctrl-C.
//!
//! Nothing that is installed here besides is touched, and nothing is left. docs/cluster.md says how it is done in earnest.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{SigSet, Signal};

use crate::install;
use crate::offhook::{Account, Offhook};
use crate::scripts;
use crate::step::{cargo, output_of, run as step, succeed};
use crate::workspace;

const FLAGS: &str = "[--nodes N]";
const NODES: std::ops::RangeInclusive<u16> = 1..=20;
/// The first node's port, if nobody has it.
const FIRST_PORT: u16 = 8081;
/// With one click the softphone page makes clients of it.
const USERNAME: &str = "demo@example.com";
/// Programs, and the Debian packages that bring them.
const NEEDS: [(&str, &[&str]); 3] = [
    ("redis-server", &["redis-server"]),
    // The server itself is not on the path.
    ("pg_ctlcluster", &["postgresql"]),
    ("setpriv", &["util-linux"]),
];
const REDIS: &str = include_str!("../../crates/store/tests/bus/server.sh");
const POSTGRES: &str = include_str!("../../crates/store/tests/postgres/server.sh");

/// Starts it, and waits for Ctrl-C.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let count = read(arguments)?;
    install::packages(&NEEDS)?;
    let program = program()?;
    let folder = temporary_folder()?;
    let outcome = Cluster::start(&program, &folder, count).and_then(|mut cluster| {
        cluster.tell();
        cluster.watch()
    });
    match &outcome {
        Ok(()) => drop(std::fs::remove_dir_all(&folder)),
        Err(_) => println!("    what the servers said is kept in {}", folder.display()),
    }
    outcome
}

fn read(arguments: &[String]) -> Result<u16, String> {
    match arguments {
        [] => Ok(3),
        [flag, number] if flag == "--nodes" => number
            .parse()
            .ok()
            .filter(|number| NODES.contains(number))
            .ok_or_else(|| {
                let (least, most) = (NODES.start(), NODES.end());
                format!("`--nodes` wants a number from {least} to {most}, not `{number}`")
            }),
        other => Err(format!(
            "cluster knows only {FLAGS}, not `{}`",
            other.join(" ")
        )),
    }
}

/// The program that README has people build, unless the environment names one.
fn program() -> Result<PathBuf, String> {
    if let Some(program) = scripts::server_of_its_own() {
        return Ok(program);
    }
    let root = workspace::root();
    let words = ["build", "--release", "-p", "offhook"];
    step("build offhook, as it is shipped", || {
        succeed(cargo().args(words).current_dir(&root))
    })?;
    Ok(workspace::target_folder(&root)?
        .join("release")
        .join("offhook"))
}

fn temporary_folder() -> Result<PathBuf, String> {
    let name = format!("offhook-cluster-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    make_folder(&folder)?;
    Ok(folder)
}

fn make_folder(folder: &Path) -> Result<(), String> {
    std::fs::create_dir(folder)
        .map_err(|error| format!("{} cannot be made: {error}", folder.display()))
}

/// In the order in which they end.
struct Cluster {
    nodes: Vec<Node>,
    account: Account,
    redis: Script,
    postgres: Script,
    bus: String,
    store: String,
}

struct Node {
    number: u16,
    port: u16,
    server: Offhook,
    has_ended: bool,
}

impl Cluster {
    fn start(program: &Path, folder: &Path, count: u16) -> Result<Self, String> {
        let (redis, bus) = start_redis(folder)?;
        let (postgres, store) = start_postgres()?;
        let account = Account::create_in(program, &folder.join("command"), &store, USERNAME)?;
        let mut cluster = Self {
            nodes: Vec::new(),
            account,
            redis,
            postgres,
            bus,
            store,
        };
        let mut port = FIRST_PORT;
        for number in 1..=count {
            port = free_port(port)?;
            let server = cluster.serve(program, &folder.join(format!("node-{number}")), port)?;
            cluster.nodes.push(Node {
                number,
                port,
                server,
                has_ended: false,
            });
            port += 1;
        }
        Ok(cluster)
    }

    /// A node with a data folder of its own.
    fn serve(&self, program: &Path, data: &Path, port: u16) -> Result<Offhook, String> {
        make_folder(data)?;
        let log = data.join("log");
        let log = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        // It dies with us, whatever becomes of us. Ctrl-C is for us alone: we end all in order.
        let mut command = alone("setpriv");
        command
            .args(["--pdeathsig", "TERM", "--"])
            .arg(program)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            // Only one of them could have the usual ports.
            .args([
                "--turn-listen",
                "127.0.0.1:0",
                "--media-listen",
                "127.0.0.1:0",
            ])
            .args(["--bus", &self.bus, "--store", &self.store, "--data"])
            .arg(data)
            .stderr(log);
        Offhook::start(command, false)
    }

    /// What there is, and what to try.
    fn tell(&self) {
        println!("\n{} servers work as one:\n", self.nodes.len());
        for Node {
            number,
            port,
            server,
            ..
        } in &self.nodes
        {
            let pid = server.pid();
            println!("    node {number}   http://127.0.0.1:{port}   process {pid}");
        }
        println!(
            "\n    account {}   API key {}\n    --bus {}\n    --store {}\n",
            self.account.login, self.account.api_key, self.bus, self.store
        );
        let [first, .., last] = &self.nodes[..] else {
            println!("Ctrl-C ends everything.");
            return;
        };
        println!("Try:");
        println!(
            "  - Open two of the pages, make a demo client in each with one click, and call one from the other."
        );
        println!("  - Any node lists the clients of all:");
        println!(
            "      curl -u '{}:{}' http://127.0.0.1:{}/webrtc_registered_clients",
            self.account.login, self.account.api_key, last.port
        );
        println!(
            "  - Kill the node of one of them in the call: `kill -9 {}`. The other is told why within 8 s; open the page of another node\n    and sign in with the same name: it can be called again.",
            first.server.pid()
        );
        println!("Ctrl-C ends everything.");
    }

    /// Says when a node ends, until it is told to end all of them.
    fn watch(&mut self) -> Result<(), String> {
        // Only now: what we start would have them blocked too.
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGCHLD]);
        let fault = |error| format!("Ctrl-C cannot be waited for: {error}");
        signals.thread_block().map_err(fault)?;
        loop {
            for node in self.nodes.iter_mut().filter(|node| !node.has_ended) {
                if let Some(status) = node.server.ended() {
                    node.has_ended = true;
                    println!(
                        "node {} has ended ({status}); the others go on",
                        node.number
                    );
                }
            }
            if signals.wait().map_err(fault)? != Signal::SIGCHLD {
                println!("\nending all of it");
                return self.end();
            }
        }
    }

    /// The nodes in order, and only then what they work with.
    fn end(&mut self) -> Result<(), String> {
        for node in self.nodes.iter().filter(|node| !node.has_ended) {
            node.server.terminate()?;
        }
        for node in &mut self.nodes {
            node.server.wait();
        }
        self.redis.end();
        self.postgres.end();
        Ok(())
    }
}

/// A program that a Ctrl-C at our terminal does not reach.
fn alone(program: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    command.process_group(0);
    command
}

/// A server that a script of the store's tests runs; it ends with its input.
struct Script {
    input: Option<ChildStdin>,
    /// Kept open, so that it can go on writing.
    _output: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Script {
    /// Starts it; gives back what it says first, too.
    fn start(name: &str, mut command: Command) -> Result<(Self, String), String> {
        let mut child = command
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name} could not be started: {error}"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().expect("it was piped");
        let mut output = BufReader::new(output).lines();
        let said = output.next().and_then(Result::ok);
        let script = Self {
            input,
            _output: output,
            child,
        };
        match said {
            Some(said) => Ok((script, said)),
            None => Err(format!("{name} does not start; what it says stands above")),
        }
    }

    fn end(&mut self) {
        drop(self.input.take());
        // It may have ended by itself.
        let _ = self.child.wait();
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.end();
    }
}

fn start_redis(folder: &Path) -> Result<(Script, String), String> {
    let port = free_port(0)?;
    let home = folder.join("redis");
    make_folder(&home)?;
    let path = home.join("redis.conf");
    File::create(&path)
        .and_then(|mut file| {
            let home = home.display();
            write!(file, "bind 127.0.0.1\nport {port}\ndir {home}\nsave \"\"\n")
        })
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    let mut command = alone("sh");
    command.args(["-c", REDIS, "server.sh"]).arg(&home);
    let (script, _) = Script::start("Redis", command)?;
    Ok((script, format!("redis://127.0.0.1:{port}")))
}

fn start_postgres() -> Result<(Script, String), String> {
    let programs = postgres_programs()?;
    let is_root = output_of(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = if is_root {
        // PostgreSQL refuses to run as root; Debian's package makes this user.
        let user = ["--reuid", "postgres", "--regid", "postgres"];
        let mut command = alone("setpriv");
        command.args(user).args(["--clear-groups", "sh"]);
        command
    } else {
        alone("sh")
    };
    command.args(["-c", POSTGRES, "server.sh"]).arg(&programs);
    let (script, folder) = Script::start("PostgreSQL", command)?;
    let host = folder.replace('/', "%2F");
    Ok((script, format!("postgres://offhook@{host}/postgres")))
}

/// Where Debian has the newest.
fn postgres_programs() -> Result<PathBuf, String> {
    let folders = std::fs::read_dir("/usr/lib/postgresql");
    let versions = folders.into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?;
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let newest = versions
        .filter(|(_, folder)| folder.join("initdb").is_file())
        .max();
    newest.map(|(_, folder)| folder).ok_or_else(|| {
        "PostgreSQL's own programs are not in /usr/lib/postgresql; Debian's package postgresql brings them".to_owned()
    })
}

/// A port that nobody has now: this one or one of the next; for 0 any.
fn free_port(from: u16) -> Result<u16, String> {
    (from..=from.saturating_add(1_000))
        .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .and_then(|listener| listener.local_addr().ok())
        .map(|address| address.port())
        .ok_or_else(|| format!("there is no free port at 127.0.0.1 from {from} on"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(text: &str) -> Result<u16, String> {
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        read(&words)
    }

    #[test]
    fn a_wish_is_read_or_refused() {
        assert_eq!(wish(""), Ok(3));
        assert_eq!(wish("--nodes 5"), Ok(5));
        for wrong in ["--nodes", "--nodes 0", "--nodes some", "--node 3", "5"] {
            let sentence = wish(wrong).unwrap_err();
            assert!(sentence.contains("--nodes"), "{sentence}");
        }
    }

    #[test]
    fn a_port_that_somebody_has_is_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(free_port(port).is_ok_and(|free| free != port));
    }
}
