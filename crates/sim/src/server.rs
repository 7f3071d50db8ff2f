//! One server of the world: the part of the shell, without sockets and threads.
//!
//! A flow for each connection, shards behind it, one input at a time and every effect before the next. Performs nothing
//! by itself: effects go out to the world, which can delay them or lose them with their connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::{AccountId, CallRecord, ConnectionId, Now, RecordId, limits};
use switch::edge::{Flow, Liveness, Verdict, shard_of};
use switch::{Closing, Counter, Effect, Input, RegisteredClient, Shard, Snapshot};

use crate::authority::View;

/// What a server does to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Sends a text frame.
    Text {
        /// On this connection.
        connection: ConnectionId,
        /// The whole message.
        message: Vec<u8>,
    },
    /// Sends a ping.
    Ping(ConnectionId),
    /// Closes a connection after what was sent before.
    Close {
        /// This one.
        connection: ConnectionId,
        /// Why.
        why: Closing,
        /// Whether the flow is dropped at once, unread.
        at_once: bool,
    },
    /// Has a call record to keep.
    Record(Box<CallRecord>),
}

#[derive(Debug)]
struct Session {
    flow: Flow,
    /// The shard that knows it, once a message was delivered.
    shard: Option<usize>,
    /// Messages that wait because the connection carries none.
    stalled: usize,
}

/// What outlives a server: the store.
#[derive(Debug, Default)]
pub struct Book {
    /// Call records by their number.
    pub records: BTreeMap<RecordId, CallRecord>,
}

/// One server.
#[derive(Debug)]
pub struct Server {
    /// Whether it runs.
    pub is_up: bool,
    /// How often it was started.
    pub boot: u32,
    /// What it knows of accounts, for its judge.
    pub view: View,
    /// Records that were written.
    pub book: Book,
    /// Counters since the world began.
    pub counters: BTreeMap<Counter, u64>,
    snapshot: Arc<Snapshot>,
    shards: Vec<Shard>,
    sessions: BTreeMap<ConnectionId, Session>,
    out: VecDeque<Out>,
}

impl Server {
    /// A server that has not been started.
    pub fn new() -> Self {
        Self {
            is_up: false,
            boot: 0,
            view: View::default(),
            book: Book::default(),
            counters: BTreeMap::new(),
            snapshot: Arc::default(),
            shards: Vec::new(),
            sessions: BTreeMap::new(),
            out: VecDeque::new(),
        }
    }

    /// Starts with empty hands.
    pub fn start(&mut self, seeds: &[[u8; 32]], snapshot: Arc<Snapshot>, view: View) {
        self.is_up = true;
        self.boot += 1;
        self.shards = seeds
            .iter()
            .map(|seed| Shard::new(*seed, Arc::clone(&snapshot)))
            .collect();
        self.snapshot = snapshot;
        self.view = view;
        self.sessions.clear();
    }

    /// The process is gone, with everything in its memory.
    pub fn vanish(&mut self) {
        self.is_up = false;
        self.shards.clear();
        self.sessions.clear();
        self.out.clear();
    }

    /// A connection was accepted.
    pub fn accept(&mut self, now: Now, connection: ConnectionId) {
        let session = Session {
            flow: Flow::new(connection, now),
            shard: None,
            stalled: 0,
        };
        self.sessions.insert(connection, session);
    }

    /// A text frame came in.
    pub fn frame(&mut self, now: Now, connection: ConnectionId, frame: &[u8]) {
        let Some(session) = self.sessions.get_mut(&connection) else {
            return;
        };
        let verdict = session
            .flow
            .frame(now, frame, &self.snapshot, self.shards.len());
        match verdict {
            Verdict::Deliver {
                shard,
                account,
                message,
            } => {
                session.shard = Some(shard);
                let input = Input::Message {
                    connection,
                    account,
                    message: &message,
                };
                self.step(now, shard, input);
            }
            Verdict::Reply { message, count } => {
                self.count(count);
                self.out.push_back(Out::Text {
                    connection,
                    message,
                });
            }
            Verdict::Ignore { count } => self.count(count),
            Verdict::Close { why, count } => {
                self.count(Some(count));
                self.out.push_back(Out::Close {
                    connection,
                    why,
                    at_once: true,
                });
            }
        }
    }

