//! Names that say nothing about what is inside are not used for files, folders or modules.

use super::Finding;

/// Never a word of a name.
const NEVER: [&str; 7] = [
    "manager", "helper", "helpers", "util", "utils", "common", "misc",
];
/// Never the whole of a name; as a word of one they may come from an RFC, as in Call-Info.
const NEVER_ALONE: [&str; 2] = ["data", "info"];

/// Looks at each part of a path.
pub(super) fn check(path: &str) -> Vec<Finding> {
    path.split('/')
        .filter_map(|part| {
            let stem = part.split('.').next().unwrap_or(part);
            let word = stem
                .split(['_', '-'])
                .find(|word| NEVER.contains(word))
                .or_else(|| NEVER_ALONE.contains(&stem).then_some(stem))?;
            let sentence = format!("`{word}` names nothing: call `{part}` by what is inside");
            Some(Finding::error(path, 0, sentence))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_faults_wherever_they_stand() {
        for path in [
            "crates/a/src/utils.rs",
            "crates/common/src/lib.rs",
            "tests/browser/sip_helper.mjs",
            "a/data/b.rs",
        ] {
            assert_eq!(check(path).len(), 1, "{path}");
        }
    }

    #[test]
    fn names_that_only_contain_them_are_fine() {
        for path in [
            "crates/sip/src/header/call_info.rs",
            "crates/a/src/database.rs",
            "docs/utility.md",
            ".ci/run",
        ] {
            assert_eq!(check(path), [], "{path}");
        }
    }
}
