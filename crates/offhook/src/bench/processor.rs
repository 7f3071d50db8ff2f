//! Processors: which one a thread runs on, how much of them a process has used, what memory one holds, and how many files it may open.
//!
//! Asks the system; never measures time by itself.

use std::fs;
use std::time::Duration;

use anyhow::anyhow;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// Keeps this thread on one processor.
pub(super) fn pin(cpu: usize) -> anyhow::Result<()> {
    let mut only = CpuSet::new();
    let pinned = only
        .set(cpu)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &only));
    pinned.map_err(|_| {
        anyhow!("there is no processor {cpu} to run on; they count from 0, and `nproc` says how many there are")
    })
}

/// The processor time that a process has used, all its threads together, those that have ended among them.
pub(super) fn used_by(pid: u32) -> anyhow::Result<Duration> {
    let number = i32::try_from(pid).ok();
    let used = number.and_then(|pid| clock_getcpuclockid(Pid::from_raw(pid)).ok()?.now().ok());
    used.map(Duration::from)
        .ok_or_else(|| anyhow!("there is no process {pid} to look at"))
}

/// What a process holds of the machine's memory, in bytes (VmRSS).
pub(super) fn resident(pid: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(|_| anyhow!("there is no process {pid} to look at"))?;
    let row = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = row.and_then(|row| row.split_whitespace().next()?.parse::<u64>().ok());
    number
        .map(|kib| kib * 1_024)
        .ok_or_else(|| anyhow!("/proc/{pid}/status has no VmRSS"))
}

/// Lets this process open so many files, if the system lets it.
pub(super) fn allow_open_files(wanted: u64) -> anyhow::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(());
    }
    // Root may go beyond the hard limit.
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).map_err(|_| {
        anyhow!(
            "this needs {wanted} open files, and {hard} are allowed here: raise `ulimit -n`, or take fewer allocations"
        )
    })
}

/// Lets this process open as many files as the system lets it, without asking for more.
pub(super) fn allow_most_open_files() -> anyhow::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_this_process_goes_forward_and_another_is_not_made_up() {
        let before = used_by(std::process::id()).unwrap();
        assert!(used_by(std::process::id()).unwrap() >= before);
        assert!(resident(std::process::id()).unwrap() > 1_000_000);
        assert!(resident(u32::MAX).is_err());
        let fault = used_by(u32::MAX).unwrap_err().to_string();
        assert_eq!(fault, "there is no process 4294967295 to look at");
    }
}
