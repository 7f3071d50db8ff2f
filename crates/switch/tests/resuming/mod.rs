//! A resumable session that reads any frames, for the fuzz target and for the test that replays what it found: messages come in
//! once and in order, and what is kept is bounded and in order. Frames are what stands between bytes 0xff.

use std::time::Duration;

use model::{Instant, limits};
use switch::resume::{Incoming, Opening, Session};

/// Reads the frames; where one resumes, the socket was lost before it.
pub(crate) fn walk(bytes: &[u8]) {
    let mut session = Session::new(Duration::from_secs(60));
    for (at, frame) in bytes.split(|byte| *byte == 0xff).enumerate() {
        if let Ok(Opening::Resume { received, .. }) = Opening::parse(frame) {
            session.lost(Instant::from_micros(at as u64));
            if session.resumed(received).is_err() {
                return;
            }
            assert_eq!(session.poll_timeout(), None);
            continue;
        }
        match session.incoming(frame) {
            Ok(Incoming::Message(message)) => {
                if session.outgoing(message).is_err() {
                    return;
                }
            }
            Ok(Incoming::Nothing | Incoming::Ping) => {}
            Err(_) => return,
        }
        let _ = session.due_ack();
        assert!(session.kept().count() <= limits::OUTBOX_MESSAGES);
    }
}
