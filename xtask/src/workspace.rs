//! The workspace on disk: its root, its source files, and what cargo knows about it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::step::{cargo, output_of};

/// Folders that hold what was built, fetched or found, not what was written.
const NOT_SOURCE: [&str; 9] = [
    ".git",
    "target",
    "dist",
    "node_modules",
    "offhook-data",
    "artifacts",
    "corpus",
    "coverage",
    "captures",
];

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    // What cargo says as it runs us, not what it said as it built us: the folder may have been moved since.
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent()
        .expect("xtask stands in a folder of the workspace")
        .to_path_buf()
}

/// A text file of the workspace.
pub(crate) struct SourceFile {
    /// Path from the root, with `/` between its parts.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl SourceFile {
    /// Whether its name ends in one of these, each without the dot.
    pub(crate) fn has_ending(&self, endings: &[&str]) -> bool {
        self.path
            .rsplit_once('.')
            .is_some_and(|(_, ending)| endings.contains(&ending))
    }
}

/// Every text file that people wrote, in the order of their paths.
pub(crate) fn source_files(root: &Path) -> Result<Vec<SourceFile>, String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .map_err(|error| format!("{} cannot be listed: {error}", folder.display()))?;
        for entry in entries {
            let entry =
                entry.map_err(|error| format!("{} cannot be listed: {error}", folder.display()))?;
            let path = entry.path();
            let kind = entry
                .file_type()
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            if kind.is_dir() {
                let name = entry.file_name();
                if !NOT_SOURCE.iter().any(|skipped| name == *skipped) {
                    folders.push(path);
                }
            } else if kind.is_file()
                // What is not UTF-8 is no text of ours.
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                files.push(SourceFile {
                    path: relative(root, &path),
                    text,
                });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// What `cargo metadata` says, for this machine's platform only.
pub(crate) fn metadata(root: &Path) -> Result<Value, String> {
    let host = output_of(std::process::Command::new("rustc").arg("-vV"))?
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .ok_or("`rustc -vV` names no host")?;
    let text = output_of(
        cargo()
            .args([
                "metadata",
                "--format-version",
                "1",
                "--filter-platform",
                &host,
            ])
            .current_dir(root),
    )?;
    serde_json::from_str(&text).map_err(|error| format!("`cargo metadata` wrote no JSON: {error}"))
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder(root: &Path) -> Result<PathBuf, String> {
    let text = output_of(
        cargo()
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .current_dir(root),
    )?;
    serde_json::from_str::<Value>(&text)
        .ok()
        .and_then(|value| value["target_directory"].as_str().map(PathBuf::from))
        .ok_or_else(|| "`cargo metadata` names no target folder".to_owned())
}

fn relative(root: &Path, path: &Path) -> String {
    let parts: Vec<_> = path
        .strip_prefix(root)
        .unwrap_or(path)
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_this_file_and_the_listing_finds_it() {
        let files = source_files(&root()).unwrap();
        let own = files
            .iter()
            .find(|file| file.path == "xtask/src/workspace.rs")
            .unwrap();
        assert!(own.text.starts_with("//! The workspace on disk"));
        assert!(own.has_ending(&["mjs", "rs"]));
        assert!(!own.has_ending(&["s"]));
        assert!(
            files
                .iter()
                .all(|file| !file.path.contains("node_modules/"))
        );
    }
}
