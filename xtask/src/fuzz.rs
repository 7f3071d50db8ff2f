//! `cargo xtask fuzz`: each fuzz target in turn, for a share of the time given.

use std::path::Path;
use std::process::Command;

use crate::step::{run as step, succeed, works};
use crate::workspace;

const DEFAULT_SECONDS: u64 = 60;

/// Runs every target of `fuzz/fuzz_targets`; an input that fails stays in `fuzz/artifacts`.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let seconds = seconds_of(arguments)?;
    if !works(Command::new("cargo").args(["+nightly", "fuzz", "--version"])) {
        return Err(
            "fuzzing needs a nightly compiler and cargo-fuzz. To get them, run: \
             rustup toolchain install nightly && cargo install --locked cargo-fuzz"
                .to_owned(),
        );
    }
    let root = workspace::root();
    let targets = targets(&root)?;
    let share = (seconds / targets.len().max(1) as u64).max(1);
    for target in targets {
        step(&format!("fuzz {target}"), || {
            succeed(
                Command::new("cargo")
                    .args(["+nightly", "fuzz", "run", &target, "--"])
                    .arg(format!("-max_total_time={share}"))
                    .current_dir(&root),
            )
        })?;
    }
    Ok(())
}

fn seconds_of(arguments: &[String]) -> Result<u64, String> {
    match arguments {
        [] => Ok(DEFAULT_SECONDS),
        [flag, number] if flag == "--seconds" => number
            .parse()
            .map_err(|_| format!("`--seconds` wants a whole number, not `{number}`")),
        other => Err(format!(
            "fuzz knows only `--seconds N`, not `{}`",
            other.join(" ")
        )),
    }
}

fn targets(root: &Path) -> Result<Vec<String>, String> {
    let folder = root.join("fuzz").join("fuzz_targets");
    let entries = std::fs::read_dir(&folder)
        .map_err(|error| format!("{} cannot be listed: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_or_refused() {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(seconds_of(&[]), Ok(DEFAULT_SECONDS));
        assert_eq!(seconds_of(&words(&["--seconds", "7"])), Ok(7));
        assert!(seconds_of(&words(&["--seconds", "soon"])).is_err());
        assert!(seconds_of(&words(&["7"])).is_err());
    }
}
