//! Client transactions: whoever asks. INVITE (RFC 3261 §17.1.1, RFC 6026 §8.4) and all others (§17.1.2).

use std::time::Duration;

use super::repetition::Repetition;
use super::{Moment, T2, T4, TIME, TIMER_D, Transport};

/// A request and what becomes of it. ACK has no transaction.
#[derive(Debug)]
pub struct Client {
    is_invite: bool,
    transport: Transport,
    state: State,
    /// The request is due again; over a reliable transport never.
    repetition: Option<Repetition>,
    /// When the state ends.
    ends: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing has come: §17 calls it Calling or Trying.
    Trying,
    Proceeding,
    /// A final answer has come; of an INVITE, a refusal.
    Completed,
    /// A 2xx to an INVITE has come, and others may (RFC 6026 §7.2).
    Accepted,
    /// An INVITE that nobody waits for any longer, and that may be answered all the same.
    Forsaken,
    Terminated,
}

/// What an answer is to the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientVerdict {
    /// It is news.
    News,
    /// It is news, and refuses an INVITE: an ACK is due, to be sent again for each [`ClientVerdict::Again`].
    Refusal,
    /// The refusal of an INVITE has come before: its ACK was lost, or is late.
    Again,
    /// It has come before, or comes too late.
    Old,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientDue {
    /// The request is to be sent again.
    Send,
    /// No answer has come in time: like a 408 (§8.1.3.1).
    TimedOut,
    /// It may be forgotten.
    Ended,
    /// Nothing yet.
    Nothing,
}

impl Client {
    /// Of a request that has just been sent.
    pub fn new(is_invite: bool, transport: Transport, now: Moment) -> Self {
        let longest = if is_invite { Duration::MAX } else { T2 };
        let repetition = match transport {
            Transport::Reliable => None,
            Transport::Unreliable => Some(Repetition::after(now, longest)),
        };
        Self {
            is_invite,
            transport,
            state: State::Trying,
            repetition,
            ends: now + TIME,
        }
    }

    /// An answer has come.
    pub fn on_response(&mut self, status: u16, now: Moment) -> ClientVerdict {
        match (self.state, status) {
            (State::Trying | State::Proceeding, ..200) => {
                self.on_provisional(now);
                ClientVerdict::News
            }
            (State::Trying | State::Proceeding, 200..300) if self.is_invite => {
                self.enter(State::Accepted, now + TIME);
                ClientVerdict::News
            }
            (State::Trying | State::Proceeding, 300..) if self.is_invite => {
                self.enter(
                    State::Completed,
                    now + self.transport.if_unreliable(TIMER_D),
                );
                ClientVerdict::Refusal
            }
            (State::Trying | State::Proceeding, _) => {
                self.enter(State::Completed, now + self.transport.if_unreliable(T4));
                ClientVerdict::News
            }
            (State::Forsaken, ..200) | (State::Accepted, 200..300) => ClientVerdict::News,
            (State::Forsaken, 200..300) => {
                self.enter(State::Accepted, now + TIME);
                ClientVerdict::News
            }
            (State::Forsaken, _) => {
                let absorbs = self.transport.if_unreliable(TIMER_D);
                self.enter(State::Completed, now + absorbs);
                ClientVerdict::Refusal
            }
            (State::Completed, 300..) if self.is_invite => ClientVerdict::Again,
            (State::Accepted | State::Completed | State::Terminated, _) => ClientVerdict::Old,
        }
    }

    fn on_provisional(&mut self, now: Moment) {
        match (&mut self.repetition, self.is_invite) {
            // An INVITE that has arrived is not sent again, and may ring for as long as its owner likes.
            (_, true) => {
                self.repetition = None;
                self.ends = Moment::MAX;
            }
            (Some(repetition), false) if self.state == State::Trying => repetition.settle(now, T2),
            (Some(_) | None, false) => {}
        }
        self.state = State::Proceeding;
    }

    fn enter(&mut self, state: State, ends: Moment) {
        self.repetition = None;
        (self.state, self.ends) = (state, ends);
    }

    /// When [`Client::on_due`] is wanted.
    pub fn deadline(&self) -> Moment {
        let next = self
            .repetition
            .map_or(Moment::MAX, |repetition| repetition.next());
        next.min(self.ends)
    }

    /// Time has passed. To be asked again until there is nothing.
    pub fn on_due(&mut self, now: Moment) -> ClientDue {
        if self.ends <= now {
            let was = self.state;
            self.enter(State::Terminated, Moment::MAX);
            return match was {
                State::Trying | State::Proceeding => ClientDue::TimedOut,
                State::Completed | State::Accepted | State::Forsaken => ClientDue::Ended,
                State::Terminated => ClientDue::Nothing,
            };
        }
        let is_due = |repetition: &mut Repetition| repetition.is_due(now);
        if self.repetition.as_mut().is_some_and(is_due) {
            ClientDue::Send
        } else {
            ClientDue::Nothing
        }
    }

    /// The transport has failed for good: nothing more is expected (§17.1.4).
    pub fn on_transport_lost(&mut self) {
        self.enter(State::Terminated, Moment::MAX);
    }

    /// Nobody waits for the answer to an INVITE any longer. Whoever takes it late believes to be in a call (§13.2.2.4), and a late
    /// refusal wants its ACK: both are told apart for as long as a transaction lasts.
    pub fn forsake(&mut self, now: Moment) {
        self.enter(State::Forsaken, now + TIME);
    }

