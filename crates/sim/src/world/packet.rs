//! Datagrams and streams of the world: pages' media, strangers, and the relays of servers, joined by the ground.
//!
//! Carries and never looks into what it carries; what leaves a relayed address is shown to the judge first.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use switch::Counter;
use switch::turn_grant::{TurnChange, TurnOffer, TurnSecret};
use turn::RelayId;

use super::{Client, Event, Sleeper, World};
use crate::clock::{MILLI, Rank};
use crate::datagram::{Datagram, Flight, Ground, Host, PUBLIC};
use crate::media::{Act, Media};
use crate::nat::Kind;
use crate::random::Random;
use crate::relay::{Done, PORT, Relays, TurnPlan};
use crate::stranger::Stranger;

/// What goes wrong between a TURN server and its shell.
#[derive(Clone, Copy, Debug, Default)]
pub struct RelayFaults {
    /// How many of a thousand sockets cannot be had.
    pub refused_per_mille: u32,
    /// How late a socket may be there, in microseconds.
    pub late_socket: u64,
    /// How late a worker may be told to look at permissions again; it is then told twice.
    pub late_recheck: u64,
}

/// Who is at a host.
#[derive(Clone, Copy, Debug)]
enum Seat {
    Server(usize),
    Page(usize),
    Stranger(usize),
}

/// Something on its way.
#[derive(Debug)]
pub(super) enum Parcel {
    Datagram(Flight),
    /// A stream is opened, carries a message up or down, or its end arrives.
    Dial(u64),
    Up(u64, Vec<u8>),
    Down(u64, Vec<u8>),
    ClosedAbove(u64),
    ClosedBelow(u64),
    /// A socket is there, or cannot be had: of this start of this server, for this worker.
    Socket(usize, u32, usize, RelayId, bool),
    Recheck(usize, u32, u64),
}

/// A stream to where a server listens for TURN.
#[derive(Debug)]
struct Pipe {
    client: usize,
    number: u64,
    node: usize,
    from: SocketAddr,
    is_accepted: bool,
    last_up: u64,
    last_down: u64,
}

/// Everything below the WebSockets.
#[derive(Debug)]
pub(super) struct Packets {
    pub(super) plan: Option<TurnPlan>,
    pub(super) relays: Vec<Option<Relays>>,
    ground: Ground,
    seats: BTreeMap<Host, Seat>,
    servers: Vec<Host>,
    pages: BTreeMap<usize, Host>,
    strangers: Vec<Stranger>,
    pipes: BTreeMap<u64, Pipe>,
    pipes_made: u64,
    /// Packets that relays carried which are gone.
    relayed_before: u64,
    /// Addresses given out, by realm.
    given: Vec<u32>,
    random: Random,
}

impl Packets {
    pub(super) fn new(plan: Option<&TurnPlan>, servers: usize, mut random: Random) -> Self {
        let quality = plan.map_or(crate::datagram::Quality::STEADY, |plan| plan.quality);
        let mut packets = Self {
            plan: plan.cloned(),
            relays: (0..servers).map(|_| None).collect(),
            ground: Ground::new(quality, random.fork()),
            seats: BTreeMap::new(),
            servers: Vec::new(),
            pages: BTreeMap::new(),
            strangers: Vec::new(),
            pipes: BTreeMap::new(),
            pipes_made: 0,
            relayed_before: 0,
            given: vec![0],
            random,
        };
        for node in 0..servers {
            let host = packets.ground.add_host(PUBLIC, &[server_address(node)]);
            packets.seats.insert(host, Seat::Server(node));
            packets.servers.push(host);
        }
        packets
    }

    fn next_address(&mut self, realm: usize) -> IpAddr {
        self.given[realm] += 1;
        let [_, _, high, low] = self.given[realm].to_be_bytes();
        let ip = match realm {
            PUBLIC => Ipv4Addr::new(9, 0, high, low),
            _ => Ipv4Addr::new(192, 168, high, low + 1),
        };
        IpAddr::V4(ip)
    }
}

/// Where a server listens for TURN and takes its relayed addresses from.
pub fn server_address(node: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(5, 0, 0, node as u8 + 1))
}

