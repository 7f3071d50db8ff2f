//! The nodes of a cluster: each a server, and a member of the cluster, which the bus answers.
//!
//! Performs what servers and members want done, with all that the bus does to it.

use model::{ConnectionId, NodeNumber, limits};
use switch::cluster::{Content, Member, MemberEffect, MemberInput};

use super::{Cluster, Event, FromBus, LATENCY, Link, instant};
use crate::clock::Rank;
use crate::random::Random;
use crate::server::{Out, Server};

/// Shards of each.
const SHARDS: usize = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) server: Server,
    pub(super) number: NodeNumber,
    member: Option<Member>,
}

impl Node {
    pub(super) fn new(random: Random) -> Self {
        Self {
            server: Server::new(random),
            number: NodeNumber::ALONE,
            member: None,
        }
    }

    pub(super) fn vanish(&mut self) {
        self.server.vanish();
        self.member = None;
        self.number = NodeNumber::ALONE;
    }

    fn has_been(&self, number: NodeNumber) -> bool {
        self.server.is_up && self.number == number
    }
}

impl Cluster {
    pub(super) fn start(&mut self, node: usize) {
        let number = self.bus.claim();
        self.note(format!("node {node} starts as {number}"));
        let seeds: Vec<_> = (0..SHARDS).map(|_| self.random.seed()).collect();
        let lot = self.random.bits();
        let (snapshot, view) = self.authority.publish();
        let starting = &mut self.nodes[node];
        starting.number = number;
        starting.member = Some(Member::new(number, lot));
        starting.server.start_on(number, &seeds, snapshot, view);
        if self.bus.is_up {
            self.bus_changes(node);
        }
    }

    /// A node notices a little later whether the bus is there.
    pub(super) fn bus_changes(&mut self, node: usize) {
        let at = self.clock.micros() + self.bus.lag();
        let number = self.nodes[node].number;
        let event = Event::FromBus(node, number, FromBus::State);
        self.agenda.at(at, Rank::Usual, event);
    }

    /// Gives a member something that comes from the bus, a little later.
    pub(super) fn bus_says(&mut self, node: usize, input: MemberInput<'static>) {
        let at = self.clock.micros() + self.bus.lag();
        let number = self.nodes[node].number;
        let event = Event::FromBus(node, number, FromBus::Answer(input));
        self.agenda.at(at, Rank::Usual, event);
    }

    pub(super) fn hear(&mut self, node: usize, number: NodeNumber, what: FromBus) {
        if !self.nodes[node].has_been(number) {
            return;
        }
        match what {
            FromBus::Post(post) if self.bus.is_up => self.member(node, MemberInput::Post(&post)),
            FromBus::Post(_) => {}
            FromBus::State => {
                let is_up = self.bus.is_up;
                self.member(node, MemberInput::Bus(is_up));
            }
            FromBus::Found(shard, look, found) => {
                let now = self.now();
                self.nodes[node].server.found(now, shard, look, &found);
            }
            FromBus::Answer(input) => self.member(node, input),
        }
        self.settle(node);
    }

    pub(super) fn wake_member(&mut self, node: usize, number: NodeNumber) {
        let now = instant(self.clock.micros());
        let member = self.nodes[node].member.as_ref();
        let is_due = member
            .and_then(Member::poll_timeout)
            .is_some_and(|due| due <= now);
        if is_due && self.nodes[node].has_been(number) {
            self.member(node, MemberInput::Timeout);
            self.settle(node);
        }
    }

    pub(super) fn wake_shard(&mut self, node: usize, number: NodeNumber, shard: usize) {
        let now = self.now();
        if self.nodes[node].has_been(number) {
            self.nodes[node].server.wake_shard(now, shard);
            self.settle(node);
        }
    }

    pub(super) fn wake_flow(&mut self, link: ConnectionId) {
        let now = self.now();
        let Some(Link { node, number, .. }) = self.links.get(&link) else {
            return;
        };
        let (node, number) = (*node, *number);
        if self.nodes[node].has_been(number) {
            self.nodes[node].server.wake_flow(now, link);
            self.settle(node);
        }
    }

    pub(super) fn connect(&mut self, link: ConnectionId) {
        let now = self.now();
        let Some(known) = self.links.get_mut(&link).filter(|link| link.client_up) else {
            return;
        };
        let node = known.node;
        let at = self.clock.micros() + LATENCY;
        if self.nodes[node].has_been(known.number) {
            known.server_up = true;
            let offers = known.session.is_some();
            known.resumes = self.nodes[node].server.accept(now, link, offers);
            self.agenda.at(at, Rank::Usual, Event::Opened(link));
            self.settle(node);
        } else {
            self.agenda.at(at, Rank::Usual, Event::Refused(link));
        }
    }

