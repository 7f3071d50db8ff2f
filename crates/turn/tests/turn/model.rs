//! Sequences of requests, data and time against a model that keeps four small tables and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use turn::{Holder, Input};

use crate::client::{Out, World, address, client, config};

/// Clients; the user of each is its number.
const CLIENTS: u16 = 3;
/// Two ports of one address, one of another, one that is forbidden.
const PEERS: [&str; 4] = [
    "192.0.2.9:7000",
    "192.0.2.9:7001",
    "192.0.2.10:7000",
    "10.0.0.1:7000",
];

/// An address of ours that relays.
const OWN: &str = "198.51.100.1:7000";

#[derive(Clone, Debug)]
enum Step {
    Allocate(u16),
    Refresh(u16, u32),
    /// By a user whose allocation it may not be.
    RefreshAs(u16, u16),
    Permit(u16, usize),
    Bind(u16, u16, usize),
    Channel(u16, u16),
    Indication(u16, usize),
    FromPeer(u16, usize),
    /// The address that we relay from, which other clients are at.
    PermitOwn(u16),
    /// From one client to the relayed address of another.
    Across(u16, u16),
    Pass(u64),
    /// Whether a client's calls name the address of a peer.
    Name(u16, usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..CLIENTS;
    let peer = || 0..PEERS.len();
    let channel = || 0x3fff_u16..0x4003;
    prop_oneof![
        3 => who().prop_map(Step::Allocate),
        2 => (who(), prop_oneof![Just(0), Just(600), Just(3_600), 0..10_000_u32]).prop_map(|(who, secs)| Step::Refresh(who, secs)),
        1 => (who(), who()).prop_map(|(who, user)| Step::RefreshAs(who, user)),
        3 => (who(), peer()).prop_map(|(who, peer)| Step::Permit(who, peer)),
        3 => (who(), channel(), peer()).prop_map(|(who, number, peer)| Step::Bind(who, number, peer)),
        4 => (who(), channel()).prop_map(|(who, number)| Step::Channel(who, number)),
        3 => (who(), peer()).prop_map(|(who, peer)| Step::Indication(who, peer)),
        4 => (who(), peer()).prop_map(|(who, peer)| Step::FromPeer(who, peer)),
        2 => who().prop_map(Step::PermitOwn),
        3 => (who(), who()).prop_map(|(who, to)| Step::Across(who, to)),
        3 => prop_oneof![Just(1), Just(299), Just(300), Just(600), 1..4_000_u64].prop_map(Step::Pass),
        2 => (who(), peer(), any::<bool>()).prop_map(|(who, peer, is_named)| Step::Name(who, peer, is_named)),
    ]
}

/// What RFC 8656 says there is.
#[derive(Default)]
struct Model {
    now: u64,
    /// When each ends.
    allocations: BTreeMap<u16, u64>,
    permissions: BTreeMap<(u16, IpAddr), u64>,
    channels: BTreeMap<(u16, u16), (SocketAddr, u64)>,
    named: BTreeSet<(u16, IpAddr)>,
}

impl Model {
    fn pass(&mut self, secs: u64) {
        self.now += secs;
        let now = self.now;
        self.allocations.retain(|_, ends| *ends > now);
        let allocations = &self.allocations;
        self.permissions
            .retain(|(who, _), ends| *ends > now && allocations.contains_key(who));
        self.channels
            .retain(|(who, _), (_, ends)| *ends > now && allocations.contains_key(who));
    }

    fn end(&mut self, who: u16) {
        self.allocations.remove(&who);
        self.pass(0);
    }

    fn may_reach(&self, who: u16, peer: SocketAddr) -> bool {
        peer.ip() != address(PEERS[3]).ip() && self.named.contains(&(who, peer.ip()))
    }

    fn permit(&mut self, who: u16, peer: SocketAddr) -> u16 {
        if !self.allocations.contains_key(&who) {
            return 437;
        }
        if !self.may_reach(who, peer) {
            return 403;
        }
        self.permissions.insert((who, peer.ip()), self.now + 300);
        0
    }

    fn bind(&mut self, who: u16, number: u16, peer: SocketAddr) -> u16 {
        if !self.allocations.contains_key(&who) {
            return 437;
        }
        if !(0x4000..=0x7fff).contains(&number) {
            return 400;
        }
        if !self.may_reach(who, peer) {
            return 403;
        }
        let is_taken = self
            .channels
            .iter()
            .any(|((of, bound), (to, _))| *of == who && (*bound == number) != (*to == peer));
        if is_taken {
            return 400;
        }
        self.channels.insert((who, number), (peer, self.now + 600));
        self.permit(who, peer)
    }

    fn is_permitted(&self, who: u16, peer: SocketAddr) -> bool {
        self.permissions.contains_key(&(who, peer.ip()))
    }
}

/// The server with the model beside it.
struct Pair {
    world: World,
    model: Model,
    relayed: BTreeMap<u16, SocketAddr>,
}

impl Pair {
    fn new() -> Self {
        let mut world = World::new(config());
        for who in 0..CLIENTS {
            world.book.reach.insert(Holder(who.into()), BTreeSet::new());
        }
        Self {
            world,
            model: Model::default(),
            relayed: BTreeMap::new(),
        }
    }

    fn allocate(&mut self, who: u16) {
        if self.model.allocations.contains_key(&who) {
            let transport = turn_types::attribute::RequestedTransport::new(17);
            let again = self.world.ask(
                client(who),
                who.into(),
                turn_types::message::ALLOCATE,
                &[&transport],
            );
            assert_eq!(again.code(), 437);
            return;
        }
        let relayed = self.world.allocate(client(who), who.into());
        self.relayed.insert(who, relayed);
        self.model.allocations.insert(who, self.model.now + 600);
    }

