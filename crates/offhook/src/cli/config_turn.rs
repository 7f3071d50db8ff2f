//! The configuration of TURN: texts to values, each with its source.
//!
//! Says what is wrong with a text; what the values mean together is the node's.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use node::TurnConfig;
use node::TurnConfigFault;
use node::switch::turn_grant::{Quota, TurnBounds};
use node::turn::Network;
use serde_json::{Value, json};

use super::config::parse_switch;
use super::config_key::Key;
use super::config_layers::{Layers, Source, Sourced};

/// Bytes a second.
const MBIT: u64 = 1_000_000 / 8;
const GB: u64 = 1_000_000_000;
/// A terabit a second; what is more is a slip.
const MBIT_MAX: u64 = 1_000_000;
/// An exabyte.
const GB_MAX: u64 = 1_000_000_000;
const ALLOCATIONS_MAX: u64 = 1_000_000;

/// Everything that is configured about TURN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TurnValues {
    is_on: Sourced<bool>,
    listen: Sourced<Vec<SocketAddr>>,
    tls_listen: Sourced<Vec<SocketAddr>>,
    ports: Sourced<RangeInclusive<u16>>,
    relay: Sourced<Vec<IpAddr>>,
    public: Sourced<Vec<IpAddr>>,
    host: Sourced<Option<String>>,
    allow: Sourced<Vec<Network>>,
    client_mbit: Sourced<u64>,
    account_mbit: Sourced<u64>,
    mbit: Sourced<u64>,
    account_gb_monthly: Sourced<u64>,
    gb_monthly: Sourced<u64>,
    client_allocations: Sourced<u64>,
    account_allocations: Sourced<u64>,
    allocations: Sourced<u64>,
}

impl TurnValues {
    /// Parses what the layers say.
    pub(super) fn read(layers: &Layers<'_>) -> Self {
        let usual = TurnConfig::default();
        let bounds = usual.bounds;
        let mbit = |rate: Option<u64>| rate.map_or(0, |rate| rate / MBIT);
        let gb = |bytes: Option<u64>| bytes.map_or(0, |bytes| bytes / GB);
        let host = |text: &str| Ok(Some(text.to_owned()));
        let sockets = |text: &str| parse_list(text, parse_socket);
        let addresses = |text: &str| parse_list(text, parse_address);
        let networks = |text: &str| parse_list(text, parse_network);
        let rate = |key, quota: Quota| layers.parse(key, mbit(quota.rate), parse_mbit);
        let month = |key, bytes| layers.parse(key, gb(bytes), parse_gb);
        let count =
            |key, quota: Quota| layers.parse(key, quota.allocations.into(), parse_allocations);
        Self {
            is_on: layers.parse(&Key::TURN, usual.is_on, parse_switch),
            listen: layers.parse(&Key::TURN_LISTEN, usual.listen, sockets),
            tls_listen: layers.parse(&Key::TURN_TLS_LISTEN, usual.tls_listen, sockets),
            ports: layers.parse(&Key::TURN_PORTS, usual.ports, parse_ports),
            relay: layers.parse(&Key::TURN_RELAY, usual.relay, addresses),
            public: layers.parse(&Key::TURN_PUBLIC, usual.public, addresses),
            host: layers.parse(&Key::TURN_HOST, usual.host, host),
            allow: layers.parse(&Key::TURN_ALLOW, usual.allow, networks),
            client_mbit: rate(&Key::TURN_CLIENT_MBIT, bounds.client),
            account_mbit: rate(&Key::TURN_ACCOUNT_MBIT, bounds.account),
            mbit: rate(&Key::TURN_MBIT, bounds.node),
            account_gb_monthly: month(&Key::TURN_ACCOUNT_GB_MONTHLY, bounds.account_monthly),
            gb_monthly: month(&Key::TURN_GB_MONTHLY, bounds.node_monthly),
            client_allocations: count(&Key::TURN_CLIENT_ALLOCATIONS, bounds.client),
            account_allocations: count(&Key::TURN_ACCOUNT_ALLOCATIONS, bounds.account),
            allocations: count(&Key::TURN_ALLOCATIONS, bounds.node),
        }
    }

    /// The node's configuration of it.
    pub(super) fn node_config(&self) -> TurnConfig {
        TurnConfig {
            is_on: self.is_on.value,
            listen: self.listen.value.clone(),
            tls_listen: self.tls_listen.value.clone(),
            ports: self.ports.value.clone(),
            relay: self.relay.value.clone(),
            public: self.public.value.clone(),
            host: self.host.value.clone(),
            allow: self.allow.value.clone(),
            bounds: self.bounds(),
        }
    }

