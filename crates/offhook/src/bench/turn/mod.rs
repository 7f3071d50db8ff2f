//! `offhook bench turn`: how fast a TURN server relays, on this machine or elsewhere, and how fast this machine could at most.
//!
//! Works with any server of RFC 8656 over UDP. Synchronous and on one thread: it has two ends of a pipe to serve and
//! nothing to wait for. Never part of what serves. docs/turn.md says how to read its figures.

mod allocation;
mod forwarder;
mod plan;
mod pump;
mod refusal;
mod report;
mod run;
mod stamp;
mod wire;

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::Value;

use self::allocation::Credential;
use self::forwarder::Forwarder;
use self::plan::{Load, Path, Reach};
use self::report::Report;
use crate::bench::companion::{Companion, LISTENS};
use crate::bench::processor;
use crate::cli::Failure;
use crate::cli::output::{print, print_json};

/// Sockets and files beside those of the clients.
const OTHER_FILES: u64 = 64;
/// The longest user name (RFC 8489 §14.3).
const USER_MAX: usize = 508;

/// Flags of `offhook bench turn`.
#[derive(Args)]
pub(crate) struct TurnFlags {
    /// The TURN server, HOST:PORT, over UDP
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "forwarder")]
    server: Option<String>,
    /// Measure a bare forwarder instead, which is started for it: what the system allows at most
    #[arg(long, conflicts_with_all = ["server", "user", "password", "credential", "pid"])]
    forwarder: bool,
    /// User name of a long-term credential
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Its password
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "OFFHOOK_BENCH_PASSWORD",
        hide_env_values = true
    )]
    password: Option<String>,
    /// Read the credential from stdin, as /v1/turn_credentials answers
    #[arg(long, conflicts_with_all = ["user"])]
    credential: bool,
    /// Which way packets go
    #[arg(long, value_enum, default_value_t = Path::ClientPeer)]
    path: Path,
    /// Allocations; each has a socket of its own
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    allocations: usize,
    /// Bytes of a packet's payload
    #[arg(long, value_name = "BYTES", default_value_t = 172)]
    size: usize,
    /// Packets that each allocation sends in a row
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    burst: usize,
    /// Send each such row as one buffer (UDP_SEGMENT), as a program that sends video does
    #[arg(long)]
    segmented: bool,
    /// For how long packets are counted
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    seconds: f64,
    /// Packets under way at most [default: 128, or four rows]
    #[arg(long, value_name = "NUMBER")]
    window: Option<usize>,
    /// Offer so many packets a second, come what may
    #[arg(long, value_name = "PACKETS")]
    rate: Option<f64>,
    /// Own addresses that clients send from, in turn
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    from: Vec<IpAddr>,
    /// Own address that stands for the peers [default: the one that clients send from]
    #[arg(long, value_name = "IP")]
    peer: Option<IpAddr>,
    /// Run on this processor alone
    #[arg(long, value_name = "NUMBER")]
    cpu: Option<usize>,
    /// Run the bare forwarder on this processor alone
    #[arg(long, value_name = "NUMBER", requires = "forwarder")]
    forwarder_cpu: Option<usize>,
    /// The server's process, if it runs here: says what a packet costs it
    #[arg(long, value_name = "PROCESS")]
    pid: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Flags of `offhook bench forwarder`.
#[derive(Args)]
pub(crate) struct ForwarderFlags {
    /// Where it takes packets; port 0 is any port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Take and send rows of one flow as one buffer (UDP_GRO, UDP_SEGMENT)
    #[arg(long)]
    segmented: bool,
    /// Run on this processor alone
    #[arg(long, value_name = "NUMBER")]
    cpu: Option<usize>,
}

impl TurnFlags {
    pub(super) fn run(self) -> Result<(), Failure> {
        let load = self.load().map_err(Failure::usage)?;
        let report = if self.forwarder {
            self.measure_forwarder(&load)?
        } else {
            self.measure_server(&load)?
        };
        if self.json {
            print_json(&report.json())?;
        } else {
            print(report.text())?;
        }
        Ok(())
    }

    fn load(&self) -> Result<Load, String> {
        Load::new(
            self.path,
            self.size,
            self.allocations,
            self.burst,
            self.segmented,
            self.window,
            self.rate,
            self.seconds,
        )
    }

