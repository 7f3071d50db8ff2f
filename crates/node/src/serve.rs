//! A node from start to end.
//!
//! Start: the folder's lock, what a killed process left behind, the directory, then the doors. End: the doors first,
//! then the calls, then what is kept.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::limits;
use store::Store;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::account_file::AccountFiles;
use crate::admin::{self, Admin, Figures, Source};
use crate::certificate::Certificate;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::control::{Answerer, ControlSocket};
use crate::core::{Core, Outward, cores, end_abandoned_records, file_limit};
use crate::errand::Errands;
use crate::http::Services;
use crate::media_worker::{self, Doors as MediaDoors, Media};
use crate::provision::ProvisionError;
use crate::relay::{Finding, Relay, RelayDoors, UsageQueue};
use crate::serve_fault::ServeError;
use crate::shutdown::Signals;
use crate::signalling::Signalling;
use crate::transport::tls::TlsAcceptor;
use crate::transport::{Capacity, Crew, Listener, accept};
use crate::trunk_worker::{Door as TrunkDoor, Lines, Trunks, nat};
use crate::webhook::bot::Bots;

const LOCK_FILE: &str = "server.lock";
/// How long connections may take to read their last messages.
const LAST_WORDS_TIME: Duration = Duration::from_secs(2);
/// How often connections without a call are closed while others are waited for.
const DRAIN_BEAT: Duration = Duration::from_secs(1);
/// How long the store may take for what is left to write.
const SAVE_TIME: Duration = Duration::from_secs(2);
/// Connections that wait to be accepted: all clients of a restarted server come back within a second.
const BACKLOG: u32 = 4_096;
/// How often failed logins that lie back are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// How often old call records are deleted.
const FORGET_RECORDS_EVERY: Duration = Duration::from_secs(3_600);

/// What a node says once connections are taken.
#[derive(Clone, Debug)]
pub struct Started {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where the operator's figures are, if anywhere.
    pub admin_address: Option<SocketAddr>,
    /// What is to be said about that.
    pub admin: Vec<Finding>,
    /// What is to be said about TURN.
    pub turn: Vec<Finding>,
    /// What is to be said about the media gateway.
    pub media: Vec<Finding>,
    /// Where the peers of trunks reach it by UDP and TCP, if there are any.
    pub trunk_address: Option<SocketAddr>,
    /// And by TLS.
    pub trunk_tls_address: Option<SocketAddr>,
    /// What is to be said about trunks.
    pub trunk: Vec<Finding>,
}

/// Serves until SIGTERM or SIGINT; `ready` is told where once connections are taken. `prepare` may make accounts: it runs when
/// every address is ours, and before anybody is served.
///
/// Needs tokio's multi-thread runtime to use more than one core.
pub async fn serve(
    config: Config,
    store: Store,
    prepare: impl AsyncFnOnce(&Store) -> Result<(), ProvisionError>,
    ready: impl FnOnce(&Started),
) -> Result<(), ServeError> {
    let signals = Signals::watch().map_err(ServeError::Signals)?;
    let (end, hurry) = signals.follow(Duration::from_secs(config.drain_s));
    serve_until(config, store, prepare, ready, (end.said(), hurry.said())).await
}

/// Serves until the first of `stop` is done, and then as long as calls go on: for as long as they may, or until the second is done.
pub async fn serve_until(
    config: Config,
    store: Store,
    prepare: impl AsyncFnOnce(&Store) -> Result<(), ProvisionError>,
    ready: impl FnOnce(&Started),
    stop: (impl Future<Output = ()>, impl Future<Output = ()>),
) -> Result<(), ServeError> {
    config.check()?;
    let _lock = lock(&config.data)?;
    raise_file_limit();
    let (node, started) = Node::start(&config, store, prepare).await?;
    ready(&started);
    tracing::info!(address = %started.address, tls = config.tls.is_some(), "serving");
    let findings = started.admin.iter().chain(&started.turn);
    for finding in findings.chain(&started.media).chain(&started.trunk) {
        match finding {
            Finding::Fact(text) => tracing::info!("{text}"),
            Finding::Doubt(text) => tracing::warn!("{text}"),
        }
    }
    let (stop, hurry) = stop;
    tokio::select! {
        () = stop => {}
        () = node.ends.notified() => {
            tracing::info!("asked to end: no new calls; those that go on have {} s", config.drain_s);
        }
    }
    node.drain(Duration::from_secs(config.drain_s), hurry).await;
    node.stop().await;
    Ok(())
}

