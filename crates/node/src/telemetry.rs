//! What the node says about itself: log lines and counters.
//!
//! Log lines above debug name nobody: no client, no address, no header of a message.

use std::sync::atomic::{AtomicU64, Ordering};

use switch::Counter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The environment variable that says what is logged, in the form of `tracing_subscriber::EnvFilter`.
pub const LOG_VARIABLE: &str = "OFFHOOK_LOG";

/// Starts logging to standard error; a second call changes nothing.
pub fn start_logging() {
    let wish = std::env::var(LOG_VARIABLE).unwrap_or_default();
    let (filter, fault) = match EnvFilter::try_new(if wish.is_empty() { "info" } else { &wish }) {
        Ok(filter) => (filter, None),
        Err(fault) => (EnvFilter::new("info"), Some(fault)),
    };
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        .with_target(false)
        .with_writer(std::io::stderr)
        .finish();
    // Fails only if there is a subscriber already, which then goes on.
    let _ = subscriber.try_init();
    if let Some(fault) = fault {
        tracing::warn!(
            "{LOG_VARIABLE} is not understood ({fault}); it should be such as info or node=debug"
        );
    }
}

/// One number for each [`Counter`].
#[derive(Debug)]
pub(crate) struct Counters {
    counts: Box<[AtomicU64]>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            counts: Counter::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Counters {
    pub(crate) fn add(&self, counter: Counter) {
        // `Counter::ALL` lists the variants in their order, so a variant's number is its place.
        if let Some(count) = self.counts.get(counter as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every counter with its number, in the order of listings.
    pub(crate) fn listing(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = Counter::ALL.iter().map(|counter| counter.as_str());
        names.zip(
            self.counts
                .iter()
                .map(|count| count.load(Ordering::Relaxed)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_has_its_own_number() {
        let counters = Counters::default();
        for (place, counter) in Counter::ALL.iter().enumerate() {
            for _ in 0..=place {
                counters.add(*counter);
            }
        }
        for (place, (name, count)) in counters.listing().enumerate() {
            assert_eq!(
                (name, count),
                (Counter::ALL[place].as_str(), place as u64 + 1)
            );
        }
    }
}
