//! What a run found, for people and for programs.
//!
//! Never judges: which figure matters, docs/turn.md says.

use std::time::Duration;

use serde_json::{Value, json};

use super::plan::{Load, Pace};
use super::pump::Counts;
use crate::bench::latency::Latencies;
use crate::cli::output::{count, labelled};

/// Percentiles that are told.
const PERCENTILES: [(&str, f64); 3] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0)];
/// A generator that has less time than this left over may be what limited the rate.
const IDLE_LEAST_PERCENT: f64 = 5.0;
/// A server on one core that uses so much of it is the limit itself.
const SERVER_FULL_PERCENT: f64 = 90.0;

/// One run's figures.
pub(super) struct Report {
    pub(super) what: String,
    pub(super) load: Load,
    pub(super) elapsed: Duration,
    pub(super) counts: Counts,
    /// Received while the clock ran; `counts` has what came after it as well.
    pub(super) received_in_time: u64,
    /// Processor time of the server, if it was asked for.
    pub(super) server: Option<Duration>,
    latencies: [u64; PERCENTILES.len()],
    max_ns: u64,
}

impl Report {
    pub(super) fn new(
        what: String,
        load: Load,
        elapsed: Duration,
        counts: Counts,
        received_in_time: u64,
        server: Option<Duration>,
        latencies: &Latencies,
    ) -> Self {
        Self {
            what,
            load,
            elapsed,
            counts,
            received_in_time,
            server,
            latencies: PERCENTILES.map(|(_, percent)| latencies.percentile(percent).unwrap_or(0)),
            max_ns: latencies.max().unwrap_or(0),
        }
    }

    /// Packets a second that came out.
    pub(super) fn rate(&self) -> f64 {
        self.received_in_time as f64 / self.elapsed.as_secs_f64()
    }

    fn lost(&self) -> u64 {
        self.counts.sent.saturating_sub(self.counts.received)
    }

    fn lost_percent(&self) -> f64 {
        self.lost() as f64 * 100.0 / (self.counts.sent.max(1)) as f64
    }

    fn idle_percent(&self) -> f64 {
        self.counts.idle_ns as f64 / self.elapsed.as_nanos() as f64 * 100.0
    }

    /// The server's share of one core, and its nanoseconds for a packet.
    fn server_cost(&self) -> Option<(f64, f64)> {
        let used = self.server?;
        let percent = used.as_secs_f64() / self.elapsed.as_secs_f64() * 100.0;
        Some((
            percent,
            used.as_nanos() as f64 / self.received_in_time.max(1) as f64,
        ))
    }

    /// Aligned lines.
    pub(super) fn text(&self) -> String {
        let load = &self.load;
        let rate = self.rate();
        let megabits = rate * load.size as f64 * 8.0 / 1e6;
        labelled([
            ("server", self.what.clone()),
            ("path", load.path.to_string()),
            ("load", self.load_in_words()),
            (
                "rate",
                format!(
                    "{} packets/s, {megabits:.0} Mbit/s of payload",
                    count(rate.round() as u64)
                ),
            ),
            (
                "packets",
                format!(
                    "{} sent, {} received, {} lost ({:.3} %)",
                    count(self.counts.sent),
                    count(self.counts.received),
                    count(self.lost()),
                    self.lost_percent()
                ),
            ),
            ("latency", self.latency_in_words()),
            ("server's processor", self.server_in_words()),
            ("generator", self.generator_in_words()),
        ])
    }

    fn load_in_words(&self) -> String {
        let load = &self.load;
        let rows = match (load.burst, load.is_segmented) {
            (1, _) => String::new(),
            (burst, false) => format!(", {burst} in a row"),
            (burst, true) => format!(", {burst} in a row, segmented"),
        };
        let pace = match load.pace {
            Pace::Window(window) => format!("at most {window} under way"),
            Pace::Rate(rate) => format!("{} offered a second", count(rate.round() as u64)),
        };
        format!(
            "{} bytes through {} allocations for {:.1} s{rows}, {pace}",
            load.size,
            count(load.allocations as u64),
            self.elapsed.as_secs_f64(),
        )
    }

    fn latency_in_words(&self) -> String {
        let mut words: Vec<_> = PERCENTILES
            .iter()
            .zip(self.latencies)
            .map(|((name, _), latency)| format!("{name} {}", microseconds(latency)))
            .collect();
        words.push(format!("max {}", microseconds(self.max_ns)));
        words.join(", ")
    }

