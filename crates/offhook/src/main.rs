//! The command `offhook`: the server, and everything that is done to its store from a terminal.
//!
//! Reads flags, environment and file, calls the node, prints. Decides nothing about calls or tokens.

mod bench;
mod cli;
mod heap;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
