//! Setting a call up: from the INVITE that was let in to the callee's answer.

use std::time::Duration;

use model::{AccountId, CallRecord, Callee, Caller, ClientId, ConnectionId, limits};
use sip::{MessageWriter, Request, Response};

use super::exchange::Exchange;
use super::hunt::Hunt;
use super::leg::{self, Hop, Leg, Side};
use super::reach::{Learner, Reach};
use super::{Act, Call, CallKey, End, Phase, pass};
use crate::effect::Counter;
use crate::location::Binding;

/// A call that may be placed: everything was checked.
pub(crate) struct Placing<'a> {
    pub(crate) key: CallKey,
    pub(crate) account: AccountId,
    pub(crate) connection: ConnectionId,
    pub(crate) request: &'a Request<'a>,
    pub(crate) caller: Caller,
    pub(crate) caller_target: &'a str,
    pub(crate) callee: Callee,
    /// Who rings first.
    pub(crate) client: &'a ClientId,
    pub(crate) binding: &'a Binding,
    pub(crate) no_answer: Duration,
    /// Where others may answer instead.
    pub(crate) hunt: Option<Box<Hunt>>,
}

/// An INVITE to a callee.
pub(super) struct Invitation<'a> {
    pub(super) call_id: &'a str,
    pub(super) leg: &'a Leg,
    pub(super) branch: &'a str,
    pub(super) max_forwards: u8,
    pub(super) body: &'a [u8],
}

impl Invitation<'_> {
    /// `rows`: adds what passes from the caller.
    pub(super) fn write(&self, rows: impl FnOnce(&mut MessageWriter)) -> Vec<u8> {
        let hop = Hop {
            call_id: self.call_id,
            branch: self.branch,
            max_forwards: self.max_forwards,
            target: None,
        };
        let mut writer = self.leg.request("INVITE", self.leg.cseq, &hop);
        writer.header("Contact", self.leg.contact());
        rows(&mut writer);
        writer.finish_with(self.body)
    }
}

impl Call {
    /// Places a call: 100 to the caller, INVITE to the callee.
    pub(crate) fn place(placing: Placing<'_>, act: &mut Act<'_>) -> Self {
        let request = placing.request;
        let display = leg::display_of(request);
        let caller = caller_leg(&placing, &display, act);
        let (client, binding) = (placing.client, placing.binding);
        let callee = callee_leg(placing.key, &placing.caller, &display, client, binding, act);
        let call_id: Box<str> = request.headers.call_id().into();
        let (id, parties) = (act.random.record_id(), (placing.caller, placing.callee));
        let (account, began) = (placing.account, act.now.unix);
        let record = CallRecord::begun(id, account, parties, &*call_id, began);
        let until = act.now.mono + placing.no_answer;
        let branch = leg::mint_branch(placing.key, act.random);
        // Whoever does not say so much as 100 will not ring either.
        let unheard = act.now.mono + limits::TRANSACTION_TIME.min(placing.no_answer);
        let mut invite = Exchange::new(Side::Caller, "INVITE", request, &callee, branch, unheard);
        invite.is_initial = true;

        act.send(
            caller.connection,
            MessageWriter::reply(request, 100, "Trying", None).finish(),
        );
        let mut reach = Reach::default();
        let learner = Learner {
            call: placing.key,
            side: Side::Callee,
            connection: callee.connection,
        };
        reach.learn(learner, &request.headers, request.body, act);
        let invitation = Invitation {
            call_id: &call_id,
            leg: &callee,
            branch: &invite.branch,
            max_forwards: leg::one_hop_less(request),
            body: request.body,
        };
        let message = invitation.write(|writer| pass::headers(&request.headers, writer));
        act.send(callee.connection, message);
        act.count(Counter::CallRouted);
        act.record(&record);
        let phase = Phase::Setup { until };
        let mut hunt = placing.hunt;
        if let Some(hunt) = &mut hunt {
            hunt.begins(act);
        }
        Self {
            key: placing.key,
            call_id,
            caller,
            callee,
            caller_sent_by: request.headers.via().sent_by.into(),
            phase,
            exchanges: vec![invite],
            record,
            reach,
            hunt,
        }
    }

