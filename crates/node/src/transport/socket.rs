//! A WebSocket on a stream: reads frames into a buffer that all connections of a thread share, and keeps of its own only what
//! is not whole yet, or not sent. So an idle connection has no buffers.
//!
//! Knows nothing of what messages say; answers pings by itself.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use model::limits;
use sip::websocket::{self, Broken, Decoder, Frame, Step};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::stream::Stream;

/// One byte more than a message may have, so that the edge sees that it is too large; and room for the head that a
/// resumable session puts before it: two numbers of 16 digits, a space and a line end.
const FRAME_BYTES: usize = limits::MESSAGE_BYTES + 1 + 2 * 16 + 3;
/// What is read at once: one full record of TLS, several video INVITEs.
const READ_BYTES: usize = 16 * 1024;
/// What a frame that comes in pieces is given beyond what has come.
const MORE_BYTES: usize = 4 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// See the module.
pub(crate) struct Socket {
    stream: Stream,
    decoder: Decoder,
    /// The beginning of a frame.
    unread: Vec<u8>,
    output: Output,
}

/// What is to be sent.
#[derive(Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// How many of them are sent.
    sent: usize,
    /// TLS may still hold some.
    is_flushed: bool,
}

/// Why nothing more can be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The client is gone.
    Lost,
    /// What it sent is no WebSocket.
    Broken(Broken),
}

/// What came in.
#[derive(Debug)]
pub(super) enum Received {
    Message(Vec<u8>),
    Ping,
    Pong,
    Close,
}

impl Output {
    /// A SIP message.
    pub(super) fn push(&mut self, message: &[u8]) {
        websocket::push_message(&mut self.bytes, message);
        self.is_flushed = false;
    }

    pub(super) fn ping(&mut self) {
        websocket::push_ping(&mut self.bytes);
        self.is_flushed = false;
    }

    fn pong(&mut self, payload: &[u8]) {
        websocket::push_pong(&mut self.bytes, payload);
        self.is_flushed = false;
    }

    fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && self.is_flushed
    }
}

impl Socket {
    /// `unread`: what its client has sent right behind the upgrade.
    pub(crate) fn new(stream: Stream, unread: &[u8]) -> Self {
        Self {
            stream,
            decoder: Decoder::new(FRAME_BYTES),
            unread: unread.to_vec(),
            output: Output {
                is_flushed: true,
                ..Output::default()
            },
        }
    }

    pub(super) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Whether everything was sent.
    pub(super) fn is_flushed(&self) -> bool {
        self.output.is_empty()
    }

    /// Bytes that the stream has not taken.
    pub(super) fn unsent(&self) -> usize {
        self.output.bytes.len() - self.output.sent
    }

