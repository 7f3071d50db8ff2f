//! The command line: its words, and which of them does what.
//!
//! Exit codes: 0 done, 1 it failed, 2 it was asked for wrongly. Errors are one sentence on stderr; where a configuration has several faults,
//! one for each.

mod account;
mod backup;
mod calls;
mod clients;
mod config;
mod config_bus;
mod config_check;
mod config_environment;
mod config_fault;
mod config_file;
mod config_key;
mod config_layers;
mod config_media;
mod config_media_key;
mod config_service;
mod config_store;
mod config_table;
mod config_trunk;
mod config_trunk_key;
mod config_trunk_peer;
mod config_trunk_table;
mod config_trunk_word;
mod config_turn;
mod config_turn_key;
mod drain;
mod key;
mod opened;
pub(crate) mod output;
mod serve;
mod service;
mod status;
mod store;
mod token;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::config_key::ServeFlags;
use crate::bench;

/// Runs what the arguments of the process say.
pub(crate) fn run() -> ExitCode {
    let done = match CommandLine::read(std::env::args_os()) {
        Ok(line) => line.run(),
        // Help and version are asked for; they come this way as well.
        Err(answer) => told(&answer),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure
                .sentences()
                .iter()
                .for_each(|sentence| output::print_error(sentence));
            failure.exit_code()
        }
    }
}

/// Prints what the parser of the command line has to say: help as it is, a fault as one sentence.
fn told(answer: &clap::Error) -> Result<(), Failure> {
    if let Some(better) = better_tip(answer) {
        return Err(Failure::usage(better));
    }
    if answer.use_stderr() {
        return Err(Failure::usage(one_sentence(&answer.render().to_string())));
    }
    Ok(answer.print()?)
}

/// What the parser cannot know of words that are no command: what people mean by them.
fn better_tip(answer: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(word)) = answer.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    match word.as_str() {
        "true" | "false" | "yes" | "no" => Some(format!(
            "{word:?} stands alone: a switch has its value behind an equals sign, such as --demo={word}"
        )),
        "start" | "run" | "server" | "up" => Some(format!(
            "there is no command {word:?}: `offhook serve` serves, as `offhook` alone does"
        )),
        _ => None,
    }
}

/// The parser's lines up to its summary of the usage, joined.
fn one_sentence(fault: &str) -> String {
    let lines = fault
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"));
    let mut sentence = String::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("For more")) {
        let joint = if sentence.is_empty() {
            ""
        } else if sentence.ends_with(':') {
            " "
        } else {
            "; "
        };
        sentence.push_str(joint);
        sentence.push_str(line);
    }
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    format!("{sentence}; --help tells what is right")
}

/// A WebRTC softswitch: browsers get tokens, register and call each other.
///
/// Without a command it serves, as `offhook serve` does.
#[derive(Parser)]
#[command(
    name = "offhook",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct CommandLine {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    serve: ServeFlags,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where the store and the configuration are.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Place {
    /// Keep everything in this folder [env: OFFHOOK_DATA] [default: ./offhook-data]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data: Option<PathBuf>,
    /// Keep accounts, keys, services, usage and call records in this PostgreSQL database instead:
    /// postgres://user:password@host/database [env: OFFHOOK_STORE, which keeps the password from other users of this machine]
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) store: Option<Hidden>,
    /// Bring the tables of the database to the form of this version as it is opened [env: OFFHOOK_MIGRATE] [default: true]
    #[arg(long, value_name = "true|false", global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) migrate: Option<String>,
    /// Read this configuration file [env: OFFHOOK_CONFIG] [default: ./offhook.toml, if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
}

/// What was typed and may hold a password: `Debug` does not show it.
#[derive(Clone)]
pub(crate) struct Hidden(pub(crate) String);

impl std::str::FromStr for Hidden {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

#[derive(Subcommand)]
enum Command {
    /// Serve: web services, and the WebRTC interface for browsers
    Serve(ServeFlags),
    /// Make, list and change accounts
    #[command(subcommand)]
    Account(account::Command),
    /// Make, list, show and remove the services of an account
    #[command(subcommand)]
    Service(service::Command),
    /// Rotate the keys of an account
    #[command(subcommand)]
    Key(key::Command),
    /// Make tokens without the web service, and take tokens back
    #[command(subcommand)]
    Token(token::Command),
    /// Show the clients that are registered for calls
    #[command(subcommand)]
    Clients(clients::Command),
    /// Show the calls that were made
    #[command(subcommand)]
    Calls(calls::Command),
    /// Look at the configuration
    #[command(subcommand)]
    Config(config_check::Command),
    /// Copy what is kept from one store to another
    #[command(subcommand)]
    Store(store::Command),
    /// Bring the tables of the database to the form of this version
    Migrate,
    /// Show what a running server holds and has counted
    Status(status::Flags),
    /// Have a running server take nothing new, hand on what it can, and end when nothing is left
    Drain(drain::Flags),
    /// Copy the store, and the files of accounts, while a server runs
    Backup(backup::Flags),
    /// Put load on a server, this one or another, and measure it
    #[command(subcommand)]
    Bench(bench::Command),
}

impl CommandLine {
    fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        // A command that lacks its second word is told as that, and not by its help.
        let command = Self::command().mut_subcommands(|each| each.arg_required_else_help(false));
        Self::from_arg_matches(&command.try_get_matches_from(words)?)
    }

