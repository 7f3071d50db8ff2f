//! The steps by which the tables came to be what they are, in their order and embedded.
//!
//! Listed by hand, as those of SQLite are.

use std::sync::LazyLock;

use sqlx::migrate::Migrator;

use crate::migration::{self, Step, step};

/// Where sqlx keeps which steps were done; its usual name may be another program's.
pub(super) const TABLE: &str = "offhook_migrations";

/// Names and texts; the version of the first is 1.
const STEPS: [Step; 2] = [
    step!("postgres", "0001", "first"),
    step!("postgres", "0002", "revocations"),
];

/// What brings the tables of any version to those of this one.
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = migration::migrator(&STEPS);
    migrator.dangerous_set_table_name(TABLE);
    migrator
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_a_step() {
        migration::assert_complete("postgres", &MIGRATIONS);
    }
}
