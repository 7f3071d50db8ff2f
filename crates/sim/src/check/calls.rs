//! Every call, watched from outside by the tags and branches that the server shows.
//!
//! Ends for the watcher when its caller has a final refusal or a BYE has gone either way; in that very step its record
//! must have an outcome, and not before. When a connection is lost, the other side must be told in the same step.

use std::collections::BTreeMap;

use model::{CallRecord, ConnectionId, RecordId};
use sip::{Message, Method, Name};

use super::{Reading, transaction};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Ringing,
    Answered,
    Over,
}

#[derive(Debug)]
struct Watched {
    call_id: String,
    caller: ConnectionId,
    /// The caller's INVITE, as its answers name it.
    invite: (String, String),
    /// The clients that answered for the service as it was called, if it was none of the clients.
    service: Option<Vec<String>>,
    /// The server's tag towards the caller.
    caller_tag: Option<String>,
    /// Who was called: one, but for a service.
    rings: Vec<Ring>,
    /// Who has answered; the first until then.
    callee: usize,
    /// The callee's own tag: that of the 2xx that was taken.
    callee_remote: Option<String>,
    /// Whose 2xx came last, and its tag: whether it is taken shows in what the caller is told.
    offered: Option<(usize, Option<String>)>,
    phase: Phase,
    /// What it was when this step began.
    before: Phase,
    record: Option<RecordId>,
    is_recorded_over: bool,
}

/// An INVITE to a callee.
#[derive(Debug)]
struct Ring {
    connection: ConnectionId,
    branch: String,
    /// The server's tag towards it.
    tag: String,
    provisional: bool,
    /// It is to get a CANCEL as soon as it has said anything.
    owes_cancel: bool,
    /// It has a CANCEL, has given a final answer, or is gone.
    is_done: bool,
    /// It has given a final answer.
    is_answered: bool,
}

impl Watched {
    fn callee(&self) -> &Ring {
        &self.rings[self.callee]
    }
}

/// What the other side must be told in this step.
#[derive(Debug)]
struct Duty {
    at: usize,
    to: Option<ConnectionId>,
    phase: Phase,
    is_callee: bool,
}

#[derive(Debug)]
struct Sent {
    connection: ConnectionId,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Bye {
        tag: String,
        reason: bool,
    },
    Cancel {
        branch: String,
        reason: bool,
    },
    Refusal {
        invite: (String, String),
        reason: bool,
    },
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Watched>,
    by_tag: BTreeMap<String, usize>,
    /// A call and one of its rings.
    by_branch: BTreeMap<String, (usize, usize)>,
    /// By connection, transaction and Call-ID: a branch that is used twice names two requests (an attacker's doing).
    by_invite: BTreeMap<(ConnectionId, (String, String), String), usize>,
    /// Calls that are not over, and those that ended in this step.
    live: Vec<usize>,
    sent: Vec<Sent>,
    duties: Vec<Duty>,
    owed: Vec<(usize, usize)>,
    gone: Vec<ConnectionId>,
    fresh: Option<usize>,
    /// Our tags of calls that have ended.
    ended: Vec<String>,
}

impl Calls {
    pub(super) fn seen(&self) -> usize {
        self.calls.len()
    }

    /// Which connections the calls of records have joined: the caller's and the callee's.
    pub(super) fn sides(&self) -> impl Iterator<Item = (RecordId, [ConnectionId; 2])> {
        self.calls
            .iter()
            .filter_map(|call| Some((call.record?, [call.caller, call.callee().connection])))
    }

