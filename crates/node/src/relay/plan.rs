//! What the configuration of TURN comes to on this machine: sockets, relayed addresses, exceptions.
//!
//! Computed from the configuration and the machine's addresses alone; binds nothing.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use switch::turn_grant::{TurnOffer, TurnSecret};
use turn::{Network, PeerPolicy, RelayAddress};

use super::config::{TurnConfig, TurnConfigFault, in_url};
use super::files::FileShare;
use super::machine::Machine;
use crate::certificate::Certificate;
use crate::config::Config;
use crate::turn_worker::Setup;

/// REALM is in every challenge.
const REALM: &str = "offhook";

/// Where TURN listens and what it relays from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// For UDP and TCP: each address by itself, so that answers come from the address that was asked.
    pub(crate) listen: Vec<SocketAddr>,
    /// For TLS; empty without a certificate.
    pub(crate) tls_listen: Vec<SocketAddr>,
    /// The preferred one of a family first.
    pub(crate) relays: Vec<RelayAddress>,
    pub(crate) ports: RangeInclusive<u16>,
    /// Networks that may be peers though they are forbidden by their kind.
    pub(crate) allowed: Vec<Network>,
    /// Every address that leads to this machine.
    pub(crate) machine: Vec<IpAddr>,
    /// What clients are to call this machine, as it stands in a URL.
    pub(crate) host: Option<String>,
    /// Nobody but this machine reaches anything of this node.
    pub(crate) is_local: bool,
    /// How many allocations the node may have.
    pub(crate) allocations: u32,
    /// Addresses of the above that no interface has.
    pub(crate) foreign: Vec<IpAddr>,
}

/// What was really bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) udp: Vec<SocketAddr>,
    pub(crate) tcp: Vec<SocketAddr>,
    pub(crate) tls: Vec<SocketAddr>,
}

impl Bound {
    /// As it would be if every wish came true.
    pub(crate) fn wished(plan: &Plan) -> Self {
        Self {
            udp: plan.listen.clone(),
            tcp: plan.listen.clone(),
            tls: plan.tls_listen.clone(),
        }
    }
}

impl Plan {
    /// `None` if TURN is switched off. The configuration was checked.
    pub(crate) fn new(config: &Config, machine: &Machine) -> Result<Option<Self>, TurnConfigFault> {
        let turn = &config.turn;
        if !turn.is_on {
            return Ok(None);
        }
        let wanted = wanted(&turn.listen, config.listen, TurnConfig::PORT);
        if let Some(at) = wanted.iter().find(|at| is_taken_by(config.listen, **at)) {
            return Err(TurnConfigFault::Own(*at));
        }
        let wanted_tls = match (&config.tls, turn.tls_listen.is_empty()) {
            (None, _) => Vec::new(),
            (Some(_), true) => {
                // Whoever takes any port takes any for this as well.
                let port = |of: u16| if of == 0 { 0 } else { TurnConfig::TLS_PORT };
                let mut same = wanted.clone();
                same.iter_mut().for_each(|at| at.set_port(port(at.port())));
                same
            }
            (Some(_), false) => turn.tls_listen.clone(),
        };
        let locals = locals(turn, &wanted, machine)?;
        let relays = paired(&locals, &turn.public)?;
        let (listen, tls_listen) = (each(&wanted, machine), each(&wanted_tls, machine));
        let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
        let is_local = !config.behind_tls_proxy
            && is_loopback(config.listen.ip())
            && listen
                .iter()
                .chain(&tls_listen)
                .all(|at| is_loopback(at.ip()))
            && relays.iter().all(|relay| is_loopback(relay.local));
        let mut foreign = locals.clone();
        foreign.extend(listen.iter().chain(&tls_listen).map(SocketAddr::ip));
        // All of 127.0.0.0/8 is this machine, whatever its interfaces say.
        foreign.retain(|ip| !machine.addresses.contains(ip) && !is_loopback(*ip));
        foreign.sort();
        foreign.dedup();
        let mut allowed = turn.allow.clone();
        if is_local {
            allowed.extend(LOOPBACK);
        }
        let mut known = machine.addresses.clone();
        for ip in relays.iter().flat_map(|relay| [relay.local, relay.public]) {
            if !known.contains(&ip) {
                known.push(ip);
            }
        }
        Ok(Some(Self {
            listen,
            tls_listen,
            relays,
            ports: turn.ports.clone(),
            allowed,
            machine: known,
            host: turn.host.as_deref().and_then(in_url),
            is_local,
            allocations: turn.bounds.node.allocations,
            foreign,
        }))
    }

