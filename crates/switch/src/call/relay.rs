//! Passing requests and responses from one side of a call to the other.
//!
//! One rule for every method: a request becomes an [`Exchange`]; what comes back goes to its asker.

use model::{ConnectionId, limits};
use sip::{Contact, Headers, Message, MessageWriter, Method, Request, Response};

use super::exchange::{Cancelling, Exchange, Progress};
use super::leg::{self, Hop, Side};
use super::{Act, Call, Phase, pass};
use crate::refusal;

impl Call {
    /// A message of one side. Requests have been found to belong to this side's dialog.
    pub(crate) fn on_message(&mut self, side: Side, message: &Message<'_>, act: &mut Act<'_>) {
        match message {
            Message::Request(request) => match request.method {
                Method::Ack => self.on_ack(side, request, act),
                Method::Bye => self.on_bye(side, request, act),
                Method::Invite => self.on_relayed(side, "INVITE", request, act),
                Method::Info => self.on_relayed(side, "INFO", request, act),
                Method::Update => self.on_relayed(side, "UPDATE", request, act),
                Method::Message => self.on_relayed(side, "MESSAGE", request, act),
                Method::Options => self.on_relayed(side, "OPTIONS", request, act),
                Method::Cancel
                | Method::Register
                | Method::Prack
                | Method::Subscribe
                | Method::Notify
                | Method::Publish
                | Method::Refer
                | Method::Other(_) => {
                    let tag = &self.leg(side).local_tag;
                    let answer = refusal::method_in_dialog().answer(request, tag);
                    act.send(self.leg(side).connection, answer);
                }
            },
            Message::Response(response) => self.on_response(side, response, act),
        }
    }

    /// A request to be passed on.
    fn on_relayed(
        &mut self,
        side: Side,
        method: &'static str,
        request: &Request<'_>,
        act: &mut Act<'_>,
    ) {
        let number = request.headers.cseq().number;
        let is_repeated = self.exchanges.iter().any(|exchange| {
            exchange.asker == side && exchange.method == method && exchange.is_of(request)
        });
        if is_repeated {
            return;
        }
        if let Some(refusal) = self.refuse_relayed(side, method, request) {
            let leg = self.leg(side);
            act.send(leg.connection, refusal.answer(request, &leg.local_tag));
            return;
        }

        self.leg_mut(side).remote_cseq = number;
        if matches!(method, "INVITE" | "UPDATE") {
            self.refresh_target(side, &request.headers);
        }
        let branch = leg::mint_branch(self.key, act.random);
        let towards = self.leg_mut(side.other());
        towards.cseq += 1;
        let wait = if method == "INVITE" {
            limits::REINVITE_TIME
        } else {
            limits::TRANSACTION_TIME
        };
        let deadline = act.now.mono + wait;
        let exchange = Exchange::new(side, method, request, towards, branch, deadline);
        let towards = self.leg(side.other());
        let hop = Hop {
            call_id: &self.call_id,
            branch: &exchange.branch,
            max_forwards: leg::one_hop_less(request),
            target: None,
        };
        let mut writer = towards.request(method, exchange.cseq, &hop);
        if matches!(method, "INVITE" | "UPDATE") {
            writer.header("Contact", towards.contact());
        }
        pass::headers(&request.headers, &mut writer);
        self.learn(side, &request.headers, request.body, act);
        let towards = self.leg(side.other());
        if method == "INVITE" {
            let trying = MessageWriter::reply(request, 100, "Trying", None).finish();
            act.send(self.leg(side).connection, trying);
        }
        act.send(towards.connection, writer.finish_with(request.body));
        self.exchanges.push(exchange);
    }

    fn refuse_relayed(
        &self,
        side: Side,
        method: &str,
        request: &Request<'_>,
    ) -> Option<refusal::Refusal> {
        if !matches!(self.phase, Phase::Live { .. }) {
            return Some(refusal::no_such_call());
        }
        if request.headers.cseq().number <= self.leg(side).remote_cseq {
            return Some(refusal::out_of_order());
        }
        let is_pending = |exchange: &Exchange| {
            exchange.asker == side && exchange.is_invite() && exchange.is_waiting()
        };
        if method == "INVITE" && self.exchanges.iter().any(is_pending) {
            return Some(refusal::invite_pending());
        }
        let of_side = |exchange: &&Exchange| exchange.asker == side && exchange.is_unread();
        let unread = self.exchanges.iter().filter(of_side).count();
        let is_full = self.exchanges.len() >= limits::EXCHANGES_PER_CALL
            || unread >= limits::EXCHANGES_UNREAD;
        is_full.then(refusal::too_many_exchanges)
    }

