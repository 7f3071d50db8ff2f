//! The sockets of all trunks, and the task that drives their lines ([`switch::trunk::Line`]).
//!
//! Gives each datagram, and each message of a connection, to the line of the trunk that it comes from, and each message between lines
//! and shards to the other. What
//! comes from elsewhere gets no answer. Decides nothing: what a message means the line knows, and the shard.

mod config;
mod dns;
mod door;
mod inbox;
mod outbox;
mod secure;
mod sources;
mod strangers;
mod stream;
mod streams;
mod tcp;
#[cfg(test)]
mod tests;
mod trouble;
mod worker;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{ConnectionId, NodeNumber, Trunk};
use store::Store;
use switch::trunk::LineState;
use tokio::sync::watch;

pub use self::config::{TrunkConfig, TrunkConfigFault};
pub(crate) use self::door::Door;
pub use self::door::TrunkFault;
use self::inbox::Inbox;
use self::secure::Secure;
use self::sources::Sources;
use self::strangers::Strangers;
use self::trouble::Trouble;
pub(crate) use self::worker::Worker;
use crate::clock::Clock;
use crate::config::Config;
use crate::media_worker::Doors as MediaDoors;
use crate::relay::{Finding, RelayDoors};
use crate::serve_fault::ServeError;
use crate::shell_counter::ShellCounter;
use crate::telemetry::Counters;
use crate::wanted_trunk;

/// The lines as the rest of the node knows them; from before the shards start until the process ends.
pub(crate) struct Lines {
    /// Every trunk with the connection that stands for its line, as it was at the start.
    trunks: Arc<[(ConnectionId, Arc<Trunk>)]>,
    /// The same, where their names lead now.
    led: Mutex<Vec<Arc<Trunk>>>,
    places: BTreeMap<ConnectionId, usize>,
    inbox: Inbox,
    states: Mutex<Vec<LineState>>,
    /// What stands against the connections of each.
    troubles: Mutex<Vec<Trouble>>,
    strangers: Strangers,
    /// Where UDP and TCP are, and TLS.
    local: Option<SocketAddr>,
    tls_local: Option<SocketAddr>,
    /// Whether everything is said that was to be.
    is_done: watch::Sender<bool>,
}

impl Lines {
    /// Takes the first numbers of the node's connections, which no session has then.
    pub(crate) fn new(trunks: Vec<Trunk>, door: &Door, node: NodeNumber) -> Self {
        let numbers = (1..).map(|number| ConnectionId::of_node(node, number));
        let trunks: Arc<[_]> = numbers.zip(trunks.into_iter().map(Arc::new)).collect();
        let places = trunks.iter().map(|(connection, _)| *connection);
        let unknown = |(_, trunk): &(ConnectionId, Arc<Trunk>)| LineState {
            peer: None,
            is_registered: trunk.registration.map(|_| false),
            refused: None,
            name: None,
        };
        let led = trunks.iter().map(|(_, trunk)| Arc::clone(trunk));
        Self {
            led: Mutex::new(led.collect()),
            places: places.zip(0..).collect(),
            inbox: Inbox::default(),
            states: Mutex::new(trunks.iter().map(unknown).collect()),
            troubles: Mutex::new(vec![Trouble::default(); trunks.len()]),
            strangers: Strangers::default(),
            local: door.local,
            tls_local: door.tls_local,
            is_done: watch::Sender::new(false),
            trunks,
        }
    }

    /// For [`switch::Settings`].
    pub(crate) fn trunks(&self) -> Arc<[(ConnectionId, Arc<Trunk>)]> {
        Arc::clone(&self.trunks)
    }

    /// Where peers send to by UDP and TCP.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// And by TLS.
    pub(crate) fn tls_local(&self) -> Option<SocketAddr> {
        self.tls_local
    }

    /// What a shard says on a line's connection; on any other it is for nobody. Never waits.
    pub(crate) fn put(&self, connection: ConnectionId, message: Vec<u8>, counters: &Counters) {
        if let Some(line) = self.places.get(&connection)
            && !self.inbox.put(*line, message)
        {
            counters.add_shell(ShellCounter::TrunkFull);
        }
    }

