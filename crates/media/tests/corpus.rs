//! Replays the corpora of the fuzz targets: nothing in them may break a promise of the crate.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may read its files, and begins at a moment; the crate may not"
)]
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]
#![expect(unreachable_pub, reason = "the fuzz targets use it too")]

mod strangers;

use std::path::Path;

use strangers::Strangers;

fn replay(target: &str, take: impl Fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let entries = folder.join(target).read_dir().unwrap();
    entries
        .map(|entry| take(&std::fs::read(entry.unwrap().path()).unwrap()))
        .count()
}

#[test]
fn any_datagrams() {
    assert!(replay("rtp", Strangers::take_rtp) >= 3);
}

#[test]
fn any_protected_datagrams() {
    assert!(replay("srtp", Strangers::take_srtp) >= 4);
}

#[test]
fn any_compressed_file() {
    assert!(replay("compressed", Strangers::take_compressed) >= 5);
}

#[test]
fn any_offer() {
    assert!(replay("sdp", Strangers::take_sdp) >= 6);
}

#[test]
fn any_answer() {
    assert!(replay("sdp", Strangers::take_answer) >= 6);
}