    /// Sends all that there is. What was held for it is given back.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Output {
            bytes,
            sent,
            is_flushed,
        } = &mut self.output;
        let mut stream = Pin::new(&mut self.stream);
        while *sent < bytes.len() {
            match ready!(stream.as_mut().poll_write(context, &bytes[*sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => *sent += taken,
            }
        }
        if !bytes.is_empty() {
            (*bytes, *sent) = (Vec::new(), 0);
        }
        if !*is_flushed {
            ready!(stream.poll_flush(context))?;
            *is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once, and gives every frame that is whole then to `take`, which may send. Pings are answered here.
    pub(super) fn poll_read<E: From<Fault>>(
        &mut self,
        context: &mut Context<'_>,
        mut take: impl FnMut(Frame<'_>, &mut Output) -> Result<(), E>,
    ) -> Poll<Result<(), E>> {
        if !self.unread.is_empty() {
            return self.poll_read_on(context, &mut take);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut room = ReadBuf::new(scratch);
            ready!(poll_fill(&mut self.stream, context, &mut room))?;
            let bytes = room.filled_mut();
            let used = self.take_frames(bytes, &mut take)?;
            self.unread.extend_from_slice(&bytes[used..]);
            Poll::Ready(Ok(()))
        })
    }

    /// The same where the beginning of a frame waits: the rest is read behind it, so that it is not copied again and again.
    fn poll_read_on<E: From<Fault>>(
        &mut self,
        context: &mut Context<'_>,
        take: &mut impl FnMut(Frame<'_>, &mut Output) -> Result<(), E>,
    ) -> Poll<Result<(), E>> {
        let mut bytes = std::mem::take(&mut self.unread);
        // What came with the upgrade may be whole.
        let mut used = self.take_frames(&mut bytes, take)?;
        if used == 0 {
            let filled = poll_extend(&mut self.stream, context, &mut bytes);
            if filled.is_pending() {
                self.unread = bytes;
                return Poll::Pending;
            }
            ready!(filled)?;
            used = self.take_frames(&mut bytes, take)?;
        }
        self.keep(bytes, used);
        Poll::Ready(Ok(()))
    }

    /// Keeps what is behind the first bytes, in no more room than it needs.
    fn keep(&mut self, mut bytes: Vec<u8>, used: usize) {
        if used < bytes.len() {
            bytes.drain(..used);
            bytes.shrink_to(bytes.len() + MORE_BYTES);
            self.unread = bytes;
        }
    }

    fn take_frames<E: From<Fault>>(
        &mut self,
        bytes: &mut [u8],
        take: &mut impl FnMut(Frame<'_>, &mut Output) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut used = 0;
        while used < bytes.len() {
            match self
                .decoder
                .step(&mut bytes[used..])
                .map_err(Fault::Broken)?
            {
                Step::Frame(frame, len) => {
                    if let Frame::Ping(payload) = &frame {
                        self.output.pong(payload);
                    }
                    take(frame, &mut self.output)?;
                    used += len;
                }
                Step::Wanting(_) => break,
            }
        }
        Ok(used)
    }

    /// The next frame that is more than a part, by itself; safe to drop at any time. For who may stop reading after each.
    pub(super) async fn next(&mut self) -> Result<Received, Fault> {
        loop {
            let mut bytes = std::mem::take(&mut self.unread);
            let step = self.decoder.step(&mut bytes).map_err(Fault::Broken)?;
            let Step::Frame(frame, used) = step else {
                self.unread = bytes;
                self.fill().await?;
                continue;
            };
            let received = match frame {
                Frame::Message(payload) => Some(Received::Message(payload.to_vec())),
                Frame::Part => None,
                Frame::Ping(payload) => {
                    self.output.pong(payload);
                    Some(Received::Ping)
                }
                Frame::Pong => Some(Received::Pong),
                Frame::Close(_) => Some(Received::Close),
            };
            self.keep(bytes, used);
            if let Some(received) = received {
                return Ok(received);
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Fault> {
        std::future::poll_fn(|context| {
            if !self.unread.is_empty() {
                return poll_extend(&mut self.stream, context, &mut self.unread);
            }
            SCRATCH.with_borrow_mut(|scratch| {
                let mut room = ReadBuf::new(scratch);
                ready!(poll_fill(&mut self.stream, context, &mut room))?;
                self.unread.extend_from_slice(room.filled());
                Poll::Ready(Ok(()))
            })
        })
        .await
    }

    /// Sends all that there is.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_flush(context)).await
    }

    /// Answers a goodbye.
    pub(super) async fn answer_close(mut self, code: u16) {
        websocket::push_close(&mut self.output.bytes, code, "");
        self.output.is_flushed = false;
        if self.flush().await.is_ok() {
            let _ = self.stream.shutdown().await;
        }
    }

    /// Says goodbye, and reads until the peer has heard it, so that nothing unread makes the system take it back.
    pub(super) async fn close(mut self, code: u16, reason: &str) {
        websocket::push_close(&mut self.output.bytes, code, reason);
        self.output.is_flushed = false;
        if self.flush().await.is_err() {
            return;
        }
        loop {
            match self.next().await {
                Ok(Received::Close) | Err(_) => break,
                Ok(Received::Message(_) | Received::Ping | Received::Pong) => {}
            }
        }
        let _ = self.stream.shutdown().await;
    }
}

/// Reads behind what is there.
fn poll_extend(
    stream: &mut Stream,
    context: &mut Context<'_>,
    bytes: &mut Vec<u8>,
) -> Poll<Result<(), Fault>> {
    let known = bytes.len();
    bytes.resize(known + MORE_BYTES, 0);
    let mut room = ReadBuf::new(&mut bytes[known..]);
    let filled = poll_fill(stream, context, &mut room);
    let read = room.filled().len();
    bytes.truncate(known + read);
    filled
}

/// Reads at least one byte.
fn poll_fill(
    stream: &mut Stream,
    context: &mut Context<'_>,
    room: &mut ReadBuf<'_>,
) -> Poll<Result<(), Fault>> {
    match ready!(Pin::new(stream).poll_read(context, room)) {
        Ok(()) if !room.filled().is_empty() => Poll::Ready(Ok(())),
        Ok(()) | Err(_) => Poll::Ready(Err(Fault::Lost)),
    }
}
