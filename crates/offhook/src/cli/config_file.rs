//! The configuration file: TOML, one line for each key and a table for each service and each trunk, nothing that is not known.
//!
//! The tables are read by `config_service` and `config_trunk_table`. Says what is wrong by file, line and key; never guesses a value from a wrong one.

use std::path::{Path, PathBuf};

use node::wanted_service::WantedService;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::config_fault::Faults;
use super::config_key::{Form, Key, keys};
use super::config_layers::{Source, Sourced};
use super::config_service::{SERVICE, services};
use super::config_trunk_table::{FileTrunk, TRUNK, trunks};

/// The values of a configuration file, as texts.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    values: Vec<Entry>,
    services: Vec<WantedService>,
    trunks: Vec<FileTrunk>,
    faults: Faults,
}

#[derive(Debug)]
struct Entry {
    name: &'static str,
    text: String,
    line: usize,
}

impl ConfigFile {
    /// Reads the file; the error is a sentence.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            format!(
                "the configuration file {} cannot be read: {error}",
                path.display()
            )
        })?;
        Self::parse(path, &text)
    }

    /// Reads its text, as far as it is right: what is not is among its faults, unless it is no TOML at all.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let line_of = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(span.start));
            let message = error.message().replace('\n', ", ");
            let hint = error.span().and_then(|span| hint(text, span.start));
            let hint = hint.unwrap_or_default();
            format!("{} line {line} is no TOML: {message}{hint}", path.display())
        })?;
        let mut file = Self {
            path: path.to_path_buf(),
            values: Vec::new(),
            services: Vec::new(),
            trunks: Vec::new(),
            faults: Faults::default(),
        };
        // As they stand in the file, and so are their faults told.
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in entries {
            let line = line_of(name.span().start);
            match name.get_ref().as_ref() {
                SERVICE => file.services = services(value, path, &line_of, &mut file.faults),
                TRUNK => file.trunks = trunks(value, path, &line_of, &mut file.faults),
                name => {
                    let entry = entry(name, value.get_ref(), line, path);
                    file.values.extend(file.faults.take(entry));
                }
            }
        }
        Ok(file)
    }

    /// The same for tests of a single fault.
    #[cfg(test)]
    pub(super) fn sound(path: &Path, text: &str) -> Result<Self, String> {
        let file = Self::parse(path, text)?;
        file.faults.first().map(|()| file)
    }

    /// What is wrong with it.
    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The services that are to be there, in the order of the file.
    pub(crate) fn services(&self) -> &[WantedService] {
        &self.services
    }

    /// The trunks, in the order of the file.
    pub(crate) fn trunks(&self) -> &[FileTrunk] {
        &self.trunks
    }

    /// What the file says about this key.
    pub(crate) fn get(&self, key: &Key) -> Option<Sourced<String>> {
        let entry = self.values.iter().find(|entry| entry.name == key.name)?;
        Some(Sourced {
            value: entry.text.clone(),
            source: Source::File(self.path.clone(), entry.line),
        })
    }
}

/// What is to be said where a text stands without quotes.
fn hint(text: &str, at: usize) -> Option<&'static str> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(start..)?.lines().next()?;
    let (_, value) = line.split_once('=')?;
    let is_bare = value.trim_start().starts_with(|c: char| {
        c.is_alphanumeric() || matches!(c, '/' | '.' | '*' | '+' | ':' | '<' | '~')
    });
    let is_before = line.find('=')? < at - start;
    (is_bare && is_before).then_some("; texts stand in quotes")
}

/// A key of our own and its value.
fn entry(name: &str, value: &DeValue<'_>, line: usize, path: &Path) -> Result<Entry, String> {
    let at = format!("{} line {line}", path.display());
    let key = keys().find(|key| key.name == name).ok_or_else(|| {
        let known = keys().map(|key| key.name).chain([SERVICE, TRUNK]);
        unknown(&at, name, &known.collect::<Vec<_>>())
    })?;
    let text = text_of(key.form, value, path).ok_or_else(|| {
        format!(
            "{at}: {name} is not written right: it must be {}, such as {name} = {}",
            key.form.in_words(),
            key.example
        )
    })?;
    Ok(Entry {
        name: key.name,
        text,
        line,
    })
}

impl Form {
    /// What it is called in a sentence.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Text => "a text in quotes",
            Self::Path => "a path in quotes",
            Self::Switch => "true or false",
            Self::Number => "a whole number",
            Self::List => "a list of texts in quotes",
            Self::SwitchOrNumber => "true, false or a whole number of seconds",
            Self::Table => "a table of texts in quotes",
        }
    }
}

/// The value as the text that a flag would have; `None` if it is of another form.
pub(super) fn text_of(form: Form, value: &DeValue<'_>, file: &Path) -> Option<String> {
    match form {
        Form::Text => value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        // A path counts from the folder of the file, wherever the command runs.
        Form::Path => {
            let path = value.as_str().filter(|text| !text.is_empty())?;
            let folder = file.parent().unwrap_or(Path::new(""));
            folder.join(path).into_os_string().into_string().ok()
        }
        Form::Switch => value.as_bool().map(|is_on| is_on.to_string()),
        Form::SwitchOrNumber => {
            text_of(Form::Switch, value, file).or_else(|| text_of(Form::Number, value, file))
        }
        // Whoever wants one reads it as it is.
        Form::Table => None,
        Form::Number => {
            let number = value.as_integer()?;
            let number =
                i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()?;
            Some(number.to_string())
        }
        Form::List => {
            let texts = value.as_array()?.iter().map(Spanned::get_ref);
            let texts: Option<Vec<_>> = texts.map(|item| item.as_str()).collect();
            texts.map(|texts| texts.join(","))
        }
    }
}

