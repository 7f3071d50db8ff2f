//! What a node is made of before its doors open, and the tasks that keep it going.

use std::sync::Arc;
use std::time::Duration;

use model::SecretBytes;
use store::{Absent, Store};
use switch::Snapshot;
use switch::turn_grant::{Ledger, TurnOffer};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::account_file::AccountFiles;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::directory_watch::{self, DirectoryWatch};
use crate::effect::Outlets;
use crate::errand::Errands;
use crate::http::{FileDesk, LoginFailures, Services};
use crate::media_worker::{Dial, Doors as MediaDoors, Gateway, Media};
use crate::month_elsewhere::MonthElsewhere;
use crate::quota_keeper::QuotaKeeper;
use crate::record_writer::{RecordWriter, RecoverFault};
use crate::relay::{MonthKeeper, Relay, RelayDoors, RelayFault, UsageQueue};
use crate::serve_fault::ServeError;
use crate::shell_counter::ShellCounter;
use crate::signalling::Signalling;
use crate::sound::Sounds;
use crate::transport::Capacity;
use crate::trunk_worker::{Lines, Worker};
use crate::turn_worker::Doors;
use crate::webhook::Pages;
use crate::webhook::bot::Bots;

/// A bug that comes back at once must not fill the log.
const REVIVE_AFTER: Duration = Duration::from_secs(1);
/// Said in the records of calls that nobody will end.
const KILLED: &str = "the server was killed during the call";
/// How often servers that were killed are looked for: time enough for one that has lost its database to find it again.
const LOOK_FOR_KILLED_EVERY: Duration = Duration::from_secs(15);

/// What is there before the doors open.
pub(crate) struct Core {
    pub(crate) signalling: Arc<Signalling>,
    pub(crate) records: Arc<RecordWriter>,
    pub(crate) quota: Arc<QuotaKeeper>,
    /// None where TURN is switched off.
    pub(crate) relay: Option<Arc<Relay>>,
    /// What the workers of the relay have told.
    pub(crate) usage: Arc<UsageQueue>,
    pub(crate) errands: Arc<Errands>,
    pub(crate) bots: Arc<Bots>,
    pub(crate) watch: Arc<DirectoryWatch>,
    /// None where this node works alone.
    pub(crate) cluster: Option<Arc<Cluster>>,
}

/// What leads out of the shards beside connections; none where it is switched off.
#[derive(Clone)]
pub(crate) struct Outward {
    pub(crate) gateway: Option<Gateway>,
    pub(crate) lines: Option<Arc<Lines>>,
    pub(crate) cluster: Option<Arc<Cluster>>,
}

impl Core {
    /// What the web services work with.
    pub(crate) fn services(
        &self,
        config: &Config,
        turn: &RelayDoors,
        capacity: &Arc<Capacity>,
        pepper: SecretBytes,
        files: &Arc<AccountFiles>,
    ) -> Arc<Services> {
        Arc::new(Services {
            signalling: Arc::clone(&self.signalling),
            quota: Arc::clone(&self.quota),
            failures: LoginFailures::default(),
            signing: Semaphore::new(cores()),
            watch: Arc::clone(&self.watch),
            changes: Semaphore::new(1),
            files: FileDesk::new(Arc::clone(files)),
            pepper,
            capacity: Arc::clone(capacity),
            handovers: Arc::clone(&self.signalling.handovers),
            behind_tls_proxy: config.behind_tls_proxy,
            is_tls: config.tls.is_some(),
            has_softphone: config.softphone,
            turn_loopbacks: turn.loopbacks(),
            may_demo: config.may_demo(),
            bounds: config.bounds,
        })
    }

