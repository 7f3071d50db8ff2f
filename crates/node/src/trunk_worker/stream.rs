//! One connection of a trunk, TCP or TLS: messages off it and onto it (RFC 3261 §18.3), and keep-alives answered (RFC 5626 §3.5.1).
//!
//! Ends at whatever is no SIP, takes too long, or is longer than it may be. Knows no line: what has come is for whoever owns it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use model::limits;
use sip::stream::{Bounds, Lost, Piece, Splitter};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::outbox::Outbox;
use super::streams::Event;

const BOUNDS: Bounds = Bounds {
    head: limits::TRUNK_STREAM_HEAD_BYTES,
    body: limits::TRUNK_STREAM_MESSAGE_BYTES - limits::TRUNK_STREAM_HEAD_BYTES,
};
/// What is read at a time.
const PART: usize = 8 * 1024;
/// RFC 5626 §3.5.1.
const PONG: &[u8] = b"\r\n";

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the peer closed it")]
    Closed,
    #[error("it broke: {0}")]
    Broken(#[from] io::Error),
    #[error("{0}")]
    Unframed(#[from] Lost),
    #[error("what came on it is no SIP")]
    Malformed,
    #[error("a message did not come whole within {} s", .0.as_secs())]
    Slow(Duration),
    #[error("nothing came on it for {} s", .0.as_secs())]
    Idle(Duration),
    #[error("the peer took nothing of what was sent to it for {} s", .0.as_secs())]
    Stalled(Duration),
    #[error("too much waited to be sent by it, or it is needed no longer")]
    Dropped,
}

impl Ended {
    /// Whether the peer sent what nobody may send.
    pub(super) fn is_malformed(&self) -> bool {
        match self {
            Self::Unframed(_) | Self::Malformed => true,
            Self::Closed
            | Self::Broken(_)
            | Self::Slow(_)
            | Self::Idle(_)
            | Self::Stalled(_)
            | Self::Dropped => false,
        }
    }
}

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until its first word.
    first: Duration,
    /// Until a message that has begun is whole.
    whole: Duration,
    /// Between two messages.
    idle: Duration,
    /// Until a message that is sent is taken.
    stall: Duration,
}

impl Patience {
    /// With a connection of ours.
    pub(super) const OURS: Self = Self {
        first: limits::TRUNK_STREAM_IDLE_TIME,
        whole: limits::TRUNK_STREAM_MESSAGE_TIME,
        idle: limits::TRUNK_STREAM_IDLE_TIME,
        stall: limits::TRUNK_STREAM_STALL_TIME,
    };
    /// With one that a peer has made: it has something to say.
    pub(super) const THEIRS: Self = Self {
        first: limits::TRUNK_STREAM_MESSAGE_TIME,
        ..Self::OURS
    };
}

/// Where what comes on a connection goes to.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) events: mpsc::Sender<Event>,
    /// Whose connection it is.
    pub(super) line: usize,
    /// Where its other end is.
    pub(super) from: SocketAddr,
}

