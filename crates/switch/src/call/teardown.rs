//! Ending a call: by either side, by a lost connection, by a timer, by the server.
//!
//! Whoever is left always gets a final answer to what it asked, and a Reason in plain words.

use std::time::Duration;

use model::{CallOutcome, ConnectionId, EndedBy, Now, limits};
use sip::{MessageWriter, Request, Response};

use super::exchange::{Cancelling, Exchange, Progress};
use super::hunt::UNANSWERED;
use super::leg::{self, Hop, Leg, Side};
use super::{Act, Call, CallKey, Phase, pass};
use crate::effect::{Counter, Effect};
use crate::orphan::{Orphan, Question};
use crate::refusal::{self, Refusal, quoted};

/// How a call ends.
#[derive(Clone, Debug)]
pub(crate) struct End {
    by: EndedBy,
    status: u16,
    reason: String,
    /// What both sides are told in place of that.
    told: Option<&'static str>,
}

impl End {
    pub(crate) fn server(status: u16, reason: impl Into<String>) -> Self {
        Self {
            by: EndedBy::Server,
            status,
            reason: reason.into(),
            told: None,
        }
    }

    pub(crate) fn callee(status: u16, reason: impl Into<String>) -> Self {
        Self {
            by: EndedBy::Callee,
            status,
            reason: reason.into(),
            told: None,
        }
    }

    pub(crate) fn caller(status: u16, reason: impl Into<String>) -> Self {
        Self {
            by: EndedBy::Caller,
            status,
            reason: reason.into(),
            told: None,
        }
    }

