//! Clients that are there and do what a stock client does meanwhile: they answer pings and ask for TURN credentials.

use std::io;
use std::time::{Duration, Instant};

use super::course::Course;
use super::sip::{Client, Kind, Template};
use super::swarm::{Actor, Next, Outbox};

/// How often a stock client asks (docs/compat.md).
const ASKS_EVERY: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Idling {
    course: Course,
    options: Vec<Template>,
    /// The next to ask, and when.
    next: usize,
    at: Instant,
    since: Vec<Option<Instant>>,
}

impl Idling {
    pub(super) fn new(course: Course, clients: &[Client]) -> Self {
        Self {
            course,
            options: clients.iter().map(Client::options).collect(),
            next: 0,
            at: Instant::now(),
            since: vec![None; clients.len()],
        }
    }

    pub(super) fn into_course(self) -> Course {
        self.course
    }
}

impl Actor for Idling {
    fn opened(&mut self, _: &mut Outbox, _: usize) {}

    fn message(&mut self, _: &mut Outbox, at: usize, message: &[u8]) {
        if let Kind::Answer(status, b"OPTIONS") = Kind::of(message)
            && let Some(since) = self.since[at].take()
        {
            match status {
                200 => self.course.done(since),
                _ => self.course.failed(format!("OPTIONS: {status}")),
            }
        }
    }

    fn lost(&mut self, _: &mut Outbox, at: usize, why: &io::Error) {
        self.course.lost(why, self.since.len());
        if self.since[at].take().is_some() {
            self.course.failed(why.to_string());
        }
    }

    fn turn(&mut self, outbox: &mut Outbox, now: Instant) -> Next {
        while now >= self.at {
            let at = self.next;
            if self.since[at].is_none()
                && let Some(since) = self.course.start(now)
            {
                self.since[at] = Some(since);
                outbox.send(at, self.options[at].next());
            }
            self.next = (at + 1) % self.options.len();
            self.at += ASKS_EVERY / self.options.len() as u32;
        }
        match self.course.next(now) {
            Next::At(_) => Next::At(self.at),
            next @ (Next::Message | Next::Done) => next,
        }
    }
}
