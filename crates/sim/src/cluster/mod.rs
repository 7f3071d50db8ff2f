//! A cluster: several servers that work as one, the bus between them, and pages that are connected to any of them.
//!
//! A smaller world than [`World`](crate::world::World): pages with the stock SDK, on plain connections or resuming ones, without media and
//! trunks. What it looks at is what nodes know of each other. Decides nothing about SIP.

pub mod bus;
mod check;
mod drain;
pub mod history;
mod node;
#[cfg(test)]
mod scenarios;
pub mod soak;
mod socket;

use std::collections::BTreeMap;
use std::time::Duration;

use model::{CallRecord, ConnectionId, Instant, NodeNumber, Now};
use switch::cluster::{Bindings, MemberInput};

use crate::authority::{Authority, Wish};
use crate::browser::{Browser, Deed, Happening};
use crate::clock::{Agenda, Clock, MILLI, Rank};
use crate::random::Random;
use crate::resuming::Resuming;
use bus::Bus;
use node::Node;

/// Whatever is one way between a page and its server.
const LATENCY: u64 = 5 * MILLI;

/// Somebody's connection.
#[derive(Debug)]
struct Link {
    page: usize,
    node: usize,
    number: NodeNumber,
    /// The resuming socket that it is of.
    session: Option<ConnectionId>,
    /// Whether its server resumes.
    resumes: bool,
    client_up: bool,
    server_up: bool,
}

/// A page, and the node to which its balancer sends it.
#[derive(Debug)]
pub struct Page {
    /// The page.
    pub browser: Browser,
    /// Where its next connection goes.
    pub node: usize,
    /// Whether its sockets resume.
    pub resumes: bool,
    /// Its connection; the first one, of a resuming socket.
    socket: Option<ConnectionId>,
}

/// What can happen next.
#[derive(Debug)]
enum Event {
    WakePage(usize),
    WakeShard(usize, NodeNumber, usize),
    WakeMember(usize, NodeNumber),
    WakeFlow(ConnectionId),
    WakeSocket(ConnectionId),
    Connect(ConnectionId),
    Opened(ConnectionId),
    Refused(ConnectionId),
    ToServer(ConnectionId, Vec<u8>),
    ToPage(ConnectionId, Vec<u8>),
    Pong(ConnectionId),
    PageCloses(ConnectionId),
    ServerNotices(ConnectionId),
    PageNotices(ConnectionId),
    /// Something comes from the bus.
    FromBus(usize, NodeNumber, FromBus),
    Start(usize),
    /// A node is drained, and looks whether it is empty; how long it is away then, in microseconds.
    Drain(usize, NodeNumber, u64),
    /// It ends.
    Leave(usize, NodeNumber, u64),
}

