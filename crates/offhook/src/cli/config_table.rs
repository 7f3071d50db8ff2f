//! A table of the configuration file with a heading such as `[[service]]`: its values by key.
//!
//! Says what is wrong by file, line and key; what the keys are and mean is said where the tables are read.

use std::fmt;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::config_fault::Faults;
use super::config_file::{text_of, unknown};
use super::config_key::Form;

/// One key of a table.
pub(super) struct TableKey {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// A right value, as it stands in the file.
    pub(super) example: &'static str,
}

impl TableKey {
    pub(super) const fn new(name: &'static str, form: Form, example: &'static str) -> Self {
        Self {
            name,
            form,
            example,
        }
    }

    pub(super) const fn text(name: &'static str, example: &'static str) -> Self {
        Self::new(name, Form::Text, example)
    }
}

/// One of the tables.
pub(super) struct FileTable<'a> {
    pub(super) values: &'a DeTable<'a>,
    /// What stands above it, which is also what it is called.
    heading: &'static str,
    /// Where it begins.
    at: usize,
    file: &'a Path,
    line_of: &'a dyn Fn(usize) -> usize,
}

impl<'a> FileTable<'a> {
    /// Every table with this heading, of which `value` is the array.
    pub(super) fn each(
        value: &'a Spanned<DeValue<'a>>,
        heading: &'static str,
        file: &'a Path,
        line_of: &'a dyn Fn(usize) -> usize,
    ) -> Result<Vec<Self>, String> {
        let as_tables = || {
            format!(
                "{} line {}: each {heading} is a table of its own, which begins with [[{heading}]]",
                file.display(),
                line_of(value.span().start)
            )
        };
        let items = value.get_ref().as_array().ok_or_else(as_tables)?;
        let tables = items.iter().map(|item| {
            Ok(Self {
                values: item.get_ref().as_table().ok_or_else(as_tables)?,
                heading,
                at: item.span().start,
                file,
                line_of,
            })
        });
        tables.collect()
    }

    /// What is written, where its form is right.
    pub(super) fn text(&self, key: &TableKey) -> Result<Option<String>, String> {
        let Some(value) = self.values.get(key.name) else {
            return Ok(None);
        };
        text_of(key.form, value.get_ref(), self.file)
            .map(Some)
            .ok_or_else(|| self.misformed(key))
    }

    /// The texts of a list, one by one: a comma may stand in any of them.
    pub(super) fn texts(&self, key: &TableKey) -> Result<Option<Vec<&str>>, String> {
        // Checks the form.
        if self.text(key)?.is_none() {
            return Ok(None);
        }
        let items = self.values.get(key.name).map(Spanned::get_ref);
        let items = items.and_then(DeValue::as_array).into_iter().flatten();
        let texts = items.filter_map(|item| item.get_ref().as_str());
        Ok(Some(texts.collect()))
    }

    /// What to say of a value of another form.
    pub(super) fn misformed(&self, key: &TableKey) -> String {
        format!(
            "{}: {} is not written right: it must be {}, such as {} = {}",
            self.line(key),
            key.name,
            key.form.in_words(),
            key.name,
            key.example
        )
    }

    pub(super) fn named<T, E: fmt::Display>(
        &self,
        key: &TableKey,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, String> {
        let value = self.text(key)?.map(|text| parse(&text)).transpose();
        value.map_err(|error| format!("{}: {error}", self.line(key)))
    }

    pub(super) fn worded<T>(
        &self,
        key: &TableKey,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        parse(&text)
            .map(Some)
            .map_err(|rule| format!("{}: {text:?} will not do: {rule}", self.line(key)))
    }

    /// Notes keys that nobody knows; whether there is none.
    pub(super) fn note_unknown(&self, keys: &[&TableKey], faults: &mut Faults) -> bool {
        let names = self.values.keys();
        let stray = names.filter(|name| keys.iter().all(|key| key.name != name.get_ref().as_ref()));
        let mut stray: Vec<_> = stray.collect();
        stray.sort_by_key(|name| name.span().start);
        let known: Vec<_> = keys.iter().map(|key| key.name).collect();
        for name in &stray {
            let at = self.at(name.span().start);
            faults.note(unknown(&at, name.get_ref(), &known));
        }
        stray.is_empty()
    }

    /// What must be there; that it is missing is not noted where it may stand under a wrong name.
    pub(super) fn needed<T>(
        &self,
        key: &TableKey,
        read: Result<Option<T>, String>,
        is_known: bool,
        faults: &mut Faults,
    ) -> Option<T> {
        let read = faults.take(read)?;
        if read.is_none() && is_known {
            faults.note(self.lacks(key));
        }
        read
    }

    pub(super) fn lacks(&self, key: &TableKey) -> String {
        format!(
            "{}: a {} needs {}, such as {} = {}",
            self.place(),
            self.heading,
            key.name,
            key.name,
            key.example
        )
    }

    /// File and line of its heading.
    pub(super) fn place(&self) -> String {
        self.at(self.at)
    }

    /// File and line of a key that is there.
    pub(super) fn line(&self, key: &TableKey) -> String {
        self.at(self.offset(key))
    }

    /// Of that which stands further down.
    pub(super) fn later(&self, one: &TableKey, other: &TableKey) -> String {
        self.at(self.offset(one).max(self.offset(other)))
    }

    fn offset(&self, key: &TableKey) -> usize {
        let entry = self.values.get_key_value(key.name);
        entry.map_or(self.at, |(name, _)| name.span().start)
    }

    pub(super) fn at(&self, offset: usize) -> String {
        format!("{} line {}", self.file.display(), (self.line_of)(offset))
    }
}
