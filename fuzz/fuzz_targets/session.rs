//! Any frames to a resumable session, sockets lost and found between them: messages come in once and in order, what is kept is
//! bounded and in order, and nothing panics. Frames are what stands between bytes 0xff.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use model::{Instant, limits};
use switch::resume::{Incoming, Opening, Session};

fuzz_target!(|bytes: &[u8]| {
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
});