/// Every address of ours, taken, so that nothing is made where one of them is somebody else's.
struct Addresses {
    certificate: Option<Arc<Certificate>>,
    tls: Option<TlsAcceptor>,
    tcp: TcpListener,
    address: SocketAddr,
    /// Answers already.
    admin: Option<Admin>,
    turn: RelayDoors,
    media: Option<MediaDoors>,
    trunks: Option<TrunkDoor>,
}

impl Addresses {
    fn take(config: &Config) -> Result<Self, ServeError> {
        let certificate = certificate(config)?;
        let tls = certificate.clone().map(TlsAcceptor::new).transpose()?;
        let (tcp, address) = listen(config.listen)?;
        let admin = admin_door(config)?;
        let mut turn = RelayDoors::bind(config, address, certificate.clone(), file_limit())?;
        let media = MediaDoors::bind(config, &turn)?;
        turn.let_reach(media.as_ref());
        let trunks = TrunkDoor::bind(&config.trunk, certificate.clone())?;
        Ok(Self {
            certificate,
            tls,
            tcp,
            address,
            admin,
            turn,
            media,
            trunks,
        })
    }

    /// Whoever tells the operator how it stands.
    fn answerer(
        &self,
        config: &Config,
        core: &Core,
        capacity: Arc<Capacity>,
        outward: Outward,
    ) -> Arc<Answerer> {
        Arc::new(Answerer {
            signalling: Arc::clone(&core.signalling),
            watch: Arc::clone(&core.watch),
            capacity,
            records: Arc::clone(&core.records),
            listen: self.address,
            turn: core.relay.clone().map(|relay| self.turn.status(relay)),
            gateway: outward.gateway,
            lines: outward.lines,
            drain_s: config.drain_s,
            ends: Arc::default(),
            heap: config.heap,
        })
    }

    /// What whoever starts the server is told.
    fn started(&self, config: &Config, trunks: &Trunks) -> Started {
        let admin_address = self.admin.as_ref().map(|admin| admin.address);
        let lines = trunks.lines.as_deref();
        Started {
            address: self.address,
            admin_address,
            admin: admin::findings(admin_address),
            turn: self.turn.findings(config, file_limit()),
            media: media_worker::findings(config, self.media.as_ref()),
            trunk_address: lines.and_then(Lines::local),
            trunk_tls_address: lines.and_then(Lines::tls_local),
            trunk: trunks.findings.clone(),
        }
    }
}

/// Tells the other nodes the rest, and that this one is gone.
async fn leave(cluster: &Cluster) {
    if tokio::time::timeout(LAST_WORDS_TIME, cluster.settle())
        .await
        .is_err()
    {
        tracing::info!("some nodes did not hear everything in time");
    }
    cluster.leave().await;
}

/// A running node.
struct Node {
    signalling: Arc<Signalling>,
    relay: Option<Arc<Relay>>,
    usage: Arc<UsageQueue>,
    media: Option<Media>,
    lines: Option<Arc<Lines>>,
    errands: Arc<Errands>,
    bots: Arc<Bots>,
    cluster: Option<Arc<Cluster>>,
    store: Store,
    /// Answers to the last.
    admin: Option<Admin>,
    /// Says that the operator wants it to end.
    ends: Arc<Notify>,
    /// Says that the node stops; closed when the last connection is gone.
    stopping: watch::Sender<bool>,
    doors: JoinSet<()>,
    /// Whoever serves connections.
    crew: Arc<Crew>,
    attendants: JoinSet<()>,
    keepers: Vec<JoinHandle<()>>,
    finish: watch::Sender<bool>,
}

