//! Calls between pairs of registered clients: INVITE, 180, 200, ACK, BYE, 200. The callee answers at once, the caller hangs up
//! at once or after a while.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::course::Course;
use super::sip::{Client, Kind, Template, sdp};
use super::swarm::{Actor, Next, Outbox};
use crate::bench::latency::Latencies;

/// Bytes of an offer and of an answer.
const SDP_BYTES: usize = 2_000;

/// Clients with an even number call the next one.
pub(super) struct Calling {
    course: Course,
    clients: Vec<Client>,
    invites: Vec<Template>,
    answer_sdp: String,
    /// Pairs without a call.
    idle: VecDeque<usize>,
    calls: Vec<Option<Call>>,
    talk: Duration,
    /// Those who talk, in the order in which they hang up.
    talking: VecDeque<Talk>,
    /// From INVITE to 200, of calls that were counted or not.
    pub(super) set_up: Latencies,
    message: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    since: Instant,
    is_answered: bool,
}

#[derive(Debug)]
struct Talk {
    until: Instant,
    pair: usize,
    bye: Vec<u8>,
}

impl Calling {
    pub(super) fn new(course: Course, clients: Vec<Client>, talk: Duration) -> Self {
        let offer = sdp(SDP_BYTES);
        let pairs = clients.len() / 2;
        let invites =
            (0..pairs).map(|pair| clients[2 * pair].invite(&clients[2 * pair + 1], &offer));
        Self {
            invites: invites.collect(),
            course,
            answer_sdp: offer,
            idle: (0..pairs).collect(),
            calls: vec![None; pairs],
            talk,
            talking: VecDeque::new(),
            set_up: Latencies::new(),
            clients,
            message: Vec::new(),
        }
    }

    pub(super) fn into_course(self) -> (Course, Latencies) {
        (self.course, self.set_up)
    }

    fn on_request(&mut self, outbox: &mut Outbox, at: usize, method: &[u8], message: &[u8]) {
        let client = &self.clients[at];
        match method {
            b"INVITE" => {
                client.answer(&mut self.message, message, "180 Ringing", "");
                outbox.send(at, &self.message);
                client.answer(&mut self.message, message, "200 OK", &self.answer_sdp);
                outbox.send(at, &self.message);
            }
            b"ACK" => {}
            _ => {
                client.answer(&mut self.message, message, "200 OK", "");
                outbox.send(at, &self.message);
            }
        }
    }

    /// The caller hears of its INVITE.
    fn on_invite_answered(
        &mut self,
        outbox: &mut Outbox,
        pair: usize,
        status: u16,
        message: &[u8],
    ) {
        let Some(call) = &mut self.calls[pair] else {
            return;
        };
        match status {
            ..=199 => {}
            // Over streams a 200 comes once; if not, ACK and nothing else.
            200..=299 => {
                let caller = &self.clients[2 * pair];
                caller.in_dialog(&mut self.message, message, "ACK", 1);
                outbox.send(2 * pair, &self.message);
                if std::mem::replace(&mut call.is_answered, true) {
                    return;
                }
                self.set_up.count(call.since.elapsed().as_nanos() as u64, 1);
                caller.in_dialog(&mut self.message, message, "BYE", 2);
                if self.talk.is_zero() {
                    outbox.send(2 * pair, &self.message);
                } else {
                    self.talking.push_back(Talk {
                        until: Instant::now() + self.talk,
                        pair,
                        bye: self.message.clone(),
                    });
                }
            }
            300.. => self.failed(pair, &format!("INVITE: {status}")),
        }
    }

    fn on_bye_answered(&mut self, pair: usize, status: u16) {
        if status != 200 {
            self.failed(pair, &format!("BYE: {status}"));
        } else if let Some(call) = self.calls[pair].take() {
            self.course.done(call.since);
            self.idle.push_back(pair);
        }
    }

    fn failed(&mut self, pair: usize, why: &str) {
        if self.calls[pair].take().is_some() {
            self.course.failed(why.to_owned());
            self.idle.push_back(pair);
            self.talking.retain(|talk| talk.pair != pair);
        }
    }

    /// Whoever has talked enough hangs up, and everybody at the end.
    fn hang_up(&mut self, outbox: &mut Outbox, now: Instant) {
        let is_over = self.course.is_over(now);
        while let Some(talk) = self
            .talking
            .pop_front_if(|talk| is_over || talk.until <= now)
        {
            outbox.send(2 * talk.pair, &talk.bye);
        }
    }
}

impl Actor for Calling {
    fn opened(&mut self, _: &mut Outbox, _: usize) {}

    fn message(&mut self, outbox: &mut Outbox, at: usize, message: &[u8]) {
        let pair = at / 2;
        match Kind::of(message) {
            Kind::Request(method) => self.on_request(outbox, at, method, message),
            Kind::Answer(status, b"INVITE") => {
                self.on_invite_answered(outbox, pair, status, message)
            }
            Kind::Answer(status, b"BYE") => self.on_bye_answered(pair, status),
            Kind::Answer(_, _) => {}
        }
    }

    fn lost(&mut self, _: &mut Outbox, at: usize, why: &io::Error) {
        self.course.lost(why, 2 * self.invites.len());
        let pair = at / 2;
        self.failed(pair, &why.to_string());
        self.idle.retain(|other| *other != pair);
    }

    fn turn(&mut self, outbox: &mut Outbox, now: Instant) -> Next {
        self.hang_up(outbox, now);
        while let Some(pair) = self.idle.front().copied() {
            let Some(since) = self.course.start(now) else {
                break;
            };
            self.idle.pop_front();
            outbox.send(2 * pair, self.invites[pair].next());
            self.calls[pair] = Some(Call {
                since,
                is_answered: false,
            });
        }
        match (self.course.next(now), self.talking.front()) {
            (Next::At(at), Some(talk)) => Next::At(at.min(talk.until)),
            (next, _) => next,
        }
    }
}
