//! The project's chores, run as `cargo xtask <task>`: `test` installs what the tests need and runs them all, `tidy`
//! checks the rules of the house that no compiler knows, `audit` those of what it is built from, `fuzz` runs the fuzz targets for a while,
//! `bench-peers` compares with others,
//! `perf-check` counts instructions, `soak` asks whether everything comes back, `cluster` starts several servers that work as one.
//!
//! It never ships with the product and no crate depends on it.
#![expect(
    clippy::print_stdout,
    reason = "a chore speaks to the person who runs it"
)]

mod audit;
mod browser;
mod cluster;
mod counts;
mod fuzz;
mod install;
mod offhook;
mod peers;
mod scripts;
mod sipp;
mod soak;
mod step;
mod test;
mod tidy;
mod turn;
mod wheels;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test [install] [lint] [audit] [unit] [sim] [browser] [sipp] [turn] [siege] [counts]   all steps, or those that are named
cargo xtask tidy                                                  the rules of the house
cargo xtask audit                                                 licences, sources and known faults of the dependencies
cargo xtask fuzz [TARGET…] [--seconds N]                          every fuzz target, or those that are named, N seconds in all (default 60)
cargo xtask bench-peers [--rounds N] [--seconds N] [--clients N]  offhook and Kamailio under the same load, in turn
cargo xtask bench-peers media [--rounds N] [--seconds N] [--calls N]  our media gateway and rtpengine with the same packets, in turn
cargo xtask perf-check [--write]                                  instructions of the hot operations, compared with docs/instructions.txt
cargo xtask soak [--minutes N] [--seed N]                         load and kills; files, memory and tables must come back (default 60)
cargo xtask cluster [--nodes N]                                   three servers that work as one, on this machine, to try out (installs Redis and PostgreSQL)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    let outcome = match task {
        "test" => test::run(rest),
        "tidy" => tidy::run(),
        "audit" => audit::run(rest),
        "fuzz" => fuzz::run(rest),
        "bench-peers" => peers::run(rest),
        "perf-check" => counts::run(rest),
        "soak" => soak::run(rest),
        "cluster" => cluster::run(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(format!(
            "there is no task `{other}`. The tasks are:\n{USAGE}"
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}
