//! The tests of the relay: coturn's clients, browsers that have no other way, and attackers, against the built server.
//!
//! They run in a network namespace of their own, which ends with them: nothing there is anybody else's.

use std::path::Path;
use std::process::Command;

use crate::step::output_of;
use crate::{install, scripts};

/// Installs the npm packages that drive Chromium where they are missing, and runs the tests.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    install::npm_packages(&root.join("tests").join("browser"))?;
    let is_root = output_of(Command::new("id").arg("-u"))?.trim() == "0";
    let words: &[&str] = if is_root {
        &["unshare", "--net", "--"]
    } else {
        &["unshare", "--user", "--map-root-user", "--net", "--"]
    };
    scripts::run_inside(words, root, &root.join("tests").join("turn"))
}