    fn bounds(&self) -> TurnBounds {
        let positive = |number: u64, unit: u64| (number > 0).then_some(number * unit);
        let quota = |allocations: &Sourced<u64>, mbit: &Sourced<u64>| Quota {
            allocations: u32::try_from(allocations.value).unwrap_or(u32::MAX),
            rate: positive(mbit.value, MBIT),
        };
        let client = quota(&self.client_allocations, &self.client_mbit);
        let stranger = TurnBounds::default().unproven;
        TurnBounds {
            client,
            // Whoever has shown no token has never more than who has.
            unproven: Quota {
                allocations: stranger.allocations.min(client.allocations),
                rate: [stranger.rate, client.rate].into_iter().flatten().min(),
            },
            account: quota(&self.account_allocations, &self.account_mbit),
            node: quota(&self.allocations, &self.mbit),
            account_monthly: positive(self.account_gb_monthly.value, GB),
            node_monthly: positive(self.gb_monthly.value, GB),
        }
    }

    /// Where the value comes from that the node refuses.
    pub(super) fn source_of(&self, fault: &TurnConfigFault) -> &Source {
        match fault {
            TurnConfigFault::Ports { .. } => &self.ports.source,
            TurnConfigFault::Listen(_) | TurnConfigFault::Own(_) => &self.listen.source,
            TurnConfigFault::TlsListen(_) | TurnConfigFault::NoCertificate => {
                &self.tls_listen.source
            }
            TurnConfigFault::Relay(_) => &self.relay.source,
            TurnConfigFault::Public(_) | TurnConfigFault::Pairs { .. } => &self.public.source,
            TurnConfigFault::Host(_) => &self.host.source,
            TurnConfigFault::NoAddress => &Source::Default,
        }
    }

    /// Each value with its source, in the order of [`TURN_KEYS`](super::config_turn_key::TURN_KEYS).
    pub(super) fn rows(&self) -> Vec<(Key, Value, &Source)> {
        let ports = format!("{}-{}", self.ports.value.start(), self.ports.value.end());
        let allow: Vec<_> = self.allow.value.iter().map(Network::to_string).collect();
        let number =
            |key: Key, number: &'_ Sourced<u64>| -> (Key, Value) { (key, number.value.into()) };
        let with = |(key, value), source| (key, value, source);
        vec![
            (Key::TURN, self.is_on.value.into(), &self.is_on.source),
            (
                Key::TURN_LISTEN,
                json!(self.listen.value),
                &self.listen.source,
            ),
            (
                Key::TURN_TLS_LISTEN,
                json!(self.tls_listen.value),
                &self.tls_listen.source,
            ),
            (Key::TURN_PORTS, ports.into(), &self.ports.source),
            (Key::TURN_RELAY, json!(self.relay.value), &self.relay.source),
            (
                Key::TURN_PUBLIC,
                json!(self.public.value),
                &self.public.source,
            ),
            (Key::TURN_HOST, json!(self.host.value), &self.host.source),
            (Key::TURN_ALLOW, json!(allow), &self.allow.source),
            with(
                number(Key::TURN_CLIENT_MBIT, &self.client_mbit),
                &self.client_mbit.source,
            ),
            with(
                number(Key::TURN_ACCOUNT_MBIT, &self.account_mbit),
                &self.account_mbit.source,
            ),
            with(number(Key::TURN_MBIT, &self.mbit), &self.mbit.source),
            with(
                number(Key::TURN_ACCOUNT_GB_MONTHLY, &self.account_gb_monthly),
                &self.account_gb_monthly.source,
            ),
            with(
                number(Key::TURN_GB_MONTHLY, &self.gb_monthly),
                &self.gb_monthly.source,
            ),
            with(
                number(Key::TURN_CLIENT_ALLOCATIONS, &self.client_allocations),
                &self.client_allocations.source,
            ),
            with(
                number(Key::TURN_ACCOUNT_ALLOCATIONS, &self.account_allocations),
                &self.account_allocations.source,
            ),
            with(
                number(Key::TURN_ALLOCATIONS, &self.allocations),
                &self.allocations.source,
            ),
        ]
    }
}

/// A value as it stands in a table.
pub(super) fn in_table(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(in_table).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// An empty list takes back what a weaker source said.
pub(super) fn parse_list<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|item| parse(item.trim())).collect()
}

fn parse_socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "each must be an IP address and a port, such as 0.0.0.0:3478 or [::]:3478".to_owned()
    })
}

pub(super) fn parse_address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| "each must be an IP address, such as 203.0.113.7 or 2001:db8::7".to_owned())
}

fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    parse_range(text, "49152-65535")
}