impl World {
    /// A NAT in the public Internet, or inside another; gives its inside.
    pub fn add_nat(&mut self, kind: Kind, outside: usize) -> usize {
        self.packets.given.push(0);
        let number = self.packets.given.len() as u32;
        let [_, _, high, low] = number.to_be_bytes();
        let public = match outside {
            PUBLIC => Ipv4Addr::new(8, 0, high, low),
            _ => Ipv4Addr::new(100, 64, high, low),
        };
        self.packets
            .ground
            .add_nat(kind, outside, IpAddr::V4(public))
    }

    /// The NAT in front of a realm loses its table.
    pub fn reboot_nat(&mut self, realm: usize) {
        if let Some(nat) = self.packets.ground.nat_mut(realm) {
            nat.reboots();
        }
    }

    /// Gives a page a host in a realm, and media; before it places its first call.
    pub fn place(&mut self, client: usize, realm: usize) {
        let address = self.packets.next_address(realm);
        let host = self.packets.ground.add_host(realm, &[address]);
        self.packets.seats.insert(host, Seat::Page(client));
        self.packets.pages.insert(client, host);
        let random = self.packets.random.fork();
        if let Client::Browser(browser) = &mut self.clients[client] {
            browser.media = Some(Box::new(Media::new(address, random)));
        }
    }

    /// Somebody with a host in a realm, at this address or any.
    pub fn add_stranger(&mut self, realm: usize, address: Option<IpAddr>) -> usize {
        let address = address.unwrap_or_else(|| self.packets.next_address(realm));
        let host = self.packets.ground.add_host(realm, &[address]);
        let number = self.packets.strangers.len();
        self.packets.seats.insert(host, Seat::Stranger(number));
        let random = self.packets.random.fork();
        self.packets
            .strangers
            .push(Stranger::new(host, address, random));
        number
    }

    /// A stranger.
    pub fn stranger(&self, number: usize) -> &Stranger {
        &self.packets.strangers[number]
    }

    /// Lets a stranger do something.
    pub fn let_stranger<T>(
        &mut self,
        number: usize,
        act: impl FnOnce(&mut Stranger, u64) -> T,
    ) -> T {
        let now = self.micros();
        let result = act(&mut self.packets.strangers[number], now);
        self.serve_stranger(number);
        result
    }

    /// The relays of a server.
    pub fn relays(&self, node: usize) -> Option<&Relays> {
        self.packets.relays[node].as_ref()
    }

    /// Packets of clients that relays have carried so far.
    pub fn relayed(&self) -> u64 {
        let relays = self.packets.relays.iter().flatten();
        self.packets.relayed_before + relays.map(Relays::carried).sum::<u64>()
    }

    /// A worker of a server loses everything that it knows.
    pub fn lose_worker(&mut self, node: usize, worker: usize) {
        let now = self.now();
        if let Some(relays) = &mut self.packets.relays[node] {
            relays.lose_worker(now, worker);
        }
        self.serve_relays(node);
    }

    /// What the relays of a server have not told yet, they tell.
    pub fn tell_relayed(&mut self, node: usize) {
        let now = self.now();
        if let Some(relays) = &mut self.packets.relays[node] {
            relays.tell_all(now);
        }
        self.serve_relays(node);
    }

    /// At the end: books and records agree, and nothing is left.
    pub(super) fn conclude_relays(&mut self, node: usize) {
        let Some(relays) = &self.packets.relays[node] else {
            return;
        };
        let server = &self.servers[node];
        let may_lack = server.counted(Counter::RelayUsageLate) > 0;
        let recorded = self.checkers[node].recorded_usage();
        let result = self
            .reach
            .concludes(relays)
            // Who was killed has forgotten what its records were told.
            .and_then(|()| match server.boot {
                1 => self.reach.records(relays, &recorded, may_lack),
                _ => Ok(()),
            });
        self.blame(result);
    }