    fn refresh(&mut self, who: u16, user: u16, secs: u32) {
        let code = self.world.refresh(client(who), user.into(), secs);
        if !self.model.allocations.contains_key(&who) {
            assert_eq!(code, 437);
        } else if who != user {
            assert_eq!(code, 441);
        } else if secs == 0 {
            assert_eq!(code, 0);
            self.model.end(who);
        } else {
            assert_eq!(code, 0);
            let ends = self.model.now + u64::from(secs.clamp(600, 3_600));
            self.model.allocations.insert(who, ends);
        }
    }

    fn name(&mut self, who: u16, peer: SocketAddr, is_named: bool) {
        let holder = Holder(who.into());
        let reach = self.world.book.reach.get_mut(&holder).unwrap();
        if is_named {
            reach.insert(peer.ip());
            self.model.named.insert((who, peer.ip()));
        } else {
            reach.remove(&peer.ip());
            self.model.named.remove(&(who, peer.ip()));
            self.model.permissions.remove(&(who, peer.ip()));
        }
        self.world.give(Input::Recheck { holder });
    }

    fn take(&mut self, step: &Step) {
        let peer = |peer: usize| address(PEERS[peer]);
        match *step {
            Step::Allocate(who) => self.allocate(who),
            Step::Refresh(who, secs) => self.refresh(who, who, secs),
            Step::RefreshAs(who, user) => self.refresh(who, user, 600),
            Step::Permit(who, at) => {
                let code = self.world.permit(client(who), who.into(), peer(at));
                assert_eq!(code, self.model.permit(who, peer(at)));
            }
            Step::Bind(who, number, at) => {
                let code = self.world.bind(client(who), who.into(), number, peer(at));
                assert_eq!(code, self.model.bind(who, number, peer(at)));
            }
            Step::Channel(who, number) => {
                let out = self.world.channel_data(client(who), number, b"data");
                let bound = self
                    .model
                    .channels
                    .get(&(who, number))
                    .map(|(peer, _)| *peer);
                let expected = bound.filter(|peer| self.model.is_permitted(who, *peer));
                assert_eq!(out, expected.map(|peer| Out::Peer(peer, b"data".to_vec())));
            }
            Step::Indication(who, at) => {
                let out = self.world.send_indication(client(who), peer(at), b"data");
                let expected = self.model.is_permitted(who, peer(at));
                assert_eq!(out.is_some(), expected);
            }
            Step::FromPeer(who, at) => {
                let Some(relayed) = self.relayed.get(&who) else {
                    return;
                };
                let out = self.world.peer_sends(*relayed, peer(at), b"data");
                self.check_received(who, peer(at), out);
            }
            Step::PermitOwn(who) => {
                let own = address(OWN);
                let code = self.world.permit(client(who), who.into(), own);
                let is_there = self.model.allocations.contains_key(&who);
                assert_eq!(code, if is_there { 0 } else { 437 });
                if is_there {
                    let ends = self.model.now + 300;
                    self.model.permissions.insert((who, own.ip()), ends);
                }
            }
            Step::Across(who, to) => self.across(who, to),
            Step::Pass(secs) => {
                self.world.pass(secs);
                self.model.pass(secs);
            }
            Step::Name(who, at, is_named) => self.name(who, peer(at), is_named),
        }
    }

    fn across(&mut self, who: u16, to: u16) {
        let Some(relayed) = self.relayed.get(&to).copied() else {
            return;
        };
        let out = self.world.send_indication(client(who), relayed, b"data");
        let model = &self.model;
        let is_expected = [who, to].into_iter().all(|end| {
            model.allocations.contains_key(&end) && model.is_permitted(end, address(OWN))
        });
        match out {
            Some(Out::Client(receiver, _)) => {
                assert!(receiver == client(to) && is_expected);
            }
            Some(other) => panic!("{other:?} left the process"),
            None => assert!(!is_expected),
        }
    }

    fn check_received(&self, who: u16, peer: SocketAddr, out: Option<Out>) {
        let is_expected =
            self.model.allocations.contains_key(&who) && self.model.is_permitted(who, peer);
        let Some(out) = out else {
            assert!(!is_expected);
            return;
        };
        let Out::Client(to, bytes) = out else {
            panic!("{out:?}");
        };
        assert!(is_expected && to == client(who));
        let channel = self
            .model
            .channels
            .iter()
            .find(|((of, _), (to, _))| *of == who && *to == peer)
            .map(|((_, number), _)| *number);
        match channel {
            Some(number) => assert_eq!(bytes[..2], number.to_be_bytes()),
            None => assert_eq!(bytes[..2], [0x00, 0x17]),
        }
    }

    /// What holds after each step.
    fn check(&mut self) {
        let allocations = &self.model.allocations;
        // A port of whoever has gone may be another's next.
        self.relayed.retain(|who, _| allocations.contains_key(who));
        assert!(self.relayed.len() == allocations.len());
        assert_eq!(
            self.world.server.allocations(),
            self.model.allocations.len()
        );
        assert_eq!(self.world.sockets.len(), self.model.allocations.len());
        let admitted: u32 = self.world.book.allocations.values().sum();
        assert_eq!(admitted as usize, self.model.allocations.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_server_does_what_the_model_says(steps in proptest::collection::vec(step(), 1..120)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.take(step);
            pair.check();
        }
    }
}
