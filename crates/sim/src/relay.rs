//! The relays of a server: TURN workers around the real ledger, the part of the shell without sockets and threads.
//!
//! Every socket of every worker is an entry in a table; what a worker does goes out to the world, which can delay it,
//! refuse it or do it twice. Counts by itself what was relayed for whom, so that a judge can compare.

mod desk;
mod done;
mod plan;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use model::{RelayTraffic, RelayUsage};
use switch::turn_grant::{Ledger, TurnChange, TurnSecret};
use turn::{
    Client, Config, Effect, Forward, Gateway, Holder, Input, Link, Note, PeerPolicy, RelayAddress,
    RelayId, Share,
};

use crate::datagram::Datagram;
use crate::gateway::GATEWAY;
use crate::random::Random;
use desk::{Desk, turn_now};
pub use done::Done;
pub use plan::TurnPlan;

/// Where every server of the world listens for TURN, over UDP and TCP.
pub const PORT: u16 = 3478;
/// The ports of relayed addresses: few, so that they are used again.
const RELAY_PORTS: std::ops::RangeInclusive<u16> = 50_000..=50_255;

/// A socket of a worker.
#[derive(Clone, Copy, Debug)]
struct Socket {
    local: SocketAddr,
    holder: u64,
    is_open: bool,
}

#[derive(Debug)]
struct Worker {
    server: turn::Server,
    sockets: BTreeMap<RelayId, Socket>,
    by_address: BTreeMap<SocketAddr, RelayId>,
    streams: BTreeMap<u64, SocketAddr>,
    /// Whose the client of a 5-tuple was when it was admitted last.
    clients: BTreeMap<Client, u64>,
    /// Allocations that the ledger has admitted and not been told the end of.
    admitted: BTreeMap<u64, u32>,
}

/// Everything about TURN at one server.
#[derive(Debug)]
pub struct Relays {
    /// Whom may reach whom.
    pub ledger: Ledger,
    /// What was counted here, by holder: relayed and neither lost nor kept back.
    pub counted: BTreeMap<u64, RelayUsage>,
    /// Data of clients that went nowhere, with its heads: accounted for if it was on its way to a relayed address of ours
    /// that did not let it in.
    pub dropped: BTreeMap<u64, RelayTraffic>,
    /// What the ledger was told of, by holder; what it keeps of a call is part of it.
    pub told: BTreeMap<u64, RelayUsage>,
    /// What shards were told, by connection.
    pub reported: BTreeMap<model::ConnectionId, RelayUsage>,
    /// How often something was counted by a worker.
    pub counters: BTreeMap<turn::Counter, u64>,
    /// Whether a worker has lost its state: what it had not told is lost.
    pub has_lost: bool,
    address: IpAddr,
    workers: Vec<Worker>,
    setup: Config,
    random: Random,
    out: VecDeque<Done>,
    /// What workers have to tell each other: from, to, what.
    notes: VecDeque<(u16, u16, Note)>,
    /// Who has asked for a port of another worker, by its token.
    claims: BTreeMap<u64, u64>,
}

impl Relays {
    /// Relays at this address.
    pub fn new(plan: &TurnPlan, address: IpAddr, secret: TurnSecret, mut random: Random) -> Self {
        let mut nonce_key = [0; 16];
        nonce_key.copy_from_slice(&random.seed()[..16]);
        let setup = Config {
            realm: "offhook".to_owned(),
            software: None,
            relays: vec![RelayAddress {
                local: address,
                public: address,
            }],
            ports: RELAY_PORTS,
            share: Share::WHOLE,
            listening: vec![
                SocketAddr::new(address, PORT),
                SocketAddr::new(address, 443),
            ],
            machine: vec![address],
            peers: PeerPolicy::default(),
            gateways: vec![Gateway {
                public: GATEWAY,
                local: GATEWAY,
            }],
            nonce_key,
            seed: [0; 32],
            bounds: plan.bounds,
        };
        let mut relays = Self {
            ledger: Ledger::new(secret, plan.quotas),
            counted: BTreeMap::new(),
            dropped: BTreeMap::new(),
            told: BTreeMap::new(),
            reported: BTreeMap::new(),
            counters: BTreeMap::new(),
            has_lost: false,
            address,
            workers: Vec::new(),
            setup,
            random,
            out: VecDeque::new(),
            notes: VecDeque::new(),
            claims: BTreeMap::new(),
        };
        for index in 0..plan.workers {
            let worker = relays.worker(Share {
                index,
                of: plan.workers,
            });
            relays.workers.push(worker);
        }
        relays
    }

