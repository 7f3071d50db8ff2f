//! What an operator chooses about speech.

use std::path::PathBuf;

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
}
