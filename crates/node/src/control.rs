//! The control socket: how the command line asks a running server.
//!
//! A Unix socket in the data folder, open to its owner alone. One line of JSON asks, one line of JSON answers:
//! `{"ask":"clients","account":null}`, `{"ask":"status"}`, `{"ask":"directory"}` by whoever has changed something and waits until the
//! server works with that, or `{"ask":"drain"}`. Beside that it only tells; what changes something goes through the store.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::{Account, Login, UnixTime};
use serde::Deserialize;
use serde_json::{Value, json};
use switch::Census;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use turn::RelayAddress;

use crate::directory_watch::DirectoryWatch;
use crate::media_worker::Gateway;
use crate::record_writer::RecordWriter;
use crate::relay::{Bound, Relay};
use crate::signalling::Signalling;
use crate::transport::Capacity;
use crate::trunk_worker::Lines;

const FILE_NAME: &str = "control.sock";
/// One question.
const QUESTION_BYTES: u64 = 4096;
/// One answer: a list of many clients.
const ANSWER_BYTES: u64 = 1024 * 1024 * 1024;
/// How long question and answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// `sun_path` of `sockaddr_un`, with its final zero (unix(7)).
const SOCKET_PATH_BYTES: usize = 108;

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlFault {
    /// Nobody listens.
    #[error("no server runs on the data folder {folder}; start one with `offhook serve --data {folder}`", folder = .0.display())]
    NoServer(PathBuf),
    /// It is there, but cannot be reached.
    #[error("the server on the data folder {} cannot be asked: {source}", data.display())]
    Unreachable {
        /// The folder.
        data: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It did not answer in a way that can be read.
    #[error("the server on the data folder {} gave no answer that can be read; is it of another version?", .0.display())]
    NoAnswer(PathBuf),
    /// It answered that it will not.
    #[error("{0}")]
    Refused(String),
}

/// Asks the server that runs on `data`.
pub async fn ask(data: &Path, question: Value) -> Result<Value, ControlFault> {
    let unreachable = |source: io::Error| {
        let data = data.to_owned();
        if matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
        ) {
            ControlFault::NoServer(data)
        } else {
            ControlFault::Unreachable { data, source }
        }
    };
    let conversation = async {
        let (path, _folder) = socket_path(data)?;
        let stream = UnixStream::connect(path).await?;
        converse(stream, &question).await
    };
    let line = match tokio::time::timeout(PATIENCE, conversation).await {
        Ok(line) => line.map_err(unreachable)?,
        Err(_) => return Err(unreachable(io::ErrorKind::TimedOut.into())),
    };
    let answer: Value =
        serde_json::from_str(&line).map_err(|_| ControlFault::NoAnswer(data.to_owned()))?;
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => Err(ControlFault::Refused(error.to_owned())),
        None => Ok(answer),
    }
}

