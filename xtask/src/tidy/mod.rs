//! `cargo xtask tidy`: the rules of the house that neither the compiler nor clippy knows. One module for each kind of
//! rule; each turns what it is given into findings and reads nothing itself, so that each is tested on a few lines.

mod arrows;
mod ledger;
mod links;
mod names;
mod purity;
mod rust_text;
mod source;

use std::fmt;

use crate::workspace;

/// One place where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// 1 for the first line, 0 for the file as a whole.
    line: usize,
    sentence: String,
    /// Whether it fails the run; otherwise it is only said.
    is_error: bool,
}

impl Finding {
    fn error(path: &str, line: usize, sentence: impl Into<String>) -> Finding {
        Finding {
            path: path.to_owned(),
            line,
            sentence: sentence.into(),
            is_error: true,
        }
    }

    fn warning(path: &str, line: usize, sentence: impl Into<String>) -> Finding {
        Finding {
            is_error: false,
            ..Finding::error(path, line, sentence)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_error { "error" } else { "warning" };
        match self.line {
            0 => write!(out, "{kind}: {}: {}", self.path, self.sentence),
            line => write!(out, "{kind}: {}:{line}: {}", self.path, self.sentence),
        }
    }
}

/// Checks the workspace and says what it finds.
pub(crate) fn run() -> Result<(), String> {
    let root = workspace::root();
    let files = workspace::source_files(&root)?;
    let metadata = workspace::metadata(&root)?;

    let mut findings = arrows::check(&metadata)?;
    findings.extend(purity::check(&metadata, &files)?);
    findings.extend(ledger::check(&files));
    findings.extend(links::check(&files, |path| root.join(path).exists()));
    for file in &files {
        findings.extend(names::check(&file.path));
        findings.extend(source::check(file));
    }

    for finding in &findings {
        println!("{finding}");
    }
    match findings.iter().filter(|finding| finding.is_error).count() {
        0 => Ok(()),
        1 => Err("tidy found one fault".to_owned()),
        count => Err(format!("tidy found {count} faults")),
    }
}
