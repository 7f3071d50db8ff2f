//! The world: servers, clients and the network between them, driven by one agenda from one seed.
//!
//! One entry is one step. After each the checks run; the first that fails ends the run with a sentence. Decides nothing
//! about SIP: it carries bytes, loses connections and wakes machines.

mod packet;
mod script;
mod socket;
pub(crate) mod step;
mod trunk;

use std::collections::BTreeMap;

use model::{CallRecord, ConnectionId, Now, limits};
use switch::Settings;

use crate::authority::Authority;
use crate::browser::{Browser, Deed, Happening};
use crate::check::reach::Reach;
use crate::check::transcript::Transcripts;
use crate::check::{Checker, Scene};
use crate::clock::{Agenda, Clock, Rank};
use crate::faults::{Cut, Faults};
use crate::gateway::Gateway;
use crate::hostile::Hostile;
use crate::ladder::{Column, Trace};
use crate::net::{Latency, Net, Payload};
use crate::random::Random;
use crate::raw::Raw;
use crate::relay::TurnPlan;
use crate::resuming::Resuming;
use crate::server::{Server, Word};
use crate::trunks::{TrunkPlan, Trunks};
use crate::webhook::Webhooks;
use packet::{Packets, Parcel};
pub use packet::{RelayFaults, server_address};

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// Accounts; account n lives on server n modulo the servers.
    pub accounts: usize,
    /// Servers that know nothing of each other.
    pub servers: usize,
    /// Shards of each.
    pub shards: usize,
    /// How slow the network is.
    pub latency: Latency,
    /// What goes wrong.
    pub faults: Faults,
    /// The operator's choices.
    pub settings: Settings,
    /// Whether pages resume their sessions, unless it is said of one that it does or does not.
    pub resumes: bool,
    /// How many sessions may wait on a server.
    pub waiting_room: usize,
    /// The TURN of its server, if it has one; such a world has one server.
    pub turn: Option<TurnPlan>,
    /// Trunks of all accounts, if there are any.
    pub trunk: Option<TrunkPlan>,
    /// Whether the run can be drawn afterwards.
    pub keeps_trace: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            accounts: 2,
            servers: 1,
            shards: 2,
            latency: Latency::STEADY,
            faults: Faults::none(),
            settings: Settings::default(),
            resumes: false,
            waiting_room: limits::CONNECTIONS,
            turn: None,
            trunk: None,
            keeps_trace: true,
        }
    }
}

/// Somebody with a WebSocket.
#[derive(Debug)]
pub enum Client {
    /// A page with the SDK.
    Browser(Box<Browser>),
    /// A scripted client.
    Raw(Raw),
    /// One that means harm.
    Hostile(Box<Hostile>),
}

impl Client {
    fn handle(&mut self, now: u64, what: Happening<'_>) {
        match self {
            Self::Browser(browser) => browser.handle(now, what),
            Self::Raw(raw) => raw.handle(now, what),
            Self::Hostile(hostile) => hostile.handle(now, what),
        }
    }

    fn poll_deed(&mut self) -> Option<Deed> {
        match self {
            Self::Browser(browser) => browser.poll_deed(),
            Self::Raw(raw) => raw.poll_deed(),
            Self::Hostile(hostile) => hostile.poll_deed(),
        }
    }

    fn poll_timeout(&self) -> Option<u64> {
        match self {
            Self::Browser(browser) => browser.poll_timeout(),
            Self::Raw(_) => None,
            Self::Hostile(hostile) => hostile.poll_timeout(),
        }
    }

    fn complaint(&self) -> Option<&String> {
        match self {
            Self::Browser(browser) => browser.complaint.as_ref(),
            Self::Raw(_) | Self::Hostile(_) => None,
        }
    }

    fn strange_responses(&self) -> u32 {
        match self {
            Self::Browser(browser) => browser.strange_responses,
            Self::Raw(_) | Self::Hostile(_) => 0,
        }
    }
}

/// Who can ask to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sleeper {
    Client(usize),
    Shard(usize, usize),
    Flow(ConnectionId),
    /// A client's resuming socket.
    Socket(ConnectionId),
    /// A worker of a server's relays.
    Relay(usize, usize),
    Stranger(usize),
    /// The gateway of a server.
    Gateway(usize),
    /// The line of a trunk.
    Line(usize),
    Phone(usize),
}

/// What can happen next.
#[derive(Debug)]
enum Event {
    Wake(Sleeper),
    Connect(ConnectionId),
    Opened(ConnectionId),
    Refused(ConnectionId),
    ToServer(ConnectionId, Payload),
    ToClient(ConnectionId, Payload),
    ServerNotices(ConnectionId),
    ClientNotices(ConnectionId),
    Written(usize, u32, Box<CallRecord>),
    Vanish(usize, u32),
    Start(usize),
    /// A shard of a server that was started so often is told something.
    Told(usize, u32, usize, Box<Word>),
    /// Something of the datagram network.
    Parcel(Parcel),
    /// Something of a trunk's.
    Post(trunk::Post),
    /// Whoever drives the world has something to do.
    Cue(u64),
}

