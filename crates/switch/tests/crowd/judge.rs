//! What must hold whatever the clients do, judged by what the shard read and what it wants done.
//!
//! Every question has one final answer in time; a phone rings only for whoever holds a token that permits it, and where it is
//! registered; nobody is asked anything in a call of others; no token goes out; each call has one outcome; what a relay was told
//! is taken back. Knows no code of the shard.

use std::collections::{BTreeMap, BTreeSet};

use model::{AccountId, CallOutcome, CallRecord, ConnectionId, Now, RecordId, limits};
use sip::{Message, Method, Name, Request, Response};
use switch::Effect;
use switch::turn_grant::TurnChange;

use super::ministry::Ministry;

const SECOND: u64 = 1_000_000;

/// Branch and method: a transaction (RFC 3261 §17.2.3).
type Key = (String, String);

struct Asked {
    copies: u32,
    finals: u32,
    /// When an answer is too late; an INVITE inside a dialog may ring for as long as its client says so.
    due: Option<u64>,
    /// Our tag, where the question had one.
    to_tag: Option<String>,
}

#[derive(Default)]
struct Line {
    account: Option<AccountId>,
    /// The shard has closed it, and owes it nothing.
    is_closed: bool,
    /// Its frames broke the syntax: answers to them may look like answers to others.
    is_rubbish: bool,
    asked: BTreeMap<Key, Asked>,
    /// Whom it may have registered, and until when at most.
    registered: BTreeMap<String, u64>,
}

#[derive(Default)]
pub(super) struct Judge {
    lines: BTreeMap<ConnectionId, Line>,
    /// Every connection that was ever opened.
    opened: BTreeSet<ConnectionId>,
    /// What was ever asked, on whichever connection.
    everything: BTreeMap<Key, BTreeSet<ConnectionId>>,
    /// The connection of each leg, by our tag.
    legs: BTreeMap<String, ConnectionId>,
    /// The frame that is being read.
    reading: Option<(ConnectionId, Vec<u8>)>,
    /// Whether that frame names a dialog or an INVITE of another connection: it concerns nobody but its sender.
    is_foreign: bool,
    records: BTreeMap<RecordId, Option<CallOutcome>>,
    relayed: BTreeSet<ConnectionId>,
    reach: BTreeSet<(ConnectionId, u64)>,
}

impl Judge {
    pub(super) fn opens(&mut self, connection: ConnectionId) {
        assert!(self.opened.insert(connection));
        self.lines.insert(connection, Line::default());
    }

    pub(super) fn tells(&mut self, connection: ConnectionId, account: AccountId) {
        if let Some(line) = self.lines.get_mut(&connection) {
            assert!(line.account.is_none_or(|known| known == account));
            line.account = Some(account);
        }
    }

    pub(super) fn reads(&mut self, now: u64, connection: ConnectionId, frame: &[u8]) {
        self.reading = Some((connection, frame.to_vec()));
        self.is_foreign =
            sip::parse(frame).is_ok_and(|message| self.is_foreign(connection, &message));
        let line = self.lines.get_mut(&connection).unwrap();
        let request = match sip::parse(frame) {
            Ok(Message::Request(request)) if request.method != Method::Ack => request,
            Ok(Message::Request(_) | Message::Response(_)) => return,
            Err(_) => {
                line.is_rubbish = true;
                return;
            }
        };
        let headers = &request.headers;
        let to_tag = headers.to().tag().map(str::to_owned);
        let patience = match (request.method == Method::Invite, &to_tag) {
            (true, Some(_)) => None,
            (true, None) => Some(limits::NO_ANSWER_TIME),
            (false, _) => Some(limits::TRANSACTION_TIME),
        };
        let due = patience.map(|patience| now + patience.as_micros() as u64 + SECOND);
        let key = key(headers);
        let asked = line.asked.entry(key.clone()).or_insert(Asked {
            copies: 0,
            finals: 0,
            due,
            to_tag,
        });
        asked.copies += 1;
        self.everything.entry(key).or_default().insert(connection);
    }

    fn is_foreign(&self, connection: ConnectionId, message: &Message<'_>) -> bool {
        let headers = message.headers();
        let (ours, is_cancel) = match message {
            Message::Request(request) => (headers.to(), request.method == Method::Cancel),
            Message::Response(_) => (headers.from(), false),
        };
        let invite = (key(headers).0, "INVITE".to_owned());
        let asked = &self.lines[&connection].asked;
        let owner = ours.tag().and_then(|tag| self.legs.get(tag));
        owner.is_some_and(|owner| *owner != connection)
            || (is_cancel && !asked.contains_key(&invite))
    }

    /// An input has had all its effects.
    pub(super) fn over(&mut self) {
        self.reading = None;
        self.is_foreign = false;
    }

    pub(super) fn loses(&mut self, connection: ConnectionId) {
        if let Some(line) = self.lines.get_mut(&connection) {
            line.is_closed = true;
        }
    }