    fn run(self) -> Result<(), Failure> {
        let Self {
            place,
            serve,
            command,
        } = self;
        match command {
            None => serve::run(&place, &serve),
            Some(Command::Serve(flags)) => serve::run(&place, &flags.or(serve)),
            Some(Command::Config(command)) => command.run(&place, serve),
            Some(command) => match serve.first_given() {
                None => command.run(&place),
                Some(flag) => Err(Failure::usage(format!(
                    "{flag} is a flag of `offhook serve` only"
                ))),
            },
        }
    }
}

impl Command {
    fn run(self, place: &Place) -> Result<(), Failure> {
        match self {
            Self::Serve(flags) => serve::run(place, &flags),
            Self::Config(command) => command.run(place, ServeFlags::default()),
            Self::Account(command) => in_runtime(command.run(place)),
            Self::Service(command) => in_runtime(command.run(place)),
            Self::Key(command) => in_runtime(command.run(place)),
            Self::Token(command) => in_runtime(command.run(place)),
            Self::Clients(command) => in_runtime(command.run(place)),
            Self::Calls(command) => in_runtime(command.run(place)),
            Self::Store(command) => in_runtime(command.run()),
            Self::Migrate => in_runtime(store::migrate(place)),
            Self::Status(flags) => in_runtime(flags.run(place)),
            Self::Drain(flags) => in_runtime(flags.run(place)),
            Self::Backup(flags) => in_runtime(flags.run(place)),
            Self::Bench(command) => command.run(),
        }
    }
}

/// Runs a short command; the server has a runtime of its own with a thread for each core.
fn in_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was asked for wrongly: exit code 2.
    Usage(anyhow::Error),
    /// All that is wrong with the configuration: exit code 2.
    Faults(Vec<String>),
    /// It could not be done: exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self::Usage(anyhow::Error::msg(sentence.into()))
    }

    pub(crate) fn failed(sentence: impl Into<String>) -> Self {
        Self::Failed(anyhow::Error::msg(sentence.into()))
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::Faults(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::from(1),
        }
    }

    /// What is told, line by line.
    fn sentences(&self) -> Vec<String> {
        match self {
            Self::Usage(error) | Self::Failed(error) => vec![with_causes(error)],
            Self::Faults(sentences) => sentences.clone(),
        }
    }

    #[cfg(test)]
    fn sentence(&self) -> String {
        self.sentences().join("\n")
    }
}

/// The error and its causes, joined by ': '; a cause that the text before it tells already is left out.
fn with_causes(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if sentence.is_empty() {
            sentence = cause;
        } else if !sentence.contains(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    sentence
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_command_line_do_not_contradict_each_other() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_fault_of_the_command_line_is_one_sentence() {
        let sentence = |words: &[&str]| {
            let words = ["offhook"].into_iter().chain(words.iter().copied());
            let Err(fault) = CommandLine::read(words.map(OsString::from)) else {
                panic!("it must not be accepted");
            };
            told(&fault).unwrap_err().sentence()
        };
        let missing = sentence(&["account", "create", "--username", "a"]);
        assert_eq!(
            missing,
            "the following required arguments were not provided: --cloud-id <CLOUD_ID>; --help tells what is right"
        );
        let similar = sentence(&["serve", "--lisen", "x"]);
        assert!(
            similar.contains("'--lisen' found; tip: a similar argument exists: '--listen'"),
            "{similar}"
        );
        assert!(!similar.contains('\n'), "{similar}");
        for command in ["account", "key", "token", "clients", "calls", "config"] {
            let alone = sentence(&[command]);
            assert!(alone.contains("requires a subcommand"), "{alone}");
        }
        let switch = sentence(&["--softphone", "false"]);
        assert!(switch.contains("behind an equals sign"), "{switch}");
        let start = sentence(&["start"]);
        assert!(start.contains("`offhook serve` serves"), "{start}");
    }

    #[test]
    fn an_error_and_its_causes_make_one_sentence() {
        let cause = anyhow::Error::msg("the folder is not writable");
        let failure = Failure::from(cause.context("the store cannot be opened"));
        assert_eq!(
            failure.sentence(),
            "the store cannot be opened: the folder is not writable"
        );
        let told = anyhow::Error::msg("disk full").context("it cannot be written: disk full");
        assert_eq!(
            Failure::Failed(told).sentence(),
            "it cannot be written: disk full"
        );
    }
}
