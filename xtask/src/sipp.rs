//! The tests with SIPp, a SIP implementation that shares nothing with ours, against the built server. They need no npm
//! packages.

use std::path::Path;

use crate::scripts;

/// Runs the tests.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    scripts::run(root, &root.join("tests").join("sipp"))
}
