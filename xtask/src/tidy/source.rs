//! Rules about one file at a time: its length, its opening comment, and words and calls that do not belong in it.

use super::Finding;
use super::rust_text::RustText;
use crate::workspace::SourceFile;

/// Files should end here …
const LONG_FILE: usize = 600;
/// … and must end here.
const LONGEST_FILE: usize = 650;

/// Marks of unfinished work, written in halves so that this file does not break its own rule.
const MARKS: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// Scripts that run in the browsers of users, where timers belong.
const PRODUCT_SCRIPTS: [&str; 2] = ["sdk/js/src/", "console/"];

/// Every rule that looks at one file.
pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.has_ending(&["rs", "mjs", "js", "ts", "css", "html"]) {
        findings.extend(length(file));
    }
    if file.has_ending(&[
        "rs", "mjs", "js", "ts", "css", "html", "md", "toml", "sql", "sh", "yml",
    ]) {
        findings.extend(marks(file));
    }
    if file.has_ending(&["rs"]) {
        findings.extend(opening(file));
        findings.extend(calls(file));
    }
    if file.has_ending(&["mjs", "js"]) {
        findings.extend(script_waits(file));
        findings.extend(script_opening(file));
    }
    findings
}

fn length(file: &SourceFile) -> Option<Finding> {
    let lines = file.text.lines().count();
    let sentence = format!("{lines} lines are more than {LONG_FILE}; divide it by concern");
    if lines > LONGEST_FILE {
        Some(Finding::error(&file.path, 0, sentence))
    } else {
        (lines > LONG_FILE).then(|| Finding::warning(&file.path, 0, sentence))
    }
}

fn marks(file: &SourceFile) -> Vec<Finding> {
    numbered(&file.text)
        .flat_map(|(number, line)| {
            words(line)
                .filter(|word| MARKS.contains(word))
                .map(move |word| (number, word))
        })
        .map(|(number, word)| {
            Finding::error(
                &file.path,
                number,
                format!("`{word}`: do it now, or file an issue, and take the mark out"),
            )
        })
        .collect()
}

fn opening(file: &SourceFile) -> Option<Finding> {
    let begins = file.text.trim_start().starts_with("//!");
    (!begins).then(|| {
        Finding::error(
            &file.path,
            1,
            "a module opens with `//!` that says what it is and what it never does",
        )
    })
}

fn script_opening(file: &SourceFile) -> Option<Finding> {
    let begins = file.text.starts_with("//") || file.text.starts_with("/*");
    (!begins).then(|| {
        Finding::error(
            &file.path,
            1,
            "a file opens with a comment that says what it is",
        )
    })
}

fn calls(file: &SourceFile) -> Vec<Finding> {
    let only_tests = is_test_path(&file.path);
    let mut findings = Vec::new();
    for (number, line, is_test) in RustText::read(&file.text).lines() {
        let is_test = is_test || only_tests;
        if !is_test && line.contains(".unwrap()") {
            findings.push(Finding::error(
                &file.path,
                number,
                "`unwrap()` outside tests: return an error, or `expect(\"why it holds\")`",
            ));
        }
        if is_test && calls_function(line, "sleep") {
            findings.push(Finding::error(
                &file.path,
                number,
                "a test that sleeps: let it wait for what it waits for",
            ));
        }
    }
    findings
}

/// Scripts of the tests wait for conditions: only the harness may hold a timer, to bound such a wait.
fn script_waits(file: &SourceFile) -> Vec<Finding> {
    if PRODUCT_SCRIPTS
        .iter()
        .any(|folder| file.path.starts_with(folder))
    {
        return Vec::new();
    }
    let in_harness = file.path.contains("/harness/");
    numbered(&file.text)
        .filter(|(_, line)| {
            let sleeps = ["waitForTimeout(", "timers/promises", "sleep("]
                .iter()
                .any(|call| line.contains(call));
            sleeps || (!in_harness && line.contains("setTimeout("))
        })
        .map(|(number, _)| {
            Finding::error(
                &file.path,
                number,
                "a test that sleeps: let it wait for what it waits for",
            )
        })
        .collect()
}

