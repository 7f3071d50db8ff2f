//! One request of one side on its way to the other: a server transaction here, a client transaction
//! there, and what has been said so far (RFC 3261 §17, reliable transport: nothing is sent twice).

use model::{Instant, limits};
use sip::{ReplyHead, Request, Response};

use super::Act;
use super::leg::{Hop, Leg, Side};

/// How far a request has come.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The asker waits for a final answer.
    Waiting,
    /// The asker has its final answer; the other side's is awaited to be closed properly.
    Abandoned,
    /// A 2xx to an INVITE was passed on.
    Accepted {
        /// Whose 2xx it was: another tag is a fork.
        to_tag: Box<str>,
        /// The ACK, once the asker has sent it; repeated if the 2xx is.
        ack: Option<Vec<u8>>,
    },
    /// Nothing is awaited; kept to absorb repetitions.
    Closed {
        /// Whose 2xx was taken, if one was: it may be repeated for as long as its sender was without a connection.
        to_tag: Option<Box<str>>,
    },
}

/// Whether the other side is to give the request up.
#[derive(Debug)]
pub(crate) enum Cancelling {
    No,
    /// As soon as a provisional response has come (RFC 3261 §9.1), with this Reason.
    Wanted(String),
    Sent,
}

#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) asker: Side,
    /// Of the list of methods that are passed on.
    pub(crate) method: &'static str,
    /// Whether it is the INVITE that set the call up.
    pub(crate) is_initial: bool,
    pub(crate) head: ReplyHead,
    pub(crate) asker_branch: Box<str>,
    pub(crate) asker_cseq: u32,
    pub(crate) branch: String,
    pub(crate) cseq: u32,
    pub(crate) target: Box<str>,
    /// Whether a CANCEL may go: the other side has answered something, or nobody waits for that any longer.
    pub(crate) provisional: bool,
    /// Whether the other side has answered anything yet.
    pub(crate) is_read: bool,
    /// Whether the asker has acknowledged its final answer.
    pub(crate) is_heard: bool,
    pub(crate) cancelling: Cancelling,
    pub(crate) progress: Progress,
    pub(crate) deadline: Instant,
}

impl Exchange {
    pub(crate) fn new(
        asker: Side,
        method: &'static str,
        request: &Request<'_>,
        towards: &Leg,
        branch: String,
        deadline: Instant,
    ) -> Self {
        Self {
            asker,
            method,
            is_initial: false,
            head: ReplyHead::of(request),
            asker_branch: request.headers.via().branch().unwrap_or_default().into(),
            asker_cseq: request.headers.cseq().number,
            branch,
            cseq: towards.cseq,
            target: towards.target.clone(),
            provisional: false,
            is_read: false,
            is_heard: false,
            cancelling: Cancelling::No,
            progress: Progress::Waiting,
            deadline,
        }
    }

    /// The same question, put to another.
    pub(crate) fn beside(&self, towards: &Leg, branch: String, deadline: Instant) -> Self {
        Self {
            asker: self.asker,
            method: self.method,
            is_initial: self.is_initial,
            head: self.head.clone(),
            asker_branch: self.asker_branch.clone(),
            asker_cseq: self.asker_cseq,
            branch,
            cseq: towards.cseq,
            target: towards.target.clone(),
            provisional: false,
            is_read: false,
            is_heard: false,
            cancelling: Cancelling::No,
            progress: Progress::Waiting,
            deadline,
        }
    }

    pub(crate) fn is_invite(&self) -> bool {
        self.method == "INVITE"
    }

    /// Whether a request is this one again, or its CANCEL: the same branch and number.
    pub(crate) fn is_of(&self, request: &Request<'_>) -> bool {
        request.headers.via().branch() == Some(&*self.asker_branch)
            && request.headers.cseq().number == self.asker_cseq
    }

    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.progress, Progress::Waiting)
    }

    /// Whether the other side has said nothing yet, and may still.
    pub(crate) fn is_unread(&self) -> bool {
        !self.is_read && matches!(self.progress, Progress::Waiting | Progress::Abandoned)
    }

    /// Takes the request back from the other side, now or as soon as that is allowed.
    pub(crate) fn cancel(
        &mut self,
        towards: &Leg,
        call_id: &str,
        reason: String,
        act: &mut Act<'_>,
    ) {
        let is_open = matches!(self.progress, Progress::Waiting | Progress::Abandoned);
        if !self.is_invite() || !is_open || !matches!(self.cancelling, Cancelling::No) {
            return;
        }
        self.cancelling = Cancelling::Wanted(reason);
        self.send_cancel(towards, call_id, act);
    }

    /// Takes the request back from a side that has said nothing, because nobody waits for its answer any longer. A CANCEL
    /// waits for a provisional response so that it cannot overtake its INVITE (RFC 3261 §9.1), and behind it on one
    /// connection it cannot. The client of a session that waits gets both as it comes back, and rings for nobody.
    pub(crate) fn withdraw(
        &mut self,
        towards: &Leg,
        call_id: &str,
        reason: &str,
        act: &mut Act<'_>,
    ) {
        self.cancel(towards, call_id, reason.to_owned(), act);
        self.provisional = true;
        self.send_cancel(towards, call_id, act);
    }

    /// A provisional response came: a CANCEL that waited for it may go.
    pub(crate) fn on_provisional(&mut self, towards: &Leg, call_id: &str, act: &mut Act<'_>) {
        self.is_read = true;
        self.provisional = true;
        self.send_cancel(towards, call_id, act);
    }

    fn send_cancel(&mut self, towards: &Leg, call_id: &str, act: &mut Act<'_>) {
        if !self.provisional {
            return;
        }
        let Cancelling::Wanted(reason) = &self.cancelling else {
            return;
        };
        let hop = self.hop(call_id);
        let mut writer = towards.request("CANCEL", self.cseq, &hop);
        if !reason.is_empty() {
            writer.header("Reason", reason);
        }
        act.send(towards.connection, writer.finish());
        self.cancelling = Cancelling::Sent;
        self.deadline = act.now.mono + limits::TRANSACTION_TIME;
    }

    /// The ACK of a final response that is no 2xx: part of the INVITE's own transaction (§17.1.1.3).
    pub(crate) fn ack_refusal(
        &self,
        towards: &Leg,
        call_id: &str,
        response: &Response<'_>,
        act: &mut Act<'_>,
    ) {
        let hop = self.hop(call_id);
        let mut writer = sip::MessageWriter::request("ACK", &self.target);
        writer
            .header(
                "Via",
                format_args!("SIP/2.0/WSS {};branch={}", towards.domain, hop.branch),
            )
            .header("Max-Forwards", hop.max_forwards)
            .header(
                "From",
                format_args!("{};tag={}", towards.local, towards.local_tag),
            )
            .header(
                "To",
                response
                    .headers
                    .get(sip::Name::To)
                    .unwrap_or(&towards.remote),
            )
            .header("Call-ID", call_id)
            .header("CSeq", format_args!("{} ACK", self.cseq));
        act.send(towards.connection, writer.finish());
    }

    /// The same Request-URI and branch as the INVITE that is meant (§9.1, §17.1.1.3).
    fn hop<'a>(&'a self, call_id: &'a str) -> Hop<'a> {
        Hop {
            call_id,
            branch: &self.branch,
            max_forwards: 70,
            target: Some(&self.target),
        }
    }
}