    /// A server starts: its relays with it, under a new secret.
    pub(super) fn start_relays(&mut self, node: usize) {
        let Some(plan) = self.packets.plan.clone() else {
            return;
        };
        let secret = TurnSecret::new(self.packets.random.seed());
        let address = server_address(node);
        self.authority.offer_turn(Arc::new(TurnOffer {
            secret: secret.clone(),
            host: None,
            fallback: address.to_string(),
            use_host_header: false,
            udp: plan.udp.then_some(PORT),
            tcp: plan.tcp.then_some(PORT),
            tls: None,
        }));
        let random = self.packets.random.fork();
        self.packets.relays[node] = Some(Relays::new(&plan, address, secret, random));
    }

    /// The process is gone, and with it every socket.
    pub(super) fn vanish_relays(&mut self, node: usize) {
        if let Some(relays) = self.packets.relays[node].take() {
            self.packets.relayed_before += relays.carried();
        }
        self.reach.vanishes();
        let of_node = |pipe: &Pipe| pipe.node == node;
        let pipes: Vec<u64> = self
            .packets
            .pipes
            .iter()
            .filter(|(_, pipe)| of_node(pipe))
            .map(|(id, _)| *id)
            .collect();
        for pipe in pipes {
            self.parcel(5 * MILLI, Parcel::ClosedBelow(pipe));
        }
    }

    /// A shard has decided something about relays.
    pub(super) fn turn_changes(&mut self, node: usize, change: &TurnChange) {
        if let Some(relays) = &mut self.packets.relays[node] {
            relays.apply(change);
        }
        self.perform_relays(node);
    }

    /// Performs what a page's media wants.
    pub(super) fn serve_media(&mut self, client: usize) {
        while let Client::Browser(browser) = &mut self.clients[client]
            && let Some(act) = browser.media.as_mut().and_then(|media| media.poll_act())
        {
            match act {
                Act::Datagram { from, to, payload } => {
                    if let Some(&host) = self.packets.pages.get(&client) {
                        self.launch(host, Datagram { from, to, payload });
                    }
                }
                Act::Dial { stream, from, to } => self.dial_turn(client, stream, from, to),
                Act::Frame { stream, payload } => {
                    if let Some(pipe) = self.pipe_of(client, stream) {
                        self.pump(pipe, Parcel::Up(pipe, payload));
                    }
                }
                Act::Hang { stream } => {
                    if let Some(pipe) = self.pipe_of(client, stream) {
                        self.pump(pipe, Parcel::ClosedAbove(pipe));
                    }
                }
            }
        }
    }

    pub(super) fn deliver(&mut self, parcel: Parcel) {
        let now = self.now();
        match parcel {
            Parcel::Datagram(flight) => self.land(flight),
            Parcel::Dial(pipe) => self.accept_pipe(pipe),
            Parcel::Up(pipe, payload) => {
                if let Some((node, relays)) = self.relays_of(pipe) {
                    relays.frame(now, pipe, &payload);
                    self.serve_relays(node);
                }
            }
            Parcel::ClosedAbove(pipe) => {
                if let Some((node, relays)) = self.relays_of(pipe) {
                    relays.stream_is_gone(now, pipe);
                    self.serve_relays(node);
                }
                self.packets.pipes.remove(&pipe);
            }
            Parcel::Down(pipe, payload) => {
                if let Some((client, number)) = self.page_of(pipe) {
                    self.tell_media(client, |media, now| media.frame(now, number, &payload));
                }
            }
            Parcel::ClosedBelow(pipe) => {
                if let Some((client, number)) = self.page_of(pipe) {
                    self.packets.pipes.remove(&pipe);
                    self.tell_media(client, |media, now| media.stream_is_gone(now, number));
                }
            }
            Parcel::Socket(node, boot, worker, relay, is_open) => {
                if self.servers[node].boot == boot
                    && let Some(relays) = &mut self.packets.relays[node]
                {
                    relays.opened(now, worker, relay, is_open);
                    self.serve_relays(node);
                }
            }
            Parcel::Recheck(node, boot, holder) => {
                if self.servers[node].boot == boot
                    && let Some(relays) = &mut self.packets.relays[node]
                {
                    relays.recheck(now, holder);
                    self.serve_relays(node);
                }
            }
        }
    }

