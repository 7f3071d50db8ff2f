//! Contact (RFC 3261 §20.10): addresses, or the star that means every binding.

use crate::header::{BadValue, NameAddr, split_item};

/// One item of the Contact rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contact<'a> {
    /// `*`: every binding, in a REGISTER with `Expires: 0`.
    Star,
    /// An address; its `expires` and `q` are parameters.
    Address(NameAddr<'a>),
}

/// Checks one Contact row, and hands each of its items to `each`.
pub(crate) fn check_contacts<'a>(
    value: &'a str,
    mut each: impl FnMut(Contact<'a>),
) -> Result<(), BadValue> {
    if value == "*" {
        each(Contact::Star);
        return Ok(());
    }
    let mut rest = Some(value);
    while let Some(list) = rest {
        let (item, behind) = split_item(list);
        each(Contact::Address(NameAddr::parse(item)?));
        rest = behind;
    }
    Ok(())
}
