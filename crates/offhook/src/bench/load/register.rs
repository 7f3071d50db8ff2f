//! REGISTER again and again, by clients that are registered.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use super::course::Course;
use super::sip::{Client, Kind, Template};
use super::swarm::{Actor, Next, Outbox};

/// See the module.
pub(super) struct Registering {
    course: Course,
    clients: Vec<Client>,
    templates: Vec<Template>,
    /// Tokens that were never shown, of each client; where none are wanted, empty.
    fresh: Vec<Vec<String>>,
    /// Without one, the run is over.
    needs_fresh: bool,
    idle: VecDeque<usize>,
    since: Vec<Option<Instant>>,
}

impl Registering {
    pub(super) fn new(
        course: Course,
        clients: Vec<Client>,
        templates: Vec<Template>,
        fresh: Option<Vec<Vec<String>>>,
    ) -> Self {
        let count = clients.len();
        Self {
            course,
            clients,
            templates,
            needs_fresh: fresh.is_some(),
            fresh: fresh.unwrap_or_default(),
            idle: (0..count).collect(),
            since: vec![None; count],
        }
    }

    pub(super) fn into_course(self) -> Course {
        self.course
    }

    fn next(&mut self, at: usize) -> Option<&[u8]> {
        if self.needs_fresh {
            let client = &mut self.clients[at];
            client.token = Some(self.fresh[at].pop()?);
            self.templates[at] = client.register().going_on_from(&self.templates[at]);
        }
        Some(self.templates[at].next())
    }
}

impl Actor for Registering {
    fn opened(&mut self, _: &mut Outbox, _: usize) {}

    fn message(&mut self, _: &mut Outbox, at: usize, message: &[u8]) {
        let status = match Kind::of(message) {
            Kind::Answer(200.., b"REGISTER") => &message[..message.len().min(11)],
            Kind::Answer(_, _) | Kind::Request(_) => return,
        };
        let Some(since) = self.since[at].take() else {
            return;
        };
        self.idle.push_back(at);
        if status.ends_with(b"200") {
            self.course.done(since);
        } else {
            self.course
                .failed(String::from_utf8_lossy(status).into_owned());
        }
    }

    fn lost(&mut self, _: &mut Outbox, at: usize, why: &io::Error) {
        self.course.lost(why, self.since.len());
        if self.since[at].take().is_some() {
            self.course.failed(why.to_string());
        }
        self.idle.retain(|other| *other != at);
    }

    fn turn(&mut self, outbox: &mut Outbox, now: Instant) -> Next {
        while let Some(at) = self.idle.front().copied() {
            let Some(since) = self.course.start(now) else {
                break;
            };
            self.idle.pop_front();
            match self.next(at) {
                Some(message) => {
                    outbox.send(at, message);
                    self.since[at] = Some(since);
                }
                None => self.course.stop(now),
            }
        }
        self.course.next(now)
    }
}
