//! The browser side: the library's own tests, and the black-box tests of stock SDK, library and softphone page in
//! Chromium against the built server.

use std::path::Path;

use crate::{install, scripts, wheels};

/// What the samples in Python need.
const FLASK: &str = "tests/browser/flask.txt";
/// Tells the tests which Python has it.
const PYTHON_VARIABLE: &str = "OFFHOOK_PYTHON";

/// Installs npm packages and Flask where they are missing, and runs the tests.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let folder = root.join("tests").join("browser");
    install::npm_packages(&folder)?;
    let python = wheels::install(root, FLASK, "flask")?.join("python");
    let python = format!("{PYTHON_VARIABLE}={}", python.display());
    scripts::run(root, &root.join("sdk").join("js").join("test"))?;
    // One file at a time is a must here: two browsers that encode video on two cores would slow each other into their
    // time-outs.
    scripts::run_inside(&["env", &python], root, &folder)
}
