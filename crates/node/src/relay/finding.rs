//! What the operator is told about TURN at the start: what is handed out, and what looks wrong.
//!
//! Sentences computed from values; looks at nothing by itself, and stops nothing.

use std::fmt;
use std::net::SocketAddr;

use super::files::FileShare;
use super::plan::{Bound, Plan, is_public, literal};
use crate::config::Config;

/// One sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// How it is.
    Fact(String),
    /// What will hardly be what was meant, and what would help.
    Doubt(String),
}

impl Finding {
    /// The sentence, without a full stop.
    pub fn text(&self) -> &str {
        match self {
            Self::Fact(text) | Self::Doubt(text) => text,
        }
    }

    /// Whether something looks wrong.
    pub fn is_doubt(&self) -> bool {
        match self {
            Self::Fact(_) => false,
            Self::Doubt(_) => true,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Everything that is to be said, the URLs first. `plan` is none where TURN is switched off; `files` is how many files
/// the process may have open.
pub(crate) fn findings(
    config: &Config,
    plan: Option<&Plan>,
    bound: &Bound,
    files: Option<u64>,
) -> Vec<Finding> {
    let Some(plan) = plan else {
        let off = "TURN is off: clients are told of no relay, and browsers behind strict NATs hear nothing";
        return vec![Finding::Fact(off.to_owned())];
    };
    let view = View {
        config,
        plan,
        bound,
        files,
    };
    let facts = [Some(view.urls()), Some(view.sockets()), Some(view.relays())];
    let doubts = [
        view.hidden_listener(),
        view.several_ports(),
        view.no_tls(),
        view.proxy(),
        view.ports(),
        view.files(),
        view.greedy_account(),
        view.hidden_relay(),
    ];
    let facts = facts.into_iter().flatten().map(Finding::Fact);
    let doubts = doubts.into_iter().flatten();
    facts
        .chain(
            doubts
                .chain(view.unreachable_relays())
                .chain(view.odd_publics())
                .chain(view.wide_exceptions())
                .chain(view.foreign_addresses())
                .map(Finding::Doubt),
        )
        .collect()
}

struct View<'a> {
    config: &'a Config,
    plan: &'a Plan,
    bound: &'a Bound,
    files: Option<u64>,
}

impl View<'_> {
    /// What will be handed out.
    fn urls(&self) -> String {
        let behind_proxy = self.config.behind_tls_proxy;
        let fixed = match &self.plan.host {
            Some(host) => Some(host.clone()),
            None if behind_proxy => Some(literal(self.plan.fallback())),
            None => None,
        };
        let host = fixed.as_deref().unwrap_or("HOST");
        let url = |scheme: &str, bound: &[SocketAddr], transport: &str| {
            let port = port(bound.first()?);
            Some(format!("{scheme}:{host}:{port}?transport={transport}"))
        };
        let urls = [
            url("turn", &self.bound.udp, "udp"),
            url("turn", &self.bound.tcp, "tcp"),
            url("turns", &self.bound.tls, "tcp"),
        ];
        let urls: Vec<_> = urls.into_iter().flatten().collect();
        let told = format!("TURN: clients are told {}", urls.join(", "));
        if fixed.is_some() {
            return told;
        }
        let localhost = self.plan.loopbacks().first().map_or_else(
            || literal(self.plan.fallback()),
            |loopback| literal(*loopback),
        );
        format!("{told}; HOST is the host that a client connected with ({localhost} for localhost)")
    }

    fn sockets(&self) -> String {
        let Bound { udp, tcp, tls } = self.bound;
        let mut kinds = Vec::new();
        if udp == tcp {
            kinds.push(format!("UDP and TCP {}", sockets(udp)));
        } else {
            kinds.push(format!("UDP {}", sockets(udp)));
            kinds.push(format!("TCP {}", sockets(tcp)));
        }
        if !tls.is_empty() {
            kinds.push(format!("TLS {}", sockets(tls)));
        }
        let told = format!("TURN: it listens on {}", kinds.join("; "));
        if self.is_for_all() {
            format!("{told} (all addresses that this machine has now)")
        } else {
            told
        }
    }

    /// Whether `0.0.0.0` or `[::]` was asked for.
    fn is_for_all(&self) -> bool {
        let turn = &self.config.turn;
        let door = self.config.listen.ip();
        let given = turn.listen.iter().chain(&turn.tls_listen);
        let mut given = given.map(|at| at.ip());
        given.any(|ip| ip.is_unspecified()) || turn.listen.is_empty() && door.is_unspecified()
    }

    fn relays(&self) -> String {
        let address = |relay: &turn::RelayAddress| {
            if relay.local == relay.public {
                relay.local.to_string()
            } else {
                format!("{} (which is {} here)", relay.public, relay.local)
            }
        };
        let addresses: Vec<_> = self.plan.relays.iter().map(address).collect();
        let (first, last) = (self.plan.ports.start(), self.plan.ports.end());
        format!(
            "TURN: it relays from {}, UDP ports {first} to {last}",
            addresses.join(" and ")
        )
    }

    /// Everything else is open, or seems to be, and TURN listens on loopback alone.
    fn hidden_listener(&self) -> Option<String> {
        let is_hidden = self.plan.listen.iter().all(|at| at.ip().is_loopback());
        (is_hidden && !self.plan.is_local).then(|| {
            let port = self.bound.udp.first().map_or_else(|| "3478".to_owned(), port);
            format!(
                "TURN listens on loopback alone, where no client from outside reaches it: give --turn-listen 0.0.0.0:{port} \
                 or an address of this machine, or --turn=false if there is another relay"
            )
        })
    }

    /// A public address was given, and nothing but loopback is listened on.
    fn hidden_relay(&self) -> Option<String> {
        let public = self.config.turn.public.first()?;
        self.plan.is_local.then(|| {
            format!(
                "TURN listens on loopback alone, and nobody who comes to {public} (--turn-public) reaches it: give \
                 --turn-listen ADDR:PORT"
            )
        })
    }

    /// Addresses that cannot be bound, as it seems.
    fn foreign_addresses(&self) -> impl Iterator<Item = String> {
        self.plan.foreign.iter().map(|ip| {
            format!(
                "TURN: {ip} is no address of this machine, which --turn-listen, --turn-tls-listen and --turn-relay want; what a \
                 NAT makes of one is for --turn-public"
            )
        })
    }

    fn several_ports(&self) -> Option<String> {
        for (bound, scheme) in [(&self.bound.udp, "turn"), (&self.bound.tls, "turns")] {
            let first = bound.first()?.port();
            if bound.iter().any(|at| at.port() != first) {
                return Some(format!(
                    "TURN listens on several ports, and {scheme}: URLs name only the first, {first}"
                ));
            }
        }
        None
    }

    fn no_tls(&self) -> Option<String> {
        (self.bound.tls.is_empty() && !self.plan.is_local).then(|| {
            "TURN has no turns: URL, because there is no certificate: browsers in networks that let nothing but TLS out \
             are not helped (--tls-cert FILE, --tls-key FILE)"
                .to_owned()
        })
    }

    fn proxy(&self) -> Option<String> {
        (self.config.behind_tls_proxy && self.plan.host.is_none()).then(|| {
            format!(
                "TURN cannot learn its name from clients that come through a proxy, and sends them to {}: give \
                 --turn-host NAME, a name that leads to this machine and not to the proxy",
                self.plan.fallback()
            )
        })
    }

    fn ports(&self) -> Option<String> {
        let room = self.plan.room();
        let (flag, allowed) = self.allowed();
        (room < allowed as usize).then(|| {
            format!(
                "TURN has ports for {room} allocations, and {allowed} are allowed ({flag}): give it more ports \
                 (--turn-ports) or addresses (--turn-relay), or allow fewer"
            )
        })
    }

    fn files(&self) -> Option<String> {
        let files = self.files?;
        let share = FileShare::of(Some(files)).relays;
        let (flag, allowed) = self.allowed();
        (share < allowed && (share as usize) < self.plan.room()).then(|| {
            format!(
                "TURN has files for {share} allocations, half of the {files} that this process may have open, and {allowed} \
                 are allowed ({flag}): raise the limit (ulimit -n, LimitNOFILE=) or allow fewer"
            )
        })
    }

    /// How many allocations somebody may count on. What is there by itself for the node is a bound and no promise.
    fn allowed(&self) -> (&'static str, u32) {
        let bounds = &self.config.turn.bounds;
        let usual = switch::turn_grant::TurnBounds::default();
        if bounds.node.allocations != usual.node.allocations {
            ("--turn-allocations", bounds.node.allocations)
        } else {
            ("--turn-account-allocations", bounds.account.allocations)
        }
    }

    /// A bound of the server that one account may use up.
    fn greedy_account(&self) -> Option<String> {
        let bounds = &self.config.turn.bounds;
        let uses_up = |account: Option<u64>, node: Option<u64>| {
            node.is_some_and(|node| account.is_none_or(|account| account >= node))
        };
        let flags = if uses_up(bounds.account.rate, bounds.node.rate) {
            ["--turn-mbit", "--turn-account-mbit"]
        } else if uses_up(bounds.account_monthly, bounds.node_monthly) {
            ["--turn-gb-monthly", "--turn-account-gb-monthly"]
        } else {
            return None;
        };
        let [of_server, of_account] = flags;
        Some(format!(
            "TURN: one account may use up what {of_server} gives to all: set {of_account} below it"
        ))
    }

    /// Addresses to relay from that a peer outside cannot send to.
    fn unreachable_relays(&self) -> impl Iterator<Item = String> {
        // Where the listener is doubted, so is what was made of it.
        let is_said = self.config.turn.relay.is_empty() && self.hidden_listener().is_some();
        let relays = self.plan.relays.iter();
        let hidden = relays.filter(move |relay| {
            !is_said
                && !self.plan.is_local
                && relay.local == relay.public
                && !is_public(relay.local)
        });
        hidden.map(|relay| {
            let ip = relay.local;
            if ip.is_loopback() {
                format!(
                    "TURN: nobody but this machine can reach {ip}: give --turn-relay ADDR, an address that others reach"
                )
            } else {
                format!(
                    "TURN: nobody outside can reach {ip}: give --turn-public ADDR if a NAT leads here"
                )
            }
        })
    }

    fn odd_publics(&self) -> impl Iterator<Item = String> {
        let relays = self.plan.relays.iter();
        let odd = relays.filter(|relay| relay.local != relay.public && !is_public(relay.public));
        odd.map(|relay| {
            format!(
                "TURN: {} is no public address: --turn-public takes what the outermost NAT makes of {}",
                relay.public, relay.local
            )
        })
    }

    /// Exceptions that open what exceptions are hardly meant for.
    fn wide_exceptions(&self) -> impl Iterator<Item = String> {
        let risky = [
            ("127.0.0.1", "this machine itself"),
            ("::1", "this machine itself"),
            ("169.254.169.254", "the metadata service of a cloud"),
            ("fd00:ec2::254", "the metadata service of a cloud"),
        ];
        self.config.turn.allow.iter().filter_map(move |network| {
            let open = risky
                .iter()
                .filter(|(ip, _)| ip.parse().is_ok_and(|ip| network.contains(ip)))
                .map(|(ip, what)| format!("{ip}, {what}"));
            let mut open: Vec<_> = open.collect();
            if network.prefix == 0 {
                open.push("and every private network".to_owned());
            }
            (!open.is_empty()).then(|| {
                format!(
                    "TURN: --turn-allow {network} lets clients reach {}",
                    open.join("; ")
                )
            })
        })
    }
}

fn port(at: &SocketAddr) -> String {
    match at.port() {
        0 => "ANY".to_owned(),
        port => port.to_string(),
    }
}

fn sockets(list: &[SocketAddr]) -> String {
    let texts = list
        .iter()
        .map(|at| format!("{}:{}", literal(at.ip()), port(at)));
    texts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use turn::Network;

    use super::super::plan::tests::{config, ip, plan, with_tls};
    use super::*;

    fn heard(config: &Config) -> Vec<Finding> {
        let plan = plan(config);
        let bound = Bound::wished(&plan);
        findings(config, Some(&plan), &bound, Some(1_000_000))
    }

    fn facts(config: &Config) -> Vec<String> {
        let heard = heard(config).into_iter();
        heard
            .filter(|one| !one.is_doubt())
            .map(|one| one.to_string())
            .collect()
    }

    fn doubts(config: &Config) -> Vec<String> {
        let heard = heard(config).into_iter();
        heard
            .filter(Finding::is_doubt)
            .map(|one| one.to_string())
            .collect()
    }

    /// A server on the open network that is set up well.
    fn open() -> Config {
        let mut config = with_tls(config("0.0.0.0:443"));
        config.turn.public = vec![ip("203.0.113.7")];
        config
    }

    #[test]
    fn on_loopback_everything_is_said_and_nothing_doubted() {
        let config = config("127.0.0.1:8080");
        assert_eq!(
            facts(&config),
            [
                "TURN: clients are told turn:HOST:3478?transport=udp, turn:HOST:3478?transport=tcp; HOST is the host that a \
                 client connected with (127.0.0.1 for localhost)",
                "TURN: it listens on UDP and TCP 127.0.0.1:3478",
                "TURN: it relays from 127.0.0.1, UDP ports 49152 to 65535",
            ]
        );
        assert_eq!(doubts(&config), [""; 0]);
    }

    #[test]
    fn on_a_network_the_nat_and_all_addresses_are_said() {
        let facts = facts(&open());
        assert!(
            facts[0].contains("turns:HOST:5349?transport=tcp"),
            "{facts:?}"
        );
        assert_eq!(
            facts[1],
            "TURN: it listens on UDP and TCP 127.0.0.1:3478, 172.17.0.1:3478, 10.0.0.5:3478; TLS 127.0.0.1:5349, \
             172.17.0.1:5349, 10.0.0.5:5349 (all addresses that this machine has now)"
        );
        assert_eq!(
            facts[2],
            "TURN: it relays from 203.0.113.7 (which is 10.0.0.5 here), UDP ports 49152 to 65535"
        );
        assert_eq!(doubts(&open()), [""; 0]);
    }

    #[test]
    fn a_relay_that_nobody_reaches_is_doubted() {
        let mut config = open();
        config.turn.public.clear();
        assert_eq!(
            doubts(&config),
            [
                "TURN: nobody outside can reach 10.0.0.5: give --turn-public ADDR if a NAT leads here"
            ]
        );
        config.turn.public = vec![ip("192.168.1.1")];
        assert_eq!(
            doubts(&config),
            [
                "TURN: 192.168.1.1 is no public address: --turn-public takes what the outermost NAT makes of 10.0.0.5"
            ]
        );
        config.turn.public.clear();
        config.turn.relay = vec![ip("127.0.0.1")];
        assert_eq!(
            doubts(&config),
            [
                "TURN: nobody but this machine can reach 127.0.0.1: give --turn-relay ADDR, an address that others reach"
            ]
        );
    }

    #[test]
    fn behind_a_proxy_name_and_addresses_are_doubted() {
        let mut config = config("127.0.0.1:8080");
        config.behind_tls_proxy = true;
        let said = doubts(&config).join("\n");
        for part in [
            "TURN listens on loopback alone, where no client from outside reaches it: give --turn-listen 0.0.0.0:3478",
            "no turns: URL, because there is no certificate",
            "sends them to 127.0.0.1: give --turn-host NAME",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(said.lines().count(), 3, "{said}");
        config.turn.listen = vec!["0.0.0.0:3478".parse().unwrap()];
        config.turn.public = vec![ip("203.0.113.7")];
        assert!(facts(&config)[0].ends_with(
            "clients are told turn:203.0.113.7:3478?transport=udp, turn:203.0.113.7:3478?transport=tcp"
        ));
        config.turn.host = Some("turn.example.com".to_owned());
        assert!(facts(&config)[0].contains("turn:turn.example.com:3478?transport=udp"));
        let said = doubts(&config);
        assert!(
            said.len() == 1 && said[0].contains("no certificate"),
            "{said:?}"
        );
    }

    #[test]
    fn too_few_ports_and_files_are_doubted() {
        let mut config = open();
        config.turn.ports = 50_000..=50_099;
        assert_eq!(
            doubts(&config),
            [
                "TURN has ports for 100 allocations, and 2000 are allowed (--turn-account-allocations): give it more ports \
                 (--turn-ports) or addresses (--turn-relay), or allow fewer"
            ]
        );
        config.turn.bounds.account.allocations = 100;
        assert_eq!(doubts(&config), [""; 0]);
        config.turn.bounds.node.allocations = 500;
        assert!(doubts(&config)[0].contains("500 are allowed (--turn-allocations)"));

        let (config, plan) = (open(), plan(&open()));
        let bound = Bound::wished(&plan);
        let heard = findings(&config, Some(&plan), &bound, Some(1_024));
        let doubt = heard.iter().find(|one| one.is_doubt()).unwrap();
        assert!(
            doubt.text().contains("has files for 512 allocations"),
            "{doubt}"
        );
    }

    #[test]
    fn a_bound_that_one_account_may_use_up_is_doubted() {
        // Of bounds that were chosen, the number of allocations is one.
        let mut config = open();
        config.turn.bounds.node.allocations = 1_000;
        config.turn.bounds.node.rate = config.turn.bounds.account.rate;
        let of_rate = "TURN: one account may use up what --turn-mbit gives to all: set --turn-account-mbit below it";
        assert_eq!(doubts(&config), [of_rate]);
        config.turn.bounds.account.rate = None;
        assert_eq!(doubts(&config), [of_rate]);
        config.turn.bounds.account.rate = Some(1);
        assert_eq!(doubts(&config), [""; 0]);
        config.turn.bounds.node_monthly = Some(1_000);
        assert!(doubts(&config)[0].contains("set --turn-account-gb-monthly below it"));
        config.turn.bounds.account_monthly = Some(999);
        assert_eq!(doubts(&config), [""; 0]);
    }

    #[test]
    fn an_address_that_no_interface_has_is_doubted() {
        let mut config = open();
        config.turn.relay = vec![ip("198.51.100.9")];
        assert!(doubts(&config)[0].starts_with("TURN: 198.51.100.9 is no address of this machine"));
        config.turn.relay = Vec::new();
        config.turn.listen = vec!["198.51.100.9:3478".parse().unwrap()];
        assert!(doubts(&config)[0].starts_with("TURN: 198.51.100.9 is no address of this machine"));
    }

    #[test]
    fn a_public_address_that_leads_to_loopback_is_doubted() {
        let mut config = super::super::plan::tests::config("127.0.0.1:8080");
        config.turn.public = vec![ip("8.8.8.8")];
        assert!(
            doubts(&config)[0].contains("nobody who comes to 8.8.8.8 (--turn-public) reaches it")
        );
    }

    #[test]
    fn only_one_port_is_told() {
        let mut config = open();
        config.turn.listen = ["10.0.0.5:3478", "10.0.0.5:8443"]
            .map(|at| at.parse().unwrap())
            .into();
        assert_eq!(
            doubts(&config),
            ["TURN listens on several ports, and turn: URLs name only the first, 3478"]
        );
    }

    #[test]
    fn wide_exceptions_are_doubted() {
        let mut config = open();
        let allow = |address, prefix| Network {
            address: ip(address),
            prefix,
        };
        config.turn.allow = vec![allow("10.0.0.0", 8), allow("169.254.0.0", 17)];
        assert_eq!(doubts(&config), [""; 0]);
        config.turn.allow = vec![
            allow("0.0.0.0", 0),
            allow("::", 0),
            allow("169.254.0.0", 16),
        ];
        assert_eq!(
            doubts(&config),
            [
                "TURN: --turn-allow 0.0.0.0/0 lets clients reach 127.0.0.1, this machine itself; 169.254.169.254, the metadata \
                 service of a cloud; and every private network",
                "TURN: --turn-allow ::/0 lets clients reach ::1, this machine itself; fd00:ec2::254, the metadata service of a \
                 cloud; and every private network",
                "TURN: --turn-allow 169.254.0.0/16 lets clients reach 169.254.169.254, the metadata service of a cloud",
            ]
        );
    }

    #[test]
    fn switched_off_it_says_so() {
        let config = config("127.0.0.1:8080");
        let heard = findings(&config, None, &Bound::default(), None);
        assert!(heard.len() == 1 && heard[0].text().starts_with("TURN is off"));
    }
}