    /// What the workers are set up with; `door` is where HTTP is listened on.
    pub(crate) fn setup(
        &self,
        door: SocketAddr,
        certificate: Option<Arc<Certificate>>,
        cores: usize,
        files: FileShare,
    ) -> Setup {
        // The ports are dealt out by pairs: a worker without one could relay nothing.
        let pairs = self.ports.end() / 2 - self.ports.start() / 2 + 1;
        Setup {
            udp: self.listen.clone(),
            tcp: self.listen.clone(),
            tls: self.tls_listen.clone(),
            certificate,
            workers: cores.clamp(1, pairs.into()),
            relays: self.relays.clone(),
            ports: self.ports.clone(),
            allowed: self.allowed.clone(),
            listening: vec![door],
            machine: self.machine.clone(),
            gateways: Vec::new(),
            realm: REALM.to_owned(),
            software: None,
            // The ledger counts for all workers; which of them the kernel sends clients to, nobody knows.
            allocations: self.allocations.min(files.relays) as usize,
            streams: files.streams,
        }
    }

    /// What clients are told; `behind_proxy`: what they call this machine is the proxy's name.
    pub(crate) fn offer(&self, bound: &Bound, secret: TurnSecret, behind_proxy: bool) -> TurnOffer {
        let port = |bound: &[SocketAddr]| bound.first().map(SocketAddr::port);
        TurnOffer {
            secret,
            host: self.host.clone(),
            fallback: literal(self.fallback()),
            use_host_header: !behind_proxy,
            udp: port(&bound.udp),
            tcp: port(&bound.tcp),
            tls: port(&bound.tls),
        }
    }

    /// The address that clients are sent to where nothing else is known: that of a relay where TURN listens on it.
    pub(crate) fn fallback(&self) -> IpAddr {
        let listens_on = |ip: IpAddr| self.listen.iter().any(|at| at.ip() == ip);
        let mut relays = self.relays.iter();
        let relay = relays.find(|relay| listens_on(relay.local));
        let outward = || self.listen.iter().find(|at| !at.ip().is_loopback());
        relay
            .map(|relay| relay.public)
            .or_else(|| outward().or(self.listen.first()).map(SocketAddr::ip))
            .unwrap_or(self.relays[0].public)
    }

    /// The loopback addresses that TURN listens on: what `localhost` is in a URL.
    pub(crate) fn loopbacks(&self) -> Vec<IpAddr> {
        let ips = self.listen.iter().map(SocketAddr::ip);
        ips.filter(IpAddr::is_loopback).collect()
    }

    /// How many allocations there are ports for.
    pub(crate) fn room(&self) -> usize {
        self.ports.len() * self.relays.len()
    }
}

/// All of `127/8`, and `::1`.
pub(crate) const LOOPBACK: [Network; 2] = [
    Network {
        address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        prefix: 8,
    },
    Network {
        address: IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        prefix: 128,
    },
];

/// An address as it stands in a URL.
pub(crate) fn literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Whether an address can be reached from everywhere: it is of a kind that anybody may relay to.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    PeerPolicy::default().check(ip).is_ok()
}

/// What is to be listened on, all-addresses still among them.
pub(crate) fn wanted(given: &[SocketAddr], door: SocketAddr, port: u16) -> Vec<SocketAddr> {
    let default = [SocketAddr::new(door.ip(), port)];
    let given = if given.is_empty() { &default } else { given };
    let canonical = |at: &SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
    given.iter().map(canonical).collect()
}

/// The same with each address by itself, none twice.
pub(crate) fn each(wanted: &[SocketAddr], machine: &Machine) -> Vec<SocketAddr> {
    let mut each = Vec::new();
    for at in wanted {
        let all = machine
            .addresses
            .iter()
            .filter(|ip| stands_for(at.ip(), **ip));
        let these: Vec<_> = if at.ip().is_unspecified() {
            all.map(|ip| SocketAddr::new(*ip, at.port())).collect()
        } else {
            vec![*at]
        };
        for at in these {
            if !each.contains(&at) {
                each.push(at);
            }
        }
    }
    each
}