    pub(super) fn at_server(&mut self, link: ConnectionId, frame: &[u8]) {
        let now = self.now();
        let Some(node) = self.serving(link) else {
            return;
        };
        if let Some((session, message)) = self.nodes[node].server.receive(now, link, frame) {
            self.server_reads(link, &message);
            self.nodes[node].server.message(now, session, &message);
        }
        self.settle(node);
    }

    pub(super) fn pong(&mut self, link: ConnectionId) {
        let now = self.now();
        if let Some(node) = self.serving(link) {
            self.nodes[node].server.pong(now, link);
            self.settle(node);
        }
    }

    pub(super) fn server_loses(&mut self, link: ConnectionId, by_goodbye: bool) {
        let now = self.now();
        let Some(node) = self.serving(link) else {
            return;
        };
        if let Some(link) = self.links.get_mut(&link) {
            link.server_up = false;
        }
        self.nodes[node].server.lost(now, link, by_goodbye);
        self.settle(node);
    }

    /// The node that has a connection open.
    fn serving(&self, link: ConnectionId) -> Option<usize> {
        let link = self.links.get(&link).filter(|link| link.server_up)?;
        self.nodes[link.node]
            .has_been(link.number)
            .then_some(link.node)
    }

    /// One input, then every effect.
    fn member(&mut self, node: usize, input: MemberInput<'_>) {
        let now = instant(self.clock.micros());
        let Some(member) = &mut self.nodes[node].member else {
            return;
        };
        member.handle(now, input);
        while let Some(effect) = self.nodes[node]
            .member
            .as_mut()
            .and_then(Member::poll_effect)
        {
            self.perform(node, effect);
        }
    }

    fn perform(&mut self, node: usize, effect: MemberEffect) {
        let (now, micros) = (self.now(), self.clock.micros());
        let number = self.nodes[node].number;
        match effect {
            MemberEffect::Post { to, post } => self.post(node, Some(to), &post),
            MemberEffect::PostAll(post) => self.post(node, None, &post),
            MemberEffect::Write {
                version,
                changes,
                post,
            } => {
                let mut is_kept = false;
                if self.bus.is_up {
                    is_kept = self.bus.write(micros, number, version, changes);
                    self.post(node, None, &post);
                }
                self.written(node, is_kept);
            }
            MemberEffect::Rewrite {
                version,
                entries,
                post,
            } => {
                if self.bus.is_up {
                    self.bus.rewrite(micros, number, version, entries);
                    self.post(node, None, &post);
                }
                self.written(node, true);
            }
            MemberEffect::Alive {
                has_published,
                post,
            } => {
                if self.bus.is_up {
                    let is_kept = self.bus.alive(micros, number);
                    self.post(node, None, &post);
                    if has_published && !is_kept {
                        self.bus_says(node, MemberInput::Forgotten);
                    }
                }
            }
            MemberEffect::List => self.list(node),
            MemberEffect::Load(of) => self.load(node, of),
            MemberEffect::Look {
                shard,
                look,
                nodes,
                field,
            } => self.look(node, (shard, look), nodes, &field),
            MemberEffect::Word { from, word } => self.nodes[node].server.hear(now, from, word),
            MemberEffect::Published {
                node: of,
                account,
                client,
                bindings,
            } => {
                let server = &mut self.nodes[node].server;
                server.published(now, of, account, &client, &bindings);
            }
            MemberEffect::Severed(from) => {
                self.note(format!("node {node} is severed from {from}"));
                self.nodes[node].server.severed(now, from);
            }
            MemberEffect::Reach { nodes, has_bus } => {
                self.nodes[node].server.reach(now, nodes, has_bus);
            }
        }
    }

    /// All others are told that a node leaves.
    pub(super) fn say_farewell(&mut self, node: usize) {
        let farewell = self.nodes[node].member.as_ref().map(Member::farewell);
        if let Some(farewell) = farewell {
            self.post(node, None, &farewell);
        }
    }

    fn list(&mut self, node: usize) {
        let now = self.clock.micros();
        let nodes = match self.bus.is_up {
            true => self.bus.nodes(now),
            false => Vec::new(),
        };
        self.bus_says(node, MemberInput::Listed(nodes));
    }

    fn load(&mut self, node: usize, of: NodeNumber) {
        let now = self.clock.micros();
        let content = match self.bus.is_up {
            true => self.bus.load(now, of),
            false => None,
        };
        self.bus_says(node, MemberInput::Loaded { node: of, content });
    }

