//! `offhook status`: what a running server holds now, and what it has counted since its start.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::opened::data_dir;
use super::output::{Table, count, duration, labelled, print, print_json};
use super::{Failure, Place};

#[derive(Args)]
pub(crate) struct Flags {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Flags {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        let answer = node::control::ask(&data_dir(place)?, json!({ "ask": "status" })).await?;
        if self.json {
            print_json(&answer)?;
        } else {
            print(status_text(&answer))?;
        }
        Ok(())
    }
}

fn status_text(answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    let uptime_s = answer["uptime_s"].as_u64().unwrap_or_default();
    let accounts = answer["accounts"].as_u64().unwrap_or_default();
    let records_waiting = answer["records_waiting"].as_u64().unwrap_or_default();
    let records_lost = answer["records_lost"].as_u64().unwrap_or_default();
    let head = labelled([
        ("version", text("version")),
        ("listens on", text("listen")),
        ("up for", duration(Duration::from_secs(uptime_s))),
        ("accounts", count(accounts)),
        ("call records waiting", count(records_waiting)),
        ("call records lost", count(records_lost)),
        ("TURN", turn_text(&answer["turn"])),
        ("trunks", trunk_text(answer)),
    ]);
    let trunks = trunks(&answer["trunks"]).map(|table| {
        let (troubles, strangers) = (troubles(&answer["trunks"]), strangers(answer));
        format!("{table}\n{troubles}{strangers}\n")
    });
    let trunks = trunks.unwrap_or_default();
    let now = numbers("HELD NOW", &answer["census"]);
    let since_start = numbers("COUNTED SINCE THE START", &answer["counters"]);
    format!("{head}\n\n{trunks}{now}\n\n{since_start}")
}

/// How it stands with each trunk, if there are any.
fn trunks(trunks: &Value) -> Option<Table> {
    let trunks = trunks.as_array().filter(|trunks| !trunks.is_empty())?;
    let mut table = Table::new(["TRUNK", "ACCOUNT", "PEER", "REGISTERED", "LAST REFUSAL"]);
    for trunk in trunks {
        let text = |name: &str| trunk[name].as_str().unwrap_or("none").to_owned();
        let is_registered = match trunk["is_registered"].as_bool() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "need not be",
        };
        let refused = trunk["refused"].as_u64();
        table.row([
            text("name"),
            text("account"),
            text("peer"),
            is_registered.to_owned(),
            refused.map_or("none".to_owned(), |status| status.to_string()),
        ]);
    }
    Some(table)
}

/// Where the peers of trunks send to.
fn trunk_text(answer: &Value) -> String {
    let trunks = answer["trunks"].as_array().into_iter().flatten();
    let used: Vec<&str> = trunks
        .filter_map(|trunk| trunk["transport"].as_str())
        .collect();
    let mut parts = Vec::new();
    for (transport, name, at) in [
        ("udp", "UDP", "trunk_address"),
        ("tcp", "TCP", "trunk_address"),
        ("tls", "TLS", "trunk_tls_address"),
    ] {
        if used.contains(&transport)
            && let Some(address) = answer[at].as_str()
        {
            parts.push(format!("{name} {address}"));
        }
    }
    match parts.is_empty() {
        true => "none".to_owned(),
        false => parts.join(", "),
    }
}

/// What stands against connections to their peers, a line for each.
fn troubles(trunks: &Value) -> String {
    let trunks = trunks.as_array().into_iter().flatten();
    let lines = trunks.filter_map(|trunk| {
        let (name, why) = (trunk["name"].as_str()?, trunk["trouble"].as_str()?);
        Some(format!("trunk {name}: {why}\n"))
    });
    lines.collect()
}

/// Who has sent requests and is on no trunk's list, and what to do about it.
fn strangers(answer: &Value) -> String {
    let all = answer["trunk_strangers"].as_array().into_iter().flatten();
    let all: Vec<_> = all.filter_map(Value::as_str).collect();
    match all.is_empty() {
        true => String::new(),
        false => format!(
            "SIP requests came from {}, on no trunk's list, and got no answer; add to peers what is your provider's\n",
            all.join(", ")
        ),
    }
}

