//! SIP over WebSocket (RFC 7118): one task for each connection, small while it is idle.
//!
//! Reads frames and gives them to the edge, writes what the outbox holds, and pings. What a frame means is said by
//! `switch::edge` and the shard. When the connection ends, for whatever reason, the shard is told once, at once.

use std::pin::{Pin, pin};
use std::sync::Arc;

use axum::Error;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use bytes::Bytes;
use futures_util::SinkExt;
use model::limits;
use switch::edge::{Flow, Liveness, Verdict};
use switch::{Closing, Counter};
use tokio::time::Sleep;

use super::Place;
use crate::outbox::{Outbox, Outgoing};
use crate::signalling::{Session, Signalling};
use crate::telemetry::Counters;

/// Buffers of an idle connection; the usual 128 KiB would be most of its memory.
const BUFFER_BYTES: usize = 4096;
/// One byte more than a message may have, so that the edge sees that it is too large; and room for the head that a
/// resumable session puts before it: two numbers of 16 digits, a space and a line end.
const FRAME_BYTES: usize = limits::MESSAGE_BYTES + 1 + 2 * 16 + 3;

/// An upgrade to a WebSocket with our bounds.
pub(crate) fn bounded(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(limits::WRITE_BUFFER_BYTES)
        .max_message_size(FRAME_BYTES)
        .max_frame_size(FRAME_BYTES)
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The peer said goodbye.
    Closed,
    /// It is gone, or takes nothing any more.
    Lost,
    /// We end it.
    Close(Closing),
}

/// Serves one connection to its end. `place` is held as long; `host` is what its client called this machine.
pub(crate) async fn run(
    socket: WebSocket,
    signalling: Arc<Signalling>,
    place: Arc<Place>,
    host: Option<String>,
) {
    let session = signalling.open();
    let flow = Flow::new(session.connection, signalling.now(), host.as_deref());
    drop(host);
    let mut conversation = Conversation {
        socket,
        flow,
        session,
    };
    let ending = conversation.go_on().await;
    let Conversation {
        socket, session, ..
    } = conversation;
    tracing::debug!(
        connection = session.connection.0,
        ?ending,
        "a WebSocket ended"
    );
    drop(session);
    drop(signalling);
    // The farewell may take a moment, and nobody need wait for it.
    let _ = tokio::time::timeout(limits::FAREWELL_TIME, farewell(socket, ending)).await;
    drop(place);
}

struct Conversation {
    socket: WebSocket,
    flow: Flow,
    session: Session,
}

impl Conversation {
    async fn go_on(&mut self) -> Ending {
        let deadline = self
            .session
            .signalling
            .clock
            .deadline(self.flow.poll_timeout());
        let mut timer = pin!(tokio::time::sleep_until(deadline));
        loop {
            let step = tokio::select! {
                outgoing = self.session.outbox.next() => self.write(outgoing).await,
                frame = self.socket.recv() => self.read(frame).await,
                () = timer.as_mut() => self.time(timer.as_mut()).await,
            };
            if let Err(ending) = step {
                return ending;
            }
        }
    }

    async fn read(&mut self, frame: Option<Result<Message, Error>>) -> Result<(), Ending> {
        match frame {
            Some(Ok(Message::Text(text))) => self.frame(text.as_bytes()).await,
            Some(Ok(Message::Binary(bytes))) => self.frame(&bytes).await,
            Some(Ok(Message::Ping(_))) => {
                let now = self.session.signalling.now();
                match self.flow.ping(now) {
                    None => Ok(()),
                    Some(why) => {
                        self.count(Some(Counter::TooManyMessages));
                        Err(Ending::Close(why))
                    }
                }
            }
            Some(Ok(Message::Pong(_))) => {
                let now = self.session.signalling.now();
                self.flow.alive(now);
                Ok(())
            }
            Some(Ok(Message::Close(_))) => Err(Ending::Closed),
            Some(Err(error)) => Err(broken(error, &self.session.signalling.counters)),
            None => Err(Ending::Lost),
        }
    }

    async fn frame(&mut self, frame: &[u8]) -> Result<(), Ending> {
        let signalling = &self.session.signalling;
        let published = signalling.published();
        let shards = signalling.shard_count();
        if self.session.outbox.is_proven() {
            self.flow.proven();
        }
        let verdict = self
            .flow
            .frame(signalling.now(), frame, &published.snapshot, shards);
        match verdict {
            Verdict::Deliver {
                shard,
                account,
                message,
                ice_servers,
            } => {
                self.session
                    .deliver(shard, account, &message, ice_servers.as_deref());
                Ok(())
            }
            Verdict::Reply { message, count } => {
                self.count(count);
                self.write(Outgoing::Message(message)).await
            }
            Verdict::Ignore { count } => {
                self.count(count);
                Ok(())
            }
            Verdict::Close { why, count } => {
                self.count(Some(count));
                Err(Ending::Close(why))
            }
        }
    }

