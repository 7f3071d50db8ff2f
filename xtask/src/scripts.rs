//! Test scripts that node's own test runner plays against a server: the one that this workspace builds, or another that
//! the environment names.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::succeed;
use crate::workspace;

/// Names the server to test when it is not the one that this workspace builds.
const SERVER_VARIABLE: &str = "OFFHOOK_BIN";

/// The server that the environment names, so that none need be built.
pub(crate) fn server_of_its_own() -> Option<PathBuf> {
    std::env::var_os(SERVER_VARIABLE).map(PathBuf::from)
}

/// Runs every `*.test.mjs` of the folder, one file at a time.
pub(crate) fn run(root: &Path, folder: &Path) -> Result<(), String> {
    run_inside(&["env"], root, folder)
}

/// The same by a program that runs another one, given with its own words.
pub(crate) fn run_inside(words: &[&str], root: &Path, folder: &Path) -> Result<(), String> {
    let (program, words) = words.split_first().expect("a program has a name");
    let server = match server_of_its_own() {
        Some(path) => path,
        None => workspace::target_folder(root)?
            .join("debug")
            .join("offhook"),
    };
    if !server.is_file() {
        return Err(format!(
            "{} is not there; build it with `cargo build`, or name another in {SERVER_VARIABLE}",
            server.display()
        ));
    }
    // Files by name: versions of node differ in what they make of a folder.
    let tests = test_files(folder)?;
    succeed(
        Command::new(program)
            .args(words)
            .args([
                "node",
                "--test",
                "--test-concurrency=1",
                "--test-reporter=spec",
            ])
            .args(tests)
            .env(SERVER_VARIABLE, server)
            .current_dir(folder),
    )
}

fn test_files(folder: &Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| format!("{} cannot be listed: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".test.mjs"))
        .collect();
    if names.is_empty() {
        return Err(format!("{} holds no *.test.mjs", folder.display()));
    }
    names.sort();
    Ok(names)
}