impl Node {
    async fn start(
        config: &Config,
        store: Store,
        prepare: impl AsyncFnOnce(&Store) -> Result<(), ProvisionError>,
    ) -> Result<(Self, Started), ServeError> {
        let mut own = Addresses::take(config)?;
        let offer = own.turn.offer(config.behind_tls_proxy);
        prepare(&store).await?;
        let files = account_files(config)?;
        let gateway = own.media.as_ref().map(MediaDoors::gateway);
        let nat = nat(&own.turn, own.media.as_ref());
        let cluster = Cluster::join(config.bus.as_ref()).await?;
        let number = cluster.as_ref().map(|cluster| cluster.node);
        let number = number.unwrap_or_default();
        let trunks = Trunks::ready(own.trunks.take(), config, &store, &nat, number).await?;
        let outward = Outward {
            gateway,
            lines: trunks.lines.clone(),
            cluster: cluster.clone(),
        };
        let core = Core::load(config, &store, offer, outward.clone(), Arc::clone(&files)).await?;
        let control = control(config)?;

        let stopping = watch::Sender::new(false);
        let capacity = Arc::new(Capacity::new(config.bounds, stopping.clone()));
        let pepper = store.pepper().await?;
        let services = core.services(config, &own.turn, &capacity, pepper, &files);
        let answerer = own.answerer(config, &core, capacity, outward);
        let started = own.started(config, &trunks);

        let (finish, finished) = watch::channel(false);
        let keepers = core.keepers(&store, &finished);
        let mut attendants = core.attendants(&store, trunks.worker);
        attendants.spawn(forget_failures(Arc::clone(&services)));
        attendants.spawn(forget_records(store.clone()));
        attendants.spawn(end_abandoned_records(store.clone()));
        if let Some(certificate) = own.certificate {
            attendants.spawn(certificate.watch());
        }
        if let Some(doors) = own.turn.doors {
            core.start_relay(doors)?;
        }
        let media = core.start_media(own.media, files)?;
        let crew = crew()?;
        let listener = Listener {
            tcp: own.tcp,
            tls: own.tls,
            services,
            crew: Arc::clone(&crew),
        };
        let node = Self {
            signalling: core.signalling,
            relay: core.relay,
            usage: core.usage,
            media,
            lines: trunks.lines,
            errands: core.errands,
            bots: core.bots,
            cluster,
            store,
            admin: own.admin,
            ends: Arc::clone(&answerer.ends),
            stopping,
            doors: opened(listener, control, Arc::clone(&answerer)),
            crew,
            attendants,
            keepers,
            finish,
        };
        node.admit(config, answerer);
        Ok((node, started))
    }

    /// Waits until no call goes on, for so long at most, or until `hurry` is done.
    async fn drain(&self, longest: Duration, hurry: impl Future<Output = ()>) {
        if let Some(admin) = &self.admin {
            admin.desk.stops();
        }
        if longest.is_zero() {
            return;
        }
        let no_calls = async {
            let mut beat = tokio::time::interval(DRAIN_BEAT);
            loop {
                beat.tick().await;
                if self.signalling.drain() == 0 {
                    return;
                }
            }
        };
        let no_calls = async {
            no_calls.await;
            if self.cluster.is_some() {
                // What is on its way here is passed on.
                tokio::time::sleep(limits::DRAIN_LINGER).await;
            }
        };
        tokio::select! {
            () = no_calls => tracing::info!("no call goes on any more"),
            () = tokio::time::sleep(longest) => {
                tracing::warn!("calls still go on, and are ended");
            }
            () = hurry => {}
        }
    }

    /// Tells the operator that the doors are open.
    fn admit(&self, config: &Config, answerer: Arc<Answerer>) {
        if let Some(admin) = &self.admin {
            admin.desk.serves(Figures::new(Source {
                node: answerer,
                errands: Arc::clone(&self.errands),
                usage: Arc::clone(&self.usage),
                is_tls: config.tls.is_some(),
                connections: config.bounds.connections,
                started: Clock::unix(),
            }));
        }
    }

    /// Ends everything in order; takes no longer than its waits together.
    async fn stop(mut self) {
        self.doors.shutdown().await;
        self.signalling.stop();
        self.stop_media().await;
        self.stop_relay().await;
        self.stopping.send_replace(true);
        let (connections, applications, streams, lines) = tokio::join!(
            tokio::time::timeout(LAST_WORDS_TIME, self.stopping.closed()),
            // They are told of the ends of their calls.
            tokio::time::timeout(LAST_WORDS_TIME, self.errands.settle()),
            tokio::time::timeout(LAST_WORDS_TIME, self.bots.settle()),
            tokio::time::timeout(LAST_WORDS_TIME, stop_lines(self.lines)),
        );
        if connections.is_err() {
            tracing::info!("some connections did not end in time and are cut");
        }
        if applications.is_err() || streams.is_err() {
            tracing::info!("some applications did not answer in time and are asked no longer");
        }
        if lines.is_err() {
            tracing::info!(
                "some peers of trunks did not answer in time and are waited for no longer"
            );
        }
        if let Some(cluster) = &self.cluster {
            leave(cluster).await;
        }
        if let Some(crew) = Arc::into_inner(self.crew) {
            // Waits for threads.
            let _ = tokio::task::spawn_blocking(move || crew.stop()).await;
        }
        self.attendants.shutdown().await;
        self.finish.send_replace(true);
        let saved = async {
            for keeper in self.keepers {
                let _ = keeper.await;
            }
        };
        if tokio::time::timeout(SAVE_TIME, saved).await.is_err() {
            tracing::error!("the store did not take everything in time");
        }
        // What it has taken is kept, whether it says goodbye or not.
        let _ = tokio::time::timeout(SAVE_TIME, self.store.close()).await;
        if let Some(admin) = self.admin {
            admin.close().await;
        }
        tracing::info!("stopped");
    }