/// A run that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// At which step.
    pub step: u64,
    /// When.
    pub micros: u64,
    /// What must hold and did not.
    pub sentence: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.micros / 1_000_000;
        write!(
            f,
            "step {}, {seconds}.{:06} s: {}",
            self.step,
            self.micros % 1_000_000,
            self.sentence
        )
    }
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// Accounts, keys, tokens.
    pub authority: Authority,
    /// What goes wrong.
    pub faults: Faults,
    /// What happened.
    pub trace: Trace,
    /// The chance of whoever drives the world.
    pub random: Random,
    /// What goes wrong with relays.
    pub relay_faults: RelayFaults,
    /// Judges what leaves them.
    pub reach: Reach,
    /// Steps taken.
    pub steps: u64,
    steps_at_instant: u64,
    clock: Clock,
    agenda: Agenda<Event>,
    armed: BTreeMap<Sleeper, (u64, u64)>,
    net: Net,
    fate: Random,
    servers: Vec<Server>,
    checkers: Vec<Checker>,
    stopping: Vec<bool>,
    draining: Vec<bool>,
    /// When the last record of each server will be written: they never overtake each other.
    written_at: Vec<u64>,
    shards: usize,
    clients: Vec<Client>,
    names: Vec<String>,
    accounts: Vec<usize>,
    /// The socket of each client: its connection, or the session of its resuming socket.
    sockets: Vec<Option<ConnectionId>>,
    /// Whether a client's sockets are resuming ones.
    resumes: Vec<bool>,
    /// Until when a client cannot connect.
    away_until: Vec<u64>,
    resuming: BTreeMap<ConnectionId, Resuming>,
    transcripts: Transcripts,
    pages_resume: bool,
    packets: Packets,
    /// The gateway of each server.
    pub gateways: Vec<Gateway>,
    /// The trunks of all accounts.
    pub trunks: Trunks,
    ends: trunk::Ends,
    /// Applications, wherever they are.
    pub webhooks: Webhooks,
    rumours: Vec<Vec<u8>>,
    fault: Option<Fault>,
}