/// Where TURN listens, what it relays from and what it has done this month.
fn turn_text(turn: &Value) -> String {
    if turn.is_null() {
        return "off".to_owned();
    }
    let list = |name: &str| {
        let texts = turn[name].as_array().into_iter().flatten();
        texts
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (udp, tcp, tls) = (list("udp"), list("tcp"), list("tls"));
    let mut parts = if udp == tcp {
        vec![format!("UDP and TCP {udp}")]
    } else {
        vec![format!("UDP {udp}"), format!("TCP {tcp}")]
    };
    if !tls.is_empty() {
        parts.push(format!("TLS {tls}"));
    }
    let relays = turn["relays"].as_array().into_iter().flatten();
    let relays: Vec<_> = relays
        .filter_map(|relay| relay["public"].as_str())
        .collect();
    let ports = turn["ports"].as_str().unwrap_or_default();
    parts.push(format!("relays from {} ports {ports}", relays.join(", ")));
    let bytes = turn["bytes_this_month"].as_u64().unwrap_or_default();
    parts.push(format!("{} bytes this month", count(bytes)));
    parts.join("; ")
}

fn numbers(heading: &'static str, group: &Value) -> Table {
    let mut table = Table::new([heading, "NUMBER"]);
    for (name, value) in group.as_object().into_iter().flatten() {
        table.row([
            name.replace('_', " "),
            value.as_u64().map(count).unwrap_or_default(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_stands_apart_from_what_was_counted() {
        let text = status_text(&json!({
            "accounts": 2,
            "census": { "registrations": 3 },
            "counters": { "registrations": 12_345, "tokens_issued": 0 },
            "listen": "127.0.0.1:8080",
            "records_waiting": 3,
            "records_lost": 0,
            "turn": {
                "udp": ["127.0.0.1:3478"],
                "tcp": ["127.0.0.1:3478"],
                "tls": ["127.0.0.1:5349"],
                "relays": [{ "local": "10.0.0.5", "public": "203.0.113.7" }],
                "ports": "49152-65535",
                "bytes_this_month": 1_234,
            },
            "trunk_address": "0.0.0.0:5060",
            "trunk_tls_address": "0.0.0.0:5061",
            "trunks": [
                {
                    "account": "1-2-0/a@b.c", "name": "one", "transport": "udp", "peer": "192.0.2.1:5060",
                    "is_registered": true, "refused": null, "trouble": null,
                },
                {
                    "account": "1-2-0/a@b.c", "name": "two", "transport": "tls", "peer": null,
                    "is_registered": null, "refused": 503, "trouble": "no connection to 192.0.2.2:5061: TLS fails",
                },
            ],
            "trunk_strangers": ["198.51.100.7:5060", "198.51.100.8:5061"],
            "uptime_s": 72,
            "version": "1.2.3",
        }));
        let groups: Vec<_> = text.split("\n\n").collect();
        assert!(
            groups[0].contains("up for:                1 m 12 s"),
            "{text}"
        );
        assert!(
            groups[0].contains(
                "TURN:                  UDP and TCP 127.0.0.1:3478; TLS 127.0.0.1:5349; relays from 203.0.113.7 ports \
                 49152-65535; 1,234 bytes this month"
            ),
            "{text}"
        );
        assert_eq!(turn_text(&Value::Null), "off");
        assert!(
            groups[0].ends_with("trunks:                UDP 0.0.0.0:5060, TLS 0.0.0.0:5061"),
            "{text}"
        );
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let rows: Vec<_> = groups[1].lines().skip(1).map(words).collect();
        assert_eq!(
            rows[2].join(" "),
            "trunk two: no connection to 192.0.2.2:5061: TLS fails"
        );
        assert_eq!(
            rows[3].join(" "),
            "SIP requests came from 198.51.100.7:5060, 198.51.100.8:5061, on no trunk's list, and got no answer; add to peers what is your provider's"
        );
        assert_eq!(rows[0].join(" "), "one 1-2-0/a@b.c 192.0.2.1:5060 yes none");
        assert_eq!(rows[1].join(" "), "two 1-2-0/a@b.c none need not be 503");
        assert_eq!(groups[2], "HELD NOW       NUMBER\nregistrations  3");
        assert!(
            groups[3].contains("registrations            12,345"),
            "{text}"
        );
    }
}
