//! Load as clients make it: SIP over WebSocket (RFC 7118) and the web service, against any server that speaks them.
//!
//! One thread, many sockets. The clients are as stock clients are, as far as a server can tell; they check nothing that they
//! are told but the status.

mod arrival;
mod calls;
mod course;
mod frame;
mod idle;
mod link;
mod meter;
mod register;
mod report;
mod sip;
mod storm;
mod swarm;
mod target;
mod tokens;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use clap::Args;
use node::model::limits;
use serde_json::json;

use self::arrival::arrive;
use self::calls::Calling;
use self::course::{Course, Pace};
use self::frame::Framing;
use self::idle::Idling;
use self::meter::{Meter, memory_of_family};
use self::register::Registering;
use self::report::Report;
use self::sip::Client;
use self::storm::Storm;
use self::swarm::Swarm;
use self::target::Target;
use self::tokens::{Login, TokenLoad};
use super::processor;
use crate::cli::Failure;
use crate::cli::output::{count, labelled, print, print_json, print_note};

/// Files beside the connections.
const OTHER_FILES: u64 = 128;
const CLIENTS_MAX: usize = 200_000;
/// How long a storm may take.
const STORM_PATIENCE: Duration = Duration::from_secs(300);

/// The server, and how its clients are let in.
#[derive(Args)]
pub(crate) struct TargetFlags {
    /// Where SIP over WebSocket is served; certificates are not checked
    #[arg(
        long,
        value_name = "ws://HOST:PORT/PATH",
        default_value = "ws://127.0.0.1:8080/sipproxy"
    )]
    server: String,
    /// The SIP domain of the account: KEY.webrtc-CLOUD.aculabcloud.net with its WebRTC access key and cloud id, or your own
    #[arg(long, value_name = "DOMAIN", default_value = "bench.example")]
    domain: String,
    /// Log in to the web service as this account and take tokens for the clients; without it they show none
    #[arg(long, value_name = "LOGIN", requires = "api_key")]
    login: Option<String>,
    /// Its API access key
    #[arg(
        long,
        value_name = "KEY",
        env = "OFFHOOK_BENCH_API_KEY",
        hide_env_values = true,
        // One in 64 keys begins with a hyphen.
        allow_hyphen_values = true
    )]
    api_key: Option<String>,
    /// A token that all clients show, for a server that does not look at whose it is
    #[arg(long, value_name = "JWT", conflicts_with = "login")]
    token: Option<String>,
    /// Run on this processor alone
    #[arg(long, value_name = "NUMBER")]
    cpu: Option<usize>,
    /// Never sleep: a server on this machine then spends nothing on waking this up, as it would not for clients elsewhere
    #[arg(long)]
    spin: bool,
    /// The server's process, if it runs here: says what it costs, with its children
    #[arg(long, value_name = "PROCESS")]
    server_pid: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How much, and for how long.
#[derive(Args)]
pub(crate) struct PaceFlags {
    /// For how long it is counted
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
    /// How many are under way at most
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 64,
        conflicts_with = "rate"
    )]
    window: usize,
    /// Offer so many a second, come what may
    #[arg(long, value_name = "NUMBER")]
    rate: Option<f64>,
}

/// Flags of `offhook bench register`.
#[derive(Args)]
pub(crate) struct RegisterFlags {
    #[command(flatten)]
    target: TargetFlags,
    #[command(flatten)]
    pace: PaceFlags,
    /// Registered clients, each with a connection
    #[arg(long, value_name = "NUMBER", default_value_t = 6_000)]
    clients: usize,
    /// Show a token that was never seen each time; each client has so many, and then it is over
    #[arg(long, value_name = "NUMBER", requires = "login")]
    fresh_tokens: Option<usize>,
}

/// Flags of `offhook bench calls`.
#[derive(Args)]
pub(crate) struct CallFlags {
    #[command(flatten)]
    target: TargetFlags,
    #[command(flatten)]
    pace: PaceFlags,
    /// Registered clients; each second one calls the next
    #[arg(long, value_name = "NUMBER", default_value_t = 6_000)]
    clients: usize,
    /// How long they talk: latency counts until the end of the call, set-up until it is answered
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    talk: f64,
}

