//! Server transactions: whoever answers. INVITE (RFC 3261 §17.2.1, RFC 6026 §7.1) and all others (§17.2.2).
//!
//! Keeps the last answer, for requests that come again.

use super::repetition::Repetition;
use super::{Moment, T2, T4, TIME, Transport};

/// A request that has come, and its answers.
#[derive(Debug)]
pub struct Server {
    is_invite: bool,
    transport: Transport,
    state: State,
    answer: Option<Box<[u8]>>,
    /// The refusal of an INVITE is due again; over a reliable transport never.
    repetition: Option<Repetition>,
    /// When the state ends.
    ends: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No final answer yet.
    Proceeding,
    /// A final answer was given; of an INVITE, a refusal whose ACK is awaited.
    Completed,
    /// That ACK has come.
    Confirmed,
    /// A 2xx to an INVITE was given: its owner repeats it, and sees its ACK.
    Accepted,
    Terminated,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerDue<'a> {
    /// This answer is to be sent again.
    Send(&'a [u8]),
    /// The refusal of an INVITE was never acknowledged.
    Unacknowledged,
    /// It may be forgotten.
    Ended,
    /// Nothing yet.
    Nothing,
}

impl Server {
    /// Of a request that has just come.
    pub fn new(is_invite: bool, transport: Transport) -> Self {
        Self {
            is_invite,
            transport,
            state: State::Proceeding,
            answer: None,
            repetition: None,
            ends: Moment::MAX,
        }
    }

    /// An answer is given, and sent by its owner. Says whether it may be: after a final one there is no other.
    pub fn answer(&mut self, status: u16, message: &[u8], now: Moment) -> bool {
        match (self.state, status) {
            (State::Proceeding, ..200) => self.answer = Some(message.into()),
            (State::Proceeding, 200..300) if self.is_invite => {
                // RFC 6026: the 2xx is its owner's, here it would be repeated for each INVITE that was under way.
                self.answer = None;
                self.enter(State::Accepted, now + TIME);
            }
            (State::Proceeding, _) => {
                self.answer = Some(message.into());
                if self.is_invite {
                    self.enter(State::Completed, now + TIME);
                    self.repetition = match self.transport {
                        Transport::Reliable => None,
                        Transport::Unreliable => Some(Repetition::after(now, T2)),
                    };
                } else {
                    self.enter(State::Completed, now + self.transport.if_unreliable(TIME));
                }
            }
            // Another fork of ours, or the same 2xx again.
            (State::Accepted, 200..300) => {}
            (State::Completed | State::Confirmed | State::Accepted | State::Terminated, _) => {
                return false;
            }
        }
        true
    }

    /// The request has come again: the answer that is to be sent again, if there is one.
    pub fn on_repeated(&self) -> Option<&[u8]> {
        match self.state {
            State::Proceeding | State::Completed => self.answer.as_deref(),
            State::Confirmed | State::Accepted | State::Terminated => None,
        }
    }

    /// An ACK has come. Says whether it is its owner's: that of a 2xx.
    pub fn on_ack(&mut self, now: Moment) -> bool {
        if self.is_invite && self.state == State::Completed {
            self.enter(State::Confirmed, now + self.transport.if_unreliable(T4));
        }
        self.state == State::Accepted
    }

    fn enter(&mut self, state: State, ends: Moment) {
        self.repetition = None;
        (self.state, self.ends) = (state, ends);
    }

    /// When [`Server::on_due`] is wanted.
    pub fn deadline(&self) -> Moment {
        let next = self
            .repetition
            .map_or(Moment::MAX, |repetition| repetition.next());
        next.min(self.ends)
    }

    /// Time has passed. To be asked again until there is nothing.
    pub fn on_due(&mut self, now: Moment) -> ServerDue<'_> {
        if self.ends <= now {
            let was = self.state;
            self.enter(State::Terminated, Moment::MAX);
            return match was {
                State::Completed if self.is_invite => ServerDue::Unacknowledged,
                State::Completed | State::Confirmed | State::Accepted => ServerDue::Ended,
                State::Proceeding | State::Terminated => ServerDue::Nothing,
            };
        }
        let is_due = |repetition: &mut Repetition| repetition.is_due(now);
        match &self.answer {
            Some(answer) if self.repetition.as_mut().is_some_and(is_due) => ServerDue::Send(answer),
            Some(_) | None => ServerDue::Nothing,
        }
    }

