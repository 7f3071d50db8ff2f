//! Where values are said: flags before environment before file before default, each value with its source.
//!
//! Knows the texts, and never what they mean.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

use node::wanted_service::WantedService;

use super::config_environment::note_misspelt;
use super::config_fault::Faults;
use super::config_file::ConfigFile;
use super::config_key::{Key, ServeFlags};
use super::config_trunk_table::FileTrunk;
use super::{Failure, Place};

const DEFAULT_DATA: &str = "./offhook-data";
const DEFAULT_FILE: &str = "offhook.toml";

/// Where a value comes from, strongest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// This flag.
    Flag(&'static str),
    /// This environment variable.
    Environment(&'static str),
    /// This line of the configuration file.
    File(PathBuf, usize),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => f.write_str(flag),
            Self::Environment(variable) => f.write_str(variable),
            Self::File(path, line) => write!(f, "{} line {line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sourced<T> {
    pub(crate) value: T,
    pub(crate) source: Source,
}

/// The environment, as far as it is ours to read; a variable that is empty counts as not set.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The three places where values can be said.
pub(crate) struct Layers<'a> {
    place: &'a Place,
    flags: &'a ServeFlags,
    environment: Environment<'a>,
    file: Option<ConfigFile>,
    /// What is wrong with them, as far as they were read.
    faults: RefCell<Faults>,
}

impl<'a> Layers<'a> {
    /// Reads the configuration file, if one is named or stands in the working folder. What is wrong in it is told by
    /// [`sound`](Self::sound), with all the rest.
    pub(crate) fn read(
        place: &'a Place,
        flags: &'a ServeFlags,
        environment: Environment<'a>,
    ) -> Result<Self, Failure> {
        let named = place.config.clone().or_else(|| {
            environment("OFFHOOK_CONFIG")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        });
        let path = named.or_else(|| {
            let default = PathBuf::from(DEFAULT_FILE);
            default.exists().then_some(default)
        });
        let file = path
            .as_deref()
            .map(ConfigFile::read)
            .transpose()
            .map_err(Failure::usage)?;
        Ok(Self::new(place, flags, environment, file))
    }

    pub(super) fn new(
        place: &'a Place,
        flags: &'a ServeFlags,
        environment: Environment<'a>,
        file: Option<ConfigFile>,
    ) -> Self {
        let faults = file.as_ref().map(ConfigFile::faults).cloned();
        Self {
            place,
            flags,
            environment,
            file,
            faults: RefCell::new(faults.unwrap_or_default()),
        }
    }

    /// Variables of this process that are misspelt are faults as well.
    pub(crate) fn check_environment(&self) {
        note_misspelt(&mut self.faults.borrow_mut());
    }

    /// Nothing, if nothing was found that is wrong.
    pub(crate) fn sound(&self) -> Result<(), Failure> {
        self.faults.borrow().sound()
    }

    /// The folder of the store.
    pub(crate) fn data(&self) -> Sourced<PathBuf> {
        if let Some(data) = &self.place.data {
            return Sourced {
                value: data.clone(),
                source: Source::Flag(Key::DATA.flag),
            };
        }
        self.text(&Key::DATA).map_or_else(
            || Sourced {
                value: PathBuf::from(DEFAULT_DATA),
                source: Source::Default,
            },
            |text| Sourced {
                value: PathBuf::from(text.value),
                source: text.source,
            },
        )
    }

    /// The services of the file, the one place where they can be said.
    pub(crate) fn services(&self) -> &[WantedService] {
        self.file.as_ref().map_or(&[], ConfigFile::services)
    }

    /// The trunks of the file, the one place where they can be said.
    pub(crate) fn trunks(&self) -> &[FileTrunk] {
        self.file.as_ref().map_or(&[], ConfigFile::trunks)
    }

    pub(super) fn text(&self, key: &Key) -> Option<Sourced<String>> {
        let of = |source: Source| move |value: String| Sourced { value, source };
        let beside = match key.name {
            "store" => self.place.store.as_ref().map(|url| url.0.clone()),
            "migrate" => self.place.migrate.clone(),
            _ => None,
        };
        let flag = beside.or_else(|| self.flags.text(key));
        let flag = flag.map(of(Source::Flag(key.flag)));
        let variable = || {
            let text = (self.environment)(key.variable).filter(|text| !text.is_empty());
            text.map(of(Source::Environment(key.variable)))
        };
        flag.or_else(variable)
            .or_else(|| self.file.as_ref()?.get(key))
    }

    /// The value of a key; where it is wrong that is noted, and the default stands for it.
    pub(super) fn parse<T>(
        &self,
        key: &Key,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Sourced<T> {
        let Some(Sourced { value, source }) = self.text(key) else {
            return Sourced {
                value: default,
                source: Source::Default,
            };
        };
        let parsed =
            parse(&value).map_err(|rule| format!("{source}: {value:?} will not do: {rule}"));
        let value = self.take(parsed).unwrap_or(default);
        Sourced { value, source }
    }

    /// What was read; what is wrong is noted instead.
    pub(super) fn take<T>(&self, read: Result<T, String>) -> Option<T> {
        self.faults.borrow_mut().take(read)
    }
}