    /// The ACK of a 2xx goes end to end; one of a refusal ends here (RFC 3261 §13.2.2.4, §17.1.1.3).
    fn on_ack(&mut self, side: Side, request: &Request<'_>, act: &mut Act<'_>) {
        let number = request.headers.cseq().number;
        let answered = self.exchanges.iter().position(|exchange| {
            exchange.asker == side && exchange.asker_cseq == number && exchange.is_invite()
        });
        let Some(at) = answered else { return };
        self.exchanges[at].is_heard = true;
        if matches!(
            self.exchanges[at].progress,
            Progress::Accepted { ack: None, .. }
        ) {
            self.send_ack(at, Some(request), act);
        }
    }

    /// Sends the ACK of an accepted INVITE, and keeps it for a 2xx that is repeated.
    pub(super) fn send_ack(&mut self, at: usize, request: Option<&Request<'_>>, act: &mut Act<'_>) {
        if let Some(request) = request {
            self.learn(
                self.exchanges[at].asker,
                &request.headers,
                request.body,
                act,
            );
        }
        let branch = leg::mint_branch(self.key, act.random);
        let exchange = &self.exchanges[at];
        let towards = self.leg(exchange.asker.other());
        let hop = Hop {
            call_id: &self.call_id,
            branch: &branch,
            max_forwards: 69,
            target: None,
        };
        let mut writer = towards.request("ACK", exchange.cseq, &hop);
        let message = match request {
            Some(request) => {
                pass::headers(&request.headers, &mut writer);
                writer.finish_with(request.body)
            }
            None => writer.finish(),
        };
        act.send(towards.connection, message.clone());
        let exchange = &mut self.exchanges[at];
        exchange.deadline = act.now.mono + limits::LINGER_TIME;
        if let Progress::Accepted { ack, .. } = &mut exchange.progress {
            *ack = Some(message);
        }
    }

    fn on_response(&mut self, side: Side, response: &Response<'_>, act: &mut Act<'_>) {
        let branch = response.headers.via().branch();
        let method = response.headers.cseq().method;
        let found = self.exchanges.iter().position(|exchange| {
            exchange.asker == side.other()
                && Some(exchange.branch.as_str()) == branch
                && exchange.method == method.as_str()
        });
        // Answers to our own BYE and CANCEL ask for nothing more.
        let Some(at) = found else { return };
        if response.status < 200 {
            let towards = match side {
                Side::Caller => &self.caller,
                Side::Callee => &self.callee,
            };
            self.exchanges[at].on_provisional(towards, &self.call_id, act);
            self.on_heard(at, act);
        }
        if self.exchanges[at].is_invite() {
            self.on_invite_response(at, response, act);
        } else if response.status >= 200 {
            if self.exchanges[at].is_waiting() {
                self.pass_response(at, response, act);
            }
            self.exchanges.swap_remove(at);
        }
    }

    /// The callee has shown that it is there: from now on it may ring for its whole time.
    fn on_heard(&mut self, at: usize, act: &Act<'_>) {
        if let Phase::Setup { until } = self.phase
            && self.exchanges[at].is_initial
        {
            self.exchanges[at].deadline = until;
        } else if self.exchanges[at].is_waiting() && self.exchanges[at].is_invite() {
            self.exchanges[at].deadline = act.now.mono + limits::REINVITE_TIME;
        }
    }

