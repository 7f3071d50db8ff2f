//! What must hold after every step, judged from outside by what a server read and what it sent.
//!
//! Every request one final answer; every call one record; no ring without a permission; no binding beyond its flow or
//! expiry; a lost connection told to the other side at once; session descriptions and `X-` headers unchanged. Knows the
//! rules and no code of the switch.

mod answers;
mod calls;
mod content;
pub mod reach;
mod records;
pub mod transcript;

use std::collections::{BTreeMap, BTreeSet};

use model::{CallRecord, ConnectionId, Now, RecordId, RelayUsage};
use sip::{Message, Method};
use switch::Closing;

use crate::authority::{Authority, View};
use crate::reference::Reference;
use answers::Answers;
use calls::Calls;
use content::Content;
use records::Records;

/// What a check may look at beside messages.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// Both clocks.
    pub now: Now,
    /// What the server knows of accounts.
    pub view: &'a View,
    /// What was ever issued.
    pub authority: &'a Authority,
    /// Whether the server has been told to stop.
    pub is_stopping: bool,
    /// How late the server's timers may be.
    pub late_wake: u64,
}

/// A frame that a server is reading in this step.
#[derive(Clone, Debug)]
pub struct Reading {
    /// On which connection.
    pub connection: ConnectionId,
    /// Whether a browser sent it, and not a scripted or hostile client.
    pub from_browser: bool,
    /// The whole frame.
    pub frame: Vec<u8>,
}

/// Everything that is watched about one server.
#[derive(Debug, Default)]
pub struct Checker {
    /// Who should be registered.
    pub reference: Reference,
    answers: Answers,
    calls: Calls,
    content: Content,
    records: Records,
    /// Connections that the server has given up and not lost yet: it owes them nothing.
    dismissed: BTreeSet<ConnectionId>,
    /// Records of calls to and of applications: which of their sides is whose connection.
    applications: BTreeMap<RecordId, (usize, ConnectionId)>,
    reading: Option<Reading>,
    /// Whether that frame breaks the syntax: its answer concerns no call, whatever rows it repeats.
    reads_rubbish: bool,
    fault: Option<String>,
}

impl Checker {
    /// A server begins to read a frame.
    pub fn reads(&mut self, scene: &Scene<'_>, reading: Reading) {
        if self.dismissed.contains(&reading.connection) {
            return;
        }
        let micros = scene.now.mono.as_micros();
        match sip::parse(&reading.frame) {
            Ok(message) => {
                self.answers.read(micros, reading.connection, &message);
                self.calls.read(reading.connection, &message);
                self.content.read(&message);
                self.reference.read(scene.view, &reading, &message);
            }
            Err(_) => {
                self.reads_rubbish = true;
                self.answers.read_rubbish(reading.connection);
            }
        }
        self.reading = Some(reading);
    }

    /// It has sent a message.
    pub fn sends(&mut self, scene: &Scene<'_>, connection: ConnectionId, message: &[u8]) {
        if message == b"\r\n" || self.dismissed.contains(&connection) {
            return;
        }
        let parsed = match sip::parse(message) {
            Ok(parsed) => parsed,
            Err(malformed) => {
                let text = String::from_utf8_lossy(message);
                let what = format!("the server sent no SIP ({malformed}): {text:?}");
                let result = self.judge_unreadable(connection, what);
                self.blame(result);
                return;
            }
        };
        let result = self.judge(scene, connection, &parsed);
        self.blame(result);
    }

    /// It wants a record to be kept.
    pub fn records(&mut self, record: &CallRecord) {
        let result = self.records.takes(record);
        self.blame(result);
        if let Some(reading) = &self.reading
            && !self.applications.contains_key(&record.id)
            && record.outcome.is_none()
            && self.reference.asked_service().is_some()
            && !self.calls.is_fresh()
        {
            self.applications.insert(record.id, (0, reading.connection));
        }
        self.calls.is_recorded(record);
    }

    /// A connection is about to be lost for the server.
    pub fn loses(&mut self, connection: ConnectionId) {
        if !self.dismissed.remove(&connection) {
            self.calls.loses(connection);
            self.reference.loses(connection);
            self.answers.forget(connection);
        }
    }

    /// The server closes a connection, and treats it as lost from now on.
    pub fn dismisses(&mut self, connection: ConnectionId, why: Closing) {
        if why == Closing::STOPPING || !self.dismissed.insert(connection) {
            return;
        }
        if why == Closing::REPLACED {
            self.calls.loses(connection);
        }
        self.reference.loses(connection);
        self.answers.forget(connection);
    }

    /// The server is about to end every call: it stops, or an account is switched off.
    pub fn ends_calls(&mut self, concerns: impl Fn(ConnectionId) -> bool) {
        self.calls.ends(concerns);
    }

    /// Whether a connection has a call that has not ended.
    pub fn has_call(&self, connection: ConnectionId) -> bool {
        self.calls.has_open(connection)
    }

    /// The server is gone without a word.
    pub fn vanishes(&mut self) {
        self.reference.clear();
        self.answers = Answers::default();
        self.calls = Calls::default();
        self.dismissed.clear();
        self.records.cut_short();
        self.reading = None;
    }