    /// The transport has failed for good: nobody can be answered (§17.2.4).
    pub fn on_transport_lost(&mut self) {
        self.enter(State::Terminated, Moment::MAX);
    }

    /// Whether it may be forgotten.
    pub fn is_over(&self) -> bool {
        self.state == State::Terminated
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ms(millis: u64) -> Moment {
        Duration::from_millis(millis)
    }

    /// What is due, with the moments in milliseconds; `S` stands for the answer again.
    fn story(server: &mut Server, until: u64) -> Vec<(u64, &'static str)> {
        let mut told = Vec::new();
        while server.deadline() <= ms(until) {
            let now = server.deadline();
            let what = match server.on_due(now) {
                ServerDue::Send(_) => "S",
                ServerDue::Unacknowledged => "unacknowledged",
                ServerDue::Ended => "ended",
                ServerDue::Nothing => panic!("a deadline has something due"),
            };
            told.push((u64::try_from(now.as_millis()).unwrap(), what));
        }
        told
    }

    #[test]
    fn a_repeated_request_gets_the_last_answer_again() {
        for is_invite in [true, false] {
            let mut server = Server::new(is_invite, Transport::Unreliable);
            assert_eq!(server.on_repeated(), None);
            assert!(server.answer(100, b"100", ms(0)));
            assert!(server.answer(180, b"180", ms(0)));
            assert_eq!(server.on_repeated(), Some(&b"180"[..]));
            assert_eq!(
                server.deadline(),
                Moment::MAX,
                "its owner may take its time"
            );
            assert!(server.answer(486, b"486", ms(0)));
            assert_eq!(server.on_repeated(), Some(&b"486"[..]));
            assert!(
                !server.answer(200, b"200", ms(0)),
                "a final answer is the last"
            );
            assert!(!server.answer(180, b"180", ms(0)));
        }
    }

    #[test]
    fn a_refusal_over_udp_is_sent_until_it_is_acknowledged() {
        let mut server = Server::new(true, Transport::Unreliable);
        assert!(server.answer(486, b"486", ms(0)));
        assert_eq!(
            story(&mut server, 4_000),
            [(500, "S"), (1_500, "S"), (3_500, "S")]
        );
        assert!(!server.on_ack(ms(4_000)), "it ends here");
        assert_eq!(server.on_repeated(), None);
        assert_eq!(story(&mut server, 100_000), [(9_000, "ended")], "timer I");
    }

    #[test]
    fn a_refusal_that_nobody_acknowledges_is_given_up() {
        let mut server = Server::new(true, Transport::Unreliable);
        assert!(server.answer(486, b"486", ms(0)));
        let told = story(&mut server, 100_000);
        assert_eq!(told.len(), 11, "timer G at most every four seconds");
        assert_eq!(told.last(), Some(&(32_000, "unacknowledged")), "timer H");
        let mut server = Server::new(true, Transport::Reliable);
        assert!(server.answer(486, b"486", ms(0)));
        assert_eq!(story(&mut server, 100_000), [(32_000, "unacknowledged")]);
    }

    #[test]
    fn an_accepted_invite_absorbs_its_repetitions_and_hands_the_ack_on() {
        let mut server = Server::new(true, Transport::Unreliable);
        assert!(server.answer(180, b"180", ms(0)));
        assert!(server.answer(200, b"200", ms(100)));
        assert_eq!(server.on_repeated(), None);
        assert!(server.answer(200, b"200", ms(600)), "its owner repeats it");
        assert!(server.on_ack(ms(700)));
        assert_eq!(story(&mut server, 100_000), [(32_100, "ended")], "timer L");
    }

    #[test]
    fn another_request_is_answered_again_for_a_while() {
        let mut server = Server::new(false, Transport::Unreliable);
        assert!(server.answer(200, b"200", ms(0)));
        assert_eq!(server.on_repeated(), Some(&b"200"[..]));
        assert_eq!(story(&mut server, 100_000), [(32_000, "ended")], "timer J");
        assert_eq!(server.on_repeated(), None);
        let mut server = Server::new(false, Transport::Reliable);
        assert!(server.answer(200, b"200", ms(0)));
        assert_eq!(story(&mut server, 100_000), [(0, "ended")]);
    }

    #[test]
    fn a_lost_transport_ends_it() {
        let mut server = Server::new(true, Transport::Reliable);
        server.on_transport_lost();
        assert!(server.is_over() && !server.answer(200, b"200", ms(0)));
    }
}
