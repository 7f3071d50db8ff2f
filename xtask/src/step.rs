//! One step of a task: announced, timed, and named when it fails.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// Runs `work` as the step `name`: says that it begins, and how long it took.
pub(crate) fn run(name: &str, work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    println!("==> {name}");
    let begun = Instant::now();
    let outcome = work();
    let seconds = begun.elapsed().as_secs_f64();
    match outcome {
        Ok(()) => {
            println!("<== {name}: done in {seconds:.1} s");
            Ok(())
        }
        Err(sentence) => Err(format!(
            "step `{name}` failed after {seconds:.1} s: {sentence}"
        )),
    }
}

/// Runs a command with our own input and output, and wants it to succeed.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let words = words_of(command);
    println!("    {words}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{words}` ended with {status}")),
        Err(error) => Err(format!("`{words}` could not be started: {error}")),
    }
}

/// Runs a command quietly and gives back what it wrote to its standard output.
pub(crate) fn output_of(command: &mut Command) -> Result<String, String> {
    let words = words_of(command);
    let output = command
        .output()
        .map_err(|error| format!("`{words}` could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "`{words}` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| format!("`{words}` wrote something that is not UTF-8"))
}

/// Whether a command starts and succeeds; used to ask whether a tool is there.
pub(crate) fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The cargo that runs us, so that a chosen toolchain stays chosen.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Where a program is on the search path, if it is there.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

fn words_of(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program
        .file_name()
        .unwrap_or(OsStr::new("?"))
        .to_string_lossy();
    command
        .get_args()
        .fold(program.into_owned(), |mut words, argument| {
            words.push(' ');
            words.push_str(&argument.to_string_lossy());
            words
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_is_named() {
        let sentence = run("lint", || Err("it is untidy".into())).unwrap_err();
        assert!(sentence.starts_with("step `lint` failed"), "{sentence}");
        assert!(sentence.ends_with("it is untidy"), "{sentence}");
    }

    #[test]
    fn a_command_that_fails_is_quoted() {
        let sentence = succeed(Command::new("false").arg("now")).unwrap_err();
        assert!(sentence.contains("`false now` ended with"), "{sentence}");
    }

    #[test]
    fn a_program_that_is_not_there_is_not_found() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-program-has-this-name").is_none());
        assert!(!works(&mut Command::new("no-program-has-this-name")));
    }
}
