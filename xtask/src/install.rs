//! Installs what the tests need and the machine lacks: Debian packages, parts of the Rust toolchain, npm packages.
//!
//! It looks for programs, not for packages, so that a node from elsewhere is as good as Debian's. Nothing is
//! installed, and no package list fetched, when nothing is missing.

use std::path::Path;
use std::process::Command;

use crate::step::{cargo, find_program, output_of, succeed, works};

/// A program that the tests run, and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
}

const NEEDS: [Need; 12] = [
    Need {
        program: "chromium",
        package: "chromium",
    },
    Need {
        program: "chromium-headless-shell",
        package: "chromium-headless-shell",
    },
    Need {
        program: "node",
        package: "nodejs",
    },
    Need {
        program: "npm",
        package: "npm",
    },
    Need {
        program: "openssl",
        package: "openssl",
    },
    Need {
        program: "sipp",
        package: "sip-tester",
    },
    Need {
        program: "baresip",
        package: "baresip-core",
    },
    Need {
        program: "kamailio",
        package: "kamailio",
    },
    Need {
        program: "turnutils_uclient",
        package: "coturn",
    },
    Need {
        program: "ip",
        package: "iproute2",
    },
    // The server itself is not on the path: the tests of the store find it where Debian has it.
    Need {
        program: "pg_ctlcluster",
        package: "postgresql",
    },
    Need {
        program: "redis-server",
        package: "redis-server",
    },
];

/// Installs what is missing of programs and of the Rust toolchain.
pub(crate) fn programs() -> Result<(), String> {
    let missing = missing_packages(|program| find_program(program).is_some());
    if missing.is_empty() {
        println!("    every program that the tests need is here");
    } else {
        debian(&missing)?;
    }
    for component in ["fmt", "clippy"] {
        if !works(cargo().args([component, "--version"])) {
            rustup_add(component)?;
        }
    }
    Ok(())
}

/// Installs the packages of programs that are missing.
pub(crate) fn packages(needs: &[(&str, &[&str])]) -> Result<(), String> {
    let missing = needs
        .iter()
        .filter(|(program, _)| find_program(program).is_none());
    let packages: Vec<&str> = missing
        .flat_map(|(_, packages)| packages.iter().copied())
        .collect();
    if packages.is_empty() {
        Ok(())
    } else {
        debian(&packages)
    }
}

/// Installs the npm packages of `folder` exactly as its lock file names them, unless that was done already.
pub(crate) fn npm_packages(folder: &Path) -> Result<(), String> {
    if npm_packages_are_current(folder) {
        println!("    the npm packages are current");
        return Ok(());
    }
    succeed(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(folder),
    )
}

fn missing_packages(is_here: impl Fn(&str) -> bool) -> Vec<&'static str> {
    NEEDS
        .iter()
        .filter(|need| !is_here(need.program))
        .map(|need| need.package)
        .collect()
}

/// Installs Debian packages.
pub(crate) fn debian(packages: &[&str]) -> Result<(), String> {
    let wish = packages.join(" ");
    if find_program("apt-get").is_none() {
        return Err(format!(
            "this machine has no apt-get. Install what these Debian packages hold, and run this again: {wish}"
        ));
    }
    let is_root = output_of(Command::new("id").arg("-u"))?.trim() == "0";
    if !is_root && find_program("sudo").is_none() {
        return Err(format!(
            "packages are missing and we are neither root nor have sudo. As root, run: apt-get install {wish}"
        ));
    }
    let apt_get = || {
        let mut command = Command::new(if is_root { "env" } else { "sudo" });
        // Both take the variable as a word; sudo would not pass on ours.
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        command
    };
    succeed(apt_get().arg("update"))?;
    succeed(
        apt_get()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages),
    )
}

fn rustup_add(component: &str) -> Result<(), String> {
    let name = if component == "fmt" {
        "rustfmt"
    } else {
        component
    };
    if find_program("rustup").is_none() {
        return Err(format!(
            "`cargo {component}` is missing and there is no rustup. Install {name} for this toolchain"
        ));
    }
    succeed(Command::new("rustup").args(["component", "add", name]))
}

/// npm writes `node_modules/.package-lock.json` when it has finished; if that is newer than what it was made from,
/// there is nothing to do.
fn npm_packages_are_current(folder: &Path) -> bool {
    let changed = |name: &str| {
        std::fs::metadata(folder.join(name))
            .and_then(|file| file.modified())
            .ok()
    };
    let Some(installed) = changed("node_modules/.package-lock.json") else {
        return false;
    };
    ["package.json", "package-lock.json", ".npmrc"]
        .iter()
        .filter_map(|name| changed(name))
        .all(|source| source <= installed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_for_the_programs_that_lack() {
        assert!(missing_packages(|_| true).is_empty());
        assert_eq!(
            missing_packages(|program| program != "sipp"),
            ["sip-tester"]
        );
        assert_eq!(
            missing_packages(|program| !program.starts_with('n')),
            ["nodejs", "npm"]
        );
    }

    #[test]
    fn a_folder_without_node_modules_is_not_current() {
        assert!(!npm_packages_are_current(Path::new("/nonexistent")));
    }
}
