//! What a peer asks (RFC 3261 §17.2 and §18.2): given to the shard once, and answered as often as it comes again.
//!
//! Answers go where the request came from (RFC 3581). OPTIONS that concern no call are answered here; whatever breaks the syntax
//! is counted and never answered.

use std::net::SocketAddr;

use model::{Now, limits};
use sip::transaction::{Repetition, Server, ServerDue, ServerKey, T2};
use sip::{Headers, Message, MessageWriter, Method, Request, Response, status};

use super::deadlines::moment;
use super::dialog::{DialogKey, record_routes};
use super::line::{Line, LineEffect};
use super::serving::{Reliable, Served, Unheard};
use super::{reliable, rewrite};
use crate::capabilities::{self, OF_TRANSFERS, RELIABLE};
use crate::edge;
use crate::effect::Counter;

/// The key of a dialog by a message whose To is ours.
pub(super) fn key_by_to(headers: &Headers<'_>) -> DialogKey {
    let tag = headers.to().tag().unwrap_or_default();
    (headers.call_id().to_owned(), tag.to_owned())
}

impl Line {
    pub(super) fn on_datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        if bytes.is_empty() || sip::is_keep_alive(bytes) {
            // A double line end asks for a single one, as on a connection (RFC 5626 §3.5.1); that is no question in turn.
            if bytes == b"\r\n\r\n" {
                self.reply(from, b"\r\n".to_vec());
            }
            return;
        }
        if bytes.len() > limits::MESSAGE_BYTES {
            return self.count(Counter::TooLarge);
        }
        match sip::parse(bytes) {
            Ok(Message::Request(request)) => self.on_request(now, from, &request),
            Ok(Message::Response(response)) => {
                let vias = response.headers.items(sip::Name::Via).count();
                // §18.1.2: one with more hops than ours went astray.
                if vias == 1 && edge::long_address(&response.headers).is_none() {
                    self.on_answer(now, &response);
                } else {
                    self.count(Counter::Malformed);
                }
            }
            Err(_) => self.count(Counter::Malformed),
        }
    }

    fn on_request(&mut self, now: Now, from: SocketAddr, request: &Request<'_>) {
        let Some(key) = ServerKey::of(request) else {
            return self.count(Counter::Malformed);
        };
        if self.is_of_nobody(from, request, &key) {
            return self.count(Counter::RequestStray);
        }
        let is_ack = request.method == Method::Ack;
        if let Some(refusal) = edge::refuse_form(request) {
            self.count(Counter::Malformed);
            if !is_ack {
                self.reply(from, answered(refusal, from));
            }
            return;
        }
        let known = self.serving.find(&key);
        if is_ack {
            return self.on_ack(now, from, request, known);
        }
        if let Some(id) = known {
            return self.on_repeated(id);
        }
        let is_initial = request.headers.to().tag().is_none();
        if request.method == Method::Options && is_initial {
            return self.answer_options(from, request);
        }
        if request.method == Method::Prack && !is_initial {
            return self.on_prack(now, from, request);
        }
        if let Some(refused) = self.unsupported(request) {
            return self.reply(from, answered(refused, from));
        }
        if self.on_cancel_of_held(now, from, request) {
            return;
        }
        let begins = is_initial && request.method != Method::Cancel;
        let is_call = is_initial && request.method == Method::Invite;
        if self.is_full(begins) || (is_call && self.dialogs.is_full()) {
            self.count(Counter::CallsFull);
            let why = "\"the trunk has all the calls it may have\"";
            let reason = status::reason(503);
            let mut writer = MessageWriter::reply(request, 503, reason, Some(self.tag()));
            writer.header("Warning", format_args!("399 offhook {why}"));
            return self.reply(from, answered(writer.finish(), from));
        }
        self.serve(now, from, request, key);
    }

    /// Whether it is from where a name of the trunk's led before, and belongs to no call that goes on there: whoever has that address now
    /// may be anybody.
    fn is_of_nobody(&self, from: SocketAddr, request: &Request<'_>, key: &ServerKey) -> bool {
        if self.trunk().may_begin(from.ip()) {
            return false;
        }
        let is_served = |key: &ServerKey| self.serving.find(key).is_some();
        let is_in_call = self.dialogs.get(&key_by_to(&request.headers)).is_some();
        let is_cancel = request.method == Method::Cancel;
        let cancelled = ServerKey::cancelled_by(request).filter(|_| is_cancel);
        !is_in_call && !is_served(key) && !cancelled.is_some_and(|key| is_served(&key))
    }

    fn serve(&mut self, now: Now, from: SocketAddr, request: &Request<'_>, key: ServerKey) {
        let is_invite = request.method == Method::Invite;
        let time = match is_invite {
            true => limits::TRUNK_RINGING_TIME,
            false => limits::TRANSACTION_TIME,
        };
        self.serving.insert(Served {
            server: Server::new(is_invite, self.reliability()),
            key,
            is_invite,
            is_initial: request.headers.to().tag().is_none(),
            from,
            record_routes: record_routes(&request.headers),
            cseq: request.headers.cseq().number,
            reliable: (is_invite && reliable::is_wanted(&request.headers)).then(Reliable::default),
            unheard: None,
            unanswered: Some(now.mono + time),
            is_over: false,
        });
        let dialog = key_by_to(&request.headers);
        match request.method == Method::Bye {
            true => self.dialogs.end(&dialog, now.mono),
            false => self.dialogs.touch(&dialog, now.mono),
        }
        self.give(from, request);
    }

    fn give(&mut self, from: SocketAddr, request: &Request<'_>) {
        let message = rewrite::to_shard(request, from);
        self.effect(LineEffect::Deliver { message });
    }

    fn on_repeated(&mut self, id: u64) {
        let again = self.serving.get_mut(id).and_then(|served| {
            let answer = served.server.on_repeated()?.to_vec();
            Some((served.from, answer))
        });
        if let Some((to, answer)) = again {
            self.reply(to, answer);
        }
    }

    /// `known`: the INVITE of the same branch.
    fn on_ack(&mut self, now: Now, from: SocketAddr, request: &Request<'_>, known: Option<u64>) {
        if let Some(id) = known
            && let Some(served) = self.serving.get_mut(id)
        {
            let is_accepted = served.server.on_ack(moment(now.mono));
            self.serving.requeue(id);
            if !is_accepted {
                return;
            }
        }
        let key = key_by_to(&request.headers);
        let waits = self.dialogs.get_mut(&key).and_then(|dialog| {
            let (_, cseq) = dialog.unacknowledged?;
            let is_meant = cseq == request.headers.cseq().number;
            dialog.unacknowledged.take_if(|_| is_meant)
        });
        // What was acknowledged is so again; the shard hears it once.
        let Some((id, _)) = waits else {
            return;
        };
        if let Some(served) = self.serving.get_mut(id) {
            served.unheard = None;
            self.serving.requeue(id);
        }
        self.dialogs.touch(&key, now.mono);
        self.give(from, request);
    }

    /// The refusal of a request that wants what nobody here can do (§8.2.2.3).
    fn unsupported(&self, request: &Request<'_>) -> Option<Vec<u8>> {
        if request.method == Method::Cancel {
            return None;
        }
        let has_timer = self.trunk().session.is_some();
        let has_transfers = self.trunk().transfer.is_any();
        let is_known = |wanted: &&str| {
            let is_it = |name: &&str| wanted.eq_ignore_ascii_case(name);
            (has_transfers && OF_TRANSFERS.iter().any(is_it))
                || wanted.eq_ignore_ascii_case(RELIABLE)
                || (has_timer && wanted.eq_ignore_ascii_case("timer"))
        };
        let wanted = request.headers.items(sip::Name::Require);
        let unknown: Vec<&str> = wanted.filter(|wanted| !is_known(wanted)).collect();
        if unknown.is_empty() {
            return None;
        }
        let reason = status::reason(420);
        let mut writer = MessageWriter::reply(request, 420, reason, Some(self.tag()));
        writer.header("Unsupported", unknown.join(", "));
        Some(writer.finish())
    }

    /// A peer may ask at any time whether we are there (§11); one question is like another, and nothing is kept of it.
    fn answer_options(&mut self, from: SocketAddr, request: &Request<'_>) {
        let allow = capabilities::allow(self.trunk().transfer.is_any());
        let mut writer = MessageWriter::reply(request, 200, "OK", Some(self.tag()));
        writer
            .header("Allow", allow)
            .header("Accept", "application/sdp")
            .header("Contact", self.here().contact(None));
        self.reply(from, answered(writer.finish(), from));
    }

    /// The peer's request that the shard answers.
    fn answered_by_shard(&mut self, response: &Response<'_>) -> Option<u64> {
        let key = ServerKey::answered_by(response);
        let id = key.and_then(|key| self.serving.find(&key));
        if id.is_none() && !self.is_of_own(response) {
            self.count(Counter::ResponseStray);
        }
        id
    }

    /// The shard answers a peer's request.
    pub(super) fn on_shard_answer(&mut self, now: Now, response: &Response<'_>, bytes: &[u8]) {
        let own = self.here();
        let is_stream = own.transport.is_stream();
        let Some(id) = self.answered_by_shard(response) else {
            return;
        };
        let room = self.room();
        let Some(served) = self.serving.get_mut(id) else {
            return;
        };
        if served.must_wait(response) {
            return served.hold(bytes);
        }
        let (code, to) = (response.status, served.from);
        let is_in_dialog = served.is_invite && (101..300).contains(&code);
        let routes = match is_in_dialog {
            true => served.record_routes.clone(),
            false => Vec::new(),
        };
        let message = rewrite::answer_to_peer(response, own, &routes);
        if message.len() > room {
            return self.count(Counter::TooLarge);
        }
        let is_early = is_in_dialog && code < 200 && served.reliable.is_some();
        let message = match is_early {
            true => self.make_reliable(now, id, &message),
            false => Some(message),
        };
        let (Some(message), Some(served)) = (message, self.serving.get_mut(id)) else {
            return;
        };
        if !served.server.answer(code, &message, moment(now.mono)) {
            return;
        }
        if code >= 200 {
            served.unanswered = None;
            // A final answer says all that one before it did.
            if let Some(reliable) = &mut served.reliable {
                (reliable.unheard, reliable.held) = (None, None);
            }
        }
        let opens = is_in_dialog && served.is_initial;
        let is_refused = served.is_invite && served.is_initial && code >= 300;
        let is_accepted = served.is_invite && (200..300).contains(&code);
        if is_accepted {
            served.unheard = Some(Unheard {
                has_sdp: true,
                repetition: Repetition::after(moment(now.mono), T2),
                message: message.clone(),
                until: now.mono + limits::TRANSACTION_TIME,
            });
        }
        let dialog = key_by_to(&response.headers);
        if opens && !dialog.1.is_empty() {
            self.dialogs.open(&dialog, self.standing(to), now.mono);
            if let Some(dialog) = self.dialogs.get_mut(&dialog) {
                dialog.routes = routes;
                dialog.source = is_stream.then_some(to);
            }
        }
        if is_early && let Some(dialog) = self.dialogs.get_mut(&dialog) {
            dialog.reliable = Some(id);
        }
        if is_accepted && let Some(dialog) = self.dialogs.get_mut(&dialog) {
            dialog.unacknowledged = Some((id, response.headers.cseq().number));
        }
        if is_refused {
            self.dialogs.end(&dialog, now.mono);
        }
        self.serving.requeue(id);
        self.reply(to, message);
    }

    /// The time of a transaction has come.
    pub(super) fn on_serving_due(&mut self, now: Now, id: u64) {
        loop {
            let Some(served) = self.serving.get_mut(id) else {
                return;
            };
            let to = served.from;
            let mut again = Vec::new();
            let mut is_done = false;
            match served.server.on_due(moment(now.mono)) {
                ServerDue::Send(message) => again.push(message.to_vec()),
                ServerDue::Unacknowledged | ServerDue::Ended => served.is_over = true,
                ServerDue::Nothing => is_done = true,
            }
            if served.unanswered.is_some_and(|until| until <= now.mono) {
                served.is_over = true;
            }
            again.extend(served.repeat_unheard(now.mono));
            let is_over = served.is_over || is_done;
            let held = served.give_up_held();
            for message in again {
                self.reply(to, message);
            }
            if let Some(held) = held {
                return self.refuse_unacknowledged(now, &held);
            }
            if is_over {
                break;
            }
        }
        self.serving.requeue(id);
    }
}

/// An answer of our own, with the Via rows as the shard would see them.
pub(super) fn answered(answer: Vec<u8>, from: SocketAddr) -> Vec<u8> {
    let Ok(Message::Response(response)) = sip::parse(&answer) else {
        return answer;
    };
    rewrite::with_source(&response, from)
}
