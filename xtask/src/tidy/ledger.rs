//! docs/compat.md, the ledger of what clients rely on: each line of its tables names a test, and that test exists. So does
//! each test that another page names in a table.
//!
//! A test is named in backquotes, in one of two ways: `crates/sip/src/parse.rs::name_of_the_function` (or, from a
//! crate's name, `sip::parse::tests::name_of_the_function`), or `tests/browser/call.test.mjs: title of the test`.

use super::Finding;
use crate::workspace::SourceFile;

const LEDGER: &str = "docs/compat.md";
/// Each of its promises names the tests that hold it.
const SECURITY: &str = "SECURITY.md";

/// Looks up every test that the ledger names.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    if !files.iter().any(|file| file.path == LEDGER) {
        return vec![Finding::error(LEDGER, 0, "the ledger is missing")];
    }
    files
        .iter()
        .filter(|file| {
            file.path.starts_with("docs/") && file.has_ending(&["md"]) || file.path == SECURITY
        })
        .flat_map(|page| check_page(page, files))
        .collect()
}

fn check_page(page: &SourceFile, files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, row) in rows(&page.text) {
        let names: Vec<TestName<'_>> = backquoted(row)
            .into_iter()
            .filter_map(TestName::read)
            .collect();
        if names.is_empty() && page.path == LEDGER {
            findings.push(Finding::error(
                LEDGER,
                line,
                "this line names no test in backquotes",
            ));
        }
        for name in names {
            if !name.exists_in(files) {
                findings.push(Finding::error(
                    &page.path,
                    line,
                    format!("there is no test {name:?}"),
                ));
            }
        }
    }
    findings
}

/// The rows of every table, without its head and the rule below it.
fn rows(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_row = |line: &str| line.starts_with('|');
    let is_rule =
        |line: &str| is_row(line) && line.chars().all(|character| "|-: ".contains(character));
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| is_row(line) && !is_rule(line))
        .filter(|(index, _)| !lines.get(index + 1).is_some_and(|next| is_rule(next)))
        .map(|(index, line)| (index + 1, *line))
        .collect()
}

fn backquoted(row: &str) -> Vec<&str> {
    row.split('`').skip(1).step_by(2).collect()
}

#[derive(Debug)]
enum TestName<'a> {
    /// A function in a file.
    InFile { path: &'a str, function: &'a str },
    /// A function somewhere in a crate.
    InCrate { name: &'a str, function: &'a str },
    /// A title in a script.
    Titled { path: &'a str, title: &'a str },
}

impl<'a> TestName<'a> {
    /// Nothing for backquoted words that name no test, such as a header field.
    fn read(words: &'a str) -> Option<TestName<'a>> {
        if let Some((path, title)) = words.split_once(": ")
            && ["tests/", "crates/", "sdk/"]
                .iter()
                .any(|room| path.starts_with(room))
        {
            return Some(TestName::Titled { path, title });
        }
        let (before, function) = words.rsplit_once("::")?;
        if !function
            .chars()
            .all(|character| character.is_alphanumeric() || character == '_')
        {
            return None;
        }
        if before.contains('/') {
            return Some(TestName::InFile {
                path: before,
                function,
            });
        }
        let name = before.split("::").next()?;
        Some(TestName::InCrate { name, function })
    }

    fn exists_in(&self, files: &[SourceFile]) -> bool {
        match self {
            TestName::InFile { path, function } => files
                .iter()
                .any(|file| file.path == *path && defines(&file.text, function)),
            TestName::InCrate { name, function } => {
                let (inner, tool) = (format!("crates/{name}/"), format!("{name}/src/"));
                files
                    .iter()
                    .filter(|file| file.has_ending(&["rs"]))
                    .filter(|file| file.path.starts_with(&inner) || file.path.starts_with(&tool))
                    .any(|file| defines(&file.text, function))
            }
            TestName::Titled { path, title } => files
                .iter()
                .any(|file| file.path == *path && file.text.contains(title)),
        }
    }
}

fn defines(text: &str, function: &str) -> bool {
    let definition = format!("fn {function}(");
    text.contains(&definition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(rows: &str) -> Vec<usize> {
        let file = |path: &str, text: &str| SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let files = [
            file(
                LEDGER,
                &format!("# Ledger\n\n| fact | test |\n|---|---|\n{rows}\n"),
            ),
            file("crates/sip/src/parse.rs", "fn folds() {}"),
            file(
                "tests/browser/call.test.mjs",
                "scenario('callee rejects: BUSY', f);",
            ),
        ];
        check(&files)
            .into_iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn tests_that_exist_are_found_by_file_by_crate_and_by_title() {
        assert_eq!(
            faults("| lines fold | `crates/sip/src/parse.rs::folds` |"),
            [0; 0]
        );
        assert_eq!(
            faults("| lines fold | `sip::parse::tests::folds` |"),
            [0; 0]
        );
        assert_eq!(
            faults("| `486` is busy | `tests/browser/call.test.mjs: callee rejects: BUSY` |"),
            [0; 0]
        );
    }

    #[test]
    fn tests_that_do_not_exist_are_faults() {
        assert_eq!(
            faults("| lines fold | `crates/sip/src/parse.rs::unfolds` |"),
            [5]
        );
        assert_eq!(faults("| lines fold | `sip::parse::tests::fold` |"), [5]);
        assert_eq!(
            faults("| busy | `tests/browser/call.test.mjs: callee answers` |"),
            [5]
        );
        assert_eq!(
            faults("| busy | `tests/browser/calls.test.mjs: callee rejects` |"),
            [5]
        );
    }

    #[test]
    fn tests_that_other_pages_name_must_exist_but_their_rows_need_none() {
        let page = SourceFile {
            path: "docs/sdk.md".to_owned(),
            text: "| a | b |\n|---|---|\n| x | `y` |\n| x | `sdk/js/test/a.test.mjs: b` |\n"
                .to_owned(),
        };
        let ledger = SourceFile {
            path: LEDGER.to_owned(),
            text: String::new(),
        };
        let lines: Vec<usize> = check(&[ledger, page]).iter().map(|f| f.line).collect();
        assert_eq!(lines, [4]);
    }

    #[test]
    fn a_row_without_a_test_is_a_fault_and_a_missing_ledger_too() {
        assert_eq!(faults("| lines fold | `Call-ID` |"), [5]);
        assert_eq!(check(&[]).len(), 1);
    }
}
