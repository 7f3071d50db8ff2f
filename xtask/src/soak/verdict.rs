//! Whether what was measured is what it was before, and whether memory creeps. Measures nothing.

use std::collections::BTreeMap;

/// Files beyond those of the start: the store opens its reading connections, three files each, when they are first needed.
const FILES_MORE: u64 = 16;
/// Threads beyond those of the start: one for each such connection, and those that the runtime lends for a while.
const THREADS_MORE: u64 = 12;
/// SQLite folds its log into the database at a thousand pages, and the file keeps the size that it had at most.
const LOG_MAX_KIB: u64 = 64 * 1024;
/// Most that the server may take at rest: after 16,000 calls in two seconds the allocator keeps pages that make it 128 MiB.
const MEMORY_MAX_KIB: u64 = 256 * 1024;
/// Rounds of a life in which memory may still grow: the largest load so far is not over yet.
const WARM_UP: usize = 3;
/// Rounds after that which make a trend.
const TREND: usize = 6;
/// How much higher the floor of what is in use may be in the last third than in the middle one.
pub(super) const HEAP_CREEP_KIB: u64 = 1024;
/// The same for what the process takes: the allocator keeps what the largest load needed, and in another place each time.
pub(super) const MEMORY_CREEP_KIB: u64 = 24 * 1024;

/// What a process holds at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) files: u64,
    pub(super) threads: u64,
    pub(super) memory_kib: u64,
    /// Of that, what is in use: the allocator keeps more for later.
    pub(super) heap_kib: u64,
    pub(super) log_kib: u64,
    pub(super) records_lost: u64,
    /// As `offhook status` names them.
    pub(super) tables: BTreeMap<String, u64>,
}

/// The tables that end with something other than their clients: waited for by themselves.
pub(super) const BY_THE_ACCOUNT: [&str; 2] = ["turn_allocations", "tokens_remembered"];
/// Kept for ten minutes for clients that may come back, and bounded.
pub(super) const KEPT: [&str; 1] = ["answers_kept"];

/// The first thing that has not come back, in words. `except`: tables that need not have.
pub(super) fn not_back(base: &Figures, now: &Figures, except: &[&str]) -> Option<String> {
    for (name, number) in &now.tables {
        let before = base.tables.get(name).copied().unwrap_or(0);
        // What is kept is looked at again when it ends: a timer, and one for each shard is all that it takes.
        let allowance = match name.as_str() {
            "timers" => now.tables.get(KEPT[0]).copied().unwrap_or(0),
            _ => 0,
        };
        let is_excepted = KEPT.contains(&name.as_str()) || except.contains(&name.as_str());
        if !is_excepted && *number > before + allowance {
            return Some(format!(
                "{number} {} ({before} before)",
                name.replace('_', " ")
            ));
        }
    }
    // A relay is a file.
    let relays = match except.contains(&BY_THE_ACCOUNT[0]) {
        true => now.tables.get(BY_THE_ACCOUNT[0]).copied().unwrap_or(0),
        false => 0,
    };
    let bounds = [
        ("open files", now.files, base.files + FILES_MORE + relays),
        ("threads", now.threads, base.threads + THREADS_MORE),
        ("KiB of the store's log", now.log_kib, LOG_MAX_KIB),
        ("KiB of memory", now.memory_kib, MEMORY_MAX_KIB),
        ("call records lost", now.records_lost, 0),
    ];
    bounds
        .into_iter()
        .find(|(_, number, bound)| number > bound)
        .map(|(what, number, bound)| format!("{number} {what} (at most {bound})"))
}

/// What memory did in one life of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trend {
    /// Too few rounds.
    Unknown,
    /// The least of the middle and of the last third, in KiB. A large load leaves pages behind for some rounds, a leak for good.
    Flat {
        middle: u64,
        last: u64,
    },
    Creeps {
        middle: u64,
        last: u64,
    },
}

