//! Many connections on one thread, and whoever acts on them.
//!
//! Knows nothing of what is said.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::frame::{Framing, push_pong, push_text};
use super::link::{Link, News, upgrade};
use super::target::Target;

/// What one reading may bring: many answers, or one large one.
const SCRATCH: usize = 256 * 1024;
const EVENTS: usize = 1_024;
/// The longest that is waited before the actor is asked again.
const PATIENCE: Duration = Duration::from_millis(100);

/// Who decides what is sent.
pub(super) trait Actor {
    /// A connection is open.
    fn opened(&mut self, outbox: &mut Outbox, at: usize);

    /// A message has come.
    fn message(&mut self, outbox: &mut Outbox, at: usize, message: &[u8]);

    /// A connection is gone, or could not be made.
    fn lost(&mut self, outbox: &mut Outbox, at: usize, why: &io::Error);

    /// What is to be done without a message. Says when to ask again.
    fn turn(&mut self, outbox: &mut Outbox, now: Instant) -> Next;
}

/// When an actor wants its turn again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Whenever something has come.
    Message,
    /// At this time at the latest.
    At(Instant),
    /// Never: it is done.
    Done,
}

/// What actors want done, by the number of the connection.
pub(super) struct Outbox {
    framing: Framing,
    outgoing: Vec<Vec<u8>>,
    /// Those with something to send.
    dirty: Vec<usize>,
    /// Those that are to be opened.
    wanted: Vec<usize>,
    /// Those that are to be closed.
    unwanted: Vec<usize>,
}

impl Outbox {
    pub(super) fn send(&mut self, at: usize, message: &[u8]) {
        let outgoing = &mut self.outgoing[at];
        if outgoing.is_empty() {
            self.dirty.push(at);
        }
        match self.framing {
            Framing::WebSocket => push_text(outgoing, message),
            Framing::Http => outgoing.extend_from_slice(message),
        }
    }

    /// Opens a connection that is not there.
    pub(super) fn open(&mut self, at: usize) {
        self.wanted.push(at);
    }

    /// Closes one without a word.
    pub(super) fn close(&mut self, at: usize) {
        self.unwanted.push(at);
    }
}

/// See the module.
pub(super) struct Swarm {
    target: Target,
    poll: Poll,
    events: Events,
    links: Vec<Option<Link>>,
    outbox: Outbox,
    scratch: Vec<u8>,
    /// Never sleeps: a server on this machine does not have to wake it up.
    spins: bool,
}

impl Swarm {
    /// With as many places for connections; none is open.
    pub(super) fn new(target: &Target, framing: Framing, count: usize) -> io::Result<Self> {
        Ok(Self {
            target: target.clone(),
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            links: (0..count).map(|_| None).collect(),
            outbox: Outbox {
                framing,
                outgoing: vec![Vec::new(); count],
                dirty: Vec::new(),
                wanted: Vec::new(),
                unwanted: Vec::new(),
            },
            scratch: vec![0; SCRATCH],
            spins: target.spins,
        })
    }

    /// Lets somebody act until it is done. Says what part of the time it had something to do, if it never sleeps.
    pub(super) fn run(&mut self, actor: &mut impl Actor) -> io::Result<Option<f64>> {
        let begun = Instant::now();
        let mut idle = Duration::ZERO;
        loop {
            let now = Instant::now();
            let next = actor.turn(&mut self.outbox, now);
            self.perform(actor);
            let wait = match next {
                Next::Done => {
                    let busy = 1.0 - idle.as_secs_f64() / begun.elapsed().as_secs_f64().max(1e-9);
                    return Ok(self.spins.then_some(busy));
                }
                Next::Message => PATIENCE,
                Next::At(at) => at.saturating_duration_since(now).min(PATIENCE),
            };
            let wait = if self.spins { Duration::ZERO } else { wait };
            match self.poll.poll(&mut self.events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            if self.events.is_empty() {
                idle += now.elapsed();
            }
            for event in &self.events {
                let at = event.token().0;
                if event.is_writable() {
                    self.outbox.dirty.push(at);
                }
                if event.is_readable() || event.is_error() || event.is_read_closed() {
                    let (links, outbox) = (&mut self.links, &mut self.outbox);
                    read(links, outbox, actor, &mut self.scratch, at);
                }
            }
            self.perform(actor);
        }
    }

    fn perform(&mut self, actor: &mut impl Actor) {
        while let Some(at) = self.outbox.unwanted.pop() {
            drop_link(&mut self.links, &mut self.outbox, at);
        }
        while let Some(at) = self.outbox.wanted.pop() {
            if let Err(why) = self.open(at) {
                actor.lost(&mut self.outbox, at, &why);
            }
        }
        while let Some(at) = self.outbox.dirty.pop() {
            let Some(link) = &mut self.links[at] else {
                continue;
            };
            if let Err(why) = link.flush(&mut self.outbox.outgoing[at]) {
                drop_link(&mut self.links, &mut self.outbox, at);
                actor.lost(&mut self.outbox, at, &why);
            }
        }
    }

    fn open(&mut self, at: usize) -> io::Result<()> {
        let framing = self.outbox.framing;
        let link = Link::begin(&self.target, framing, at, self.poll.registry())?;
        self.links[at] = Some(link);
        if framing == Framing::WebSocket {
            self.outbox.outgoing[at].extend_from_slice(upgrade(&self.target).as_bytes());
        }
        Ok(())
    }
}

fn drop_link(links: &mut [Option<Link>], outbox: &mut Outbox, at: usize) {
    links[at] = None;
    outbox.outgoing[at].clear();
}

fn read(
    links: &mut [Option<Link>],
    outbox: &mut Outbox,
    actor: &mut impl Actor,
    scratch: &mut [u8],
    at: usize,
) {
    let Some(link) = &mut links[at] else {
        return;
    };
    let read = link.read(scratch, |news| match news {
        News::Opened => actor.opened(outbox, at),
        News::Message(message) => actor.message(outbox, at, message),
        News::Ping(payload) => {
            push_pong(&mut outbox.outgoing[at], payload);
            outbox.dirty.push(at);
        }
    });
    if let Err(why) = read {
        drop_link(links, outbox, at);
        actor.lost(outbox, at, &why);
    }
}