    /// A pong came in.
    pub fn pong(&mut self, now: Now, connection: ConnectionId) {
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.flow.alive(now);
        }
    }

    /// A message could not leave: the connection carries nothing. Says whether its outbox is full.
    pub fn stall(&mut self, connection: ConnectionId) -> bool {
        self.sessions.get_mut(&connection).is_some_and(|session| {
            session.stalled += 1;
            session.stalled > limits::OUTBOX_MESSAGES
        })
    }

    /// A connection is gone.
    pub fn lost(&mut self, now: Now, connection: ConnectionId) {
        if let Some(session) = self.sessions.remove(&connection)
            && let Some(shard) = session.shard
        {
            self.step(now, shard, Input::Lost { connection });
        }
    }

    /// The store has changed.
    pub fn publish(&mut self, now: Now, snapshot: Arc<Snapshot>, view: View) {
        self.snapshot = Arc::clone(&snapshot);
        self.view = view;
        for shard in 0..self.shards.len() {
            self.step(now, shard, Input::Snapshot(Arc::clone(&snapshot)));
        }
    }

    /// It is told to stop: calls end, connections are closed.
    pub fn stop(&mut self, now: Now) {
        for shard in 0..self.shards.len() {
            self.step(now, shard, Input::Stop);
        }
        let unbound = self.sessions.iter().filter(|(_, s)| s.shard.is_none());
        for (&connection, _) in unbound {
            self.out.push_back(Out::Close {
                connection,
                why: Closing::STOPPING,
                at_once: false,
            });
        }
    }

    /// A shard's time has come.
    pub fn wake_shard(&mut self, now: Now, shard: usize) {
        if self
            .shard_timeout(shard)
            .is_some_and(|at| at <= now.mono.as_micros())
        {
            self.step(now, shard, Input::Timeout);
        }
    }

    /// A connection's time has come.
    pub fn wake_flow(&mut self, now: Now, connection: ConnectionId) {
        let Some(session) = self.sessions.get_mut(&connection) else {
            return;
        };
        match session.flow.timeout(now) {
            Liveness::Wait => {}
            Liveness::Ping => self.out.push_back(Out::Ping(connection)),
            Liveness::Close { why, count } => {
                self.count(count);
                self.out.push_back(Out::Close {
                    connection,
                    why,
                    at_once: true,
                });
            }
        }
    }

    /// When a shard wants to be woken.
    pub fn shard_timeout(&self, shard: usize) -> Option<u64> {
        Some(self.shards.get(shard)?.poll_timeout()?.as_micros())
    }

    /// When a connection wants to be woken.
    pub fn flow_timeout(&self, connection: ConnectionId) -> Option<u64> {
        let session = self.sessions.get(&connection)?;
        Some(session.flow.poll_timeout().as_micros())
    }

    /// How many shards run.
    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Which shard an account lives on.
    pub fn shard_of(&self, account: usize) -> usize {
        shard_of(account_id(account), self.shards.len())
    }

    /// The next thing that it does.
    pub fn poll_out(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// Who is registered, as the web service would tell.
    pub fn clients(&self, account: usize, now: Now) -> Vec<RegisteredClient> {
        self.shards
            .get(self.shard_of(account))
            .map(|shard| shard.clients(account_id(account), now))
            .unwrap_or_default()
    }

    /// What a shard says of its own state; a shard that is late for its timers is not asked.
    pub fn check(&self, now: Now) -> Result<(), String> {
        for (at, shard) in self.shards.iter().enumerate() {
            let is_late = shard.poll_timeout().is_some_and(|due| due <= now.mono);
            if !is_late {
                shard
                    .check(now)
                    .map_err(|what| format!("shard {at}: {what}"))?;
            }
        }
        Ok(())
    }

    /// Whether nothing is left in any shard, and no connection.
    pub fn is_at_rest(&self) -> bool {
        self.sessions.is_empty() && self.shards.iter().all(Shard::is_at_rest)
    }

    /// How much is left, for the sentence that says so.
    pub fn census(&self) -> String {
        let shards: Vec<_> = self.shards.iter().map(Shard::census).collect();
        format!("{} sessions, {shards:?}", self.sessions.len())
    }

    /// How often something was counted.
    pub fn counted(&self, counter: Counter) -> u64 {
        self.counters.get(&counter).copied().unwrap_or(0)
    }

    /// One input, then every effect.
    fn step(&mut self, now: Now, shard: usize, input: Input<'_>) {
        let Some(machine) = self.shards.get_mut(shard) else {
            return;
        };
        machine.handle(now, input);
        while let Some(effect) = self.shards[shard].poll_effect() {
            self.perform(effect);
        }
    }

    /// Every effect that there is: a new one does not compile until the world can break it.
    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send {
                connection,
                message,
            } => self.out.push_back(Out::Text {
                connection,
                message,
            }),
            Effect::Close { connection, why } => self.out.push_back(Out::Close {
                connection,
                why,
                at_once: false,
            }),
            Effect::Record(record) => self.out.push_back(Out::Record(record)),
            Effect::Count(counter) => self.count(Some(counter)),
        }
    }

    fn count(&mut self, counter: Option<Counter>) {
        if let Some(counter) = counter {
            *self.counters.entry(counter).or_default() += 1;
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

/// The store's number of an account.
pub fn account_id(account: usize) -> AccountId {
    AccountId(u32::try_from(account).expect("a world has few accounts") + 1)
}