/// Flags of `offhook bench idle`.
#[derive(Args)]
pub(crate) struct IdleFlags {
    #[command(flatten)]
    target: TargetFlags,
    /// Registered clients
    #[arg(long, value_name = "NUMBER", default_value_t = 20_000)]
    clients: usize,
    /// How long they are idle: they ask for TURN credentials every 30 s
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    seconds: f64,
    /// Ask for nothing
    #[arg(long)]
    silent: bool,
}

/// Flags of `offhook bench token`.
#[derive(Args)]
pub(crate) struct TokenFlags {
    #[command(flatten)]
    target: TargetFlags,
    #[command(flatten)]
    pace: PaceFlags,
    /// Connections, kept alive
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    connections: usize,
}

/// Flags of `offhook bench storm`.
#[derive(Args)]
pub(crate) struct StormFlags {
    #[command(flatten)]
    target: TargetFlags,
    /// Clients that come back
    #[arg(long, value_name = "NUMBER", default_value_t = 20_000)]
    clients: usize,
}

/// A number that no other run has: then nobody is taken for a client of another one that comes back.
fn run() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let s = since_1970.unwrap_or_default().as_secs();
    (u64::from(std::process::id()) << 17) | (s % (1 << 17))
}

/// Messages of a side that sends the most: one REGISTER; INVITE, ACK and BYE, or 180 and two 200.
const MESSAGES_FOR_REGISTRATION: u32 = 1;
const MESSAGES_FOR_CALL: u32 = 3;
/// So many are never held up by what a connection may send.
const MANY_CLIENTS: usize = 6_000;

impl PaceFlags {
    /// How many a second the clients may ask for, if so many connections may each begin one and send so many messages for it.
    /// Says so where that is what will be measured.
    fn bound(&self, begin: usize, messages: u32, what: &str, flags: &TargetFlags) -> Option<f64> {
        let each = limits::MESSAGES_PER_SECOND;
        let may = begin as f64 * f64::from(each) / f64::from(messages);
        let allowed = format!(
            "an offhook server takes {each} messages a second of a connection, so these clients may make {} {what} a second",
            count(may as u64)
        );
        let said = match self.rate {
            Some(rate) if rate > may => format!(
                "{allowed}, and --rate {rate} asks for more: it will refuse some; give more --clients or a lower --rate"
            ),
            None if begin < MANY_CLIENTS / 2 => {
                format!(
                    "{allowed}, and no more are offered; more --clients may make more, --rate offers what it says"
                )
            }
            Some(_) | None => String::new(),
        };
        if !said.is_empty() && !flags.json {
            print_note(&said);
        }
        self.rate.is_none().then_some(may)
    }

    fn pace(&self) -> Result<(Pace, Duration), Failure> {
        let pace = match self.rate {
            Some(rate) if (0.1..=10e6).contains(&rate) => Pace::Rate(rate),
            Some(_) => return Err(Failure::usage("--rate wants 0.1 to 10000000 a second")),
            None if self.window == 0 => return Err(Failure::usage("--window wants at least 1")),
            None => Pace::Window(self.window),
        };
        Ok((pace, seconds(self.seconds)?))
    }
}

fn seconds(seconds: f64) -> Result<Duration, Failure> {
    if (0.1..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(Failure::usage("--seconds wants 0.1 to 86400"))
    }
}

impl TargetFlags {
    /// Gets ready for so many connections.
    fn prepare(&self, connections: usize) -> Result<Target, Failure> {
        if !(1..=CLIENTS_MAX).contains(&connections) {
            return Err(Failure::usage(format!(
                "1 to {CLIENTS_MAX} clients can be made, not {connections}"
            )));
        }
        let mut target = Target::parse(&self.server).map_err(Failure::usage)?;
        target.spins = self.spin;
        processor::allow_open_files(connections as u64 + OTHER_FILES)?;
        if let Some(cpu) = self.cpu {
            processor::pin(cpu)?;
        }
        Ok(target)
    }

    fn login(&self) -> Option<Login> {
        let (user, api_key) = (self.login.clone()?, self.api_key.clone()?);
        Some(Login { user, api_key })
    }