    pub(super) fn wake_relay(&mut self, node: usize, worker: usize) {
        let now = self.now();
        if let Some(relays) = &mut self.packets.relays[node] {
            relays.wake(now, worker);
            self.serve_relays(node);
        }
    }

    pub(super) fn wake_stranger(&mut self, number: usize) {
        let now = self.micros();
        self.packets.strangers[number].timeout(now);
        self.serve_stranger(number);
    }

    /// Performs what relays want, and what the shards make of it; then looks whether it is right.
    fn serve_relays(&mut self, node: usize) {
        if self.perform_relays(node) {
            self.settle(node);
        }
        let Some(relays) = &self.packets.relays[node] else {
            return;
        };
        let due: Vec<_> = (0..relays.worker_count())
            .map(|worker| relays.timeout(worker))
            .collect();
        for (worker, due) in due.into_iter().enumerate() {
            let late = self.faults.lateness(&mut self.fate);
            self.arm(Sleeper::Relay(node, worker), due, late);
        }
        if let Some(relays) = &self.packets.relays[node] {
            let result = self.reach.balances(relays);
            self.blame(result);
        }
    }

    /// Says whether a shard was told something.
    fn perform_relays(&mut self, node: usize) -> bool {
        let mut has_told = false;
        while let Some(done) = self.packets.relays[node]
            .as_mut()
            .and_then(Relays::poll_done)
        {
            let host = self.packets.servers[node];
            match done {
                Done::ToClient(datagram) => self.launch(host, datagram),
                Done::ToPeer { holder, datagram } => {
                    let judged = self.reach.leaves(self.clock.micros(), holder, &datagram);
                    self.blame(judged);
                    self.launch(host, datagram);
                }
                Done::Frame { stream, payload } => {
                    self.pump(stream, Parcel::Down(stream, payload));
                }
                Done::Hang { stream } => self.pump(stream, Parcel::ClosedBelow(stream)),
                Done::Opens { worker, relay, .. } => self.open_socket(node, worker, relay),
                Done::Recheck(holder) => self.pass_recheck(node, holder),
                Done::Relayed(relayed) => {
                    has_told = true;
                    let now = self.now();
                    self.servers[node].relayed(now, &relayed);
                }
            }
        }
        has_told
    }

    fn open_socket(&mut self, node: usize, worker: usize, relay: RelayId) {
        let (now, faults) = (self.now(), self.relay_faults);
        let is_refused =
            faults.refused_per_mille > 0 && self.fate.happens(faults.refused_per_mille);
        if faults.late_socket > 0 {
            let after = self.fate.between(0, faults.late_socket);
            let boot = self.servers[node].boot;
            self.parcel(
                after,
                Parcel::Socket(node, boot, worker, relay, !is_refused),
            );
        } else if let Some(relays) = &mut self.packets.relays[node] {
            relays.opened(now, worker, relay, !is_refused);
        }
    }

    fn pass_recheck(&mut self, node: usize, holder: u64) {
        let (now, late) = (self.now(), self.relay_faults.late_recheck);
        if late > 0 {
            let boot = self.servers[node].boot;
            for _ in 0..2 {
                let after = self.fate.between(0, late);
                self.parcel(after, Parcel::Recheck(node, boot, holder));
            }
        } else if let Some(relays) = &mut self.packets.relays[node] {
            relays.recheck(now, holder);
        }
    }

    fn parcel(&mut self, after: u64, parcel: Parcel) {
        let at = self.micros() + after;
        self.agenda.at(at, Rank::Usual, Event::Parcel(parcel));
    }

    /// A host sends a datagram.
    fn launch(&mut self, host: Host, datagram: Datagram) {
        let now = self.micros();
        self.trace
            .packet(now, datagram.from, datagram.to, &datagram.payload);
        for (at, flight) in self.packets.ground.send(now, host, datagram) {
            let parcel = Event::Parcel(Parcel::Datagram(flight));
            self.agenda.at(at, Rank::Usual, parcel);
        }
    }

