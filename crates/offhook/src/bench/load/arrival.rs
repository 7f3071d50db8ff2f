//! Clients that connect and register, a few at a time: who is there before anything is measured.

use std::io;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::sip::{Client, Kind, Template, refusal};
use super::swarm::{Actor, Next, Outbox, Swarm};

/// Clients that are on their way at a time.
const AT_ONCE: usize = 64;
/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects all, and registers them.
pub(super) fn arrive(
    swarm: &mut Swarm,
    clients: &[Client],
    is_registered: bool,
) -> anyhow::Result<Vec<Template>> {
    let mut arrival = Arrival {
        templates: clients.iter().map(Client::register).collect(),
        is_registered,
        begun: 0,
        there: 0,
        fault: None,
        last: Instant::now(),
    };
    swarm.run(&mut arrival)?;
    match arrival.fault {
        Some(fault) => Err(anyhow!("{fault}")),
        None => Ok(arrival.templates),
    }
}

struct Arrival {
    templates: Vec<Template>,
    is_registered: bool,
    begun: usize,
    there: usize,
    fault: Option<String>,
    /// When something has happened.
    last: Instant,
}

impl Arrival {
    fn is_there(&mut self) {
        self.there += 1;
        self.last = Instant::now();
    }
}

impl Actor for Arrival {
    fn opened(&mut self, outbox: &mut Outbox, at: usize) {
        if self.is_registered {
            outbox.send(at, self.templates[at].next());
        } else {
            self.is_there();
        }
    }

    fn message(&mut self, _: &mut Outbox, _: usize, message: &[u8]) {
        match Kind::of(message) {
            Kind::Answer(200, b"REGISTER") => self.is_there(),
            Kind::Answer(..=199, _) | Kind::Request(_) => {}
            Kind::Answer(_, _) => {
                let refusal = refusal(message);
                self.fault = Some(format!("a REGISTER was answered with {refusal}"));
            }
        }
    }

    fn lost(&mut self, _: &mut Outbox, at: usize, why: &io::Error) {
        self.fault = Some(format!(
            "connection {at} did not come to be, or did not last: {why}"
        ));
    }

    fn turn(&mut self, outbox: &mut Outbox, now: Instant) -> Next {
        if self.fault.is_some() || self.there == self.templates.len() {
            return Next::Done;
        }
        if now.saturating_duration_since(self.last) > PATIENCE {
            self.fault = Some(format!(
                "the server left {} clients without an answer",
                self.begun - self.there
            ));
            return Next::Done;
        }
        while self.begun < self.templates.len() && self.begun - self.there < AT_ONCE {
            outbox.open(self.begun);
            self.begun += 1;
        }
        Next::Message
    }
}
