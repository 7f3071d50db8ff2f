//! SIP over WebSocket (RFC 7118): one task for each connection, small while it is idle.
//!
//! Reads frames and gives them to the edge, writes what the outbox holds, and pings. What a frame means is said by
//! `switch::edge` and the shard. When the connection ends, for whatever reason, the shard is told once, at once.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use model::limits;
use sip::websocket::{Broken, Frame};
use switch::edge::{Flow, Liveness, Verdict};
use switch::{Closing, Counter};
use tokio::time::{Instant, Sleep};

use super::Place;
use super::socket::{Fault, Output, Socket};
use crate::outbox::Outgoing;
use crate::signalling::{Session, Signalling};
use crate::telemetry::Counters;

/// How often a client may be read before the others have their turn: once for what it has to say, and once to see that this was
/// all. Each reading is bounded, so this bounds how long others wait for one that floods.
const READS_IN_A_ROW: usize = 2;

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
    socket: Socket,
    signalling: Arc<Signalling>,
    place: Arc<Place>,
    host: Option<String>,
) {
    let session = signalling.open();
    drop(signalling);
    let flow = Flow::new(
        session.connection,
        session.signalling.now(),
        host.as_deref(),
    );
    drop(host);
    let mut conversation = Conversation {
        socket,
        session,
        flow,
        patience: None,
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
    // The farewell may take a moment, and nobody need wait for it.
    let _ = tokio::time::timeout(limits::FAREWELL_TIME, farewell(socket, ending)).await;
    drop(place);
}

struct Conversation {
    socket: Socket,
    session: Session,
    flow: Flow,
    /// When a client that takes nothing counts as lost.
    patience: Option<Instant>,
}

impl Conversation {
    async fn go_on(&mut self) -> Ending {
        let mut timer = pin!(tokio::time::sleep_until(self.deadline()));
        // The first time it has to learn whom to wake, and later only when it has done so.
        let mut is_armed = false;
        poll_fn(|context| {
            let looks = !is_armed || timer.is_elapsed();
            is_armed = true;
            self.poll(context, looks.then_some(timer.as_mut()))
        })
        .await
    }

    /// When there is something to do without a message.
    fn deadline(&self) -> Instant {
        let clock = &self.session.signalling.clock;
        self.patience
            .unwrap_or_else(|| clock.deadline(self.flow.poll_timeout()))
    }

    fn poll(&mut self, context: &mut Context<'_>, timer: Option<Pin<&mut Sleep>>) -> Poll<Ending> {
        // While this runs, what is pushed is seen without being woken.
        self.session.outbox.forget_waker();
        loop {
            match self.poll_work(context) {
                Poll::Ready(ending) => return Poll::Ready(ending),
                Poll::Pending
                    if self
                        .session
                        .outbox
                        .waits(context.waker(), self.patience.is_some()) => {}
                Poll::Pending => break,
            }
        }
        let Some(mut timer) = timer else {
            return Poll::Pending;
        };
        while timer.as_mut().poll(context).is_ready() {
            if let Err(ending) = self.on_time() {
                return Poll::Ready(ending);
            }
            timer.as_mut().reset(self.deadline());
            // A ping goes out at once.
            if let Poll::Ready(ending) = self.poll_work(context) {
                return Poll::Ready(ending);
            }
        }
        Poll::Pending
    }

    /// Reads and writes until there is nothing more to do now. What waits goes out before anything is read: a client that
    /// takes nothing may ask for nothing more.
    fn poll_work(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        let mut reads = 0..READS_IN_A_ROW;
        loop {
            let closing = self.take_outgoing();
            let unsent = self.socket.unsent();
            match self.socket.poll_flush(context) {
                Poll::Ready(Ok(())) => self.patience = None,
                Poll::Ready(Err(_)) => return Poll::Ready(Ending::Lost),
                Poll::Pending if self.session.outbox.has_overflowed() => {
                    return Poll::Ready(Ending::Close(Closing::SLOW_READER));
                }
                Poll::Pending => {
                    if self.patience.is_none() || self.socket.unsent() < unsent {
                        self.patience = Some(Instant::now() + limits::WRITE_TIME);
                    }
                    return Poll::Pending;
                }
            }
            if let Some(why) = closing {
                return Poll::Ready(Ending::Close(why));
            }
            if reads.next().is_none() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Self {
                socket,
                session,
                flow,
                ..
            } = self;
            let read =
                socket.poll_read(context, |frame, output| take(frame, flow, session, output));
            match read {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(Stop::Ending(ending))) => return Poll::Ready(ending),
                Poll::Ready(Err(Stop::Fault(fault))) => {
                    return Poll::Ready(ending_of(&fault, &session.signalling.counters));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// What waits in the outbox goes to the socket; says why to close it behind that.
    fn take_outgoing(&mut self) -> Option<Closing> {
        while self.patience.is_none()
            && let Some(outgoing) = self.session.outbox.pop()
        {
            match outgoing {
                Outgoing::Message(message) => self.socket.output().push(&message),
                Outgoing::Close(why) => return Some(why),
            }
        }
        None
    }

    fn on_time(&mut self) -> Result<(), Ending> {
        if let Some(patience) = self.patience {
            return if Instant::now() < patience {
                Ok(())
            } else {
                Err(Ending::Lost)
            };
        }
        match self.flow.timeout(self.session.signalling.now()) {
            Liveness::Wait => {}
            Liveness::Ping => self.socket.output().ping(),
            Liveness::Close { why, count } => {
                count
                    .into_iter()
                    .for_each(|counter| self.session.signalling.counters.add(counter));
                return Err(Ending::Close(why));
            }
        }
        Ok(())
    }
}

/// Why no more is read.
enum Stop {
    Ending(Ending),
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn take(
    frame: Frame<'_>,
    flow: &mut Flow,
    session: &mut Session,
    output: &mut Output,
) -> Result<(), Stop> {
    match frame {
        Frame::Message(message) => {
            take_message(&message, flow, session, output).map_err(Stop::Ending)
        }
        Frame::Part => Ok(()),
        Frame::Ping(_) => match flow.ping(session.signalling.now()) {
            None => Ok(()),
            Some(why) => {
                session.signalling.counters.add(Counter::TooManyMessages);
                Err(Stop::Ending(Ending::Close(why)))
            }
        },
        Frame::Pong => {
            flow.alive(session.signalling.now());
            Ok(())
        }
        Frame::Close(_) => Err(Stop::Ending(Ending::Closed)),
    }
}

fn take_message(
    frame: &[u8],
    flow: &mut Flow,
    session: &mut Session,
    output: &mut Output,
) -> Result<(), Ending> {
    let signalling = &session.signalling;
    let published = signalling.published();
    let shards = signalling.shard_count();
    if session.outbox.is_proven() {
        flow.proven();
    }
    let count = |counter: Option<Counter>| {
        counter
            .into_iter()
            .for_each(|counter| signalling.counters.add(counter));
    };
    let now = signalling.now();
    match flow.frame(now, frame, &published.snapshot, shards) {
        Verdict::Deliver {
            shard,
            account,
            message,
            ice_servers,
        } => session.deliver(now, shard, account, &message, ice_servers.as_deref()),
        Verdict::Reply {
            message,
            count: counter,
        } => {
            count(counter);
            signalling.counters.meters.leaves(&message);
            output.push(&message);
        }
        Verdict::Ignore { count: counter } => count(counter),
        Verdict::Close {
            why,
            count: counter,
        } => {
            count(Some(counter));
            return Err(Ending::Close(why));
        }
    }
    Ok(())
}

/// What to do about a client that is gone, or speaks no WebSocket.
pub(super) fn ending_of(fault: &Fault, counters: &Counters) -> Ending {
    match fault {
        Fault::Lost => Ending::Lost,
        Fault::Broken(Broken::TooLarge) => {
            counters.add(Counter::TooLarge);
            Ending::Close(Closing::TOO_LARGE)
        }
        Fault::Broken(Broken::NotUtf8) => Ending::Close(NOT_UTF8),
        Fault::Broken(Broken::Protocol) => Ending::Close(BROKEN_FRAME),
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
/// RFC 6455 §7.4.1: the answer to a goodbye.
const GOODBYE: u16 = 1000;

/// Says goodbye in the way that the ending asks for.
pub(super) async fn farewell(socket: Socket, ending: Ending) {
    match ending {
        Ending::Lost => {}
        Ending::Closed => socket.answer_close(GOODBYE).await,
        Ending::Close(why) => socket.close(why.code, why.reason).await,
    }
}