    /// The clients, each with its token.
    fn clients(&self, target: &Target, number: usize) -> Result<Vec<Client>, Failure> {
        let ids: Vec<_> = (0..number).map(|number| format!("c{number}")).collect();
        let mut tokens = match self.login() {
            Some(login) => tokens::fetch(target, &login, &ids)?
                .into_iter()
                .map(Some)
                .collect(),
            None => vec![self.token.clone(); number],
        };
        let run = run();
        let clients = ids.into_iter().enumerate().map(|(number, id)| Client {
            run,
            id,
            domain: self.domain.clone(),
            token: tokens[number].take(),
            number,
            is_tls: target.tls.is_some(),
        });
        Ok(clients.collect())
    }

    fn meter(&self) -> Result<Meter, Failure> {
        Ok(Meter::new(self.server_pid)?)
    }

    fn memory(&self) -> Result<Option<u64>, Failure> {
        Ok(self.server_pid.map(memory_of_family).transpose()?)
    }

    fn print(&self, report: &Report) -> Result<(), Failure> {
        let lost = report.connections_lost();
        if let Some(why) = report.nothing_succeeded() {
            let lost = lost.map_or(String::new(), |lost| format!("; {lost}"));
            let server = &self.server;
            return Err(anyhow!("{server} did not serve a single one: {why}{lost}").into());
        }
        if self.json {
            print_json(&report.json())?;
        } else {
            print(report.text())?;
        }
        match lost {
            Some(lost) => Err(anyhow!("{lost}").into()),
            None => Ok(()),
        }
    }
}

impl RegisterFlags {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (pace, length) = self.pace.pace()?;
        let target = self.target.prepare(self.clients)?;
        let clients = self.target.clients(&target, self.clients)?;
        let fresh = self.fresh(&target, &clients)?;
        let mut swarm = Swarm::new(&target, Framing::WebSocket, self.clients)?;
        let templates = arrive(&mut swarm, &clients, true)?;
        let bound = self.pace.bound(
            self.clients,
            MESSAGES_FOR_REGISTRATION,
            "registrations",
            &self.target,
        );
        let mut course = Course::new(pace, length, self.target.meter()?).at_most(bound);
        if fresh.is_some() {
            course = course.at_once();
        }
        let mut registering = Registering::new(course, clients, templates, fresh);
        let busy = swarm.run(&mut registering)?;
        let course = registering.into_course();
        self.target.print(&Report::new(
            "registrations",
            &self.target.server,
            self.clients,
            pace,
            course,
            busy,
        ))
    }

    fn fresh(
        &self,
        target: &Target,
        clients: &[Client],
    ) -> Result<Option<Vec<Vec<String>>>, Failure> {
        let (Some(each), Some(login)) = (self.fresh_tokens, self.target.login()) else {
            return Ok(None);
        };
        let ids: Vec<_> = clients.iter().map(|client| client.id.clone()).collect();
        let mut fresh = vec![Vec::new(); clients.len()];
        for _ in 0..each {
            let tokens = tokens::fetch(target, &login, &ids)?;
            for (own, token) in fresh.iter_mut().zip(tokens) {
                own.push(token);
            }
        }
        Ok(Some(fresh))
    }
}

impl CallFlags {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (pace, length) = self.pace.pace()?;
        if !(0.0..=86_400.0).contains(&self.talk) {
            return Err(Failure::usage("--talk wants 0 to 86400 seconds"));
        }
        if !self.clients.is_multiple_of(2) {
            return Err(Failure::usage(
                "--clients wants an even number: they call each other in pairs",
            ));
        }
        let target = self.target.prepare(self.clients)?;
        let clients = self.target.clients(&target, self.clients)?;
        let mut swarm = Swarm::new(&target, Framing::WebSocket, self.clients)?;
        arrive(&mut swarm, &clients, true)?;
        let bound = self
            .pace
            .bound(self.clients / 2, MESSAGES_FOR_CALL, "calls", &self.target);
        let course = Course::new(pace, length, self.target.meter()?).at_most(bound);
        let talk = Duration::from_secs_f64(self.talk);
        let mut calling = Calling::new(course, clients, talk);
        let busy = swarm.run(&mut calling)?;
        let (course, set_up) = calling.into_course();
        let report = Report::new(
            "calls",
            &self.target.server,
            self.clients,
            pace,
            course,
            busy,
        );
        self.target.print(&report.and_latency("set-up", &set_up))
    }
}

