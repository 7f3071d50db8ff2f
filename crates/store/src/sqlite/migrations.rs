//! The steps by which the tables came to be what they are, in their order and embedded.
//!
//! Listed by hand: for the sake of `sqlx::migrate!`, SQLite and all of sqlx would be compiled once more, for the compiler to run.

use std::sync::LazyLock;

use sqlx::migrate::Migrator;

use crate::migration::{self, Step, step};

/// Names and texts; the version of the first is 1.
const STEPS: [Step; 7] = [
    step!("sqlite", "0001", "first"),
    step!("sqlite", "0002", "relay"),
    step!("sqlite", "0003", "services"),
    step!("sqlite", "0004", "applications"),
    step!("sqlite", "0005", "trunks"),
    step!("sqlite", "0006", "bridges"),
    step!("sqlite", "0007", "revocations"),
];

/// What brings the tables of any version to those of this one.
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| migration::migrator(&STEPS));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_a_step() {
        migration::assert_complete("sqlite", &MIGRATIONS);
    }

    /// sqlx keeps a checksum of each step in the file, and opens no file whose checksums are others.
    #[test]
    fn steps_that_have_been_released_never_change() {
        assert_eq!(
            migration::first_checksum(&MIGRATIONS),
            "a0d4de5a0b26fb85675545101ad7306b4ba09681b27b1a6aa5ead726c45652aceac69e3f7c03fc0287004bed50781bfb"
        );
    }
}
