//! One session: the numbers of its messages, and what its client has not acknowledged yet.
//!
//! Knows whether it waits for its client and until when; never how a socket is lost or found.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use model::{Instant, limits};

use super::credential::Credential;
use super::head::{self, Broken, Frame};

/// What a frame of the client brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A message that has not been here before.
    Message(&'a [u8]),
    /// Nothing more to do.
    Nothing,
    /// Send `Session::ack` back.
    Ping,
}

/// The client does not receive: more is kept for it than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more messages wait for the client than may")]
pub struct Full;

/// See the module.
#[derive(Debug)]
pub struct Session {
    /// The highest number that came in, and what of it was told.
    received: u64,
    told: u64,
    untold_bytes: usize,
    /// The highest number that went out.
    sent: u64,
    /// Frames that went out and were not acknowledged, up to `sent`.
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    /// How long it may wait for its client, and until when it does.
    window: Duration,
    waits_until: Option<Instant>,
    is_confirmed: bool,
}

/// A session as it goes to another node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// How far it has received.
    pub received: u64,
    /// How far it has sent.
    pub sent: u64,
    /// How long it may wait for its client.
    pub window: Duration,
    /// Frames that went out and were not acknowledged, in order.
    pub kept: Vec<Bytes>,
}

impl Session {
    /// Itself, for another node; nothing while more is kept for its client than nodes hand on.
    pub fn pack(&self) -> Option<Packed> {
        (self.kept_bytes <= limits::MOVE_BYTES).then(|| Packed {
            received: self.received,
            sent: self.sent,
            window: self.window,
            kept: self.kept.iter().cloned().collect(),
        })
    }

    /// One that comes from another node; its client is about to be there.
    pub fn unpack(packed: Packed) -> Self {
        Self {
            received: packed.received,
            told: packed.received,
            sent: packed.sent,
            kept_bytes: packed.kept.iter().map(Bytes::len).sum(),
            kept: packed.kept.into(),
            ..Self::new(packed.window)
        }
    }

    /// A session that has just begun, on a socket. It may wait for its client for `window`.
    pub fn new(window: Duration) -> Self {
        Self {
            received: 0,
            told: 0,
            untold_bytes: 0,
            sent: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            window,
            waits_until: None,
            is_confirmed: false,
        }
    }