    fn measure_server(&self, load: &Load) -> Result<Report, Failure> {
        let server = self.server.as_deref().unwrap_or_default();
        let reach = self.reach(resolve(server).map_err(Failure::usage)?);
        let credential = self.credential()?;
        self.prepare(load)?;
        Ok(run::through_turn(&reach, credential, load, self.pid)?)
    }

    fn measure_forwarder(&self, load: &Load) -> Result<Report, Failure> {
        let forwarder = self.start_forwarder()?;
        self.prepare(load)?;
        let reach = self.reach(forwarder.address());
        let pid = forwarder.id();
        Ok(run::through_forwarder(&reach, load, Some(pid))?)
    }

    /// A bare forwarder, on any port of this machine.
    fn start_forwarder(&self) -> anyhow::Result<Companion> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).to_string();
        let mut arguments = vec!["forwarder", "--listen", any.as_str()];
        arguments.extend(self.segmented.then_some("--segmented"));
        Companion::start("the bare forwarder", &arguments, self.forwarder_cpu)
    }

    fn prepare(&self, load: &Load) -> anyhow::Result<()> {
        processor::allow_open_files(load.allocations as u64 + OTHER_FILES)?;
        self.cpu.map_or(Ok(()), processor::pin)
    }

    fn reach(&self, server: SocketAddr) -> Reach {
        Reach {
            server,
            from: self.from.clone(),
            peer: self.peer,
        }
    }

    fn credential(&self) -> Result<Credential, Failure> {
        let credential = match (&self.user, &self.password) {
            _ if self.credential => credential_in(std::io::stdin())?,
            (Some(user), Some(password)) => Credential {
                user: user.clone(),
                password: password.clone(),
            },
            (None, _) | (_, None) => {
                return Err(Failure::usage(
                    "a TURN server wants a credential: --user and --password, or --credential to read one from stdin",
                ));
            }
        };
        if credential.user.is_empty() || credential.user.len() > USER_MAX {
            return Err(Failure::usage(format!(
                "a user name has 1 to {USER_MAX} bytes"
            )));
        }
        Ok(credential)
    }
}

/// `{"username": …, "credential": …}`, as browsers want it, however deep it lies; `password` is understood as well.
fn credential_in(mut input: impl Read) -> anyhow::Result<Credential> {
    let mut text = String::new();
    input.read_to_string(&mut text)?;
    let answer: Value = serde_json::from_str(&text).context("what stdin has is no JSON")?;
    first_credential(&answer)
        .ok_or_else(|| anyhow!("the JSON at stdin has no `username` with a `credential`"))
}

fn first_credential(within: &Value) -> Option<Credential> {
    let word = |name: &str| within.get(name)?.as_str().map(str::to_owned);
    if let (Some(user), Some(password)) = (
        word("username"),
        word("credential").or_else(|| word("password")),
    ) {
        return Some(Credential { user, password });
    }
    match within {
        Value::Array(parts) => parts.iter().find_map(first_credential),
        Value::Object(parts) => parts.values().find_map(first_credential),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn resolve(server: &str) -> Result<SocketAddr, String> {
    let found = server.to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| format!("--server wants HOST:PORT of a host that exists, not `{server}`"))
}

impl ForwarderFlags {
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.cpu.map_or(Ok(()), processor::pin)?;
        let forwarder = Forwarder::bind(self.listen)?;
        print(format_args!("{LISTENS}{}", forwarder.address()?))?;
        forwarder.run(self.segmented)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_read_as_the_web_service_or_a_browser_writes_it() {
        let read = |text: &str| credential_in(text.as_bytes());
        let words = |text| read(text).map(|read| (read.user, read.password)).unwrap();
        let wanted = ("u".to_owned(), "p".to_owned());
        let served = r#"{"ice_servers":[{"urls":["stun:a"]},{"urls":["turn:a"],"username":"u","credential":"p"}],"ttl_s":600}"#;
        assert_eq!(words(served), wanted);
        assert_eq!(words(r#"{"username": "u", "password": "p"}"#), wanted);
        let fault = |text| read(text).map(drop).unwrap_err().to_string();
        assert_eq!(
            fault(r#"{"username": "u"}"#),
            "the JSON at stdin has no `username` with a `credential`"
        );
        assert_eq!(fault("no"), "what stdin has is no JSON");
    }

    #[test]
    fn a_server_is_a_host_and_a_port() {
        assert_eq!(
            resolve("127.0.0.1:3478"),
            Ok(([127, 0, 0, 1], 3_478).into())
        );
        assert!(resolve("127.0.0.1").unwrap_err().contains("HOST:PORT"));
    }
}
