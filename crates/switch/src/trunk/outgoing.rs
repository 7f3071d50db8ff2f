//! What a shard asks of a peer (RFC 3261 §17.1 and §18.1): sent until it is answered, to the next peer if one is not there
//! (RFC 3263 §4.3), and with our credentials where a peer wants them.
//!
//! The shard hears one final answer, as if nothing had been lost; CANCEL and 100 are between neighbours, and answered here.

use std::net::SocketAddr;

use model::{Now, limits};
use sip::transaction::{Client, ClientKey, ClientVerdict};
use sip::{Headers, Message, MessageWriter, Method, Name, Request, Response, status};

use super::asking::{Asked, Cancel, FromShard, Origin};
use super::deadlines::moment;
use super::dialog::{Accepted, DialogKey, record_routes};
use super::line::{Line, LineEffect};
use super::rewrite::{self, Outgoing};
use super::way::Way;
use crate::effect::Counter;

/// How a request is sent this time.
pub(super) struct Attempt {
    pub(super) to: SocketAddr,
    pub(super) branch: String,
    pub(super) cseq: u32,
    pub(super) authorization: Option<(&'static str, String)>,
}

/// The key of a dialog by a message whose From is ours.
pub(super) fn key_by_from(headers: &Headers<'_>) -> DialogKey {
    let tag = headers.from().tag().unwrap_or_default();
    (headers.call_id().to_owned(), tag.to_owned())
}

impl Line {
    /// A shard sends something on our connection.
    pub(super) fn on_sent(&mut self, now: Now, message: &[u8]) {
        match sip::parse(message) {
            Ok(Message::Request(request)) => match request.method {
                Method::Ack => self.on_shard_ack(now, &request),
                Method::Cancel => self.on_shard_cancel(now, &request),
                Method::Invite
                | Method::Bye
                | Method::Register
                | Method::Options
                | Method::Info
                | Method::Message
                | Method::Update
                | Method::Prack
                | Method::Subscribe
                | Method::Notify
                | Method::Publish
                | Method::Refer
                | Method::Other(_) => self.ask(now, &request, message),
            },
            Ok(Message::Response(response)) => self.on_shard_answer(now, &response, message),
            Err(_) => self.count(Counter::Malformed),
        }
    }

    fn ask(&mut self, now: Now, request: &Request<'_>, message: &[u8]) {
        let is_invite = request.method == Method::Invite;
        let is_initial = request.headers.to().tag().is_none();
        let dialog = key_by_from(&request.headers);
        let to_tag = request.headers.to().tag().unwrap_or_default();
        let Some(to) = self.first_hop(&dialog, to_tag) else {
            return self.refuse(request, 503, "no peer of the trunk answers");
        };
        if self.is_full(is_initial) || (is_initial && is_invite && self.dialogs.is_full()) {
            self.count(Counter::CallsFull);
            return self.refuse(request, 503, "the trunk has all the calls it may have");
        }
        let Some(branch) = request.headers.via().branch() else {
            return self.count(Counter::Malformed);
        };
        if is_initial && is_invite {
            self.dialogs.call(&dialog, to, now.mono);
        }
        match request.method == Method::Bye {
            true => self.dialogs.hang_up(&dialog, to_tag, now.mono),
            false => self.dialogs.touch(&dialog, now.mono),
        }
        let cseq = request.headers.cseq().number;
        let known = self.dialogs.get_mut(&dialog);
        let sent_cseq = known.map_or(cseq, |known| known.number(cseq));
        let from = FromShard {
            message: message.to_vec(),
            via: request.headers.get(Name::Via).unwrap_or_default().into(),
            branch: branch.into(),
            cseq,
            is_invite,
            is_initial,
            dialog,
            tried: Vec::new(),
            cancel: Cancel::No,
            is_accepted: false,
            answered: 0,
            is_own: false,
        };
        if is_invite {
            // From here on it is ours to bring it there (§16.2): the shard need not doubt that it was heard.
            let trying = MessageWriter::reply(request, 100, status::reason(100), None).finish();
            self.deliver(trying);
        }
        let attempt = Attempt {
            to,
            branch: branch.into(),
            cseq: sent_cseq,
            authorization: None,
        };
        self.launch(now, Box::new(from), attempt);
    }

    /// Where a request of the shard's goes first.
    fn first_hop(&mut self, dialog: &DialogKey, to_tag: &str) -> Option<SocketAddr> {
        match self.dialogs.get(dialog) {
            Some(known) if !to_tag.is_empty() => Some(known.next_hop(to_tag, self.trunk())),
            Some(_) | None => self.peer_for(&[]),
        }
    }