    fn server_in_words(&self) -> String {
        let Some((percent, packet_ns)) = self.server_cost() else {
            return "not looked at (--pid names its process)".to_owned();
        };
        format!(
            "{percent:.0} % of a core, {:.2} µs a packet, so {} packets for a second of it",
            packet_ns / 1e3,
            count((1e9 / packet_ns.max(1.0)).round() as u64)
        )
    }

    fn generator_in_words(&self) -> String {
        let idle = self.idle_percent();
        let is_server_free = self
            .server_cost()
            .is_none_or(|(percent, _)| percent < SERVER_FULL_PERCENT);
        let may_limit = idle < IDLE_LEAST_PERCENT && is_server_free;
        if may_limit && matches!(self.load.pace, Pace::Window(_)) {
            format!(
                "waited {idle:.0} % of the time: it may have been the limit, and not the server"
            )
        } else {
            format!("waited {idle:.0} % of the time")
        }
    }

    /// One object.
    pub(super) fn json(&self) -> Value {
        let load = &self.load;
        let (window, offered) = match load.pace {
            Pace::Window(window) => (Some(window), None),
            Pace::Rate(rate) => (None, Some(rate)),
        };
        let mut latency: serde_json::Map<_, _> = PERCENTILES
            .iter()
            .zip(self.latencies)
            .map(|((name, _), latency)| (format!("{name}_us"), json!(to_us(latency))))
            .collect();
        latency.insert("max_us".to_owned(), json!(to_us(self.max_ns)));
        let cost = self.server_cost();
        json!({
            "server": self.what,
            "path": load.path.to_string(),
            "size_bytes": load.size,
            "allocations": load.allocations,
            "burst": load.burst,
            "segmented": load.is_segmented,
            "window": window,
            "offered_per_s": offered,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "sent": self.counts.sent,
            "received": self.counts.received,
            "lost": self.lost(),
            "lost_percent": self.lost_percent(),
            "rate_per_s": self.rate(),
            "latency": latency,
            "server_cpu_percent": cost.map(|(percent, _)| percent),
            "server_cpu_us_per_packet": cost.map(|(_, packet_ns)| packet_ns / 1e3),
            "generator_idle_percent": self.idle_percent(),
        })
    }
}

fn to_us(latency_ns: u64) -> f64 {
    latency_ns as f64 / 1e3
}

/// `12.3 µs`, `4.56 ms`.
fn microseconds(latency_ns: u64) -> String {
    if latency_ns < 1_000_000 {
        format!("{:.1} µs", to_us(latency_ns))
    } else {
        format!("{:.2} ms", to_us(latency_ns) / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Path;
    use super::*;

    fn report(server: Option<Duration>, idle_ns: u64) -> Report {
        let load = Load::new(Path::ClientPeer, 172, 10, 1, false, None, None, 2.0).unwrap();
        let mut latencies = Latencies::new();
        latencies.count(12_345, 99);
        latencies.count(4_560_000, 1);
        let counts = Counts {
            sent: 400_004,
            received: 400_000,
            idle_ns,
        };
        Report::new(
            "127.0.0.1:3478".to_owned(),
            load,
            Duration::from_secs(2),
            counts,
            399_000,
            server,
            &latencies,
        )
    }

    #[test]
    fn the_text_has_each_figure_in_words() {
        let text = report(Some(Duration::from_millis(1_995)), 1_000_000_000).text();
        for words in [
            "10 allocations for 2.0 s, at most 128 under way",
            "199,500 packets/s, 275 Mbit/s",
            "400,004 sent, 400,000 received, 4 lost (0.001 %)",
            "p50 12.4 µs, p90 12.4 µs, p99 12.4 µs, max 4.56 ms",
            "100 % of a core, 5.00 µs a packet, so 200,000 packets for a second of it",
            "waited 50 % of the time",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("it may have been the limit"), "{text}");
        let limited = report(None, 0).text();
        assert!(limited.contains("it may have been the limit"), "{limited}");
        assert!(limited.contains("--pid"), "{limited}");
    }

    #[test]
    fn the_object_has_numbers_with_their_units() {
        let object = report(Some(Duration::from_secs(1)), 0).json();
        assert_eq!(object["rate_per_s"], 199_500.0);
        assert_eq!(object["lost"], 4);
        assert_eq!(object["latency"]["max_us"], 4_560.0);
        assert_eq!(object["server_cpu_percent"], 50.0);
        assert_eq!(object["window"], 128);
        assert_eq!(object["offered_per_s"], Value::Null);
    }
}