    /// Whether a call has just been routed, whose record is to come.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh.is_some()
    }

    pub(super) fn take_ended(&mut self) -> Vec<String> {
        std::mem::take(&mut self.ended)
    }

    pub(super) fn read(&mut self, connection: ConnectionId, message: &Message<'_>) {
        let Message::Response(response) = message else {
            return;
        };
        let branch = response.headers.via().branch().unwrap_or_default();
        let is_invite = response.headers.cseq().method == Method::Invite;
        let Some(&(at, number)) = self.by_branch.get(branch) else {
            return;
        };
        let call = &mut self.calls[at];
        let ring = &mut call.rings[number];
        // A stranger's answer, or one under another tag of ours, belongs to no call.
        let is_its = ring.connection == connection
            && response.headers.from().tag() == Some(ring.tag.as_str());
        if is_its && is_invite && response.status < 200 && !ring.provisional {
            ring.provisional = true;
            if std::mem::take(&mut ring.owes_cancel) {
                self.owed.push((at, number));
            }
        } else if is_its && is_invite && response.status >= 200 {
            ring.owes_cancel = false;
            ring.is_answered = true;
            ring.is_done = true;
            if response.status < 300 {
                let tag = response.headers.to().tag().map(str::to_owned);
                call.offered = Some((number, tag));
            }
        }
    }

    /// How many INVITEs on a connection have no final answer, though their callers may have given up.
    pub(super) fn unanswered_at(&self, connection: ConnectionId) -> usize {
        let rings = self.calls.iter().flat_map(|call| &call.rings);
        rings
            .filter(|ring| ring.connection == connection && !ring.is_answered)
            .count()
    }

    /// The clients of the service that a call under way has called, and its caller's connection.
    /// An INVITE that is being read is another's, unless it is the one that called: whoever means harm repeats Call-IDs.
    pub(super) fn service_of(
        &self,
        call_id: &str,
        reading: Option<&Reading>,
    ) -> Option<(&[String], ConnectionId)> {
        let mut live = self.live.iter().map(|at| &self.calls[*at]);
        let call = live.find(|call| call.call_id == call_id)?;
        if let Some(reading) = reading
            && let Ok(message @ Message::Request(request)) = &sip::parse(&reading.frame)
            && request.method == Method::Invite
            && request.headers.to().tag().is_none()
            && request.headers.call_id() == call_id
            && (reading.connection != call.caller || transaction(message) != call.invite)
        {
            return None;
        }
        Some((call.service.as_deref()?, call.caller))
    }

    /// An INVITE goes out that answers to another.
    pub(super) fn rings(
        &mut self,
        reading: &Reading,
        service: Option<&[String]>,
        connection: ConnectionId,
        message: &Message<'_>,
    ) -> Result<(), String> {
        let asked = sip::parse(&reading.frame).map_err(|e| e.to_string())?;
        let headers = message.headers();
        let call = Watched {
            call_id: headers.call_id().to_owned(),
            caller: reading.connection,
            invite: transaction(&asked),
            service: service.map(<[String]>::to_vec),
            caller_tag: None,
            rings: Vec::new(),
            callee: 0,
            callee_remote: None,
            offered: None,
            phase: Phase::Ringing,
            before: Phase::Ringing,
            record: None,
            is_recorded_over: false,
        };
        if call.call_id != asked.headers().call_id() {
            return Err("an INVITE was passed on under another Call-ID".to_owned());
        }
        let at = self.calls.len();
        let key = (call.caller, call.invite.clone(), call.call_id.clone());
        self.by_invite.insert(key, at);
        self.live.push(at);
        self.fresh = Some(at);
        self.calls.push(call);
        self.ring(at, connection, message);
        Ok(())
    }

    /// One goes out to another client of a service that was called.
    pub(super) fn rings_also(
        &mut self,
        connection: ConnectionId,
        message: &Message<'_>,
    ) -> Result<(), String> {
        let call_id = message.headers().call_id();
        let is_its = |at: &usize| self.calls[*at].call_id == call_id;
        // Whoever means harm calls a service by the Call-ID of another call.
        let rings = |at: &usize| {
            let call = &self.calls[*at];
            call.phase == Phase::Ringing && call.service.is_some()
        };
        let its = || self.live.iter().copied().filter(is_its);
        let Some(at) = its().find(rings).or_else(|| its().next()) else {
            return Err(format!("{call_id} rings and is no call under way"));
        };
        if self.calls[at].phase != Phase::Ringing {
            return Err(format!("{call_id} rings on and has been answered"));
        }
        self.ring(at, connection, message);
        Ok(())
    }

    fn ring(&mut self, at: usize, connection: ConnectionId, message: &Message<'_>) {
        let headers = message.headers();
        let ring = Ring {
            connection,
            branch: headers.via().branch().unwrap_or_default().to_owned(),
            tag: headers.from().tag().unwrap_or_default().to_owned(),
            provisional: false,
            owes_cancel: false,
            is_done: false,
            is_answered: false,
        };
        let number = self.calls[at].rings.len();
        self.by_tag.insert(ring.tag.clone(), at);
        self.by_branch.insert(ring.branch.clone(), (at, number));
        self.calls[at].rings.push(ring);
    }

    pub(super) fn sent(&mut self, connection: ConnectionId, message: &Message<'_>) {
        let headers = message.headers();
        let reason = headers
            .get(Name::Reason)
            .is_some_and(|reason| reason.contains(";text="));
        match message {
            Message::Request(request) if request.method == Method::Bye => {
                let tag = headers.from().tag().unwrap_or_default().to_owned();
                // The BYE to a fork has the From tag of the call and the fork's own To tag.
                let is_fork = self.by_tag.get(&tag).is_some_and(|&at| {
                    let call = &self.calls[at];
                    let ring = call.rings.iter().position(|ring| ring.tag == tag);
                    ring.is_some_and(|ring| {
                        ring != call.callee || headers.to().tag() != call.callee_remote.as_deref()
                    })
                });
                if !is_fork {
                    self.over_by_tag(&tag, connection);
                }
                let what = What::Bye { tag, reason };
                self.sent.push(Sent { connection, what });
            }
            Message::Request(request) if request.method == Method::Cancel => {
                let branch = headers.via().branch().unwrap_or_default().to_owned();
                if let Some(&(at, number)) = self.by_branch.get(&branch) {
                    // It need not wait for a sign of life that nobody waits for any longer.
                    let ring = &mut self.calls[at].rings[number];
                    (ring.owes_cancel, ring.is_done) = (false, true);
                }
                let what = What::Cancel { branch, reason };
                self.sent.push(Sent { connection, what });
            }
            Message::Request(_) => {}
            Message::Response(response) => {
                let method = headers.cseq().method;
                if method == Method::Invite && response.status > 100 {
                    let invite = transaction(message);
                    self.invite_answered(connection, &invite, response);
                    if response.status >= 300 {
                        let what = What::Refusal { invite, reason };
                        self.sent.push(Sent { connection, what });
                    }
                } else if method == Method::Bye && response.status == 200 {
                    let tag = headers.to().tag().unwrap_or_default().to_owned();
                    self.over_by_tag(&tag, connection);
                }
            }
        }
    }

    fn invite_answered(
        &mut self,
        connection: ConnectionId,
        invite: &(String, String),
        response: &sip::Response<'_>,
    ) {
        let call_id = response.headers.call_id().to_owned();
        let key = (connection, invite.clone(), call_id);
        let Some(&at) = self.by_invite.get(&key) else {
            return;
        };
        let call = &mut self.calls[at];
        if call.caller_tag.is_none()
            && let Some(tag) = response.headers.to().tag()
        {
            call.caller_tag = Some(tag.to_owned());
            self.by_tag.insert(tag.to_owned(), at);
        }
        match (call.phase, response.status) {
            (Phase::Ringing, 200..300) => {
                call.phase = Phase::Answered;
                if let Some((number, tag)) = call.offered.take() {
                    (call.callee, call.callee_remote) = (number, tag);
                }
                // Nobody else need ring: those that have said anything are told at once.
                for number in 0..call.rings.len() {
                    let ring = &mut call.rings[number];
                    if number != call.callee && !ring.is_done && ring.provisional {
                        self.owed.push((at, number));
                    } else if number != call.callee && !ring.is_done {
                        ring.owes_cancel = true;
                    }
                }
            }
            (Phase::Ringing, 300..) => call.phase = Phase::Over,
            (Phase::Ringing | Phase::Answered | Phase::Over, _) => {}
        }
    }

    fn over_by_tag(&mut self, tag: &str, connection: ConnectionId) {
        if let Some(&at) = self.by_tag.get(tag) {
            let call = &mut self.calls[at];
            let ring = call.rings.iter().find(|ring| ring.tag == tag);
            let side = ring.map_or(call.caller, |ring| ring.connection);
            if side == connection && call.phase == Phase::Answered {
                call.phase = Phase::Over;
            }
        }
    }

    pub(super) fn is_recorded(&mut self, record: &CallRecord) {
        if let Some(at) = self.fresh.take() {
            self.calls[at].record = Some(record.id);
        }
        if record.outcome.is_some()
            && let Some(call) = self
                .live
                .iter()
                .copied()
                .find(|&at| self.calls[at].record == Some(record.id))
        {
            self.calls[call].is_recorded_over = true;
        }
    }

    pub(super) fn loses(&mut self, connection: ConnectionId) {
        self.gone.push(connection);
        for &at in &self.live {
            let call = &mut self.calls[at];
            for ring in &mut call.rings {
                if ring.connection == connection {
                    (ring.owes_cancel, ring.is_done) = (false, true);
                }
            }
            let callee = call.callee().connection;
            let other = match connection {
                lost if lost == call.caller && lost == callee => None,
                lost if lost == call.caller => Some((callee, true)),
                // Others may answer for a service.
                lost if lost == callee
                    && call.service.is_some()
                    && call.before == Phase::Ringing =>
                {
                    continue;
                }
                lost if lost == callee => Some((call.caller, false)),
                _ => continue,
            };
            self.duties.push(Duty {
                at,
                to: other.map(|(to, _)| to),
                phase: call.before,
                is_callee: other.is_some_and(|(_, is_callee)| is_callee),
            });
        }
    }

    pub(super) fn ends(&mut self, concerns: impl Fn(ConnectionId) -> bool) {
        for &at in &self.live {
            let call = &self.calls[at];
            let callee = call.callee().connection;
            if concerns(call.caller) || concerns(callee) {
                for (to, is_callee) in [(call.caller, false), (callee, true)] {
                    self.duties.push(Duty {
                        at,
                        to: Some(to),
                        phase: call.before,
                        is_callee,
                    });
                }
            }
        }
    }

    /// Whether a connection has a call that has not ended.
    pub(super) fn has_open(&self, connection: ConnectionId) -> bool {
        self.live.iter().any(|at| {
            let call = &self.calls[*at];
            [call.caller, call.callee().connection].contains(&connection)
        })
    }

    pub(super) fn settles(&mut self) -> Result<(), String> {
        let result = self.check();
        self.sent.clear();
        self.duties.clear();
        self.owed.clear();
        self.gone.clear();
        self.fresh = None;
        for &at in &self.live {
            self.calls[at].before = self.calls[at].phase;
        }
        for &at in &self.live {
            let call = &self.calls[at];
            if call.phase == Phase::Over {
                self.ended
                    .extend(call.rings.iter().map(|ring| ring.tag.clone()));
                self.ended.extend(call.caller_tag.clone());
            }
        }
        let calls = &self.calls;
        self.live.retain(|&at| calls[at].phase != Phase::Over);
        result
    }

    fn check(&mut self) -> Result<(), String> {
        for (at, number) in std::mem::take(&mut self.owed) {
            let call = &self.calls[at];
            if !self.was_cancelled(&call.rings[number], false) {
                return Err(format!(
                    "a callee of {} rings for a caller that is gone or talks to somebody else",
                    call.call_id
                ));
            }
        }
        for duty in std::mem::take(&mut self.duties) {
            self.check_duty(&duty)?;
        }
        for &at in &self.live {
            let call = &self.calls[at];
            if call.record.is_none() {
                return Err(format!(
                    "the call {} was routed without a record",
                    call.call_id
                ));
            }
            if (call.phase == Phase::Over) != call.is_recorded_over {
                return Err(format!(
                    "the call {} is {:?}, but its record says {}",
                    call.call_id,
                    call.phase,
                    if call.is_recorded_over {
                        "over"
                    } else {
                        "not over"
                    }
                ));
            }
        }
        Ok(())
    }

    fn check_duty(&mut self, duty: &Duty) -> Result<(), String> {
        let call = &mut self.calls[duty.at];
        if call.is_recorded_over {
            // Whatever was said to a lost side is not to be seen.
            call.phase = Phase::Over;
        }
        let call = &self.calls[duty.at];
        let call_id = call.call_id.clone();
        if call.phase != Phase::Over {
            return Err(format!(
                "the call {call_id} goes on without one of its sides"
            ));
        }
        let Some(to) = duty.to.filter(|to| !self.gone.contains(to)) else {
            return Ok(());
        };
        let is_told = match duty.phase {
            Phase::Answered => self.sent.iter().any(|sent| {
                sent.connection == to
                    && matches!(&sent.what, What::Bye { tag, reason: true }
                        if *tag == call.callee().tag || Some(tag) == call.caller_tag.as_ref())
            }),
            // It has refused, or was told to stop before.
            Phase::Ringing if duty.is_callee && call.service.is_some() && call.callee().is_done => {
                true
            }
            Phase::Ringing if duty.is_callee && call.callee().provisional => {
                self.was_cancelled(call.callee(), true)
            }
            Phase::Ringing if duty.is_callee => {
                let call = &mut self.calls[duty.at];
                call.rings[call.callee].owes_cancel = true;
                true
            }
            Phase::Ringing => self.sent.iter().any(|sent| {
                sent.connection == to
                    && matches!(&sent.what, What::Refusal { invite, reason: true }
                        if *invite == call.invite)
            }),
            Phase::Over => true,
        };
        if is_told {
            Ok(())
        } else {
            Err(format!(
                "a side of the call {call_id} is gone and #{} was not told at once",
                to.0
            ))
        }
    }

    fn was_cancelled(&self, ring: &Ring, with_reason: bool) -> bool {
        self.sent.iter().any(|sent| {
            sent.connection == ring.connection
                && matches!(&sent.what, What::Cancel { branch, reason }
                    if *branch == ring.branch && (*reason || !with_reason))
        })
    }
}
