//! What the server and the generator have used of this machine while the clock ran.

use std::fs;
use std::time::Duration;

use crate::bench::processor;
use anyhow::{Context as _, anyhow};

/// Looks when the clock starts and when it stops.
pub(super) struct Meter {
    server: Option<u32>,
    first: Option<Look>,
    last: Option<Look>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Look {
    server: Duration,
    generator: Duration,
}

impl Meter {
    /// `server` is its process, whose children count as well.
    pub(super) fn new(server: Option<u32>) -> anyhow::Result<Self> {
        if let Some(pid) = server {
            used_by_family(pid)?;
        }
        Ok(Self {
            server,
            first: None,
            last: None,
        })
    }

    pub(super) fn look(&mut self, has_begun: bool, is_over: bool) {
        let place = match (has_begun, is_over) {
            (_, true) => &mut self.last,
            (true, false) => &mut self.first,
            (false, false) => return,
        };
        if place.is_none() {
            let server = self.server.and_then(|pid| used_by_family(pid).ok());
            *place = Some(Look {
                server: server.unwrap_or_default(),
                generator: processor::used_by(std::process::id()).unwrap_or_default(),
            });
        }
    }

    /// Processor time of the server, if it was asked for.
    pub(super) fn server(&self) -> Option<Duration> {
        self.server?;
        Some(self.last?.server.saturating_sub(self.first?.server))
    }

    pub(super) fn generator(&self) -> Duration {
        let (first, last) = (
            self.first.unwrap_or_default(),
            self.last.unwrap_or_default(),
        );
        last.generator.saturating_sub(first.generator)
    }
}

fn used_by_family(pid: u32) -> anyhow::Result<Duration> {
    let mut used = processor::used_by(pid)?;
    for child in descendants(pid) {
        // It may have ended since.
        used += processor::used_by(child).unwrap_or_default();
    }
    Ok(used)
}

/// The memory of a process and its children in bytes: what is shared counts in parts (PSS).
pub(super) fn memory_of_family(pid: u32) -> anyhow::Result<u64> {
    let mut sum = memory_of(pid)?;
    for child in descendants(pid) {
        sum += memory_of(child).unwrap_or_default();
    }
    Ok(sum)
}

fn memory_of(pid: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("there is no process {pid} whose memory may be looked at"))?;
    let row = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = row.and_then(|row| row.split_whitespace().next()?.parse::<u64>().ok());
    number
        .map(|kib| kib * 1_024)
        .ok_or_else(|| anyhow!("/proc/{pid}/smaps_rollup has no Pss"))
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut unseen = vec![pid];
    while let Some(pid) = unseen.pop() {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            let children = children
                .split_whitespace()
                .filter_map(|child| child.parse().ok());
            for child in children {
                found.push(child);
                unseen.push(child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_its_children_are_found() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        assert!(descendants(std::process::id()).contains(&child.id()));
        assert!(memory_of_family(std::process::id()).unwrap() > 1_000_000);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(memory_of(u32::MAX).is_err());
    }
}
