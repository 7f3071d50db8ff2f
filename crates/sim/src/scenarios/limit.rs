//! To be told.

pub(super) const ALL: &[crate::scenarios::Scenario] = &[];
