//! WebSocket frames: however a stream is cut into pieces, the same frames are read, and nothing longer than the limit.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sip::websocket::{Broken, Decoder, Frame, Step};

const LIMIT: usize = 4_096;

/// Everything that is read from pieces of this length; `None`: in one piece.
fn read(stream: &[u8], piece: Option<usize>) -> (Vec<String>, Option<Broken>) {
    let mut decoder = Decoder::new(LIMIT);
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    for piece in stream.chunks(piece.unwrap_or(stream.len().max(1))) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.step(&mut buffer) {
                Ok(Step::Frame(frame, len)) => {
                    if let Frame::Message(payload) = &frame {
                        assert!(payload.len() <= LIMIT);
                    }
                    found.push(match frame {
                        // Where the bytes lay makes no difference.
                        Frame::Message(payload) => format!("{:?}", &*payload),
                        other => format!("{other:?}"),
                    });
                    buffer.drain(..len);
                }
                Ok(Step::Wanting(len)) => {
                    assert!(len > buffer.len() && len <= LIMIT + 14);
                    break;
                }
                Err(broken) => return (found, Some(broken)),
            }
        }
    }
    (found, None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, stream)) = bytes.split_first() else {
        return;
    };
    let whole = read(stream, None);
    let pieces = read(stream, Some(usize::from(*piece) + 1));
    assert_eq!(whole, pieces);
});
