//! A body that is to be an object of JSON, and what is wrong with one that is none, for whoever wrote it.
//!
//! Knows no members; their shapes are `shape`'s.

use serde::de::{DeserializeOwned, IgnoredAny};

use super::Fault;
use crate::call::printable;

/// Characters that are shown of what is no JSON at all.
const SHOWN: usize = 20;

/// Reads it. A list is refused first: serde would take its items for the members of an object, in their order.
pub(in super::super) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    let text = body.trim_ascii();
    match text.first() {
        Some(b'{') => serde_json::from_slice(body).map_err(|error| in_words(&error)),
        None => Err("it is empty, expected an object".to_owned()),
        Some(_) => Err(match serde_json::from_slice::<IgnoredAny>(text) {
            Ok(_) => format!("{}, expected an object", kind(text)),
            Err(_) => no_json(text),
        }),
    }
}

/// What stands there instead of an object.
fn kind(json: &[u8]) -> &'static str {
    match json.first() {
        Some(b'[') => "it is a list",
        Some(b'"') => "it is a text",
        Some(b'n') => "it is null",
        Some(b't' | b'f') => "it is true or false",
        Some(_) | None => "it is a number",
    }
}

/// It may be anything, such as a page for people.
fn no_json(text: &[u8]) -> Fault {
    // Four bytes at most for each character.
    let text = &text[..text.len().min(4 * (SHOWN + 1))];
    let text = String::from_utf8_lossy(text);
    let more = if text.chars().nth(SHOWN).is_some() {
        "…"
    } else {
        ""
    };
    format!(
        "it is no JSON; it begins with `{}`{more}",
        printable(&text, SHOWN)
    )
}

/// Our types of numbers mean nothing to others.
fn in_words(error: &serde_json::Error) -> Fault {
    let number = |text: String, ours: &str| {
        text.replace(&format!("expected {ours}"), "expected a whole number")
    };
    let types = ["u8", "u16", "u32", "u64", "i64"];
    types.into_iter().fold(error.to_string(), number)
}