    fn look(
        &mut self,
        node: usize,
        (shard, look): (usize, u64),
        nodes: Vec<NodeNumber>,
        field: &str,
    ) {
        let now = self.clock.micros();
        let nodes = nodes.into_iter().filter(|_| self.bus.is_up);
        let nodes: Vec<_> = nodes.collect();
        let found = nodes.into_iter().filter_map(|of| {
            let value = self.bus.look(now, of, field)?;
            Some((of, Content::read(&value)))
        });
        let found = FromBus::Found(shard, look, found.collect());
        let number = self.nodes[node].number;
        let at = now + self.bus.lag();
        self.agenda
            .at(at, Rank::Usual, Event::FromBus(node, number, found));
    }

    /// A node is told whether what it wrote is written: by a bus that is away, after the bound.
    fn written(&mut self, node: usize, is_kept: bool) {
        if self.bus.is_up {
            let is_done = is_kept && !self.bus.is_unsure();
            self.bus_says(node, MemberInput::Written(is_done));
        } else {
            let at = self.clock.micros() + limits::PUBLISH_PAUSE.as_micros() as u64;
            let number = self.nodes[node].number;
            let answer = FromBus::Answer(MemberInput::Written(false));
            self.agenda
                .at(at, Rank::Usual, Event::FromBus(node, number, answer));
        }
    }

    /// Carries a post to the node of this number, or to all.
    fn post(&mut self, from: usize, to: Option<NodeNumber>, post: &[u8]) {
        let now = self.clock.micros();
        for node in 0..self.nodes.len() {
            let number = self.nodes[node].number;
            if to.is_some_and(|to| to != number) || !self.nodes[node].server.is_up {
                continue;
            }
            for after in self.bus.carries(from, node) {
                let what = FromBus::Post(post.to_vec());
                let event = Event::FromBus(node, number, what);
                self.agenda.at(now + after, Rank::Usual, event);
            }
        }
    }

    /// Performs what a server does until it does nothing more, then checks.
    pub(super) fn settle(&mut self, node: usize) {
        let now = self.clock.micros();
        while let Some(out) = self.nodes[node].server.poll_out() {
            self.put_out(node, out);
        }
        let number = self.nodes[node].number;
        for shard in 0..self.nodes[node].server.shard_count() {
            if let Some(due) = self.nodes[node].server.shard_timeout(shard) {
                let event = Event::WakeShard(node, number, shard);
                self.agenda.at(due.max(now), Rank::Wake, event);
            }
        }
        let member = self.nodes[node].member.as_ref();
        if let Some(due) = member.and_then(Member::poll_timeout) {
            let event = Event::WakeMember(node, number);
            self.agenda.at(due.as_micros().max(now), Rank::Wake, event);
        }
        for touched in self.nodes[node].server.take_touched() {
            if let Some(due) = self.nodes[node].server.flow_timeout(touched) {
                let event = Event::WakeFlow(touched);
                self.agenda.at(due.max(now), Rank::Wake, event);
            }
        }
        if let Err(what) = self.nodes[node].server.check(self.now()) {
            self.fail(format!("node {node}: {what}"));
        }
    }

    fn put_out(&mut self, node: usize, out: Out) {
        let now = self.clock.micros();
        match out {
            Out::Frame { link, frame } => {
                if self.serving(link).is_some() {
                    let event = Event::ToPage(link, frame);
                    self.agenda.at(now + LATENCY, Rank::Usual, event);
                }
            }
            Out::Ping(link) => {
                if self.links.get(&link).is_some_and(|link| link.client_up) {
                    self.agenda
                        .at(now + 2 * LATENCY, Rank::Usual, Event::Pong(link));
                }
            }
            Out::Close { link, .. } => {
                let event = Event::PageNotices(link);
                self.agenda.at(now + LATENCY, Rank::Usual, event);
                self.agenda.at(now, Rank::Usual, Event::ServerNotices(link));
            }
            Out::Record(record) => {
                self.records_change(&record);
                self.records.insert(record.id, *record);
            }
            Out::Member(input) => self.member(node, input),
            Out::Message { .. }
            | Out::Opened(_)
            | Out::Suspended(_)
            | Out::Resumed { .. }
            | Out::Dismissed { .. }
            | Out::Ended { .. }
            | Out::Turn(_) => {}
            Out::Line { .. } | Out::Media(_) | Out::Ask(..) | Out::Bring(..) => {
                self.fail("a cluster has neither trunks nor applications");
            }
        }
    }
}