    /// A frame came in. An error ends the session.
    pub fn incoming<'a>(&mut self, frame: &'a [u8]) -> Result<Incoming<'a>, Broken> {
        match Frame::parse(frame)? {
            Frame::Ping => Ok(Incoming::Ping),
            Frame::Ack { received } => {
                self.acknowledge(received)?;
                Ok(Incoming::Nothing)
            }
            Frame::Message {
                number,
                received,
                message,
            } => {
                self.acknowledge(received)?;
                if number > self.received + 1 {
                    return Err(Broken::Gap);
                }
                if number <= self.received {
                    return Ok(Incoming::Nothing);
                }
                self.received = number;
                self.untold_bytes += message.len();
                Ok(Incoming::Message(message))
            }
        }
    }

    /// Numbers a message and keeps it. Gives the frame to send, if there is a socket.
    pub fn outgoing(&mut self, message: &[u8]) -> Result<Bytes, Full> {
        let bytes = self.kept_bytes + message.len();
        if bytes > limits::OUTBOX_BYTES || self.kept.len() == limits::OUTBOX_MESSAGES {
            return Err(Full);
        }
        self.sent += 1;
        let frame = Bytes::from(head::message(self.sent, self.received, message));
        self.told_now();
        self.kept_bytes += frame.len();
        self.kept.push_back(frame.clone());
        Ok(frame)
    }

    /// The `ACK` that is due when no message is there to say so.
    pub fn due_ack(&mut self) -> Option<Bytes> {
        let is_due = self.received - self.told >= limits::RESUME_UNTOLD_MESSAGES
            || self.untold_bytes >= limits::RESUME_UNTOLD_BYTES;
        is_due.then(|| self.ack())
    }

    /// How far it has received.
    pub fn ack(&mut self) -> Bytes {
        self.told_now();
        head::ack(self.received).into()
    }

    /// The answer to `OPEN` and `RESUME`.
    pub fn welcome(&mut self, credential: &Credential) -> Bytes {
        self.told_now();
        let (credential, window) = (credential.expose(), self.window.as_secs());
        format!("SESSION {credential} {window} {}", self.received).into()
    }

    /// Its socket is lost; it waits until the instant that `poll_timeout` says.
    pub fn lost(&mut self, now: Instant) {
        self.waits_until.get_or_insert(now + self.window);
    }

    /// Its client is there on a new socket, and has received so far. Send `welcome`, then everything of `kept`.
    pub fn resumed(&mut self, received: u64) -> Result<(), Broken> {
        self.acknowledge(received)?;
        // What was acknowledged before cannot be sent again.
        if received + (self.kept.len() as u64) < self.sent {
            return Err(Broken::Acknowledgement);
        }
        self.waits_until = None;
        self.is_confirmed = false;
        Ok(())
    }

    /// Whether the frame that came in is the first on its socket: it confirms the credential.
    pub fn confirms(&mut self) -> bool {
        !std::mem::replace(&mut self.is_confirmed, true)
    }

    /// What the client has not acknowledged, in order.
    pub fn kept(&self) -> impl Iterator<Item = &Bytes> {
        self.kept.iter()
    }

    /// How long it may wait for its client.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// When it ends, if its client does not come back.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waits_until
    }

    /// Whether it has ended now.
    pub fn is_over(&self, now: Instant) -> bool {
        self.waits_until.is_some_and(|until| until <= now)
    }

    fn acknowledge(&mut self, received: u64) -> Result<(), Broken> {
        if received > self.sent {
            return Err(Broken::Acknowledgement);
        }
        let wanted = usize::try_from(self.sent - received).unwrap_or(usize::MAX);
        while self.kept.len() > wanted
            && let Some(frame) = self.kept.pop_front()
        {
            self.kept_bytes -= frame.len();
        }
        if self.kept.is_empty() {
            self.kept.shrink_to(limits::RESUME_PLACES_KEPT);
        }
        Ok(())
    }

    fn told_now(&mut self) {
        self.told = self.received;
        self.untold_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn frame(number: u64, received: u64) -> Vec<u8> {
        head::message(number, received, b"hello")
    }

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn messages_come_once_and_in_order() {
        let mut session = Session::new(WINDOW);
        assert_eq!(
            session.incoming(&frame(1, 0)),
            Ok(Incoming::Message(b"hello"))
        );
        assert_eq!(session.incoming(&frame(1, 0)), Ok(Incoming::Nothing));
        assert_eq!(session.incoming(&frame(3, 0)), Err(Broken::Gap));
        assert_eq!(
            session.incoming(&frame(2, 0)),
            Ok(Incoming::Message(b"hello"))
        );
        assert_eq!(session.incoming(b"PING"), Ok(Incoming::Ping));
        assert_eq!(text(&session.ack()), "ACK 2");
        assert_eq!(session.incoming(&frame(3, 1)), Err(Broken::Acknowledgement));
    }

    #[test]
    fn what_is_not_acknowledged_is_kept_and_sent_again() {
        let mut session = Session::new(WINDOW);
        for number in 1..=3 {
            let sent = session.outgoing(b"x").unwrap();
            assert_eq!(text(&sent), format!("{number} 0\r\nx"));
        }
        assert_eq!(session.incoming(b"ACK 1"), Ok(Incoming::Nothing));
        // An acknowledgement that was overtaken says nothing new.
        assert_eq!(session.incoming(b"ACK 0"), Ok(Incoming::Nothing));
        session.lost(Instant::from_micros(5));
        session.outgoing(b"y").unwrap();
        session.resumed(2).unwrap();
        let kept: Vec<_> = session.kept().map(text).collect();
        assert_eq!(kept, ["3 0\r\nx", "4 0\r\ny"]);
        assert_eq!(session.resumed(1), Err(Broken::Acknowledgement));
        assert_eq!(session.resumed(5), Err(Broken::Acknowledgement));
        assert_eq!(session.incoming(b"ACK 4"), Ok(Incoming::Nothing));
        assert_eq!((session.kept().count(), session.kept_bytes), (0, 0));
    }

    #[test]
    fn it_says_how_far_it_is_at_the_latest_after_eight_messages_or_32_kib() {
        let mut session = Session::new(WINDOW);
        for number in 1..=7 {
            session.incoming(&frame(number, 0)).unwrap();
            assert_eq!(session.due_ack(), None);
        }
        session.incoming(&frame(8, 0)).unwrap();
        assert_eq!(session.due_ack().as_ref().map(text), Some("ACK 8"));
        assert_eq!(session.due_ack(), None);
        let large = head::message(9, 0, &vec![b'x'; limits::RESUME_UNTOLD_BYTES]);
        session.incoming(&large).unwrap();
        assert_eq!(session.due_ack().as_ref().map(text), Some("ACK 9"));
        session.incoming(&frame(10, 0)).unwrap();
        session.outgoing(b"an answer tells it as well").unwrap();
        for number in 11..=17 {
            session.incoming(&frame(number, 0)).unwrap();
            assert_eq!(session.due_ack(), None);
        }
    }

    #[test]
    fn it_keeps_no_more_than_an_outbox_may_hold() {
        let mut session = Session::new(WINDOW);
        for _ in 0..limits::OUTBOX_MESSAGES {
            session.outgoing(b"x").unwrap();
        }
        assert_eq!(session.outgoing(b"x"), Err(Full));
        let mut session = Session::new(WINDOW);
        assert_eq!(
            session.outgoing(&vec![b'x'; limits::OUTBOX_BYTES + 1]),
            Err(Full)
        );
    }

    #[test]
    fn it_goes_on_at_another_node_where_it_was() {
        let mut before = Session::new(WINDOW);
        before.incoming(&frame(1, 0)).unwrap();
        for _ in 0..3 {
            before.outgoing(b"x").unwrap();
        }
        before.incoming(b"ACK 1").unwrap();
        let mut session = Session::unpack(before.pack().unwrap());
        session.resumed(2).unwrap();
        let kept: Vec<_> = session.kept().map(text).collect();
        assert_eq!(kept, ["3 1\r\nx"]);
        assert_eq!(session.incoming(&frame(1, 2)), Ok(Incoming::Nothing));
        assert_eq!(
            session.incoming(&frame(2, 2)),
            Ok(Incoming::Message(b"hello"))
        );
        session.outgoing(b"y").unwrap();
        assert_eq!(session.incoming(b"ACK 4"), Ok(Incoming::Nothing));
        assert_eq!((session.kept().count(), session.kept_bytes), (0, 0));

        let mut large = Session::new(WINDOW);
        large.outgoing(&vec![b'x'; limits::MOVE_BYTES]).unwrap();
        assert_eq!(large.pack(), None);
    }

    #[test]
    fn it_waits_for_its_window_from_the_first_loss() {
        let (lost, second) = (Instant::from_micros(0), Duration::from_secs(1));
        let mut session = Session::new(WINDOW);
        assert!(!session.is_over(lost));
        session.lost(lost);
        session.lost(lost + second);
        assert_eq!(session.poll_timeout(), Some(lost + WINDOW));
        assert!(!session.is_over(lost + second));
        assert!(session.is_over(lost + WINDOW));
        session.resumed(0).unwrap();
        assert_eq!(session.poll_timeout(), None);
    }

    #[test]
    fn the_first_frame_of_a_socket_confirms_its_credential() {
        let mut session = Session::new(WINDOW);
        assert!(session.confirms());
        assert!(!session.confirms());
        session.resumed(0).unwrap();
        assert!(session.confirms());
    }

    #[test]
    fn a_welcome_says_the_credential_the_window_and_how_far_it_is() {
        let mut session = Session::new(WINDOW);
        session.incoming(&frame(1, 0)).unwrap();
        let credential = super::super::Credentials::default().open(
            model::ConnectionId(7),
            super::super::SocketNumber(1),
            [1; 16],
        );
        let welcome = session.welcome(&credential);
        assert_eq!(
            text(&welcome),
            format!("SESSION {} 60 1", credential.expose())
        );
    }
}
