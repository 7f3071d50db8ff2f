//! Typed values of header rows, one header a file. Each is read from the text of one row (or one item of its comma list)
//! and borrows from it. White space in a value may hold folds (CR LF and a space), which count as a space.

mod address;
mod contact;
mod cseq;
mod items;
mod params;
mod reason;
mod via;

pub use address::NameAddr;
pub use contact::Contact;
pub use cseq::CSeq;
pub use params::Params;
pub use reason::Reason;
pub use via::Via;

pub(crate) use contact::check_contacts;
pub(crate) use items::{Items, split_item};
pub(crate) use via::check_vias;

use crate::bytes::{self, WORD};

/// What is wrong with one value, as a sentence that also says what would be right. It never repeats the peer's
/// bytes, and has only characters that a reason phrase may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(pub(crate) &'static str);

impl BadValue {
    /// The sentence.
    pub fn as_str(&self) -> &'static str {
        self.0
    }
}

/// Checks a Call-ID (RFC 3261 §25.1): `word [ "@" word ]`.
pub(crate) fn check_call_id(value: &str) -> Result<(), BadValue> {
    let word = bytes::run(value.as_bytes(), WORD);
    let rest = &value[word..];
    let whole = word > 0
        && (rest.is_empty()
            || rest.strip_prefix('@').is_some_and(|host| {
                !host.is_empty() && bytes::run(host.as_bytes(), WORD) == host.len()
            }));
    if whole {
        Ok(())
    } else {
        Err(BadValue(
            "must be one word, or two joined by @, without white space",
        ))
    }
}
