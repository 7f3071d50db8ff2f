//! Replays every fixture and the whole fuzzing corpus: nothing in them may break a promise of the crate.

#![expect(
    clippy::disallowed_methods,
    reason = "a test may read its files; the crate may not"
)]
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod stream;
mod tcp;
mod walk;

use std::path::Path;

fn replay(folder: &Path, take: impl Fn(&[u8]) + Copy) -> usize {
    let mut replayed = 0;
    for entry in folder
        .read_dir()
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.unwrap().path();
        if path.is_dir() {
            replayed += replay(&path, take);
        } else if !path.ends_with(".gitattributes") {
            take(&std::fs::read(&path).unwrap());
            replayed += 1;
        }
    }
    replayed
}

#[test]
fn fixtures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    assert!(replay(&folder, walk::walk) >= 49);
}

#[test]
fn fuzzing_corpora() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    assert!(replay(&corpora.join("message"), walk::walk) >= 49);
    assert!(replay(&corpora.join("websocket"), stream::walk) >= 100);
    assert!(replay(&corpora.join("tcp"), tcp::walk) >= 20);
}

#[test]
fn every_cut_of_every_capture() {
    for bytes in [
        &include_bytes!("fixtures/register.sip")[..],
        include_bytes!("fixtures/busy.sip"),
        include_bytes!("fixtures/rfc4475/wsinv.dat"),
        include_bytes!("fixtures/rfc4475/intmeth.dat"),
    ] {
        for end in 0..bytes.len() {
            walk::walk(&bytes[..end]);
        }
    }
}
