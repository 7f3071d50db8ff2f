//! The trunks of a world: a line for each account at its server, telephones behind its peers, and a network between them that loses,
//! repeats, reorders and delays datagrams.
//!
//! Knows no world: what is under way and when it arrives is the world's.

mod dns;
mod judge;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use model::{
    ConnectionId, Now, Number, NumberPattern, PeerName, PeerPlace, SecretBytes, ServiceName, Trunk,
    TrunkLogin, TrunkMedia, TrunkName, TrunkTransfer, TrunkTransport,
};
use switch::trunk::{Line, NameFault};

use crate::datagram::Quality;
use crate::phone::Phone;
use crate::random::Random;
use crate::server::account_id;
pub use dns::Dns;
pub use judge::Judge;

/// Connections of clients are counted from 1; lines are far above.
const FIRST: u64 = 1 << 40;
/// The host in the addresses of all numbers.
pub const DOMAIN: &str = "sip.example.com";
/// The names that numbers lead to: `+4419083` and two digits, the first `00`.
pub const NAMES: [&str; 7] = ["ivr", "ann", "bob", "bobby", "cy", "team-a", "team-b"];

/// Where the spare trunk's peer is, as if it were an account's: behind all of them.
const SPARE: usize = 20;

/// What a world's trunks are like.
#[derive(Clone, Debug)]
pub struct TrunkPlan {
    /// How good the network to the peers is.
    pub quality: Quality,
    /// Peers of each trunk, each with a telephone.
    pub peers: u8,
    /// Whether it registers, and for how long.
    pub registration: Option<Duration>,
    /// How often peers are asked whether they are there.
    pub check: Option<Duration>,
    /// How often sessions are refreshed.
    pub session: Option<Duration>,
    /// Whether it is told who calls.
    pub is_trusted: bool,
    /// Whether DNS says where its peers are, and not the operator.
    pub is_named: bool,
    /// Whether the first account has a second one, whose telephone is the last.
    pub has_spare: bool,
    /// To whom its peers may transfer calls.
    pub transfer: TrunkTransfer,
}

impl Default for TrunkPlan {
    fn default() -> Self {
        Self {
            quality: Quality::STEADY,
            peers: 1,
            registration: None,
            check: None,
            session: None,
            is_trusted: false,
            is_named: false,
            has_spare: false,
            transfer: TrunkTransfer::Own,
        }
    }
}

impl TrunkPlan {
    /// The trunks of all accounts, as servers are told of them.
    pub fn trunks(&self, accounts: usize) -> Arc<[(ConnectionId, Arc<Trunk>)]> {
        let all = (0..accounts).map(|account| {
            let line = ConnectionId(FIRST + account as u64);
            (line, Arc::new(self.trunk(account)))
        });
        all.chain(self.spare(accounts)).collect()
    }

    fn spare(&self, accounts: usize) -> Option<(ConnectionId, Arc<Trunk>)> {
        let trunk = Trunk {
            name: TrunkName::parse("spare").expect("it is a name"),
            places: PeerPlace::addresses(&[peer_address(SPARE, 0)]),
            peers: vec![peer_address(SPARE, 0)],
            domain: "spare.example.com".to_owned(),
            numbers: Vec::new(),
            ..self.trunk(0)
        };
        let line = ConnectionId(FIRST + accounts as u64);
        self.has_spare.then(|| (line, Arc::new(trunk)))
    }

    /// Where the peers of an account's trunk are.
    fn addresses(&self, account: usize) -> Vec<SocketAddr> {
        let peers = 0..self.peers;
        peers.map(|peer| peer_address(account, peer)).collect()
    }

    fn trunk(&self, account: usize) -> Trunk {
        let number = |(at, name): (usize, &&str)| {
            let pattern = NumberPattern::parse(&format!("+4419083{at:02}"));
            let name = ServiceName::parse(name);
            (
                pattern.expect("it is a number"),
                name.expect("it is a name"),
            )
        };
        Trunk {
            account: account_id(account),
            name: TrunkName::parse("provider").expect("it is a name"),
            transport: TrunkTransport::Udp,
            media: TrunkMedia::Rtp,
            places: match self.is_named {
                true => vec![PeerPlace::Name(
                    PeerName::parse(DOMAIN).expect("it is a name"),
                )],
                false => PeerPlace::addresses(&self.addresses(account)),
            },
            peers: match self.is_named {
                true => Vec::new(),
                false => self.addresses(account),
            },
            former: Vec::new(),
            networks: Vec::new(),
            domain: DOMAIN.to_owned(),
            login: Some(TrunkLogin {
                user: "44207".to_owned(),
                password: SecretBytes::new(b"secret".to_vec()),
            }),
            registration: self.registration,
            check: self.check,
            session: self.session,
            numbers: NAMES.iter().enumerate().map(number).collect(),
            caller: Number::parse("+442079460000").ok(),
            is_trusted: self.is_trusted,
            transfer: self.transfer,
        }
    }
}