/// Whether HTTP is to be listened on there.
fn is_taken_by(http: SocketAddr, at: SocketAddr) -> bool {
    let (one, other) = (http.ip().to_canonical(), at.ip().to_canonical());
    at.port() == http.port()
        && at.port() != 0
        && (one == other || stands_for(one, other) || stands_for(other, one))
}

/// `[::]` means both families, as everywhere on this system.
fn stands_for(unspecified: IpAddr, ip: IpAddr) -> bool {
    unspecified.is_unspecified() && (unspecified.is_ipv6() || ip.is_ipv4())
}

/// The machine's own addresses to relay from.
fn locals(
    turn: &TurnConfig,
    wanted: &[SocketAddr],
    machine: &Machine,
) -> Result<Vec<IpAddr>, TurnConfigFault> {
    let mut locals: Vec<IpAddr> = Vec::new();
    let mut add = |ip: IpAddr| {
        if !locals.contains(&ip) {
            locals.push(ip);
        }
    };
    if turn.relay.is_empty() {
        let is_all = |at: &&SocketAddr| at.ip().is_unspecified();
        wanted
            .iter()
            .filter(|at| !is_all(at))
            .for_each(|at| add(at.ip()));
        if let Some(all) = wanted.iter().filter(is_all).max_by_key(|at| at.is_ipv6()) {
            found(all.ip(), &turn.public, machine)
                .into_iter()
                .for_each(add);
        }
    } else {
        turn.relay.iter().for_each(|ip| add(ip.to_canonical()));
    }
    if locals.is_empty() {
        return Err(TurnConfigFault::NoAddress);
    }
    Ok(locals)
}

/// Where everything is listened on: of each family the address that packets for the rest of the world come from, and as
/// many as have a public one.
fn found(unspecified: IpAddr, publics: &[IpAddr], machine: &Machine) -> Vec<IpAddr> {
    let mut usable: Vec<_> = machine
        .addresses
        .iter()
        .copied()
        .filter(|ip| stands_for(unspecified, *ip) && !ip.is_loopback())
        .collect();
    usable.sort_by_key(|ip| (!machine.outward.contains(ip), !is_public(*ip)));
    let of_family = |is_ipv4: bool| {
        let count = publics.iter().filter(|ip| ip.is_ipv4() == is_ipv4).count();
        let usable = usable.iter().filter(move |ip| ip.is_ipv4() == is_ipv4);
        usable.copied().take(count.max(1))
    };
    let found: Vec<_> = of_family(true).chain(of_family(false)).collect();
    if found.is_empty() {
        // A machine without a network.
        let own = machine.addresses.iter().copied();
        return own
            .filter(|ip| stands_for(unspecified, *ip))
            .take(1)
            .collect();
    }
    found
}

