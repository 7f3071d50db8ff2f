//! Lists of a page, of which no more is kept than shows that there are too many.
//!
//! A page has as many bytes as it likes to fill a list with, and a member in memory may be a hundred times as long as it is written. Who
//! refuses a list that is too long is whoever reads it further.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A list that may have `MOST` members; one more than that is there if there were any more.
pub(super) struct Few<T, const MOST: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Members(PhantomData))
    }
}

struct Members<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Members<T, MOST> {
    type Value = Few<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Few<T, MOST>, A::Error> {
        let mut kept = Vec::new();
        while kept.len() <= MOST {
            match list.next_element()? {
                Some(member) => kept.push(member),
                None => return Ok(Few(kept)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Few(kept))
    }
}

impl<T, const MOST: usize> Default for Few<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MOST: usize> Deref for Few<T, MOST> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MOST: usize> IntoIterator for Few<T, MOST> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_list_that_is_too_long_no_more_is_kept_than_shows_it() {
        let read = |text: &str| serde_json::from_str::<Few<u8, 2>>(text);
        for (text, kept) in [
            ("[]", 0),
            ("[1,2]", 2),
            ("[1,2,3]", 3),
            ("[1,2,3,{\"x\":[]},5]", 3),
        ] {
            assert_eq!(read(text).map(|list| list.len()).unwrap(), kept, "{text}");
        }
        for wrong in ["[1,\"x\"]", "[1,2,3,", "[1,2,3,nothing]", "{}", "1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