/// Where a peer is.
pub fn peer_address(account: usize, peer: u8) -> SocketAddr {
    let ip = Ipv4Addr::new(192, 0, 2, 10 * (account as u8 + 1) + peer);
    SocketAddr::new(IpAddr::V4(ip), 5060)
}

/// Where peers reach the lines of a server.
pub fn own_address(node: usize) -> SocketAddr {
    let ip = Ipv4Addr::new(203, 0, 113, node as u8 + 1);
    SocketAddr::new(IpAddr::V4(ip), 5060)
}

/// A line's place.
#[derive(Debug)]
pub struct Post {
    /// Where its server is.
    pub node: usize,
    /// What it is called by its server.
    pub connection: ConnectionId,
    /// Whose, where its name leads now.
    pub trunk: Arc<Trunk>,
    /// The same as its server knows it at its start.
    pub planned: Arc<Trunk>,
    /// Where telephones are.
    pub peers: Vec<SocketAddr>,
    /// While its server runs.
    pub line: Option<Line>,
    /// What it may not do.
    pub judge: Judge,
}

/// See the module.
#[derive(Debug)]
pub struct Trunks {
    /// A line for each account.
    pub posts: Vec<Post>,
    /// Telephones, whoever they belong to.
    pub phones: Vec<Phone>,
    /// What is said of names.
    pub dns: Dns,
    /// How good the network is.
    pub quality: Quality,
    /// Whether everybody has left: lines that begin now are stopped at once.
    pub is_over: bool,
    pub(crate) random: Random,
}

impl Trunks {
    /// Lines that are not there yet, and a telephone at each peer.
    pub fn new(plan: Option<&TrunkPlan>, accounts: usize, servers: usize, seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x7121_4b00_0000_0005);
        let mut trunks = Self {
            posts: Vec::new(),
            phones: Vec::new(),
            dns: Dns::default(),
            quality: plan.map_or(Quality::STEADY, |plan| plan.quality),
            is_over: false,
            random: random.fork(),
        };
        let all = plan.map(|plan| plan.trunks(accounts));
        for (line, (connection, trunk)) in all.iter().flat_map(|all| all.iter()).enumerate() {
            let account = (0..accounts).find(|account| account_id(*account) == trunk.account);
            let account = account.unwrap_or(0);
            let node = account % servers;
            let peers = match (trunk.peers.is_empty(), plan) {
                (true, Some(plan)) => plan.addresses(account),
                (true, None) | (false, _) => trunk.peers.clone(),
            };
            for peer in &peers {
                let phone = Phone::new(*peer, own_address(node), DOMAIN, random.fork());
                trunks.phones.push(phone);
            }
            let ranked = peers.iter().zip(0..);
            let ranked: Vec<_> = ranked
                .map(|(peer, priority)| (*peer, priority, 0))
                .collect();
            trunks.dns.says.push(Err(NameFault::NotYet));
            trunks.dns.leads(line, &ranked);
            trunks.posts.push(Post {
                planned: Arc::clone(trunk),
                peers,
                node,
                connection: *connection,
                trunk: Arc::clone(trunk),
                line: None,
                judge: Judge::default(),
            });
        }
        trunks
    }

    /// The lines of a server begin.
    pub fn start(&mut self, node: usize, now: Now) {
        for post in self.posts.iter_mut().filter(|post| post.node == node) {
            let (seed, trunk) = (self.random.seed(), Arc::clone(&post.planned));
            post.trunk = Arc::clone(&trunk);
            let own = own_address(node);
            post.line = Some(Line::new(post.connection, trunk, own, seed, now));
            post.judge = Judge::default();
        }
    }

    /// A server is gone, and nobody can know any more what it would have said.
    pub fn vanish(&mut self, node: usize) {
        for post in self.posts.iter_mut().filter(|post| post.node == node) {
            post.line = None;
        }
        for phone in &mut self.phones {
            phone.is_plain &= phone.server() != own_address(node);
        }
    }

    /// The line that a datagram is for, if it comes from one of its peers: the work of the shell.
    pub fn line_for(&self, to: SocketAddr, from: SocketAddr) -> Option<usize> {
        let is_it = |post: &Post| own_address(post.node) == to && post.trunk.admits(from.ip());
        self.posts.iter().position(is_it)
    }

    /// The line that a server calls so.
    pub fn line_of(&self, connection: ConnectionId) -> Option<usize> {
        self.posts
            .iter()
            .position(|post| post.connection == connection)
    }

    /// A telephone by its address.
    pub fn phone_at(&self, address: SocketAddr) -> Option<usize> {
        self.phones
            .iter()
            .position(|phone| phone.address == address)
    }

    /// The number that leads to a name.
    pub fn number_of(name: &str) -> String {
        let at = NAMES.iter().position(|known| *known == name);
        format!("+4419083{:02}", at.unwrap_or(99))
    }
}
