//! offhook under siege, at the size that is promised: strangers who flood it, hold its connections or say what nobody
//! understands, while clients of an account call each other.
//!
//! No call fails, the slowest are less than three times as slow as without the strangers, memory has a bound, and ten seconds
//! afterwards all is as before. The server has one processor to itself, and nothing else may run beside it: `cargo xtask test
//! siege` runs these tests, with the build of all others, and the release profile may be named by hand.
#![expect(clippy::print_stdout, reason = "whoever runs it wants the figures")]

mod capacity;
mod floods;
mod held;
mod messages;
mod neighbour;
mod stranger;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::Value;

use crate::bench::BenchSite;
use crate::harness::Folder;

/// How much slower the slowest calls may be.
const SLOWER: f64 = 3.0;
/// What the scheduler of a small machine does by itself now and then: quiet calls are taken for as slow as this at least.
const WOBBLE_US: f64 = 3_000.0;
/// In which all is as before.
const RECOVERY: Duration = Duration::from_secs(10);
/// Calls a second, and the clients that make them.
const CALLS: &str = "calls --clients 200 --rate 300";
const MIB: u64 = 1024 * 1024;

/// A server on a processor of its own, and what its calls are like when nobody disturbs them.
struct Siege {
    folder: Folder,
    site: BenchSite,
    quiet_us: f64,
    /// Memory when it is quiet, in bytes.
    quiet_memory: u64,
}

impl Siege {
    fn new() -> Self {
        Self::serving(Folder::new(), "")
    }

    /// In this folder, with more flags for `serve`.
    fn serving(folder: Folder, flags: &str) -> Self {
        on_processor(0);
        let site = BenchSite::serving(&folder, flags);
        // The load runs elsewhere, where there is an elsewhere.
        on_processor(1);
        let mut siege = Self {
            folder,
            site,
            quiet_us: 0.0,
            quiet_memory: 0,
        };
        siege.quiet_us = siege.calls(4).max(WOBBLE_US);
        siege.quiet_memory = siege.memory("VmRSS");
        siege
    }

    /// Makes calls for so many seconds and wants all of them to succeed. The 99th percentile of their set-up in µs.
    fn calls(&self, seconds: u32) -> f64 {
        let report = self
            .folder
            .json(&self.site.words(&format!("{CALLS} --seconds {seconds}")));
        assert_eq!(report["failures"].as_object().unwrap().len(), 0, "{report}");
        let offered = 300.0 * f64::from(seconds);
        assert!(report["done"].as_f64().unwrap() > 0.9 * offered, "{report}");
        report["set_up"]["p99_us"].as_f64().unwrap()
    }

    /// Makes calls beside strangers, who go on until they are told that it is over; then sees that all is as before.
    /// `memory` is what the strangers may cost, in bytes.
    fn stands<T: Send>(&self, memory: u64, strangers: impl FnOnce(&AtomicBool) -> T + Send) -> T {
        let is_over = AtomicBool::new(false);
        let (beside_us, told) = std::thread::scope(|scope| {
            let strangers = scope.spawn(|| strangers(&is_over));
            let beside_us = self.calls(5);
            is_over.store(true, Ordering::Relaxed);
            (beside_us, strangers.join().unwrap())
        });
        let over = Instant::now();
        let peak = self.memory("VmHWM");
        let after_us = loop {
            let after_us = self.calls(2);
            if after_us < SLOWER * self.quiet_us && self.is_empty() {
                break after_us;
            }
            assert!(
                over.elapsed() < RECOVERY,
                "not as before: {after_us} µs, {}",
                self.census()
            );
        };
        println!(
            "set-up of calls, 99th percentile: {:.1} ms quiet, {:.1} ms beside, {:.1} ms after; memory {} MiB, at most {} MiB",
            self.quiet_us / 1e3,
            beside_us / 1e3,
            after_us / 1e3,
            self.quiet_memory / MIB,
            peak / MIB,
        );
        assert!(
            beside_us < SLOWER * self.quiet_us,
            "{beside_us} µs beside strangers, {} µs without",
            self.quiet_us
        );
        assert!(
            peak < self.quiet_memory + memory,
            "the strangers cost {} bytes",
            peak.saturating_sub(self.quiet_memory)
        );
        told
    }

    /// What the server counts.
    fn status(&self) -> Value {
        self.folder.json("status")
    }

    fn counter(&self, name: &str) -> u64 {
        self.status()["counters"][name].as_u64().unwrap()
    }

    /// How full the tables are.
    fn census(&self) -> Value {
        self.status()["census"].clone()
    }

    /// Whether nobody is there any more. Calls that have ended stay for 32 s.
    fn is_empty(&self) -> bool {
        let census = self.census();
        ["sockets", "websockets", "connections", "registrations"]
            .iter()
            .all(|table| census[table] == 0)
    }

    /// A figure of the server's memory, in bytes, as `/proc` names it.
    fn memory(&self, name: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.site.server.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kilobytes * 1024
    }
}

/// Keeps this thread, and what it starts, on one processor; where there is no such processor, it stays where it is.
fn on_processor(number: usize) {
    let mut only = CpuSet::new();
    only.set(number).unwrap();
    // There may be no second one.
    let _ = sched_setaffinity(Pid::from_raw(0), &only);
}
