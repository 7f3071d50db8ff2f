//! Replays the corpora of the fuzz targets: nothing in them may break a promise of the crate.

#![expect(
    clippy::disallowed_methods,
    reason = "a test may read its files; the crate may not"
)]
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod world;

use std::path::Path;

use world::World;

fn replay(target: &str, take: impl Fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let entries = folder.join(target).read_dir().unwrap();
    entries
        .map(|entry| take(&std::fs::read(entry.unwrap().path()).unwrap()))
        .count()
}

#[test]
fn any_message() {
    assert!(replay("turn_message", World::take_message) >= 16);
}

#[test]
fn any_sequence() {
    assert!(replay("turn_sequence", World::take_sequence) >= 10);
}