    /// Somebody rings: the caller is told. Where several may, it is told so once: what each of them says would mix.
    pub(super) fn on_ringing(&mut self, response: &Response<'_>, act: &mut Act<'_>) {
        let is_first = self.record.ringing.is_none() && response.status > 100;
        if is_first {
            self.record.ringing = Some(act.now.unix);
        }
        if let Some(at) = self.initial().filter(|_| is_first || self.hunt.is_none()) {
            self.pass_response(at, response, act);
        }
    }

    /// A response to the INVITE that set the call up, while the caller waits for it.
    pub(super) fn on_setup_response(
        &mut self,
        at: usize,
        response: &Response<'_>,
        act: &mut Act<'_>,
    ) {
        match response.status {
            100 => {}
            101..200 => self.on_ringing(response, act),
            200..300 => {
                self.callee.remote_tag = response.headers.to().tag().map(Into::into);
                self.refresh_target(Side::Callee, &response.headers);
                self.phase = Phase::Live {
                    until: act.now.mono + limits::CALL_TIME,
                };
                self.record.answered = Some(act.now.unix);
                self.on_won(act);
                self.accept(at, response, act);
                act.count(Counter::CallAnswered);
                act.record(&self.record);
            }
            status if self.hunt.is_some() => self.on_declined(at, status, act),
            _ => {
                self.pass_response(at, response, act);
                self.close(at);
                let reason = refusal_in_words(response);
                self.finish(End::callee(response.status, reason), act);
            }
        }
    }
}

/// The callee's status, and what it says about it if it says anything.
fn refusal_in_words(response: &Response<'_>) -> String {
    let said = response.headers.reasons().find_map(|reason| reason.text());
    match said {
        Some(text) => printable(text, SAID_CHARS),
        None => printable(response.reason, SAID_CHARS),
    }
}

/// As much of what a client says as is kept.
const SAID_CHARS: usize = 200;

/// What a stranger wrote, fit for a record and a terminal, and so much of it at most.
pub(crate) fn printable(text: &str, chars: usize) -> String {
    text.chars()
        .take(chars)
        .map(|c| if is_visible(c) { c } else { ' ' })
        .collect()
}

/// Neither a control character nor one that moves or hides what stands beside it (Unicode: line ends, directions, widths of nothing).
fn is_visible(c: char) -> bool {
    let moves = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !moves
}

fn caller_leg(placing: &Placing<'_>, display: &str, act: &mut Act<'_>) -> Leg {
    let headers = &placing.request.headers;
    let (from, to) = (headers.from(), headers.to());
    Leg {
        connection: placing.connection,
        domain: from.uri.host.into(),
        local_tag: leg::mint_tag(placing.key, Side::Caller, act.random),
        remote_tag: from.tag().map(Into::into),
        local: format!("<{}>", to.uri_text).into(),
        remote: format!("{display}<{}>", from.uri_text).into(),
        target: placing.caller_target.into(),
        cseq: 0,
        remote_cseq: headers.cseq().number,
    }
}

/// The host of the From address tells the callee's app that a client calls: it must be in the spelling that the callee
/// registered with.
pub(super) fn callee_leg(
    key: CallKey,
    caller: &Caller,
    display: &str,
    client: &ClientId,
    binding: &Binding,
    act: &mut Act<'_>,
) -> Leg {
    Leg {
        connection: binding.connection,
        domain: binding.domain.clone(),
        local_tag: leg::mint_tag(key, Side::Callee, act.random),
        remote_tag: None,
        local: format!("{display}<sip:{}@{}>", caller.as_str(), binding.domain).into(),
        remote: format!("<sip:{client}@{}>", binding.domain).into(),
        target: binding.contact.clone(),
        cseq: 1,
        remote_cseq: 0,
    }
}