    fn worker(&mut self, share: Share) -> Worker {
        let config = Config {
            share,
            seed: self.random.seed(),
            ..self.setup.clone()
        };
        Worker {
            server: turn::Server::new(config),
            sockets: BTreeMap::new(),
            by_address: BTreeMap::new(),
            streams: BTreeMap::new(),
            clients: BTreeMap::new(),
            admitted: BTreeMap::new(),
        }
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// The address that relayed ones are taken from.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// A change that a shard wants made.
    pub fn apply(&mut self, change: &TurnChange) {
        if let Some(holder) = self.ledger.apply(change) {
            self.out.push_back(Done::Recheck(holder));
        }
        self.report();
    }

    /// The workers look at a holder's permissions again.
    pub fn recheck(&mut self, now: model::Now, holder: u64) {
        for at in 0..self.workers.len() {
            let holder = Holder(holder);
            self.step(now, at, Input::Recheck { holder });
        }
    }

    /// A datagram came to this machine.
    pub fn datagram(&mut self, now: model::Now, datagram: &Datagram) {
        if datagram.to.port() == PORT {
            let client = Client {
                link: Link::Datagram(0),
                address: datagram.from,
            };
            let at = self.worker_of(datagram.from);
            let message = &datagram.payload;
            self.step(now, at, Input::FromClient { client, message });
            return;
        }
        let found = self
            .workers
            .iter()
            .position(|worker| worker.by_address.contains_key(&datagram.to));
        let Some(at) = found else {
            return;
        };
        let relay = self.workers[at].by_address[&datagram.to];
        let input = Input::FromPeer {
            relay,
            peer: datagram.from,
            data: &datagram.payload,
        };
        self.step(now, at, input);
    }

    /// A stream was accepted.
    pub fn accept(&mut self, stream: u64, from: SocketAddr) {
        let at = self.worker_of_stream(stream);
        self.workers[at].streams.insert(stream, from);
    }

    /// A message came on a stream.
    pub fn frame(&mut self, now: model::Now, stream: u64, message: &[u8]) {
        let at = self.worker_of_stream(stream);
        let Some(&address) = self.workers[at].streams.get(&stream) else {
            return;
        };
        let client = Client {
            link: Link::Stream(stream),
            address,
        };
        self.step(now, at, Input::FromClient { client, message });
    }

    /// A stream has ended.
    pub fn stream_is_gone(&mut self, now: model::Now, stream: u64) {
        let at = self.worker_of_stream(stream);
        if let Some(address) = self.workers[at].streams.remove(&stream) {
            let client = Client {
                link: Link::Stream(stream),
                address,
            };
            self.step(now, at, Input::Gone { client });
        }
    }

    /// A socket that a worker wanted is there, or cannot be had.
    pub fn opened(&mut self, now: model::Now, worker: usize, relay: RelayId, is_open: bool) {
        if let Some(socket) = self.workers[worker].sockets.get_mut(&relay) {
            socket.is_open = is_open;
            if is_open {
                let local = socket.local;
                self.workers[worker].by_address.insert(local, relay);
            }
            self.step(now, worker, Input::Opened { relay, is_open });
        }
    }

    /// A worker's time has come.
    pub fn wake(&mut self, now: model::Now, worker: usize) {
        let is_due = self
            .timeout(worker)
            .is_some_and(|at| at <= now.mono.as_micros());
        if is_due {
            self.step(now, worker, Input::Timeout);
        }
    }

    /// When a worker wants to be woken, in microseconds.
    pub fn timeout(&self, worker: usize) -> Option<u64> {
        let due = self.workers[worker].server.poll_timeout()?.as_micros();
        u64::try_from(due).ok()
    }

    /// Everything that was relayed is told.
    pub fn tell_all(&mut self, now: model::Now) {
        for at in 0..self.workers.len() {
            self.step(now, at, Input::Report);
        }
    }

    /// A worker loses everything that it knows; the shell gives back what it had been granted.
    pub fn lose_worker(&mut self, now: model::Now, at: usize) {
        let share = Share {
            index: at as u16,
            of: self.workers.len() as u16,
        };
        let fresh = self.worker(share);
        let lost = std::mem::replace(&mut self.workers[at], fresh);
        self.has_lost = true;
        for (holder, count) in lost.admitted {
            for _ in 0..count {
                self.ledger.release(now, holder);
            }
        }
        for stream in lost.streams.into_keys() {
            self.out.push_back(Done::Hang { stream });
        }
        for other in (0..self.workers.len()).filter(|other| *other != at) {
            let (from, note) = (at as u16, Note::Restarted);
            self.step(now, other, Input::Told { from, note });
        }
    }

    /// The next thing that it does.
    pub fn poll_done(&mut self) -> Option<Done> {
        self.out.pop_front()
    }

    /// How many allocations there are, over all workers.
    pub fn allocations(&self) -> usize {
        self.workers
            .iter()
            .map(|worker| worker.server.allocations())
            .sum()
    }

    /// How many allocations the ledger has admitted and not been told the end of.
    pub fn admitted(&self) -> u32 {
        self.workers
            .iter()
            .flat_map(|worker| worker.admitted.values())
            .sum()
    }

    /// Packets of clients that went on.
    pub fn carried(&self) -> u64 {
        self.counted.values().map(|usage| usage.sent.packets).sum()
    }

    /// Whether no worker waits for a socket.
    pub fn is_settled(&self) -> bool {
        let mut sockets = self
            .workers
            .iter()
            .flat_map(|worker| worker.sockets.values());
        sockets.all(|socket| socket.is_open)
    }

    /// Sockets that are open or wanted.
    pub fn sockets(&self) -> usize {
        self.workers.iter().map(|worker| worker.sockets.len()).sum()
    }

    /// The relayed addresses that are open, and whose they are.
    pub fn relayed(&self) -> Vec<(SocketAddr, u64)> {
        self.workers
            .iter()
            .flat_map(|worker| worker.sockets.values())
            .filter(|socket| socket.is_open)
            .map(|socket| (socket.local, socket.holder))
            .collect()
    }

    /// What is left, for the sentence that says so; `None` if it is nothing.
    pub fn census(&self) -> Option<String> {
        let is_at_rest = self.allocations() == 0
            && self.sockets() == 0
            && self.admitted() == 0
            && self.ledger.is_at_rest();
        (!is_at_rest).then(|| {
            format!(
                "{} allocations, {} sockets, {} admitted, the ledger's {}, at rest: {}",
                self.allocations(),
                self.sockets(),
                self.admitted(),
                self.ledger.allocations(),
                self.ledger.is_at_rest()
            )
        })
    }

    /// As the kernel deals datagrams out: by the sender's address.
    fn worker_of(&self, from: SocketAddr) -> usize {
        let mut sum = u32::from(from.port());
        if let IpAddr::V4(ip) = from.ip() {
            sum = sum.wrapping_add(u32::from(ip).wrapping_mul(31));
        }
        sum.wrapping_mul(0x9e37_79b9) as usize / 7 % self.workers.len()
    }

    fn worker_of_stream(&self, stream: u64) -> usize {
        usize::try_from(stream).unwrap_or(0) % self.workers.len()
    }

    /// One input, where the packet goes on to, then every effect.
    fn step(&mut self, now: model::Now, at: usize, input: Input<'_>) {
        let (from_client, from_relay, opened) = match &input {
            Input::FromClient { client, .. } => (Some(*client), None, None),
            Input::FromPeer { relay, .. } => (None, Some(*relay), None),
            Input::Opened { relay, .. } => (None, None, Some(*relay)),
            Input::FromSibling { .. }
            | Input::Told { .. }
            | Input::Gone { .. }
            | Input::Recheck { .. }
            | Input::Report
            | Input::Timeout => (None, None, None),
        };
        let data_of_client = match &input {
            Input::FromClient { message, .. } if is_data(message) => message.len() as u64,
            Input::FromClient { .. }
            | Input::FromPeer { .. }
            | Input::FromSibling { .. }
            | Input::Opened { .. }
            | Input::Told { .. }
            | Input::Gone { .. }
            | Input::Recheck { .. }
            | Input::Report
            | Input::Timeout => 0,
        };
        let claimed = if let Input::Told { note, .. } = &input
            && let Note::Lend { token, .. } = note
        {
            self.claims.remove(token)
        } else {
            None
        };
        let worker = &mut self.workers[at];
        let mut desk = Desk {
            ledger: &mut self.ledger,
            admitted: &mut worker.admitted,
            told: &mut self.told,
            newest: None,
        };
        let forward = worker.server.handle(turn_now(now), input, &mut desk);
        let holder = desk.newest.or(claimed);
        if let (Some(client), Some(holder)) = (from_client, holder) {
            worker.clients.insert(client, holder);
        }
        // A socket in place of one that could not be had has the same holder.
        let before = opened.and_then(|relay| worker.sockets.get(&relay));
        let holder = holder.or(before.map(|socket| socket.holder));
        let sender = from_client.and_then(|client| worker.clients.get(&client));
        if let (None, 1.., Some(sender)) = (&forward, data_of_client, sender) {
            let dropped = self.dropped.entry(*sender).or_default();
            *dropped = dropped.plus(RelayTraffic {
                packets: 1,
                bytes: data_of_client,
            });
        }
        if let Some(forward) = forward {
            self.forward(now, at, forward, from_client, from_relay);
        }
        while let Some(effect) = self.workers[at].server.poll_effect() {
            self.perform(at, effect, holder.unwrap_or(0));
        }
        let worker = &mut self.workers[at];
        worker
            .sockets
            .retain(|id, socket| Some(*id) != opened || socket.is_open);
        self.report();
        // In one process nothing of it is lost.
        if let Some((from, to, note)) = self.notes.pop_front() {
            self.step(now, usize::from(to), Input::Told { from, note });
        }
    }

    fn forward(
        &mut self,
        now: model::Now,
        at: usize,
        forward: Forward<'_>,
        from_client: Option<Client>,
        from_relay: Option<RelayId>,
    ) {
        let worker = &self.workers[at];
        let sender = from_client.and_then(|client| worker.clients.get(&client).copied());
        match forward {
            Forward::ToPeer {
                relay, peer, data, ..
            } => {
                let Some(socket) = worker.sockets.get(&relay).copied() else {
                    return;
                };
                self.count(socket.holder, data, true);
                let datagram = Datagram {
                    from: socket.local,
                    to: peer,
                    payload: data.to_vec(),
                };
                let holder = socket.holder;
                self.out.push_back(Done::ToPeer { holder, datagram });
            }
            Forward::ToClient {
                client,
                head,
                data,
                padding,
            } => {
                let receiver = worker.clients.get(&client).copied();
                let from = from_relay.and_then(|relay| worker.sockets.get(&relay).copied());
                if let Some(sender) = sender {
                    self.count(sender, data, true);
                }
                if let Some(receiver) = from.map(|socket| socket.holder).or(receiver) {
                    self.count(receiver, data, false);
                }
                let mut payload = head.as_bytes().to_vec();
                payload.extend_from_slice(data);
                payload.resize(payload.len() + usize::from(padding), 0);
                self.sends_client(client, payload);
            }
            Forward::ToSibling {
                server,
                from,
                to,
                data,
            } => {
                if let Some(sender) = sender {
                    self.count(sender, data, true);
                }
                let input = Input::FromSibling { from, to, data };
                self.step(now, usize::from(server), input);
            }
        }
    }

    fn sends_client(&mut self, client: Client, payload: Vec<u8>) {
        let done = match client.link {
            Link::Datagram(_) => Done::ToClient(Datagram {
                from: SocketAddr::new(self.address, PORT),
                to: client.address,
                payload,
            }),
            Link::Stream(stream) => Done::Frame { stream, payload },
        };
        self.out.push_back(done);
    }

    /// Every effect that there is: a new one does not compile until the world can break it.
    fn perform(&mut self, at: usize, effect: Effect, holder: u64) {
        match effect {
            Effect::Send { client, message } => self.sends_client(client, message),
            Effect::Open { relay, local } => {
                let socket = Socket {
                    local,
                    holder,
                    is_open: false,
                };
                self.workers[at].sockets.insert(relay, socket);
                self.out.push_back(Done::Opens {
                    worker: at,
                    relay,
                    local,
                });
            }
            Effect::Close { relay } => {
                let worker = &mut self.workers[at];
                if let Some(socket) = worker.sockets.remove(&relay) {
                    worker.by_address.remove(&socket.local);
                }
            }
            Effect::Hang { client } => {
                if let Link::Stream(stream) = client.link {
                    self.workers[at].streams.remove(&stream);
                    self.out.push_back(Done::Hang { stream });
                }
            }
            Effect::Tell { server, note } => {
                if let Note::Claim { token } = note {
                    self.claims.insert(token, holder);
                }
                self.notes.push_back((at as u16, server, note));
            }
            Effect::Count(counter) => *self.counters.entry(counter).or_default() += 1,
        }
    }

    fn count(&mut self, holder: u64, data: &[u8], is_sent: bool) {
        let one = RelayTraffic {
            packets: 1,
            bytes: data.len() as u64,
        };
        let usage = if is_sent {
            RelayUsage {
                sent: one,
                ..RelayUsage::default()
            }
        } else {
            RelayUsage {
                received: one,
                ..RelayUsage::default()
            }
        };
        let counted = self.counted.entry(holder).or_default();
        *counted = counted.plus(usage);
    }

    fn report(&mut self) {
        while let Some(relayed) = self.ledger.poll_report() {
            let known = self.reported.entry(relayed.connection).or_default();
            *known = known.plus(relayed.usage);
            self.out.push_back(Done::Relayed(relayed));
        }
    }
}

/// ChannelData, or a Send indication.
fn is_data(message: &[u8]) -> bool {
    matches!(message, [0x40..=0x7f, ..] | [0x00, 0x16, ..])
}