    /// The connection of one side is gone; if its client was waited for, for so long.
    pub(crate) fn lost(whose: &str, waited: Option<Duration>) -> Self {
        let reason = match waited {
            None => format!("the {whose}'s connection was lost"),
            Some(waited) => format!(
                "the {whose}'s connection was lost and did not come back in {} s",
                waited.as_secs()
            ),
        };
        Self::server(503, reason)
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// The reason is for the record alone, and the sides are told this.
    pub(crate) fn telling(self, told: &'static str) -> Self {
        Self {
            told: Some(told),
            ..self
        }
    }

    /// RFC 3326. Existing clients read the cause only if something follows it.
    pub(crate) fn reason_header(&self) -> String {
        format!("SIP;cause={};text={}", self.status, quoted(self.told()))
    }

    /// What a caller is told whose call never was.
    pub(crate) fn refusal(&self) -> Refusal {
        Refusal::with_reason(self.status, self.told(), self.reason_header())
    }

    fn told(&self) -> &str {
        self.told.unwrap_or(&self.reason)
    }

    pub(crate) fn outcome(self, at: model::UnixTime) -> CallOutcome {
        CallOutcome {
            at,
            by: self.by,
            status: self.status,
            reason: self.reason,
        }
    }
}

impl Call {
    /// One side hangs up.
    pub(super) fn on_bye(&mut self, side: Side, request: &Request<'_>, act: &mut Act<'_>) {
        let leg = self.leg(side);
        let answer = MessageWriter::reply(request, 200, "OK", Some(&leg.local_tag)).finish();
        act.send(leg.connection, answer);
        let end = match side {
            Side::Caller => End::caller as fn(u16, &'static str) -> End,
            Side::Callee => End::callee,
        };
        match self.phase {
            Phase::Setup { .. } => {
                // RFC 3261 §15 lets a caller end an early dialog so.
                if let Some(at) = self.initial() {
                    self.on_caller_cancel(at, String::new(), act);
                }
            }
            Phase::Live { .. } => {
                self.send_bye(side.other(), Farewell::Passed(request), act);
                self.finish(end(200, "hung up"), act);
            }
            Phase::Over { .. } => {}
        }
    }

    /// The caller gives up before an answer.
    pub(super) fn on_caller_cancel(&mut self, at: usize, reason: String, act: &mut Act<'_>) {
        self.refuse_asker(at, &refusal::cancelled(), act);
        self.exchanges[at].cancel(&self.callee, &self.call_id, reason, act);
        self.finish(End::caller(487, "cancelled by the caller"), act);
    }

    /// The final answer that a caller may never have heard because its connection was lost, and the
    /// Via sent-by of its INVITE.
    pub(crate) fn unheard(&self, connection: ConnectionId, now: Now) -> Option<(Box<str>, Orphan)> {
        let initial = self.exchanges.iter().find(|exchange| exchange.is_initial)?;
        if initial.is_heard || self.caller.connection != connection {
            return None;
        }
        let orphan = Orphan {
            question: Question::Invite,
            branch: initial.asker_branch.clone(),
            answer: refusal::ended().answer_later(&initial.head, &self.caller.local_tag),
            until: now.mono + limits::ORPHANED_INVITE_TIME,
        };
        Some((self.caller_sent_by.clone(), orphan))
    }

    /// A connection is gone: whoever is left is told.
    pub(crate) fn on_lost(
        &mut self,
        connection: ConnectionId,
        waited: Option<Duration>,
        act: &mut Act<'_>,
    ) {
        if self.is_over() {
            return;
        }
        if self.on_ringing_lost(connection, act) {
            return;
        }
        act.count(Counter::CallLost);
        let whose = if self.caller.connection == connection {
            "caller"
        } else {
            "callee"
        };
        self.hang_up(End::lost(whose, waited), act);
    }

    /// Ends the call from our side, whatever its state. Sending to a lost connection does nothing.
    pub(crate) fn hang_up(&mut self, end: End, act: &mut Act<'_>) {
        match self.phase {
            Phase::Over { .. } => return,
            Phase::Setup { .. } => {
                if let Some(at) = self.initial() {
                    // The caller's app is told that nobody could be reached, in our words.
                    let refusal = Refusal::with_reason(480, &end.reason, end.reason_header());
                    self.refuse_asker(at, &refusal, act);
                    let reason = format!("SIP;cause=487;text={}", quoted(&end.reason));
                    self.exchanges[at].cancel(&self.callee, &self.call_id, reason, act);
                }
            }
            Phase::Live { .. } => {
                let reason = end.reason_header();
                self.send_bye(Side::Caller, Farewell::Ours(&reason), act);
                self.send_bye(Side::Callee, Farewell::Ours(&reason), act);
            }
        }
        self.finish(end, act);
    }

    /// The instant of `deadline` has come. Says whether the call may be forgotten.
    pub(crate) fn on_deadline(&mut self, act: &mut Act<'_>) -> bool {
        let now = act.now.mono;
        if self.reach.ends().is_some_and(|at| at <= now) {
            self.withdraw_reach(act);
        }
        match self.phase {
            Phase::Over { until } if until <= now => {
                self.withdraw_unheard(act);
                return true;
            }
            Phase::Setup { until } if until <= now => {
                let whose = if self.hunt.is_some() {
                    UNANSWERED
                } else {
                    "the callee did not answer in time"
                };
                self.hang_up(End::server(480, whose), act);
            }
            Phase::Live { until } if until <= now => {
                self.hang_up(End::server(408, "the call lasted longer than any may"), act);
            }
            Phase::Over { .. } | Phase::Setup { .. } | Phase::Live { .. } => {}
        }
        self.on_ring_time(act);
        self.on_rivals_due(act);
        while let Some(at) = self.exchanges.iter().position(|exchange| {
            exchange.deadline <= now && !matches!(exchange.progress, Progress::Closed { .. })
        }) {
            self.on_exchange_deadline(at, act);
        }
        false
    }

    fn on_exchange_deadline(&mut self, at: usize, act: &mut Act<'_>) {
        let exchange = &self.exchanges[at];
        let is_initial = exchange.is_initial;
        match &exchange.progress {
            Progress::Waiting if is_initial && self.hunt.is_some() => {
                self.on_callee_silent(at, act)
            }
            Progress::Waiting if is_initial => {
                let reason = "SIP;cause=487;text=\"no answer came in time\"";
                self.exchanges[at].withdraw(&self.callee, &self.call_id, reason, act);
                self.close(at);
                self.refuse_asker_head(
                    at,
                    &refusal::unanswered(480, "the callee's client does not respond"),
                    act,
                );
                self.finish(End::server(480, "the callee's client did not respond"), act);
            }
            Progress::Waiting => {
                self.refuse_asker(at, &refusal::no_reply(), act);
                let asker = self.exchanges[at].asker;
                let towards = match asker {
                    Side::Caller => &self.callee,
                    Side::Callee => &self.caller,
                };
                let reason = "SIP;cause=408;text=\"Request Timeout\"".to_owned();
                self.exchanges[at].cancel(towards, &self.call_id, reason, act);
                self.exchanges[at].deadline = act.now.mono + limits::TRANSACTION_TIME;
            }
            Progress::Accepted { ack: None, .. } if self.is_over() => self.close(at),
            Progress::Accepted { ack: None, .. } => {
                self.hang_up(End::server(408, "the answer was never acknowledged"), act);
            }
            Progress::Accepted { ack: Some(_), .. }
            | Progress::Abandoned
            | Progress::Closed { .. } => {
                // The INVITE that set the call up stays, to know its repetitions.
                if is_initial {
                    self.close(at);
                } else {
                    self.exchanges.swap_remove(at);
                }
            }
        }
    }

    /// A CANCEL that waited for a sign of life goes out before the call is forgotten: after it nobody could send it.
    fn withdraw_unheard(&mut self, act: &mut Act<'_>) {
        self.withdraw_rivals(act);
        for exchange in &mut self.exchanges {
            let towards = match exchange.asker {
                Side::Caller => &self.callee,
                Side::Callee => &self.caller,
            };
            if matches!(exchange.cancelling, Cancelling::Wanted(_)) {
                exchange.withdraw(towards, &self.call_id, "", act);
            }
        }
    }

    /// Writes the outcome, answers what still waits, and lets the call linger.
    pub(super) fn finish(&mut self, end: End, act: &mut Act<'_>) {
        if self.is_over() {
            return;
        }
        self.phase = Phase::Over {
            until: act.now.mono + limits::LINGER_TIME,
        };
        self.stop_rivals(&format!("SIP;cause=487;text={}", quoted(&end.reason)), act);
        self.reach.end_at(act.now.mono + limits::TURN_GRACE);
        self.record.outcome = Some(end.outcome(act.now.unix));
        for at in 0..self.exchanges.len() {
            if self.exchanges[at].is_waiting() {
                self.refuse_asker(at, &refusal::ended(), act);
            }
        }
        act.record(&self.record);
    }

    /// A 2xx that came on another connection than its leg's: a client whose connection was lost before
    /// our ACK repeats its answer on the next one. It proves itself by branch and tag.
    pub(crate) fn on_stray_answer(
        &mut self,
        side: Side,
        connection: ConnectionId,
        response: &Response<'_>,
        act: &mut Act<'_>,
    ) {
        let branch = response.headers.via().branch();
        let meant = self.exchanges.iter().position(|exchange| {
            exchange.asker == side.other()
                && exchange.is_invite()
                && Some(exchange.branch.as_str()) == branch
        });
        if let Some(at) = meant
            && self.is_over()
        {
            self.hang_up_fork(at, connection, response, act);
        }
    }

    /// ACK and BYE for a 2xx that nobody wants: a fork, an answer that crossed a CANCEL, or one that
    /// comes after the end.
    pub(super) fn hang_up_fork(
        &mut self,
        at: usize,
        connection: ConnectionId,
        response: &Response<'_>,
        act: &mut Act<'_>,
    ) {
        let exchange = &self.exchanges[at];
        let leg = self.leg(exchange.asker.other());
        let unwanted = Unwanted {
            leg,
            exchange,
            connection,
            reason: self.reason_of_end(),
        };
        unwanted.hang_up(self.key, &self.call_id, response, act);
    }

    /// Why whoever still answers is sent away.
    pub(super) fn reason_of_end(&self) -> String {
        match &self.record.outcome {
            Some(outcome) if outcome.status >= 300 => {
                format!(
                    "SIP;cause={};text={}",
                    outcome.status,
                    quoted(&outcome.reason)
                )
            }
            Some(_) | None => "SIP;cause=487;text=\"Request Terminated\"".to_owned(),
        }
    }

    /// The final answer to whoever asked, while the other side's is still open.
    pub(super) fn refuse_asker(&mut self, at: usize, refusal: &Refusal, act: &mut Act<'_>) {
        self.exchanges[at].progress = Progress::Abandoned;
        self.exchanges[at].deadline = act.now.mono + limits::TRANSACTION_TIME;
        self.refuse_asker_head(at, refusal, act);
    }

    fn refuse_asker_head(&self, at: usize, refusal: &Refusal, act: &mut Act<'_>) {
        let exchange = &self.exchanges[at];
        let leg = self.leg(exchange.asker);
        act.send(
            leg.connection,
            refusal.answer_later(&exchange.head, &leg.local_tag),
        );
    }

    fn send_bye(&mut self, side: Side, farewell: Farewell<'_>, act: &mut Act<'_>) {
        // An answer that was never acknowledged is so first (RFC 3261 §15.1.1).
        if let Some(at) = self.exchanges.iter().position(|exchange| {
            exchange.asker == side.other()
                && matches!(exchange.progress, Progress::Accepted { ack: None, .. })
        }) {
            self.send_ack(at, None, act);
        }
        let branch = leg::mint_branch(self.key, act.random);
        let leg = self.leg_mut(side);
        leg.cseq += 1;
        let leg = self.leg(side);
        let hop = Hop {
            call_id: &self.call_id,
            branch: &branch,
            max_forwards: 70,
            target: None,
        };
        let mut writer = leg.request("BYE", leg.cseq, &hop);
        let message = match farewell {
            Farewell::Passed(request) => {
                pass::headers(&request.headers, &mut writer);
                writer.finish_with(request.body)
            }
            Farewell::Ours(reason) => {
                writer.header("Reason", reason);
                writer.finish()
            }
        };
        act.send(leg.connection, message);
    }

    pub(super) fn initial(&self) -> Option<usize> {
        self.exchanges
            .iter()
            .position(|exchange| exchange.is_initial && exchange.is_waiting())
    }
}

/// Whoever gives an answer that nobody wants.
pub(super) struct Unwanted<'a> {
    pub(super) leg: &'a Leg,
    pub(super) exchange: &'a Exchange,
    /// Where the answer came from.
    pub(super) connection: ConnectionId,
    pub(super) reason: String,
}

impl Unwanted<'_> {
    /// ACK, and BYE with the reason.
    pub(super) fn hang_up(
        &self,
        key: CallKey,
        call_id: &str,
        response: &Response<'_>,
        act: &mut Act<'_>,
    ) {
        let tag = response.headers.to().tag();
        let is_own_dialog = !self.exchange.is_initial && tag == self.leg.remote_tag.as_deref();
        let fork = fork(self.leg, response);
        let mut send = |method: &str, cseq: u32, reason: Option<&str>| {
            let branch = leg::mint_branch(key, act.random);
            let hop = Hop {
                call_id,
                branch: &branch,
                max_forwards: 70,
                target: None,
            };
            let mut writer = fork.request(method, cseq, &hop);
            if let Some(reason) = reason {
                writer.header("Reason", reason);
            }
            act.effects.push_back(Effect::Send {
                connection: self.connection,
                message: writer.finish(),
            });
        };
        send("ACK", self.exchange.cseq, None);
        // A late answer inside the dialog: the dialog's own BYE is on its way.
        if !is_own_dialog {
            let cseq = fork.cseq.max(self.exchange.cseq) + 1;
            send("BYE", cseq, Some(&self.reason));
        }
    }
}

/// The dialog that a 2xx opens beside the leg's own (RFC 3261 §13.2.2.4).
fn fork(leg: &Leg, response: &Response<'_>) -> Leg {
    let target = match response.headers.contact() {
        Some(sip::Contact::Address(address)) => address.uri_text.into(),
        Some(sip::Contact::Star) | None => leg.target.clone(),
    };
    Leg {
        connection: leg.connection,
        domain: leg.domain.clone(),
        local_tag: leg.local_tag.clone(),
        remote_tag: response.headers.to().tag().map(Into::into),
        local: leg.local.clone(),
        remote: leg.remote.clone(),
        target,
        cseq: leg.cseq,
        remote_cseq: 0,
    }
}

/// What a BYE says.
enum Farewell<'a> {
    /// What the other side said with its own.
    Passed(&'a Request<'a>),
    /// Our reason.
    Ours(&'a str),
}