    pub(super) fn has_lost(&mut self, connection: ConnectionId) {
        self.lines.remove(&connection);
    }

    /// Whom a relay may tell of.
    pub(super) fn reach(&self, at: usize) -> Option<(ConnectionId, u64)> {
        self.reach
            .iter()
            .nth(at.checked_rem(self.reach.len())?)
            .copied()
    }

    pub(super) fn is_late(&self, now: u64) {
        self.check_answers(|asked| asked.due.is_some_and(|due| due < now));
    }

    /// After a long silence.
    pub(super) fn settled(&self, now: u64) {
        self.is_late(now);
        self.check_answers(|_| true);
    }

    fn check_answers(&self, is_due: impl Fn(&Asked) -> bool) {
        for (connection, line) in self.lines.iter().filter(|(_, line)| !line.is_closed) {
            for (key, asked) in &line.asked {
                let is_answered = asked.finals > 0 || !is_due(asked);
                assert!(is_answered, "{key:?} of {connection:?} has no final answer");
            }
        }
    }

    /// Everybody is gone.
    pub(super) fn ends(&self) {
        for (id, outcome) in &self.records {
            assert!(outcome.is_some(), "call {id} never ended");
        }
        assert!(
            self.relayed.is_empty(),
            "the relay still knows {:?}",
            self.relayed
        );
        assert!(
            self.reach.is_empty(),
            "the relay still reaches {:?}",
            self.reach
        );
    }

    pub(super) fn take(&mut self, ministry: &Ministry, now: Now, effect: &Effect) {
        match effect {
            Effect::Send {
                connection,
                message,
            } => self.sent(ministry, now, *connection, message),
            Effect::Close { connection, why } => {
                assert!(why.reason.len() <= 123 && !why.reason.is_empty());
                assert!(
                    self.opened.contains(connection),
                    "{connection:?} was never there"
                );
                if let Some(line) = self.lines.get_mut(connection) {
                    line.is_closed = true;
                }
            }
            Effect::Record(record) => self.recorded(record),
            Effect::Turn(change) => self.turned(change),
            Effect::Media { .. }
            | Effect::Ask(_)
            | Effect::Bring(_)
            | Effect::Complain { .. }
            | Effect::Publish { .. }
            | Effect::Look { .. }
            | Effect::Tell { .. }
            | Effect::Count(_) => {}
        }
    }

    fn recorded(&mut self, record: &CallRecord) {
        let known = self.records.entry(record.id).or_default();
        if known.is_some() {
            assert_eq!(*known, record.outcome, "a call ended twice");
        }
        known.clone_from(&record.outcome);
    }

    fn turned(&mut self, change: &TurnChange) {
        match change {
            TurnChange::Opened {
                connection,
                account,
            } => {
                assert_eq!(self.lines[connection].account, Some(*account));
                assert!(self.relayed.insert(*connection), "opened twice");
            }
            TurnChange::Proven { connection, .. } => {
                assert!(self.relayed.contains(connection));
            }
            TurnChange::Reach {
                connection, call, ..
            }
            | TurnChange::Gateway { connection, call } => {
                assert!(self.relayed.contains(connection), "{connection:?} is gone");
                self.reach.insert((*connection, *call));
            }
            TurnChange::Ended { connection, call } => {
                assert!(self.reach.remove(&(*connection, *call)), "never began");
            }
            TurnChange::Gone { connection } => assert!(self.relayed.remove(connection)),
        }
    }

    fn sent(&mut self, ministry: &Ministry, now: Now, connection: ConnectionId, message: &[u8]) {
        assert!(
            self.opened.contains(&connection),
            "{connection:?} was never there"
        );
        let is_own = self
            .reading
            .as_ref()
            .is_some_and(|(own, _)| *own == connection);
        assert!(
            is_own || !self.is_foreign,
            "a stranger moves {connection:?}"
        );
        let parsed = match sip::parse(message) {
            Ok(parsed) => parsed,
            Err(why) => {
                // The answer to what cannot be read repeats its rows.
                let line = self.lines.get(&connection);
                let is_rubbish = is_own && line.is_some_and(|line| line.is_rubbish);
                assert!(is_rubbish || message == b"\r\n", "no SIP was sent: {why}");
                return;
            }
        };
        assert_eq!(parsed.headers().get(Name::Authorization), None);
        let has_token = message.windows(4).any(|bytes| bytes == b"eyJh");
        assert!(is_own || !has_token, "a token went out to {connection:?}");
        match &parsed {
            Message::Request(request) => self.asks(ministry, now, connection, request),
            Message::Response(response) => self.answers(now, connection, response),
        }
    }