    /// Another peer, which knows nothing of what the one before wanted.
    fn try_next(&mut self, now: Now, mut from: Box<FromShard>, to: SocketAddr, cseq: u32) {
        from.answered = 0;
        let attempt = Attempt {
            to,
            branch: self.mint_branch(),
            cseq,
            authorization: None,
        };
        self.launch(now, from, attempt);
    }

    pub(super) fn launch(&mut self, now: Now, from: Box<FromShard>, attempt: Attempt) {
        let Some(request) = rewrite::request_of(&from.message) else {
            return;
        };
        let to_tag = request.headers.to().tag().unwrap_or_default();
        let known = self.dialogs.get(&from.dialog).filter(|_| !from.is_initial);
        let bytes = rewrite::to_peer(
            &request,
            &Outgoing {
                own: self.here(),
                domain: &self.trunk().domain,
                branch: &attempt.branch,
                cseq: attempt.cseq,
                routes: known.map_or(&[][..], |known| known.routes(to_tag)),
                authorization: attempt.authorization.as_ref(),
            },
        );
        if bytes.len() > self.room() {
            if from.is_initial {
                self.dialogs.end(&from.dialog, now.mono);
            }
            return self.refuse(&request, 513, "the message is larger than one may be");
        }
        let key = ClientKey::new(&attempt.branch, request.method);
        let is_invite = from.is_invite;
        let asked = Asked {
            client: Client::new(is_invite, self.reliability(), moment(now.mono)),
            key,
            origin: Origin::Shard(from),
            to: attempt.to,
            by: known.and_then(|known| known.source),
            sent: bytes,
            cseq: attempt.cseq,
            authorization: attempt.authorization,
            is_heard: false,
            ack: None,
            gives_up: is_invite.then(|| now.mono + limits::TRUNK_RINGING_TIME),
        };
        self.send_first(asked);
    }

    /// Sends a request for the first time.
    pub(super) fn send_first(&mut self, asked: Asked) -> u64 {
        self.send(asked.by, asked.to, asked.sent.clone());
        self.asking.insert(asked)
    }

    /// A peer answers something.
    pub(super) fn on_answer(&mut self, now: Now, response: &Response<'_>) {
        let key = ClientKey::of(response);
        let Some(id) = key.and_then(|key| self.asking.find(&key)) else {
            return self.count(Counter::ResponseStray);
        };
        let Some(asked) = self.asking.get_mut(id) else {
            return;
        };
        let to = asked.to;
        let is_first = !std::mem::replace(&mut asked.is_heard, true);
        if is_first && response.status != 503 {
            self.health.answers(to);
        }
        let Some(asked) = self.asking.get_mut(id) else {
            return;
        };
        let verdict = asked.client.on_response(response.status, moment(now.mono));
        match verdict {
            ClientVerdict::News if response.status < 200 => self.on_provisional(now, id, response),
            ClientVerdict::News => self.on_final(now, id, response),
            ClientVerdict::Refusal => {
                let invite = rewrite::request_of(&asked.sent);
                let heard = response.headers.get(Name::To);
                asked.ack = invite.map(|invite| rewrite::follower(&invite, "ACK", heard, &[]));
                asked.gives_up = None;
                self.send_ack(id);
                self.on_final(now, id, response);
            }
            ClientVerdict::Again => self.send_ack(id),
            ClientVerdict::Old => {}
        }
        self.asking.requeue(id);
    }

    fn on_provisional(&mut self, now: Now, id: u64, response: &Response<'_>) {
        self.send_cancel(now, id);
        let Some(Asked {
            origin: Origin::Shard(from),
            ..
        }) = self.asking.get_mut(id)
        else {
            return;
        };
        // 100 is between neighbours (§16.7): the shard has ours. What it has not asked it does not hear of.
        if from.is_own || (response.status == 100 && from.is_invite) {
            return;
        }
        let message = rewrite::answer_to_shard(response, &from.via, from.cseq);
        let is_invite = from.is_invite;
        if from.is_invite
            && let Some(dialog) = self.dialogs.get_mut(&from.dialog)
            && !dialog.is_accepted()
            && from.is_initial
        {
            dialog.routes = reversed_routes(response);
        }
        if !is_invite || self.acknowledge_early(now, id, response) {
            self.deliver(message);
        }
    }

