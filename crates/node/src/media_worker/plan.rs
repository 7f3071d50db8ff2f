//! What the configuration of the gateway comes to on this machine: sockets, and what peers call them.
//!
//! Computed from the configuration and the machine's addresses alone; binds nothing.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use turn::RelayAddress;

use super::config::{MediaConfig, MediaConfigFault};
use crate::config::Config;
use crate::relay::{Finding, Machine, each, is_public, literal, wanted};

/// Where the gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// For browsers: each address by itself, so that answers come from the address that was asked.
    pub(crate) doors: Vec<Place>,
    /// For plain RTP.
    pub(crate) rtp: Place,
    pub(crate) rtp_ports: RangeInclusive<u16>,
    /// Where all addresses were to be listened on.
    is_all: bool,
    /// Nobody but this machine reaches the node.
    is_local: bool,
}

/// A socket of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// What it is bound to.
    pub(crate) local: SocketAddr,
    /// What peers are told: the same, or what a NAT makes of it.
    pub(crate) public: IpAddr,
}

impl Place {
    /// What stands in an SDP.
    pub(crate) fn told(&self) -> SocketAddr {
        SocketAddr::new(self.public, self.local.port())
    }
}

impl Plan {
    /// `None` if the gateway is switched off. The configuration was checked; `relays` and `turn` are what TURN relays from and
    /// listens on.
    pub(crate) fn new(
        config: &Config,
        machine: &Machine,
        relays: &[RelayAddress],
        turn: &[SocketAddr],
    ) -> Result<Option<Self>, MediaConfigFault> {
        let media = &config.media;
        if !media.is_on {
            return Ok(None);
        }
        // Whoever takes any port takes any for this as well.
        let port = if config.listen.port() == 0 {
            0
        } else {
            MediaConfig::PORT
        };
        let wanted = wanted(&media.listen, config.listen, port);
        let is_all = wanted.iter().any(|at| at.ip().is_unspecified());
        let mut listen = each(&wanted, machine);
        if is_all {
            // Beside others, loopback is of no use to a peer.
            let is_named = |at: &SocketAddr| wanted.contains(at);
            listen.retain(|at| is_named(at) || !at.ip().is_loopback());
            listen.sort_by_key(|at| (!machine.outward.contains(&at.ip()), !is_public(at.ip())));
        }
        if listen.is_empty() {
            // A machine without a network.
            listen = each(&wanted, machine);
        }
        if let Some(at) = listen.iter().find(|at| at.port() != 0 && turn.contains(at)) {
            return Err(MediaConfigFault::OfTurn(*at));
        }
        let doors = paired(&listen, &media.public, relays, is_all)?;
        let first = doors.iter().find(|door| door.local.is_ipv4());
        let rtp = *first.or(doors.first()).ok_or(MediaConfigFault::NoAddress)?;
        let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
        Ok(Some(Self {
            is_local: !config.behind_tls_proxy
                && is_loopback(config.listen.ip())
                && doors.iter().all(|door| is_loopback(door.local.ip())),
            doors,
            rtp,
            rtp_ports: media.rtp_ports.clone(),
            is_all,
        }))
    }

    /// One that is said, whatever the machine: the first door is for plain RTP as well.
    pub(super) fn of(doors: Vec<Place>, rtp_ports: RangeInclusive<u16>) -> Self {
        Self {
            rtp: doors[0],
            doors,
            rtp_ports,
            is_all: false,
            is_local: true,
        }
    }

    /// What is to be said of it at the start.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let all = if self.is_all {
            " (all addresses that this machine has now)"
        } else {
            ""
        };
        let doors: Vec<String> = self.doors.iter().map(|door| told(door.told())).collect();
        let mut findings = vec![
            Finding::Fact(format!(
                "media: browsers are told UDP {}{all}",
                doors.join(", ")
            )),
            Finding::Fact(format!(
                "media: plain RTP is at {}, UDP ports {} to {}",
                literal(self.rtp.public),
                self.rtp_ports.start(),
                self.rtp_ports.end()
            )),
        ];
        let is_hidden = |door: &Place| !is_public(door.public);
        if !self.is_local && self.doors.iter().all(is_hidden) {
            let all_loopback = self.doors.iter().all(|door| door.public.is_loopback());
            findings.push(Finding::Doubt(if all_loopback {
                "media: the gateway listens on loopback alone, where no browser from outside reaches it: give \
                 --media-listen 0.0.0.0:3479"
                    .to_owned()
            } else {
                format!(
                    "media: nobody outside can reach {}: give --media-public ADDR if a NAT leads here",
                    literal(self.rtp.public)
                )
            }));
        }
        findings
    }
}

fn told(at: SocketAddr) -> String {
    match at.port() {
        0 => format!("{}:ANY", literal(at.ip())),
        port => format!("{}:{port}", literal(at.ip())),
    }
}

