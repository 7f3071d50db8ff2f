//! A stream's connection that counts what is read of a message: one that comes in fragments without end is given up (RFC 6455 §5.4).
//!
//! The library bounds what a message holds; fragments that hold nothing would keep a core busy for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use model::limits::STREAM_MESSAGE_WIRE_BYTES;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connector::Stream;

/// See the module.
pub(super) struct Whole {
    wire: Stream,
    /// Since a message was whole.
    read: usize,
}

impl Whole {
    pub(super) fn new(wire: Stream) -> Self {
        Self { wire, read: 0 }
    }

    /// What is below, for whoever reads no messages any more.
    pub(super) fn wire(&mut self) -> &mut Stream {
        &mut self.wire
    }

    /// A message has come.
    pub(super) fn is_whole(&mut self) {
        self.read = 0;
    }
}

/// Why nothing more is read of one.
#[derive(Debug, thiserror::Error)]
#[error("sends a message in fragments without end")]
struct Endless;

/// Whether a connection was given up for that.
pub(super) fn is_endless(error: &io::Error) -> bool {
    let cause = error.get_ref();
    cause.is_some_and(|cause| cause.is::<Endless>())
}

impl AsyncRead for Whole {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read > STREAM_MESSAGE_WIRE_BYTES {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, Endless)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.wire).poll_read(context, buffer))?;
        self.read += buffer.filled().len() - before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Whole {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}