impl Heard {
    /// Waits while too much does.
    async fn message(&self, bytes: Vec<u8>) {
        let (line, from) = (self.line, self.from);
        // Nobody is there to be told once the worker has ended, and this ends with it.
        let _ = self.events.send(Event::Message { line, from, bytes }).await;
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    outbox: &Outbox,
    patience: Patience,
    heard: &Heard,
) -> Ended {
    let (reader, writer) = split(stream);
    let ended = tokio::select! {
        ended = read(reader, outbox, patience, heard) => ended,
        ended = write(writer, outbox, patience.stall) => ended,
    };
    outbox.close();
    match ended {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

async fn read(
    mut reader: impl AsyncRead + Unpin,
    outbox: &Outbox,
    patience: Patience,
    heard: &Heard,
) -> Result<Infallible, Ended> {
    let mut splitter = Splitter::new(BOUNDS);
    let (mut bytes, mut part) = (Vec::new(), vec![0; PART]);
    let mut idle = patience.first;
    let mut since = Instant::now();
    loop {
        let has_begun = !bytes.is_empty();
        let wait = if has_begun { patience.whole } else { idle };
        let length = match timeout_at(since + wait, reader.read(&mut part)).await {
            Ok(length) => length?,
            Err(_) if has_begun => return Err(Ended::Slow(wait)),
            Err(_) => return Err(Ended::Idle(wait)),
        };
        if length == 0 {
            return Err(Ended::Closed);
        }
        idle = patience.idle;
        bytes.extend_from_slice(&part[..length]);
        let taken = pieces(&mut splitter, &bytes, outbox, heard).await?;
        bytes.drain(..taken);
        // A message is timed from its first byte on, as far as that can be known.
        if !has_begun || taken > 0 {
            since = Instant::now();
        }
    }
}

/// Takes every whole piece, and says how long they are together.
async fn pieces(
    splitter: &mut Splitter,
    bytes: &[u8],
    outbox: &Outbox,
    heard: &Heard,
) -> Result<usize, Ended> {
    let mut taken = 0;
    loop {
        let rest = &bytes[taken..];
        match splitter.first(rest)? {
            Piece::Part => return Ok(taken),
            Piece::LineEnd(length) => taken += length,
            Piece::Ping(length) => {
                taken += length;
                // One that cannot be taken ends the connection.
                let _ = outbox.push(PONG.to_vec());
            }
            Piece::Message(length) => {
                taken += length;
                let message = &rest[..length];
                if sip::parse(message).is_err() {
                    return Err(Ended::Malformed);
                }
                heard.message(message.to_vec()).await;
            }
        }
    }
}

async fn write(
    mut writer: impl AsyncWrite + Unpin,
    outbox: &Outbox,
    stall: Duration,
) -> Result<Infallible, Ended> {
    while let Some(message) = outbox.next().await {
        let writing = async {
            writer.write_all(&message).await?;
            writer.flush().await
        };
        let written = timeout(stall, writing).await;
        written.map_err(|_| Ended::Stalled(stall))??;
    }
    Err(Ended::Dropped)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;

    const OPTIONS: &str = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKa\r\nMax-Forwards: 70\r\n\
         From: <sip:b>;tag=1\r\nTo: <sip:a>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    const SHORT: Duration = Duration::from_millis(50);

    struct End {
        far: DuplexStream,
        events: mpsc::Receiver<Event>,
        outbox: Arc<Outbox>,
        ended: JoinHandle<Ended>,
    }

    fn served(patience: Patience) -> End {
        let (near, far) = duplex(1_024);
        let (tell, events) = mpsc::channel(16);
        let outbox = Arc::new(Outbox::default());
        let own = Arc::clone(&outbox);
        let ended = tokio::spawn(async move {
            let heard = Heard {
                events: tell,
                line: 3,
                from: "192.0.2.1:5060".parse().unwrap(),
            };
            serve(near, &own, patience, &heard).await
        });
        End {
            far,
            events,
            outbox,
            ended,
        }
    }

    #[tokio::test]
    async fn messages_pass_both_ways_and_a_ping_is_answered() {
        let mut end = served(Patience::THEIRS);
        let stream = format!("{OPTIONS}\r\n\r\n{OPTIONS}");
        for part in stream.as_bytes().chunks(7) {
            end.far.write_all(part).await.unwrap();
        }
        for _ in 0..2 {
            let event = end.events.recv().await.unwrap();
            let Event::Message { line, bytes, .. } = event else {
                panic!("{event:?}")
            };
            assert_eq!((line, &bytes[..]), (3, OPTIONS.as_bytes()));
        }
        let mut answer = [0; 2];
        end.far.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"\r\n");
        assert!(end.outbox.push(b"hello".to_vec()).is_ok());
        let mut answer = [0; 5];
        end.far.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"hello");
        drop(end.far);
        assert!(matches!(end.ended.await.unwrap(), Ended::Closed));
        assert!(end.outbox.push(Vec::new()).is_err());
    }

    #[tokio::test]
    async fn what_is_no_sip_or_too_long_ends_it() {
        let long = format!("OPTIONS sip:a SIP/2.0\r\nX: {}", "x".repeat(40_000));
        let huge = OPTIONS.replace("Length: 0", "Length: 40000");
        let lengthless = OPTIONS.replace("Content-Length: 0\r\n", "");
        let nonsense = "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned();
        for wrong in [long, huge, lengthless, nonsense] {
            let mut end = served(Patience::THEIRS);
            // It may be closed before everything is written.
            let _ = end.far.write_all(wrong.as_bytes()).await;
            let ended = end.ended.await.unwrap();
            assert!(ended.is_malformed(), "{ended}");
        }
    }

    #[tokio::test]
    async fn whoever_is_slow_is_waited_for_so_long_and_no_longer() {
        let silent = served(Patience {
            first: SHORT,
            ..Patience::OURS
        });
        assert!(matches!(silent.ended.await.unwrap(), Ended::Idle(_)));

        let mut dripping = served(Patience {
            whole: SHORT,
            ..Patience::OURS
        });
        let drip = tokio::time::interval(SHORT / 20);
        tokio::pin!(drip);
        while !dripping.ended.is_finished() {
            drip.tick().await;
            // It may be closed meanwhile.
            let _ = dripping.far.write_all(b"x").await;
        }
        let ended = dripping.ended.await.unwrap();
        assert!(matches!(ended, Ended::Slow(_)), "{ended}");

        let deaf = served(Patience {
            stall: SHORT,
            ..Patience::OURS
        });
        assert!(deaf.outbox.push(vec![0; 10_000]).is_ok());
        assert!(matches!(deaf.ended.await.unwrap(), Ended::Stalled(_)));
    }
}