    async fn time(&mut self, mut timer: Pin<&mut Sleep>) -> Result<(), Ending> {
        match self.flow.timeout(self.session.signalling.now()) {
            Liveness::Wait => {}
            Liveness::Ping => {
                let ping = self.socket.send(Message::Ping(Bytes::new()));
                unhindered(&self.session.outbox, ping).await?;
            }
            Liveness::Close { why, count } => {
                self.count(count);
                return Err(Ending::Close(why));
            }
        }
        timer.as_mut().reset(
            self.session
                .signalling
                .clock
                .deadline(self.flow.poll_timeout()),
        );
        Ok(())
    }

    /// Writes `first` and whatever waits behind it, then flushes once.
    async fn write(&mut self, first: Outgoing) -> Result<(), Ending> {
        let (socket, outbox) = (&mut self.socket, &*self.session.outbox);
        let writing = async {
            let mut next = Some(first);
            while let Some(outgoing) = next {
                match outgoing {
                    Outgoing::Message(message) => socket.feed(to_frame(message)).await?,
                    Outgoing::Close(why) => {
                        socket.flush().await?;
                        return Ok(Some(why));
                    }
                }
                next = outbox.pop();
            }
            socket.flush().await.map(|()| None)
        };
        match unhindered(outbox, writing).await? {
            None => Ok(()),
            Some(why) => Err(Ending::Close(why)),
        }
    }

    fn count(&self, counter: Option<Counter>) {
        if let Some(counter) = counter {
            self.session.signalling.counters.add(counter);
        }
    }
}

/// What to do about a frame that could not be read.
pub(super) fn broken(error: Error, counters: &Counters) -> Ending {
    use tungstenite::Error as Broken;
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;

    let error = error.into_inner().downcast().map(|error| *error);
    if matches!(error, Ok(Broken::Capacity(_))) {
        counters.add(Counter::TooLarge);
        Ending::Close(Closing::TOO_LARGE)
    } else if matches!(error, Ok(Broken::Utf8(_))) {
        Ending::Close(NOT_UTF8)
    } else if matches!(&error, Ok(Broken::Protocol(what)) if *what != ResetWithoutClosingHandshake)
    {
        Ending::Close(BROKEN_FRAME)
    } else {
        Ending::Lost
    }
}

/// RFC 6455 §8.1.
const NOT_UTF8: Closing = Closing {
    code: 1007,
    reason: "a text frame must be UTF-8; send others as binary",
};
/// RFC 6455 §7.4.1.
const BROKEN_FRAME: Closing = Closing {
    code: 1002,
    reason: "a frame breaks the WebSocket protocol",
};

/// Does a write, unless the outbox runs over meanwhile or the socket takes nothing for too long.
async fn unhindered<T>(
    outbox: &Outbox,
    write: impl Future<Output = Result<T, Error>>,
) -> Result<T, Ending> {
    tokio::select! {
        biased;
        written = write => written.map_err(|_| Ending::Lost),
        () = outbox.overflowed() => Err(Ending::Close(Closing::SLOW_READER)),
        () = tokio::time::sleep(limits::WRITE_TIME) => Err(Ending::Lost),
    }
}

/// A text frame, as SIP over WebSocket is nearly always; binary where a body is not UTF-8 (RFC 7118 §4.2).
fn to_frame(message: Vec<u8>) -> Message {
    match String::from_utf8(message) {
        Ok(text) => Message::Text(Utf8Bytes::from(text)),
        Err(error) => Message::Binary(error.into_bytes().into()),
    }
}

/// Says goodbye in the way that the ending asks for, and reads until the peer has heard it.
pub(super) async fn farewell(mut socket: WebSocket, ending: Ending) {
    match ending {
        Ending::Lost => return,
        // Reading on sends the answer to the peer's goodbye.
        Ending::Closed => {}
        Ending::Close(why) => {
            let frame = CloseFrame {
                code: why.code,
                reason: Utf8Bytes::from_static(why.reason),
            };
            if socket.send(Message::Close(Some(frame))).await.is_err() {
                return;
            }
        }
    }
    while let Some(Ok(_)) = socket.recv().await {}
}
