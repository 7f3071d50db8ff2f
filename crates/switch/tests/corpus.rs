//! Replays the corpora of the fuzz targets: nothing in them may break a promise of the crate.

#![expect(
    clippy::disallowed_methods,
    reason = "a test may read its files; the crate may not"
)]
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod crowd;
mod forger;
mod line;
mod pages;
mod resuming;

use std::path::Path;

use proptest::prelude::*;

fn replay(target: &str, take: impl Fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let entries = folder.join(target).read_dir().unwrap();
    entries
        .map(|entry| take(&std::fs::read(entry.unwrap().path()).unwrap()))
        .count()
}

#[test]
fn any_token() {
    assert!(replay("token", forger::walk) >= 16);
}

#[test]
fn any_sequence() {
    assert!(replay("sequence", crowd::walk) >= 16);
}

#[test]
fn any_line() {
    assert!(replay("line", line::walk) >= 16);
}

proptest! {
    #[test]
    fn any_bytes_to_a_line(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        line::walk(&bytes);
    }
}

#[test]
fn any_page() {
    assert!(replay("page", pages::walk) >= 16);
}

#[test]
fn any_frames_of_a_session() {
    assert!(replay("session", resuming::walk) >= 3);
}
