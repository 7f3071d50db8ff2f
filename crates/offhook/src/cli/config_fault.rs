//! What is wrong with a configuration: all of it that can be found at once, each a sentence with its place.
//!
//! Whoever reads goes on with what is right, and nothing of it is used while anything is wrong.

use super::Failure;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    /// What was read, if it could be.
    pub(super) fn take<T>(&mut self, read: Result<T, String>) -> Option<T> {
        read.map_err(|sentence| self.0.push(sentence)).ok()
    }

    /// One more.
    pub(super) fn note(&mut self, sentence: String) {
        self.0.push(sentence);
    }

    /// Nothing, if nothing is wrong.
    pub(super) fn sound(&self) -> Result<(), Failure> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Failure::Faults(self.0.clone())),
        }
    }

    /// The first, if there is one.
    #[cfg(test)]
    pub(super) fn first(&self) -> Result<(), String> {
        self.0.first().map_or(Ok(()), |first| Err(first.clone()))
    }
}
