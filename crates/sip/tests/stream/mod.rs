//! A stream of WebSocket frames, read in one piece and in small ones; for the fuzz target and for the test that replays what it
//! found: however it is cut, the same frames are read, and nothing longer than the limit.

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
                    found.push(match &frame {
                        // Where the bytes lay makes no difference.
                        Frame::Message(payload) => format!("{:?}", &**payload),
                        Frame::Part | Frame::Ping(_) | Frame::Pong | Frame::Close(_) => {
                            format!("{frame:?}")
                        }
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

/// The first byte says how small the pieces are.
pub(crate) fn walk(bytes: &[u8]) {
    let Some((piece, stream)) = bytes.split_first() else {
        return;
    };
    let whole = read(stream, None);
    let pieces = read(stream, Some(usize::from(*piece) + 1));
    assert_eq!(whole, pieces);
}
