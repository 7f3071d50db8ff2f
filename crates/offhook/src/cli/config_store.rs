//! Where the store is: a database in place of the folder, and what may be done to it as it is opened.
//!
//! The address of a database may hold a password: it is never shown, not even where it is wrong.

use node::store::{Address, DatabaseUrl, Migrate};

use super::Failure;
use super::config::parse_switch;
use super::config_key::Key;
use super::config_layers::{Layers, Source, Sourced};

/// What is configured about the store beside its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoreValues {
    pub(super) url: Sourced<Option<DatabaseUrl>>,
    pub(super) migrate: Sourced<bool>,
}

impl StoreValues {
    pub(super) fn read(layers: &Layers<'_>) -> Self {
        Self {
            url: layers.store(),
            // Whether the tables of a database may be changed as it is opened.
            migrate: layers.parse(&Key::MIGRATE, true, parse_switch),
        }
    }

    /// The database, without user and password.
    pub(super) fn shown(&self) -> Option<String> {
        self.url.value.as_ref().map(ToString::to_string)
    }

    pub(super) fn rows(&self) -> [(Key, String, &Source); 2] {
        let migrate = self.migrate.value.to_string();
        [
            (
                Key::STORE,
                self.shown().unwrap_or_default(),
                &self.url.source,
            ),
            (Key::MIGRATE, migrate, &self.migrate.source),
        ]
    }
}

impl Layers<'_> {
    /// The database in place of the folder, if one is named. What is wrong with it is said without it: it may hold a password.
    fn store(&self) -> Sourced<Option<DatabaseUrl>> {
        let Some(Sourced { value, source }) = self.text(&Key::STORE) else {
            return Sourced {
                value: None,
                source: Source::Default,
            };
        };
        let read = DatabaseUrl::parse(&value).map_err(|fault| format!("{source}: {fault}"));
        let value = self.take(read);
        Sourced { value, source }
    }

    /// Where the store is, and what may be done to it, if nothing is wrong with what was said.
    pub(crate) fn store_address(&self) -> Result<(Address, Migrate), Failure> {
        let StoreValues { url, migrate } = StoreValues::read(self);
        self.sound()?;
        let address = match url.value {
            Some(url) => Address::Database(url),
            None => Address::Folder(self.data().value),
        };
        let migrate = if migrate.value {
            Migrate::AtOnce
        } else {
            Migrate::Never
        };
        Ok((address, migrate))
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::read;
    use super::super::config_key::ServeFlags;
    use super::super::{Hidden, Place};

    #[test]
    fn a_password_of_the_store_is_shown_nowhere() {
        let variable = |text| [("OFFHOOK_STORE", text)];
        let none = ServeFlags::default();
        let right = read(&none, &variable("postgres://ann:hush@db/calls"), "").unwrap();
        assert!(format!("{right:?}").contains("postgres://db:5432/calls"));
        let told = format!("{right:?} {:?} {}", right.rows(), right.json());
        assert!(!told.contains("hush") && !told.contains("ann:"), "{told}");
        for wrong in ["postgres://ann:hush@db:x/calls", "postgres://ann:hush@db"] {
            let sentence = read(&none, &variable(wrong), "").unwrap_err();
            assert!(!sentence.contains("hush"), "{sentence}");
            assert!(sentence.starts_with("OFFHOOK_STORE: "), "{sentence}");
        }
        let file = "data = \"d\"\nstore = \"mysql://ann:hush@db/calls\"";
        let sentence = read(&none, &[], file).unwrap_err();
        assert!(
            sentence.starts_with("/etc/offhook.toml line 2: "),
            "{sentence}"
        );
        assert!(!sentence.contains("hush"), "{sentence}");
        let place = Place {
            store: Some(Hidden("postgres://ann:hush@db/calls".to_owned())),
            ..Place::default()
        };
        assert!(!format!("{place:?}").contains("hush"));
    }

    #[test]
    fn a_switch_that_is_none_is_told_with_its_source() {
        let variable = [("OFFHOOK_MIGRATE", "later")];
        let sentence = read(&ServeFlags::default(), &variable, "").unwrap_err();
        assert!(sentence.contains("OFFHOOK_MIGRATE"), "{sentence}");
        assert!(sentence.contains("true or false"), "{sentence}");
    }
}