/// What the bus gives a node.
#[derive(Debug)]
enum FromBus {
    Post(Vec<u8>),
    /// Whether it is there.
    State,
    /// What a shard's look has found.
    Found(usize, u64, Vec<(NodeNumber, Bindings)>),
    Answer(MemberInput<'static>),
}

/// See the module.
#[derive(Debug)]
pub struct Cluster {
    /// Accounts, keys, tokens.
    pub authority: Authority,
    /// The chance of whoever drives it.
    pub random: Random,
    /// What is between the nodes.
    pub bus: Bus,
    /// Who is there.
    pub pages: Vec<Page>,
    clock: Clock,
    agenda: Agenda<Event>,
    nodes: Vec<Node>,
    links: BTreeMap<ConnectionId, Link>,
    /// Resuming sockets, by their first connection.
    resuming: BTreeMap<ConnectionId, Resuming>,
    /// What connections were given that nobody's socket is on.
    strange: BTreeMap<ConnectionId, Vec<String>>,
    /// Resuming sockets whose page was told that they are gone.
    pub lost_sessions: u64,
    connections: u64,
    steps_at_instant: u64,
    records: BTreeMap<model::RecordId, CallRecord>,
    /// The final answer to each INVITE, by its branch.
    answered: BTreeMap<String, u16>,
    fault: Option<String>,
    log: Vec<String>,
}

impl Cluster {
    /// So many servers, which have just started.
    pub fn new(seed: u64, servers: usize) -> Self {
        let mut random = Random::new(seed);
        let bus = Bus::new(random.fork());
        let mut cluster = Self {
            authority: Authority::new(1, switch::Settings::default()),
            bus,
            pages: Vec::new(),
            clock: Clock::default(),
            agenda: Agenda::default(),
            nodes: (0..servers).map(|_| Node::new(random.fork())).collect(),
            links: BTreeMap::new(),
            resuming: BTreeMap::new(),
            strange: BTreeMap::new(),
            lost_sessions: 0,
            connections: 0,
            steps_at_instant: 0,
            records: BTreeMap::new(),
            answered: BTreeMap::new(),
            fault: None,
            log: Vec::new(),
            random,
        };
        for node in 0..servers {
            cluster.start(node);
        }
        cluster.run_for(Duration::from_millis(100));
        cluster
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Opens a page that is connected to this node.
    pub fn page(&mut self, client: &str, node: usize) -> usize {
        let browser = Browser::new(client, 0, self.random.fork());
        self.pages.push(Page {
            browser,
            node,
            resumes: false,
            socket: None,
        });
        self.pages.len() - 1
    }

    /// Lets a page's app do something.
    pub fn app<T>(&mut self, page: usize, act: impl FnOnce(&mut Browser, u64) -> T) -> T {
        let now = self.clock.micros();
        let done = act(&mut self.pages[page].browser, now);
        self.serve(page);
        done
    }

    /// A token that permits everything.
    pub fn token(&mut self, client: &str) -> String {
        let now = self.now().unix;
        self.authority.token(0, &Wish::all(client), now)
    }

    /// A page's connection is lost: both ends notice at once, or its server by its pings alone.
    pub fn cut(&mut self, page: usize, server_notices: bool) {
        let Some(link) = self.link_of(page) else {
            return;
        };
        let now = self.clock.micros();
        if let Some(link) = self.links.get_mut(&link) {
            link.client_up = false;
        }
        self.agenda.at(now, Rank::Usual, Event::PageNotices(link));
        if server_notices {
            self.agenda.at(now, Rank::Usual, Event::ServerNotices(link));
        }
    }

    /// The process is gone without a word; it comes back after `away`, if at all.
    pub fn kill(&mut self, node: usize, away: Option<Duration>) {
        self.note(format!("node {node} is killed"));
        self.nodes[node].vanish();
        let now = self.clock.micros();
        let broken: Vec<_> = self
            .links
            .iter()
            .filter(|(_, link)| link.node == node && link.server_up)
            .map(|(id, _)| *id)
            .collect();
        for id in broken {
            if let Some(link) = self.links.get_mut(&id) {
                link.server_up = false;
            }
            self.agenda
                .at(now + LATENCY, Rank::Usual, Event::PageNotices(id));
        }
        if let Some(away) = away {
            let at = now + away.as_micros() as u64;
            self.agenda.at(at, Rank::Usual, Event::Start(node));
        }
    }

    /// The bus comes or goes; every node notices a little later.
    pub fn set_bus(&mut self, is_up: bool) {
        self.note(format!(
            "the bus is {}",
            if is_up { "back" } else { "away" }
        ));
        self.bus.is_up = is_up;
        for node in 0..self.nodes.len() {
            self.bus_changes(node);
        }
    }

    /// Whether a server runs.
    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].server.is_up
    }

    /// Its number, which it has until it ends.
    pub fn number_of(&self, node: usize) -> NodeNumber {
        self.nodes[node].number
    }

    /// How many servers there are.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Who is registered, as a node's web service would tell.
    pub fn clients(&self, node: usize) -> Vec<String> {
        let clients = self.nodes[node].server.clients(0, self.now());
        clients
            .into_iter()
            .map(|of| of.client.to_string())
            .collect()
    }

    /// Every record that was written, oldest first.
    pub fn records(&self) -> Vec<&CallRecord> {
        let mut records: Vec<_> = self.records.values().collect();
        records.sort_by_key(|record| (record.started, record.id));
        records
    }

    /// Tells every server what the store now holds.
    pub fn publish(&mut self) {
        let now = self.now();
        let (snapshot, view) = self.authority.publish();
        for node in 0..self.nodes.len() {
            self.nodes[node]
                .server
                .publish(now, snapshot.clone(), view.clone());
            self.settle(node);
        }
    }