/// Each address to relay from with what a NAT makes of it.
fn paired(locals: &[IpAddr], publics: &[IpAddr]) -> Result<Vec<RelayAddress>, TurnConfigFault> {
    for (family, is_ipv4) in [("IPv4", true), ("IPv6", false)] {
        let count = |list: &[IpAddr]| list.iter().filter(|ip| ip.is_ipv4() == is_ipv4).count();
        let (publics, relays) = (count(publics), count(locals));
        if publics > 0 && publics != relays {
            return Err(TurnConfigFault::Pairs {
                family,
                publics,
                relays,
            });
        }
    }
    let mut left = publics.to_vec();
    let pairs = locals.iter().map(|local| {
        let at = left.iter().position(|ip| ip.is_ipv4() == local.is_ipv4());
        RelayAddress {
            local: *local,
            public: at.map_or(*local, |at| left.remove(at)),
        }
    });
    Ok(pairs.collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::relay) fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Behind a NAT, with a bridge for containers, as many servers are.
    pub(in crate::relay) fn machine() -> Machine {
        Machine {
            addresses: ["127.0.0.1", "::1", "172.17.0.1", "10.0.0.5", "2001:db8::5"]
                .map(ip)
                .into(),
            outward: ["10.0.0.5", "2001:db8::5"].map(ip).into(),
        }
    }

    pub(in crate::relay) fn config(listen: &str) -> Config {
        Config {
            listen: listen.parse().unwrap(),
            ..Config::default()
        }
    }

    pub(in crate::relay) fn with_tls(mut config: Config) -> Config {
        config.tls = Some(crate::config::TlsFiles {
            cert: "c.pem".into(),
            key: "k.pem".into(),
        });
        config
    }

    pub(in crate::relay) fn plan(config: &Config) -> Plan {
        Plan::new(config, &machine()).unwrap().unwrap()
    }

    fn texts(list: &[SocketAddr]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn by_itself_it_listens_where_the_node_does() {
        let planned = plan(&config("127.0.0.1:8080"));
        assert_eq!(texts(&planned.listen), ["127.0.0.1:3478"]);
        assert!(planned.tls_listen.is_empty() && planned.is_local);
        let own = RelayAddress {
            local: ip("127.0.0.1"),
            public: ip("127.0.0.1"),
        };
        assert_eq!(planned.relays, [own]);
        assert_eq!(planned.allowed, LOOPBACK);

        let planned = plan(&with_tls(config("10.0.0.5:443")));
        assert_eq!(texts(&planned.tls_listen), ["10.0.0.5:5349"]);
        assert!(!planned.is_local && planned.allowed.is_empty());
        let mut anywhere = with_tls(config("127.0.0.1:443"));
        anywhere.turn.listen = vec!["127.0.0.1:0".parse().unwrap()];
        assert_eq!(texts(&plan(&anywhere).tls_listen), ["127.0.0.1:0"]);
        let mapped = plan(&config("[::ffff:127.0.0.1]:8080"));
        assert_eq!(texts(&mapped.listen), ["127.0.0.1:3478"]);
    }

    #[test]
    fn the_port_of_http_is_not_listened_on() {
        let refused = |listen: &str, turn: &str| {
            let mut config = config(listen);
            config.turn.listen = vec![turn.parse().unwrap()];
            Plan::new(&config, &machine()).err()
        };
        for (listen, turn) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("127.0.0.1:8080", "0.0.0.0:8080"),
            ("[::]:8080", "10.0.0.5:8080"),
        ] {
            assert_eq!(
                refused(listen, turn),
                Some(TurnConfigFault::Own(turn.parse().unwrap()))
            );
        }
        for (listen, turn) in [
            ("127.0.0.1:8080", "10.0.0.5:8080"),
            ("127.0.0.1:8080", "127.0.0.1:8081"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ] {
            assert_eq!(refused(listen, turn), None, "{listen} {turn}");
        }
    }

    #[test]
    fn loopback_peers_are_let_in_only_where_everything_is_loopback() {
        let local = || config("127.0.0.1:8080");
        let mut outside = local();
        outside.turn.listen = vec!["0.0.0.0:3478".parse().unwrap()];
        let mut relaying = local();
        relaying.turn.relay = vec![ip("10.0.0.5")];
        let mut behind_proxy = local();
        behind_proxy.behind_tls_proxy = true;
        let mut with_tls = with_tls(local());
        with_tls.turn.tls_listen = vec!["10.0.0.5:5349".parse().unwrap()];
        for config in [outside, relaying, behind_proxy, with_tls] {
            let planned = plan(&config);
            assert!(
                !planned.is_local && planned.allowed.is_empty(),
                "{config:?}"
            );
        }
    }

    #[test]
    fn all_addresses_are_listened_on_one_by_one_and_one_of_each_family_is_relayed_from() {
        let planned = plan(&with_tls(config("[::]:443")));
        let listen = [
            "127.0.0.1:3478",
            "[::1]:3478",
            "172.17.0.1:3478",
            "10.0.0.5:3478",
            "[2001:db8::5]:3478",
        ];
        assert_eq!(texts(&planned.listen), listen);
        assert_eq!(planned.tls_listen.len(), 5);
        let locals: Vec<_> = planned.relays.iter().map(|relay| relay.local).collect();
        assert_eq!(locals, [ip("10.0.0.5"), ip("2001:db8::5")]);
        assert_eq!(planned.loopbacks(), [ip("127.0.0.1"), ip("::1")]);

        let planned = plan(&with_tls(config("0.0.0.0:443")));
        assert!(planned.listen.iter().all(SocketAddr::is_ipv4));
        assert_eq!(planned.relays.len(), 1);
        let nothing = Machine::default();
        let config = with_tls(config("0.0.0.0:443"));
        assert_eq!(
            Plan::new(&config, &nothing),
            Err(TurnConfigFault::NoAddress)
        );
    }

    #[test]
    fn public_addresses_belong_to_relays_of_their_family_in_order() {
        let mut config = with_tls(config("0.0.0.0:443"));
        config.turn.public = vec![ip("203.0.113.7")];
        let planned = plan(&config);
        let natted = RelayAddress {
            local: ip("10.0.0.5"),
            public: ip("203.0.113.7"),
        };
        assert_eq!(planned.relays, [natted]);
        assert!(planned.machine.contains(&ip("203.0.113.7")));
        assert_eq!(planned.fallback(), ip("203.0.113.7"));

        config.turn.relay = ["2001:db8::5", "172.17.0.1", "10.0.0.5"].map(ip).into();
        config.turn.public = ["203.0.113.8", "203.0.113.7"].map(ip).into();
        let pairs: Vec<_> = plan(&config)
            .relays
            .iter()
            .map(|relay| (relay.local, relay.public))
            .collect();
        let wanted = [
            (ip("2001:db8::5"), ip("2001:db8::5")),
            (ip("172.17.0.1"), ip("203.0.113.8")),
            (ip("10.0.0.5"), ip("203.0.113.7")),
        ];
        assert_eq!(pairs, wanted);

        config.turn.public = vec![ip("203.0.113.8")];
        let refused = Plan::new(&config, &machine()).unwrap_err().to_string();
        assert_eq!(
            refused,
            "there must be one public IPv4 address (--turn-public) for each IPv4 address to relay from (--turn-relay), \
             in the same order: 1 and 2 are given or found"
        );
        config.turn.public = vec![ip("2001:db8:1::1"); 2];
        let refused = Plan::new(&config, &machine()).unwrap_err().to_string();
        assert!(
            refused.contains("IPv6") && refused.contains("2 and 1"),
            "{refused}"
        );
    }

    #[test]
    fn clients_are_sent_to_an_address_that_is_listened_on() {
        let mut config = with_tls(config("10.0.0.5:443"));
        config.turn.relay = vec![ip("172.17.0.1")];
        assert_eq!(plan(&config).fallback(), ip("10.0.0.5"));
        config.turn.listen = vec!["[::]:3478".parse().unwrap()];
        config.turn.relay = vec![ip("2001:db8::5")];
        let secret = TurnSecret::new([7; 32]);
        let bound = Bound {
            udp: vec!["10.0.0.5:4000".parse().unwrap()],
            ..Bound::default()
        };
        let offer = plan(&config).offer(&bound, secret, true);
        assert_eq!(offer.fallback, "[2001:db8::5]");
        assert_eq!((offer.udp, offer.tcp, offer.tls), (Some(4000), None, None));
        assert!(!offer.use_host_header);
    }

    #[test]
    fn no_worker_is_without_ports() {
        let door = "127.0.0.1:8080".parse().unwrap();
        let mut config = config("127.0.0.1:8080");
        assert_eq!(
            plan(&config)
                .setup(door, None, 8, FileShare::of(None))
                .workers,
            8
        );
        config.turn.ports = 50_001..=50_004;
        assert_eq!(
            plan(&config)
                .setup(door, None, 8, FileShare::of(None))
                .workers,
            3
        );
        config.turn.ports = 50_000..=50_001;
        assert_eq!(
            plan(&config)
                .setup(door, None, 8, FileShare::of(None))
                .workers,
            1
        );
    }

    #[test]
    fn switched_off_there_is_none() {
        let mut config = config("127.0.0.1:8080");
        config.turn.is_on = false;
        assert_eq!(Plan::new(&config, &machine()), Ok(None));
    }
}
