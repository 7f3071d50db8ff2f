//! The tests with SIPp and baresip, SIP implementations that share nothing with ours, against the built server. What applications are
//! asked is held against its schema, for which they need the npm packages of the browser tests.

use std::path::Path;

use crate::{install, scripts};

/// Installs npm packages where they are missing, and runs the tests.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    install::npm_packages(&root.join("tests").join("browser"))?;
    scripts::run(root, &root.join("tests").join("sipp"))
}