impl World {
    /// A world whose servers have just started.
    pub fn new(plan: &Plan) -> Self {
        let mut random = Random::new(plan.seed);
        let net = Net::new(plan.latency, random.fork());
        let mut fate = random.fork();
        let mut server = || {
            let mut server = Server::new(fate.fork());
            server.waiting_room = plan.waiting_room;
            server
        };
        let servers = (0..plan.servers).map(|_| server()).collect();
        let mut settings = plan.settings.clone();
        if let Some(trunk) = &plan.trunk {
            settings.trunks = trunk.trunks(plan.accounts);
        }
        let window = plan.settings.resume_window.as_micros();
        let mut world = Self {
            authority: Authority::new(plan.accounts, settings),
            faults: plan.faults.clone(),
            trace: Trace::new(plan.keeps_trace),
            random,
            relay_faults: RelayFaults::default(),
            reach: Reach::default(),
            steps: 0,
            steps_at_instant: 0,
            clock: Clock::default(),
            agenda: Agenda::default(),
            armed: BTreeMap::new(),
            net,
            fate,
            servers,
            checkers: (0..plan.servers).map(|_| Checker::default()).collect(),
            stopping: vec![false; plan.servers],
            draining: vec![false; plan.servers],
            written_at: vec![0; plan.servers],
            shards: plan.shards,
            clients: Vec::new(),
            names: Vec::new(),
            accounts: Vec::new(),
            sockets: Vec::new(),
            resumes: Vec::new(),
            away_until: Vec::new(),
            resuming: BTreeMap::new(),
            transcripts: Transcripts::new(u64::try_from(window).unwrap_or(u64::MAX)),
            pages_resume: plan.resumes,
            packets: Packets::new(
                plan.turn.as_ref(),
                plan.servers,
                Random::new(plan.seed ^ 0x7012),
            ),
            trunks: Trunks::new(plan.trunk.as_ref(), plan.accounts, plan.servers, plan.seed),
            ends: trunk::Ends::default(),
            gateways: (0..plan.servers).map(|_| Gateway::default()).collect(),
            webhooks: Webhooks::default(),
            rumours: Vec::new(),
            fault: None,
        };
        for node in 0..plan.servers {
            world.start_server(node);
        }
        world
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Microseconds since the run began.
    pub fn micros(&self) -> u64 {
        self.clock.micros()
    }

    /// A server.
    pub fn server(&self, node: usize) -> &Server {
        &self.servers[node]
    }

    /// How many servers there are.
    pub fn server_count(&self) -> usize {
        self.servers.len()
    }

    /// Calls that were routed, on all servers.
    pub fn calls_seen(&self) -> usize {
        self.checkers.iter().map(Checker::calls_seen).sum()
    }

    /// The ladder of the run.
    pub fn ladder(&self) -> String {
        let phones = self.trunks.phones.len();
        self.trace.draw(&self.names, self.servers.len(), phones)
    }

    /// What went wrong, if anything.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Asks to be given a cue at a time; `step` hands it out.
    pub fn cue(&mut self, after: u64, number: u64) {
        self.agenda
            .at(self.micros() + after, Rank::Usual, Event::Cue(number));
    }

    fn cut_connection(&mut self, connection: ConnectionId, cut: Cut) {
        let now = self.micros();
        let Some(link) = self.net.link_mut(connection) else {
            return;
        };
        if !std::mem::replace(&mut link.carrying, false) {
            return;
        }
        let (client, server_up) = (link.client, link.server_up);
        self.trace.note(
            now,
            Column::Client(client),
            &format!("#{} is cut", connection.0),
        );
        self.agenda.at(
            now + cut.client_after,
            Rank::Usual,
            Event::ClientNotices(connection),
        );
        if let Some(after) = cut.server_after.filter(|_| server_up) {
            self.agenda
                .at(now + after, Rank::Usual, Event::ServerNotices(connection));
        }
    }

    fn start_server(&mut self, node: usize) {
        let seeds: Vec<_> = (0..self.shards).map(|_| self.fate.seed()).collect();
        self.start_relays(node);
        let (snapshot, view) = self.authority.publish();
        self.servers[node].start(&seeds, snapshot, view);
        self.stopping[node] = false;
        self.draining[node] = false;
        self.start_lines(node);
        self.trace
            .note(self.clock.micros(), Column::Server(node), "starts");
    }

    fn node_of(&self, client: usize) -> usize {
        self.accounts[client] % self.servers.len()
    }

    fn scene(&self, node: usize) -> Scene<'_> {
        Scene {
            now: self.clock.now(),
            view: &self.servers[node].view,
            authority: &self.authority,
            is_stopping: self.stopping[node] || self.draining[node],
            late_wake: self.faults.late_wake,
        }
    }

    fn fail(&mut self, sentence: impl Into<String>) {
        let (step, micros) = (self.steps, self.micros());
        self.fault.get_or_insert_with(|| Fault {
            step,
            micros,
            sentence: sentence.into(),
        });
    }

    /// Performs what a client wants done.
    fn serve(&mut self, client: usize) {
        let now = self.micros();
        if let Client::Browser(browser) = &mut self.clients[client] {
            browser.talk(now);
        }
        while let Some(deed) = self.clients[client].poll_deed() {
            match deed {
                Deed::Open => self.open(client, self.resumes[client]),
                Deed::OpenResumable => self.open_raw(client, true),
                Deed::Send(frame) => self.send(client, frame),
                Deed::Close => self.close(client, false),
                Deed::Leave => self.close(client, true),
            }
        }
        self.serve_media(client);
        if self.clients[client].strange_responses() > 0 && !self.has_hostile() {
            self.fail("a response came to a page whose Via is not the page's own alone");
        }
        if let Some(complaint) = self.clients[client].complaint() {
            let complaint = complaint.clone();
            self.fail(complaint);
        }
        self.arm(
            Sleeper::Client(client),
            self.clients[client].poll_timeout(),
            0,
        );
    }

    fn has_hostile(&self) -> bool {
        self.clients
            .iter()
            .any(|client| matches!(client, Client::Hostile(_)))
    }

    /// Keeps a few messages of others for those who mean harm.
    fn hear(&mut self, frame: &[u8]) {
        const KEPT: usize = 24;
        if self.has_hostile() && frame.len() < 8192 {
            if self.rumours.len() < KEPT {
                self.rumours.push(frame.to_vec());
            } else {
                let at = usize::try_from(self.fate.below(KEPT as u64)).unwrap_or(0);
                self.rumours[at] = frame.to_vec();
            }
        }
    }

    /// Notes when somebody wants to be woken; wakes that are no longer wanted find nothing to do.
    fn arm(&mut self, who: Sleeper, due: Option<u64>, late: u64) {
        match (due, self.armed.get(&who)) {
            (None, _) => {}
            (Some(due), Some((armed, _))) if *armed <= due => {}
            (Some(due), _) => {
                let at = (due + late).max(self.micros());
                self.armed.insert(who, (due, at));
                self.agenda.at(at, Rank::Wake, Event::Wake(who));
            }
        }
    }
}