    /// Whether a final answer is still to come.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding)
    }

    /// Whether it may be forgotten.
    pub fn is_over(&self) -> bool {
        self.state == State::Terminated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Moment {
        Duration::from_millis(millis)
    }

    /// What is due until the end of time, with the moments in milliseconds.
    fn story(client: &mut Client, until: u64) -> Vec<(u64, ClientDue)> {
        let mut told = Vec::new();
        while client.deadline() <= ms(until) {
            let now = client.deadline();
            let due = client.on_due(now);
            assert_ne!(due, ClientDue::Nothing, "a deadline has something due");
            told.push((u64::try_from(now.as_millis()).unwrap(), due));
        }
        told
    }

    #[test]
    fn an_invite_over_udp_is_sent_seven_times_and_given_up() {
        let mut client = Client::new(true, Transport::Unreliable, ms(0));
        let told = story(&mut client, 100_000);
        let sent: Vec<u64> = told
            .iter()
            .filter(|(_, due)| *due == ClientDue::Send)
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(sent, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!(told.last(), Some(&(32_000, ClientDue::TimedOut)), "timer B");
        assert!(client.is_over());
    }

    #[test]
    fn over_tcp_nothing_is_sent_again() {
        for is_invite in [true, false] {
            let mut client = Client::new(is_invite, Transport::Reliable, ms(0));
            assert_eq!(story(&mut client, 100_000), [(32_000, ClientDue::TimedOut)]);
        }
    }

    #[test]
    fn an_invite_that_rings_is_not_sent_again_and_waits() {
        let mut client = Client::new(true, Transport::Unreliable, ms(0));
        assert_eq!(client.on_response(180, ms(100)), ClientVerdict::News);
        assert_eq!(
            client.on_response(180, ms(200)),
            ClientVerdict::News,
            "each 180 is"
        );
        assert_eq!(story(&mut client, 10_000_000), []);
    }

    #[test]
    fn another_request_goes_on_at_t2_once_it_proceeds() {
        let mut client = Client::new(false, Transport::Unreliable, ms(0));
        assert_eq!(client.on_response(100, ms(600)), ClientVerdict::News);
        let told = story(&mut client, 100_000);
        assert_eq!(told[0], (4_600, ClientDue::Send));
        assert_eq!(told[1], (8_600, ClientDue::Send));
        assert_eq!(told.last(), Some(&(32_000, ClientDue::TimedOut)), "timer F");
    }

    #[test]
    fn a_refused_invite_is_acknowledged_for_each_repetition() {
        let mut client = Client::new(true, Transport::Unreliable, ms(0));
        assert_eq!(client.on_response(486, ms(100)), ClientVerdict::Refusal);
        assert_eq!(client.on_response(486, ms(600)), ClientVerdict::Again);
        assert_eq!(
            client.on_response(200, ms(700)),
            ClientVerdict::Old,
            "it is too late"
        );
        assert_eq!(
            story(&mut client, 100_000),
            [(32_100, ClientDue::Ended)],
            "timer D"
        );
        let mut client = Client::new(true, Transport::Reliable, ms(0));
        assert_eq!(client.on_response(486, ms(100)), ClientVerdict::Refusal);
        assert_eq!(story(&mut client, 100_000), [(100, ClientDue::Ended)]);
    }

    #[test]
    fn every_2xx_to_an_invite_is_news() {
        let mut client = Client::new(true, Transport::Unreliable, ms(0));
        assert_eq!(client.on_response(200, ms(100)), ClientVerdict::News);
        assert_eq!(
            client.on_response(200, ms(600)),
            ClientVerdict::News,
            "its owner acknowledges it again"
        );
        assert_eq!(client.on_response(486, ms(700)), ClientVerdict::Old);
        assert_eq!(
            story(&mut client, 100_000),
            [(32_100, ClientDue::Ended)],
            "timer M"
        );
    }

    #[test]
    fn another_request_is_answered_once() {
        let mut client = Client::new(false, Transport::Unreliable, ms(0));
        assert_eq!(client.on_response(200, ms(100)), ClientVerdict::News);
        assert_eq!(client.on_response(200, ms(200)), ClientVerdict::Old);
        assert_eq!(
            story(&mut client, 100_000),
            [(5_100, ClientDue::Ended)],
            "timer K"
        );
    }

    #[test]
    fn an_invite_that_was_given_up_may_be_answered_late() {
        let mut client = Client::new(true, Transport::Unreliable, ms(0));
        assert_eq!(
            story(&mut client, 40_000).pop(),
            Some((32_000, ClientDue::TimedOut))
        );
        client.forsake(ms(32_000));
        assert!(!client.is_over() && !client.is_unanswered());
        assert_eq!(client.on_response(180, ms(40_000)), ClientVerdict::News);
        assert_eq!(client.on_response(200, ms(50_000)), ClientVerdict::News);
        assert_eq!(client.on_response(200, ms(51_000)), ClientVerdict::News);
        assert_eq!(story(&mut client, 100_000), [(82_000, ClientDue::Ended)]);
        let mut client = Client::new(true, Transport::Unreliable, ms(0));
        client.forsake(ms(1_000));
        assert_eq!(client.on_response(487, ms(2_000)), ClientVerdict::Refusal);
        assert_eq!(client.on_response(487, ms(3_000)), ClientVerdict::Again);
        let mut client = Client::new(true, Transport::Unreliable, ms(0));
        client.forsake(ms(1_000));
        assert_eq!(
            story(&mut client, 100_000),
            [(33_000, ClientDue::Ended)],
            "nothing is sent again"
        );
    }

    #[test]
    fn a_lost_transport_ends_it() {
        let mut client = Client::new(false, Transport::Reliable, ms(0));
        client.on_transport_lost();
        assert!(client.is_over());
        assert_eq!(client.on_response(200, ms(1)), ClientVerdict::Old);
        assert_eq!(story(&mut client, 100_000), []);
    }
}