    /// What went wrong, if anything, with what happened before.
    pub fn fault(&self) -> Option<String> {
        let fault = self.fault.as_ref()?;
        Some(format!("{fault}\n{}", self.log.join("\n")))
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.clock.micros() + time.as_micros() as u64;
        while self.agenda.next_due().is_some_and(|due| due <= until) && self.fault.is_none() {
            self.step();
        }
        self.clock.advance(until);
    }

    /// Lets time pass until something holds; says whether it came to hold within `limit`.
    pub fn run_until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let until = self.clock.micros() + limit.as_micros() as u64;
        while !holds(self) {
            if self.fault.is_some() || self.agenda.next_due().is_none_or(|due| due > until) {
                return false;
            }
            self.step();
        }
        true
    }

    fn note(&mut self, what: String) {
        let at = self.clock.micros();
        self.log.push(format!(
            "{:>4}.{:06} {what}",
            at / 1_000_000,
            at % 1_000_000
        ));
    }

    fn fail(&mut self, sentence: impl Into<String>) {
        self.fault.get_or_insert(sentence.into());
    }

    fn step(&mut self) {
        let Some((at, event)) = self.agenda.pop() else {
            return;
        };
        self.count_step(at);
        match event {
            Event::WakePage(page) => self.tell(page, Happening::Timeout),
            Event::WakeShard(node, number, shard) => self.wake_shard(node, number, shard),
            Event::WakeMember(node, number) => self.wake_member(node, number),
            Event::WakeFlow(link) => self.wake_flow(link),
            Event::WakeSocket(session) => self.wake_socket(session),
            Event::Connect(link) => self.connect(link),
            Event::Opened(link) => self.is_opened(link),
            Event::Refused(link) => self.page_loses(link, Happening::Refused),
            Event::ToServer(link, frame) => self.at_server(link, &frame),
            Event::ToPage(link, frame) => self.at_page(link, &frame),
            Event::Pong(link) => self.pong(link),
            Event::PageCloses(link) => self.server_loses(link, true),
            Event::ServerNotices(link) => self.server_loses(link, false),
            Event::PageNotices(link) => self.page_loses(link, Happening::Lost),
            Event::FromBus(node, number, what) => self.hear(node, number, what),
            Event::Drain(node, number, away) => self.drain_on(node, number, away),
            Event::Leave(node, number, away) => self.leave(node, number, away),
            Event::Start(node) => {
                if !self.nodes[node].server.is_up {
                    self.start(node);
                }
            }
        }
    }

    /// Time that never moves on is a fault of its own.
    fn count_step(&mut self, at: u64) {
        const MOST_AT_ONE_INSTANT: u64 = 20_000;
        if at > self.clock.micros() {
            self.steps_at_instant = 0;
        }
        self.clock.advance(at);
        self.steps_at_instant += 1;
        if self.steps_at_instant > MOST_AT_ONE_INSTANT {
            self.fail("time stands still: somebody wants to be woken at once, again and again");
        }
    }

    fn tell(&mut self, page: usize, what: Happening<'_>) {
        let now = self.clock.micros();
        if matches!(what, Happening::Timeout) {
            let due = self.pages[page].browser.poll_timeout();
            if due.is_none_or(|due| due > now) {
                return;
            }
        }
        self.pages[page].browser.handle(now, what);
        self.serve(page);
    }

    fn tell_socket(&mut self, link: ConnectionId, what: Happening<'_>) {
        let Some(page) = self.links.get(&link).map(|link| link.page) else {
            return;
        };
        if self.pages[page].socket == Some(link) {
            self.tell(page, what);
        }
    }

    /// Does what a page wants done.
    fn serve(&mut self, page: usize) {
        let now = self.clock.micros();
        self.pages[page].browser.talk(now);
        while let Some(deed) = self.pages[page].browser.poll_deed() {
            match deed {
                Deed::Open | Deed::OpenResumable => self.open(page),
                Deed::Send(message) => self.say(page, message),
                Deed::Close | Deed::Leave => self.close(page),
            }
        }
        if let Some(complaint) = self.pages[page].browser.complaint.clone() {
            let client = self.pages[page].browser.client.clone();
            self.fail(format!("{client} complains: {complaint}"));
        }
        if let Some(due) = self.pages[page].browser.poll_timeout() {
            let at = due.max(now);
            self.agenda.at(at, Rank::Wake, Event::WakePage(page));
        }
    }
}

fn instant(micros: u64) -> Instant {
    Instant::from_micros(micros)
}
