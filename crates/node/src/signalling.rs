//! The shards and the connections that belong to them.
//!
//! The task that read a message locks its shard, hands the message over and performs every effect under that lock;
//! one timer task for each shard wakes it when its time has come. Nothing here waits while it holds a lock.

mod cluster;
mod moving;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bytes::Bytes;
use model::media::MediaEvent;
use model::{AccountId, ConnectionId, FileName, Instant, NodeNumber, Now, Page, Start, Trunk};
use switch::cluster::{MemberInput, Word};
use switch::edge::shard_of;
use switch::turn_grant::Relayed;
use switch::{
    ApplicationState, Census, Closing, Control, ControlFault, Counter, GoingCall, Input,
    RegisteredClient, Snapshot, StartFault, key_of_instance, shard_of_instance,
};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::effect::{Outlets, Performer};
use crate::meter;
use crate::outbox::Outbox;
use crate::telemetry::Counters;
use crate::transport::Handovers;

/// A snapshot, and what is rendered from it once.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) snapshot: Arc<Snapshot>,
    /// The public keys as a JWK Set.
    pub(crate) jwks: Bytes,
}

impl Published {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let jwks = snapshot.keys.jwks().to_string().into();
        Self {
            snapshot: Arc::new(snapshot),
            jwks,
        }
    }
}

/// Every shard of the node.
pub(crate) struct Signalling {
    pub(crate) clock: Clock,
    node: NodeNumber,
    pub(crate) counters: Arc<Counters>,
    outlets: Outlets,
    shards: Vec<Shard>,
    published: RwLock<Arc<Published>>,
    sessions: Mutex<Sessions>,
    /// Which sessions clients may come back to.
    pub(crate) handovers: Arc<Handovers>,
    last_connection: AtomicU64,
}

struct Shard {
    owned: Mutex<Owned>,
    /// The machine's next timeout came nearer.
    nearer: Notify,
}

/// A machine, and the outboxes of the connections that it owns.
struct Owned {
    machine: switch::Shard,
    outboxes: HashMap<ConnectionId, Arc<Outbox>>,
    /// When the timer task will look again.
    armed: Option<Instant>,
}

/// Every open session, bound to a shard or not: who must be told when the node stops.
#[derive(Default)]
struct Sessions {
    outboxes: HashMap<ConnectionId, Arc<Outbox>>,
    /// The node stops, or will: nobody new is served.
    stopping: bool,
}

