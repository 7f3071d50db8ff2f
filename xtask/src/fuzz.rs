//! `cargo xtask fuzz`: each fuzz target in turn, or those that are named, for a share of the time given.

use std::path::Path;
use std::process::Command;

use crate::step::{run as step, succeed, works};
use crate::workspace;

const DEFAULT_SECONDS: u64 = 60;

/// Runs targets of `fuzz/fuzz_targets`; an input that fails stays in `fuzz/artifacts`.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let root = workspace::root();
    let Wish { targets, seconds } = Wish::read(arguments, targets(&root)?)?;
    if !works(Command::new("cargo").args(["+nightly", "fuzz", "--version"])) {
        return Err(
            "fuzzing needs a nightly compiler and cargo-fuzz. To get them, run: \
             rustup toolchain install nightly && cargo install --locked cargo-fuzz"
                .to_owned(),
        );
    }
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

/// What to run, and for how long in all.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    targets: Vec<String>,
    seconds: u64,
}

impl Wish {
    /// Without a name, all that there are.
    fn read(arguments: &[String], all: Vec<String>) -> Result<Self, String> {
        let (mut targets, mut seconds) = (Vec::new(), DEFAULT_SECONDS);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--seconds" {
                let number = rest.next().map_or("", String::as_str);
                seconds = number
                    .parse()
                    .map_err(|_| format!("`--seconds` wants a whole number, not `{number}`"))?;
            } else if !all.contains(argument) {
                let all = all.join(", ");
                return Err(format!(
                    "fuzz knows `--seconds N` and the targets {all}, not `{argument}`"
                ));
            } else if !targets.contains(argument) {
                targets.push(argument.clone());
            }
        }
        if targets.is_empty() {
            targets = all;
        }
        Ok(Self { targets, seconds })
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

    fn wish(words: &[&str]) -> Result<(Vec<String>, u64), String> {
        let owned = |words: &[&str]| -> Vec<String> {
            words.iter().map(|word| (*word).to_owned()).collect()
        };
        let wish = Wish::read(&owned(words), owned(&["message", "token", "world"]));
        wish.map(|wish| (wish.targets, wish.seconds))
    }

    #[test]
    fn seconds_are_read_or_refused() {
        assert_eq!(wish(&[]).map(|(_, seconds)| seconds), Ok(DEFAULT_SECONDS));
        assert_eq!(wish(&["--seconds", "7"]).map(|(_, seconds)| seconds), Ok(7));
        for wrong in [&["--seconds", "soon"][..], &["--seconds"], &["7"]] {
            assert!(wish(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn targets_are_all_or_those_that_are_named_once_each() {
        assert_eq!(wish(&[]).unwrap().0, ["message", "token", "world"]);
        let (targets, seconds) = wish(&["world", "--seconds", "7", "token", "world"]).unwrap();
        assert_eq!(
            (targets.as_slice(), seconds),
            (&["world".to_owned(), "token".to_owned()][..], 7)
        );
        assert!(
            wish(&["tokens"])
                .unwrap_err()
                .contains("message, token, world")
        );
    }
}