    fn on_final(&mut self, now: Now, id: u64, response: &Response<'_>) {
        let is_accepted = response.headers.cseq().method == Method::Invite && response.status < 300;
        let Some(to) = self.asking.get_mut(id).map(|asked| asked.to) else {
            return;
        };
        match self.asking.take_origin(id) {
            Origin::Shard(from) if is_accepted => self.on_accepted(now, id, from, response),
            Origin::Shard(from) => self.on_refused(now, id, from, response),
            Origin::Registration => self.on_registration_answer(now, response),
            Origin::Check => {
                if response.status == 503 {
                    self.health.rests(to, response, now.mono);
                }
                self.on_check_answer(now, id, Some(response.status));
            }
            Origin::Forsaken(from) if is_accepted => self.on_late(now, id, from, response),
            Origin::Forsaken(_) | Origin::Nobody => {}
        }
    }

    /// A 2xx to an INVITE: the first, the same again, or another's that was asked as well. The shard hears each once.
    fn on_accepted(
        &mut self,
        now: Now,
        id: u64,
        mut from: Box<FromShard>,
        response: &Response<'_>,
    ) {
        if from.cancel != Cancel::No && from.is_initial {
            // It has crossed the CANCEL: for the shard that has won.
            self.conclude(now, &from, 487);
            return self.on_late(now, id, from, response);
        }
        let Some(asked) = self.asking.get_mut(id) else {
            return;
        };
        let to_tag = response.headers.to().tag().unwrap_or_default();
        let mut accepted = Accepted {
            shard_cseq: from.cseq,
            cseq: asked.cseq,
            to_tag: to_tag.into(),
            peer: asked.to,
            is_wanted: true,
            routes: Vec::new(),
            authorization: asked.authorization.clone(),
            ack: None,
        };
        let (peer, is_first) = (asked.to, !from.is_accepted);
        let (via, shard_cseq, sent_cseq) = (from.via.clone(), from.cseq, asked.cseq);
        from.is_accepted = true;
        asked.gives_up = None;
        let key = from.dialog.clone();
        let is_initial = from.is_initial;
        asked.origin = Origin::Shard(from);
        let Some(dialog) = self.dialogs.get_mut(&key) else {
            if is_first {
                // One that was forgotten: the shard is not left without an answer.
                self.deliver(rewrite::answer_to_shard(response, &via, shard_cseq));
            }
            return;
        };
        accepted.routes = match is_initial {
            true => reversed_routes(response),
            // Another INVITE does not change the way (§12.2).
            false => dialog.routes(to_tag).to_vec(),
        };
        if !dialog.accept(accepted) {
            if is_first {
                self.deliver(rewrite::answer_to_shard(response, &via, shard_cseq));
            }
            return self.acknowledge_again(&key, to_tag);
        }
        if is_first && is_initial {
            dialog.peer = peer;
        }
        let early = dialog.early_sdp(to_tag, sent_cseq);
        let sdp = early.filter(|_| response.body.is_empty());
        let message = rewrite::answer_with(response, &via, shard_cseq, sdp);
        self.dialogs.touch(&key, now.mono);
        self.deliver(message);
    }

    /// Any final answer but the 2xx to an INVITE.
    fn on_refused(&mut self, now: Now, id: u64, mut from: Box<FromShard>, response: &Response<'_>) {
        let Some(asked) = self.asking.get_mut(id) else {
            return;
        };
        let (to, cseq) = (asked.to, asked.cseq);
        let is_wanted = from.cancel == Cancel::No;
        if is_wanted && let Some(authorization) = self.authorize(&mut from, response) {
            let dialog = self.dialogs.get_mut(&from.dialog);
            let next = dialog.map(|dialog| dialog.renumber(from.cseq));
            let attempt = Attempt {
                to,
                branch: self.mint_branch(),
                cseq: next.unwrap_or(cseq.saturating_add(1)),
                authorization: Some(authorization),
            };
            return self.launch(now, from, attempt);
        }
        if response.status == 503 && from.is_initial {
            from.tried.push(to);
            self.health.rests(to, response, now.mono);
            self.health.doubt(to, 503, now.mono);
            let next = self.peer_for(&from.tried).filter(|_| is_wanted);
            if let Some(next) = next {
                return self.try_next(now, from, next, cseq);
            }
        }
        if response.status >= 300 && from.is_initial {
            self.dialogs.end(&from.dialog, now.mono);
        }
        if !from.is_own {
            self.deliver(rewrite::answer_to_shard(response, &from.via, from.cseq));
        }
    }

