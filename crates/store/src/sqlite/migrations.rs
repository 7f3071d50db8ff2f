//! The steps by which the tables came to be what they are, in their order and embedded.
//!
//! Listed by hand: for the sake of `sqlx::migrate!`, SQLite and all of sqlx would be compiled once more, for the compiler to run.

use std::borrow::Cow;
use std::sync::LazyLock;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// One migration: its file is `migrations/sqlite/<version>_<name>.sql`.
macro_rules! step {
    ($version:literal, $name:literal) => {
        (
            $name,
            include_str!(concat!(
                "../../migrations/sqlite/",
                $version,
                "_",
                $name,
                ".sql"
            )),
        )
    };
}

/// Names and texts; the version of the first is 1.
const STEPS: [(&str, &str); 6] = [
    step!("0001", "first"),
    step!("0002", "relay"),
    step!("0003", "services"),
    step!("0004", "applications"),
    step!("0005", "trunks"),
    step!("0006", "bridges"),
];

/// What brings the tables of any version to those of this one.
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let migrations = (1..).zip(STEPS).map(|(version, (name, text))| {
        let sql = SqlStr::from_static(text);
        let kind = MigrationType::Simple;
        Migration::new(version, Cow::Borrowed(name), kind, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_a_step() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        let steps: Vec<(String, String)> = MIGRATIONS
            .iter()
            .map(|step| {
                let name = format!("{:04}_{}.sql", step.version, step.description);
                (name, step.sql.as_str().to_owned())
            })
            .collect();
        assert_eq!(files, steps);
    }

    /// sqlx keeps a checksum of each step in the file, and opens no file whose checksums are others.
    #[test]
    fn steps_that_have_been_released_never_change() {
        let first = MIGRATIONS.iter().next().unwrap();
        let checksum: String = first
            .checksum
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            checksum,
            "a0d4de5a0b26fb85675545101ad7306b4ba09681b27b1a6aa5ead726c45652aceac69e3f7c03fc0287004bed50781bfb"
        );
    }
}