impl Signalling {
    pub(crate) fn new(shards: usize, published: Published, outlets: Outlets) -> Self {
        let cluster = outlets.cluster.as_deref();
        let node = cluster.map_or(NodeNumber::ALONE, |cluster| cluster.node);
        let clock = cluster.map_or_else(Clock::start, |cluster| cluster.clock);
        let shard = |number: usize| Shard {
            owned: Mutex::new(Owned {
                machine: switch::Shard::new(
                    number as u16,
                    random(),
                    Arc::clone(&published.snapshot),
                )
                .on_node(node),
                outboxes: HashMap::new(),
                armed: None,
            }),
            nearer: Notify::new(),
        };
        // Sessions have other numbers than the lines of trunks.
        let trunks = published.snapshot.settings.trunks.iter();
        let last_line = trunks.map(|(connection, _)| connection.number()).max();
        Self {
            clock,
            node,
            counters: Arc::clone(&outlets.counters),
            outlets,
            shards: (0..shards).map(shard).collect(),
            published: RwLock::new(Arc::new(published)),
            sessions: Mutex::default(),
            handovers: Arc::default(),
            last_connection: AtomicU64::new(last_line.unwrap_or(0)),
        }
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// What is known now of accounts and keys.
    pub(crate) fn published(&self) -> Arc<Published> {
        Arc::clone(
            &self
                .published
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Replaces what is known of accounts and keys, everywhere.
    pub(crate) fn publish(&self, published: Published) {
        let snapshot = Arc::clone(&published.snapshot);
        *self
            .published
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(published);
        for shard in 0..self.shards.len() {
            self.give(shard, Input::Snapshot(Arc::clone(&snapshot)));
        }
        if let Some(relay) = &self.outlets.relay {
            relay.publish(&snapshot.directory);
        }
    }

    /// Tells the shards that the peers of a trunk are elsewhere.
    pub(crate) fn lead(&self, line: ConnectionId, trunk: Arc<Trunk>) {
        let shard = shard_of(trunk.account, self.shards.len());
        self.give(shard, Input::Trunk(line, trunk));
    }

    /// The number of a connection that is to be.
    pub(crate) fn reserve(&self) -> ConnectionId {
        let number = self.last_connection.fetch_add(1, Ordering::Relaxed) + 1;
        ConnectionId::of_node(self.node, number)
    }

    /// Opens a session; its connection is not bound to a shard yet.
    pub(crate) fn open(self: &Arc<Self>) -> Session {
        let connection = self.reserve();
        let outbox = Arc::new(Outbox::default());
        let mut sessions = lock(&self.sessions);
        sessions.outboxes.insert(connection, Arc::clone(&outbox));
        if sessions.stopping {
            outbox.close(Closing::STOPPING);
        }
        drop(sessions);
        Session {
            signalling: Arc::clone(self),
            connection,
            outbox,
            shard: None,
            expired: None,
        }
    }

    /// The registered clients of an account, sorted.
    pub(crate) fn clients(&self, account: AccountId) -> Vec<RegisteredClient> {
        let shard = shard_of(account, self.shards.len());
        lock(&self.shards[shard].owned)
            .machine
            .clients(account, self.now())
    }

    /// What each shard holds.
    pub(crate) fn census(&self) -> Vec<Census> {
        self.shards
            .iter()
            .map(|shard| lock(&shard.owned).machine.census())
            .collect()
    }

    /// WebSocket sessions that are open.
    pub(crate) fn session_count(&self) -> usize {
        lock(&self.sessions).outboxes.len()
    }

    /// Tells its shard what was relayed in a call, if need be on the node whose call it is.
    pub(crate) fn relayed(&self, relayed: &Relayed) {
        if let Some(cluster) = &self.outlets.cluster
            && relayed.node() != self.node
        {
            return cluster.tell(MemberInput::Tell {
                node: relayed.node(),
                word: Word::Relayed(*relayed),
            });
        }
        let shard = shard_of(relayed.account, self.shards.len());
        let input = Input::Relayed {
            connection: relayed.connection,
            call: relayed.call,
            usage: relayed.usage,
        };
        self.give(shard, input);
    }

    /// Has an application of this account leave off what it does; says what became of it.
    pub(crate) fn interrupt(
        &self,
        account: AccountId,
        instance: &str,
        redirect: Option<Page>,
    ) -> ApplicationState {
        let shard = shard_of(account, self.shards.len());
        if shard_of_instance(instance) != Some(shard) {
            return ApplicationState::Unknown;
        }
        let mut owned = lock(&self.shards[shard].owned);
        let state = owned.machine.application(account, instance);
        let input = Input::Interrupt {
            account,
            instance,
            redirect,
        };
        self.step(shard, &mut owned, input);
        state
    }

    /// Has applications of this account begin all of these calls, or none; their `application_instance_id`s, or which may not be begun.
    pub(crate) fn begin_calls(
        &self,
        account: AccountId,
        starts: Vec<Start>,
    ) -> Result<Vec<String>, (usize, StartFault)> {
        let shard = shard_of(account, self.shards.len());
        let mut owned = lock(&self.shards[shard].owned);
        let instances = owned.machine.check_starts(self.now(), &starts)?;
        for start in starts {
            self.step(shard, &mut owned, Input::Start(start));
        }
        Ok(instances)
    }

    /// Begins one call, if whom it is for can be reached now; the call, or why it is not begun.
    pub(crate) fn begin_reached(&self, start: Start) -> Result<GoingCall, StartFault> {
        let account = start.account;
        let shard = shard_of(account, self.shards.len());
        let mut owned = lock(&self.shards[shard].owned);
        owned.machine.check_reached(&start)?;
        let may = owned
            .machine
            .check_starts(self.now(), std::slice::from_ref(&start));
        let ids = may.map_err(|(_, fault)| fault)?;
        self.step(shard, &mut owned, Input::Start(start));
        let call = owned.machine.going_call(account, &ids[0]);
        Ok(call.expect("whoever can be reached is called"))
    }

    /// Calls of an account that go on, `most` of them, after the one of this name; and whether there may be more.
    pub(crate) fn going_calls(
        &self,
        account: AccountId,
        after: Option<&str>,
        most: usize,
    ) -> (Vec<GoingCall>, bool) {
        let shard = shard_of(account, self.shards.len());
        let mut from = after.and_then(key_of_instance).map_or(0, |key| key + 1);
        let mut calls = Vec::new();
        loop {
            // Others have their turn between two parts.
            let part = lock(&self.shards[shard].owned)
                .machine
                .going_calls(account, from);
            calls.extend(part.calls);
            if calls.len() > most {
                calls.truncate(most);
                return (calls, true);
            }
            match part.next {
                Some(next) => from = next,
                None => return (calls, false),
            }
        }
    }

    /// One of them.
    pub(crate) fn going_call(&self, account: AccountId, id: &str) -> Option<GoingCall> {
        let shard = shard_of(account, self.shards.len());
        let machine = &lock(&self.shards[shard].owned).machine;
        machine.going_call(account, id)
    }

    /// Does something to a call of an account; the file of a recording, or why it cannot be done.
    pub(crate) fn control(
        &self,
        account: AccountId,
        id: &str,
        control: &Control,
    ) -> Result<Option<FileName>, ControlFault> {
        let shard = shard_of(account, self.shards.len());
        if shard_of_instance(id) != Some(shard) {
            return Err(ControlFault::NoSuchCall);
        }
        let mut owned = lock(&self.shards[shard].owned);
        let may = owned.machine.check_control(account, id, control)?;
        let input = Input::Control {
            account,
            id,
            control,
        };
        self.step(shard, &mut owned, input);
        Ok(may)
    }

    /// Tells its shard what the gateway has to say of a session.
    pub(crate) fn media(&self, event: MediaEvent) {
        let shard = usize::from(event.leg().session.shard());
        self.answer(shard, Input::Media(event));
    }

    /// Gives a message of a trunk's line to the shard of its account.
    pub(crate) fn trunk(
        &self,
        connection: ConnectionId,
        account: AccountId,
        message: &sip::Message<'_>,
    ) {
        let input = Input::Message {
            connection,
            account,
            message,
            ice_servers: None,
        };
        let now = self.now();
        self.give(shard_of(account, self.shards.len()), input);
        self.time(now, message);
    }

    /// Tells a shard what came of an errand.
    pub(crate) fn answer(&self, shard: usize, input: Input<'_>) {
        if shard < self.shards.len() {
            self.give(shard, input);
        }
    }

    /// Lets no call begin any more, and closes connections that have none, some at a time; where there are other nodes, sessions and calls go
    /// there. How many calls, such sessions, and connections with calls of other nodes are left; to be asked again each second until none is.
    pub(crate) fn drain(&self) -> usize {
        lock(&self.sessions).stopping = true;
        let others = self.cluster().and_then(Cluster::reaches).unwrap_or(0);
        let resumable = self.handovers.send_away(others > 0);
        for shard in 0..self.shards.len() {
            let resumable = &resumable;
            self.give(shard, Input::Drain { resumable });
        }
        let calls = self.shards.iter().map(|shard| {
            let machine = &lock(&shard.owned).machine;
            machine.census().calls + machine.engaged_elsewhere()
        });
        calls.sum::<usize>() + resumable.len()
    }

    /// Whether nobody new is served.
    pub(crate) fn is_stopping(&self) -> bool {
        lock(&self.sessions).stopping
    }

    /// Ends every call, and closes every connection after what that had to say.
    pub(crate) fn stop(&self) {
        for shard in 0..self.shards.len() {
            self.give(shard, Input::Stop);
        }
        let mut sessions = lock(&self.sessions);
        sessions.stopping = true;
        for outbox in sessions.outboxes.values() {
            outbox.close(Closing::STOPPING);
        }
    }

    /// Wakes one shard whenever its time has come; never ends.
    pub(crate) async fn keep_time(&self, shard: usize) {
        let Shard { owned, nearer } = &self.shards[shard];
        loop {
            let next = {
                let mut owned = lock(owned);
                owned.armed = owned.machine.poll_timeout();
                owned.armed
            };
            let Some(next) = next else {
                nearer.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(self.clock.deadline(next)) => self.give(shard, Input::Timeout),
                () = nearer.notified() => {}
            }
        }
    }

    /// Tells the shard that a connection is gone, unless it knows; `expired` if its client was waited for.
    fn lose(&self, shard: usize, connection: ConnectionId, expired: Option<Duration>) {
        let mut owned = lock(&self.shards[shard].owned);
        if owned.outboxes.remove(&connection).is_some() {
            let input = match expired {
                None => Input::Lost { connection },
                Some(waited) => Input::Expired { connection, waited },
            };
            self.step(shard, &mut owned, input);
        }
    }

    /// Takes down how long a request took that was read at `began`.
    fn time(&self, began: Now, message: &sip::Message<'_>) {
        if let sip::Message::Request(request) = message
            && meter::is_timed(&request.method)
        {
            let took = self.clock.since(began.mono);
            self.counters.meters.handled(&request.method, took);
        }
    }

    fn give(&self, shard: usize, input: Input<'_>) {
        self.step(shard, &mut lock(&self.shards[shard].owned), input);
    }

    /// One input, then every effect, then the next.
    fn step(&self, shard: usize, owned: &mut Owned, input: Input<'_>) {
        self.step_for(shard, owned, self.now(), input, None);
    }

    /// The same; most effects of a message are for the connection that it came from, `own`.
    fn step_for(
        &self,
        shard: usize,
        owned: &mut Owned,
        now: Now,
        input: Input<'_>,
        own: Option<(ConnectionId, &Outbox)>,
    ) {
        let mut overflowed = Vec::new();
        let is_late = matches!(input, Input::Relayed { .. });
        owned.machine.handle(now, input);
        loop {
            let mut performer = Performer {
                own,
                outboxes: &owned.outboxes,
                outlets: &self.outlets,
                shard,
                is_late,
                overflowed: &mut overflowed,
            };
            while let Some(effect) = owned.machine.poll_effect() {
                performer.perform(effect);
            }
            let Some(connection) = overflowed.pop() else {
                break;
            };
            if owned.outboxes.remove(&connection).is_some() {
                self.counters.add(Counter::SlowReader);
                owned.machine.handle(now, Input::Lost { connection });
            }
        }
        let next = owned.machine.poll_timeout();
        if next.is_some_and(|next| owned.armed.is_none_or(|armed| next < armed)) {
            owned.armed = next;
            self.shards[shard].nearer.notify_one();
        }
    }
}

/// One open WebSocket connection, or a session that goes from socket to socket. Dropping it tells its shard that the connection is lost.
pub(crate) struct Session {
    pub(crate) signalling: Arc<Signalling>,
    pub(crate) connection: ConnectionId,
    pub(crate) outbox: Arc<Outbox>,
    /// The shard that owns it, once a message was delivered.
    shard: Option<usize>,
    /// For how long its client was waited for in vain.
    expired: Option<Duration>,
}

impl Session {
    /// Hands a message to its shard; the first one binds the connection to that shard.
    pub(crate) fn deliver(
        &mut self,
        now: Now,
        shard: usize,
        account: AccountId,
        message: &sip::Message<'_>,
        ice_servers: Option<&str>,
    ) {
        let connection = self.connection;
        let mut owned = lock(&self.signalling.shards[shard].owned);
        if self.shard.is_none() {
            self.shard = Some(shard);
            self.outbox.bind(shard);
            owned.outboxes.insert(connection, Arc::clone(&self.outbox));
        } else if self.outbox.has_overflowed() {
            // The shard was told, and it is about to be closed.
            return;
        }
        let input = Input::Message {
            connection,
            account,
            message,
            ice_servers,
        };
        let own = Some((connection, &*self.outbox));
        self.signalling.step_for(shard, &mut owned, now, input, own);
        drop(owned);
        self.signalling.time(now, message);
    }
}

impl Session {
    /// Its client did not come back within this time: its shard will hear that instead of a loss.
    pub(crate) fn expires(&mut self, waited: Duration) {
        self.expired = Some(waited);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        lock(&self.signalling.sessions)
            .outboxes
            .remove(&self.connection);
        let Some(shard) = self.shard else {
            return;
        };
        let (connection, expired) = (self.connection, self.expired);
        if !std::thread::panicking() {
            self.signalling.lose(shard, connection, expired);
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // A bug has just ended this task. If telling the shard meets another one, it must not end the process.
            let signalling = Arc::clone(&self.signalling);
            runtime.spawn(async move { signalling.lose(shard, connection, expired) });
        }
    }
}

/// Fresh random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system gives random bytes");
    bytes
}

/// A panic under the lock is a bug that was reported where it happened; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