    fn on_invite_response(&mut self, at: usize, response: &Response<'_>, act: &mut Act<'_>) {
        if response.status >= 200 {
            // Nothing is left to take back.
            self.exchanges[at].cancelling = Cancelling::No;
        }
        let exchange = &self.exchanges[at];
        let towards = self.leg(exchange.asker.other());
        let connection = towards.connection;
        if response.status >= 300 {
            exchange.ack_refusal(towards, &self.call_id, response, act);
        }
        match (&exchange.progress, response.status) {
            (Progress::Waiting, _) if exchange.is_initial => {
                self.on_setup_response(at, response, act);
            }
            (Progress::Waiting, 100) => {}
            (Progress::Waiting, 101..200) => {
                self.pass_response(at, response, act);
            }
            (Progress::Waiting, 200..300) => {
                self.refresh_target(self.exchanges[at].asker.other(), &response.headers);
                self.accept(at, response, act);
            }
            (Progress::Waiting, _) => {
                self.pass_response(at, response, act);
                self.exchanges.swap_remove(at);
            }
            (Progress::Accepted { to_tag, ack }, 200..300) => {
                if response.headers.to().tag() == Some(to_tag) {
                    // Repeated because our ACK is late or lost.
                    if let Some(ack) = ack.clone() {
                        act.send(towards.connection, ack);
                    }
                } else {
                    self.hang_up_fork(at, connection, response, act);
                }
            }
            (
                Progress::Closed {
                    to_tag: Some(taken),
                },
                200..300,
            ) if response.headers.to().tag() == Some(taken) => {}
            (Progress::Abandoned | Progress::Closed { .. }, 200..300) => {
                self.hang_up_fork(at, connection, response, act);
                self.close(at);
            }
            (Progress::Abandoned, 300..) => self.close(at),
            (Progress::Accepted { .. } | Progress::Abandoned | Progress::Closed { .. }, _) => {}
        }
    }

    /// Passes a 2xx to an INVITE on; its ACK is awaited.
    pub(super) fn accept(&mut self, at: usize, response: &Response<'_>, act: &mut Act<'_>) {
        self.pass_response(at, response, act);
        let to_tag = response.headers.to().tag().unwrap_or_default().into();
        let exchange = &mut self.exchanges[at];
        exchange.progress = Progress::Accepted { to_tag, ack: None };
        exchange.deadline = act.now.mono + limits::TRANSACTION_TIME;
    }

    /// Passes a response to the asker, under the dialog that the asker knows.
    pub(super) fn pass_response(&mut self, at: usize, response: &Response<'_>, act: &mut Act<'_>) {
        if response.status < 300 {
            let side = self.exchanges[at].asker.other();
            self.learn(side, &response.headers, response.body, act);
        }
        let exchange = &self.exchanges[at];
        let leg = self.leg(exchange.asker);
        // RFC 3261 §16.7: what concerns the hop to the other side alone is not the asker's.
        let status = match response.status {
            401 | 407 | 503 => 500,
            status => status,
        };
        let reason = if status == response.status {
            response.reason
        } else {
            sip::status::reason(status)
        };
        let mut writer = exchange.head.write(status, reason, Some(&leg.local_tag));
        if status < 300 && matches!(exchange.method, "INVITE" | "UPDATE") {
            writer.header("Contact", leg.contact());
        }
        pass::headers(&response.headers, &mut writer);
        act.send(leg.connection, writer.finish_with(response.body));
    }

    /// A CANCEL of one side: it has the branch of the INVITE that it means.
    pub(crate) fn on_cancel(
        &mut self,
        connection: ConnectionId,
        request: &Request<'_>,
        act: &mut Act<'_>,
    ) {
        let found = self.exchanges.iter().position(|exchange| {
            exchange.is_invite()
                && exchange.is_of(request)
                && self.leg(exchange.asker).connection == connection
        });
        let Some(at) = found else { return };
        let side = self.exchanges[at].asker;
        let tag = &self.leg(side).local_tag;
        act.send(
            connection,
            MessageWriter::reply(request, 200, "OK", Some(tag)).finish(),
        );
        if !self.exchanges[at].is_waiting() {
            return;
        }
        let reason = request
            .headers
            .get(sip::Name::Reason)
            .unwrap_or_default()
            .to_owned();
        if self.exchanges[at].is_initial {
            self.on_caller_cancel(at, reason, act);
        } else {
            let towards = match side {
                Side::Caller => &self.callee,
                Side::Callee => &self.caller,
            };
            self.exchanges[at].cancel(towards, &self.call_id, reason, act);
        }
    }

    /// RFC 3261 §12.2: a target refresh names a new Contact.
    pub(super) fn refresh_target(&mut self, side: Side, headers: &Headers<'_>) {
        if let Some(Contact::Address(address)) = headers.sole_contact() {
            self.leg_mut(side).target = address.uri_text.into();
        }
    }

    pub(super) fn close(&mut self, at: usize) {
        let progress = &mut self.exchanges[at].progress;
        let to_tag = match std::mem::replace(progress, Progress::Abandoned) {
            Progress::Accepted { to_tag, .. } => Some(to_tag),
            Progress::Closed { to_tag } => to_tag,
            Progress::Waiting | Progress::Abandoned => None,
        };
        *progress = Progress::Closed { to_tag };
    }
}