    /// How many messages of the shards wait for the lines.
    pub(crate) fn waiting(&self) -> usize {
        self.inbox.waiting()
    }

    /// How it stands with each trunk, and in words what stands against its connections.
    pub(crate) fn states(&self) -> Vec<(Arc<Trunk>, LineState, Option<String>)> {
        let states = self.lock().clone();
        let troubles = self.troubles().clone();
        let all = self.led().into_iter().zip(states).zip(troubles);
        all.map(|((trunk, state), trouble)| {
            let name = trouble::of_name(&trunk, state);
            let words: Vec<String> = name.into_iter().chain(trouble.sentence()).collect();
            let words = (!words.is_empty()).then(|| words.join("; "));
            (trunk, state, words)
        })
        .collect()
    }

    /// Who is on no trunk's list and has sent requests of late.
    pub(crate) fn strangers(&self) -> Vec<SocketAddr> {
        self.strangers.list()
    }

    /// Takes back what is registered, after what the shards have said last, and waits until no line waits for anything. That may
    /// take as long as the peers like.
    pub(crate) async fn stop(&self) {
        self.inbox.stop();
        // The sender is there as long as this is.
        let _ = self.is_done.subscribe().wait_for(|is_done| *is_done).await;
    }

    /// The trunks, where their names lead now.
    fn led(&self) -> Vec<Arc<Trunk>> {
        let led = self.led.lock();
        led.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lead(&self, line: usize, trunk: Arc<Trunk>) {
        let mut led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = led.get_mut(line) {
            *known = trunk;
        }
    }

    fn set_state(&self, line: usize, state: LineState) {
        if let Some(known) = self.lock().get_mut(line) {
            *known = state;
        }
    }

    fn troubles(&self) -> MutexGuard<'_, Vec<Trouble>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LineState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is there of trunks before the shards start; empty where there are none.
#[derive(Default)]
pub(crate) struct Trunks {
    pub(crate) lines: Option<Arc<Lines>>,
    /// To be run: from then on peers are answered.
    pub(crate) worker: Option<Worker>,
    /// What is to be said at the start.
    pub(crate) findings: Vec<Finding>,
}

impl Trunks {
    /// Finds the accounts of the trunks, and what their peers are to call this machine; `nat` as [`nat`] gives it.
    pub(crate) async fn ready(
        door: Option<Door>,
        config: &Config,
        store: &Store,
        nat: &[(IpAddr, IpAddr)],
        node: NodeNumber,
    ) -> Result<Self, ServeError> {
        let Some(door) = door else {
            return Ok(Self::default());
        };
        let wanted = &config.trunk.trunks;
        let (trunks, doubts) = wanted_trunk::resolve(store, wanted, Clock::unix()).await?;
        let own = trunks
            .iter()
            .map(|trunk| door.own(&config.trunk, trunk, nat));
        let own: Vec<SocketAddr> = own.collect::<Result<_, _>>()?;
        let secure = wanted.iter().map(Secure::new);
        let secure = secure.collect::<Result<_, _>>().map_err(TrunkFault::Tls)?;
        let mut findings = door.findings(config, &own);
        findings.extend(doubts);
        let lines = Arc::new(Lines::new(trunks, &door, node));
        Ok(Self {
            worker: Some(Worker {
                own,
                secure,
                sources: watch::Sender::new(Sources::new(&lines.led())),
                lines: Arc::clone(&lines),
                address: config.trunk.address,
                nat: nat.to_vec(),
                dns: config.trunk.dns.clone(),
                door,
            }),
            lines: Some(lines),
            findings,
        })
    }
}

/// Addresses of ours, each with what a NAT makes of it, as media and TURN tell their peers.
pub(crate) fn nat(turn: &RelayDoors, media: Option<&MediaDoors>) -> Vec<(IpAddr, IpAddr)> {
    let gateways = media.map(MediaDoors::gateways).unwrap_or_default();
    let gateways = gateways.into_iter();
    let gateways = gateways.map(|gateway| (gateway.local.ip(), gateway.public.ip()));
    let relays = turn.relays().iter();
    gateways
        .chain(relays.map(|relay| (relay.local, relay.public)))
        .collect()
}
