//! What a run found, for people and for programs. Never judges.

use std::time::Duration;

use serde_json::{Value, json};

use super::course::{Course, Pace};
use crate::bench::latency::Latencies;
use crate::cli::output::{count, labelled};

const PERCENTILES: [(&str, f64); 4] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];
/// A generator that uses more of its core may be what limited the rate.
const GENERATOR_FULL_PERCENT: f64 = 90.0;

/// One run's figures.
pub(super) struct Report {
    /// `registers`, `calls`, …
    pub(super) what: &'static str,
    pub(super) server: String,
    pub(super) clients: usize,
    pub(super) pace: Pace,
    elapsed: Duration,
    done: u64,
    failures: Vec<(String, u64)>,
    lost: u64,
    lost_because: Option<String>,
    /// Each with its name: the first is that of what was done.
    latencies: Vec<(&'static str, Percentiles)>,
    server_cpu: Option<Duration>,
    generator_cpu: Duration,
    /// The part of the time that a generator that never sleeps had something to do.
    busy: Option<f64>,
    /// What is told beside.
    more: Vec<(&'static str, Value)>,
}

#[derive(Clone, Copy, Debug)]
struct Percentiles {
    ns: [u64; PERCENTILES.len()],
    max_ns: u64,
}

impl Percentiles {
    fn of(latencies: &Latencies) -> Self {
        Self {
            ns: PERCENTILES.map(|(_, percent)| latencies.percentile(percent).unwrap_or(0)),
            max_ns: latencies.max().unwrap_or(0),
        }
    }

    fn text(&self) -> String {
        if self.max_ns == 0 {
            return "nothing was counted".to_owned();
        }
        let mut words: Vec<_> = PERCENTILES
            .iter()
            .zip(self.ns)
            .map(|((name, _), ns)| format!("{name} {}", time(ns)))
            .collect();
        words.push(format!("max {}", time(self.max_ns)));
        words.join(", ")
    }

    fn json(&self) -> Value {
        let mut object: serde_json::Map<_, _> = PERCENTILES
            .iter()
            .zip(self.ns)
            .map(|((name, _), ns)| {
                (
                    format!("{}_us", name.replace('.', "_")),
                    json!(ns as f64 / 1e3),
                )
            })
            .collect();
        object.insert("max_us".to_owned(), json!(self.max_ns as f64 / 1e3));
        object.into()
    }
}

impl Report {
    pub(super) fn new(
        what: &'static str,
        server: &str,
        clients: usize,
        pace: Pace,
        course: Course,
        busy: Option<f64>,
    ) -> Self {
        let (tally, meter) = course.finish();
        Self {
            what,
            server: server.to_owned(),
            clients,
            pace,
            elapsed: tally.elapsed,
            done: tally.done,
            failures: tally.failures.into_iter().collect(),
            lost: tally.lost,
            lost_because: tally.lost_because,
            latencies: vec![("latency", Percentiles::of(&tally.latencies))],
            server_cpu: meter.server(),
            generator_cpu: meter.generator(),
            busy,
            more: Vec::new(),
        }
    }

    pub(super) fn and_latency(mut self, name: &'static str, latencies: &Latencies) -> Self {
        self.latencies.push((name, Percentiles::of(latencies)));
        self
    }

    pub(super) fn and(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn generator_percent(&self) -> f64 {
        let used = self.generator_cpu.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9);
        self.busy.unwrap_or(used) * 100.0
    }

    /// The server's share of one core, and its microseconds for each.
    fn server_cost(&self) -> Option<(f64, f64)> {
        let used = self.server_cpu?.as_secs_f64();
        let percent = used / self.elapsed.as_secs_f64().max(1e-9) * 100.0;
        Some((percent, used * 1e6 / self.done.max(1) as f64))
    }

    fn failures_in_words(&self) -> String {
        let each = self.failures.iter();
        let each: Vec<_> = each
            .map(|(why, times)| format!("{} × {why}", count(*times)))
            .collect();
        each.join("; ")
    }

    /// Why all failed, if all did.
    pub(super) fn nothing_succeeded(&self) -> Option<String> {
        if self.done > 0 || (self.failures.is_empty() && self.lost == 0) {
            return None;
        }
        Some(match self.failures_in_words() {
            words if words.is_empty() => "nobody was there".to_owned(),
            words => words,
        })
    }

    /// How many connections did not last, and why the first did not; none if all did.
    pub(super) fn connections_lost(&self) -> Option<String> {
        let why = self.lost_because.as_deref()?;
        Some(format!(
            "{} of {} connections were lost, the first because of this: {why}",
            count(self.lost),
            count(self.clients as u64)
        ))
    }

    /// Aligned lines.
    pub(super) fn text(&self) -> String {
        let pace = match self.pace {
            Pace::Window(window) => format!("at most {} under way", count(window as u64)),
            Pace::Rate(rate) => format!("{} offered a second", count(rate.round() as u64)),
        };
        let failures = match self.failures_in_words() {
            words if words.is_empty() => "none".to_owned(),
            words => words,
        };
        let server = match self.server_cost() {
            None => "not looked at (--server-pid names its process)".to_owned(),
            Some((percent, _)) if percent <= 0.0 => "nothing, or it is gone".to_owned(),
            Some((percent, us)) => format!(
                "{percent:.0} % of a core, {us:.2} µs each, so {} for a second of it",
                count((1e6 / us.max(1e-3)).round() as u64)
            ),
        };
        let percent = self.generator_percent();
        let is_limit = percent > GENERATOR_FULL_PERCENT && matches!(self.pace, Pace::Window(_));
        let limit = if is_limit {
            ": it may have been the limit, and not the server"
        } else {
            ""
        };
        let mut lines = vec![
            ("server", self.server.clone()),
            (
                "load",
                format!(
                    "{} by {} clients for {:.1} s, {pace}",
                    self.what,
                    count(self.clients as u64),
                    self.elapsed.as_secs_f64()
                ),
            ),
            (
                "rate",
                format!(
                    "{} {} a second",
                    count(self.rate().round() as u64),
                    self.what
                ),
            ),
            ("failures", failures),
        ];
        lines.extend(self.latencies.iter().map(|(name, all)| (*name, all.text())));
        lines.push(("server's processor", server));
        lines.push(("generator", format!("{percent:.0} % of a core{limit}")));
        let more = self.more.iter().map(|(name, value)| {
            let text = value.as_str().map(str::to_owned);
            (*name, text.unwrap_or_else(|| value.to_string()))
        });
        lines.extend(more);
        labelled(lines)
    }

    /// One object.
    pub(super) fn json(&self) -> Value {
        let (window, offered) = match self.pace {
            Pace::Window(window) => (Some(window), None),
            Pace::Rate(rate) => (None, Some(rate)),
        };
        let cost = self.server_cost();
        let failures: serde_json::Map<_, _> = self
            .failures
            .iter()
            .map(|(why, times)| (why.clone(), json!(times)))
            .collect();
        let mut object = json!({
            "what": self.what,
            "server": self.server,
            "clients": self.clients,
            "window": window,
            "offered_per_s": offered,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "done": self.done,
            "rate_per_s": self.rate(),
            "failures": failures,
            "connections_lost": self.lost,
            "server_cpu_percent": cost.map(|(percent, _)| percent),
            "server_cpu_us_each": cost.map(|(_, us)| us),
            "per_server_cpu_s": cost.map(|(_, us)| 1e6 / us.max(1e-3)),
            "generator_cpu_percent": self.generator_percent(),
        });
        for (name, all) in &self.latencies {
            object[name.replace(['-', ' '], "_")] = all.json();
        }
        for (name, value) in &self.more {
            object[name.replace(['-', ' '], "_")] = value.clone();
        }
        object
    }
}

/// `12.3 µs`, `4.56 ms`.
pub(super) fn time(ns: u64) -> String {
    if ns < 1_000_000 {
        format!("{:.1} µs", ns as f64 / 1e3)
    } else {
        format!("{:.2} ms", ns as f64 / 1e6)
    }
}