    /// The answer to a challenge, if there is one and this request has not had it.
    fn authorize(
        &mut self,
        from: &mut FromShard,
        response: &Response<'_>,
    ) -> Option<(&'static str, String)> {
        let (name, challenge) = super::challenge::of(response)?;
        let may = from.answered == 0
            || (challenge.is_stale && from.answered < limits::CHALLENGES_ANSWERED);
        let request = rewrite::request_of(&from.message).filter(|_| may)?;
        let known = self.dialogs.get(&from.dialog).filter(|_| !from.is_initial);
        let to_tag = request.headers.to().tag().unwrap_or_default();
        let routes = known.map_or(&[][..], |known| known.routes(to_tag));
        let Way { uri, .. } = Way::to(rewrite::placed(&request, &self.trunk().domain), routes);
        from.answered += 1;
        let value = self.answer_challenge(&challenge, request.method.as_str(), &uri, 1)?;
        Some((name, value))
    }

    /// The time of a transaction has come.
    pub(super) fn on_asking_due(&mut self, now: Now, id: u64) {
        use sip::transaction::ClientDue;
        loop {
            let Some(asked) = self.asking.get_mut(id) else {
                return;
            };
            if asked.gives_up.is_some_and(|at| at <= now.mono) {
                asked.gives_up = None;
                self.give_up(now, id);
            }
            let Some(asked) = self.asking.get_mut(id) else {
                return;
            };
            match asked.client.on_due(moment(now.mono)) {
                ClientDue::Send => {
                    let (by, to, bytes) = (asked.by, asked.to, asked.sent.clone());
                    self.send(by, to, bytes);
                }
                ClientDue::TimedOut => {
                    self.on_unanswered(now, id, 408);
                    break;
                }
                ClientDue::Ended | ClientDue::Nothing => break,
            }
        }
        self.asking.requeue(id);
    }

    /// An INVITE that was cancelled is not answered, or one rings for ever.
    fn give_up(&mut self, now: Now, id: u64) {
        let Some(asked) = self.asking.get_mut(id) else {
            return;
        };
        if let Origin::Shard(from) = &mut asked.origin
            && from.cancel == Cancel::No
        {
            from.cancel = Cancel::Waits(Vec::new());
            return self.send_cancel(now, id);
        }
        if let Origin::Shard(from) = self.asking.take_origin(id) {
            self.conclude(now, &from, 487);
            self.forsake(now, id, from);
        }
    }

    /// Nothing has come in time (408), or the request could not be brought there (503: RFC 3261 §8.1.3.1).
    pub(super) fn on_unanswered(&mut self, now: Now, id: u64, status: u16) {
        let Some(asked) = self.asking.get_mut(id) else {
            return;
        };
        let (to, cseq, is_heard) = (asked.to, asked.cseq, asked.is_heard);
        match self.asking.take_origin(id) {
            Origin::Shard(from) if from.cancel != Cancel::No => {
                self.conclude(now, &from, 487);
                self.forsake(now, id, from);
            }
            Origin::Shard(mut from) if from.is_initial && !is_heard => {
                self.health.doubt(to, status, now.mono);
                from.tried.push(to);
                self.forsake(now, id, from.clone());
                match self.peer_for(&from.tried) {
                    Some(next) => self.try_next(now, from, next, cseq),
                    None => self.conclude(now, &from, status),
                }
            }
            Origin::Shard(from) => {
                self.conclude(now, &from, status);
                self.forsake(now, id, from);
            }
            Origin::Registration => self.on_registration_failed(now, status),
            Origin::Check => self.on_check_answer(now, id, (status == 503).then_some(status)),
            Origin::Forsaken(_) | Origin::Nobody => {}
        }
    }

    /// Tells the shard what no peer did.
    fn conclude(&mut self, now: Now, from: &FromShard, status: u16) {
        if from.is_initial {
            self.dialogs.end(&from.dialog, now.mono);
        }
        if let Some(request) = rewrite::request_of(&from.message)
            && !from.is_own
        {
            let why = match status {
                503 => "the peer cannot be reached",
                _ => "the peer did not answer in time",
            };
            self.refuse(&request, status, why);
        }
    }

    /// Answers a shard as a peer would.
    pub(super) fn refuse(&mut self, request: &Request<'_>, status: u16, why: &str) {
        let tag = Some(self.tag());
        let mut writer = MessageWriter::reply(request, status, status::reason(status), tag);
        writer.header("Warning", format_args!("399 offhook \"{why}\""));
        let message = writer.finish();
        self.deliver(message);
    }

    pub(super) fn deliver(&mut self, message: Vec<u8>) {
        self.effect(LineEffect::Deliver { message });
    }
}

/// The route set of whoever called (RFC 3261 §12.1.2).
pub(super) fn reversed_routes(response: &Response<'_>) -> Vec<String> {
    let mut routes = record_routes(&response.headers);
    routes.reverse();
    routes
}