impl IdleFlags {
    pub(super) fn run(self) -> Result<(), Failure> {
        let length = seconds(self.seconds)?;
        let target = self.target.prepare(self.clients)?;
        let clients = self.target.clients(&target, self.clients)?;
        let before = self.target.memory()?;
        let mut swarm = Swarm::new(&target, Framing::WebSocket, self.clients)?;
        arrive(&mut swarm, &clients, true)?;
        let registered = self.target.memory()?;
        let pace = Pace::Rate(if self.silent {
            1e-6
        } else {
            self.clients as f64 / 30.0
        });
        let course = Course::new(pace, length, self.target.meter()?);
        let mut idling = Idling::new(course, &clients);
        let busy = swarm.run(&mut idling)?;
        let after = self.target.memory()?;
        let mut report = Report::new(
            "requests",
            &self.target.server,
            self.clients,
            pace,
            idling.into_course(),
            busy,
        );
        let each = |memory: u64, before: u64| memory.saturating_sub(before) / self.clients as u64;
        if let (Some(before), Some(registered), Some(after)) = (before, registered, after) {
            report = report
                .and("bytes for a client", each(after, before))
                .and("bytes right after", each(registered, before))
                .and("bytes before", before);
        }
        self.target.print(&report)
    }
}

impl TokenFlags {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (pace, length) = self.pace.pace()?;
        let target = self.target.prepare(self.connections)?;
        let login = self.target.login();
        let login = login.ok_or_else(|| Failure::usage("tokens want --login and --api-key"))?;
        let course = Course::new(pace, length, self.target.meter()?);
        let mut swarm = Swarm::new(&target, Framing::Http, self.connections)?;
        let mut load = TokenLoad::new(login.request(&target, "bob"), self.connections, course);
        let busy = swarm.run(&mut load)?;
        let scheme = if target.tls.is_some() {
            "https"
        } else {
            "http"
        };
        self.target.print(&Report::new(
            "tokens",
            &format!("{scheme}://{}/webrtc_generate_token", target.host),
            self.connections,
            pace,
            load.into_course(),
            busy,
        ))
    }
}

impl StormFlags {
    pub(super) fn run(self) -> Result<(), Failure> {
        let target = self.target.prepare(self.clients)?;
        let clients = self.target.clients(&target, self.clients)?;
        let mut swarm = Swarm::new(&target, Framing::WebSocket, self.clients)?;
        let mut storm = Storm::new(&clients, STORM_PATIENCE);
        swarm.run(&mut storm)?;
        if storm.registered_after.is_empty() {
            let server = &self.target.server;
            let why = storm.failures_in_words();
            return Err(anyhow!("{server} did not register a single one: {why}").into());
        }
        let after = |percent: usize| {
            let place = (self.clients * percent).div_ceil(100).max(1) - 1;
            storm.registered_after.get(place).map(Duration::as_secs_f64)
        };
        let times = [50, 90, 99, 100].map(|percent| (percent, after(percent)));
        if self.target.json {
            let failures: serde_json::Map<_, _> = storm
                .failures
                .iter()
                .map(|(why, times)| (why.clone(), json!(times)))
                .collect();
            print_json(&json!({
                "what": "storm",
                "server": self.target.server,
                "clients": self.clients,
                "registered": storm.registered_after.len(),
                "attempts": storm.attempts,
                "failures": failures,
                "p50_s": times[0].1,
                "p90_s": times[1].1,
                "p99_s": times[2].1,
                "all_s": times[3].1,
            }))?;
            return Ok(());
        }
        let times = times.map(|(percent, time)| match time {
            Some(time) => format!("{percent} % after {time:.2} s"),
            None => format!("{percent} % never"),
        });
        print(labelled([
            ("server", self.target.server.clone()),
            ("clients", count(self.clients as u64)),
            ("registered", times.join(", ")),
            ("attempts", count(storm.attempts)),
            ("failures", storm.failures_in_words()),
        ]))?;
        Ok(())
    }
}
