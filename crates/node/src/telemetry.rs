//! What the node says about itself: log lines and counters.
//!
//! Log lines above debug name nobody: no client, no address, no header of a message.

use std::sync::atomic::{AtomicU64, Ordering};

use switch::Counter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::meter::Meters;
use crate::shell_counter::ShellCounter;
use crate::turn_worker::WorkerCounter;

/// The environment variable that says what is logged, in the form of `tracing_subscriber::EnvFilter`.
pub const LOG_VARIABLE: &str = "OFFHOOK_LOG";

/// The environment variable that says how a line of the log is written: `text`, or `json`.
pub const LOG_FORMAT_VARIABLE: &str = "OFFHOOK_LOG_FORMAT";

const TEXT: &str = "text";
const JSON: &str = "json";

/// They warn of each datagram that they cannot read, and anybody can send as many as he likes: never, whatever is wished.
const SILENT: [&str; 8] = [
    "stun_types=off",
    "turn_types=off",
    "str0m=off",
    "dimpl=off",
    "is=off",
    "hickory_net=off",
    "hickory_proto=off",
    "hickory_resolver=off",
];

/// Starts logging to standard error; a second call changes nothing.
pub fn start_logging() {
    let wish = std::env::var(LOG_VARIABLE).unwrap_or_default();
    let (filter, fault) = match EnvFilter::try_new(if wish.is_empty() { "info" } else { &wish }) {
        Ok(filter) => (filter, None),
        Err(fault) => (EnvFilter::new("info"), Some(fault)),
    };
    let filter = silenced(filter);
    let format = std::env::var(LOG_FORMAT_VARIABLE).unwrap_or_default();
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal && format != JSON)
        .with_target(false)
        .with_writer(std::io::stderr);
    // Fails only if there is a subscriber already, which then goes on.
    let _ = if format == JSON {
        lines.json().flatten_event(true).finish().try_init()
    } else {
        lines.finish().try_init()
    };
    if !["", TEXT, JSON].contains(&format.as_str()) {
        tracing::warn!("{LOG_FORMAT_VARIABLE} is not understood; it should be {TEXT} or {JSON}");
    }
    if let Some(fault) = fault {
        tracing::warn!(
            "{LOG_VARIABLE} is not understood ({fault}); it should be such as info or node=debug"
        );
    }
}

fn silenced(filter: EnvFilter) -> EnvFilter {
    SILENT.iter().fold(filter, |filter, silent| {
        let silent = silent.parse().expect("the directive is well-formed");
        filter.add_directive(silent)
    })
}

/// One number for each counter of the switch, of the TURN server, of its workers and of the rest of the shell.
#[derive(Debug)]
pub(crate) struct Counters {
    switch: Counts,
    turn: Counts,
    worker: Counts,
    shell: Counts,
    /// What is more than a number each.
    pub(crate) meters: Meters,
}

/// In the order of the `ALL` of their kind, which lists the variants in theirs: a variant's number is its place.
type Counts = Box<[AtomicU64]>;

impl Default for Counters {
    fn default() -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            switch: zeros(Counter::ALL.len()),
            turn: zeros(turn::Counter::ALL.len()),
            worker: zeros(WorkerCounter::ALL.len()),
            shell: zeros(ShellCounter::ALL.len()),
            meters: Meters::default(),
        }
    }
}

impl Counters {
    pub(crate) fn add(&self, counter: Counter) {
        increase(&self.switch, counter as usize, 1);
    }

    pub(crate) fn add_turn(&self, counter: turn::Counter) {
        increase(&self.turn, counter as usize, 1);
    }

    pub(crate) fn add_worker(&self, counter: WorkerCounter, count: u64) {
        increase(&self.worker, counter as usize, count);
    }

    pub(crate) fn add_shell(&self, counter: ShellCounter) {
        increase(&self.shell, counter as usize, 1);
    }

    /// Every counter with its number, in the order of listings.
    pub(crate) fn listing(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.explained().map(|(name, _, count)| (name, count))
    }

    /// The same with what each of them counts.
    pub(crate) fn explained(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let switch = Counter::ALL.iter();
        let switch = switch.map(|counter| (counter.as_str(), counter.meaning()));
        let turn = turn::Counter::ALL.iter();
        let turn = turn.map(|counter| (counter.as_str(), counter.meaning()));
        let worker = WorkerCounter::ALL.iter();
        let worker = worker.map(|counter| (counter.as_str(), counter.meaning()));
        let shell = ShellCounter::ALL.iter();
        let shell = shell.map(|counter| (counter.as_str(), counter.meaning()));
        let pure = self.switch.iter().chain(&self.turn);
        let counts = pure.chain(&self.worker).chain(&self.shell);
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        let names = switch.chain(turn).chain(worker).chain(shell);
        let all = names.zip(counts);
        all.map(|((name, meaning), count)| (name, meaning, count))
    }
}

fn increase(counts: &Counts, place: usize, by: u64) {
    if let Some(count) = counts.get(place) {
        count.fetch_add(by, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_anybody_could_fill_the_log_with_is_silenced() {
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(silenced(EnvFilter::new("trace")))
            .with_writer(std::io::sink)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            const WARNS: tracing::Level = tracing::Level::WARN;
            assert!(tracing::event_enabled!(target: "node::trunk_worker", WARNS));
            assert!(!tracing::event_enabled!(target: "str0m::ice", WARNS));
            // An answer with a number that was guessed wrong.
            let of_dns =
                tracing::event_enabled!(target: "hickory_net::udp::udp_client_stream", WARNS);
            assert!(!of_dns);
            assert!(!tracing::event_enabled!(target: "hickory_resolver::recursor", WARNS));
            assert!(!tracing::event_enabled!(target: "hickory_proto::op", WARNS));
        });
    }

    #[test]
    fn each_counter_has_its_own_name_and_number() {
        let counters = Counters::default();
        let mut wanted = Vec::new();
        for counter in Counter::ALL {
            wanted.push(counter.as_str());
            (0..wanted.len()).for_each(|_| counters.add(*counter));
        }
        for counter in turn::Counter::ALL {
            wanted.push(counter.as_str());
            (0..wanted.len()).for_each(|_| counters.add_turn(*counter));
        }
        for counter in WorkerCounter::ALL {
            wanted.push(counter.as_str());
            counters.add_worker(*counter, wanted.len() as u64);
        }
        for counter in ShellCounter::ALL {
            wanted.push(counter.as_str());
            (0..wanted.len()).for_each(|_| counters.add_shell(*counter));
        }
        let numbered: Vec<_> = wanted.iter().copied().zip(1..).collect();
        assert_eq!(counters.listing().collect::<Vec<_>>(), numbered);
        assert_eq!(wanted.iter().collect::<BTreeSet<_>>().len(), wanted.len());
    }
}
