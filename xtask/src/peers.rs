//! `cargo xtask bench-peers`: offhook and Kamailio under the same load, in turn, and the ratios; `bench-peers media`: our media gateway
//! and rtpengine.
//!
//! One core for the server, another for the load. Kamailio is Debian's, with the faster of its allocators; each round starts
//! every server anew. Prints a table in Markdown, the medians of the rounds. docs/performance.md says how to read it.

mod media;
mod server;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use self::server::{Folder, Kamailio, start_offhook};
use crate::install;
use crate::step::{cargo, output_of, run as step, succeed};
use crate::workspace;

/// The core that servers run on.
const CORE: &str = "0";
const FLAGS: &str = "[--rounds N] [--seconds N] [--clients N]";
/// Programs, and the Debian packages that bring them.
const NEEDS: [(&str, &[&str]); 3] = [
    (
        "kamailio",
        &[
            "kamailio",
            "kamailio-websocket-modules",
            "kamailio-tls-modules",
            "kamailio-python3-modules",
            "python3-jwt",
            "python3-cryptography",
        ],
    ),
    ("openssl", &["openssl"]),
    ("taskset", &["util-linux"]),
];

/// What one row compares.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    bench: &'static str,
    is_tls: bool,
    /// What Kamailio does for it.
    peer: Peer,
    /// The field of the report, and whether less of it is better.
    figure: &'static str,
    is_cost: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    Plain,
    Jwt,
}

const ROWS: [Row; 7] = [
    Row::rate(
        "REGISTER, ws; Kamailio without authentication",
        "register",
        false,
        Peer::Plain,
    ),
    Row::rate(
        "REGISTER, wss; Kamailio without authentication",
        "register",
        true,
        Peer::Plain,
    ),
    Row::rate(
        "REGISTER, ws; Kamailio verifying the JWT",
        "register",
        false,
        Peer::Jwt,
    ),
    Row::rate("calls, ws", "calls", false, Peer::Plain),
    Row::rate("calls, wss", "calls", true, Peer::Plain),
    Row::idle("bytes of an idle client, ws", false),
    Row::idle("bytes of an idle client, wss", true),
];

impl Row {
    const fn rate(name: &'static str, bench: &'static str, is_tls: bool, peer: Peer) -> Self {
        Self {
            name,
            bench,
            is_tls,
            peer,
            figure: "rate_per_s",
            is_cost: false,
        }
    }

    const fn idle(name: &'static str, is_tls: bool) -> Self {
        Self {
            name,
            bench: "idle",
            is_tls,
            peer: Peer::Plain,
            figure: "bytes_for_a_client",
            is_cost: true,
        }
    }
}

/// What is wanted of a run.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    rounds: usize,
    seconds: usize,
    clients: usize,
}

impl Wish {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut wish = Self {
            rounds: 3,
            seconds: 5,
            clients: 6_000,
        };
        let places = [
            ("--rounds", &mut wish.rounds),
            ("--seconds", &mut wish.seconds),
            ("--clients", &mut wish.clients),
        ];
        read_numbers(arguments, places, "bench-peers", FLAGS)?;
        Ok(wish)
    }
}

/// Flags that have a number each; `whose` and `known` are for whoever has written another.
fn read_numbers<const N: usize>(
    arguments: &[String],
    mut places: [(&str, &mut usize); N],
    whose: &str,
    known: &str,
) -> Result<(), String> {
    let mut words = arguments.iter();
    while let Some(flag) = words.next() {
        let place = places.iter_mut().find(|(name, _)| name == flag);
        let (_, place) =
            place.ok_or_else(|| format!("{whose} knows only {known}, not `{flag}`"))?;
        let number = words.next().and_then(|word| word.parse().ok());
        **place = number
            .filter(|number| *number > 0)
            .ok_or_else(|| format!("`{flag}` wants a whole number, at least 1"))?;
    }
    Ok(())
}