    /// The server has done everything that this step brought.
    pub fn settles(&mut self, scene: &Scene<'_>) -> Result<(), String> {
        let now = scene.now.mono.as_micros();
        self.reading = None;
        self.reads_rubbish = false;
        self.content.settles();
        self.reference.settles();
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.calls.settles()?;
        self.answers.check(now)
    }

    /// The server's tags of calls that have ended since this was last asked.
    pub fn take_ended(&mut self) -> Vec<String> {
        self.calls.take_ended()
    }

    /// What the records say of relays, by connection.
    pub fn recorded_usage(&self) -> BTreeMap<ConnectionId, RelayUsage> {
        let mut usage: BTreeMap<_, RelayUsage> = BTreeMap::new();
        for (record, sides) in self.calls.sides() {
            for (side, relayed) in sides.into_iter().zip(self.records.relayed(record)) {
                let known = usage.entry(side).or_default();
                *known = known.plus(relayed);
            }
        }
        for (record, (side, connection)) in &self.applications {
            let known = usage.entry(*connection).or_default();
            *known = known.plus(self.records.relayed(*record)[*side]);
        }
        usage
    }

    /// Nothing is under way any more, and nobody is there.
    pub fn concludes(&self) -> Result<(), String> {
        self.records.concludes()
    }

    /// How many calls were routed so far.
    pub fn calls_seen(&self) -> usize {
        self.calls.seen()
    }

    fn judge_ring(
        &mut self,
        scene: &Scene<'_>,
        connection: ConnectionId,
        message: &Message<'_>,
    ) -> Result<(), String> {
        let headers = message.headers();
        let client = headers.to().uri.user_decoded();
        if let Some((clients, caller)) = self
            .calls
            .service_of(headers.call_id(), self.reading.as_ref())
        {
            self.reference
                .permits_service_ring(scene, clients, caller, &client, connection)?;
            return self.calls.rings_also(connection, message);
        }
        let reading = self
            .reading
            .as_ref()
            .ok_or("an INVITE went out that answers to nothing")?;
        let clients = self.reference.asked_clients(scene, reading.connection);
        match clients {
            Some(clients) => {
                self.reference.permits_service_call(scene, reading)?;
                let caller = reading.connection;
                self.reference
                    .permits_service_ring(scene, clients, caller, &client, connection)?;
            }
            None => self.reference.permits_ring(scene, reading, connection)?,
        }
        self.calls.rings(reading, clients, connection, message)
    }

    fn judge(
        &mut self,
        scene: &Scene<'_>,
        connection: ConnectionId,
        message: &Message<'_>,
    ) -> Result<(), String> {
        self.answers.sent(connection, message)?;
        if is_of_application(message) {
            if let Message::Request(request) = message
                && request.method == Method::Invite
                && let Ok(id) = u128::from_str_radix(request.headers.call_id(), 16)
            {
                self.applications.insert(RecordId(id), (1, connection));
            }
            return Ok(());
        }
        self.content.sent(message)?;
        let is_ring = matches!(message, Message::Request(request)
            if request.method == Method::Invite && request.headers.to().tag().is_none());
        if is_ring {
            self.judge_ring(scene, connection, message)?;
        } else if !self.reads_rubbish {
            self.calls.sent(connection, message);
        }
        if let (Message::Response(response), Some(reading)) = (message, &self.reading)
            && reading.connection == connection
        {
            let ringing = |connection| self.calls.unanswered_at(connection);
            self.reference
                .answered(scene, reading, response, &ringing)?;
        }
        Ok(())
    }

    /// An answer to a request that breaks the syntax repeats rows that break it.
    fn judge_unreadable(&self, connection: ConnectionId, what: String) -> Result<(), String> {
        if self.answers.sends_rubbish(connection) {
            Ok(())
        } else {
            Err(what)
        }
    }

    fn blame(&mut self, result: Result<(), String>) {
        if let Err(what) = result {
            self.fault.get_or_insert(what);
        }
    }
}

/// Whether a server speaks for an application: its dialogs end at the server, and are its own to fill.
fn is_of_application(message: &Message<'_>) -> bool {
    let headers = message.headers();
    let own = match message {
        Message::Request(_) => headers.from().tag(),
        Message::Response(_) => headers.to().tag(),
    };
    own.is_some_and(|tag| tag.starts_with('p') && tag.contains('.'))
}

/// Which transaction a message belongs to: sent-by and branch of its first Via, and its method (RFC 3261 §17.2.3).
pub(crate) fn transaction(message: &Message<'_>) -> (String, String) {
    let headers = message.headers();
    let via = headers.via();
    let key = format!("{} {}", via.sent_by, via.branch().unwrap_or_default());
    (key, headers.cseq().method.to_string())
}

/// The `X-` rows of a message, in order.
pub(crate) fn extra_rows(message: &Message<'_>) -> Vec<(String, String)> {
    message
        .headers()
        .iter()
        .filter(|row| {
            let name = row.name.as_str();
            name.get(..2)
                .is_some_and(|start| start.eq_ignore_ascii_case("x-"))
        })
        .map(|row| (row.name.to_string(), row.unfolded().into_owned()))
        .collect()
}

/// `INVITE`, or `180 INVITE`.
pub(crate) fn kind(message: &Message<'_>) -> String {
    match message {
        Message::Request(request) => request.method.to_string(),
        Message::Response(response) => {
            format!("{} {}", response.status, response.headers.cseq().method)
        }
    }
}