    /// Ends the gateway, after the shards have said their last words, and completes the recordings.
    async fn stop_media(&mut self) {
        let Some(media) = self.media.take() else {
            return;
        };
        // Waits for threads, and for the disk.
        let stopped = tokio::task::spawn_blocking(move || media.stop());
        match tokio::time::timeout(SAVE_TIME, stopped).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the media gateway ended by a bug"),
            Err(_) => tracing::error!("the disk did not take every recording in time"),
        }
    }

    /// Ends the relay; what it did last comes into the records of calls.
    async fn stop_relay(&self) {
        let Some(relay) = self.relay.clone() else {
            return;
        };
        // Waits for threads.
        if let Err(error) = tokio::task::spawn_blocking(move || relay.stop()).await {
            tracing::error!(%error, "the relay ended by a bug");
        }
        self.usage.deliver(&self.signalling);
    }
}

/// Takes back what was registered with the peers of trunks, who have been told of the ends of their calls.
async fn stop_lines(lines: Option<Arc<Lines>>) {
    if let Some(lines) = lines {
        lines.stop().await;
    }
}

/// From now on whoever comes is served.
fn opened(listener: Listener, control: ControlSocket, answerer: Arc<Answerer>) -> JoinSet<()> {
    let mut doors = JoinSet::new();
    doors.spawn(async move { match accept(listener).await {} });
    doors.spawn(control.run(answerer));
    doors
}

/// The operator's listener, which answers at once.
fn admin_door(config: &Config) -> Result<Option<Admin>, ServeError> {
    let Some(address) = config.admin_listen else {
        return Ok(None);
    };
    let fault = |source: io::Error| {
        if source.kind() == io::ErrorKind::AddrInUse {
            ServeError::AdminTaken(address)
        } else {
            ServeError::AdminListen { address, source }
        }
    };
    let (tcp, address) = bind(address).map_err(fault)?;
    Ok(Some(Admin::open(tcp, address, config.bounds.head_time)))
}

fn control(config: &Config) -> Result<ControlSocket, ServeError> {
    ControlSocket::bind(&config.data).map_err(|source| ServeError::Control {
        data: config.data.clone(),
        source,
    })
}

/// The files of accounts, without what a killed process left behind.
fn account_files(config: &Config) -> Result<Arc<AccountFiles>, ServeError> {
    let files = AccountFiles::new(&config.data);
    let removed = files
        .remove_unfinished()
        .map_err(|source| ServeError::Files {
            data: config.data.clone(),
            source,
        })?;
    if removed > 0 {
        tracing::warn!(
            recordings = removed,
            "the server was killed before; recordings that were not finished are removed"
        );
    }
    Ok(Arc::new(files))
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    bind(address).map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            ServeError::Taken(address)
        } else {
            ServeError::Listen { address, source }
        }
    })
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // A restart must not wait for the last connections of before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

async fn forget_failures(services: Arc<Services>) {
    loop {
        tokio::time::sleep(FORGET_EVERY).await;
        services.failures.forget(services.signalling.now().mono);
    }
}

/// At the start and then once an hour.
async fn forget_records(store: Store) {
    loop {
        let before = Clock::unix().before(limits::RECORD_AGE);
        match store.forget_records(before, limits::RECORDS).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "old call records were deleted"),
            Err(error) => tracing::warn!(%error, "old call records could not be deleted"),
        }
        tokio::time::sleep(FORGET_RECORDS_EVERY).await;
    }
}

/// Keeps other servers off the folder until the process ends, however it ends.
fn lock(data: &Path) -> Result<File, ServeError> {
    let path = data.join(LOCK_FILE);
    let fault = |source| ServeError::Lock {
        path: path.clone(),
        source,
    };
    // A store in a folder has made it already, one in a database has not.
    let mut folder = DirBuilder::new();
    folder.recursive(true).mode(0o700);
    folder.create(data).map_err(fault)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(fault)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ServeError::InUse(data.to_owned())),
        Err(TryLockError::Error(source)) => Err(fault(source)),
    }
}

/// A thread for each core.
fn crew() -> Result<Arc<Crew>, ServeError> {
    Crew::start(cores())
        .map(Arc::new)
        .map_err(ServeError::Threads)
}

fn certificate(config: &Config) -> Result<Option<Arc<Certificate>>, ServeError> {
    let files = config.tls.as_ref();
    Ok(files.map(Certificate::load).transpose()?.map(Arc::new))
}

/// Each connection and each relayed address is an open file, and the usual limit of 1,024 is meant for programs with few.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if setrlimit(Resource::Nofile, raised).is_err() {
        tracing::warn!(?limit.current, "the limit of open files could not be raised; it bounds the connections");
    }
}