/// Runs everything and prints the table.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if let Some(("media", rest)) = arguments
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    {
        return media::run(rest);
    }
    let wish = Wish::read(arguments)?;
    install::packages(&NEEDS)?;
    let root = workspace::root();
    step("build", || {
        succeed(
            cargo()
                .args(["build", "--release", "-p", "offhook"])
                .current_dir(&root),
        )
    })?;
    let program = workspace::target_folder(&root)?
        .join("release")
        .join("offhook");
    let folder = Folder::prepare(&program)?;
    let mut ours = vec![Vec::new(); ROWS.len()];
    let mut theirs = vec![Vec::new(); ROWS.len()];
    for round in 1..=wish.rounds {
        for (place, row) in ROWS.iter().enumerate() {
            println!("round {round}: {}", row.name);
            let load = Load {
                program: &program,
                wish: &wish,
                row,
            };
            ours[place].push(load.on_offhook(&folder)?);
            theirs[place].push(load.on_kamailio(&folder)?);
        }
    }
    println!("{}", table(&ours, &theirs));
    Ok(())
}

struct Load<'a> {
    program: &'a Path,
    wish: &'a Wish,
    row: &'a Row,
}

impl Load<'_> {
    fn on_offhook(&self, folder: &Folder) -> Result<f64, String> {
        let server = start_offhook(self.program, folder, self.row.is_tls)?;
        let login = [
            "--login",
            &folder.account.login,
            "--api-key",
            &folder.account.api_key,
            "--domain",
            &folder.account.domain,
        ];
        self.measure(&server.url, server.pid(), &login)
    }

    fn on_kamailio(&self, folder: &Folder) -> Result<f64, String> {
        let is_jwt = self.row.peer == Peer::Jwt;
        let server = Kamailio::start(folder, self.row.is_tls, is_jwt)?;
        let token = ["--token", &folder.token];
        self.measure(&server.url, server.pid(), if is_jwt { &token } else { &[] })
    }

    /// One run of `offhook bench`, which wants no failure.
    fn measure(&self, url: &str, pid: u32, who: &[&str]) -> Result<f64, String> {
        let text = output_of(
            Command::new(self.program)
                .args(["bench", self.row.bench, "--server", url, "--json"])
                .args(["--cpu", "1", "--spin", "--server-pid", &pid.to_string()])
                .args(["--clients", &self.wish.clients.to_string()])
                .args(["--seconds", &self.wish.seconds.to_string()])
                .args(who),
        )?;
        let report: Value = serde_json::from_str(&text)
            .map_err(|error| format!("`offhook bench` wrote no JSON: {error}"))?;
        let failures = report["failures"]
            .as_object()
            .map_or(0, serde_json::Map::len);
        if failures > 0 {
            println!("    failures: {}", report["failures"]);
        }
        let figure = report[self.row.figure].as_f64();
        figure.ok_or_else(|| format!("the report has no {}: {text}", self.row.figure))
    }
}

fn table(ours: &[Vec<f64>], theirs: &[Vec<f64>]) -> String {
    let mut text = String::from("\n| | offhook | Kamailio | ratio |\n|---|---|---|---|\n");
    for ((row, ours), theirs) in ROWS.iter().zip(ours).zip(theirs) {
        let mut ratios: Vec<_> = ours
            .iter()
            .zip(theirs)
            .map(|(ours, theirs)| {
                if row.is_cost {
                    theirs / ours
                } else {
                    ours / theirs
                }
            })
            .collect();
        let ratio = median(&mut ratios);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        let (ours, theirs) = (median(&mut ours.clone()), median(&mut theirs.clone()));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {ours:.0} | {theirs:.0} | **{ratio:.2}** ({least:.2} to {most:.2}) |",
            row.name
        );
    }
    text
}

/// The middle one; sorts.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_wish_is_read_or_refused() {
        let wish = Wish::read(&words("--rounds 2 --clients 100")).unwrap();
        assert_eq!((wish.rounds, wish.seconds, wish.clients), (2, 5, 100));
        assert!(Wish::read(&words("--rounds none")).is_err());
        assert!(Wish::read(&words("--quickly")).is_err());
    }

    #[test]
    fn the_table_has_medians_and_the_spread_of_the_ratios() {
        let of = |first: [f64; 3], rest: f64| {
            let mut all = vec![first.to_vec()];
            all.resize(ROWS.len(), vec![rest; 3]);
            all
        };
        let text = table(&of([120.0, 100.0, 140.0], 50.0), &of([100.0; 3], 100.0));
        assert!(
            text.contains("| 120 | 100 | **1.20** (1.00 to 1.40) |"),
            "{text}"
        );
        assert!(
            text.contains("idle client, ws | 50 | 100 | **2.00**"),
            "{text}"
        );
    }
}