/// Each socket with what peers call it: as the operator said, or as TURN knows it, or itself.
fn paired(
    listen: &[SocketAddr],
    publics: &[IpAddr],
    relays: &[RelayAddress],
    is_all: bool,
) -> Result<Vec<Place>, MediaConfigFault> {
    let mut own: Vec<IpAddr> = Vec::new();
    for at in listen {
        if !own.contains(&at.ip()) {
            own.push(at.ip());
        }
    }
    for (family, is_ipv4) in [("IPv4", true), ("IPv6", false)] {
        let count = |list: &[IpAddr]| list.iter().filter(|ip| ip.is_ipv4() == is_ipv4).count();
        let (publics, own) = (count(publics), count(&own));
        // Of all addresses, a NAT leads to some.
        let fits = if is_all {
            publics <= own
        } else {
            publics == own
        };
        if publics > 0 && !fits {
            return Err(MediaConfigFault::Pairs {
                family,
                publics,
                own,
            });
        }
    }
    let public = |ip: IpAddr| {
        let of_family = |list: &[IpAddr]| -> Vec<IpAddr> {
            let list = list.iter().copied();
            list.filter(|other| other.is_ipv4() == ip.is_ipv4())
                .collect()
        };
        if publics.is_empty() {
            let relay = relays.iter().find(|relay| relay.local == ip);
            return relay.map_or(ip, |relay| relay.public);
        }
        let at = of_family(&own).iter().position(|other| *other == ip);
        let public = at.and_then(|at| of_family(publics).get(at).copied());
        public.unwrap_or(ip)
    };
    let place = |local: &SocketAddr| Place {
        local: *local,
        public: public(local.ip()),
    };
    Ok(listen.iter().map(place).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn machine() -> Machine {
        Machine {
            addresses: ["127.0.0.1", "::1", "172.17.0.1", "10.0.0.5", "2001:db8::5"]
                .map(ip)
                .into(),
            outward: ["10.0.0.5", "2001:db8::5"].map(ip).into(),
        }
    }

    fn config(listen: &str) -> Config {
        Config {
            listen: listen.parse().unwrap(),
            ..Config::default()
        }
    }

    fn told(config: &Config, relays: &[RelayAddress]) -> Vec<String> {
        let plan = Plan::new(config, &machine(), relays, &[]).unwrap().unwrap();
        let doors = plan.doors.iter().map(|door| door.told().to_string());
        doors.collect()
    }

    #[test]
    fn by_itself_it_listens_where_the_node_does() {
        assert_eq!(told(&config("127.0.0.1:8080"), &[]), ["127.0.0.1:3479"]);
        assert_eq!(told(&config("127.0.0.1:0"), &[]), ["127.0.0.1:0"]);
        let plan = Plan::new(&config("127.0.0.1:8080"), &machine(), &[], &[]);
        let findings = plan.unwrap().unwrap().findings();
        assert!(findings.iter().all(|one| !one.is_doubt()), "{findings:?}");
        let mut off = config("127.0.0.1:8080");
        off.media.is_on = false;
        assert_eq!(Plan::new(&off, &machine(), &[], &[]), Ok(None));
    }

    #[test]
    fn all_addresses_are_each_of_them_without_loopback_the_outward_one_first() {
        assert_eq!(
            told(&config("0.0.0.0:443"), &[]),
            ["10.0.0.5:3479", "172.17.0.1:3479"]
        );
        let both = told(&config("[::]:443"), &[]);
        assert!(both.contains(&"[2001:db8::5]:3479".to_owned()), "{both:?}");
        let plan = Plan::new(&config("0.0.0.0:443"), &machine(), &[], &[]);
        let findings = plan.unwrap().unwrap().findings();
        assert!(
            findings[2]
                .text()
                .contains("nobody outside can reach 10.0.0.5: give --media-public"),
            "{findings:?}"
        );
    }

    #[test]
    fn a_nat_is_what_the_operator_says_or_what_turn_knows() {
        let relay = RelayAddress {
            local: ip("10.0.0.5"),
            public: ip("203.0.113.7"),
        };
        let mut config = config("0.0.0.0:443");
        assert_eq!(
            told(&config, &[relay]),
            ["203.0.113.7:3479", "172.17.0.1:3479"]
        );
        config.media.public = vec![ip("203.0.113.8")];
        assert_eq!(
            told(&config, &[relay]),
            ["203.0.113.8:3479", "172.17.0.1:3479"]
        );
        config.media.listen = vec![
            "10.0.0.5:3479".parse().unwrap(),
            "10.0.0.6:3479".parse().unwrap(),
        ];
        let fault = Plan::new(&config, &machine(), &[], &[]).unwrap_err();
        assert!(
            fault.to_string().ends_with("1 and 2 are given or found"),
            "{fault}"
        );
    }

    #[test]
    fn turns_own_address_is_not_listened_on() {
        let mut config = config("127.0.0.1:8080");
        let turn = ["127.0.0.1:3478".parse().unwrap()];
        config.media.listen = turn.to_vec();
        assert_eq!(
            Plan::new(&config, &machine(), &[], &turn),
            Err(MediaConfigFault::OfTurn(turn[0]))
        );
    }
}
