//! One server of the world: the part of the shell, without sockets and threads.
//!
//! A session for each client, shards behind it, one input at a time and every effect before the next. Performs nothing
//! by itself: effects go out to the world, which can delay them or lose them with their connection.

mod cluster;
mod moving;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::media::{MediaCommand, MediaEvent};
use model::{
    AccountId, CallRecord, ConnectionId, FileName, NodeNumber, Now, Page, PageAnswer, PageRequest,
    QuestionId, RecordId, SoundAnswer, SoundRequest, Start, Trunk, limits,
};
use switch::cluster::MemberInput;
use switch::edge::{Verdict, shard_of};
use switch::resume::Credentials;
use switch::turn_grant::{Relayed, TurnChange};
use switch::{
    Closing, Control, ControlFault, Counter, Effect, Input, RegisteredClient, Shard, Snapshot,
    StartFault,
};

use crate::authority::View;
use crate::random::Random;
use moving::Asking;
pub use session::Ending;
use session::{Line, Session};

/// What a server does to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Hands a message over for a client, wherever that is.
    Message {
        /// In this session.
        session: ConnectionId,
        /// The whole message.
        message: Vec<u8>,
    },
    /// Gives a message to the line of a trunk.
    Line {
        /// This one.
        connection: ConnectionId,
        /// The whole message.
        message: Vec<u8>,
    },
    /// Sends a text frame.
    Frame {
        /// On this connection.
        link: ConnectionId,
        /// The whole frame.
        frame: Vec<u8>,
    },
    /// Sends a ping.
    Ping(ConnectionId),
    /// Closes a connection after what was sent before.
    Close {
        /// This one.
        link: ConnectionId,
        /// Why.
        why: Closing,
        /// Whether it is given up at once, unread.
        at_once: bool,
    },
    /// A session has begun that may outlive its connection.
    Opened(ConnectionId),
    /// A session waits for its client.
    Suspended(ConnectionId),
    /// It goes on.
    Resumed {
        /// This one.
        session: ConnectionId,
        /// On this connection.
        link: ConnectionId,
    },
    /// A session is being closed, and counts as lost from now on.
    Dismissed {
        /// This one.
        session: ConnectionId,
        /// Why.
        why: Closing,
    },
    /// A session is over.
    Ended {
        /// This one.
        session: ConnectionId,
        /// How.
        ending: Ending,
    },
    /// A shard has decided something about relays.
    Turn(TurnChange),
    /// Has a call record to keep.
    Record(Box<CallRecord>),
    /// A shard tells the gateway.
    Media(MediaCommand),
    /// A shard asks an application.
    Ask(usize, Box<PageRequest>),
    /// A shard wants a sound.
    Bring(usize, SoundRequest),
    /// Has something to say to the other nodes of its cluster.
    Member(MemberInput<'static>),
}

/// What a shard is told from elsewhere than a connection.
#[derive(Clone, Debug)]
pub enum Word {
    /// By the gateway.
    Media(MediaEvent),
    /// By an application.
    Page(QuestionId, PageAnswer),
    /// By whoever brings sounds.
    Sound(QuestionId, SoundAnswer),
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
    /// No session begins any more.
    is_draining: bool,
    /// How often it was started.
    pub boot: u32,
    /// What it knows of accounts, for its judge.
    pub view: View,
    /// Records that were written.
    pub book: Book,
    /// Counters since the world began.
    pub counters: BTreeMap<Counter, u64>,
    /// What was wrong with applications, for their operator.
    pub complaints: Vec<String>,
    /// How many sessions may wait for their clients.
    pub waiting_room: usize,
    snapshot: Arc<Snapshot>,
    shards: Vec<Shard>,
    sessions: BTreeMap<ConnectionId, Session>,
    lines: BTreeMap<ConnectionId, Line>,
    credentials: Credentials,
    node: NodeNumber,
    /// The other nodes that are there.
    peers: Arc<[NodeNumber]>,
    /// Clients that wait for sessions of other nodes, by the connection that it is to be.
    asking: BTreeMap<ConnectionId, Asking>,
    random: Random,
    /// Sessions that end as soon as the effects of this input are performed.
    doomed: VecDeque<(ConnectionId, Ending)>,
    /// Sessions and connections whose time may have come nearer.
    touched: Vec<ConnectionId>,
    out: VecDeque<Out>,
}

impl Server {
    /// A server that has not been started; its secrets come from `random`.
    pub fn new(random: Random) -> Self {
        Self {
            is_up: false,
            is_draining: false,
            boot: 0,
            view: View::default(),
            book: Book::default(),
            counters: BTreeMap::new(),
            complaints: Vec::new(),
            waiting_room: limits::CONNECTIONS,
            snapshot: Arc::default(),
            shards: Vec::new(),
            sessions: BTreeMap::new(),
            lines: BTreeMap::new(),
            credentials: Credentials::default(),
            node: NodeNumber::ALONE,
            peers: Arc::default(),
            asking: BTreeMap::new(),
            random,
            doomed: VecDeque::new(),
            touched: Vec::new(),
            out: VecDeque::new(),
        }
    }