/// What to say of a key that is not one of `known`.
pub(super) fn unknown(at: &str, name: &str, known: &[&str]) -> String {
    let mut near: Vec<_> = known
        .iter()
        .map(|key| (strsim::levenshtein(&name.replace('-', "_"), key), *key))
        .filter(|(distance, key)| *distance <= key.len() / 3 || is_part(name, key))
        .collect();
    near.sort_unstable();
    let (lead, names): (_, Vec<_>) = if near.is_empty() {
        ("the keys are", known.to_vec())
    } else {
        (
            "did you mean",
            near.into_iter().map(|(_, key)| key).collect(),
        )
    };
    let mark = if lead == "did you mean" { "?" } else { "" };
    format!(
        "{at}: there is no key {name:?}; {lead} {}{mark}",
        names.join(", ")
    )
}

/// Whether the known name begins with or contains what was written, such as `domain` for `domains`.
fn is_part(given: &str, known: &str) -> bool {
    given.len() >= 3 && known.contains(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        ConfigFile::sound(Path::new("offhook.toml"), text).unwrap_err()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_near_names() {
        assert_eq!(
            fault("# ours\nlisten = \"127.0.0.1:1\"\ntls-cert = \"c.pem\"\n"),
            "offhook.toml line 3: there is no key \"tls-cert\"; did you mean tls_cert?"
        );
        assert!(fault("lisen = 1").contains("did you mean listen?"));
        assert!(fault("domain = 1").contains("did you mean domains?"));
        assert!(fault("answer = 1").contains("did you mean no_answer_s?"));
        let sentence = fault("[database]\nurl = \"x\"");
        assert!(
            sentence.contains(
                "line 1: there is no key \"database\"; the keys are data, store, migrate, bus, listen"
            ),
            "{sentence}"
        );
    }

    #[test]
    fn a_value_of_another_form_is_told_with_an_example() {
        for (text, right) in [
            ("listen = 8080", "listen = \"127.0.0.1:8080\""),
            ("listen = \"\"", "a text in quotes"),
            ("tls_key = true", "a path in quotes"),
            ("behind_tls_proxy = \"true\"", "behind_tls_proxy = true"),
            ("no_answer_s = 1.5", "a whole number"),
            (
                "domains = \"a.example.com\"",
                "domains = [\"calls.example.com\"]",
            ),
            ("domains = [1]", "a list of texts"),
        ] {
            let sentence = fault(text);
            assert!(
                sentence.starts_with("offhook.toml line 1: ") && sentence.contains(right),
                "{sentence}"
            );
        }
    }

    #[test]
    fn text_that_is_no_toml_is_told_with_its_line() {
        let sentence = fault("listen = \"127.0.0.1:1\"\n= 3\n");
        assert!(
            sentence.starts_with("offhook.toml line 2 is no TOML: "),
            "{sentence}"
        );
        assert!(!sentence.contains('\n'), "{sentence}");
        assert!(fault("data = \"a\"\ndata = \"b\"").contains("line 2"));
    }

    #[test]
    fn a_text_without_quotes_is_told_to_have_them() {
        for text in [
            "listen = 127.0.0.1:8080",
            "demo = true\ndata = /var/lib/offhook",
            "data = offhook\n",
            "[[trunk]]\nname = provider",
            "turn_host = é",
        ] {
            let sentence = fault(text);
            let line = format!("line {} is no TOML: ", text.trim().lines().count());
            assert!(sentence.contains(&line), "{sentence}");
            assert!(sentence.ends_with("; texts stand in quotes"), "{sentence}");
        }
        for text in ["= 3", "listen = \"a", "a b", "domains = [\"a\"", "x ="] {
            assert!(!fault(text).contains("quotes"), "{}", fault(text));
        }
    }

    #[test]
    fn a_key_of_the_server_in_a_table_is_sent_above_it() {
        for heading in ["trunk", "service"] {
            let text = format!("demo = true\n[[{heading}]]\ntrunk_listen = \"127.0.0.1:5060\"");
            assert_eq!(
                fault(&text),
                format!(
                    "offhook.toml line 3: trunk_listen is a key of the server and stands above all tables; here it is one of [[{heading}]]"
                )
            );
        }
    }

    #[test]
    fn paths_count_from_the_folder_of_the_file() {
        let file = ConfigFile::parse(
            Path::new("/etc/offhook/o.toml"),
            "data = \"d\"\ntls_cert = \"/c.pem\"",
        );
        let file = file.unwrap();
        let text = |name| {
            let key = keys().find(|key| key.name == name).unwrap();
            file.get(key).unwrap().value
        };
        assert_eq!(text("data"), "/etc/offhook/d");
        assert_eq!(text("tls_cert"), "/c.pem");
    }
}