/// Judges what a server took at rest after each round of its life. `creep`: how much more may be noise.
pub(super) fn trend(kib: &[u64], creep: u64) -> Trend {
    let rest = kib.get(WARM_UP..).unwrap_or_default();
    if rest.len() < TREND {
        return Trend::Unknown;
    }
    let third = rest.len() / 3;
    let floor = |part: &[u64]| part.iter().copied().min().unwrap_or(0);
    let middle = floor(&rest[rest.len() - 2 * third..rest.len() - third]);
    let last = floor(&rest[rest.len() - third..]);
    if last > middle + creep {
        Trend::Creeps { middle, last }
    } else {
        Trend::Flat { middle, last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(tables: &[(&str, u64)]) -> Figures {
        Figures {
            files: 40,
            threads: 8,
            memory_kib: 50_000,
            heap_kib: 5_000,
            log_kib: 100,
            records_lost: 0,
            tables: tables
                .iter()
                .map(|(name, number)| ((*name).to_owned(), *number))
                .collect(),
        }
    }

    #[test]
    fn one_call_too_many_is_named() {
        let base = figures(&[("calls", 0), ("shards", 2)]);
        assert_eq!(not_back(&base, &base, &[]), None);
        let now = figures(&[("calls", 1), ("shards", 2)]);
        assert_eq!(
            not_back(&base, &now, &[]).as_deref(),
            Some("1 calls (0 before)")
        );
        assert_eq!(not_back(&base, &now, &["calls"]), None);
    }

    #[test]
    fn a_timer_that_belongs_to_nothing_is_named() {
        let base = figures(&[("timers", 0)]);
        let kept = figures(&[("answers_kept", 3), ("timers", 2)]);
        assert_eq!(not_back(&base, &kept, &[]), None);
        let stuck = figures(&[("answers_kept", 0), ("timers", 2)]);
        assert!(not_back(&base, &stuck, &[]).is_some());
    }

    #[test]
    fn files_threads_memory_log_and_lost_records_have_bounds() {
        let base = figures(&[]);
        type Change = fn(&mut Figures);
        let wrong: [(Change, &str); 5] = [
            (|now| now.files = 57, "57 open files (at most 56)"),
            (|now| now.threads = 21, "21 threads (at most 20)"),
            (|now| now.memory_kib = 300_000, "300000 KiB of memory"),
            (|now| now.log_kib = 70_000, "70000 KiB of the store's log"),
            (
                |now| now.records_lost = 1,
                "1 call records lost (at most 0)",
            ),
        ];
        for (change, words) in wrong {
            let mut now = base.clone();
            change(&mut now);
            let said = not_back(&base, &now, &[]).unwrap_or_default();
            assert!(said.starts_with(words), "{said}");
        }
    }

    #[test]
    fn relays_that_are_waited_for_are_files_as_well() {
        let base = figures(&[("turn_allocations", 0)]);
        let mut now = figures(&[("turn_allocations", 10)]);
        now.files = 60;
        assert_eq!(not_back(&base, &now, &BY_THE_ACCOUNT), None);
        now.files = 67;
        assert!(not_back(&base, &now, &BY_THE_ACCOUNT).is_some());
    }

    #[test]
    fn memory_that_rises_creeps_and_memory_that_wobbles_does_not() {
        let kib = |first: u64, each: u64, count: u64| -> Vec<u64> {
            (0..count).map(|at| first + at * each).collect()
        };
        let trend = |kib: &[u64]| trend(kib, 12_000);
        assert_eq!(trend(&kib(50_000, 0, 8)), Trend::Unknown);
        let flat = trend(&kib(50_000, 0, 30));
        assert_eq!(
            flat,
            Trend::Flat {
                middle: 50_000,
                last: 50_000
            }
        );
        // Over the nine rounds from third to third, 1.5 MiB a round are more than the noise, 1 MiB is not.
        assert!(matches!(
            trend(&kib(50_000, 1_500, 30)),
            Trend::Creeps { .. }
        ));
        assert!(matches!(trend(&kib(50_000, 1_000, 30)), Trend::Flat { .. }));
        let wobbling: Vec<_> = (0..30).map(|at| 50_000 + (at * 7_919) % 9_000).collect();
        assert!(matches!(trend(&wobbling), Trend::Flat { .. }));
        // The warm-up may rise as it likes, and one high round is none.
        let mut warm = kib(90_000, 0, 30);
        warm[..3].copy_from_slice(&[30_000, 40_000, 70_000]);
        warm[29] = 180_000;
        assert!(matches!(trend(&warm), Trend::Flat { .. }));
    }
}