async fn converse(mut stream: UnixStream, question: &Value) -> io::Result<String> {
    stream.write_all(format!("{question}\n").as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(stream.take(ANSWER_BYTES))
        .read_line(&mut line)
        .await?;
    Ok(line)
}

/// Where the socket is, in a form that is short enough for one: a long path is gone through the folder's descriptor,
/// which must be kept until the socket is bound or connected.
fn socket_path(data: &Path) -> io::Result<(PathBuf, Option<std::fs::File>)> {
    let path = data.join(FILE_NAME);
    if path.as_os_str().len() < SOCKET_PATH_BYTES {
        return Ok((path, None));
    }
    let folder = std::fs::File::open(data)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(FILE_NAME);
    Ok((short, Some(folder)))
}

/// What may be asked.
#[derive(Debug, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase", deny_unknown_fields)]
enum Question {
    /// Who is registered, of one account or of all.
    Clients {
        #[serde(default)]
        account: Option<String>,
    },
    /// Counters and what the shards hold.
    Status {},
    /// Whether the server works with what the store holds now. Answered when it does, or when it takes too long.
    Directory {},
    /// That it takes nothing new, and ends when nothing is left.
    Drain {},
}

/// The socket of a server; its file goes when this does.
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Binds the socket; the caller holds the folder's lock, so a file that is there is a dead server's.
    pub(crate) fn bind(data: &Path) -> io::Result<Self> {
        let path = data.join(FILE_NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let (short, _folder) = socket_path(data)?;
        let listener = UnixListener::bind(short)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Answers questions; never ends.
    pub(crate) async fn run(self, answerer: Arc<Answerer>) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Out of files, most likely: give it a moment.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let answerer = Arc::clone(&answerer);
            tokio::spawn(async move {
                let _ = tokio::time::timeout(PATIENCE, answerer.serve(stream)).await;
            });
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Knows the answers.
pub(crate) struct Answerer {
    pub(crate) signalling: Arc<Signalling>,
    pub(crate) watch: Arc<DirectoryWatch>,
    pub(crate) capacity: Arc<Capacity>,
    pub(crate) records: Arc<RecordWriter>,
    pub(crate) listen: SocketAddr,
    /// None where TURN is switched off.
    pub(crate) turn: Option<TurnStatus>,
    /// None where the media gateway is switched off.
    pub(crate) gateway: Option<Gateway>,
    /// None where there is no trunk.
    pub(crate) lines: Option<Arc<Lines>>,
    /// How long calls may go on once it is to end, in seconds.
    pub(crate) drain_s: u64,
    /// Says that it is to end.
    pub(crate) ends: Arc<Notify>,
    /// None where memory is not counted.
    pub(crate) heap: Option<fn() -> usize>,
}

/// What is known of TURN.
pub(crate) struct TurnStatus {
    pub(crate) relay: Arc<Relay>,
    pub(crate) bound: Bound,
    pub(crate) relays: Vec<RelayAddress>,
    pub(crate) ports: RangeInclusive<u16>,
}

impl TurnStatus {
    fn json(&self, now: UnixTime) -> Value {
        let texts = |list: &[SocketAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let relay = |relay: &RelayAddress| json!({ "local": relay.local, "public": relay.public });
        json!({
            "udp": texts(&self.bound.udp),
            "tcp": texts(&self.bound.tcp),
            "tls": texts(&self.bound.tls),
            "relays": self.relays.iter().map(relay).collect::<Vec<_>>(),
            "ports": format!("{}-{}", self.ports.start(), self.ports.end()),
            "allocations": self.relay.allocations(),
            "bytes_this_month": self.relay.spent(now),
        })
    }
}

impl Answerer {
    async fn serve(&self, stream: UnixStream) -> io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut line = String::new();
        BufReader::new(reader.take(QUESTION_BYTES))
            .read_line(&mut line)
            .await?;
        let answer = match serde_json::from_str(&line) {
            Ok(question) => self.answer(question).await,
            Err(error) => json!({ "error": format!("the question cannot be read: {error}") }),
        };
        writer.write_all(format!("{answer}\n").as_bytes()).await
    }

    async fn answer(&self, question: Question) -> Value {
        match question {
            Question::Clients { account: None } => {
                let published = self.signalling.published();
                self.clients(published.snapshot.directory.accounts())
            }
            Question::Clients {
                account: Some(login),
            } => {
                let published = self.signalling.published();
                let account =
                    Login::parse(&login).map(|login| published.snapshot.directory.by_login(&login));
                match account {
                    Ok(Some(account)) => self.clients([account]),
                    Ok(None) => json!({ "error": format!("there is no account {login}") }),
                    Err(error) => json!({ "error": error.to_string() }),
                }
            }
            Question::Status {} => self.status(),
            Question::Directory {} => json!({ "is_current": self.watch.catch_up().await }),
            Question::Drain {} => self.drain(),
        }
    }

    fn drain(&self) -> Value {
        if self.drain_s == 0 {
            let why = "this server is not drained when it ends (drain_s is 0): its calls would end at once. Set drain_s, or end it by SIGTERM";
            return json!({ "error": why });
        }
        self.ends.notify_one();
        json!({ "drain_s": self.drain_s })
    }

    fn clients<'a>(&self, accounts: impl IntoIterator<Item = &'a Account>) -> Value {
        let mut clients = Vec::new();
        for account in accounts {
            for client in self.signalling.clients(account.id) {
                clients.push(json!({
                    "account": account.login().to_string(),
                    "client_id": client.client.to_string(),
                    "last_modified": client.last_modified.to_string(),
                    "expires": client.expires.to_string(),
                }));
            }
        }
        json!({ "clients": clients })
    }

    fn trunks(&self) -> Vec<Value> {
        let published = self.signalling.published();
        let directory = &published.snapshot.directory;
        let states = self.lines.as_ref().map(|lines| lines.states());
        let shown = states.into_iter().flatten().map(|(trunk, state, trouble)| {
            let mut accounts = directory.accounts();
            let account = accounts.find(|account| account.id == trunk.account);
            json!({
                "account": account.map(|account| account.login().to_string()),
                "name": trunk.name.as_str(),
                "transport": trunk.transport.as_str(),
                "peer": state.peer,
                "is_registered": state.is_registered,
                "refused": state.refused,
                "trouble": trouble,
            })
        });
        shown.collect()
    }

    fn status(&self) -> Value {
        let census = self.signalling.census();
        let sum = |part: fn(&Census) -> usize| census.iter().map(part).sum::<usize>();
        let waiting = self.capacity.waiting();
        let counters: serde_json::Map<_, _> = self
            .signalling
            .counters
            .listing()
            .map(|(name, count)| (name.to_owned(), count.into()))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "listen": self.listen.to_string(),
            "cluster": self.signalling.cluster().map(|cluster| json!({
                "node": cluster.node.get(),
                "others": cluster.reaches(),
            })),
            "turn": self.turn.as_ref().map(|turn| turn.json(self.signalling.now().unix)),
            "trunk_address": self.lines.as_ref().and_then(|lines| lines.local()),
            "trunk_tls_address": self.lines.as_ref().and_then(|lines| lines.tls_local()),
            "trunks": self.trunks(),
            "trunk_strangers": self.lines.as_ref().map(|lines| lines.strangers()).unwrap_or_default(),
            "uptime_s": self.signalling.now().mono.as_micros() / 1_000_000,
            "accounts": self.signalling.published().snapshot.directory.accounts().count(),
            "census": {
                "sockets": self.capacity.taken(),
                "websockets": self.signalling.session_count().saturating_sub(waiting),
                "sessions_waiting": waiting,
                "connections": sum(|shard| shard.connections),
                "registrations": sum(|shard| shard.registrations),
                "calls": sum(|shard| shard.calls),
                "calls_lingering": sum(|shard| shard.calls_lingering),
                "answers_kept": sum(|shard| shard.answers_kept),
                "tokens_remembered": sum(|shard| shard.tokens_remembered),
                "timers": sum(|shard| shard.timers),
                "media_legs": self.gateway.as_ref().map_or(0, Gateway::legs),
                "turn_allocations": self.turn.as_ref().map_or(0, |turn| turn.relay.allocations()),
                "shards": census.len(),
            },
            "heap_bytes": self.heap.map(|given_out| given_out()),
            "records_waiting": self.records.waiting() + self.records.waiting_in_file(),
            "records_lost": self.records.lost(),
            "counters": counters,
        })
    }
}
