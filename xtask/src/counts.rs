//! `cargo xtask perf-check`: how many instructions the hot operations take, by valgrind's callgrind, and whether that has
//! grown since it was last written down. Counts do not wobble as times do.
//!
//! Compares only what the same compiler has made, for processors of the same kind: libraries choose their loops by that.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::install;
use crate::step::{cargo, output_of};
use crate::workspace;

/// The program, and the Debian package that brings it.
const NEEDS: [(&str, &[&str]); 1] = [("valgrind", &["valgrind"])];
/// Where the counts are kept.
const KEPT: &str = "docs/instructions.txt";
/// A growth of so much is told.
const TOLERANCE_PERCENT: u64 = 5;

/// One operation of a benchmark.
struct Operation {
    name: &'static str,
    bench: &'static str,
    /// As the benchmark knows it.
    word: &'static str,
    number: u64,
}

const OPERATIONS: [Operation; 6] = [
    operation("REGISTER parsed", "message", "register", 1_000),
    operation("INVITE parsed", "message", "invite", 1_000),
    operation(
        "REGISTER refresh, edge and shard",
        "shard",
        "refresh",
        1_000,
    ),
    operation("OPTIONS, edge", "shard", "options", 1_000),
    operation("call set up and ended, edge and shard", "shard", "call", 80),
    operation("the same with TURN", "shard", "call-turn", 80),
];

const fn operation(
    name: &'static str,
    bench: &'static str,
    word: &'static str,
    number: u64,
) -> Operation {
    Operation {
        name,
        bench,
        word,
        number,
    }
}

/// Counts, and compares or writes down.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let writes = match arguments {
        [] => false,
        [flag] if flag == "--write" => true,
        other => {
            return Err(format!(
                "perf-check knows only `--write`, not `{}`",
                other.join(" ")
            ));
        }
    };
    install::packages(&NEEDS)?;
    let root = workspace::root();
    let programs = build(&root)?;
    let made_by = made_by()?;
    let mut counted = Vec::new();
    for operation in &OPERATIONS {
        let program = programs
            .get(operation.bench)
            .ok_or_else(|| format!("cargo built no benchmark {}", operation.bench))?;
        let count = count(program, operation)?;
        println!("    {}: {count} instructions", operation.name);
        counted.push((operation.name, count));
    }
    let file = root.join(KEPT);
    if writes {
        let text = written(&made_by, &counted);
        return std::fs::write(&file, text)
            .map_err(|error| format!("{KEPT} cannot be written: {error}"));
    }
    let kept = std::fs::read_to_string(&file)
        .map_err(|error| format!("{KEPT} cannot be read: {error}"))?;
    let (known_by, known) = read(&kept)?;
    if known_by != made_by {
        println!("    {KEPT} was counted with {known_by}, this is {made_by}: nothing to compare");
        return Ok(());
    }
    compare(&known, &counted)
}

/// What counts depend on beside the code: the compiler, and the widest registers that valgrind offers.
fn made_by() -> Result<String, String> {
    let compiler = output_of(Command::new("rustc").arg("--version"))?;
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let is_wide = processor.split_whitespace().any(|word| word == "avx2");
    let width = if is_wide { "avx2" } else { "no avx2" };
    Ok(format!(
        "{}, {}, {width}",
        compiler.trim(),
        std::env::consts::ARCH
    ))
}

/// Builds the benchmarks, and nothing that they do not need: it is all that the tests build for release. Gives their programs by name.
fn build(root: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let text = output_of(
        cargo()
            .args(["bench", "--no-run", "--message-format=json"])
            .args(["-p", "sip", "-p", "switch"])
            .args(["--bench", "message", "--bench", "shard"])
            .current_dir(root),
    )?;
    let artifacts = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let programs = artifacts.filter_map(|artifact| {
        let program = artifact["executable"].as_str()?;
        let name = artifact["target"]["name"].as_str()?;
        Some((name.to_owned(), PathBuf::from(program)))
    });
    Ok(programs.collect())
}

fn count(program: &Path, operation: &Operation) -> Result<u64, String> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--toggle-collect=*counted_*",
            "--callgrind-out-file=/dev/null",
        ])
        .arg(program)
        .env(
            "OFFHOOK_COUNT",
            format!("{}:{}", operation.word, operation.number),
        )
        .output()
        .map_err(|error| format!("valgrind could not be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let number = collected.and_then(|(_, number)| number.trim().parse::<u64>().ok());
    match number {
        Some(number) if output.status.success() && number > 0 => Ok(number / operation.number),
        Some(_) | None => Err(format!(
            "valgrind counted nothing of {}:\n{said}",
            operation.name
        )),
    }
}

fn written(compiler: &str, counted: &[(&str, u64)]) -> String {
    let mut text = format!(
        "# Instructions of one operation, as `cargo xtask perf-check` counts them; `--write` writes this file.\n{compiler}\n"
    );
    for (name, count) in counted {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{count:>8}  {name}");
    }
    text
}

fn read(text: &str) -> Result<(String, BTreeMap<String, u64>), String> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let compiler = lines.next().unwrap_or_default().to_owned();
    let mut known = BTreeMap::new();
    for line in lines {
        let (count, name) = line
            .trim()
            .split_once("  ")
            .ok_or_else(|| format!("{KEPT}: `{line}` has no count"))?;
        let count = count
            .parse()
            .map_err(|_| format!("{KEPT}: `{count}` is no count"))?;
        known.insert(name.to_owned(), count);
    }
    Ok((compiler, known))
}

fn compare(known: &BTreeMap<String, u64>, counted: &[(&str, u64)]) -> Result<(), String> {
    let mut grown = Vec::new();
    for (name, count) in counted {
        let before = *known
            .get(*name)
            .ok_or_else(|| format!("{KEPT} does not have `{name}`; `--write` adds it"))?;
        if count * 100 > before * (100 + TOLERANCE_PERCENT) {
            let growth = (*count as f64 / before as f64 - 1.0) * 100.0;
            grown.push(format!("{name}: {before} to {count} ({growth:+.1} %)"));
        }
    }
    if grown.is_empty() {
        return Ok(());
    }
    Err(format!(
        "these take more than {TOLERANCE_PERCENT} % more instructions than {KEPT} says; mend it, or say why in a commit that writes the \
         new counts (`cargo xtask perf-check --write`):\n{}",
        grown.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = written("rustc 1.95.0", &[("one", 1_000), ("two, of two", 12)]);
        let (compiler, known) = read(&text).unwrap();
        assert_eq!(compiler, "rustc 1.95.0");
        assert_eq!(known["two, of two"], 12);
        assert!(compare(&known, &[("one", 1_050)]).is_ok());
        let told = compare(&known, &[("one", 1_051), ("two, of two", 12)]).unwrap_err();
        assert!(told.contains("one: 1000 to 1051 (+5.1 %)"), "{told}");
        assert!(
            compare(&known, &[("three", 1)])
                .unwrap_err()
                .contains("--write")
        );
    }
}