    /// The shard asks a client something.
    fn asks(
        &mut self,
        ministry: &Ministry,
        now: Now,
        connection: ConnectionId,
        request: &Request<'_>,
    ) {
        let headers = &request.headers;
        let tag = headers.from().tag().expect("we have a tag");
        if request.method == Method::Invite && headers.to().tag().is_none() {
            self.rings(ministry, now, connection, request);
            assert_eq!(self.legs.insert(tag.to_owned(), connection), None);
            return;
        }
        let owner = self.legs.get(tag).expect("a dialog begins with an INVITE");
        // A client that came back repeats its answer on its new connection, and is acknowledged and hung up there.
        let is_stray = matches!(request.method, Method::Ack | Method::Bye)
            && self.reading.as_ref().is_some_and(|(own, frame)| {
                let frame = sip::parse(frame);
                *own == connection
                    && matches!(frame, Ok(Message::Response(answer)) if answer.status / 100 == 2)
            });
        assert!(
            *owner == connection || is_stray,
            "{connection:?} is asked in the call of {owner:?}"
        );
    }

    fn rings(
        &self,
        ministry: &Ministry,
        now: Now,
        connection: ConnectionId,
        request: &Request<'_>,
    ) {
        let (caller, frame) = self.reading.as_ref().expect("nobody has called");
        let Ok(Message::Request(invite)) = sip::parse(frame) else {
            panic!("a phone rings for no request");
        };
        assert!(invite.method == Method::Invite && invite.headers.to().tag().is_none());
        let token = invite.headers.bearer().expect("a call needs a token");
        let permit = ministry
            .permit(token, now.unix)
            .expect("the token is not good");
        let callee = request.headers.to().uri.user_decoded();
        let (from, to) = (&self.lines[caller], &self.lines[&connection]);
        assert_eq!(from.account, Some(AccountId(permit.account as u32 + 1)));
        assert_eq!(from.account, to.account, "a call between accounts");
        assert!(!from.is_closed && !to.is_closed, "a connection was closed");
        assert_eq!(invite.headers.from().uri.user_decoded(), permit.client);
        assert_eq!(request.headers.from().uri.user_decoded(), permit.client);
        assert!(permit.may_call(&callee), "{callee} may not be called");
        let until = to.registered.get(&*callee).copied().unwrap_or(0);
        assert!(
            until > now.mono.as_micros(),
            "{callee} is not registered there"
        );
        assert_eq!(invite.headers.call_id(), request.headers.call_id());
        assert_eq!(invite.body, request.body, "the offer was changed");
    }

    /// The shard answers a client.
    fn answers(&mut self, now: Now, connection: ConnectionId, response: &Response<'_>) {
        let headers = &response.headers;
        let key = key(headers);
        let is_final = response.status >= 200;
        let asked_on = self.everything.get(&key).map_or(0, BTreeSet::len);
        let own = self.lines.get(&connection);
        let is_asked = own.is_some_and(|line| line.asked.contains_key(&key));
        let elsewhere = asked_on - usize::from(is_asked);
        // Nobody will ever know of it.
        let Some(line) = self.lines.get_mut(&connection) else {
            return;
        };
        let Some(asked) = line.asked.get_mut(&key) else {
            let is_rescue = is_final && elsewhere > 0;
            assert!(
                is_rescue || line.is_rubbish,
                "{key:?} was not asked by {connection:?}"
            );
            return;
        };
        asked.finals += u32::from(is_final);
        // Whoever says all that another said is taken for it: what that may have missed, as its connection went and as its call
        // was forgotten, is told here as well.
        let most = asked.copies + 2 * u32::try_from(elsewhere).unwrap();
        assert!(
            asked.finals <= most || line.is_rubbish || line.is_closed,
            "{connection:?} has {} answers to {key:?}",
            asked.finals
        );
        let is_behind = !is_final && asked.finals >= most;
        assert!(
            !is_behind || line.is_rubbish,
            "{connection:?} rings behind the end of {key:?}"
        );
        let tag = headers.to().tag();
        let is_ours = tag.is_some() && asked.to_tag.is_none();
        if let Some(tag) = tag.filter(|_| is_ours && headers.cseq().method == Method::Invite) {
            let owner = match response.status {
                101..300 => *self.legs.entry(tag.to_owned()).or_insert(connection),
                _ => self.legs.get(tag).copied().unwrap_or(connection),
            };
            let is_rescue = elsewhere > 0 && response.status >= 300;
            assert!(
                owner == connection || is_rescue || line.is_rubbish,
                "an answer of another's call"
            );
        }
        if response.status == 200 && headers.cseq().method == Method::Register {
            let longest = u64::from(limits::REGISTRATION_MAX_S) * SECOND;
            let client = headers.from().uri.user_decoded().into_owned();
            line.registered
                .insert(client, now.mono.as_micros() + longest + 1);
        }
    }
}

fn key(headers: &sip::Headers<'_>) -> Key {
    let branch = headers.via().branch().unwrap_or_default();
    (branch.to_owned(), headers.cseq().method.as_str().to_owned())
}