/// The first and the last port; `example` is told where that is not what stands there.
pub(super) fn parse_range(text: &str, example: &str) -> Result<RangeInclusive<u16>, String> {
    let parse = || {
        let (first, last) = text.split_once('-')?;
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    parse().ok_or_else(|| {
        format!("it must be the first and the last port with a '-' between them, such as {example}")
    })
}

/// `10.0.0.0/8`, or one address.
pub(super) fn parse_network(text: &str) -> Result<Network, String> {
    let network: Network = text.parse().map_err(|_| {
        "each must be a network or an address, such as 10.20.0.0/16 or 10.0.0.5".to_owned()
    })?;
    let first = first_address(network.address, network.prefix);
    if first != network.address {
        return Err(format!(
            "{text} has bits behind its prefix: did you mean {first}/{}?",
            network.prefix
        ));
    }
    Ok(network)
}

/// The address with everything behind the prefix cleared.
fn first_address(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

fn parse_number(text: &str, range: RangeInclusive<u64>, rule: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        format!(
            "it must be a whole number {rule} from {} to {}",
            range.start(),
            range.end()
        )
    })
}

fn parse_mbit(text: &str) -> Result<u64, String> {
    parse_number(text, 0..=MBIT_MAX, "of Mbit/s (0: no limit)")
}

fn parse_gb(text: &str) -> Result<u64, String> {
    parse_number(text, 0..=GB_MAX, "of gigabytes (0: no limit)")
}

fn parse_allocations(text: &str) -> Result<u64, String> {
    parse_number(text, 1..=ALLOCATIONS_MAX, "of allocations")
}

#[cfg(test)]
mod tests {
    use super::super::config_turn_key::TURN_KEYS;
    use super::*;

    #[test]
    fn operating_md_has_every_key_and_what_holds_without_it() {
        let page = include_str!("../../../../docs/operating.md");
        for Key { name, .. } in TURN_KEYS {
            let cells = [format!("`{name}`"), format!("`{name} = ")];
            assert!(cells.iter().any(|cell| page.contains(cell)), "{name}");
        }
        let usual = TurnConfig::default();
        let bounds = usual.bounds;
        let rate = |quota: Quota| quota.rate.map_or(0, |bytes| bytes / MBIT);
        let month = |bytes: Option<u64>| bytes.map_or(0, |bytes| bytes / GB);
        let [client, account, node] = [bounds.client, bounds.account, bounds.node];
        for row in [
            format!("| `turn = false` | `{}` |", usual.is_on),
            format!("` | {}-{} |", usual.ports.start(), usual.ports.end()),
            format!(
                "`turn_mbit` | {}, {}, {} |",
                rate(client),
                rate(account),
                rate(node)
            ),
            format!(
                "`turn_gb_monthly` | {}, {} |",
                month(bounds.account_monthly),
                month(bounds.node_monthly)
            ),
            format!(
                "`turn_allocations` | {}, {}, {} |",
                client.allocations, account.allocations, node.allocations
            ),
        ] {
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn networks_are_read_strictly() {
        let read = |text: &str| parse_network(text).map(|network| network.to_string());
        for (text, network) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.5", "10.0.0.5/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(network));
        }
        assert_eq!(
            read("10.1.2.3/8").unwrap_err(),
            "10.1.2.3/8 has bits behind its prefix: did you mean 10.0.0.0/8?"
        );
        assert_eq!(
            read("fd00::1/8").unwrap_err(),
            "fd00::1/8 has bits behind its prefix: did you mean fd00::/8?"
        );
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10/8",
            "office",
            "::/129",
        ] {
            assert!(
                read(wrong).unwrap_err().contains("such as 10.20.0.0/16"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn ports_are_a_first_and_a_last_one() {
        assert_eq!(parse_ports("49152-65535"), Ok(49_152..=65_535));
        assert_eq!(parse_ports("50000 - 50001"), Ok(50_000..=50_001));
        for wrong in ["", "5", "1-", "-1", "1-65536", "a-b", "1-2-3"] {
            assert!(
                parse_ports(wrong).unwrap_err().contains("49152-65535"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn numbers_say_their_unit_and_range() {
        assert_eq!(parse_mbit("0"), Ok(0));
        assert_eq!(
            parse_mbit("-1").unwrap_err(),
            "it must be a whole number of Mbit/s (0: no limit) from 0 to 1000000"
        );
        assert_eq!(
            parse_gb("1.5").unwrap_err(),
            "it must be a whole number of gigabytes (0: no limit) from 0 to 1000000000"
        );
        assert_eq!(
            parse_allocations("0").unwrap_err(),
            "it must be a whole number of allocations from 1 to 1000000"
        );
    }

    #[test]
    fn lists_may_be_empty_and_every_item_counts() {
        assert_eq!(parse_list("", parse_address), Ok(Vec::new()));
        let two = parse_list("192.0.2.1, 2001:db8::1", parse_address).unwrap();
        assert_eq!(two.len(), 2);
        assert!(parse_list("192.0.2.1,", parse_address).is_err());
        assert!(parse_list("192.0.2.1:3478,192.0.2.1", parse_socket).is_err());
    }
}