    pub(crate) async fn load(
        config: &Config,
        store: &Store,
        offer: Option<TurnOffer>,
        Outward {
            gateway,
            lines,
            cluster,
        }: Outward,
        files: Arc<AccountFiles>,
    ) -> Result<Self, ServeError> {
        let now = Clock::unix();
        // From now on others see that this server serves, and leave its records alone.
        let changes = store.changes().await?;
        let records = recovered(config, store).await?;
        let dangling = store.end_dangling_records(now, KILLED).await?;
        if dangling > 0 {
            tracing::warn!(
                calls = dangling,
                "the server was killed before; its calls are marked as ended"
            );
        }
        let nothing = Arc::new(Snapshot::default());
        let relay = match &offer {
            None => None,
            Some(offer) => {
                let mut ledger = Ledger::new(
                    offer.secret.clone(),
                    RelayDoors::bounds(config, file_limit()),
                );
                MonthKeeper::load(store, now, &mut ledger).await?;
                Some(Arc::new(Relay::new(ledger)))
            }
        };
        let settings = config.settings(offer.map(Arc::new), lines.as_deref());
        let (published, version) = directory_watch::load(store, settings, nothing).await?;
        if let Some(relay) = &relay {
            relay.publish(&published.snapshot.directory);
        }
        let quota = Arc::new(QuotaKeeper::load(store, now).await?);
        let sounds = Sounds::new(files, &config.speech);
        let pages = Pages::new(config)?;
        let bots = Arc::new(Bots::new(&pages));
        let errands = Arc::new(Errands::new(pages, sounds));
        let outlets = Outlets {
            records: Arc::clone(&records),
            counters: Arc::default(),
            relay: relay.clone(),
            gateway,
            lines,
            errands: Arc::clone(&errands),
            cluster: cluster.clone(),
        };
        let signalling = Signalling::new(config.shard_count(), published, outlets);
        let signalling = Arc::new(signalling);
        let watch = DirectoryWatch::new(store.clone(), changes, Arc::clone(&signalling), version);
        Ok(Self {
            signalling,
            records,
            quota,
            relay,
            usage: Arc::default(),
            errands,
            bots,
            watch: Arc::new(watch),
            cluster,
        })
    }

    /// The tasks that write what must be kept; they end when `finish` turns true and all is written.
    pub(crate) fn keepers(
        &self,
        store: &Store,
        finish: &watch::Receiver<bool>,
    ) -> Vec<JoinHandle<()>> {
        let counters = || Arc::clone(&self.signalling.counters);
        let (records, quota) = (Arc::clone(&self.records), Arc::clone(&self.quota));
        let mut keepers = vec![
            tokio::spawn(records.run(store.clone(), counters(), finish.clone())),
            tokio::spawn(quota.run(store.clone(), counters(), finish.clone())),
        ];
        if let Some(relay) = &self.relay {
            let month = MonthKeeper::default();
            let running = month.run(Arc::clone(relay), store.clone(), counters(), finish.clone());
            keepers.push(tokio::spawn(running));
        }
        keepers
    }

    /// Lets the workers of the relay run: from now on it answers.
    pub(crate) fn start_relay(&self, doors: Doors) -> Result<(), ServeError> {
        let Some(relay) = &self.relay else {
            return Ok(());
        };
        let usage = Arc::clone(&self.usage);
        let workers = doors.start(
            relay.ledger(),
            self.signalling.clock,
            Arc::new(move |relayed| usage.push(relayed)),
            Arc::clone(&self.signalling.counters),
        );
        relay.started(workers.map_err(RelayFault::from)?);
        Ok(())
    }

    /// Lets the media gateway run, which tells the shards by itself.
    pub(crate) fn start_media(
        &self,
        doors: Option<MediaDoors>,
        files: Arc<AccountFiles>,
    ) -> Result<Option<Media>, ServeError> {
        let Some(doors) = doors else {
            return Ok(None);
        };
        let signalling = Arc::clone(&self.signalling);
        let media = doors.start(
            self.signalling.clock,
            files,
            Arc::new(move |event| signalling.media(event)),
            self.dial(),
            Arc::clone(&self.signalling.counters),
        )?;
        Ok(Some(media))
    }

    /// Has each stream of the gateway carried by a task.
    fn dial(&self) -> Dial {
        let (bots, runtime) = (Arc::clone(&self.bots), Handle::current());
        let counters = Arc::clone(&self.signalling.counters);
        Arc::new(move |account, stream, line| {
            counters.add_shell(ShellCounter::StreamAsked);
            let (bots, counters) = (Arc::clone(&bots), Arc::clone(&counters));
            runtime.spawn(async move {
                if !bots.carry(account, &stream, line).await {
                    counters.add_shell(ShellCounter::StreamFailed);
                }
            });
        })
    }

