//! What an operator chooses about speech.

use std::path::{Path, PathBuf};

use crate::relay::Finding;

/// The program that speaks where it is there.
const USUAL: &str = "espeak-ng";

/// The configuration of speech.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpeechConfig {
    /// The program that makes a WAV file on its output of a text on its input, and its arguments; none: `espeak-ng`, if it is
    /// on the PATH.
    pub command: Option<Vec<String>>,
}

impl SpeechConfig {
    /// Program and arguments, if anything can speak.
    pub(super) fn program(&self) -> Option<Vec<String>> {
        match &self.command {
            Some(command) => Some(command.clone()).filter(|command| !command.is_empty()),
            None => is_on_path(USUAL).then(|| {
                [USUAL, "--stdin", "--stdout"]
                    .map(ToOwned::to_owned)
                    .to_vec()
            }),
        }
    }

    /// What is to be said of it at the start.
    pub(crate) fn finding(&self) -> Finding {
        let command = self.program();
        let Some(program) = command.as_deref().and_then(<[_]>::first) else {
            return Finding::Fact(format!(
                "speech: no program speaks, and text_to_say fails: install {USUAL} and start anew, or name one (--speech-command)"
            ));
        };
        match is_there(program) {
            true => Finding::Fact(format!("speech: texts are spoken by {program}")),
            false => Finding::Doubt(format!(
                "speech: texts are to be spoken by {program}, which is not there, and text_to_say fails: install it, or name another \
                 (--speech-command)"
            )),
        }
    }
}

/// As the system looks for it.
fn is_there(program: &str) -> bool {
    match program.contains('/') {
        true => Path::new(program).is_file(),
        false => is_on_path(program),
    }
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder: PathBuf| folder.join(program))
        .any(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_the_operators_is_taken_as_it_is() {
        let config = SpeechConfig {
            command: Some(vec!["say".to_owned(), "-q".to_owned()]),
        };
        assert_eq!(config.program().unwrap(), ["say", "-q"]);
        let nothing = SpeechConfig {
            command: Some(Vec::new()),
        };
        assert_eq!(nothing.program(), None);
        assert!(is_on_path("sh") && !is_on_path("offhook-speaks-not"));
    }

    #[test]
    fn it_is_said_who_speaks_and_what_helps_where_nobody_does() {
        let said = |command: &[&str]| {
            let command = command.iter().map(|word| (*word).to_owned()).collect();
            let config = SpeechConfig {
                command: Some(command),
            };
            let finding = config.finding();
            (finding.is_doubt(), finding.text().to_owned())
        };
        for program in ["sh", "/bin/sh"] {
            let text = format!("speech: texts are spoken by {program}");
            assert_eq!(said(&[program, "-c", "cat"]), (false, text));
        }
        for program in ["offhook-speaks-not", "/nowhere/speaks-not", "./speaks-not"] {
            let (is_doubt, text) = said(&[program]);
            assert!(is_doubt && text.contains(program), "{text}");
            assert!(
                text.contains("which is not there") && text.contains("--speech-command"),
                "{text}"
            );
        }
        let (is_doubt, text) = said(&[]);
        assert!(!is_doubt && text.contains("install espeak-ng"), "{text}");
    }
}