/// Whether the whole file is tests: an integration test, a bench, or a module file of tests.
fn is_test_path(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
        || path.ends_with("_tests.rs")
}

fn calls_function(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let joined =
            before.is_some_and(|character| character.is_alphanumeric() || character == '_');
        !joined && line[at + name.len()..].trim_start().starts_with('(')
    })
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !(character.is_alphanumeric() || character == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, bool)> {
        let file = SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        check(&file)
            .into_iter()
            .map(|finding| (finding.line, finding.is_error))
            .collect()
    }

    #[test]
    fn a_module_must_open_with_its_own_words() {
        assert_eq!(found("crates/a/src/b.rs", "//! It is.\nfn a() {}\n"), []);
        assert_eq!(found("crates/a/src/b.rs", "fn a() {}\n"), [(1, true)]);
        assert_eq!(found("tests/browser/a.test.mjs", "// It is.\n"), []);
        assert_eq!(
            found("tests/browser/a.test.mjs", "import a from 'a';\n"),
            [(1, true)]
        );
    }

    #[test]
    fn a_long_file_is_told_and_a_longer_one_is_a_fault() {
        let text = |lines: usize| format!("//! It is.\n{}", "\n".repeat(lines - 1));
        assert_eq!(found("a.rs", &text(600)), []);
        assert_eq!(found("a.rs", &text(601)), [(0, false)]);
        assert_eq!(found("a.rs", &text(651)), [(0, true)]);
    }

    #[test]
    fn unwrap_is_for_tests() {
        let text = "//! It is.\nfn a() { b().unwrap(); }\n#[cfg(test)]\nmod tests { fn c() { b().unwrap(); } }\n";
        assert_eq!(found("crates/a/src/b.rs", text), [(2, true)]);
        assert_eq!(found("crates/a/tests/b.rs", text), []);
        assert_eq!(
            found(
                "crates/a/src/b.rs",
                "//! It is.\n// .unwrap() and \".unwrap()\"\n"
            ),
            []
        );
    }

    #[test]
    fn tests_do_not_sleep_but_the_rest_may() {
        let text =
            "//! It is.\nfn a() { sleep(b); }\n#[test]\nfn c() { tokio::time::sleep(b).await; }\n";
        assert_eq!(found("crates/a/src/b.rs", text), [(4, true)]);
        assert_eq!(
            found(
                "crates/a/tests/b.rs",
                "//! It is.\nuse std::thread::sleep;\nfn a() { asleep(); }\n"
            ),
            []
        );
    }

    #[test]
    fn scripts_do_not_sleep_and_only_the_harness_holds_timers() {
        for test in ["tests/browser/a.test.mjs", "sdk/js/test/a.test.mjs"] {
            assert_eq!(found(test, "// It is.\nsetTimeout(f, 5);\n"), [(2, true)]);
        }
        assert_eq!(
            found("sdk/js/src/a.js", "// It is.\nsetTimeout(f, 5);\n"),
            []
        );
        assert_eq!(
            found(
                "tests/browser/harness/a.mjs",
                "// It is.\nsetTimeout(f, 5);\n"
            ),
            []
        );
        assert_eq!(
            found(
                "tests/browser/harness/a.mjs",
                "// It is.\nawait page.waitForTimeout(5);\n"
            ),
            [(2, true)]
        );
    }

    #[test]
    fn marks_of_unfinished_work_are_faults_as_whole_words() {
        for mark in MARKS {
            assert_eq!(
                found("docs/a.md", &format!("It is.\n{mark}: more\n")),
                [(2, true)]
            );
            assert_eq!(found("docs/a.md", &format!("It is.\na{mark} more\n")), []);
        }
    }
}