    /// The tasks that wake the shards, drive the lines of trunks and look for changes of accounts.
    pub(crate) fn attendants(&self, store: &Store, trunks: Option<Worker>) -> JoinSet<()> {
        let mut attendants = JoinSet::new();
        for shard in 0..self.signalling.shard_count() {
            let signalling = Arc::clone(&self.signalling);
            attendants.spawn(revived(move || {
                let signalling = Arc::clone(&signalling);
                async move { signalling.keep_time(shard).await }
            }));
        }
        let (signalling, usage) = (Arc::clone(&self.signalling), Arc::clone(&self.usage));
        attendants.spawn(revived(move || {
            Arc::clone(&usage).run(Arc::clone(&signalling))
        }));
        let (signalling, errands) = (Arc::clone(&self.signalling), Arc::clone(&self.errands));
        attendants.spawn(revived(move || {
            Arc::clone(&errands).run(Arc::clone(&signalling))
        }));
        if let Some(worker) = trunks.map(Arc::new) {
            let signalling = Arc::clone(&self.signalling);
            attendants.spawn(revived(move || {
                let (signalling, worker) = (Arc::clone(&signalling), Arc::clone(&worker));
                async move { worker.run(&signalling).await }
            }));
        }
        if let Some(cluster) = &self.cluster {
            let (cluster, signalling) = (Arc::clone(cluster), Arc::clone(&self.signalling));
            attendants.spawn(revived(move || {
                Arc::clone(&cluster).run(Arc::clone(&signalling))
            }));
        }
        if store.is_shared() {
            let elsewhere = MonthElsewhere {
                store: store.clone(),
                clock: self.signalling.clock,
                quota: Arc::clone(&self.quota),
                relay: self.relay.clone(),
                counters: Arc::clone(&self.signalling.counters),
            };
            attendants.spawn(revived(move || elsewhere.clone().run()));
        }
        let watch = Arc::clone(&self.watch);
        attendants.spawn(revived(move || {
            let watch = Arc::clone(&watch);
            async move { watch.run().await }
        }));
        attendants
    }
}

/// Whoever writes call records, when what an earlier run has left in its file is written.
async fn recovered(config: &Config, store: &Store) -> Result<Arc<RecordWriter>, ServeError> {
    let unread = |source| ServeError::Records {
        data: config.data.clone(),
        source,
    };
    let pepper = store.pepper().await?;
    let records = RecordWriter::open(&config.data, &pepper).map_err(unread)?;
    match records.recover(store).await {
        Ok(()) => Ok(Arc::new(records)),
        Err(RecoverFault::File(source)) => Err(unread(source)),
        Err(RecoverFault::Store(error)) => Err(error.into()),
    }
}

/// Ends the calls of servers on the same store that were killed; never ends.
pub(crate) async fn end_abandoned_records(store: Store) {
    let mut absent = Absent::default();
    loop {
        tokio::time::sleep(LOOK_FOR_KILLED_EVERY).await;
        let ending = store.end_abandoned_records(&mut absent, Clock::unix(), KILLED);
        match ending.await {
            Ok(0) => {}
            Ok(calls) => tracing::warn!(
                calls,
                "a server on the same store was killed; its calls are marked as ended"
            ),
            Err(error) => tracing::debug!(%error, "servers that were killed are not looked for"),
        }
    }
}

/// Runs a task that never ends, again and again: a bug in it is logged, and does not end what it attends to.
pub(crate) async fn revived<F: Future<Output = ()> + Send + 'static>(task: impl Fn() -> F) {
    loop {
        // Aborted when this is dropped.
        let mut running = JoinSet::new();
        running.spawn(task());
        match running.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                tracing::error!(%error, "a task of the server ended by a bug and is started again");
                tokio::time::sleep(REVIVE_AFTER).await;
            }
            Some(_) | None => return,
        }
    }
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How many files the process may have open.
pub(crate) fn file_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}
