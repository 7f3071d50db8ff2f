//! The bus that several servers share. Its address may hold a password: it is never shown, not even where it is wrong.

use node::store::bus::BusUrl;

use super::config_key::Key;
use super::config_layers::{Layers, Source, Sourced};

/// Where the bus is, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BusValue(Sourced<Option<BusUrl>>);

impl BusValue {
    pub(super) fn read(layers: &Layers<'_>) -> Self {
        let Some(Sourced { value, source }) = layers.text(&Key::BUS) else {
            return Self(Sourced {
                value: None,
                source: Source::Default,
            });
        };
        let read = value.parse().map_err(|fault| format!("{source}: {fault}"));
        let value = layers.take(read);
        Self(Sourced { value, source })
    }

    pub(super) fn url(&self) -> Option<BusUrl> {
        self.0.value.clone()
    }

    /// Without user and password.
    pub(super) fn shown(&self) -> Option<String> {
        self.0.value.as_ref().map(ToString::to_string)
    }

    pub(super) fn source(&self) -> &Source {
        &self.0.source
    }

    pub(super) fn row(&self) -> (Key, String, &Source) {
        (Key::BUS, self.shown().unwrap_or_default(), self.source())
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::read;
    use super::super::config_key::ServeFlags;

    #[test]
    fn a_password_of_the_bus_is_shown_nowhere() {
        let variable = |text| [("OFFHOOK_BUS", text)];
        let none = ServeFlags::default();
        let right = variable("rediss://ann:hush@calls.example.com/3");
        let right = read(&none, &right, "").unwrap();
        let told = format!("{right:?} {:?} {}", right.rows(), right.json());
        assert!(told.contains("rediss://calls.example.com:6379/3"), "{told}");
        assert!(!told.contains("hush") && !told.contains("ann:"), "{told}");
        for wrong in ["redis://ann:hush@bus:x", "amqp://ann:hush@bus"] {
            let sentence = read(&none, &variable(wrong), "").unwrap_err();
            assert!(sentence.starts_with("OFFHOOK_BUS: "), "{sentence}");
            assert!(!sentence.contains("hush"), "{sentence}");
        }
    }
}
