//! `cargo xtask test`: every test of the project in an order that fails early.
//!
//! Everything is built once, in the dev profile and with one set of features: the `build` step makes the binaries and
//! the test programs together, and what follows runs them from where they are.

use std::path::Path;
use std::process::Command;

use crate::step::{cargo, run as step, succeed};
use crate::{audit, browser, counts, install, scripts, sipp, tidy, turn, workspace};

const SIM_SECONDS: &str = "40";

/// Runs the named parts, or all of them.
pub(crate) fn run(names: &[String]) -> Result<(), String> {
    let parts = Part::chosen(names)?;
    let root = workspace::root();
    for part in parts {
        match part {
            Part::Install => step("install", install::programs)?,
            Part::Lint => lint(&root)?,
            Part::Audit => step("audit", || audit::run(&[]))?,
            Part::Build => step("build", || build(&root))?,
            Part::Unit => step("unit and property tests", || {
                cargo_in(&root, &["test", "--workspace"])
            })?,
            Part::Sim => step("simulation", || simulate(&root))?,
            Part::Browser => step("browser tests", || browser::run(&root))?,
            Part::Sipp => step("tests with SIPp", || sipp::run(&root))?,
            Part::Turn => step("tests of the relay", || turn::run(&root))?,
            Part::Siege => step("siege", || besiege(&root))?,
            Part::Counts => step("instructions", || counts::run(&[]))?,
        }
    }
    println!("every step passed");
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Install,
    Lint,
    Audit,
    Build,
    Unit,
    Sim,
    Browser,
    Sipp,
    Turn,
    Siege,
    Counts,
}

impl Part {
    const ALL: [(&str, Part); 11] = [
        ("install", Part::Install),
        ("lint", Part::Lint),
        ("audit", Part::Audit),
        ("build", Part::Build),
        ("unit", Part::Unit),
        ("sim", Part::Sim),
        ("browser", Part::Browser),
        ("sipp", Part::Sipp),
        ("turn", Part::Turn),
        ("siege", Part::Siege),
        ("counts", Part::Counts),
    ];

    fn needs_the_build(self) -> bool {
        match self {
            Part::Unit | Part::Sim | Part::Siege => true,
            Part::Browser | Part::Sipp | Part::Turn => scripts::server_of_its_own().is_none(),
            Part::Install | Part::Lint | Part::Audit | Part::Build | Part::Counts => false,
        }
    }

    /// In their own order, whatever the order of the names; the installation always comes first,
    /// and the build before what it is for.
    fn chosen(names: &[String]) -> Result<Vec<Part>, String> {
        if names.is_empty() {
            return Ok(Part::ALL.map(|(_, part)| part).to_vec());
        }
        let mut parts = vec![Part::Install];
        for name in names {
            let known = Part::ALL.iter().find(|(known, _)| known == name);
            let (_, part) = known.ok_or_else(|| {
                let all: Vec<&str> = Part::ALL.iter().map(|(name, _)| *name).collect();
                format!(
                    "there is no test step `{name}`; there are {}",
                    all.join(", ")
                )
            })?;
            parts.push(*part);
            if part.needs_the_build() {
                parts.push(Part::Build);
            }
        }
        parts.sort();
        parts.dedup();
        Ok(parts)
    }
}

fn lint(root: &Path) -> Result<(), String> {
    step("format", || cargo_in(root, &["fmt", "--all", "--check"]))?;
    step("clippy", || {
        let arguments = [
            "clippy",
            "--workspace",
            "--all-targets",
            // The only one that is off unless asked for.
            "--features",
            "offhook/heap-count",
            "--",
            "-D",
            "warnings",
        ];
        cargo_in(root, &arguments)
    })?;
    step("tidy", tidy::run)
}

/// The binaries and the test programs in one go: with the same features nothing is compiled a second time by the
/// steps that follow.
fn build(root: &Path) -> Result<(), String> {
    cargo_in(root, &["build", "--workspace", "--bins", "--tests"])
}

fn simulate(root: &Path) -> Result<(), String> {
    let program = workspace::target_folder(root)?.join("debug").join("sim");
    succeed(
        Command::new(program)
            .args(["soak", "--seconds", SIM_SECONDS])
            .current_dir(root),
    )
}

/// What strangers at full size do to clients that call, one test after the other, because they measure. The server is that of the
/// other tests: slower than what is shipped, so that whatever it stands the shipped one does.
fn besiege(root: &Path) -> Result<(), String> {
    let arguments = [
        "test",
        "--workspace",
        "--test",
        "command",
        "siege::",
        "--",
        "--ignored",
        "--test-threads=1",
        "--nocapture",
    ];
    cargo_in(root, &arguments)
}

fn cargo_in(root: &Path, arguments: &[&str]) -> Result<(), String> {
    succeed(cargo().args(arguments).current_dir(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn no_name_means_every_part() {
        assert_eq!(Part::chosen(&[]).unwrap().len(), Part::ALL.len());
    }

    #[test]
    fn parts_run_in_their_own_order_and_once() {
        let parts = Part::chosen(&names(&["sim", "unit", "sim"])).unwrap();
        assert_eq!(parts, [Part::Install, Part::Build, Part::Unit, Part::Sim]);
    }

    #[test]
    fn an_unknown_part_is_refused_by_name() {
        let sentence = Part::chosen(&names(&["units"])).unwrap_err();
        assert!(
            sentence.contains("`units`") && sentence.contains("sim, browser"),
            "{sentence}"
        );
    }
}
