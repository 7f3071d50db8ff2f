//! Setting a call up: from the INVITE that was let in to the callee's answer.

use std::time::Duration;

use model::{AccountId, CallRecord, Callee, ClientId, ConnectionId, limits};
use sip::{MessageWriter, Request, Response};

use super::exchange::Exchange;
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
    pub(crate) caller: ClientId,
    pub(crate) caller_target: &'a str,
    pub(crate) callee: ClientId,
    pub(crate) binding: &'a Binding,
    pub(crate) no_answer: Duration,
}

impl Call {
    /// Places a call: 100 to the caller, INVITE to the callee.
    pub(crate) fn place(placing: &Placing<'_>, act: &mut Act<'_>) -> Self {
        let request = placing.request;
        let (caller, callee) = legs(placing, act);
        let call_id: Box<str> = request.headers.call_id().into();
        let record = CallRecord {
            id: act.random.record_id(),
            account: placing.account,
            caller: placing.caller.clone(),
            callee: Callee::Client(placing.callee.clone()),
            call_id: call_id.to_string(),
            started: act.now.unix,
            ringing: None,
            answered: None,
            outcome: None,
            relay: Default::default(),
        };
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
        let hop = Hop {
            call_id: &call_id,
            branch: &invite.branch,
            max_forwards: request
                .headers
                .max_forwards()
                .unwrap_or(70)
                .saturating_sub(1),
            target: None,
        };
        let mut writer = callee.request("INVITE", callee.cseq, &hop);
        writer.header("Contact", callee.contact());
        pass::headers(&request.headers, &mut writer);
        let mut reach = Reach::default();
        let learner = Learner {
            call: placing.key,
            side: Side::Callee,
            connection: callee.connection,
        };
        reach.learn(learner, &request.headers, request.body, act);
        act.send(callee.connection, writer.finish_with(request.body));
        act.count(Counter::CallRouted);
        act.record(&record);
        let phase = Phase::Setup { until };
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
            101..200 => {
                if self.record.ringing.is_none() {
                    self.record.ringing = Some(act.now.unix);
                }
                self.pass_response(at, response, act);
            }
            200..300 => {
                self.callee.remote_tag = response.headers.to().tag().map(Into::into);
                self.refresh_target(Side::Callee, &response.headers);
                self.phase = Phase::Live {
                    until: act.now.mono + limits::CALL_TIME,
                };
                self.record.answered = Some(act.now.unix);
                self.accept(at, response, act);
                act.count(Counter::CallAnswered);
                act.record(&self.record);
            }
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
        Some(text) => printable(text),
        None => printable(response.reason),
    }
}

/// What a stranger wrote, fit for a record and a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .take(200)
        .map(|c| if is_visible(c) { c } else { ' ' })
        .collect()
}

/// Neither a control character nor one that moves or hides what stands beside it (Unicode: line ends, directions, widths of nothing).
fn is_visible(c: char) -> bool {
    let moves = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !moves
}

fn legs(placing: &Placing<'_>, act: &mut Act<'_>) -> (Leg, Leg) {
    let headers = &placing.request.headers;
    let (from, to) = (headers.from(), headers.to());
    let binding = placing.binding;
    let display = from.display.map(quoted_display).unwrap_or_default();
    let caller = Leg {
        connection: placing.connection,
        domain: from.uri.host.into(),
        local_tag: leg::mint_tag(placing.key, Side::Caller, act.random),
        remote_tag: from.tag().map(Into::into),
        local: format!("<{}>", to.uri_text).into(),
        remote: format!("{display}<{}>", from.uri_text).into(),
        target: placing.caller_target.into(),
        cseq: 0,
        remote_cseq: headers.cseq().number,
    };
    // The host of the From address tells the callee's app that a client calls: it must be in the
    // spelling that the callee registered with.
    let callee = Leg {
        connection: binding.connection,
        domain: binding.domain.clone(),
        local_tag: leg::mint_tag(placing.key, Side::Callee, act.random),
        remote_tag: None,
        local: format!("{display}<sip:{}@{}>", placing.caller, binding.domain).into(),
        remote: format!("<sip:{}@{}>", placing.callee, binding.domain).into(),
        target: binding.contact.clone(),
        cseq: 1,
        remote_cseq: 0,
    };
    (caller, callee)
}

/// A display name as a quoted string (RFC 3261 §25.1), whichever form it came in; escapes are as they came.
fn quoted_display(display: &str) -> String {
    format!("\"{display}\" ")
}