    fn land(&mut self, flight: Flight) {
        let (now, micros) = (self.now(), self.micros());
        let Some((host, datagram)) = self.packets.ground.arrive(micros, flight) else {
            return;
        };
        match self.packets.seats.get(&host).copied() {
            Some(Seat::Server(node)) => {
                if let Some(relays) = &mut self.packets.relays[node] {
                    relays.datagram(now, &datagram);
                    self.serve_relays(node);
                }
            }
            Some(Seat::Page(client)) => {
                let Datagram { from, to, payload } = datagram;
                self.tell_media(client, |media, now| media.datagram(now, from, to, &payload));
            }
            Some(Seat::Stranger(number)) => {
                self.packets.strangers[number].datagram(micros, datagram);
                self.serve_stranger(number);
            }
            None => {}
        }
    }

    fn tell_media(&mut self, client: usize, act: impl FnOnce(&mut Media, u64)) {
        let now = self.micros();
        if let Client::Browser(browser) = &mut self.clients[client]
            && let Some(media) = &mut browser.media
        {
            act(media, now);
            self.serve(client);
        }
    }

    fn serve_stranger(&mut self, number: usize) {
        let host = self.packets.strangers[number].host;
        while let Some(datagram) = self.packets.strangers[number].poll_out() {
            self.launch(host, datagram);
        }
        let due = self.packets.strangers[number].poll_timeout();
        self.arm(Sleeper::Stranger(number), due, 0);
    }

    fn dial_turn(&mut self, client: usize, number: u64, from: SocketAddr, to: SocketAddr) {
        let node = (0..self.servers.len()).find(|node| server_address(*node) == to.ip());
        let Some((node, host)) = node.zip(self.packets.pages.get(&client).copied()) else {
            return;
        };
        self.packets.pipes_made += 1;
        let id = self.packets.pipes_made;
        let pipe = Pipe {
            client,
            number,
            node,
            from: self.packets.ground.dials(host, from),
            is_accepted: false,
            last_up: 0,
            last_down: 0,
        };
        self.packets.pipes.insert(id, pipe);
        self.pump(id, Parcel::Dial(id));
    }

    fn accept_pipe(&mut self, id: u64) {
        let Some(pipe) = self.packets.pipes.get_mut(&id) else {
            return;
        };
        let (node, from) = (pipe.node, pipe.from);
        let listens = self.packets.plan.as_ref().is_some_and(|plan| plan.tcp);
        match &mut self.packets.relays[node] {
            Some(relays) if listens => {
                pipe.is_accepted = true;
                relays.accept(id, from);
            }
            Some(_) | None => self.pump(id, Parcel::ClosedBelow(id)),
        }
    }

    /// Sends on a stream: nothing overtakes, nothing gets lost.
    fn pump(&mut self, id: u64, parcel: Parcel) {
        let delay = self.packets.ground.delay();
        let now = self.micros();
        let Some(pipe) = self.packets.pipes.get_mut(&id) else {
            return;
        };
        let last = match parcel {
            Parcel::Down(..) | Parcel::ClosedBelow(_) => &mut pipe.last_down,
            Parcel::Dial(_)
            | Parcel::Up(..)
            | Parcel::ClosedAbove(_)
            | Parcel::Datagram(_)
            | Parcel::Socket(..)
            | Parcel::Recheck(..) => &mut pipe.last_up,
        };
        *last = (now + delay).max(*last);
        let at = *last;
        self.agenda.at(at, Rank::Usual, Event::Parcel(parcel));
    }

    fn pipe_of(&self, client: usize, number: u64) -> Option<u64> {
        let is_it = |pipe: &Pipe| pipe.client == client && pipe.number == number;
        let found = self.packets.pipes.iter().find(|(_, pipe)| is_it(pipe));
        found.map(|(id, _)| *id)
    }

    fn page_of(&self, pipe: u64) -> Option<(usize, u64)> {
        let pipe = self.packets.pipes.get(&pipe)?;
        Some((pipe.client, pipe.number))
    }

    fn relays_of(&mut self, pipe: u64) -> Option<(usize, &mut Relays)> {
        let pipe = self.packets.pipes.get(&pipe).filter(|p| p.is_accepted)?;
        let node = pipe.node;
        self.packets.relays[node]
            .as_mut()
            .map(|relays| (node, relays))
    }
}
