//! Python programs and libraries from PyPI, as wheels, in a folder of their own below the target folder.
//!
//! Each is pinned by version and hash in a file of requirements; nothing is built, and nothing of the system is changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install;
use crate::step::{succeed, works};
use crate::workspace;

/// The folder with their programs, Python among them. What `requirements`, a path from the root, pins is installed into `folder`
/// of the target folder, if it is not there as it is pinned.
pub(crate) fn install(root: &Path, requirements: &str, folder: &str) -> Result<PathBuf, String> {
    let place = workspace::target_folder(root)?.join(folder);
    let wanted = read(&root.join(requirements))?;
    let mark = place.join("installed");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        println!("    what {requirements} pins is current");
        return Ok(place.join("bin"));
    }
    // Debian keeps it in a package of its own.
    if !works(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        install::debian(&["python3-venv"])?;
    }
    succeed(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&place),
    )?;
    succeed(
        Command::new(place.join("bin").join("pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args([
                "--require-hashes",
                "--only-binary=:all:",
                "--requirement",
                requirements,
            ])
            .current_dir(root),
    )?;
    std::fs::write(&mark, wanted)
        .map_err(|error| format!("{} cannot be written: {error}", mark.display()))?;
    Ok(place.join("bin"))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wheel_is_pinned_by_version_and_hash() {
        for file in ["xtask/src/audit/tools.txt", "tests/browser/flask.txt"] {
            let wanted = read(&workspace::root().join(file)).unwrap();
            let rows: Vec<&str> = wanted
                .lines()
                .filter(|line| !line.starts_with('#'))
                .collect();
            let entries = rows.iter().filter(|row| row.contains("=="));
            let hashes = rows.iter().filter(|row| row.contains("--hash=sha256:"));
            assert!(entries.count() >= 2, "{file}");
            assert!(hashes.count() >= 2, "{file}");
            for pair in rows.windows(2).filter(|pair| pair[0].contains("==")) {
                assert!(pair[1].contains("--hash=sha256:"), "{file}: {}", pair[0]);
            }
        }
    }

    #[test]
    fn requirements_that_are_not_there_are_named() {
        let sentence = install(&workspace::root(), "xtask/none.txt", "none").unwrap_err();
        assert!(sentence.contains("none.txt"), "{sentence}");
    }
}