    /// Starts with empty hands.
    pub fn start(&mut self, seeds: &[[u8; 32]], snapshot: Arc<Snapshot>, view: View) {
        self.start_on(NodeNumber::ALONE, seeds, snapshot, view);
    }

    /// The same, as one node among several.
    pub fn start_on(
        &mut self,
        node: NodeNumber,
        seeds: &[[u8; 32]],
        snapshot: Arc<Snapshot>,
        view: View,
    ) {
        self.vanish();
        self.node = node;
        self.is_up = true;
        self.is_draining = false;
        self.boot += 1;
        self.shards = seeds
            .iter()
            .zip(0..)
            .map(|(seed, number)| Shard::new(number, *seed, Arc::clone(&snapshot)).on_node(node))
            .collect();
        self.snapshot = snapshot;
        self.view = view;
    }

    /// The process is gone, with everything in its memory.
    pub fn vanish(&mut self) {
        self.is_up = false;
        self.shards.clear();
        self.sessions.clear();
        self.lines.clear();
        self.credentials = Credentials::default();
        self.peers = Arc::default();
        self.asking.clear();
        self.doomed.clear();
        self.out.clear();
    }

    /// A message came in on a session.
    pub fn message(&mut self, now: Now, id: ConnectionId, message: &[u8]) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let verdict = session
            .flow
            .frame(now, message, &self.snapshot, self.shards.len());
        match verdict {
            Verdict::Deliver {
                shard,
                account,
                message,
                ice_servers,
            } => {
                session.shard = Some(shard);
                let input = Input::Message {
                    connection: id,
                    account,
                    message: &message,
                    ice_servers: ice_servers.as_deref(),
                };
                self.step(now, shard, input);
            }
            Verdict::Reply { message, count } => {
                self.count(count);
                self.hand_over(id, message);
                self.bury(now);
            }
            Verdict::Ignore { count } => self.count(count),
            Verdict::Close { why, count } => {
                self.count(Some(count));
                self.close(now, id, why, Ending::Closed(why));
            }
        }
        self.acknowledge(id);
    }

    /// The line of a trunk delivers a message.
    pub fn deliver(
        &mut self,
        now: Now,
        connection: ConnectionId,
        account: AccountId,
        message: &[u8],
    ) {
        if let Ok(message) = sip::parse(message)
            && !self.shards.is_empty()
        {
            let shard = shard_of(account, self.shards.len());
            let input = Input::Message {
                connection,
                account,
                message: &message,
                ice_servers: None,
            };
            self.step(now, shard, input);
        }
    }

    /// The connection of a trunk's line is taken from its shard.
    pub fn forget_line(&mut self, now: Now, connection: ConnectionId, account: AccountId) {
        if !self.shards.is_empty() {
            let shard = shard_of(account, self.shards.len());
            self.step(now, shard, Input::Lost { connection });
        }
    }

    fn is_line(&self, connection: ConnectionId) -> bool {
        let mut trunks = self.snapshot.settings.trunks.iter();
        trunks.any(|(line, _)| *line == connection)
    }

    /// The peers of a trunk are elsewhere.
    pub fn lead(&mut self, now: Now, line: ConnectionId, trunk: Arc<Trunk>) {
        if !self.shards.is_empty() {
            let shard = shard_of(trunk.account, self.shards.len());
            self.step(now, shard, Input::Trunk(line, trunk));
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

    /// It is told that it will stop: calls go on, connections without one are closed.
    pub fn drain(&mut self, now: Now) {
        self.is_draining = true;
        self.send_away(now);
        let resumable = self.resumable();
        for shard in 0..self.shards.len() {
            let resumable = &resumable;
            self.step(now, shard, Input::Drain { resumable });
        }
        self.bury(now);
    }

    /// How many calls are set up or go on.
    pub fn calls(&self) -> usize {
        self.shards.iter().map(|shard| shard.census().calls).sum()
    }

    /// It is told to stop: calls end, connections are closed.
    pub fn stop(&mut self, now: Now) {
        for shard in 0..self.shards.len() {
            self.step(now, shard, Input::Stop);
        }
        let unbound = self.sessions.iter().filter(|(_, s)| s.shard.is_none());
        for id in unbound.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.dismiss(id, Closing::STOPPING);
        }
        self.bury(now);
        self.close_new_lines();
    }

    /// A relay tells what it did for a client.
    pub fn relayed(&mut self, now: Now, relayed: &Relayed) {
        if self.shards.is_empty() {
            return;
        }
        let shard = shard_of(relayed.account, self.shards.len());
        let input = Input::Relayed {
            connection: relayed.connection,
            call: relayed.call,
            usage: relayed.usage,
        };
        self.step(now, shard, input);
    }

    /// A shard is told something.
    pub fn told(&mut self, now: Now, shard: usize, word: Word) {
        let input = match word {
            Word::Media(event) => Input::Media(event),
            Word::Page(id, answer) => Input::Page { id, answer },
            Word::Sound(id, answer) => Input::Sound { id, answer },
        };
        self.step(now, shard, input);
    }

    /// An application begins a call; its `application_instance_id`, or why it does not.
    pub fn begin_call(&mut self, now: Now, start: Start) -> Result<String, StartFault> {
        let shard = shard_of(start.account, self.shards.len());
        let machine = self.shards.get_mut(shard).ok_or(StartFault::Stopping)?;
        let may = machine.check_starts(now, std::slice::from_ref(&start));
        let mut instances = may.map_err(|(_, fault)| fault)?;
        self.step(now, shard, Input::Start(start));
        Ok(instances.remove(0))
    }

    /// Names of an account's calls that go on.
    pub fn going_calls(&self, account: usize) -> Vec<String> {
        let machine = self.shards.get(self.shard_of(account));
        let going = machine.map(|machine| machine.going_calls(account_id(account), 0));
        let calls = going.into_iter().flat_map(|going| going.calls);
        calls.map(|call| call.id).collect()
    }

    /// Why what was done to one of an account's calls came to nothing.
    pub fn control_fault(&self, account: usize, id: &str) -> Option<String> {
        let machine = self.shards.get(self.shard_of(account))?;
        machine.going_call(account_id(account), id)?.run?.fault
    }

    /// The account does something to one of its calls; the file of a recording, or why it cannot be done.
    pub fn control(
        &mut self,
        now: Now,
        account: usize,
        id: &str,
        control: &Control,
    ) -> Result<Option<FileName>, ControlFault> {
        let shard = self.shard_of(account);
        let machine = self.shards.get(shard).ok_or(ControlFault::NoSuchCall)?;
        let account = account_id(account);
        let may = machine.check_control(account, id, control)?;
        let input = Input::Control {
            account,
            id,
            control,
        };
        self.step(now, shard, input);
        Ok(may)
    }

    /// The account interrupts an application.
    pub fn interrupt(&mut self, now: Now, account: usize, instance: &str, redirect: Option<Page>) {
        let input = Input::Interrupt {
            account: account_id(account),
            instance,
            redirect,
        };
        self.step(now, self.shard_of(account), input);
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

    /// When a shard wants to be woken.
    pub fn shard_timeout(&self, shard: usize) -> Option<u64> {
        Some(self.shards.get(shard)?.poll_timeout()?.as_micros())
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
        self.check_sessions()
    }

    /// Whether nothing is left in any shard, and no session.
    pub fn is_at_rest(&self) -> bool {
        self.sessions.is_empty()
            && self.lines.is_empty()
            && self.credentials.is_empty()
            && self.shards.iter().all(Shard::is_at_rest)
    }

    /// How much is left, for the sentence that says so.
    pub fn census(&self) -> String {
        let shards: Vec<_> = self.shards.iter().map(Shard::census).collect();
        format!(
            "{} sessions, {} connections, {} credentials, {shards:?}",
            self.sessions.len(),
            self.lines.len(),
            self.credentials.len()
        )
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
            self.perform(shard, effect);
        }
        self.bury(now);
    }

    /// Every effect that there is: a new one does not compile until the world can break it.
    fn perform(&mut self, shard: usize, effect: Effect) {
        match effect {
            Effect::Send {
                connection,
                message,
            } if self.is_line(connection) => self.out.push_back(Out::Line {
                connection,
                message,
            }),
            Effect::Send {
                connection,
                message,
            } => self.hand_over(connection, message),
            Effect::Close { connection, why } => self.dismiss(connection, why),
            Effect::Record(record) => self.out.push_back(Out::Record(record)),
            Effect::Turn(change) => {
                self.note(&change);
                self.out.push_back(Out::Turn(change));
            }
            Effect::Media { command, .. } => self.out.push_back(Out::Media(command)),
            Effect::Ask(request) => self.out.push_back(Out::Ask(shard, request)),
            Effect::Bring(request) => self.out.push_back(Out::Bring(shard, request)),
            Effect::Complain { why, .. } => self.complaints.push(why),
            Effect::Publish {
                account,
                client,
                bindings,
            } => self.out.push_back(Out::Member(MemberInput::Publish {
                account,
                client,
                bindings,
            })),
            Effect::Look {
                look,
                account,
                client,
            } => self.out.push_back(Out::Member(MemberInput::Look {
                shard,
                look,
                account,
                client,
            })),
            Effect::Tell { node, word } => {
                let input = MemberInput::Tell { node, word };
                self.out.push_back(Out::Member(input));
            }
            Effect::Count(counter) => self.count(Some(counter)),
        }
    }

    /// What decides about relays has changed.
    fn note(&mut self, change: &TurnChange) {
        if let TurnChange::Proven { connection, .. } = change
            && let Some(session) = self.sessions.get_mut(connection)
        {
            session.flow.proven();
        }
    }

    fn count(&mut self, counter: Option<Counter>) {
        if let Some(counter) = counter {
            *self.counters.entry(counter).or_default() += 1;
        }
    }
}

/// The store's number of an account.
pub fn account_id(account: usize) -> AccountId {
    AccountId(u32::try_from(account).expect("a world has few accounts") + 1)
}
