//! Any bytes as the answer of a page: it is done whole, or what is wrong with it is said in a sentence of bounded length.
//!
//! Shared by the test that replays the corpus and by the fuzz target.

use model::{PageUrl, limits};

/// Takes what an application answers.
pub(crate) fn walk(bytes: &[u8]) {
    let page = PageUrl::parse("https://app.example/ivr/first?x=1").expect("it is an address");
    match switch::check_page(bytes, &page) {
        Ok(actions) => assert!(actions <= limits::PAGE_ACTIONS),
        Err(why) => {
            assert!(!why.is_empty() && why.chars().count() <= limits::PAGE_FAULT_CHARS);
            assert!(!why.chars().any(char::is_control), "{why:?}");
        }
    }
}
