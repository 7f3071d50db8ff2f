//! A stream of messages as TCP brings it, in one piece and in small ones; for the fuzz target and for the test that replays what it
//! found: however it is cut, the same messages are found, nothing is longer than its bound, and nothing is lost or made up.

use sip::stream::{Bounds, Lost, Piece, Splitter};

const BOUNDS: Bounds = Bounds {
    head: 512,
    body: 256,
};

/// Everything that is found in pieces of this length.
fn read(stream: &[u8], piece: usize) -> (Vec<(Piece, Vec<u8>)>, Option<Lost>) {
    let mut splitter = Splitter::new(BOUNDS);
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    for piece in stream.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            let first = match splitter.first(&buffer) {
                Ok(first) => first,
                Err(lost) => return (found, Some(lost)),
            };
            let length = match first {
                Piece::Part => break,
                Piece::Message(length) | Piece::LineEnd(length) | Piece::Ping(length) => length,
            };
            assert!(length <= BOUNDS.head + 4 + BOUNDS.body);
            found.push((first, buffer.drain(..length).collect()));
        }
        assert!(buffer.len() <= BOUNDS.head + 4 + BOUNDS.body + piece.len());
    }
    let taken: usize = found.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(taken + buffer.len(), stream.len());
    (found, None)
}

/// The first byte says how small the pieces are.
pub(crate) fn walk(bytes: &[u8]) {
    let Some((piece, stream)) = bytes.split_first() else {
        return;
    };
    let whole = read(stream, stream.len().max(1));
    assert_eq!(whole, read(stream, usize::from(*piece) + 1));
    for (first, bytes) in whole.0 {
        if let (Piece::Message(_), Ok(message)) = (first, sip::parse(&bytes)) {
            assert!(
                bytes.ends_with(message.body()),
                "the parser sees the same end"
            );
        }
    }
}
