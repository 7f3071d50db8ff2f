//! The steps by which the tables of a back end came to be what they are: how they are embedded, and what their failures mean.
//!
//! Never knows what a step does.

use std::borrow::Cow;

use sqlx::SqlStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use crate::StoreError;
use crate::error::Place;

/// Name and text of a step.
pub(crate) type Step = (&'static str, &'static str);

/// Whether the tables may be brought to the form that this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrate {
    /// As the store is opened. Several processes may open it at once: one does it, the others wait.
    AtOnce,
    /// Never: a store in another form is refused. A file beside the server is brought there in any case.
    Never,
}

/// One step: its file is `migrations/<back end>/<version>_<name>.sql`.
macro_rules! step {
    ($back_end:literal, $version:literal, $name:literal) => {
        (
            $name,
            include_str!(concat!(
                "../../migrations/",
                $back_end,
                "/",
                $version,
                "_",
                $name,
                ".sql"
            )),
        )
    };
}
pub(crate) use step;

/// What brings tables of any version to the last; the version of the first step is 1.
pub(crate) fn migrator(steps: &[Step]) -> Migrator {
    let migrations = (1..).zip(steps).map(|(version, (name, text))| {
        let sql = SqlStr::from_static(text);
        let kind = MigrationType::Simple;
        Migration::new(version, Cow::Borrowed(name), kind, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Says what a step's failure means.
pub(crate) fn explain(
    explain: fn(&'static str, Place, sqlx::Error) -> StoreError,
    operation: &'static str,
    place: &Place,
    error: MigrateError,
) -> StoreError {
    let place = place.clone();
    if let MigrateError::VersionMissing(step) | MigrateError::VersionMismatch(step) = error {
        return StoreError::OtherVersion { place, step };
    }
    if let MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) = error {
        return explain(operation, place, cause);
    }
    StoreError::Failed {
        operation,
        place,
        source: error.into(),
    }
}

/// Asserts that the steps are the files of the folder.
#[cfg(test)]
pub(crate) fn assert_complete(back_end: &str, migrator: &Migrator) {
    let folder = format!("{}/migrations/{back_end}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    let steps: Vec<(String, String)> = migrator
        .iter()
        .map(|step| {
            let name = format!("{:04}_{}.sql", step.version, step.description);
            (name, step.sql.as_str().to_owned())
        })
        .collect();
    assert_eq!(files, steps);
}

/// What sqlx keeps of the first step, in hexadecimal.
#[cfg(test)]
pub(crate) fn first_checksum(migrator: &Migrator) -> String {
    let first = migrator.iter().next().unwrap();
    first
        .checksum
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
