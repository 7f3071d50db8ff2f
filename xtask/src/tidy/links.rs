//! Links in Markdown pages lead to files that exist. Links to other sites are not followed.

use super::Finding;
use crate::workspace::SourceFile;

/// Checks each Markdown page; `exists` is asked about paths from the root.
pub(super) fn check(files: &[SourceFile], exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.has_ending(&["md"])) {
        for (line, target) in links(&file.text) {
            let Some(path) = local_path(&file.path, target) else {
                continue;
            };
            if !exists(&path) {
                findings.push(Finding::error(
                    &file.path,
                    line,
                    format!("the link to `{target}` leads nowhere"),
                ));
            }
        }
    }
    findings
}

/// The targets of `[words](target)` outside code, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let is_code = line[..at].matches('`').count() % 2 == 1;
            let rest = &line[at + 2..];
            if !is_code && let Some(end) = rest.find(')') {
                // A title may follow the target.
                found.push((
                    index + 1,
                    rest[..end].split_whitespace().next().unwrap_or_default(),
                ));
            }
        }
    }
    found
}

/// The path from the root that a target means, or nothing if it is on another site or on the same page.
fn local_path(page: &str, target: &str) -> Option<String> {
    let path = target.split('#').next().unwrap_or_default();
    if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
        return None;
    }
    let mut parts: Vec<&str> = match path.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => page.split('/').collect(),
    };
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<usize> {
        let page = SourceFile {
            path: "docs/api.md".to_owned(),
            text: text.to_owned(),
        };
        let exists = |path: &str| ["README.md", "docs/compat.md"].contains(&path);
        check(&[page], exists)
            .into_iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn links_are_read_from_where_the_page_stands() {
        assert_eq!(
            faults("[a](compat.md) [b](../README.md#build) [c](./compat.md \"the ledger\")\n"),
            [0; 0]
        );
        assert_eq!(faults("one\n[a](README.md)\n"), [2]);
    }

    #[test]
    fn other_sites_anchors_and_code_are_left_alone() {
        let text = "[a](https://example.com/x) [b](#part) [c](mailto:a@b.c) `[d](nowhere)`\n```\n[e](nowhere)\n```\n";
        assert_eq!(faults(text), [0; 0]);
    }
}
